//! What is on a simulated disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use catena_core::{Batch, Chain, Entry, EntryId, Metadata, Object, Operation, Recovered, Seq, Session, Slot, WallTime, Write};

use super::staging::{Progress, Staging, Unsynced};

#[derive(Debug, Default)]
pub(super) struct State {
    slots: BTreeMap<Slot, SlotState>,
}

#[derive(Debug, Default)]
pub(super) struct SlotState {
    chain: Option<Chain>,
    pub(super) applied: Applied,
    log: BTreeMap<Seq, Entry>,
    pub(super) staging: Option<Staging>,
    /// Applied entries that are kept, without a gap, until the process ends at the latest.
    pub(super) spilled: BTreeMap<Seq, Entry>,
    pub(super) quarantined: bool,
}

/// What a pin holds on to. Objects and sessions are shared with pins, and copied when they are written while one lives.
#[derive(Clone, Debug, Default)]
pub(super) struct Applied {
    pub(super) trim: EntryId,
    pub(super) trim_at: WallTime,
    pub(super) objects: Arc<BTreeMap<Bytes, Object>>,
    pub(super) sessions: Arc<BTreeMap<Seq, Session>>,
}

impl State {
    /// Runs a batch that follows on all those before it.
    pub(super) fn write(&mut self, batch: Batch) {
        let state = self.slots.entry(batch.slot).or_default();
        for write in batch.writes {
            match write {
                Write::Append(entries) => state.append(batch.slot, entries),
                Write::Truncate { last } => state.truncate(batch.slot, last),
                other => state.write(batch.slot, other),
            }
        }
    }

    /// Runs a batch that outlived a crash, in which batches before it may have been lost. Without effect where it
    /// applies entries that do not begin right after the trim point, or goes on with a snapshot of which parts are lost.
    pub(super) fn salvage(&mut self, unsynced: Unsynced) {
        let state = self.slots.entry(unsynced.batch.slot).or_default();
        if !state.links(&unsynced.batch) || !unsynced.follows(state.staging.as_ref()) {
            return;
        }
        let Batch { ticket: _, slot, writes } = unsynced.batch;
        for write in writes {
            match write {
                // May leave gaps: recovery cuts there.
                Write::Append(entries) => state.log.extend(entries.into_iter().map(|entry| (entry.id.seq, entry))),
                Write::Truncate { last } => drop(state.log.split_off(&last.next())),
                // Recovery ends it.
                Write::Spill(_) | Write::DropSpill => {}
                other => state.write(slot, other),
            }
        }
    }

    /// The planted bug of a store that names a staged part in another batch than the part.
    pub(super) fn keep_names_of_lost_parts(&mut self, batch: Batch) {
        for write in batch.writes {
            if let Write::Stage { pin, objects } = write {
                let staging = self.slots.entry(batch.slot).or_default().staging_of(pin);
                staging.last = objects.last().map(|(key, _)| key.clone()).or(staging.last.take());
            }
        }
    }

    /// The planted bug of a store that moves the trim point in another batch than it writes objects.
    pub(super) fn keep_trim_of_lost_applies(&mut self, batch: Batch) {
        let state = self.slots.entry(batch.slot).or_default();
        for write in batch.writes {
            if let Write::Apply { entries, sessions: _ } = write
                && entries.first().is_some_and(|entry| entry.previous_id() == state.applied.trim)
            {
                let objects = state.applied.objects.clone();
                state.apply(batch.slot, entries, Vec::new());
                state.applied.objects = objects;
            }
        }
    }

    /// Ends each spill, cuts each log where it ceases to be linked, and tells what there is.
    pub(super) fn recover(&mut self) -> Vec<Recovered> {
        let recover = |(&slot, state): (&Slot, &mut SlotState)| {
            state.spilled.clear();
            state.cut_unlinked();
            (!state.is_empty()).then(|| state.recovered(slot))
        };
        self.slots.iter_mut().filter_map(recover).collect()
    }

    pub(super) fn get(&self, slot: Slot, key: &[u8]) -> Option<&Object> {
        self.slots.get(&slot)?.applied.objects.get(key)
    }

    /// What a slot has spilled behind `after`, see [`Reader::spilled`](crate::Reader::spilled).
    pub(super) fn spilled(&self, slot: Slot, after: Seq, bytes: usize) -> Vec<Entry> {
        let Some(state) = self.slots.get(&slot) else { return Vec::new() };
        let first = after.next();
        let (mut entries, mut weight) = (Vec::new(), 0);
        // Further on there is no gap.
        if state.spilled.contains_key(&first) {
            for entry in state.spilled.range(first..).map(|(_, entry)| entry) {
                weight += entry.weight();
                entries.push(entry.clone());
                if weight >= bytes {
                    break;
                }
            }
        }
        entries
    }

    /// What a slot has applied; of an unknown slot, nothing.
    pub(super) fn applied(&self, slot: Slot) -> Applied {
        self.slots.get(&slot).map(|state| state.applied.clone()).unwrap_or_default()
    }

    /// Which part of which snapshot a slot has staged last.
    pub(super) fn staged(&self, slot: Slot) -> Progress {
        self.slots.get(&slot).and_then(|state| state.staging.as_ref()).map(Staging::progress)
    }
}

impl SlotState {
    /// Any write but those of a log, which a crash treats otherwise.
    fn write(&mut self, slot: Slot, write: Write) {
        match write {
            Write::Chain(chain) => self.chain = Some(chain),
            Write::Append(_) | Write::Truncate { .. } => unreachable!("the caller deals with the log"),
            Write::Apply { entries, sessions } => self.apply(slot, entries, sessions),
            Write::Spill(entries) => self.spill(slot, entries),
            Write::DropSpill => self.spilled.clear(),
            Write::Stage { pin, objects } => self.staging_of(pin).extend(slot, objects),
            Write::Install { pin, end } => {
                let staging = self.staging.take().filter(|staging| staging.pin == pin);
                let staging = staging.unwrap_or_else(|| panic!("slot {slot}: install of {pin:?}, which is not staged"));
                self.install(staging, end);
            }
            Write::Clear => *self = Self { chain: self.chain.take(), ..Self::default() },
            Write::Quarantine => self.quarantined = true,
        }
    }

    fn apply(&mut self, slot: Slot, entries: Vec<Entry>, sessions: Vec<(Seq, Option<Session>)>) {
        let Applied { trim, trim_at, objects, sessions: table } = &mut self.applied;
        for entry in entries {
            assert_eq!(entry.previous_id(), *trim, "slot {slot}: apply begins right after the trim point");
            *trim = entry.id;
            *trim_at = entry.at;
            while let Some(logged) = self.log.first_entry()
                && *logged.key() <= entry.id.seq
            {
                logged.remove();
            }
            match entry.operation {
                Operation::Put { key, value, created_at } => {
                    let metadata = Metadata { version: entry.id.seq, created_at, updated_at: entry.at };
                    Arc::make_mut(objects).insert(key, Object { value, metadata });
                }
                Operation::Delete { key } => drop(Arc::make_mut(objects).remove(&key)),
                Operation::Nothing { .. } | Operation::OpenSession | Operation::Expire { .. } => {}
            }
        }
        for (name, session) in sessions {
            match session {
                Some(session) => drop(Arc::make_mut(table).insert(name, session)),
                None => drop(Arc::make_mut(table).remove(&name)),
            }
        }
    }

    fn truncate(&mut self, slot: Slot, last: Seq) {
        let trim = self.applied.trim;
        assert!(last >= trim.seq, "slot {slot}: truncate to {last}, trimmed at {trim}");
        self.log.split_off(&last.next());
    }

    fn append(&mut self, slot: Slot, entries: Vec<Entry>) {
        let trim = self.applied.trim;
        for entry in entries {
            let seq = entry.id.seq;
            let last = self.log.last_key_value().map_or(trim.seq, |(&last, _)| last);
            assert!(seq > trim.seq && seq <= last.next(), "slot {slot}: append of {seq} behind {last}, trimmed at {trim}");
            self.log.insert(seq, entry);
        }
    }

    fn spill(&mut self, slot: Slot, entries: Vec<Entry>) {
        for entry in entries {
            let last = self.spilled.last_key_value().map(|(_, last)| last.id);
            assert!(last.is_none_or(|last| entry.previous_id() == last), "slot {slot}: {} spilled behind {last:?}", entry.id);
            self.spilled.insert(entry.id.seq, entry);
        }
    }

    /// Whether what the batch applies begins right after the trim point.
    fn links(&self, batch: &Batch) -> bool {
        let mut trim = self.applied.trim;
        batch.writes.iter().all(|write| match write {
            Write::Apply { entries, sessions: _ } => entries.iter().all(|entry| {
                let links = entry.previous_id() == trim;
                trim = entry.id;
                links
            }),
            Write::Install { pin, end: _ } => {
                trim = pin.at;
                true
            }
            Write::Clear => {
                trim = EntryId::default();
                true
            }
            Write::Chain(_)
            | Write::Append(_)
            | Write::Truncate { .. }
            | Write::Stage { .. }
            | Write::Quarantine
            | Write::Spill(_)
            | Write::DropSpill => true,
        })
    }

    fn cut_unlinked(&mut self) {
        let mut last = self.applied.trim;
        self.log = self.log.split_off(&last.seq.next());
        for entry in self.log.values() {
            if entry.previous_id() != last {
                break;
            }
            last = entry.id;
        }
        self.log.split_off(&last.seq.next());
    }

    pub(super) fn forget_log(&mut self) {
        self.log.clear();
    }

    fn is_empty(&self) -> bool {
        let Applied { trim, trim_at: _, objects: _, sessions } = &self.applied;
        let applied_nothing = *trim == EntryId::default() && sessions.is_empty();
        applied_nothing && self.chain.is_none() && self.log.is_empty() && self.staging.is_none() && !self.quarantined
    }

    fn recovered(&self, slot: Slot) -> Recovered {
        Recovered {
            slot,
            chain: self.chain.clone(),
            trim: self.applied.trim,
            trim_at: self.applied.trim_at,
            sessions: self.applied.sessions.iter().map(|(&name, session)| (name, session.clone())).collect(),
            log: self.log.values().cloned().collect(),
            staged: self.staging.as_ref().map(Staging::progress),
            quarantined: self.quarantined,
            damaged: None,
        }
    }
}
