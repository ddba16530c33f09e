//! What a slot's state consists of on disk. Numbers are big-endian; layouts are tabled in `docs/storage.md`.

use bytes::{BufMut, Bytes};
use catena_core::{ChainVersion, EntryId, Metadata, Pin, Process, Seq, WallTime};

use super::chain_record::parse_node_id;
use super::frame::{Fields, put_bytes};
use super::keys::Generation;
use crate::Damage;

/// Values longer than this are stored once, in a record of their own (D4). 1 KiB: below it a second copy costs
/// less than a second lookup.
pub(super) const INLINE_BYTES: usize = 1024;

/// Where a record has its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// In the record.
    Inline,
    /// In `values`, under the slot, its generation and the entry's seq.
    Apart,
}

impl Placement {
    pub(super) fn of(value: &[u8]) -> Self {
        if value.len() > INLINE_BYTES { Placement::Apart } else { Placement::Inline }
    }
}

pub(super) const PUT: u8 = 1;
pub(super) const PUT_APART: u8 = 2;

/// An object record; its slot, generation and key are its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObjectRecord<'a> {
    pub(super) metadata: Metadata,
    pub(super) value: RecordedValue<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordedValue<'a> {
    Inline(&'a [u8]),
    /// Apart, under the object's version.
    Apart {
        len: u32,
    },
}

impl<'a> RecordedValue<'a> {
    pub(super) fn of(value: &'a [u8]) -> Self {
        match Placement::of(value) {
            Placement::Inline => RecordedValue::Inline(value),
            Placement::Apart => RecordedValue::Apart { len: u32::try_from(value.len()).expect("a value is far below 4 GiB") },
        }
    }

    pub(super) fn placement(&self) -> Placement {
        match self {
            RecordedValue::Inline(_) => Placement::Inline,
            RecordedValue::Apart { .. } => Placement::Apart,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            RecordedValue::Inline(value) => value.len(),
            RecordedValue::Apart { len } => *len as usize,
        }
    }
}

impl<'a> ObjectRecord<'a> {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(match self.value {
            RecordedValue::Inline(_) => PUT,
            RecordedValue::Apart { .. } => PUT_APART,
        });
        put_metadata(out, &self.metadata);
        match self.value {
            RecordedValue::Inline(value) => out.extend_from_slice(value),
            RecordedValue::Apart { len } => out.put_u32(len),
        }
    }

    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Damage> {
        let mut fields = Fields(body);
        let kind = fields.u8("kind")?;
        let metadata = parse_metadata(&mut fields)?;
        let value = match kind {
            PUT => RecordedValue::Inline(fields.rest()),
            PUT_APART => RecordedValue::Apart { len: fields.u32("value length")? },
            _ => return Err(Damage::Malformed("kind")),
        };
        fields.end()?;
        Ok(Self { metadata, value })
    }
}

/// How far a slot is applied and trimmed, and which generation its content is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StateRecord {
    pub(super) trim: EntryId,
    pub(super) at: WallTime,
    pub(super) generation: Generation,
    /// How many objects have their value apart: while it is 0, an overwrite need not look for one to remove.
    pub(super) apart: u64,
}

impl StateRecord {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_entry_id(out, self.trim);
        out.put_u64(self.at.0);
        out.put_u32(self.generation.0);
        out.put_u64(self.apart);
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, Damage> {
        let mut fields = Fields(body);
        let trim = parse_entry_id(&mut fields)?;
        let at = WallTime(fields.u64("time")?);
        let generation = Generation(fields.u32("generation")?);
        let apart = fields.u64("count of values")?;
        fields.end()?;
        Ok(Self { trim, at, generation, apart })
    }
}

/// A snapshot on its way in: what of it is staged, and in which generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StagingRecord {
    pub(super) generation: Generation,
    /// As in [`StateRecord`].
    pub(super) apart: u64,
    pub(super) pin: Pin,
    /// The last key staged.
    pub(super) last: Option<Bytes>,
}

impl StagingRecord {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.put_u32(self.generation.0);
        out.put_u64(self.apart);
        put_bytes(out, self.pin.source.as_str().as_bytes());
        out.put_u64(self.pin.process.0);
        put_entry_id(out, self.pin.at);
        out.put_u8(u8::from(self.last.is_some()));
        out.extend_from_slice(self.last.as_deref().unwrap_or_default());
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, Damage> {
        let mut fields = Fields(body);
        let generation = Generation(fields.u32("generation")?);
        let apart = fields.u64("count of values")?;
        let source = parse_node_id(&mut fields)?;
        let process = Process(fields.u64("process")?);
        let at = parse_entry_id(&mut fields)?;
        let last = fields.flag("last key")?.then(|| Bytes::copy_from_slice(fields.rest()));
        fields.end()?;
        Ok(Self { generation, apart, pin: Pin { source, process, at }, last })
    }
}

pub(super) fn put_metadata(out: &mut Vec<u8>, metadata: &Metadata) {
    out.put_u64(metadata.version.0);
    out.put_u64(metadata.created_at.0);
    out.put_u64(metadata.updated_at.0);
}

pub(super) fn parse_metadata(fields: &mut Fields<'_>) -> Result<Metadata, Damage> {
    Ok(Metadata {
        version: Seq(fields.u64("object version")?),
        created_at: WallTime(fields.u64("creation time")?),
        updated_at: WallTime(fields.u64("update time")?),
    })
}

pub(super) fn put_entry_id(out: &mut Vec<u8>, id: EntryId) {
    out.put_u64(id.version.0);
    out.put_u64(id.seq.0);
}

pub(super) fn parse_entry_id(fields: &mut Fields<'_>) -> Result<EntryId, Damage> {
    Ok(EntryId { version: ChainVersion(fields.u64("version")?), seq: Seq(fields.u64("seq")?) })
}
