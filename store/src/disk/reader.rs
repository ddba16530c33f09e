//! Reads of objects, while the writer goes on.

use std::sync::Arc;

use bytes::Bytes;
use catena_core::{Metadata, Object, Slot};
use fjall::{Readable, Slice};

use super::engine::Engine;
use super::frame::{CHECKSUM_BYTES, corrupt, open};
use super::keys::{Space, object_key, position_key};
use super::record::ObjectRecord;
use crate::{Damage, Reader, StoreError};

/// Reads a [`FjallStore`](crate::FjallStore), also from other threads. Keeps its files open.
#[derive(Clone)]
pub struct FjallReader {
    engine: Arc<Engine>,
}

impl FjallReader {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    /// An object whose value is apart takes two lookups. An overwrite between them removes the value: so where it is missing,
    /// both are done again at one point in time.
    fn get_in_snapshot(&self, slot: Slot, key: &[u8]) -> Result<Option<Object>, StoreError> {
        let snapshot = self.engine.snapshot();
        let get = |space, key: &[u8]| {
            snapshot.get(self.engine.keyspace(space), key).map_err(|error| StoreError::failed("read a record", error))
        };
        let Some(record) = get(Space::Objects, key)? else { return Ok(None) };
        let object = parse_object(key, &record)?;
        if object.value.is_some() {
            return Ok(Some(inline(&object)));
        }
        let value_key = position_key(slot, object.metadata.version);
        let value = get(Space::Values, &value_key)?.ok_or_else(|| corrupt(Space::Values, &value_key, Damage::Missing))?;
        Ok(Some(Object { value: open_value(&value_key, value)?, metadata: object.metadata }))
    }
}

impl Reader for FjallReader {
    fn get(&self, slot: Slot, key: &[u8]) -> Result<Option<Object>, StoreError> {
        let key = object_key(slot, key);
        let Some(record) = self.engine.get(Space::Objects, &key)? else { return Ok(None) };
        let object = parse_object(&key, &record)?;
        if object.value.is_some() {
            return Ok(Some(inline(&object)));
        }
        let value_key = position_key(slot, object.metadata.version);
        match self.engine.get(Space::Values, &value_key)? {
            Some(value) => Ok(Some(Object { value: open_value(&value_key, value)?, metadata: object.metadata })),
            None => self.get_in_snapshot(slot, &key),
        }
    }

    fn metadata(&self, slot: Slot, key: &[u8]) -> Result<Option<Metadata>, StoreError> {
        let key = object_key(slot, key);
        let Some(record) = self.engine.get(Space::Objects, &key)? else { return Ok(None) };
        Ok(Some(parse_object(&key, &record)?.metadata))
    }
}

pub(super) fn parse_object<'a>(key: &[u8], record: &'a [u8]) -> Result<ObjectRecord<'a>, StoreError> {
    let body = open(Space::Objects, key, record)?;
    ObjectRecord::parse(body).map_err(|damage| corrupt(Space::Objects, key, damage))
}

/// Copies the value: small, and its record shares a block with others.
fn inline(object: &ObjectRecord<'_>) -> Object {
    Object { value: Bytes::copy_from_slice(object.value.unwrap_or_default()), metadata: object.metadata }
}

/// The value of a record in `values`, without a copy.
pub(super) fn open_value(key: &[u8], record: Slice) -> Result<Bytes, StoreError> {
    let body = open(Space::Values, key, &record)?;
    let (start, end) = (record.len() - body.len() - CHECKSUM_BYTES, record.len() - CHECKSUM_BYTES);
    Ok(Bytes::from_owner(record).slice(start..end))
}
