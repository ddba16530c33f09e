//! A slot's state at one moment.

use std::sync::Mutex;

use bytes::Bytes;
use catena_core::{EntryId, Object, Seq, Session, Slot, SnapshotEnd};

use fjall::Slice;

use super::frame::{corrupt, open};
use super::keys::{Space, generation_range, object_key, parse_object_key, parse_position_key};
use super::reader::{Moment, Records, parse_object};
use super::record::StateRecord;
use super::session_record::parse_session;
use crate::{Damage, Part, Pinned, StoreError};

/// A slot of a [`FjallStore`](crate::FjallStore), held on to. Keeps its files open, and what is overwritten meanwhile on disk.
pub struct FjallPinned {
    moment: Moment,
    slot: Slot,
    state: StateRecord,
    /// Where the last part has ended. To begin anew costs a look at every version that keys behind it have got since the moment,
    /// so that each part would cost more than the one before. Behind a lock, for whoever reads parts one after the other on
    /// threads that change; it is held while one is read.
    scan: Mutex<Option<Scan>>,
}

/// Objects, read up to somewhere.
struct Scan {
    /// The key of the last one that was given away.
    after: Vec<u8>,
    /// The one behind it, which did not fit.
    held: (Slice, Slice),
    rest: Records,
}

impl FjallPinned {
    pub(super) fn new(moment: Moment, slot: Slot, state: StateRecord) -> Self {
        Self { moment, slot, state, scan: Mutex::new(None) }
    }

    /// The objects behind a key: where the last part has ended, at no cost.
    fn scan_behind(&self, scan: Option<Scan>, after: Option<&[u8]>) -> (Option<(Slice, Slice)>, Records) {
        match scan.filter(|scan| after == Some(&scan.after)) {
            Some(Scan { held, rest, .. }) => (Some(held), rest),
            None => (None, self.moment.range(Space::Objects, generation_range(self.slot, self.state.generation, after))),
        }
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
        let mut scan = self.scan.lock().expect("a panic while reading ends the process");
        let (held, mut rest) = self.scan_behind(scan.take(), after.as_deref());
        let mut held = held.map(Ok);
        let (mut objects, mut last) = (Vec::new(), Vec::new());
        let mut taken = 0;
        while let Some(record) = held.take().or_else(|| rest.next()) {
            let (full, record) = record?;
            let object = parse_object(&full, &record)?;
            let key = parse_object_key(&full).ok_or_else(|| corrupt(Space::Objects, &full, Damage::Malformed("key")))?;
            taken += key.len() + object.value.len();
            if taken > bytes && !objects.is_empty() {
                *scan = Some(Scan { after: last, held: (full, record), rest });
                return Ok(Part { objects, end: None });
            }
            let value = self.moment.value(self.slot, generation, &object)?;
            objects.push((Bytes::copy_from_slice(key), Object { value, metadata: object.metadata }));
            last = full.to_vec();
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
