//! The records of a slot. Numbers are big-endian; layouts are tabled in `docs/storage.md`.

use bytes::{BufMut, Bytes};
use catena_core::{Chain, ChainVersion, Entry, EntryId, Incarnation, Member, Metadata, NodeId, Operation, Seq, Slot, WallTime};

use super::frame::{Fields, put_bytes};
use crate::Damage;

/// Values longer than this are stored once, in a record of their own (D4). 1 KiB: below it a second copy costs
/// less than a second lookup.
pub(super) const INLINE_BYTES: usize = 1024;

/// Where a record has its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// In the record.
    Inline,
    /// In `values`, under the entry's slot and seq.
    Apart,
}

impl Placement {
    pub(super) fn of(value: &[u8]) -> Self {
        if value.len() > INLINE_BYTES { Placement::Apart } else { Placement::Inline }
    }
}

/// A log record; its slot and seq are its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogRecord {
    pub(super) version: ChainVersion,
    pub(super) previous: ChainVersion,
    pub(super) at: WallTime,
    pub(super) operation: LoggedOperation,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LoggedOperation {
    Put { key: Bytes, value: Bytes, created_at: WallTime },
    PutApart { key: Bytes, created_at: WallTime },
    Delete { key: Bytes },
}

const PUT: u8 = 1;
const PUT_APART: u8 = 2;
const DELETE: u8 = 3;

/// Writes an entry's log record. A value to be stored apart is left out.
pub(super) fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    let kind = match &entry.operation {
        Operation::Put { value, .. } => match Placement::of(value) {
            Placement::Inline => PUT,
            Placement::Apart => PUT_APART,
        },
        Operation::Delete { .. } => DELETE,
    };
    out.put_u8(kind);
    out.put_u64(entry.id.version.0);
    out.put_u64(entry.previous.0);
    out.put_u64(entry.at.0);
    match &entry.operation {
        Operation::Put { key, value, created_at } => {
            out.put_u64(created_at.0);
            put_bytes(out, key);
            if kind == PUT {
                out.extend_from_slice(value);
            }
        }
        Operation::Delete { key } => put_bytes(out, key),
    }
}

impl LoggedOperation {
    /// Where the value is; a delete has none to look for.
    pub(super) fn placement(&self) -> Placement {
        match self {
            LoggedOperation::PutApart { .. } => Placement::Apart,
            LoggedOperation::Put { .. } | LoggedOperation::Delete { .. } => Placement::Inline,
        }
    }
}

impl LogRecord {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Damage> {
        let mut fields = Fields(body);
        let kind = fields.u8("kind")?;
        let version = ChainVersion(fields.u64("version")?);
        let previous = ChainVersion(fields.u64("previous version")?);
        let at = WallTime(fields.u64("time")?);
        let operation = match kind {
            PUT | PUT_APART => {
                let created_at = WallTime(fields.u64("creation time")?);
                let key = Bytes::copy_from_slice(fields.bytes("key")?);
                if kind == PUT {
                    LoggedOperation::Put { key, value: Bytes::copy_from_slice(fields.rest()), created_at }
                } else {
                    LoggedOperation::PutApart { key, created_at }
                }
            }
            DELETE => LoggedOperation::Delete { key: Bytes::copy_from_slice(fields.bytes("key")?) },
            _ => return Err(Damage::Malformed("kind")),
        };
        fields.end()?;
        Ok(Self { version, previous, at, operation })
    }
}

/// An object record; its slot and key are its key. The value follows, or is stored apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObjectRecord<'a> {
    pub(super) metadata: Metadata,
    /// `None`: apart, under the slot and `metadata.version`.
    pub(super) value: Option<&'a [u8]>,
}

impl<'a> ObjectRecord<'a> {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(if self.value.is_some() { PUT } else { PUT_APART });
        out.put_u64(self.metadata.version.0);
        out.put_u64(self.metadata.created_at.0);
        out.put_u64(self.metadata.updated_at.0);
        out.extend_from_slice(self.value.unwrap_or_default());
    }

    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Damage> {
        let mut fields = Fields(body);
        let kind = fields.u8("kind")?;
        let metadata = Metadata {
            version: Seq(fields.u64("version")?),
            created_at: WallTime(fields.u64("creation time")?),
            updated_at: WallTime(fields.u64("update time")?),
        };
        let value = match kind {
            PUT => Some(fields.rest()),
            PUT_APART => None,
            _ => return Err(Damage::Malformed("kind")),
        };
        fields.end()?;
        Ok(Self { metadata, value })
    }

    /// Where the value is.
    pub(super) fn placement(&self) -> Placement {
        if self.value.is_some() { Placement::Inline } else { Placement::Apart }
    }
}

/// How far a slot is applied and trimmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TrimRecord {
    pub(super) trim: EntryId,
    pub(super) at: WallTime,
    /// How many objects have their value apart: while it is 0, an overwrite need not look for one to remove.
    pub(super) apart: u64,
}

impl TrimRecord {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.trim.version.0);
        out.put_u64(self.trim.seq.0);
        out.put_u64(self.at.0);
        out.put_u64(self.apart);
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, Damage> {
        let mut fields = Fields(body);
        let version = ChainVersion(fields.u64("version")?);
        let seq = Seq(fields.u64("seq")?);
        let record =
            Self { trim: EntryId { version, seq }, at: WallTime(fields.u64("time")?), apart: fields.u64("count of values")? };
        fields.end()?;
        Ok(record)
    }
}

pub(crate) fn put_chain(out: &mut Vec<u8>, chain: &Chain) {
    out.put_u64(chain.version.0);
    out.put_u32(u32::try_from(chain.members.len()).expect("a chain has a handful of members"));
    for member in &chain.members {
        put_bytes(out, member.node.as_str().as_bytes());
        out.put_u128(member.incarnation.0);
        out.put_u64(member.activated.0);
    }
}

pub(crate) fn parse_chain(slot: Slot, fields: &mut Fields<'_>) -> Result<Chain, Damage> {
    let version = ChainVersion(fields.u64("version")?);
    let count = fields.u32("member count")?;
    if count == 0 {
        return Err(Damage::Malformed("member count"));
    }
    let mut members = Vec::new();
    for _ in 0..count {
        members.push(Member {
            node: parse_node_id(fields)?,
            incarnation: Incarnation(fields.u128("incarnation")?),
            activated: ChainVersion(fields.u64("activation")?),
        });
    }
    Ok(Chain { slot, version, members })
}

pub(crate) fn parse_node_id(fields: &mut Fields<'_>) -> Result<NodeId, Damage> {
    let name = std::str::from_utf8(fields.bytes("node id")?).map_err(|_| Damage::Malformed("node id"))?;
    NodeId::new(name).map_err(|_| Damage::Malformed("node id"))
}
