//! Slots held on to, on a simulated disk.

use std::ops::Bound;
use std::sync::OnceLock;

use bytes::Bytes;
use catena_core::{EntryId, Slot, SnapshotEnd, WallTime};

use super::MemoryDisk;
use super::state::Applied;
use crate::{Part, Pinned, StoreError};

/// A slot of a [`MemoryDisk`], held on to.
#[derive(Clone, Debug)]
pub struct MemoryPinned {
    disk: MemoryDisk,
    slot: Slot,
    at: EntryId,
    at_time: WallTime,
    /// Taken at once; with a planted bug, at the first read.
    content: OnceLock<Applied>,
}

impl MemoryPinned {
    pub(super) fn new(disk: MemoryDisk, slot: Slot) -> Self {
        let content = disk.lock().durable.applied(slot);
        let (at, at_time) = (content.trim, content.trim_at);
        let content = if mutant!(SnapshotSeqApart) { OnceLock::new() } else { content.into() };
        Self { disk, slot, at, at_time, content }
    }
}

impl Pinned for MemoryPinned {
    fn at(&self) -> EntryId {
        self.at
    }

    fn read(&self, after: Option<&[u8]>, bytes: usize) -> Result<Part, StoreError> {
        let content = self.content.get_or_init(|| self.disk.lock().durable.applied(self.slot));
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut objects = Vec::new();
        let mut taken = 0;
        for (key, object) in content.objects.range::<[u8], _>((behind, Bound::Unbounded)) {
            taken += key.len() + object.value.len();
            if taken > bytes && !objects.is_empty() {
                return Ok(Part { objects, end: None });
            }
            objects.push((Bytes::clone(key), object.clone()));
        }
        let sessions = content.sessions.iter().map(|(&name, session)| (name, session.clone())).collect();
        Ok(Part { objects, end: Some(SnapshotEnd { at_time: self.at_time, sessions }) })
    }
}
