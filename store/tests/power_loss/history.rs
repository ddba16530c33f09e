//! What a node writes: batches of several slots in groups, of every kind of write, and what the slots have after each.

use catena_core::{Batch, Slot, Ticket, Write};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::shapes::shape;
use super::twin::{Slots, TwinSlot, recover, run_next};
use super::writer::{SLOTS, Shape, Writer};

/// What one process after the other writes.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) groups: Vec<Group>,
    /// What the slots have after each batch.
    after: Vec<Slots>,
}

/// Batches that share a sync.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) batches: Vec<Batch>,
    pub(crate) then: Then,
}

/// What is done after a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    Sweep,
    /// The process ends, and another one goes on.
    Restart,
}

/// Per batch its slot, and what it does.
type Shapes = Vec<(u32, Vec<Shape>)>;

fn group() -> impl Strategy<Value = (Shapes, Then)> {
    let batch = (0..SLOTS, prop::collection::vec(shape(), 1..4));
    let then = prop_oneof![36 => Just(Then::Nothing), 4 => Just(Then::Sweep), 1 => Just(Then::Restart)];
    (prop::collection::vec(batch, 1..5), then)
}

impl Group {
    /// The number of its first batch.
    pub(crate) fn first(&self) -> usize {
        usize::try_from(self.batches[0].ticket.0).unwrap()
    }
}

impl History {
    /// The same for each `seed`.
    pub(crate) fn new(seed: u64, groups: u64) -> Self {
        let seed = seed.to_le_bytes().repeat(4);
        let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        let (mut history, mut writer) = (Self::default(), Writer::default());
        for _ in 0..groups {
            let (shapes, then) = group().new_tree(&mut runner).unwrap().current();
            let batches = shapes.iter().map(|(slot, shapes)| history.batch(&mut writer, Slot(*slot), shapes)).collect();
            history.groups.push(Group { batches, then });
            if then == Then::Restart {
                history.restart();
            }
        }
        history
    }

    /// What the slots have after so many batches.
    pub(crate) fn after(&self, batches: usize) -> Slots {
        batches.checked_sub(1).map_or_else(Slots::new, |last| self.after[last].clone())
    }

    /// The process that has written all this ends, and another one recovers.
    pub(crate) fn restart(&mut self) {
        self.groups.last_mut().expect("something is written").then = Then::Restart;
        recover(self.after.last_mut().expect("something is written"));
    }

    /// Adds a group of one batch, made of what the slot has.
    pub(crate) fn write(&mut self, slot: Slot, then: Then, writes: impl FnOnce(&TwinSlot) -> Vec<Write>) {
        let mut slots = self.after(self.after.len());
        let writes = writes(slots.entry(slot).or_default());
        let batch = Batch { ticket: self.next(), slot, writes };
        run_next(&mut slots, &batch);
        self.after.push(slots);
        self.groups.push(Group { batches: vec![batch], then });
        if then == Then::Restart {
            self.restart();
        }
    }

    fn next(&self) -> Ticket {
        Ticket(self.after.len() as u64 + 1)
    }

    fn batch(&mut self, writer: &mut Writer, slot: Slot, shapes: &[Shape]) -> Batch {
        let mut slots = self.after(self.after.len());
        let batch = one_batch(writer, &mut slots, self.next(), slot, shapes);
        self.after.push(slots);
        batch
    }

    /// What is on its way when so many batches are durable: a power loss may take it, or not.
    pub(crate) fn writes_after(&self, batches: usize) -> impl Iterator<Item = &Write> {
        self.group_after(batches).into_iter().flat_map(|group| &group.batches).flat_map(|batch| &batch.writes)
    }

    pub(crate) fn group_after(&self, batches: usize) -> Option<&Group> {
        self.groups.iter().find(|group| group.first() > batches)
    }
}

/// A batch that does all of that to a slot, one after the other.
pub(crate) fn one_batch(writer: &mut Writer, slots: &mut Slots, ticket: Ticket, slot: Slot, shapes: &[Shape]) -> Batch {
    let mut batch = Batch { ticket, slot, writes: vec![] };
    for shape in shapes {
        let found = slots.entry(slot).or_default().clone();
        let next = Batch { ticket, slot, writes: writer.write(slot, &found, shape) };
        run_next(slots, &next);
        batch.writes.extend(next.writes);
    }
    batch
}

pub(crate) const KINDS: usize = 10;

/// One of the [`KINDS`].
pub(crate) fn kind(write: &Write) -> &'static str {
    match write {
        Write::Chain(_) => "chain",
        Write::Append(_) => "append",
        Write::Truncate { .. } => "truncate",
        Write::Apply { .. } => "apply",
        Write::Spill(_) => "spill",
        Write::DropSpill => "drop spill",
        Write::Stage { .. } => "stage",
        Write::Install { .. } => "install",
        Write::Clear => "clear",
        Write::Quarantine => "quarantine",
    }
}
