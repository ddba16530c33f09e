//! What a store must have, computed in the dumbest way: every batch that counts, run from the beginning over plain lists.

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::{
    Batch, Chain, Entry, EntryId, Metadata, Object, Operation, Pin, Recovered, Seq, Session, Slot, WallTime, Write,
};

/// What became of a batch that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    Lost,
}

/// A history of what reached the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Twin {
    durable: Vec<Step>,
    pub(crate) unsynced: Vec<Batch>,
}

#[derive(Clone, Debug)]
enum Step {
    Batch {
        batch: Batch,
        /// What its writer had staged before it.
        staged: Staged,
    },
    /// Logs were cut where they were not linked, spills ended.
    Recovery,
}

/// Parts of a snapshot, in the order in which they came.
pub(crate) type Staged = Option<(Pin, Vec<(Bytes, Object)>)>;

/// What all slots have.
pub(crate) type Slots = BTreeMap<Slot, TwinSlot>;

/// What one slot has.
#[derive(Clone, Debug, Default)]
pub(crate) struct TwinSlot {
    pub(crate) chain: Option<Chain>,
    pub(crate) trim: EntryId,
    pub(crate) trim_at: WallTime,
    pub(crate) log: Vec<Entry>,
    pub(crate) objects: BTreeMap<Bytes, Object>,
    pub(crate) sessions: BTreeMap<Seq, Session>,
    pub(crate) staged: Staged,
    pub(crate) spilled: Vec<Entry>,
    pub(crate) quarantined: bool,
}

impl TwinSlot {
    pub(crate) fn last(&self) -> EntryId {
        self.log.last().map_or(self.trim, |entry| entry.id)
    }

    /// How many values over 1 KiB it has.
    pub(crate) fn values_apart(&self) -> usize {
        let logged = self.log.iter().filter_map(|entry| match &entry.operation {
            Operation::Put { value, .. } => Some(value),
            _ => None,
        });
        let staged = self.staged_objects().iter().map(|(_, object)| &object.value);
        let values = logged.chain(staged).chain(self.objects.values().map(|object| &object.value));
        values.filter(|value| value.len() > 1024).count()
    }

    pub(crate) fn staged_objects(&self) -> &[(Bytes, Object)] {
        self.staged.as_ref().map_or(&[], |(_, objects)| objects)
    }

    pub(crate) fn sessions(&self) -> Vec<(Seq, Session)> {
        self.sessions.iter().map(|(name, session)| (*name, session.clone())).collect()
    }
}

impl Twin {
    pub(crate) fn submit(&mut self, batch: Batch) {
        self.unsynced.push(batch);
    }

    pub(crate) fn sync(&mut self) {
        let fates = vec![Fate::Kept; self.unsynced.len()];
        self.settle(&fates);
    }

    /// The process is gone, and with it the unsynced batches that were lost; the next one recovers.
    pub(crate) fn restart(&mut self, fates: &[Fate]) {
        self.settle(fates);
        self.durable.push(Step::Recovery);
    }

    fn settle(&mut self, fates: &[Fate]) {
        assert_eq!(fates.len(), self.unsynced.len());
        let mut writer = self.visible();
        for (batch, fate) in std::mem::take(&mut self.unsynced).into_iter().zip(fates) {
            let staged = writer.get(&batch.slot).and_then(|slot| slot.staged.clone());
            run_next(&mut writer, &batch);
            if *fate == Fate::Kept {
                self.durable.push(Step::Batch { batch, staged });
            }
        }
    }

    /// What readers see.
    pub(crate) fn visible(&self) -> Slots {
        let mut slots = Slots::new();
        for step in &self.durable {
            match step {
                Step::Batch { batch, staged } => run(slots.entry(batch.slot).or_default(), batch, staged),
                Step::Recovery => recover(&mut slots),
            }
        }
        slots
    }

    /// What the writer builds on.
    pub(crate) fn submitted(&self) -> Slots {
        let mut all = self.clone();
        all.sync();
        all.visible()
    }

    pub(crate) fn recovered(&self) -> Vec<Recovered> {
        told(&self.visible())
    }
}

/// Runs a batch where nothing before it was lost.
pub(crate) fn run_next(slots: &mut Slots, batch: &Batch) {
    let slot = slots.entry(batch.slot).or_default();
    let staged = slot.staged.clone();
    run(slot, batch, &staged);
}

/// A process ends, and the next one recovers.
pub(crate) fn recover(slots: &mut Slots) {
    slots.values_mut().for_each(cut);
}

/// What recovery says.
pub(crate) fn told(slots: &Slots) -> Vec<Recovered> {
    let slots = slots.clone().into_iter();
    let known = slots.filter(|(_, slot)| {
        let content = slot.last() != EntryId::default() || !slot.sessions.is_empty() || slot.staged.is_some() || slot.quarantined;
        slot.chain.is_some() || content
    });
    let recovered = known.map(|(slot, found)| {
        let sessions = found.sessions();
        let TwinSlot { chain, trim, trim_at, log, objects: _, sessions: _, staged, spilled: _, quarantined } = found;
        let staged = staged.map(|(pin, objects)| (pin, objects.last().map(|(key, _)| key.clone())));
        Recovered { slot, chain, trim, trim_at, sessions, log, staged, quarantined, damaged: None }
    });
    recovered.collect()
}

/// Runs a batch, `staged` being what its writer had staged before it. Without effect where it does not follow on what the slot
/// has: that happens only after a crash, where what it follows on was lost.
fn run(slot: &mut TwinSlot, batch: &Batch, staged: &Staged) {
    let mut after = slot.clone();
    let mut writer = staged.clone();
    for write in &batch.writes {
        match write {
            Write::Chain(chain) => after.chain = Some(chain.clone()),
            Write::Append(entries) => {
                for entry in entries {
                    after.log.retain(|logged| logged.id.seq != entry.id.seq);
                    after.log.push(entry.clone());
                    after.log.sort_by_key(|logged| logged.id.seq);
                }
            }
            Write::Truncate { last } => after.log.retain(|logged| logged.id.seq <= *last),
            Write::Apply { entries, sessions } => {
                for entry in entries {
                    if entry.previous_id() != after.trim {
                        return;
                    }
                    apply(&mut after, entry);
                }
                for (name, session) in sessions {
                    match session {
                        Some(session) => drop(after.sessions.insert(*name, session.clone())),
                        None => drop(after.sessions.remove(name)),
                    }
                }
            }
            Write::Spill(entries) => after.spilled.extend(entries.iter().cloned()),
            Write::DropSpill => after.spilled = vec![],
            Write::Stage { pin, objects } => {
                let goes_on = |staged: &Staged| staged.as_ref().is_some_and(|(staged, _)| staged == pin);
                if goes_on(&writer) || goes_on(&after.staged) {
                    if writer != after.staged {
                        return;
                    }
                } else {
                    after.staged = Some((pin.clone(), vec![]));
                }
                let (_, parts) = after.staged.as_mut().unwrap();
                parts.extend(objects.iter().cloned());
                writer.clone_from(&after.staged);
            }
            Write::Install { pin, end } => {
                if writer != after.staged {
                    return;
                }
                let (staged, objects) = after.staged.take().unwrap();
                assert_eq!(staged, *pin);
                after.trim = pin.at;
                after.trim_at = end.at_time;
                (after.log, after.spilled) = (vec![], vec![]);
                after.objects = objects.into_iter().collect();
                after.sessions = end.sessions.iter().cloned().collect();
                after.quarantined = false;
                writer = None;
            }
            Write::Clear => {
                after = TwinSlot { chain: after.chain, ..TwinSlot::default() };
                writer = None;
            }
            Write::Quarantine => after.quarantined = true,
        }
    }
    *slot = after;
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
        Operation::Nothing { .. } | Operation::OpenSession | Operation::Expire { .. } => {}
    }
}

fn cut(slot: &mut TwinSlot) {
    slot.spilled = vec![];
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
