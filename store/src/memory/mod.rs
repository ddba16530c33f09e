//! A store in memory, for simulated nodes: durable is what was synced, the rest may be lost.

mod pinned;
mod staging;
mod state;

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use catena_core::{Batch, Entry, EntryId, Metadata, Object, Recovered, Seq, Session, Slot, Ticket, mutant};

pub use self::pinned::MemoryPinned;
use self::staging::Unsynced;
use self::state::State;
use crate::{Lookup, Reader, Store, StoreError, Swept};

/// A simulated disk. Clones are the same disk: it outlives the process that opened it, and a test that holds a clone
/// can pull the plug.
///
/// It is behind a lock because its writer, its readers and the test live in different tasks or threads, as the page
/// cache of a real disk does; the lock is held for one call at a time and never across another.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    /// All that is synced.
    durable: State,
    /// Submitted and not synced, in order: what a page cache holds.
    unsynced: Vec<Unsynced>,
    fail_next_sync: bool,
}

impl MemoryDisk {
    /// Opens the disk for a new process. The one before must have ended.
    pub fn open(&self) -> MemoryStore {
        MemoryStore { disk: self.clone(), phase: Phase::Opened, submitted: None, durable: None }
    }

    /// The power fails: each unsynced batch is lost, whole, where `lose` says so, and is on the disk otherwise.
    /// A batch that applies entries behind lost ones, or goes on with a snapshot of which parts are lost, is lost with them:
    /// what a disk has is linked.
    pub fn crash(&self, mut lose: impl FnMut() -> bool) {
        let mut guard = self.lock();
        let content = &mut *guard;
        for unsynced in content.unsynced.drain(..) {
            if !lose() {
                content.durable.salvage(unsynced);
                continue;
            }
            if mutant!(PartialSnapshotInstalled) {
                content.durable.keep_names_of_lost_parts(unsynced.batch.clone());
            }
            if mutant!(ApplyTorn) {
                content.durable.keep_trim_of_lost_applies(unsynced.batch);
            }
        }
        content.fail_next_sync = false;
    }

    /// Makes the next sync fail (D1): nothing of what it covers becomes durable.
    pub fn fail_next_sync(&self) {
        self.lock().fail_next_sync = true;
    }

    /// How many batches would be at stake in a crash.
    pub fn unsynced(&self) -> usize {
        self.lock().unsynced.len()
    }

    /// Everything durable in a slot, in key order, and the entry it stands at: to compare replicas with.
    pub fn objects(&self, slot: Slot) -> (EntryId, Vec<(Bytes, Object)>) {
        let applied = self.lock().durable.applied(slot);
        (applied.trim, applied.objects.iter().map(|(key, object)| (key.clone(), object.clone())).collect())
    }

    /// Every durable session of a slot, by name.
    pub fn sessions(&self, slot: Slot) -> Vec<(Seq, Session)> {
        let applied = self.lock().durable.applied(slot);
        applied.sessions.iter().map(|(&name, session)| (name, session.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("a panic inside the disk ends the simulation")
    }
}

/// A process's handle on a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryStore {
    disk: MemoryDisk,
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

impl MemoryStore {
    /// A store on an empty disk of its own.
    pub fn new() -> Self {
        MemoryDisk::default().open()
    }

    /// The disk, which stays when the process goes.
    pub fn disk(&self) -> &MemoryDisk {
        &self.disk
    }

    /// The power fails, see [`MemoryDisk::crash`]. Call `recover` next.
    pub fn crash(&mut self, lose: impl FnMut() -> bool) {
        self.disk.crash(lose);
        self.kill();
    }

    /// The process dies and the machine goes on: all submitted batches survive in the page cache, not
    /// durable until the next `recover` has synced them. Call `recover` next.
    pub fn kill(&mut self) {
        *self = self.disk.open();
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    type Reader = MemoryReader;

    fn recover(&mut self) -> Result<Vec<Recovered>, StoreError> {
        assert_eq!(self.phase, Phase::Opened, "recover comes first, and once");
        let mut guard = self.disk.lock();
        let content = &mut *guard;
        if std::mem::take(&mut content.fail_next_sync) {
            self.phase = Phase::Poisoned;
            return Err(sync_failed());
        }
        content.unsynced.drain(..).for_each(|unsynced| content.durable.salvage(unsynced));
        self.phase = Phase::Recovered;
        Ok(content.durable.recover())
    }

    fn submit(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.check()?;
        assert!(self.submitted < Some(batch.ticket), "tickets run upwards: {} after {:?}", batch.ticket, self.submitted);
        self.submitted = Some(batch.ticket);
        let mut guard = self.disk.lock();
        let Content { durable, unsynced, fail_next_sync: _ } = &mut *guard;
        let behind = Unsynced::new(batch, unsynced, |slot| durable.staged(slot));
        unsynced.push(behind);
        Ok(())
    }

    fn sync(&mut self) -> Result<Option<Ticket>, StoreError> {
        self.check()?;
        let mut guard = self.disk.lock();
        let content = &mut *guard;
        if std::mem::take(&mut content.fail_next_sync) {
            self.phase = Phase::Poisoned;
            return Err(sync_failed());
        }
        for unsynced in content.unsynced.drain(..) {
            content.durable.write(unsynced.batch);
        }
        self.durable = self.submitted;
        Ok(self.durable)
    }

    fn sweep(&mut self) -> Result<Swept, StoreError> {
        self.check()?;
        Ok(Swept::All)
    }

    fn reader(&self) -> MemoryReader {
        MemoryReader { disk: self.disk.clone() }
    }
}

impl MemoryStore {
    fn check(&self) -> Result<(), StoreError> {
        match self.phase {
            Phase::Opened => panic!("recover comes before submit and sync"),
            Phase::Recovered => Ok(()),
            Phase::Poisoned => Err(StoreError::Poisoned),
        }
    }
}

fn sync_failed() -> StoreError {
    StoreError::failed("sync", std::io::Error::other("a planned fault"))
}

/// Reads a [`MemoryDisk`].
#[derive(Clone, Debug)]
pub struct MemoryReader {
    disk: MemoryDisk,
}

impl Reader for MemoryReader {
    type Pinned = MemoryPinned;

    fn get_if(&self, slot: Slot, key: &[u8], wanted: &mut dyn FnMut(usize) -> bool) -> Result<Lookup, StoreError> {
        let object = self.disk.lock().durable.get(slot, key).cloned();
        let wanted = wanted(object.as_ref().map_or(0, |object| object.value.len()));
        Ok(if wanted { Lookup::Found(object) } else { Lookup::Unwanted })
    }

    fn metadata(&self, slot: Slot, key: &[u8]) -> Result<Option<Metadata>, StoreError> {
        Ok(self.disk.lock().durable.get(slot, key).map(|object| object.metadata))
    }

    fn pin(&self, slot: Slot) -> Result<MemoryPinned, StoreError> {
        Ok(MemoryPinned::new(self.disk.clone(), slot))
    }

    fn spilled(&self, slot: Slot, after: Seq, bytes: usize) -> Result<Vec<Entry>, StoreError> {
        Ok(self.disk.lock().durable.spilled(slot, after, bytes))
    }
}
