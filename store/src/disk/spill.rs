//! What is spilled: applied entries that somebody still needs, beside the slot's content.
//!
//! They are log records, and values, of a generation of their own, which is garbage for a restart from the beginning. Only
//! readers look there: recovery, which looks for the content's generation, passes them over.

use catena_core::{Entry, Seq, Slot};

use super::FjallStore;
use super::frame::{corrupt, open};
use super::index::Spill;
use super::keys::{Generation, Space, generation_range, parse_position_key, position_key, value_key};
use super::log_record::LogRecord;
use super::reader::{Moment, open_value_apart};
use super::sweep::Garbage;
use crate::{Damage, StoreError};

impl FjallStore {
    pub(super) fn spill(&mut self, slot: Slot, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        let mut spill = self.spill_before(slot, first);
        for entry in entries {
            let Spill { generation, last } = spill;
            assert_eq!(entry.previous_id(), last, "slot {slot}: {} spilled behind {last}", entry.id);
            self.put_entry(slot, generation, entry);
            spill.last = entry.id;
        }
        self.index(slot).spill = Some(spill);
    }

    /// What is spilled already; if nothing is, a new generation, with nothing before `first`.
    fn spill_before(&mut self, slot: Slot, first: &Entry) -> Spill {
        let index = self.index(slot);
        assert!(!index.is_ruined(), "slot {slot}: a spill, and it is damaged");
        if let Some(spill) = index.spill {
            return spill;
        }
        let generation = index.new_generation();
        Garbage::name(slot, generation, &mut self.staged);
        self.switched.push(slot);
        Spill { generation, last: first.previous_id() }
    }

    pub(super) fn drop_spill(&mut self, slot: Slot) {
        if let Some(spill) = self.index(slot).spill.take() {
            self.garbage.end(slot, spill.generation, &mut self.staged);
            self.switched.push(slot);
        }
    }
}

impl Moment {
    /// What a generation has behind `after`, see [`Reader::spilled`](crate::Reader::spilled). If it has ended, a part may be
    /// swept: from its first entry on, and no value before all entries. So what is left of them is whole, and has no gap.
    pub(super) fn spilled(&self, slot: Slot, generation: Generation, after: Seq, bytes: usize) -> Result<Vec<Entry>, StoreError> {
        let behind = position_key(slot, generation, after);
        let (mut entries, mut last, mut weight) = (Vec::new(), after, 0);
        for record in self.range(Space::Log, generation_range(slot, generation, Some(&behind))) {
            let (key, record) = record?;
            let damaged = |damage| corrupt(Space::Log, &key, damage);
            let (_, _, seq) = parse_position_key(&key).ok_or_else(|| damaged(Damage::Malformed("key")))?;
            if seq != last.next() {
                break;
            }
            let logged = LogRecord::parse(open(Space::Log, &key, &record)?).map_err(damaged)?;
            let value = |key: &[u8]| {
                let key = value_key(slot, generation, key, seq);
                open_value_apart(&key, self.get(Space::Values, &key)?)
            };
            let entry = logged.entry(seq, value)?;
            (last, weight) = (seq, weight + entry.weight());
            entries.push(entry);
            if weight >= bytes {
                break;
            }
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use catena_core::{Batch, ChainVersion, EntryId, Operation, Ticket, WallTime, Write};
    use fjall::Slice;

    use super::super::keys::{Aspect, slot_key};
    use super::*;
    use crate::{Reader, Store, Swept};

    const SLOT: Slot = Slot(3);

    fn put(seq: u64, value_bytes: usize) -> Entry {
        Entry {
            id: EntryId { version: ChainVersion(1), seq: Seq(seq) },
            previous: ChainVersion(1),
            at: WallTime(seq),
            origin: None,
            operation: Operation::Put { key: "a".into(), value: vec![1; value_bytes].into(), created_at: WallTime(seq) },
        }
    }

    fn submit_and_sync(store: &mut FjallStore, ticket: u64, write: Write) {
        store.submit(Batch { ticket: Ticket(ticket), slot: SLOT, writes: vec![write] }).unwrap();
        store.sync().unwrap();
    }

    fn recovered(path: &std::path::Path) -> FjallStore {
        let mut store = FjallStore::open_unidentified(path).unwrap();
        store.recover().unwrap();
        store
    }

    #[test]
    fn a_damaged_record_is_named_when_its_entry_is_read_and_others_are_whole() {
        for (space, seq, missing) in [(Space::Log, 6, false), (Space::Values, 6, false), (Space::Values, 6, true)] {
            let path = tempfile::tempdir().unwrap();
            let mut store = recovered(path.path());
            let entries = [put(5, 10), put(6, 2000), put(7, 2000)];
            submit_and_sync(&mut store, 1, Write::Spill(entries.to_vec()));
            let key = match space {
                Space::Log => position_key(SLOT, Generation(1), Seq(seq)).to_vec(),
                _ => value_key(SLOT, Generation(1), b"a", Seq(seq)),
            };
            let keyspace = store.engine.keyspace(space);
            let mut record = keyspace.get(&key).unwrap().unwrap().to_vec();
            record[7] ^= 4;
            if missing {
                keyspace.remove(key).unwrap();
            } else {
                keyspace.insert(key, record).unwrap();
            }
            let reader = store.reader();
            for (after, bytes) in [(4, usize::MAX), (5, 0)] {
                let error = reader.spilled(SLOT, Seq(after), bytes).unwrap_err();
                assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
                let name = match space {
                    Space::Log => "record slot 3 generation 1 seq 6 of keyspace log is corrupt",
                    _ => "record slot 3 generation 1 key \"a\" seq 6 of keyspace values is corrupt",
                };
                assert!(error.to_string().contains(name), "{error}");
            }
            assert_eq!(reader.spilled(SLOT, Seq(4), 0).unwrap(), entries[..1]);
            assert_eq!(reader.spilled(SLOT, Seq(6), 0).unwrap(), entries[2..]);
        }
    }

    /// As by a reader who has looked up the generation before it ended, and takes his time.
    #[test]
    fn what_is_left_of_a_spill_while_it_is_swept_has_no_gap_and_lacks_no_value() {
        let path = tempfile::tempdir().unwrap();
        let mut store = recovered(path.path());
        let entries: Vec<Entry> = (1..=300).map(|seq| put(seq, 2000)).collect();
        submit_and_sync(&mut store, 1, Write::Spill(entries.clone()));
        submit_and_sync(&mut store, 2, Write::DropSpill);
        let mut left = vec![entries.len()];
        while store.sweep().unwrap() == Swept::Partly {
            let moment = store.reader().moment();
            let behind = |after| moment.spilled(SLOT, Generation(1), Seq(after), usize::MAX).unwrap();
            let whole = (0..300).map(behind).find(|found| !found.is_empty()).unwrap_or_default();
            assert_eq!(whole, entries[entries.len() - whole.len()..]);
            left.push(whole.len());
        }
        assert_eq!(left, [300, 44, 0]);
    }

    #[test]
    fn a_damaged_slot_takes_no_spill_until_it_is_cleared() {
        let path = tempfile::tempdir().unwrap();
        let spill = Write::Spill(vec![put(5, 2000)]);
        for clears in [false, true] {
            let store = recovered(path.path());
            store.engine.keyspace(Space::Slots).insert(slot_key(SLOT, Aspect::Chain), Slice::from(b"damaged")).unwrap();
            drop(store);
            let mut store = recovered(path.path());
            if clears {
                submit_and_sync(&mut store, 1, Write::Clear);
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| submit_and_sync(&mut store, 2, spill.clone())));
            assert_eq!(outcome.is_ok(), clears);
        }
    }
}
