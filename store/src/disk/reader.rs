//! Reads of objects, while the writer goes on.

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use catena_core::{Entry, Metadata, Object, Seq, Slot};
use fjall::{Readable, Slice, Snapshot};
use lsm_tree::{AbstractTree as _, Guard as _, IterGuardImpl};

use super::engine::Engine;
use super::frame::{CHECKSUM_BYTES, corrupt, open};
use super::keys::{Aspect, Generation, Space, object_key, slot_key, value_key};
use super::pinned::FjallPinned;
use super::record::{ObjectRecord, RecordedValue, StateRecord};
use crate::{Damage, Lookup, Reader, StoreError};

/// Which generations of a slot count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) content: Generation,
    /// Of what is spilled, if anything is.
    pub(super) spill: Option<Generation>,
}

/// Which generations of each slot count; the first alone, where a slot is missing. Written by the store alone, after a sync and
/// before anything of a generation that ended is removed. Behind a lock, as readers are on other threads: it is held for one
/// lookup, and written when a slot is installed or cleared, and when a spill begins or ends.
#[derive(Default)]
pub(super) struct Generations(RwLock<BTreeMap<Slot, Shown>>);

impl Generations {
    pub(super) fn publish(&self, switched: impl IntoIterator<Item = (Slot, Shown)>) {
        self.0.write().expect("nobody panics over a lookup").extend(switched);
    }

    fn get(&self, slot: Slot) -> Shown {
        self.0.read().expect("nobody panics over a lookup").get(&slot).copied().unwrap_or_default()
    }

    fn content(&self, slot: Slot) -> Generation {
        self.get(slot).content
    }
}

/// Reads a [`FjallStore`](crate::FjallStore), also from other threads. Keeps its files open.
#[derive(Clone)]
pub struct FjallReader {
    engine: Arc<Engine>,
    generations: Arc<Generations>,
}

/// What a few lookups, one after the other, say of an object.
enum Glance {
    /// It is so.
    Seen(Lookup),
    /// The writer has come between them: has removed the value, or given the slot another generation. It has to be looked up
    /// at one point in time.
    Disturbed,
}

impl FjallReader {
    pub(super) fn new(engine: Arc<Engine>, generations: Arc<Generations>) -> Self {
        Self { engine, generations }
    }

    /// The store as it stands now.
    pub(super) fn moment(&self) -> Moment {
        Moment { snapshot: self.engine.snapshot(), engine: self.engine.clone() }
    }

    /// The object, in as few lookups as may be.
    fn get_quickly(&self, slot: Slot, asked: &[u8], wanted: &mut dyn FnMut(usize) -> bool) -> Result<Glance, StoreError> {
        let generation = self.generations.content(slot);
        let key = object_key(slot, generation, asked);
        let record = self.engine.get(Space::Objects, &key)?;
        let object = record.as_ref().map(|record| parse_object(&key, record)).transpose()?;
        let lookup = match object {
            object if !wanted(object.as_ref().map_or(0, |object| object.value.len())) => Lookup::Unwanted,
            None => Lookup::Found(None),
            Some(ObjectRecord { metadata, value }) => {
                let value = match value {
                    RecordedValue::Inline(value) => Bytes::copy_from_slice(value),
                    RecordedValue::Apart { .. } => {
                        let place = value_key(slot, generation, asked, metadata.version);
                        let Some(value) = self.engine.get(Space::Values, &place)? else { return Ok(Glance::Disturbed) };
                        open_value(&place, value)?
                    }
                };
                Lookup::Found(Some(Object { value, metadata }))
            }
        };
        Ok(if self.generations.content(slot) == generation { Glance::Seen(lookup) } else { Glance::Disturbed })
    }
}

impl Reader for FjallReader {
    type Pinned = FjallPinned;

    fn get_if(&self, slot: Slot, key: &[u8], wanted: &mut dyn FnMut(usize) -> bool) -> Result<Lookup, StoreError> {
        match self.get_quickly(slot, key, wanted)? {
            Glance::Seen(lookup) => Ok(lookup),
            Glance::Disturbed => self.moment().object(slot, key, wanted),
        }
    }

    fn metadata(&self, slot: Slot, key: &[u8]) -> Result<Option<Metadata>, StoreError> {
        let generation = self.generations.content(slot);
        let full = object_key(slot, generation, key);
        let record = self.engine.get(Space::Objects, &full)?;
        if self.generations.content(slot) != generation {
            return self.moment().metadata(slot, key);
        }
        record.map(|record| Ok(parse_object(&full, &record)?.metadata)).transpose()
    }

    fn pin(&self, slot: Slot) -> Result<FjallPinned, StoreError> {
        let moment = self.moment();
        let state = moment.state(slot)?;
        Ok(FjallPinned::new(self.engine.clone(), moment, slot, state))
    }

    fn spilled(&self, slot: Slot, after: Seq, bytes: usize) -> Result<Vec<Entry>, StoreError> {
        // Before the moment: it has all that was spilled by then, but for what is swept since.
        let Some(generation) = self.generations.get(slot).spill else { return Ok(Vec::new()) };
        self.moment().spilled(slot, generation, after, bytes)
    }
}

/// Keys and records in order, as of the moment that they were asked of, which may end before.
pub(super) struct Records(Box<dyn Iterator<Item = IterGuardImpl> + Send>);

impl Records {
    /// The next key, and its record if it is `key`: another one is not loaded.
    pub(super) fn next_at(&mut self, key: &[u8]) -> Option<Result<(Slice, Option<Slice>), StoreError>> {
        let record = self.0.next()?;
        Some(record.into_inner_if(|found| **found == *key).map_err(unreadable))
    }
}

impl Iterator for Records {
    type Item = Result<(Slice, Slice), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.0.next()?;
        Some(record.into_inner().map_err(unreadable))
    }
}

fn unreadable(error: lsm_tree::Error) -> StoreError {
    StoreError::failed("read a range of records", error)
}

/// The store as it stood after some commit, all keyspaces alike.
pub(super) struct Moment {
    snapshot: Snapshot,
    engine: Arc<Engine>,
}

impl Moment {
    pub(super) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Slice>, StoreError> {
        let record = self.snapshot.get(self.engine.keyspace(space), key);
        record.map_err(|error| StoreError::failed("read a record", error))
    }

    /// Keys and records in order. The tree is asked itself: an iterator of fjall's would keep the snapshot. What the snapshot
    /// keeps alive while it begins, it holds itself from then on: tables, value files and the memtables of this moment.
    pub(super) fn range(&self, space: Space, range: impl RangeBounds<Vec<u8>>) -> Records {
        Records(self.engine.keyspace(space).tree.range(range, self.snapshot.seqno(), None))
    }

    pub(super) fn state(&self, slot: Slot) -> Result<StateRecord, StoreError> {
        let key = slot_key(slot, Aspect::State);
        let Some(record) = self.get(Space::Slots, &key)? else { return Ok(StateRecord::default()) };
        let body = open(Space::Slots, &key, &record)?;
        StateRecord::parse(body).map_err(|damage| corrupt(Space::Slots, &key, damage))
    }

    fn object(&self, slot: Slot, key: &[u8], wanted: &mut dyn FnMut(usize) -> bool) -> Result<Lookup, StoreError> {
        let generation = self.state(slot)?.generation;
        let full = object_key(slot, generation, key);
        let record = self.get(Space::Objects, &full)?;
        let object = record.as_ref().map(|record| parse_object(&full, record)).transpose()?;
        if !wanted(object.as_ref().map_or(0, |object| object.value.len())) {
            return Ok(Lookup::Unwanted);
        }
        let Some(ObjectRecord { metadata, value }) = object else { return Ok(Lookup::Found(None)) };
        let value = match value {
            RecordedValue::Inline(value) => Bytes::copy_from_slice(value),
            RecordedValue::Apart { .. } => {
                let place = value_key(slot, generation, key, metadata.version);
                open_value_apart(&place, self.get(Space::Values, &place)?)?
            }
        };
        Ok(Lookup::Found(Some(Object { value, metadata })))
    }

    fn metadata(&self, slot: Slot, key: &[u8]) -> Result<Option<Metadata>, StoreError> {
        let full = object_key(slot, self.state(slot)?.generation, key);
        let Some(record) = self.get(Space::Objects, &full)? else { return Ok(None) };
        Ok(Some(parse_object(&full, &record)?.metadata))
    }
}

pub(super) fn parse_object<'a>(key: &[u8], record: &'a [u8]) -> Result<ObjectRecord<'a>, StoreError> {
    let body = open(Space::Objects, key, record)?;
    ObjectRecord::parse(body).map_err(|damage| corrupt(Space::Objects, key, damage))
}

/// The value that another record refers to.
pub(super) fn open_value_apart(key: &[u8], record: Option<Slice>) -> Result<Bytes, StoreError> {
    open_value(key, record.ok_or_else(|| corrupt(Space::Values, key, Damage::Missing))?)
}

/// The value of a record in `values`, without a copy.
pub(super) fn open_value(key: &[u8], record: Slice) -> Result<Bytes, StoreError> {
    let body = open(Space::Values, key, &record)?;
    let (start, end) = (record.len() - body.len() - CHECKSUM_BYTES, record.len() - CHECKSUM_BYTES);
    Ok(Bytes::from_owner(record).slice(start..end))
}
