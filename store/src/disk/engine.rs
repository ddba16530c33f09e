//! fjall, with the settings that fit a node which shares its machine.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use catena_core::Slot;
use fjall::config::CompressionPolicy;
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, OwnedWriteBatch, PersistMode, Slice,
    Snapshot,
};

use super::frame::corrupt;
use super::journal::cut_torn_batch;
use super::keys::{Generation, Space, generations_range, parse_generation};
use super::staged::Staged;
use crate::{Damage, StoreError};

const MIB: u64 = 1 << 20;

/// Blocks of tables kept in memory.
const CACHE_BYTES: u64 = 64 * MIB;
/// Journals beyond this are freed by flushing what holds them. Bounds the replay at the next start.
const JOURNALS_BYTES: u64 = 256 * MIB;
/// Threads for flushes and compactions. One: of several, fjall keeps the first free for flushes, and that one spins
/// while compactions wait. While a compaction runs, memory takes up to four memtables a keyspace.
const WORKERS: usize = 1;

/// How many bytes of a keyspace are written to memory before they go to a table. fjall stops writes at four
/// that wait to be flushed, so a keyspace may have five in memory.
fn memtable_bytes(space: Space) -> u64 {
    match space {
        // Entries, but for those spilled, live for a fraction of a second: a flush writes little more than tombstones. Small, for
        // the processor's caches.
        Space::Log => 8 * MIB,
        Space::Objects | Space::Values => 32 * MIB,
        Space::Sessions => 16 * MIB,
        Space::Slots | Space::Config => 4 * MIB,
    }
}

pub(super) struct Engine {
    database: Database,
    slots: Keyspace,
    log: Keyspace,
    objects: Keyspace,
    sessions: Keyspace,
    values: Keyspace,
    /// Groups. fjall's own count grows with compactions, too.
    written: AtomicU64,
    /// Released last: until the files are closed nobody else may open them.
    _lock: Option<Arc<File>>,
}

pub(crate) fn open_database(path: &Path) -> Result<Database, StoreError> {
    if path.exists() {
        // Names that a killed process has changed and not synced: fjall removes the files that they led to before.
        sync_names(path)?;
    }
    cut_torn_batch(path)?;
    Database::builder(path)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNALS_BYTES)
        .worker_threads(WORKERS)
        .manual_journal_persist(true)
        .journal_compression(CompressionType::None)
        .open()
        .map_err(|error| StoreError::failed("open the store", error))
}

pub(crate) fn open_keyspace(database: &Database, space: Space) -> Result<Keyspace, StoreError> {
    let options = || {
        let options = KeyspaceCreateOptions::default()
            .manual_journal_persist(true)
            .max_memtable_size(memtable_bytes(space))
            .data_block_compression_policy(CompressionPolicy::disabled());
        match space {
            // Compaction moves references, not values.
            Space::Values => options.with_kv_separation(Some(
                KvSeparationOptions::default().compression(CompressionType::None).separation_threshold(0),
            )),
            Space::Slots | Space::Log | Space::Objects | Space::Sessions | Space::Config => options,
        }
    };
    database.keyspace(space.name(), options).map_err(|error| StoreError::failed("open a keyspace", error))
}

/// What is written in one piece and synced. Nothing is written otherwise: the last group alone may be torn (`journal`).
pub(crate) fn group(database: &Database) -> OwnedWriteBatch {
    database.batch().durability(Some(PersistMode::SyncData))
}

/// Makes the names of all files and directories safe: fjall syncs what is in a new keyspace, and not the name of the keyspace.
pub(crate) fn sync_names(path: &Path) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| StoreError::failed("sync the directories", error);
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            sync_names(&entry.path())?;
        }
    }
    File::open(path).and_then(|directory| directory.sync_all()).map_err(failed)
}

impl Engine {
    pub(super) fn open(path: &Path, lock: Option<Arc<File>>) -> Result<Self, StoreError> {
        let database = open_database(path)?;
        let keyspace = |space| open_keyspace(&database, space);
        let engine = Self {
            slots: keyspace(Space::Slots)?,
            log: keyspace(Space::Log)?,
            objects: keyspace(Space::Objects)?,
            sessions: keyspace(Space::Sessions)?,
            values: keyspace(Space::Values)?,
            database,
            written: AtomicU64::new(0),
            _lock: lock,
        };
        sync_names(path)?;
        Ok(engine)
    }

    /// Grows with every group that is written.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(super) fn keyspace(&self, space: Space) -> &Keyspace {
        match space {
            Space::Slots => &self.slots,
            Space::Log => &self.log,
            Space::Objects => &self.objects,
            Space::Sessions => &self.sessions,
            Space::Values => &self.values,
            Space::Config => panic!("a node has no config keyspace"),
        }
    }

    pub(super) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Slice>, StoreError> {
        self.keyspace(space).get(key).map_err(|error| StoreError::failed("read a record", error))
    }

    /// The generations that there is anything of. One lookup each, whatever they hold.
    pub(super) fn generations(&self, slot: Slot) -> Result<BTreeSet<Generation>, StoreError> {
        let mut found = BTreeSet::new();
        for space in Space::OF_GENERATIONS {
            let mut from = Generation::default();
            while let Some(record) = self.keyspace(space).range(generations_range(slot, from)).next() {
                let key = record.key().map_err(|error| StoreError::failed("read the keys of a damaged slot", error))?;
                let generation = parse_generation(&key).ok_or_else(|| corrupt(space, &key, Damage::Malformed("key")))?;
                found.insert(generation);
                from = generation.next();
            }
        }
        Ok(found)
    }

    /// The store as it stood after some commit, all keyspaces alike.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.database.snapshot()
    }

    /// Syncs what the process before may have left in the page cache.
    pub(super) fn sync_existing(&self) -> Result<(), StoreError> {
        self.database.persist(PersistMode::SyncAll).map_err(|error| StoreError::failed("sync", error))
    }

    pub(super) fn group(&self) -> OwnedWriteBatch {
        group(&self.database)
    }

    /// Writes the staged changes in one piece and syncs them; then readers see them.
    pub(super) fn commit(&self, staged: &mut Staged) -> Result<(), StoreError> {
        if staged.is_empty() {
            return Ok(());
        }
        let mut batch = self.group();
        for (space, key, record) in staged.drain() {
            match record {
                Some(record) => batch.insert(self.keyspace(space), key, record),
                None => batch.remove(self.keyspace(space), key),
            }
        }
        batch.commit().map_err(|error| StoreError::failed("write and sync", error))?;
        self.written.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
