//! The committed history of every slot, as replicas declare it: one, the same for all, for ever (W4, W5, C7).

use bytes::Bytes;
use catena_core::{Entry, EntryId, Metadata, NodeConfig, Object, Operation, Seq, Slot, WallTime};

use super::Violation;
use super::sessions::{Bounds, Course};

/// What is committed, by slot and seq, whatever becomes of chains and replicas.
#[derive(Debug)]
pub(crate) struct Ledger {
    slots: Vec<Vec<Entry>>,
    courses: Vec<Course>,
}

impl Ledger {
    /// Of a cluster whose nodes have this configuration.
    pub(crate) fn new(config: &NodeConfig) -> Self {
        let slots = config.slots as usize;
        Self { slots: vec![Vec::new(); slots], courses: vec![Course::new(Bounds::of(config)); slots] }
    }

    /// The slot's sessions, along its committed history.
    pub(crate) fn sessions(&self, slot: Slot) -> &Course {
        &self.courses[slot.0 as usize]
    }

    /// The committed entries of a slot, in order.
    pub(crate) fn entries(&self, slot: Slot) -> &[Entry] {
        &self.slots[slot.0 as usize]
    }

    /// The last committed entry.
    pub(crate) fn last(&self, slot: Slot) -> EntryId {
        self.entries(slot).last().map_or(EntryId::default(), |entry| entry.id)
    }

    /// The committed entry at `seq`.
    pub(crate) fn at(&self, slot: Slot, seq: Seq) -> Option<&Entry> {
        let index = usize::try_from(seq.0.checked_sub(1)?).expect("a history in memory");
        self.entries(slot).get(index)
    }

    /// A replica declares `entry` committed. Whether it is the first to do so.
    pub(crate) fn commit(&mut self, slot: Slot, entry: &Entry, by: &str) -> Result<bool, Violation> {
        if let Some(known) = self.at(slot, entry.id.seq) {
            demand!(
                known == entry,
                Histories,
                "W4, C7",
                "slot {slot}: {by} commits {} where {} was committed: {entry:?} instead of {known:?}",
                entry.id,
                known.id
            );
            return Ok(false);
        }
        let last = self.last(slot);
        demand!(
            entry.previous_id() == last,
            Histories,
            "W6, C7",
            "slot {slot}: {by} commits {}, which follows on {}, behind {last}",
            entry.id,
            entry.previous_id()
        );
        demand!(
            entry.id.version >= last.version,
            Histories,
            "C1, W1",
            "slot {slot}: {by} commits {}, ordered in an older version than {last}",
            entry.id
        );
        let before = self.entries(slot).last().map_or(WallTime(0), |entry| entry.at);
        demand!(
            entry.at > before,
            Histories,
            "W2",
            "slot {slot}: {by} commits {} of time {}, not after {}",
            entry.id,
            entry.at.0,
            before.0
        );
        self.courses[slot.0 as usize].commit(slot, entry, by)?;
        self.slots[slot.0 as usize].push(entry.clone());
        Ok(true)
    }

    /// An object is shown to a client: it must be a committed one, as written (W4).
    pub(crate) fn expose(&self, slot: Slot, key: &Bytes, object: &Object, by: &str) -> Result<(), Violation> {
        let written = self.expose_metadata(slot, key, &object.metadata, by)?.map(|entry| &entry.operation);
        demand!(
            matches!(written, Some(Operation::Put { value, .. }) if *value == object.value),
            Exposure,
            "W4",
            "slot {slot}: {by} shows {key:?} at version {} with another value than was written",
            object.metadata.version
        );
        Ok(())
    }

    /// As [`Self::expose`], of an object's metadata.
    pub(crate) fn expose_metadata(
        &self,
        slot: Slot,
        key: &Bytes,
        shown: &Metadata,
        by: &str,
    ) -> Result<Option<&Entry>, Violation> {
        let last = self.last(slot);
        let entry = self.at(slot, shown.version);
        demand!(
            entry.is_some(),
            Exposure,
            "W4",
            "slot {slot}: {by} shows {key:?} at version {}, committed is only {last}",
            shown.version
        );
        let written = entry.and_then(metadata);
        demand!(
            entry.and_then(|entry| entry.operation.key()) == Some(key) && written.as_ref() == Some(shown),
            Exposure,
            "W2, W4",
            "slot {slot}: {by} shows {key:?} as {shown:?}, committed there is {entry:?}"
        );
        Ok(entry)
    }

    /// A write is acknowledged: its entry must be committed (W5).
    pub(crate) fn acknowledge(&self, slot: Slot, id: EntryId, by: &str) -> Result<(), Violation> {
        let committed = self.at(slot, id.seq).map(|entry| entry.id);
        demand!(
            committed == Some(id),
            Exposure,
            "W4, W5",
            "slot {slot}: {by} acknowledges {id}, committed there is {committed:?}"
        );
        Ok(())
    }
}

/// The object that an entry leaves behind, reckoned from the protocol (W2) and not by the machine.
pub(crate) fn metadata(entry: &Entry) -> Option<Metadata> {
    match &entry.operation {
        Operation::Put { created_at, .. } => {
            Some(Metadata { version: entry.id.seq, created_at: *created_at, updated_at: entry.at })
        }
        Operation::Delete { .. } | Operation::Nothing { .. } | Operation::OpenSession | Operation::Expire { .. } => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use catena_core::ChainVersion;

    use super::*;

    const SLOT: Slot = Slot(0);

    /// Entry `seq`, ordered in `version`, behind one of `previous`.
    pub(crate) fn put(version: u64, seq: u64, previous: u64, key: &str) -> Entry {
        Entry {
            id: EntryId { version: ChainVersion(version), seq: Seq(seq) },
            previous: ChainVersion(previous),
            at: WallTime(seq * 10),
            origin: None,
            operation: Operation::Put {
                key: Bytes::copy_from_slice(key.as_bytes()),
                value: Bytes::copy_from_slice(&seq.to_be_bytes()),
                created_at: WallTime(10),
            },
        }
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(&NodeConfig::new(1));
        for entry in [put(1, 1, 0, "a"), put(1, 2, 1, "a"), put(2, 3, 1, "b")] {
            assert_eq!(ledger.commit(SLOT, &entry, "n1"), Ok(true));
            assert_eq!(ledger.commit(SLOT, &entry, "n2"), Ok(false));
        }
        ledger
    }

    #[test]
    fn a_replica_that_commits_another_entry_is_caught() {
        let caught = ledger().commit(SLOT, &put(3, 3, 1, "b"), "n2").expect_err("another entry at 3");
        assert_eq!(caught.rule, "W4, C7");
        let mut rewritten = put(2, 3, 1, "b");
        rewritten.at = WallTime(31);
        ledger().commit(SLOT, &rewritten, "n2").expect_err("the same place with another content");
    }

    #[test]
    fn a_commit_beyond_a_gap_or_of_another_branch_or_an_older_version_is_caught() {
        ledger().commit(SLOT, &put(2, 5, 2, "a"), "n1").expect_err("4 is missing");
        ledger().commit(SLOT, &put(2, 4, 1, "a"), "n1").expect_err("behind (1, 3), which is not committed");
        ledger().commit(SLOT, &put(1, 4, 2, "a"), "n1").expect_err("version 1 after version 2");
        let mut early = put(2, 4, 2, "a");
        early.at = WallTime(30);
        assert_eq!(ledger().commit(SLOT, &early, "n1").expect_err("not after its predecessor").rule, "W2");
    }

    #[test]
    fn what_is_shown_before_it_is_committed_or_differently_is_caught() {
        let ledger = ledger();
        let key = Bytes::from("a");
        let shown = |seq: u64, value: u64| Object {
            value: Bytes::copy_from_slice(&value.to_be_bytes()),
            metadata: Metadata { version: Seq(seq), created_at: WallTime(10), updated_at: WallTime(seq * 10) },
        };
        assert_eq!(ledger.expose(SLOT, &key, &shown(2, 2), "n3"), Ok(()));
        ledger.expose(SLOT, &key, &shown(4, 4), "n3").expect_err("not committed");
        ledger.expose(SLOT, &key, &shown(2, 1), "n3").expect_err("another value");
        ledger.expose(SLOT, &key, &shown(3, 3), "n3").expect_err("another key's version");
        let mut late = shown(2, 2);
        late.metadata.updated_at = WallTime(21);
        ledger.expose(SLOT, &key, &late, "n3").expect_err("another time");
        let id = |version, seq| EntryId { version: ChainVersion(version), seq: Seq(seq) };
        assert_eq!(ledger.acknowledge(SLOT, id(2, 3), "n1"), Ok(()));
        ledger.acknowledge(SLOT, id(1, 3), "n1").expect_err("another entry is committed there");
        ledger.acknowledge(SLOT, id(2, 4), "n1").expect_err("nothing is committed there");
    }
}
