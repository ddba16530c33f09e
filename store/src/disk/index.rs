//! What the writer remembers of each slot, so that it need not read to write.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use catena_core::{ChainVersion, Entry, EntryId, Operation, Seq, Slot};

use super::keys::Generation;
use super::reader::Shown;
use super::record::{Placement, StagingRecord, StateRecord};

/// A slot's trim point, the shape of its log, what is staged and what is spilled.
#[derive(Debug, Default)]
pub(super) struct SlotIndex {
    pub(super) state: StateRecord,
    pub(super) staging: Option<StagingRecord>,
    pub(super) spill: Option<Spill>,
    /// The last generation that was given out: numbers are not used again while anything of them may be on disk.
    last_generation: Generation,
    /// The entries after the trim point, without a gap.
    log: VecDeque<Logged>,
    /// What there is of a damaged slot, to go when it is cleared; `None`: the slot is whole.
    ruins: Option<BTreeSet<Generation>>,
}

/// Entries that are kept beside the slot's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spill {
    pub(super) generation: Generation,
    /// The last of them.
    pub(super) last: EntryId,
}

/// A log record on disk or staged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Logged {
    pub(super) version: ChainVersion,
    /// The key that its value is of, if that is apart.
    pub(super) apart: Option<Bytes>,
}

impl Logged {
    pub(super) fn of(entry: &Entry) -> Self {
        let apart = match &entry.operation {
            Operation::Put { key, value, .. } if Placement::of(value) == Placement::Apart => Some(key.clone()),
            _ => None,
        };
        Self { version: entry.id.version, apart }
    }
}

impl SlotIndex {
    /// With an empty log. Generations up to `last_generation` are in use, or have been.
    pub(super) fn new(state: StateRecord, staging: Option<StagingRecord>, last_generation: Generation) -> Self {
        Self { state, staging, last_generation, ..Self::default() }
    }

    /// Of a slot with a damaged record, whose content nobody may use. It has generations of which there are records, and
    /// some that are named as garbage.
    pub(super) fn ruined(generations: BTreeSet<Generation>, garbage: &[Generation]) -> Self {
        let ruins: BTreeSet<Generation> = generations.into_iter().chain(garbage.iter().copied()).collect();
        let last_generation = ruins.last().copied().unwrap_or_default();
        Self { last_generation, ruins: Some(ruins), ..Self::default() }
    }

    /// What is to go when the slot is cleared.
    pub(super) fn take_ruins(&mut self) -> BTreeSet<Generation> {
        self.ruins.take().unwrap_or_default()
    }

    /// Whether a record of it is damaged, and it is not cleared since.
    pub(super) fn is_ruined(&self) -> bool {
        self.ruins.is_some()
    }

    /// Where readers look, once all this is on disk.
    pub(super) fn shown(&self) -> Shown {
        Shown { content: self.generation(), spill: self.spill.map(|spill| spill.generation) }
    }

    /// The generation that the slot's content is of.
    pub(super) fn generation(&self) -> Generation {
        self.state.generation
    }

    /// One that there is nothing of.
    pub(super) fn new_generation(&mut self) -> Generation {
        self.last_generation = self.last_generation.next();
        self.last_generation
    }

    /// The slot has another content, and no log. Returns the generation of the one before.
    pub(super) fn switch(&mut self, state: StateRecord) -> Generation {
        self.log.clear();
        std::mem::replace(&mut self.state, state).generation
    }

    fn first(&self) -> Seq {
        self.state.trim.seq.next()
    }

    /// The last seq in the log, or trimmed.
    pub(super) fn last(&self) -> Seq {
        Seq(self.state.trim.seq.0 + self.log.len() as u64)
    }

    /// Notes an entry at `id`; returns what it replaces.
    pub(super) fn append(&mut self, slot: Slot, id: EntryId, logged: Logged) -> Option<Logged> {
        let (seq, last) = (id.seq, self.last());
        assert!(
            seq >= self.first() && seq <= last.next(),
            "slot {slot}: append of {seq} behind {last}, trimmed at {}",
            self.state.trim
        );
        if seq == last.next() {
            self.log.push_back(logged);
            return None;
        }
        let at = usize::try_from(seq.0 - self.first().0).expect("a log fits into memory");
        Some(std::mem::replace(&mut self.log[at], logged))
    }

    /// Takes the log's last entry off if it is after `last`.
    pub(super) fn cut(&mut self, slot: Slot, last: Seq) -> Option<(Seq, Logged)> {
        assert!(last >= self.state.trim.seq, "slot {slot}: truncate to {last}, trimmed at {}", self.state.trim);
        let end = self.last();
        if end <= last {
            return None;
        }
        self.log.pop_back().map(|logged| (end, logged))
    }

    /// Moves the trim point over `entry`; returns what the log has of it.
    pub(super) fn trim(&mut self, slot: Slot, entry: &Entry) -> Option<Logged> {
        assert_eq!(entry.previous_id(), self.state.trim, "slot {slot}: apply begins right after the trim point");
        self.state.trim = entry.id;
        self.state.at = entry.at;
        let logged = self.log.pop_front()?;
        assert_eq!(logged, Logged::of(entry), "slot {slot}: what is applied is what was logged at {}", entry.id);
        Some(logged)
    }
}
