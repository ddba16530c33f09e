//! The coordinator's state on disk, in fjall.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use catena_core::{ChainVersion, Change, ClusterConfig, Epoch, Leadership, Record};
use fjall::{Database, Keyspace, PersistMode};

use super::record::{
    CLUSTER_KEY, LEADERSHIP_KEY, chain_key, change_key, parse_change, parse_cluster, parse_leadership, put_change, put_cluster,
    put_leadership,
};
use super::{ConfigError, ConfigStore, next_beat, next_epoch, require_leader, require_succession, require_unchanged};
use crate::disk::frame::{corrupt, open, seal_into};
use crate::disk::keys::Space;
use crate::disk::{group, open_database, open_keyspace, sync_names};
use crate::{Directory, StoreError};

/// A coordinator's state on disk: one keyspace, one record a node and one a slot. Its directory is locked, so that no other
/// coordinator can use it.
pub struct FjallConfigStore {
    database: Database,
    config: Keyspace,
    poisoned: Poisoned,
    /// Released last: until the files are closed nobody else may open them.
    _lock: Option<Arc<File>>,
}

/// Whether a write or a sync has failed (D1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poisoned {
    No,
    Yes,
}

impl FjallConfigStore {
    /// Opens the store of a coordinator's directory, creating it if the directory has never had one, and syncs what an earlier
    /// process may have left unsynced.
    ///
    /// # Errors
    /// [`StoreError::Directory`] when the data has gone missing, [`StoreError::Failed`] when fjall cannot open or sync it.
    ///
    /// # Panics
    /// When the directory has no identity yet.
    pub fn open(directory: &mut Directory) -> Result<Self, StoreError> {
        directory.open_data(|path, lock| Self::open_files(path, Some(lock)))
    }

    /// Opens a store in a plain directory: for benchmarks and tests, which need no identity.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when fjall cannot open or sync it.
    pub fn open_unidentified(path: &Path) -> Result<Self, StoreError> {
        Self::open_files(path, None)
    }

    fn open_files(path: &Path, lock: Option<Arc<File>>) -> Result<Self, StoreError> {
        let database = open_database(path)?;
        let config = open_keyspace(&database, Space::Config)?;
        sync_names(path)?;
        database.persist(PersistMode::SyncAll).map_err(|error| StoreError::failed("sync", error))?;
        Ok(Self { database, config, poisoned: Poisoned::No, _lock: lock })
    }

    fn get<T>(&self, key: &[u8], parse: impl FnOnce(&[u8]) -> Result<T, crate::Damage>) -> Result<Option<T>, StoreError> {
        let record = self.config.get(key).map_err(|error| StoreError::failed("read a record", error))?;
        let Some(record) = record else { return Ok(None) };
        let body = open(Space::Config, key, &record)?;
        parse(body).map(Some).map_err(|damage| corrupt(Space::Config, key, damage))
    }

    /// The last record of every node and slot, in the order in which they were decided.
    fn load(&self) -> Result<Vec<Change>, StoreError> {
        let mut changes = Vec::new();
        for record in self.config.iter() {
            let (key, record) = record.into_inner().map_err(|error| StoreError::failed("read the configuration", error))?;
            if [CLUSTER_KEY, LEADERSHIP_KEY].contains(&&*key) {
                continue;
            }
            let body = open(Space::Config, &key, &record)?;
            changes.push(parse_change(&key, body).map_err(|damage| corrupt(Space::Config, &key, damage))?);
        }
        changes.sort_by_key(|change| change.revision);
        Ok(changes)
    }

    fn store_leadership(&mut self, leadership: Leadership) -> Result<Leadership, StoreError> {
        let record = sealed(LEADERSHIP_KEY, |out| put_leadership(out, leadership));
        self.write(BTreeMap::from([(LEADERSHIP_KEY.to_vec(), record)]))?;
        Ok(leadership)
    }

    /// Writes records in one piece and syncs them.
    fn write(&mut self, records: BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), StoreError> {
        if self.poisoned == Poisoned::Yes {
            return Err(StoreError::Poisoned);
        }
        let mut batch = group(&self.database);
        for (key, record) in records {
            batch.insert(&self.config, key, record);
        }
        batch.commit().map_err(|error| {
            self.poisoned = Poisoned::Yes;
            StoreError::failed("write and sync", error)
        })
    }
}

impl ConfigStore for FjallConfigStore {
    fn cluster(&mut self) -> Result<Option<ClusterConfig>, ConfigError> {
        Ok(self.get(CLUSTER_KEY, parse_cluster)?)
    }

    fn establish(&mut self, given: &ClusterConfig) -> Result<(), ConfigError> {
        if let Some(stored) = self.cluster()? {
            return require_unchanged(&stored, given);
        }
        let record = sealed(CLUSTER_KEY, |out| put_cluster(out, given));
        Ok(self.write(BTreeMap::from([(CLUSTER_KEY.to_vec(), record)]))?)
    }

    fn observe(&mut self) -> Result<Leadership, ConfigError> {
        Ok(self.get(LEADERSHIP_KEY, parse_leadership)?.unwrap_or_default())
    }

    fn lead(&mut self, over: Leadership) -> Result<Option<(Leadership, Vec<Change>)>, ConfigError> {
        if self.observe()? != over {
            return Ok(None);
        }
        let stored = self.load()?;
        let leadership = self.store_leadership(next_epoch(over))?;
        Ok(Some((leadership, stored)))
    }

    fn renew(&mut self, current: Leadership) -> Result<Option<Leadership>, ConfigError> {
        if self.observe()? != current {
            return Ok(None);
        }
        Ok(Some(self.store_leadership(next_beat(current))?))
    }

    fn commit(&mut self, epoch: Epoch, changes: &[Change]) -> Result<(), ConfigError> {
        require_leader(self.observe()?.epoch, epoch)?;
        require_succession(changes, |slot| {
            let key = chain_key(slot);
            let stored = self.get(&key, |body| parse_change(&key, body))?;
            Ok(match stored.map(|change| change.record) {
                Some(Record::Chain(chain)) => chain.version,
                Some(Record::Node(_)) | None => ChainVersion::default(),
            })
        })?;
        // A later change of the same record takes its place: in one batch a key may occur once.
        let mut records = BTreeMap::new();
        for change in changes {
            let key = change_key(&change.record);
            let record = sealed(&key, |out| put_change(out, change));
            records.insert(key, record);
        }
        Ok(self.write(records)?)
    }
}

fn sealed(key: &[u8], body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut record = Vec::new();
    seal_into(&mut record, Space::Config, key, body);
    record
}
