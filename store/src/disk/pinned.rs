//! A slot's state at one moment.

use bytes::Bytes;
use catena_core::{EntryId, Object, Seq, Session, Slot, SnapshotEnd};

use super::frame::{corrupt, open};
use super::keys::{Space, generation_range, object_key, parse_object_key, parse_position_key};
use super::reader::{Moment, parse_object};
use super::record::StateRecord;
use super::session_record::parse_session;
use crate::{Damage, Part, Pinned, StoreError};

/// A slot of a [`FjallStore`](crate::FjallStore), held on to. Keeps its files open, and what is overwritten meanwhile on disk.
pub struct FjallPinned {
    moment: Moment,
    slot: Slot,
    state: StateRecord,
}

impl FjallPinned {
    pub(super) fn new(moment: Moment, slot: Slot, state: StateRecord) -> Self {
        Self { moment, slot, state }
    }

    /// One object.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Object>, StoreError> {
        let key = object_key(self.slot, self.state.generation, key);
        let Some(record) = self.moment.get(Space::Objects, &key)? else { return Ok(None) };
        let object = parse_object(&key, &record)?;
        let value = self.moment.value(self.slot, self.state.generation, &object)?;
        Ok(Some(Object { value, metadata: object.metadata }))
    }

    fn sessions(&self) -> Result<Vec<(Seq, Session)>, StoreError> {
        let records = self.moment.range(Space::Sessions, generation_range(self.slot, self.state.generation, None));
        let sessions = records.map(|record| {
            let (key, record) = record?;
            read_session(&key, &record)
        });
        sessions.collect()
    }
}

impl Pinned for FjallPinned {
    fn at(&self) -> EntryId {
        self.state.trim
    }

    fn read(&self, after: Option<&[u8]>, bytes: usize) -> Result<Part, StoreError> {
        let generation = self.state.generation;
        let after = after.map(|key| object_key(self.slot, generation, key));
        let mut objects = Vec::new();
        let mut taken = 0;
        for record in self.moment.range(Space::Objects, generation_range(self.slot, generation, after.as_deref())) {
            let (full, record) = record?;
            let object = parse_object(&full, &record)?;
            let key = parse_object_key(&full).ok_or_else(|| corrupt(Space::Objects, &full, Damage::Malformed("key")))?;
            taken += key.len() + object.value.len();
            if taken > bytes && !objects.is_empty() {
                return Ok(Part { objects, end: None });
            }
            let value = self.moment.value(self.slot, generation, &object)?;
            objects.push((Bytes::copy_from_slice(key), Object { value, metadata: object.metadata }));
        }
        Ok(Part { objects, end: Some(SnapshotEnd { at_time: self.state.at, sessions: self.sessions()? }) })
    }
}

/// A session and its name.
pub(super) fn read_session(key: &[u8], record: &[u8]) -> Result<(Seq, Session), StoreError> {
    let damaged = |damage| corrupt(Space::Sessions, key, damage);
    let body = open(Space::Sessions, key, record)?;
    let (_, _, name) = parse_position_key(key).ok_or_else(|| damaged(Damage::Malformed("key")))?;
    Ok((name, parse_session(body).map_err(damaged)?))
}
