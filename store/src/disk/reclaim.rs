//! Room on a disk that has become full: what deletes and overwrites have left goes at once, not when fjall comes to it.
//!
//! fjall gives back what is removed as it compacts, and compacts as it is written to. A store that takes nothing but deletes
//! may have all of them in memory and in journals.

use std::sync::{Arc, Weak};

use super::FjallStore;
use super::engine::Engine;
use super::keys::Space;
use crate::StoreError;

/// What a compaction of `values` copies at most is a fraction of it: fjall moves the values of a quarter of the files of
/// which a quarter or more is dead.
const VALUES_MOVED: u64 = 4;

/// Makes room. Does not keep the store open.
#[derive(Clone)]
pub struct FjallReclaimer {
    engine: Weak<Engine>,
    /// What had been written when each was compacted last: nothing can be removed since without being written.
    compacted: [Option<u64>; Space::OF_GENERATIONS.len()],
}

/// What came of a [`FjallReclaimer::reclaim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reclaimed {
    /// Something was compacted.
    Some,
    /// There was nothing to do since the last time, or no room to do it.
    Nothing,
    /// The store is closed.
    Closed,
}

impl FjallStore {
    /// Makes room for it, from another thread.
    pub fn reclaimer(&self) -> FjallReclaimer {
        FjallReclaimer { engine: Arc::downgrade(&self.engine), compacted: Default::default() }
    }
}

impl FjallReclaimer {
    /// Whether there is no store any more.
    pub fn is_closed(&self) -> bool {
        self.engine.strong_count() == 0
    }

    /// Writes what is in memory to tables, which frees the journals, and compacts every keyspace whose compaction takes less
    /// room than `free` says there is. Takes as long as that takes; writes go on meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the disk cannot be read, written or synced.
    pub fn reclaim(&mut self, free: impl Fn() -> u64) -> Result<Reclaimed, StoreError> {
        let Some(engine) = self.engine.upgrade() else { return Ok(Reclaimed::Closed) };
        let written = engine.written();
        if self.compacted == [Some(written); Space::OF_GENERATIONS.len()] {
            return Ok(Reclaimed::Nothing);
        }
        engine.flush()?;
        let mut reclaimed = Reclaimed::Nothing;
        for (space, compacted) in Space::OF_GENERATIONS.into_iter().zip(&mut self.compacted) {
            // Not all of what is free: others write meanwhile.
            while *compacted != Some(written) && engine.room_to_compact(space) < free() / 4 * 3 {
                let before = engine.keyspace(space).disk_space();
                engine.compact(space)?;
                engine.let_go()?;
                reclaimed = Reclaimed::Some;
                // Which values are dead it learns as it compacts, and moves the others of their files the next time.
                if space != Space::Values || engine.keyspace(space).disk_space() >= before {
                    *compacted = Some(written);
                }
            }
        }
        Ok(reclaimed)
    }
}

impl Engine {
    fn flush(&self) -> Result<(), StoreError> {
        // All of them before the first is compacted: fjall removes a journal when all that it has is in tables.
        for space in Space::OF_GENERATIONS.into_iter().chain([Space::Slots]) {
            let flushed = self.keyspace(space).rotate_memtable_and_wait();
            flushed.map_err(|error| StoreError::failed("flush a full disk's store", error))?;
        }
        Ok(())
    }

    /// fjall keeps the files that a compaction has replaced until it next sets a memtable aside that is not empty.
    fn let_go(&self) -> Result<(), StoreError> {
        /// Of no record: all keys are longer.
        const NO_KEY: &[u8] = &[0];
        let slots = self.keyspace(Space::Slots);
        let failed = |error| StoreError::failed("let go of what was compacted on a full disk", error);
        let mut batch = self.group();
        batch.remove(slots, NO_KEY);
        batch.commit().map_err(failed)?;
        slots.rotate_memtable_and_wait().map_err(failed)
    }

    fn room_to_compact(&self, space: Space) -> u64 {
        let all = self.keyspace(space).disk_space();
        if space == Space::Values { all / VALUES_MOVED } else { all }
    }

    fn compact(&self, space: Space) -> Result<(), StoreError> {
        let compacted = self.keyspace(space).major_compact();
        compacted.map_err(|error| StoreError::failed("compact a full disk's store", error))
    }
}
