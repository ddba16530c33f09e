//! The changes of one group: the last write of each key.

use std::collections::BTreeMap;

use fjall::Slice;

use super::frame::seal_into;
use super::keys::Space;

/// A key's new record; `None`: it goes.
type Changes = BTreeMap<Slice, Option<Slice>>;

/// What is staged for a key.
pub(super) enum StagedRecord<'a> {
    Nothing,
    Removal,
    Record(&'a Slice),
}

#[derive(Default)]
pub(super) struct Staged {
    slots: Changes,
    log: Changes,
    objects: Changes,
    sessions: Changes,
    values: Changes,
    /// Where records are put together; kept for its capacity.
    buffer: Vec<u8>,
}

/// A buffer that has grown beyond this for one large value is given back.
const BUFFER_BYTES: usize = 64 << 10;

impl Staged {
    /// Stages a record whose body `write` gives.
    pub(super) fn put(&mut self, space: Space, key: Slice, write: impl FnOnce(&mut Vec<u8>)) {
        seal_into(&mut self.buffer, space, &key, write);
        let record = Slice::from(&self.buffer[..]);
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES);
        self.changes(space).insert(key, Some(record));
    }

    pub(super) fn remove(&mut self, space: Space, key: Slice) {
        self.changes(space).insert(key, None);
    }

    /// What is staged for the object at `key`.
    pub(super) fn object(&self, key: &Slice) -> StagedRecord<'_> {
        match self.objects.get(key) {
            None => StagedRecord::Nothing,
            Some(None) => StagedRecord::Removal,
            Some(Some(record)) => StagedRecord::Record(record),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many records change.
    pub(super) fn len(&self) -> usize {
        let Self { slots, log, objects, sessions, values, buffer: _ } = self;
        [slots, log, objects, sessions, values].into_iter().map(Changes::len).sum()
    }

    /// Takes everything out, values before the records that refer to them.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (Space, Slice, Option<Slice>)> {
        [Space::Values, Space::Log, Space::Objects, Space::Sessions, Space::Slots].into_iter().flat_map(|space| {
            let changes = std::mem::take(self.changes(space));
            changes.into_iter().map(move |(key, record)| (space, key, record))
        })
    }

    fn changes(&mut self, space: Space) -> &mut Changes {
        match space {
            Space::Slots => &mut self.slots,
            Space::Log => &mut self.log,
            Space::Objects => &mut self.objects,
            Space::Sessions => &mut self.sessions,
            Space::Values => &mut self.values,
            Space::Config => panic!("a node has no config keyspace"),
        }
    }
}
