//! Random histories of batches, syncs, kills and crashes, compared with the twin after every step.

use bytes::Bytes;
use catena_core::{Batch, ChainVersion, Entry, EntryId, Operation, Slot, Ticket, WallTime, Write};
use catena_store::{Reader, Store};
use proptest::prelude::*;

use crate::build::chain;
use crate::implementation::{Fjall, Implementation, Memory};
use crate::twin::{Twin, TwinSlot};

const SLOTS: u32 = 3;
const KEYS: [&str; 4] = ["a", "b", "\0", "a\0"];
const VALUE_BYTES: [usize; 5] = [0, 10, 1024, 1025, 4000];

/// One step of a history. Numbers are taken modulo what is there.
#[derive(Clone, Debug)]
enum Action {
    Submit { slot: u32, writes: Vec<Shape> },
    Sync,
    Kill,
    Crash { losses: u64 },
}

/// A write, before it is known what it meets.
#[derive(Clone, Debug)]
enum Shape {
    Chain,
    Append {
        operations: Vec<(usize, Option<usize>)>,
    },
    /// A new version's head takes over `back` entries before the end.
    Takeover {
        back: u64,
        operation: (usize, Option<usize>),
    },
    /// As a takeover of the last entry, without a truncate.
    Replace {
        operation: (usize, Option<usize>),
    },
    Apply {
        count: usize,
    },
}

fn operation() -> impl Strategy<Value = (usize, Option<usize>)> {
    (0..KEYS.len(), prop::option::weighted(0.8, 0..VALUE_BYTES.len()))
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        1 => Just(Shape::Chain),
        6 => prop::collection::vec(operation(), 1..4).prop_map(|operations| Shape::Append { operations }),
        1 => (0..4u64, operation()).prop_map(|(back, operation)| Shape::Takeover { back, operation }),
        1 => operation().prop_map(|operation| Shape::Replace { operation }),
        4 => (1..4usize).prop_map(|count| Shape::Apply { count }),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => (0..SLOTS, prop::collection::vec(shape(), 1..3)).prop_map(|(slot, writes)| Action::Submit { slot, writes }),
        4 => Just(Action::Sync),
        1 => Just(Action::Kill),
        1 => any::<u64>().prop_map(|losses| Action::Crash { losses }),
    ]
}

/// Makes writes that fit what the slot has, and keeps count of versions and times.
struct Writer {
    version: u64,
    clock: u64,
}

impl Writer {
    fn write(&mut self, slot: Slot, found: &TwinSlot, shape: &Shape) -> Vec<Write> {
        match shape {
            Shape::Chain => vec![Write::Chain(chain(slot, self.version))],
            Shape::Append { operations } => {
                let mut last = found.last();
                let entries = operations.iter().map(|&operation| {
                    let entry = self.entry(last, operation);
                    last = entry.id;
                    entry
                });
                vec![Write::Append(entries.collect())]
            }
            Shape::Takeover { back, operation } => {
                self.version += 1;
                let keep = found.log.len() - usize::try_from(*back).unwrap().min(found.log.len());
                let last = found.log[..keep].last().map_or(found.trim, |entry| entry.id);
                let entry = self.entry(last, *operation);
                vec![Write::Truncate { last: last.seq }, Write::Append(vec![entry])]
            }
            Shape::Replace { operation } => {
                self.version += 1;
                let Some((_, before)) = found.log.split_last() else { return vec![] };
                let last = before.last().map_or(found.trim, |entry| entry.id);
                vec![Write::Append(vec![self.entry(last, *operation)])]
            }
            Shape::Apply { count } => {
                vec![Write::Apply(found.log.iter().take(*count).cloned().collect())]
            }
        }
    }

    fn entry(&mut self, last: EntryId, (key, size): (usize, Option<usize>)) -> Entry {
        self.clock += 1;
        let key = Bytes::from(KEYS[key]);
        let fill = u8::try_from(self.clock % 251).unwrap();
        let operation = match size {
            Some(size) => {
                Operation::Put { key, value: vec![fill; VALUE_BYTES[size]].into(), created_at: WallTime(self.clock / 2) }
            }
            None => Operation::Delete { key },
        };
        let id = EntryId { version: ChainVersion(self.version), seq: last.seq.next() };
        Entry { id, previous: last.version, at: WallTime(self.clock), operation }
    }
}

fn run<I: Implementation>(implementation: &I, actions: &[Action]) {
    let mut store = implementation.recovered();
    let mut twin = Twin::default();
    let mut writer = Writer { version: 1, clock: 0 };
    let mut ticket = Ticket(0);
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
            Action::Kill => {
                twin.restart(&implementation.kill(store, twin.unsynced.len()));
                (store, ticket) = (reopen(implementation, &twin), Ticket(0));
            }
            Action::Crash { losses } => {
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
    }
    twin.restart(&implementation.kill(store, twin.unsynced.len()));
    let store = reopen(implementation, &twin);
    compare(&store, &twin);
    implementation.kill(store, 0);
    implementation.check_leftovers(&twin.visible());
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
    }
}

/// The group must see its own removal: else the second write of "a" counts the value of the first off twice, and that of "b" stays.
pub(crate) fn large_objects_deleted_and_put_again_in_one_group_leave_nothing_over(implementation: &impl Implementation) {
    let submit = |writes: &[Shape]| Action::Submit { slot: 0, writes: writes.to_vec() };
    let (large, small) = (Some(4), Some(1));
    run(
        implementation,
        &[
            submit(&[Shape::Append { operations: vec![(0, large), (1, large)] }, Shape::Apply { count: 2 }]),
            Action::Sync,
            submit(&[Shape::Append { operations: vec![(0, None), (0, small)] }, Shape::Apply { count: 2 }]),
            Action::Sync,
            submit(&[Shape::Append { operations: vec![(1, small)] }, Shape::Apply { count: 1 }]),
            Action::Sync,
        ],
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn memory_agrees_with_its_twin(actions in prop::collection::vec(action(), 1..60)) {
        run(&Memory::default(), &actions);
    }
}

proptest! {
    // Fewer: each opens fjall a few times.
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn fjall_agrees_with_its_twin(actions in prop::collection::vec(action(), 1..60)) {
        run(&Fjall::new(), &actions);
    }
}
