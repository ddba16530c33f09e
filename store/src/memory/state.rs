//! What is on a simulated disk.

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::{Batch, Chain, Entry, EntryId, Metadata, Object, Operation, Recovered, Seq, Slot, WallTime, Write};

#[derive(Debug, Default)]
pub(super) struct State {
    slots: BTreeMap<Slot, SlotState>,
}

#[derive(Debug, Default)]
struct SlotState {
    chain: Option<Chain>,
    trim: EntryId,
    trim_at: WallTime,
    log: BTreeMap<Seq, Entry>,
    objects: BTreeMap<Bytes, Object>,
}

impl State {
    /// Whether what the batch applies begins right after the trim point.
    fn accepts(&self, batch: &Batch) -> bool {
        let mut trim = self.slots.get(&batch.slot).map_or_else(EntryId::default, |slot| slot.trim);
        for write in &batch.writes {
            if let Write::Apply(entries) = write {
                for entry in entries {
                    if entry.previous_id() != trim {
                        return false;
                    }
                    trim = entry.id;
                }
            }
        }
        true
    }

    /// Runs a batch that follows on all those before it.
    pub(super) fn write(&mut self, batch: Batch) {
        let state = self.slots.entry(batch.slot).or_default();
        for write in batch.writes {
            match write {
                Write::Chain(chain) => state.chain = Some(chain),
                Write::Append(entries) => state.append(batch.slot, entries),
                Write::Truncate { last } => state.truncate(batch.slot, last),
                Write::Apply(entries) => state.apply(batch.slot, entries),
            }
        }
    }

    /// Runs a batch that outlived a crash, in which batches before it may have been lost. Without effect
    /// where it applies entries that do not begin right after the trim point.
    pub(super) fn salvage(&mut self, batch: Batch) {
        if !self.accepts(&batch) {
            return;
        }
        let state = self.slots.entry(batch.slot).or_default();
        for write in batch.writes {
            match write {
                Write::Chain(chain) => state.chain = Some(chain),
                // May leave gaps: recovery cuts there.
                Write::Append(entries) => state.log.extend(entries.into_iter().map(|entry| (entry.id.seq, entry))),
                Write::Truncate { last } => drop(state.log.split_off(&last.next())),
                Write::Apply(entries) => state.apply(batch.slot, entries),
            }
        }
    }

    /// Cuts each log where it ceases to be linked, and tells what there is.
    pub(super) fn recover(&mut self) -> Vec<Recovered> {
        let recover = |(&slot, state): (&Slot, &mut SlotState)| {
            state.cut_unlinked();
            let nothing = state.chain.is_none() && state.trim == EntryId::default() && state.log.is_empty();
            (!nothing).then(|| Recovered {
                slot,
                chain: state.chain.clone(),
                trim: state.trim,
                trim_at: state.trim_at,
                log: state.log.values().cloned().collect(),
            })
        };
        self.slots.iter_mut().filter_map(recover).collect()
    }

    pub(super) fn get(&self, slot: Slot, key: &[u8]) -> Option<&Object> {
        self.slots.get(&slot)?.objects.get(key)
    }

    pub(super) fn objects(&self, slot: Slot) -> (EntryId, Vec<(Bytes, Object)>) {
        let Some(state) = self.slots.get(&slot) else { return Default::default() };
        (state.trim, state.objects.iter().map(|(key, object)| (key.clone(), object.clone())).collect())
    }
}

impl SlotState {
    fn apply(&mut self, slot: Slot, entries: Vec<Entry>) {
        for entry in entries {
            assert_eq!(entry.previous_id(), self.trim, "slot {slot}: apply begins right after the trim point");
            self.trim = entry.id;
            self.trim_at = entry.at;
            while let Some(logged) = self.log.first_entry()
                && *logged.key() <= entry.id.seq
            {
                logged.remove();
            }
            match entry.operation {
                Operation::Put { key, value, created_at } => {
                    let metadata = Metadata { version: entry.id.seq, created_at, updated_at: entry.at };
                    self.objects.insert(key, Object { value, metadata });
                }
                Operation::Delete { key } => {
                    self.objects.remove(&key);
                }
            }
        }
    }

    fn truncate(&mut self, slot: Slot, last: Seq) {
        assert!(last >= self.trim.seq, "slot {slot}: truncate to {last}, trimmed at {}", self.trim);
        self.log.split_off(&last.next());
    }

    fn append(&mut self, slot: Slot, entries: Vec<Entry>) {
        for entry in entries {
            let seq = entry.id.seq;
            let last = self.log.last_key_value().map_or(self.trim.seq, |(&last, _)| last);
            assert!(
                seq > self.trim.seq && seq <= last.next(),
                "slot {slot}: append of {seq} behind {last}, trimmed at {}",
                self.trim
            );
            self.log.insert(seq, entry);
        }
    }

    fn cut_unlinked(&mut self) {
        self.log = self.log.split_off(&self.trim.seq.next());
        let mut last = self.trim;
        for entry in self.log.values() {
            if entry.previous_id() != last {
                break;
            }
            last = entry.id;
        }
        self.log.split_off(&last.seq.next());
    }
}
