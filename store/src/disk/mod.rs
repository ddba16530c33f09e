//! The store on disk, in fjall.
//!
//! ```text
//! submit ──► Staged (last write per key) ──► sync: one journal write, one fdatasync ──► memtables, readers
//!    │                                                                                       │
//!    └─ SlotIndex (trim point, shape of the log, what is staged):                            └─► tables, in fjall's threads
//!       what a write must know without reading
//! ```
//!
//! A slot's content is of one generation: a snapshot is staged in another, and one small record says which one counts. So
//! a slot of any size is switched, or cleared, in one step; what is left of the generation before goes bit by bit (`sweep`).
//! Entries that are spilled are in another one, which counts beside it until the process ends.
//!
//! A group of batches becomes one fjall batch. In such a batch all items have the same sequence number, so a key may occur
//! once only: `Staged` keeps the last write of each.

pub(crate) mod any;
pub(crate) mod chain_record;
mod engine;
pub(crate) mod frame;
mod index;
mod install;
mod journal;
pub(crate) mod keys;
mod log_record;
mod pinned;
mod reader;
mod reclaim;
mod record;
mod recover;
mod session_record;
mod spill;
mod staged;
mod sweep;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use catena_core::{Batch, Recovered, Slot, Ticket};

pub use self::any::check_any_record;
use self::engine::Engine;
pub(crate) use self::engine::{group, open_database, open_keyspace, sync_names};
use self::index::SlotIndex;
pub use self::pinned::FjallPinned;
pub use self::reader::FjallReader;
use self::reader::Generations;
pub use self::reclaim::{FjallReclaimer, Reclaimed};
use self::recover::Found;
use self::staged::Staged;
use self::sweep::{Garbage, SWEEP_RECORDS};
use crate::{Directory, Store, StoreError, Swept};

/// A storage node's state on disk. See the module's picture and `docs/storage.md`.
pub struct FjallStore {
    engine: Arc<Engine>,
    slots: BTreeMap<Slot, SlotIndex>,
    generations: Arc<Generations>,
    staged: Staged,
    /// Slots of which other generations count after the staged group.
    switched: Vec<Slot>,
    garbage: Garbage,
    phase: Phase,
    submitted: Option<Ticket>,
    durable: Option<Ticket>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opened,
    Recovered,
    Poisoned,
}

impl FjallStore {
    /// Opens the store of a directory, creating it if the directory has never had one. Starts fjall's threads.
    ///
    /// # Errors
    /// [`StoreError::Directory`] when the data has gone missing, [`StoreError::Failed`] when fjall cannot open it.
    ///
    /// # Panics
    /// When the directory has no identity yet.
    pub fn open(directory: &mut Directory) -> Result<Self, StoreError> {
        directory.open_data(|path, lock| Self::open_files(path, Some(lock)))
    }

    /// Opens a store in a plain directory: for benchmarks and tests, which need no identity.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when fjall cannot open it.
    pub fn open_unidentified(path: &Path) -> Result<Self, StoreError> {
        Self::open_files(path, None)
    }

    fn open_files(path: &Path, lock: Option<Arc<File>>) -> Result<Self, StoreError> {
        let engine = Arc::new(Engine::open(path, lock)?);
        Ok(Self {
            engine,
            slots: BTreeMap::new(),
            generations: Arc::default(),
            staged: Staged::default(),
            switched: Vec::new(),
            garbage: Garbage::default(),
            phase: Phase::Opened,
            submitted: None,
            durable: None,
        })
    }

    /// Runs `attempt` unless an earlier one failed; a failure is the last (D1).
    fn unless_poisoned<T>(&mut self, attempt: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match self.phase {
            Phase::Opened => panic!("recover comes before submit and sync"),
            Phase::Recovered => attempt(self).inspect_err(|_| self.phase = Phase::Poisoned),
            Phase::Poisoned => Err(StoreError::Poisoned),
        }
    }

    fn index(&mut self, slot: Slot) -> &mut SlotIndex {
        self.slots.entry(slot).or_default()
    }
}

impl Store for FjallStore {
    type Reader = FjallReader;

    fn recover(&mut self) -> Result<Vec<Recovered>, StoreError> {
        assert_eq!(self.phase, Phase::Opened, "recover comes first, and once");
        self.phase = Phase::Poisoned;
        let Found { recovered, slots, garbage } = recover::recover(&self.engine)?;
        self.generations.publish(slots.iter().map(|(&slot, index)| (slot, index.shown())));
        (self.slots, self.garbage) = (slots, garbage);
        self.phase = Phase::Recovered;
        Ok(recovered)
    }

    fn submit(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.unless_poisoned(|store| {
            let Batch { ticket, slot, writes } = batch;
            assert!(store.submitted < Some(ticket), "tickets run upwards: {ticket} after {:?}", store.submitted);
            store.submitted = Some(ticket);
            writes.into_iter().try_for_each(|write| store.write(slot, write))
        })
    }

    fn sync(&mut self) -> Result<Option<Ticket>, StoreError> {
        self.unless_poisoned(|store| {
            if !store.staged.is_empty() {
                // As much as is written: so what is left behind does not grow faster than it goes.
                let records = store.staged.len().max(SWEEP_RECORDS);
                store.garbage.sweep(&store.engine, &mut store.staged, records)?;
                store.engine.commit(&mut store.staged)?;
                store.generations.publish(store.switched.drain(..).map(|slot| (slot, store.slots[&slot].shown())));
                store.garbage.synced();
            }
            store.durable = store.submitted;
            Ok(store.durable)
        })
    }

    fn sweep(&mut self) -> Result<Swept, StoreError> {
        self.unless_poisoned(|store| {
            let mut removed = Staged::default();
            store.garbage.sweep(&store.engine, &mut removed, SWEEP_RECORDS)?;
            store.engine.commit(&mut removed)?;
            Ok(if store.garbage.is_empty() { Swept::All } else { Swept::Partly })
        })
    }

    fn reader(&self) -> FjallReader {
        FjallReader::new(self.engine.clone(), self.generations.clone())
    }
}
