//! Slow sessions take turns: of those whose one write at a time was late, one has a write under way, until it is answered or
//! late too.
//!
//! A window of one is no bound for a client with thousands of slots: all at once they ask more of a busy cluster than it can
//! do. There is one turn for the client, whatever nodes its slots are at, and none for sessions that are not slow: a slot that
//! does not answer holds up, for half of a call's time, those alone that have not answered in time either.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use super::sessions::{Numbered, Pace};
use crate::{Slot, Time};

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct SlowLane {
    waiting: BTreeSet<Slot>,
    /// It is this one's turn, or was.
    last: Slot,
    turn: Turn,
}

#[derive(Debug, Default)]
enum Turn {
    /// Of the next of those who wait.
    #[default]
    Free,
    /// Of the last one, which may send a write.
    Given,
    /// Of the last one, which has sent this.
    Used(Numbered),
}

impl SlowLane {
    /// Whether a slow session may send a write. If it may not, it is told by [`next`](Self::next) when it may.
    pub(super) fn admit(&mut self, slot: Slot) -> bool {
        let admitted = matches!(self.turn, Turn::Given) && self.last == slot;
        if !admitted {
            self.waiting.insert(slot);
        }
        admitted
    }

    /// It sends this.
    pub(super) fn enter(&mut self, write: Numbered) {
        self.turn = Turn::Used(write);
    }

    /// Nobody waits for the write any more.
    pub(super) fn leave(&mut self, slot: Slot, write: Numbered) {
        if matches!(self.turn, Turn::Used(used) if self.last == slot && used == write) {
            self.turn = Turn::Free;
        }
    }

    /// Gives the next of those who wait its turn, if the one before has used its own, or has not.
    pub(super) fn next(&mut self, now: Time) -> Option<Slot> {
        if matches!(self.turn, Turn::Used(write) if write.pace(now) == Pace::InTime) {
            return None;
        }
        let after = self.waiting.range((Excluded(self.last), Unbounded)).next();
        self.last = *after.or(self.waiting.first())?;
        self.waiting.remove(&self.last);
        self.turn = Turn::Given;
        Some(self.last)
    }

    /// When it is the next one's turn, unless it is earlier.
    pub(super) fn deadline(&self) -> Option<Time> {
        match self.turn {
            Turn::Used(write) if !self.waiting.is_empty() => Some(write.late),
            Turn::Used(_) | Turn::Free | Turn::Given => None,
        }
    }
}
