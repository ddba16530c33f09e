//! A slot's state at one moment, to be read in parts.
//!
//! A copy may take minutes. A snapshot of fjall's that lives as long has a price: every memtable that is filled meanwhile stays
//! in memory (`docs/storage.md`, Pins). An iterator has none: it holds what there was when it began. So a pin is a snapshot until
//! its first part is read, and from then on one iterator for each keyspace; they go forward only, side by side.

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use catena_core::{EntryId, Object, Seq, Session, Slot, SnapshotEnd};
use fjall::Slice;

use super::engine::Engine;
use super::frame::{corrupt, open};
use super::keys::{Space, generation_range, object_key, parse_object_key, parse_position_key, value_key, values_from};
use super::reader::{Moment, Records, open_value, parse_object};
use super::record::{RecordedValue, StateRecord};
use super::session_record::parse_session;
use crate::parts::{Parts, Place};
use crate::{Damage, Part, Pinned, StoreError};

/// A slot of a [`FjallStore`](crate::FjallStore), held on to. Keeps its files open, and what is overwritten meanwhile on disk.
pub struct FjallPinned {
    at: EntryId,
    /// Behind a lock, for whoever reads parts one after the other on threads that change; it is held while one is read.
    reading: Mutex<Reading>,
    /// Released last: the directory stays locked until the files are closed.
    _engine: Arc<Engine>,
}

struct Reading {
    parts: Parts,
    source: Source,
}

enum Source {
    /// No part is read yet.
    Moment { moment: Moment, slot: Slot, state: StateRecord },
    /// The parts follow one on the other.
    Scan(Scan),
}

impl FjallPinned {
    pub(super) fn new(engine: Arc<Engine>, moment: Moment, slot: Slot, state: StateRecord) -> Self {
        let source = Source::Moment { moment, slot, state };
        Self { at: state.trim, reading: Mutex::new(Reading { parts: Parts::default(), source }), _engine: engine }
    }
}

impl Pinned for FjallPinned {
    fn at(&self) -> EntryId {
        self.at
    }

    fn read(&self, after: Option<&[u8]>, bytes: usize) -> Result<Option<Part>, StoreError> {
        let mut reading = self.reading.lock().expect("a panic while reading ends the process");
        match reading.parts.place(after) {
            Place::Kept(part) => return Ok(Some(part)),
            Place::Passed => return Ok(None),
            Place::Next => {}
        }
        if let Source::Moment { moment, slot, state } = &reading.source {
            reading.source = Source::Scan(Scan::begin(moment, *slot, state, after));
        }
        let Source::Scan(scan) = &mut reading.source else { unreachable!("it has just begun") };
        let part = scan.read(bytes)?;
        reading.parts.keep(after, &part);
        Ok(Some(part))
    }
}

/// What a slot consists of, read up to somewhere.
struct Scan {
    slot: Slot,
    state: StateRecord,
    objects: Records,
    /// The object that did not fit into the last part.
    held: Option<(Slice, Slice)>,
    /// Those apart, if there are any.
    values: Option<Records>,
    sessions: Records,
}

impl Scan {
    fn begin(moment: &Moment, slot: Slot, state: &StateRecord, after: Option<&[u8]>) -> Self {
        let generation = state.generation;
        let all = || generation_range(slot, generation, None);
        let behind = after.map(|after| object_key(slot, generation, after));
        let values = (state.apart > 0).then(|| {
            let (first, end) = all();
            let from = after.map_or(first, |after| Bound::Included(values_from(slot, generation, after)));
            moment.range(Space::Values, (from, end))
        });
        Self {
            slot,
            state: *state,
            objects: moment.range(Space::Objects, generation_range(slot, generation, behind.as_deref())),
            held: None,
            values,
            sessions: moment.range(Space::Sessions, all()),
        }
    }

    fn read(&mut self, bytes: usize) -> Result<Part, StoreError> {
        let (mut objects, mut taken) = (Vec::new(), 0);
        while let Some((full, record)) = self.held.take().map(Ok).or_else(|| self.objects.next()).transpose()? {
            let object = parse_object(&full, &record)?;
            let key = parse_object_key(&full).ok_or_else(|| corrupt(Space::Objects, &full, Damage::Malformed("key")))?;
            taken += key.len() + object.value.len();
            if taken > bytes && !objects.is_empty() {
                self.held = Some((full, record));
                return Ok(Part { objects, end: None });
            }
            let value = match object.value {
                // Copied: it is small, and its record shares a block with others.
                RecordedValue::Inline(value) => Bytes::copy_from_slice(value),
                RecordedValue::Apart { .. } => self.value(key, object.metadata.version)?,
            };
            objects.push((Bytes::copy_from_slice(key), Object { value, metadata: object.metadata }));
        }
        let sessions = self.sessions.by_ref().map(|record| record.and_then(|(key, record)| read_session(&key, &record)));
        let sessions = sessions.collect::<Result<_, _>>()?;
        Ok(Part { objects, end: Some(SnapshotEnd { at_time: self.state.at, sessions }) })
    }

    /// The value that the entry at `version` gave to `key`, behind those of objects before. Between them are values of entries
    /// that are not applied at this moment.
    fn value(&mut self, key: &[u8], version: Seq) -> Result<Bytes, StoreError> {
        let key = value_key(self.slot, self.state.generation, key, version);
        while let Some(found) = self.values.as_mut().and_then(|values| values.next_at(&key)) {
            let (found, record) = found?;
            match (found[..].cmp(&key[..]), record) {
                (Ordering::Less, _) => {}
                (Ordering::Equal, Some(record)) => return open_value(&key, record),
                (_, _) => break,
            }
        }
        Err(corrupt(Space::Values, &key, Damage::Missing))
    }
}

/// A session and its name.
pub(super) fn read_session(key: &[u8], record: &[u8]) -> Result<(Seq, Session), StoreError> {
    let damaged = |damage| corrupt(Space::Sessions, key, damage);
    let body = open(Space::Sessions, key, record)?;
    let (_, _, name) = parse_position_key(key).ok_or_else(|| damaged(Damage::Malformed("key")))?;
    Ok((name, parse_session(body).map_err(damaged)?))
}

#[cfg(test)]
mod tests {
    use catena_core::{Batch, ChainVersion, Entry, Operation, Ticket, WallTime, Write};
    use lsm_tree::AbstractTree as _;

    use super::*;
    use crate::{FjallStore, Reader, Store};

    const SLOT: Slot = Slot(3);

    fn applied(store: &mut FjallStore, seq: u64) {
        let id = EntryId { version: ChainVersion(1), seq: Seq(seq) };
        let operation = Operation::Put { key: seq.to_string().into(), value: vec![7; 900].into(), created_at: WallTime(seq) };
        let previous = ChainVersion(u64::from(seq > 1));
        let entries = vec![Entry { id, previous, at: WallTime(seq), origin: None, operation }];
        store
            .submit(Batch { ticket: Ticket(seq), slot: SLOT, writes: vec![Write::Apply { entries, sessions: vec![] }] })
            .unwrap();
    }

    /// Memtables are as many as fjall's versions are, but for one.
    #[test]
    fn a_pin_keeps_no_memtable_that_is_filled_after_its_first_part() {
        for begun in [true, false] {
            let path = tempfile::tempdir().unwrap();
            let mut store = FjallStore::open_unidentified(path.path()).unwrap();
            store.recover().unwrap();
            (1..=10).for_each(|seq| applied(&mut store, seq));
            store.sync().unwrap();
            let pinned = store.reader().pin(SLOT).unwrap();
            if begun {
                pinned.read(None, 1).unwrap();
            }
            let mut kept = 0;
            // Eleven memtables of `objects`: each flush and each compaction leaves a version.
            for seq in 11..=400_000 {
                applied(&mut store, seq);
                if seq % 1000 == 0 {
                    store.sync().unwrap();
                    kept = kept.max(store.engine.keyspace(Space::Objects).tree.version_free_list_len());
                }
            }
            assert_eq!(kept <= 8, begun, "{kept}");
            let first = pinned.read(None, 1).unwrap().unwrap();
            let rest = pinned.read(first.last().map(|key| &key[..]), usize::MAX).unwrap().unwrap();
            assert_eq!((first.objects.len(), rest.objects.len()), (1, 9));
        }
    }
}
