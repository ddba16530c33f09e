//! What a store must have, computed in the dumbest way: every batch that counts, run from the beginning over plain lists.

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::{Batch, Chain, Entry, EntryId, Metadata, Object, Operation, Recovered, Seq, Slot, WallTime, Write};

use crate::implementation::Fate;

/// A history of what reached the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Twin {
    durable: Vec<Step>,
    pub(crate) unsynced: Vec<Batch>,
}

#[derive(Clone, Debug)]
enum Step {
    Batch(Batch),
    /// Logs were cut where they were not linked.
    Recovery,
}

/// What one slot has.
#[derive(Clone, Debug, Default)]
pub(crate) struct TwinSlot {
    pub(crate) chain: Option<Chain>,
    pub(crate) trim: EntryId,
    pub(crate) trim_at: WallTime,
    pub(crate) log: Vec<Entry>,
    pub(crate) objects: BTreeMap<Bytes, Object>,
}

impl TwinSlot {
    pub(crate) fn last(&self) -> EntryId {
        self.log.last().map_or(self.trim, |entry| entry.id)
    }

    /// How many values over 1 KiB it has.
    pub(crate) fn values_apart(&self) -> usize {
        let logged = self.log.iter().filter(|entry| match &entry.operation {
            Operation::Put { value, .. } => value.len() > 1024,
            Operation::Delete { .. } => false,
        });
        logged.count() + self.objects.values().filter(|object| object.value.len() > 1024).count()
    }
}

impl Twin {
    pub(crate) fn submit(&mut self, batch: Batch) {
        self.unsynced.push(batch);
    }

    pub(crate) fn sync(&mut self) {
        self.durable.extend(self.unsynced.drain(..).map(Step::Batch));
    }

    /// The process is gone, and with it the unsynced batches that were lost; the next one recovers.
    pub(crate) fn restart(&mut self, fates: &[Fate]) {
        assert_eq!(fates.len(), self.unsynced.len());
        for (batch, fate) in self.unsynced.drain(..).zip(fates) {
            match fate {
                Fate::Kept => self.durable.push(Step::Batch(batch)),
                Fate::Lost => {}
            }
        }
        self.durable.push(Step::Recovery);
    }

    /// What readers see.
    pub(crate) fn visible(&self) -> BTreeMap<Slot, TwinSlot> {
        replay(self.durable.iter())
    }

    /// What the writer builds on.
    pub(crate) fn submitted(&self) -> BTreeMap<Slot, TwinSlot> {
        let unsynced: Vec<Step> = self.unsynced.iter().cloned().map(Step::Batch).collect();
        replay(self.durable.iter().chain(&unsynced))
    }

    pub(crate) fn recovered(&self) -> Vec<Recovered> {
        let slots = self.visible().into_iter();
        let known = slots.filter(|(_, slot)| slot.chain.is_some() || slot.last() != EntryId::default());
        let recovered =
            known.map(|(slot, TwinSlot { chain, trim, trim_at, log, objects: _ })| Recovered { slot, chain, trim, trim_at, log });
        recovered.collect()
    }
}

fn replay<'a>(steps: impl Iterator<Item = &'a Step>) -> BTreeMap<Slot, TwinSlot> {
    let mut slots = BTreeMap::<Slot, TwinSlot>::new();
    for step in steps {
        match step {
            Step::Batch(batch) => run(slots.entry(batch.slot).or_default(), batch),
            Step::Recovery => slots.values_mut().for_each(cut),
        }
    }
    slots
}

fn run(slot: &mut TwinSlot, batch: &Batch) {
    let before = slot.clone();
    for write in &batch.writes {
        match write {
            Write::Chain(chain) => slot.chain = Some(chain.clone()),
            Write::Append(entries) => {
                for entry in entries {
                    slot.log.retain(|logged| logged.id.seq != entry.id.seq);
                    slot.log.push(entry.clone());
                    slot.log.sort_by_key(|logged| logged.id.seq);
                }
            }
            Write::Truncate { last } => slot.log.retain(|logged| logged.id.seq <= *last),
            Write::Apply(entries) => {
                for entry in entries {
                    if entry.previous_id() != slot.trim {
                        // Only after a crash: what it follows on was lost, so it is lost as well.
                        *slot = before;
                        return;
                    }
                    apply(slot, entry);
                }
            }
        }
    }
}

fn apply(slot: &mut TwinSlot, entry: &Entry) {
    slot.trim = entry.id;
    slot.trim_at = entry.at;
    slot.log.retain(|logged| logged.id.seq > entry.id.seq);
    match &entry.operation {
        Operation::Put { key, value, created_at } => {
            let metadata = Metadata { version: entry.id.seq, created_at: *created_at, updated_at: entry.at };
            slot.objects.insert(key.clone(), Object { value: value.clone(), metadata });
        }
        Operation::Delete { key } => drop(slot.objects.remove(key)),
    }
}

fn cut(slot: &mut TwinSlot) {
    let mut linked = Vec::new();
    let mut last = slot.trim;
    for entry in slot.log.drain(..).filter(|entry| entry.id.seq > slot.trim.seq) {
        if entry.id.seq == Seq(last.seq.0 + 1) && entry.previous_id() == last {
            last = entry.id;
            linked.push(entry);
        } else {
            break;
        }
    }
    slot.log = linked;
}
