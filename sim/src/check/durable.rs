//! Committed is synced on every member, whatever the members themselves believe; and it stays (W3, W4, C2, C7).

use catena_core::{ChainVersion, Seq, Slot};

use super::Violation;
use super::ledger::Ledger;
use crate::disk::Synced;

/// An entry has just been declared committed: a member's disk must have it.
pub(crate) fn committed(slot: Slot, id: catena_core::EntryId, member: &str, synced: &Synced) -> Result<(), Violation> {
    demand!(
        synced.has(id),
        Durability,
        "W3, W4",
        "slot {slot}: {id} is committed, and {member} has not synced it (trimmed at {}, log {:?})",
        synced.trim,
        synced.log
    );
    Ok(())
}

/// A member has come back: all that is committed must be on its disk, and so must the version that it acted in.
pub(crate) fn recovered(slot: Slot, ledger: &Ledger, acted: ChainVersion, node: &str, synced: &Synced) -> Result<(), Violation> {
    demand!(
        synced.chain >= acted,
        Durability,
        "C2",
        "slot {slot}: {node} has acted in version {acted}, and comes back with {}",
        synced.chain
    );
    let trimmed = ledger.at(slot, synced.trim.seq).map(|entry| entry.id);
    demand!(
        synced.trim.seq == Seq(0) || trimmed == Some(synced.trim),
        Durability,
        "W11",
        "slot {slot}: {node} comes back trimmed at {}, committed there is {trimmed:?}",
        synced.trim
    );
    let after = usize::try_from(synced.trim.seq.0).expect("a history in memory");
    for entry in ledger.entries(slot).iter().skip(after) {
        demand!(
            synced.has(entry.id),
            Durability,
            "W4",
            "slot {slot}: {} was committed, and {node} comes back without it (trimmed at {}, log {:?})",
            entry.id,
            synced.trim,
            synced.log
        );
    }
    Ok(())
}

/// A replica is about to remove everything after `last` from its log: nothing committed.
pub(crate) fn truncated(slot: Slot, ledger: &Ledger, last: Seq, node: &str) -> Result<(), Violation> {
    let committed = ledger.last(slot);
    demand!(last >= committed.seq, Durability, "W4, C7", "slot {slot}: {node} cuts its log to {last}, committed is {committed}");
    Ok(())
}

/// A replica speaks or answers in a version: its disk must have it.
pub(crate) fn acted(slot: Slot, version: ChainVersion, node: &str, synced: &Synced) -> Result<(), Violation> {
    demand!(
        version <= synced.chain,
        Durability,
        "C2",
        "slot {slot}: {node} acts in version {version}, and has synced only {}",
        synced.chain
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use catena_core::EntryId;

    use super::super::ledger::tests::put;
    use super::*;

    const SLOT: Slot = Slot(0);

    fn id(version: u64, seq: u64) -> EntryId {
        EntryId { version: ChainVersion(version), seq: Seq(seq) }
    }

    /// Committed: (1, 1), (1, 2), (2, 3).
    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(1);
        for entry in [put(1, 1, 0, "a"), put(1, 2, 1, "a"), put(2, 3, 1, "b")] {
            ledger.commit(SLOT, &entry, "n1").expect("they follow on each other");
        }
        ledger
    }

    fn disk(trim: EntryId, log: &[EntryId]) -> Synced {
        Synced { chain: ChainVersion(2), trim, log: log.iter().copied().collect() }
    }

    #[test]
    fn a_commit_that_one_disk_lacks_is_caught() {
        let disk = disk(id(1, 1), &[id(1, 2)]);
        assert_eq!(committed(SLOT, id(1, 2), "n2", &disk), Ok(()));
        committed(SLOT, id(2, 3), "n2", &disk).expect_err("not synced");
        committed(SLOT, id(2, 2), "n2", &disk).expect_err("another entry is there");
    }

    #[test]
    fn a_member_that_comes_back_without_something_committed_is_caught() {
        let back = |disk: &Synced| recovered(SLOT, &ledger(), ChainVersion(2), "n2", disk);
        assert_eq!(back(&disk(id(1, 1), &[id(1, 2), id(2, 3), id(2, 4)])), Ok(()));
        back(&disk(id(1, 1), &[id(1, 2)])).expect_err("3 is gone");
        back(&disk(id(1, 1), &[id(1, 2), id(1, 3)])).expect_err("3 is another");
        back(&disk(id(2, 4), &[])).expect_err("4 was applied without being committed");
        back(&disk(id(2, 2), &[id(2, 3)])).expect_err("another 2 was applied");
        let ahead = recovered(SLOT, &ledger(), ChainVersion(3), "n2", &disk(id(2, 3), &[]));
        assert_eq!(ahead.expect_err("version 3 is gone").rule, "C2");
    }

    #[test]
    fn a_cut_below_what_is_committed_and_an_act_before_its_version_is_synced_are_caught() {
        assert_eq!(truncated(SLOT, &ledger(), Seq(3), "n2"), Ok(()));
        truncated(SLOT, &ledger(), Seq(2), "n2").expect_err("3 is committed");
        let disk = disk(id(2, 3), &[]);
        assert_eq!(acted(SLOT, ChainVersion(2), "n2", &disk), Ok(()));
        acted(SLOT, ChainVersion(3), "n2", &disk).expect_err("3 is not synced");
    }
}
