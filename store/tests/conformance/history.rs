//! Histories of batches, syncs, kills and crashes, compared with the twin after every step.

use bytes::Bytes;
use catena_core::{Batch, Entry, Object, Recovered, Seq, Slot, SnapshotEnd, Ticket};
use catena_store::{Pinned, Reader, Store};

use super::implementation::{Implementation, read_spilled};
use super::twin::{Twin, TwinSlot};
use super::writer::{KEYS, SLOTS, Shape, Writer};

/// One step of a history. Numbers are taken modulo what is there.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Submit {
        slot: u32,
        writes: Vec<Shape>,
    },
    Sync,
    Sweep,
    /// Holds on to a slot; what was held before is let go.
    Pin {
        slot: u32,
    },
    Kill,
    Crash {
        losses: u64,
    },
}

/// Runs a history over an implementation. What its last process has recovered.
pub(crate) fn run<I: Implementation>(implementation: &I, actions: &[Action]) -> Vec<Recovered> {
    let mut store = implementation.recovered();
    let mut twin = Twin::default();
    let mut writer = Writer::default();
    let mut ticket = Ticket(0);
    let mut copies: Vec<Copy<_>> = vec![];
    for action in actions {
        match action {
            Action::Submit { slot, writes } => {
                for shape in writes {
                    let slot = Slot(*slot);
                    let found = twin.submitted().remove(&slot).unwrap_or_default();
                    ticket = ticket.next();
                    let batch = Batch { ticket, slot, writes: writer.write(slot, &found, shape) };
                    twin.submit(batch.clone());
                    store.submit(batch).unwrap();
                }
            }
            Action::Sync => {
                twin.sync();
                assert_eq!(store.sync().unwrap().unwrap_or_default(), ticket);
            }
            Action::Sweep => drop(store.sweep().unwrap()),
            Action::Pin { slot } => {
                let slot = Slot(*slot);
                copies.into_iter().for_each(Copy::finish);
                let expected = || twin.visible().remove(&slot).unwrap_or_default();
                let copy = |bytes| Copy { pinned: store.reader().pin(slot).unwrap(), expected: expected(), bytes, found: vec![] };
                copies = [0, 1500, 6000].map(copy).into();
            }
            Action::Kill => {
                copies.clear();
                twin.restart(&implementation.kill(store, twin.unsynced.len()));
                (store, ticket) = (reopen(implementation, &twin), Ticket(0));
            }
            Action::Crash { losses } => {
                copies.clear();
                let mut losses = losses | 1 << 63;
                let lose = || {
                    losses = losses.rotate_right(1);
                    losses & 1 == 1
                };
                twin.restart(&implementation.crash(store, twin.unsynced.len(), lose));
                (store, ticket) = (reopen(implementation, &twin), Ticket(0));
            }
        }
        compare(&store, &twin);
        copies = copies.into_iter().filter_map(Copy::go_on).collect();
    }
    copies.into_iter().for_each(Copy::finish);
    twin.restart(&implementation.kill(store, twin.unsynced.len()));
    let store = reopen(implementation, &twin);
    compare(&store, &twin);
    implementation.kill(store, 0);
    implementation.check_leftovers(&twin.visible());
    twin.recovered()
}

fn reopen<I: Implementation>(implementation: &I, twin: &Twin) -> I::Store {
    let mut store = implementation.open();
    assert_eq!(store.recover().unwrap(), twin.recovered());
    store
}

fn compare(store: &impl Store, twin: &Twin) {
    let reader = store.reader();
    let visible = twin.visible();
    for slot in (0..SLOTS).map(Slot) {
        for key in KEYS {
            let expected = visible.get(&slot).and_then(|found| found.objects.get(key.as_bytes()));
            assert_eq!(reader.get(slot, key.as_bytes()).unwrap().as_ref(), expected, "slot {slot} key {key:?}");
            let metadata = expected.map(|object| object.metadata);
            assert_eq!(reader.metadata(slot, key.as_bytes()).unwrap(), metadata, "slot {slot} key {key:?}");
        }
        compare_spilled(&reader, slot, visible.get(&slot).map_or(&[], |found| &found.spilled));
    }
}

fn compare_spilled(reader: &impl Reader, slot: Slot, expected: &[Entry]) {
    let before = expected.first().map_or(Seq(0), |entry| entry.previous_id().seq);
    for bytes in [0, 1500, usize::MAX] {
        assert_eq!(read_spilled(reader, slot, before, bytes), expected, "slot {slot}, {bytes}");
    }
    for other in (0..before.0).map(Seq) {
        assert_eq!(reader.spilled(slot, other, usize::MAX).unwrap(), [], "slot {slot}, behind {other}");
    }
}

/// A pin that is read in parts of about `bytes`, with whatever comes between them.
struct Copy<P> {
    pinned: P,
    expected: TwinSlot,
    bytes: usize,
    found: Vec<(Bytes, Object)>,
}

impl<P: Pinned> Copy<P> {
    /// Reads a part; `None` if it was the last, and all are as they were when the slot was pinned.
    fn go_on(mut self) -> Option<Self> {
        assert_eq!(self.pinned.at(), self.expected.trim);
        let after = self.found.last().map(|(key, _)| key.clone());
        let part = self.pinned.read(after.as_deref(), self.bytes).unwrap().expect("it follows on the one before");
        self.found.extend(part.objects);
        let Some(end) = part.end else { return Some(self) };
        let Self { expected, found, .. } = self;
        assert_eq!(end, SnapshotEnd { at_time: expected.trim_at, sessions: expected.sessions() });
        assert_eq!(found, expected.objects.into_iter().collect::<Vec<_>>());
        None
    }

    fn finish(self) {
        let mut unread = Some(self);
        while let Some(copy) = unread {
            unread = copy.go_on();
        }
    }
}
