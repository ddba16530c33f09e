//! Short ways to write batches down.

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::{
    Answered, Batch, Chain, ChainVersion, Entry, EntryId, Epoch, Incarnation, Member, Metadata, NodeId, Object, Operation,
    Outcome, Pin, Process, Refusal, Seq, Session, Slot, SnapshotEnd, Ticket, WallTime, Write,
};

pub(crate) const SLOT: Slot = Slot(3);

pub(crate) fn batch(ticket: u64, writes: impl Into<Vec<Write>>) -> Batch {
    Batch { ticket: Ticket(ticket), slot: SLOT, writes: writes.into() }
}

pub(crate) fn chain(slot: Slot, version: u64) -> Chain {
    let member =
        |name| Member { node: NodeId::new(name).unwrap(), incarnation: Incarnation(1 << 100), activated: ChainVersion(version) };
    Chain {
        slot,
        version: ChainVersion(version),
        epoch: Epoch(version / 2),
        members: vec![member("n1"), member("n2")],
        tail_ready: version.is_multiple_of(2),
        joining: version.is_multiple_of(3).then(|| member("n3")),
    }
}

pub(crate) fn append(entries: &[Entry]) -> Write {
    Write::Append(entries.to_vec())
}

pub(crate) fn apply(entries: &[Entry]) -> Write {
    Write::Apply { entries: entries.to_vec(), sessions: vec![] }
}

pub(crate) fn spill(entries: &[Entry]) -> Write {
    Write::Spill(entries.to_vec())
}

/// A snapshot of the state at `seq`, by the `process`th run of its source.
pub(crate) fn pin(process: u64, seq: u64) -> Pin {
    let at = EntryId { version: ChainVersion(u64::from(seq > 0)), seq: Seq(seq) };
    Pin { source: NodeId::new("n9").unwrap(), process: Process(process), at }
}

pub(crate) fn stage(pin: &Pin, objects: &[(&'static str, Object)]) -> Write {
    let objects = objects.iter().map(|(key, object)| (Bytes::from(*key), object.clone())).collect();
    Write::Stage { pin: pin.clone(), objects }
}

pub(crate) fn install(pin: &Pin, sessions: &[(Seq, Session)]) -> Write {
    Write::Install { pin: pin.clone(), end: end(pin.at.seq.0, sessions) }
}

/// What belongs to the state at `seq`.
pub(crate) fn end(seq: u64, sessions: &[(Seq, Session)]) -> SnapshotEnd {
    SnapshotEnd { at_time: WallTime(seq * 10), sessions: sessions.to_vec() }
}

/// What [`put`] leaves behind.
pub(crate) fn object(seq: u64, value: impl Into<Bytes>) -> Object {
    let metadata = Metadata { version: Seq(seq), created_at: WallTime(seq * 10), updated_at: WallTime(seq * 10) };
    Object { value: value.into(), metadata }
}

/// A session with one answer of each kind.
pub(crate) fn session(seed: u64) -> Session {
    let object = Metadata { version: Seq(seed), created_at: WallTime(seed + 1), updated_at: WallTime(u64::MAX - seed) };
    let outcomes = [
        Outcome::Written(Some(object)),
        Outcome::Written(None),
        Outcome::Absent,
        Outcome::Refused(Refusal { object: None }),
        Outcome::Refused(Refusal { object: Some(object) }),
    ];
    let entry = EntryId { version: ChainVersion(seed), seq: Seq(seed * 3) };
    let answers: BTreeMap<u64, Answered> =
        (seed..).zip(outcomes).map(|(number, outcome)| (number, Answered { entry, outcome })).collect();
    Session { used_at: WallTime(seed * 7), answered_below: seed, answers }
}

pub(crate) fn truncate(last: u64) -> Write {
    Write::Truncate { last: Seq(last) }
}

/// An entry in version 1, behind one in version 1 (or behind nothing).
pub(crate) fn put(seq: u64, key: &'static str, value: impl Into<Bytes>) -> Entry {
    let operation = Operation::Put { key: key.into(), value: value.into(), created_at: WallTime(seq * 10) };
    entry(seq, operation)
}

pub(crate) fn delete(seq: u64, key: &'static str) -> Entry {
    entry(seq, Operation::Delete { key: key.into() })
}

/// As [`put`], of any kind.
pub(crate) fn entry(seq: u64, operation: Operation) -> Entry {
    Entry {
        id: EntryId { version: ChainVersion(1), seq: Seq(seq) },
        previous: ChainVersion(u64::from(seq > 1)),
        at: WallTime(seq * 10),
        origin: None,
        operation,
    }
}

/// `entry` as a head of version 2 would have made it, behind one of version `previous`.
pub(crate) fn in_version_2(mut entry: Entry, previous: u64) -> Entry {
    entry.id.version = ChainVersion(2);
    entry.previous = ChainVersion(previous);
    entry
}
