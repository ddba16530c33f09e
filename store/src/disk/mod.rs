//! The store on disk, in fjall.
//!
//! ```text
//! submit ──► Staged (last write per key) ──► sync: one journal write, one fdatasync ──► memtables, readers
//!    │                                                                                       │
//!    └─ SlotIndex (trim point, shape of the log): what a write must know without reading     └─► tables, in fjall's threads
//! ```
//!
//! A group of batches becomes one fjall batch. In such a batch all items have the same sequence number, so a key may occur
//! once only: `Staged` keeps the last write of each.

mod engine;
pub(crate) mod frame;
mod index;
pub(crate) mod keys;
mod reader;
pub(crate) mod record;
mod recover;
mod staged;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use catena_core::{Batch, Chain, Entry, Metadata, Operation, Recovered, Seq, Slot, Ticket, Write};
use fjall::Slice;

use self::engine::Engine;
pub(crate) use self::engine::{open_database, open_keyspace};
use self::index::{Logged, SlotIndex};
use self::keys::{Aspect, Space, object_key, position_key, slot_key};
pub use self::reader::FjallReader;
use self::record::{ObjectRecord, Placement, put_chain, put_entry};
use self::staged::{Staged, StagedRecord};
use crate::{Directory, Store, StoreError};

/// A storage node's state on disk. See the module's picture and `docs/storage.md`.
pub struct FjallStore {
    engine: Arc<Engine>,
    slots: BTreeMap<Slot, SlotIndex>,
    staged: Staged,
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
        let (slots, staged) = (BTreeMap::new(), Staged::default());
        Ok(Self { engine, slots, staged, phase: Phase::Opened, submitted: None, durable: None })
    }

    /// Runs `attempt` unless an earlier one failed; a failure is the last (D1).
    fn unless_poisoned<T>(&mut self, attempt: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match self.phase {
            Phase::Opened => panic!("recover comes before submit and sync"),
            Phase::Recovered => attempt(self).inspect_err(|_| self.phase = Phase::Poisoned),
            Phase::Poisoned => Err(StoreError::Poisoned),
        }
    }

    fn write(&mut self, slot: Slot, write: Write) -> Result<(), StoreError> {
        match write {
            Write::Chain(chain) => self.adopt(&chain),
            Write::Append(entries) => {
                for entry in &entries {
                    self.append(slot, entry);
                }
            }
            Write::Truncate { last } => self.truncate(slot, last),
            Write::Apply(entries) => {
                for entry in &entries {
                    self.apply(slot, entry)?;
                }
                self.store_trim(slot);
            }
        }
        Ok(())
    }

    fn adopt(&mut self, chain: &Chain) {
        self.staged.put(Space::Slots, slot_key(chain.slot, Aspect::Chain).into(), |out| put_chain(out, chain));
    }

    fn append(&mut self, slot: Slot, entry: &Entry) {
        let key = Slice::from(position_key(slot, entry.id.seq));
        let logged = Logged::of(entry);
        let replaced = self.slots.entry(slot).or_default().append(slot, entry.id, logged);
        if logged.value == Placement::Apart {
            self.stage_value(slot, entry);
        } else if replaced.is_some_and(|replaced| replaced.value == Placement::Apart) {
            self.staged.remove(Space::Values, key.clone());
        }
        self.staged.put(Space::Log, key, |out| put_entry(out, entry));
    }

    fn truncate(&mut self, slot: Slot, last: Seq) {
        let index = self.slots.entry(slot).or_default();
        while let Some((seq, logged)) = index.cut(slot, last) {
            let key = Slice::from(position_key(slot, seq));
            if logged.value == Placement::Apart {
                self.staged.remove(Space::Values, key.clone());
            }
            self.staged.remove(Space::Log, key);
        }
    }

    /// The value of an entry, if apart, changes hands here: from the log record, which goes, to the object record.
    fn apply(&mut self, slot: Slot, entry: &Entry) -> Result<(), StoreError> {
        let key = Slice::from(object_key(slot, entry.operation.key()));
        let index = self.slots.entry(slot).or_default();
        let logged = index.trim(slot, entry);
        if index.trim.apart > 0
            && let Some(owned) = self.value_apart(&key)?
        {
            self.staged.remove(Space::Values, position_key(slot, owned).into());
            self.slots.entry(slot).or_default().trim.apart -= 1;
        }
        if logged.is_some() {
            self.staged.remove(Space::Log, position_key(slot, entry.id.seq).into());
        }
        match &entry.operation {
            Operation::Put { value, created_at, .. } => {
                let metadata = Metadata { version: entry.id.seq, created_at: *created_at, updated_at: entry.at };
                let placement = Placement::of(value);
                if placement == Placement::Apart {
                    self.slots.entry(slot).or_default().trim.apart += 1;
                    if logged.is_none() {
                        self.stage_value(slot, entry);
                    }
                }
                let inline = (placement == Placement::Inline).then_some(&value[..]);
                self.staged.put(Space::Objects, key, |out| ObjectRecord { metadata, value: inline }.put(out));
            }
            Operation::Delete { .. } => self.staged.remove(Space::Objects, key),
        }
        Ok(())
    }

    /// The seq under which the object at `key` has its value apart.
    fn value_apart(&self, key: &Slice) -> Result<Option<Seq>, StoreError> {
        let record = match self.staged.object(key) {
            StagedRecord::Record(staged) => Some(staged.clone()),
            StagedRecord::Removal => None,
            StagedRecord::Nothing => self.engine.get(Space::Objects, key)?,
        };
        let Some(record) = record else { return Ok(None) };
        let object = reader::parse_object(key, &record)?;
        Ok((object.placement() == Placement::Apart).then_some(object.metadata.version))
    }

    fn stage_value(&mut self, slot: Slot, entry: &Entry) {
        if let Operation::Put { value, .. } = &entry.operation {
            let key = position_key(slot, entry.id.seq).into();
            self.staged.put(Space::Values, key, |out| out.extend_from_slice(value));
        }
    }

    fn store_trim(&mut self, slot: Slot) {
        let trim = self.slots.entry(slot).or_default().trim;
        self.staged.put(Space::Slots, slot_key(slot, Aspect::Trim).into(), |out| trim.put(out));
    }
}

impl Store for FjallStore {
    type Reader = FjallReader;

    fn recover(&mut self) -> Result<Vec<Recovered>, StoreError> {
        assert_eq!(self.phase, Phase::Opened, "recover comes first, and once");
        self.phase = Phase::Poisoned;
        let (recovered, slots) = recover::recover(&self.engine)?;
        self.slots = slots;
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
            store.engine.commit(&mut store.staged)?;
            store.durable = store.submitted;
            Ok(store.durable)
        })
    }

    fn reader(&self) -> FjallReader {
        FjallReader::new(self.engine.clone())
    }
}

/// Decodes `data` as every kind of record; for fuzzing. Damaged or not, it must come back.
#[doc(hidden)]
pub fn decode_any_record(data: &[u8]) {
    let _ = record::LogRecord::parse(data);
    let _ = ObjectRecord::parse(data);
    let _ = record::TrimRecord::parse(data);
    let _ = record::parse_chain(Slot(0), &mut frame::Fields(data));
    let _ = frame::open(Space::Log, b"", data);
    crate::config::decode_any_record(data);
}
