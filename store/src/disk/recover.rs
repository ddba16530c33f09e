//! What is found on disk at the start.

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::{Chain, Entry, EntryId, Operation, Recovered, Slot};
use fjall::{Guard, Slice};

use super::engine::Engine;
use super::frame::{Fields, corrupt, open};
use super::index::{Logged, SlotIndex};
use super::keys::{Aspect, Space, parse_position_key, parse_slot_key};
use super::reader::open_value;
use super::record::{LogRecord, LoggedOperation, Placement, TrimRecord, parse_chain};
use super::staged::Staged;
use crate::{Damage, StoreError};

/// A slot as it is being read.
#[derive(Default)]
struct Slots(BTreeMap<Slot, Found>);

#[derive(Default)]
struct Found {
    chain: Option<Chain>,
    trim: TrimRecord,
    log: Vec<Entry>,
    /// An entry did not follow on the one before it: it and all later ones go.
    broken: bool,
}

impl Found {
    fn is_empty(&self) -> bool {
        self.chain.is_none() && self.trim == TrimRecord::default() && self.log.is_empty()
    }

    fn last(&self) -> EntryId {
        self.log.last().map_or(self.trim.trim, |entry| entry.id)
    }
}

/// Syncs, reads all slots, removes what is not linked, and tells what the writer must remember.
pub(super) fn recover(engine: &Engine) -> Result<(Vec<Recovered>, BTreeMap<Slot, SlotIndex>), StoreError> {
    engine.sync_existing()?;
    let mut slots = Slots::default();
    let mut removed = Staged::default();
    for record in engine.keyspace(Space::Slots).iter() {
        slots.read_slot(record)?;
    }
    for record in engine.keyspace(Space::Log).iter() {
        slots.read_entry(engine, record, &mut removed)?;
    }
    engine.commit(&mut removed)?;
    slots.0.retain(|_, found| !found.is_empty());
    let index = slots.0.iter().map(|(&slot, found)| (slot, index(slot, found))).collect();
    let recovered = slots.0.into_iter().map(|(slot, found)| Recovered {
        slot,
        chain: found.chain,
        trim: found.trim.trim,
        trim_at: found.trim.at,
        log: found.log,
    });
    Ok((recovered.collect(), index))
}

fn index(slot: Slot, found: &Found) -> SlotIndex {
    let mut index = SlotIndex::new(found.trim);
    for entry in &found.log {
        index.append(slot, entry.id, Logged::of(entry));
    }
    index
}

impl Slots {
    fn read_slot(&mut self, record: Guard) -> Result<(), StoreError> {
        let (key, record) = read(record)?;
        let damaged = |damage| corrupt(Space::Slots, &key, damage);
        let body = open(Space::Slots, &key, &record)?;
        let (slot, aspect) = parse_slot_key(&key).ok_or_else(|| damaged(Damage::Malformed("key")))?;
        let found = self.0.entry(slot).or_default();
        match aspect {
            Aspect::Chain => {
                let mut fields = Fields(body);
                found.chain = Some(parse_chain(slot, &mut fields).map_err(damaged)?);
                fields.end().map_err(damaged)?;
            }
            Aspect::Trim => found.trim = TrimRecord::parse(body).map_err(damaged)?,
        }
        Ok(())
    }

    /// Log records come slot by slot, in the order of their seqs.
    fn read_entry(&mut self, engine: &Engine, record: Guard, removed: &mut Staged) -> Result<(), StoreError> {
        let (key, record) = read(record)?;
        let damaged = |damage| corrupt(Space::Log, &key, damage);
        let body = open(Space::Log, &key, &record)?;
        let (slot, seq) = parse_position_key(&key).ok_or_else(|| damaged(Damage::Malformed("key")))?;
        let record = LogRecord::parse(body).map_err(damaged)?;
        let found = self.0.entry(slot).or_default();
        let id = EntryId { version: record.version, seq };
        let previous = EntryId { version: record.previous, seq: catena_core::Seq(seq.0 - 1) };
        found.broken |= previous != found.last();
        if !found.broken {
            let operation = operation(engine, &key, record.operation)?;
            found.log.push(Entry { id, previous: record.previous, at: record.at, operation });
            return Ok(());
        }
        // At or below the trim point a value is no longer the log's: an object may refer to it.
        if seq > found.trim.trim.seq && record.operation.placement() == Placement::Apart {
            removed.remove(Space::Values, key.clone());
        }
        removed.remove(Space::Log, key);
        Ok(())
    }
}

fn read(record: Guard) -> Result<(Slice, Slice), StoreError> {
    record.into_inner().map_err(|error| StoreError::failed("read the log", error))
}

fn operation(engine: &Engine, key: &[u8], logged: LoggedOperation) -> Result<Operation, StoreError> {
    Ok(match logged {
        LoggedOperation::Put { key, value, created_at } => Operation::Put { key, value, created_at },
        LoggedOperation::PutApart { key: object, created_at } => {
            Operation::Put { key: object, value: value(engine, key)?, created_at }
        }
        LoggedOperation::Delete { key } => Operation::Delete { key },
    })
}

fn value(engine: &Engine, key: &[u8]) -> Result<Bytes, StoreError> {
    let record = engine.get(Space::Values, key)?;
    open_value(key, record.ok_or_else(|| corrupt(Space::Values, key, Damage::Missing))?)
}
