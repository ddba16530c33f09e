//! Short ways to write batches down.

use bytes::Bytes;
use catena_core::{
    Batch, Chain, ChainVersion, Entry, EntryId, Incarnation, Member, NodeId, Operation, Seq, Slot, Ticket, WallTime, Write,
};

pub(crate) const SLOT: Slot = Slot(3);

pub(crate) fn batch(ticket: u64, writes: impl Into<Vec<Write>>) -> Batch {
    Batch { ticket: Ticket(ticket), slot: SLOT, writes: writes.into() }
}

pub(crate) fn chain(slot: Slot, version: u64) -> Chain {
    let member =
        |name| Member { node: NodeId::new(name).unwrap(), incarnation: Incarnation(1 << 100), activated: ChainVersion(version) };
    Chain { slot, version: ChainVersion(version), members: vec![member("n1"), member("n2")] }
}

pub(crate) fn append(entries: &[Entry]) -> Write {
    Write::Append(entries.to_vec())
}

pub(crate) fn apply(entries: &[Entry]) -> Write {
    Write::Apply(entries.to_vec())
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

fn entry(seq: u64, operation: Operation) -> Entry {
    Entry {
        id: EntryId { version: ChainVersion(1), seq: Seq(seq) },
        previous: ChainVersion(u64::from(seq > 1)),
        at: WallTime(seq * 10),
        operation,
    }
}

/// `entry` as a head of version 2 would have made it, behind one of version `previous`.
pub(crate) fn in_version_2(mut entry: Entry, previous: u64) -> Entry {
    entry.id.version = ChainVersion(2);
    entry.previous = ChainVersion(previous);
    entry
}
