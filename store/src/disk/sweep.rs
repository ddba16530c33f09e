//! What nobody sees any more, and how it goes: piece by piece, from records that say what is owed.
//!
//! A generation that ends is named in a garbage record, in the batch that ends it; one that does not outlive the process, in
//! the batch that begins it. Its records are removed a few hundred at a time, the garbage record with the last of them. So a
//! restart finds what is left, and nothing waits for it.

use std::collections::VecDeque;

use catena_core::Slot;
use fjall::Slice;

use super::engine::Engine;
use super::keys::{Aspect, Generation, Space, generation_range, slot_key};
use super::staged::Staged;
use crate::StoreError;

/// How many records go at once at least: about a millisecond.
pub(super) const SWEEP_RECORDS: usize = 256;

/// Generations that have ended.
#[derive(Default)]
pub(super) struct Garbage {
    /// Named on disk.
    owed: VecDeque<Remains>,
    /// Named in the group that is staged. Nothing of them is removed before that is on disk: what it contains of them comes
    /// to lie there with it.
    ended: Vec<Remains>,
}

/// What is left of a generation.
struct Remains {
    slot: Slot,
    generation: Generation,
    /// How many of [`Space::OF_GENERATIONS`] are empty of it.
    emptied: usize,
    /// The last key removed in the one after those: a scan from the first on would pass all that are removed again.
    after: Option<Slice>,
}

impl Garbage {
    /// Notes what recovery has found.
    pub(super) fn found(&mut self, slot: Slot, generation: Generation) {
        self.owed.push_back(Remains { slot, generation, emptied: 0, after: None });
    }

    /// Names a generation with the group that is staged: it is garbage after a restart.
    pub(super) fn name(slot: Slot, generation: Generation, staged: &mut Staged) {
        staged.put(Space::Slots, slot_key(slot, Aspect::Garbage(generation)).into(), |_| {});
    }

    /// Ends a generation with the group that is staged. One that is named already is named again: the group must not be empty,
    /// as readers are told of the end after it is written.
    pub(super) fn end(&mut self, slot: Slot, generation: Generation, staged: &mut Staged) {
        Self::name(slot, generation, staged);
        self.ended.push(Remains { slot, generation, emptied: 0, after: None });
    }

    /// The group is on disk.
    pub(super) fn synced(&mut self) {
        self.owed.extend(self.ended.drain(..));
    }

    /// Whether nothing is owed.
    pub(super) fn is_empty(&self) -> bool {
        self.owed.is_empty()
    }

    /// Stages the removal of up to `records` records.
    pub(super) fn sweep(&mut self, engine: &Engine, staged: &mut Staged, records: usize) -> Result<(), StoreError> {
        let mut left = records;
        while left > 0
            && let Some(remains) = self.owed.front_mut()
        {
            left -= remains.sweep(engine, staged, left)?;
            if remains.emptied == Space::OF_GENERATIONS.len() {
                staged.remove(Space::Slots, slot_key(remains.slot, Aspect::Garbage(remains.generation)).into());
                self.owed.pop_front();
                left = left.saturating_sub(1);
            }
        }
        Ok(())
    }
}

impl Remains {
    /// Stages the removal of up to `records` records; says of how many.
    fn sweep(&mut self, engine: &Engine, staged: &mut Staged, records: usize) -> Result<usize, StoreError> {
        let mut removed = 0;
        while let Some(&space) = Space::OF_GENERATIONS.get(self.emptied) {
            for record in engine.keyspace(space).range(generation_range(self.slot, self.generation, self.after.as_deref())) {
                if removed == records {
                    return Ok(removed);
                }
                let key = record.key().map_err(|error| StoreError::failed("read the keys of what is to be removed", error))?;
                staged.remove(space, key.clone());
                self.after = Some(key);
                removed += 1;
            }
            self.after = None;
            self.emptied += 1;
        }
        Ok(removed)
    }
}
