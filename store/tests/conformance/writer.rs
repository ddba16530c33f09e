//! What is written: writes that fit what a slot has, of every kind.

use bytes::Bytes;
use catena_core::{
    ChainVersion, Entry, EntryId, Metadata, NodeId, Object, Operation, Origin, Pin, Process, Refusal, Seq, Slot, SnapshotEnd,
    WallTime, Write,
};

use super::build::{chain, session};
use super::twin::TwinSlot;

pub(crate) const SLOTS: u32 = 3;
pub(crate) const KEYS: [&str; 4] = ["a", "b", "\0", "a\0"];
/// The last has whole pages of a disk for itself.
pub(crate) const VALUE_BYTES: [usize; 6] = [0, 10, 1024, 1025, 4000, 20_000];

/// A write, before it is known what it meets.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Chain,
    Append {
        operations: Vec<Deed>,
    },
    /// A new version's head takes over `back` entries before the end.
    Takeover {
        back: u64,
        operation: Deed,
    },
    /// As a takeover of the last entry, without a truncate.
    Replace {
        operation: Deed,
    },
    Apply {
        count: usize,
        /// Names, and what the sessions are made of.
        sessions: Vec<(u64, Option<u64>)>,
    },
    /// Goes on with what is spilled, or begins at the trim point.
    Spill {
        operations: Vec<Deed>,
    },
    DropSpill,
    /// Goes on with what is staged, or begins anew.
    Stage {
        count: usize,
        anew: bool,
    },
    Install,
    /// Stages the rest and installs it.
    Finish,
    Clear,
    Quarantine,
}

/// An operation, by indices.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    Put(usize, usize),
    Delete(usize),
    /// One that changes no object.
    Other(u8),
}

/// Makes writes that fit what the slot has, and keeps count of versions and times.
pub(crate) struct Writer {
    version: u64,
    clock: u64,
    snapshots: u64,
}

impl Default for Writer {
    fn default() -> Self {
        Self { version: 1, clock: 0, snapshots: 0 }
    }
}

impl Writer {
    pub(crate) fn write(&mut self, slot: Slot, found: &TwinSlot, shape: &Shape) -> Vec<Write> {
        match shape {
            Shape::Chain => vec![Write::Chain(chain(slot, self.version))],
            Shape::Append { operations } => vec![Write::Append(self.entries(found.last(), operations))],
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
            Shape::Apply { count, sessions } => {
                let sessions = sessions.iter().map(|(name, seed)| (Seq(*name), seed.map(session)));
                vec![Write::Apply { entries: found.log.iter().take(*count).cloned().collect(), sessions: sessions.collect() }]
            }
            Shape::Spill { operations } => {
                let last = found.spilled.last().map_or(found.trim, |entry| entry.id);
                vec![Write::Spill(self.entries(last, operations))]
            }
            Shape::DropSpill => vec![Write::DropSpill],
            Shape::Stage { count, anew } => vec![self.stage(found, *count, *anew)],
            Shape::Install => found.staged.iter().map(|(pin, _)| install(pin)).collect(),
            Shape::Finish => {
                let stage = self.stage(found, KEYS.len(), false);
                let Write::Stage { pin, .. } = &stage else { unreachable!("just made") };
                let install = install(pin);
                vec![stage, install]
            }
            Shape::Clear => vec![Write::Clear],
            Shape::Quarantine => vec![Write::Quarantine],
        }
    }

    fn entries(&mut self, mut last: EntryId, operations: &[Deed]) -> Vec<Entry> {
        let entries = operations.iter().map(|&operation| {
            let entry = self.entry(last, operation);
            last = entry.id;
            entry
        });
        entries.collect()
    }

    fn entry(&mut self, last: EntryId, deed: Deed) -> Entry {
        self.clock += 1;
        let fill = u8::try_from(self.clock % 251).unwrap();
        let object = Metadata { version: Seq(self.clock), created_at: WallTime(1), updated_at: WallTime(2) };
        let operation = match deed {
            Deed::Put(key, size) => Operation::Put {
                key: KEYS[key].into(),
                value: vec![fill; VALUE_BYTES[size]].into(),
                created_at: WallTime(self.clock / 2),
            },
            Deed::Delete(key) => Operation::Delete { key: KEYS[key].into() },
            Deed::Other(0) => Operation::OpenSession,
            Deed::Other(1) => Operation::Expire { sessions: vec![Seq(self.clock), Seq(2)] },
            Deed::Other(2) => Operation::Nothing { refused: None },
            Deed::Other(3) => Operation::Nothing { refused: Some(Refusal { object: None }) },
            Deed::Other(_) => Operation::Nothing { refused: Some(Refusal { object: Some(object) }) },
        };
        let origin = Origin { session: Seq(self.clock), number: self.clock, answered_below: 3 };
        let id = EntryId { version: ChainVersion(self.version), seq: last.seq.next() };
        let origin = self.clock.is_multiple_of(2).then_some(origin);
        Entry { id, previous: last.version, at: WallTime(self.clock), origin, operation }
    }

    /// The next `count` objects of what is staged, or of another snapshot.
    fn stage(&mut self, found: &TwinSlot, count: usize, anew: bool) -> Write {
        let (pin, staged) = match &found.staged {
            Some((pin, objects)) if !anew => (pin.clone(), objects.len()),
            _ => {
                self.snapshots += 1;
                self.version += 1;
                let seq = if self.snapshots.is_multiple_of(5) { Seq(0) } else { Seq(found.last().seq.0 + 8) };
                let at = EntryId { version: ChainVersion(if seq == Seq(0) { 0 } else { self.version }), seq };
                (Pin { source: NodeId::new("n9").unwrap(), process: Process(self.snapshots), at }, 0)
            }
        };
        let objects = content(&pin).into_iter().skip(staged).take(count).collect();
        Write::Stage { pin, objects }
    }
}

/// The same for every snapshot of that name.
fn content(pin: &Pin) -> Vec<(Bytes, Object)> {
    let Process(seed) = pin.process;
    let mut keys: Vec<&str> = KEYS.into_iter().filter(|_| pin.at.seq > Seq(0)).collect();
    keys.sort_unstable();
    keys.retain(|key| !(seed + key.len() as u64).is_multiple_of(3));
    let objects = keys.into_iter().zip(1..).map(|(key, index)| {
        let size = VALUE_BYTES[usize::try_from(seed + index).unwrap() % VALUE_BYTES.len()];
        let metadata = Metadata { version: Seq(pin.at.seq.0 - index), created_at: WallTime(seed), updated_at: WallTime(index) };
        (Bytes::from(key), Object { value: vec![u8::try_from(seed % 251).unwrap(); size].into(), metadata })
    });
    objects.collect()
}

fn install(pin: &Pin) -> Write {
    let Process(seed) = pin.process;
    let sessions = (0..seed % 4).map(|name| (Seq(name + 1), session(seed + name))).collect();
    Write::Install { pin: pin.clone(), end: SnapshotEnd { at_time: WallTime(seed * 100), sessions } }
}
