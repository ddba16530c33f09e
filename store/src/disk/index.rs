//! What the writer remembers of each slot, so that it need not read to write.

use std::collections::VecDeque;

use catena_core::{ChainVersion, Entry, EntryId, Operation, Seq, Slot};

use super::record::{Placement, TrimRecord};

/// A slot's trim point and the shape of its log.
#[derive(Debug, Default)]
pub(super) struct SlotIndex {
    pub(super) trim: TrimRecord,
    /// The entries after the trim point, without a gap.
    log: VecDeque<Logged>,
}

/// A log record on disk or staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Logged {
    pub(super) version: ChainVersion,
    pub(super) value: Placement,
}

impl Logged {
    pub(super) fn of(entry: &Entry) -> Self {
        let value = match &entry.operation {
            Operation::Put { value, .. } => Placement::of(value),
            Operation::Delete { .. } => Placement::Inline,
        };
        Self { version: entry.id.version, value }
    }
}

impl SlotIndex {
    pub(super) fn new(trim: TrimRecord) -> Self {
        Self { trim, log: VecDeque::new() }
    }

    fn first(&self) -> Seq {
        self.trim.trim.seq.next()
    }

    /// The last seq in the log, or trimmed.
    pub(super) fn last(&self) -> Seq {
        Seq(self.trim.trim.seq.0 + self.log.len() as u64)
    }

    /// Notes an entry at `id`; returns what it replaces.
    pub(super) fn append(&mut self, slot: Slot, id: EntryId, logged: Logged) -> Option<Logged> {
        let (seq, last) = (id.seq, self.last());
        assert!(
            seq >= self.first() && seq <= last.next(),
            "slot {slot}: append of {seq} behind {last}, trimmed at {}",
            self.trim.trim
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
        assert!(last >= self.trim.trim.seq, "slot {slot}: truncate to {last}, trimmed at {}", self.trim.trim);
        let end = self.last();
        if end <= last {
            return None;
        }
        self.log.pop_back().map(|logged| (end, logged))
    }

    /// Moves the trim point over `entry`; returns what the log has of it.
    pub(super) fn trim(&mut self, slot: Slot, entry: &Entry) -> Option<Logged> {
        assert_eq!(entry.previous_id(), self.trim.trim, "slot {slot}: apply begins right after the trim point");
        self.trim.trim = entry.id;
        self.trim.at = entry.at;
        let logged = self.log.pop_front()?;
        assert_eq!(logged, Logged::of(entry), "slot {slot}: what is applied is what was logged at {}", entry.id);
        Some(logged)
    }
}
