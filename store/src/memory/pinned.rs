//! Slots held on to, on a simulated disk.

use std::ops::Bound;
use std::sync::{Mutex, OnceLock};

use bytes::Bytes;
use catena_core::{EntryId, Slot, SnapshotEnd, WallTime, mutant};

use super::MemoryDisk;
use super::state::Applied;
use crate::parts::{Parts, Place};
use crate::{Part, Pinned, StoreError};

/// A slot of a [`MemoryDisk`], held on to.
#[derive(Debug)]
pub struct MemoryPinned {
    disk: MemoryDisk,
    slot: Slot,
    at: EntryId,
    at_time: WallTime,
    /// Taken at once; with a planted bug, at the first read.
    content: OnceLock<Applied>,
    /// As a disk has it, which reads forward.
    parts: Mutex<Parts>,
}

impl MemoryPinned {
    pub(super) fn new(disk: MemoryDisk, slot: Slot) -> Self {
        let content = disk.lock().durable.applied(slot);
        let (at, at_time) = (content.trim, content.trim_at);
        let content = if mutant!(SnapshotSeqApart) { OnceLock::new() } else { content.into() };
        Self { disk, slot, at, at_time, content, parts: Mutex::default() }
    }

    fn part(&self, after: Option<&[u8]>, bytes: usize) -> Part {
        let content = self.content.get_or_init(|| self.disk.lock().durable.applied(self.slot));
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut objects = Vec::new();
        let mut taken = 0;
        for (key, object) in content.objects.range::<[u8], _>((behind, Bound::Unbounded)) {
            taken += key.len() + object.value.len();
            if taken > bytes && !objects.is_empty() {
                return Part { objects, end: None };
            }
            objects.push((Bytes::clone(key), object.clone()));
        }
        let sessions = content.sessions.iter().map(|(&name, session)| (name, session.clone())).collect();
        Part { objects, end: Some(SnapshotEnd { at_time: self.at_time, sessions }) }
    }
}

impl Pinned for MemoryPinned {
    fn at(&self) -> EntryId {
        self.at
    }

    fn read(&self, after: Option<&[u8]>, bytes: usize) -> Result<Option<Part>, StoreError> {
        let mut parts = self.parts.lock().expect("a panic while reading ends the process");
        Ok(match parts.place(after) {
            Place::Kept(part) => Some(part),
            Place::Passed => None,
            Place::Next => {
                let part = self.part(after, bytes);
                parts.keep(after, &part);
                Some(part)
            }
        })
    }
}
