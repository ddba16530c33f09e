//! Committed is synced on every member, whatever the members themselves believe; and it stays (W3, W4, C2, C7, C9).
//!
//! Who owes what: a copy in the version in effect, everything that is committed; a tail that is not ready, what was
//! committed while it was a member; any other replica, what it knows itself to be committed, while its process lives.

use catena_core::{Chain, ChainVersion, EntryId, Identity, Role, Seq, Slot};

use super::Violation;
use super::ledger::Ledger;
use crate::disk::Synced;

/// An entry has just been declared committed under a version: the disk of a member of it must have it. So must that of a
/// copy in the version in effect.
pub(crate) fn committed(slot: Slot, id: EntryId, member: &str, synced: &Synced) -> Result<(), Violation> {
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

/// Only members are the first to declare an entry committed: a joining replica is told.
pub(crate) fn declares(slot: Slot, id: EntryId, role: Role, node: &str) -> Result<(), Violation> {
    demand!(role.is_member(), Durability, "W3, C11", "slot {slot}: {node}, {role:?}, is the first to declare {id} committed");
    Ok(())
}

/// How far a replica's disk must have what is committed. `decided`: the version in effect; `owed`: what was committed while
/// this directory was a member.
pub(crate) fn debt(decided: Option<&Chain>, me: &Identity, ledger: &Ledger, owed: Seq) -> Seq {
    let Some(chain) = decided else { return Seq(0) };
    if chain.copies().iter().any(|copy| copy.is(me)) {
        ledger.last(chain.slot).seq
    } else if chain.members.iter().any(|member| member.is(me)) {
        owed
    } else {
        Seq(0)
    }
}

/// A disk must have what is committed up to `debt`, and nothing else that is taken for committed.
pub(crate) fn holds(slot: Slot, ledger: &Ledger, debt: Seq, node: &str, synced: &Synced) -> Result<(), Violation> {
    let trimmed = ledger.at(slot, synced.trim.seq).map(|entry| entry.id);
    demand!(
        synced.trim.seq == Seq(0) || trimmed == Some(synced.trim),
        Durability,
        "W11",
        "slot {slot}: {node} is trimmed at {}, committed there is {trimmed:?}",
        synced.trim
    );
    let index = |seq: Seq| usize::try_from(seq.0).expect("a history in memory");
    for entry in ledger.entries(slot).iter().take(index(debt)).skip(index(synced.trim.seq)) {
        demand!(
            synced.has(entry.id),
            Durability,
            "W4",
            "slot {slot}: {} was committed, and {node} is a copy without it (trimmed at {}, log {:?})",
            entry.id,
            synced.trim,
            synced.log
        );
    }
    Ok(())
}

/// A process starts on this disk: the version that was acted in before must be there.
pub(crate) fn recovered(slot: Slot, acted: ChainVersion, node: &str, synced: &Synced) -> Result<(), Violation> {
    demand!(
        synced.chain >= acted,
        Durability,
        "C2",
        "slot {slot}: {node} has acted in version {acted}, and comes back with {}",
        synced.chain
    );
    Ok(())
}

/// A replica is about to remove everything after `last` from its log: nothing that it owes.
pub(crate) fn truncated(slot: Slot, debt: Seq, last: Seq, node: &str) -> Result<(), Violation> {
    demand!(last >= debt, Durability, "W4, C7", "slot {slot}: {node} cuts its log to {last}, committed is {debt}");
    Ok(())
}

/// A replica is about to replace its state by a snapshot that stands at `at` (`None`: by nothing).
pub(crate) fn replaced(slot: Slot, ledger: &Ledger, debt: Seq, at: Option<EntryId>, node: &str) -> Result<(), Violation> {
    let seq = at.map_or(Seq(0), |at| at.seq);
    demand!(seq >= debt, Durability, "W4, J3", "slot {slot}: {node} replaces its state by one at {at:?}, committed is {debt}");
    let known = ledger.at(slot, seq).map(|entry| entry.id);
    demand!(
        at.is_none_or(|at| at == EntryId::default() || known == Some(at)),
        Durability,
        "J1",
        "slot {slot}: {node} installs a snapshot at {at:?}, committed there is {known:?}"
    );
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
    use catena_core::{ClusterId, Epoch, Incarnation, Member, NodeConfig, NodeId, Process};

    use super::super::ledger::tests::put;
    use super::*;

    const SLOT: Slot = Slot(0);

    fn id(version: u64, seq: u64) -> EntryId {
        EntryId { version: ChainVersion(version), seq: Seq(seq) }
    }

    /// Committed: (1, 1), (1, 2), (2, 3).
    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(&NodeConfig::new(1));
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
    fn a_copy_without_something_committed_is_caught() {
        let has = |disk: &Synced| holds(SLOT, &ledger(), Seq(3), "n2", disk);
        assert_eq!(has(&disk(id(1, 1), &[id(1, 2), id(2, 3), id(2, 4)])), Ok(()));
        has(&disk(id(1, 1), &[id(1, 2)])).expect_err("3 is gone");
        has(&disk(id(1, 1), &[id(1, 2), id(1, 3)])).expect_err("3 is another");
        has(&disk(id(2, 4), &[])).expect_err("4 was applied without being committed");
        has(&disk(id(2, 2), &[id(2, 3)])).expect_err("another 2 was applied");
        let less = disk(id(1, 1), &[id(1, 2)]);
        assert_eq!(holds(SLOT, &ledger(), Seq(2), "n2", &less), Ok(()), "a tail that is not ready owes less");
    }

    #[test]
    fn copies_owe_everything_a_tail_that_is_not_ready_what_it_was_there_for_and_others_nothing() {
        let me = |name: &str, incarnation| Identity {
            cluster: ClusterId(1),
            node: NodeId::new(name).expect("a name"),
            incarnation: Incarnation(incarnation),
            process: Process(1),
        };
        let member = |name: &str| {
            let Identity { node, incarnation, .. } = me(name, 1);
            Member { node, incarnation, activated: ChainVersion(1) }
        };
        let chain = Chain {
            slot: SLOT,
            version: ChainVersion(2),
            epoch: Epoch(1),
            members: ["a", "b"].map(member).into(),
            tail_ready: false,
            joining: Some(member("c")),
        };
        let owes = |chain: &Chain, name, incarnation| debt(Some(chain), &me(name, incarnation), &ledger(), Seq(2));
        assert_eq!(owes(&chain, "a", 1), Seq(3));
        assert_eq!(owes(&chain, "b", 1), Seq(2));
        assert_eq!(owes(&Chain { tail_ready: true, ..chain.clone() }, "b", 1), Seq(3));
        assert_eq!((owes(&chain, "c", 1), owes(&chain, "a", 2)), (Seq(0), Seq(0)));
        assert_eq!(debt(None, &me("a", 1), &ledger(), Seq(2)), Seq(0));
    }

    #[test]
    fn a_cut_or_a_snapshot_below_what_is_owed_and_one_of_another_history_are_caught() {
        assert_eq!(truncated(SLOT, Seq(3), Seq(3), "n2"), Ok(()));
        truncated(SLOT, Seq(3), Seq(2), "n2").expect_err("3 is committed");
        let replace = |debt, at| replaced(SLOT, &ledger(), Seq(debt), at, "n2");
        assert_eq!((replace(0, None), replace(0, Some(id(1, 2))), replace(3, Some(id(2, 3)))), (Ok(()), Ok(()), Ok(())));
        replace(3, Some(id(1, 2))).expect_err("3 is committed");
        replace(1, None).expect_err("a copy forgets");
        replace(0, Some(id(2, 2))).expect_err("another 2");
        replace(0, Some(id(2, 4))).expect_err("4 is not committed");
    }

    #[test]
    fn a_version_that_was_lost_an_act_before_it_is_synced_and_a_commit_by_a_joiner_are_caught() {
        let disk = disk(id(2, 3), &[]);
        assert_eq!(acted(SLOT, ChainVersion(2), "n2", &disk), Ok(()));
        acted(SLOT, ChainVersion(3), "n2", &disk).expect_err("3 is not synced");
        assert_eq!(recovered(SLOT, ChainVersion(2), "n2", &disk), Ok(()));
        assert_eq!(recovered(SLOT, ChainVersion(3), "n2", &disk).expect_err("version 3 is gone").rule, "C2");
        assert_eq!(declares(SLOT, id(2, 3), Role::Tail, "n2"), Ok(()));
        declares(SLOT, id(2, 3), Role::Joining, "n2").expect_err("a joining replica is first");
        declares(SLOT, id(2, 3), Role::None, "n2").expect_err("no replica of the version");
    }
}
