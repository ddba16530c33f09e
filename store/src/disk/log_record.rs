//! Entries on disk. The layout is tabled in `docs/storage.md`.

use bytes::{BufMut, Bytes};
use catena_core::{ChainVersion, Entry, EntryId, Operation, Origin, Refusal, Seq, WallTime};

use super::frame::{Fields, put_bytes};
use super::record::{PUT, PUT_APART, Placement, parse_metadata, put_metadata};
use crate::{Damage, StoreError};

/// A log record; its slot, generation and seq are its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogRecord {
    pub(super) version: ChainVersion,
    pub(super) previous: ChainVersion,
    pub(super) at: WallTime,
    pub(super) origin: Option<Origin>,
    pub(super) operation: LoggedOperation,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LoggedOperation {
    /// With all that belongs to it.
    Whole(Operation),
    /// A put whose value is apart.
    PutApart { key: Bytes, created_at: WallTime },
}

const DELETE: u8 = 3;
const NOTHING: u8 = 4;
const REFUSED: u8 = 5;
const REFUSED_ON: u8 = 6;
const OPEN_SESSION: u8 = 7;
const EXPIRE: u8 = 8;

fn kind(operation: &Operation) -> u8 {
    match operation {
        Operation::Put { value, .. } => match Placement::of(value) {
            Placement::Inline => PUT,
            Placement::Apart => PUT_APART,
        },
        Operation::Delete { .. } => DELETE,
        Operation::Nothing { refused: None } => NOTHING,
        Operation::Nothing { refused: Some(Refusal { object: None }) } => REFUSED,
        Operation::Nothing { refused: Some(Refusal { object: Some(_) }) } => REFUSED_ON,
        Operation::OpenSession => OPEN_SESSION,
        Operation::Expire { .. } => EXPIRE,
    }
}

/// Writes an entry's log record. A value to be stored apart is left out.
pub(super) fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    let kind = kind(&entry.operation);
    out.put_u8(kind);
    out.put_u64(entry.id.version.0);
    out.put_u64(entry.previous.0);
    out.put_u64(entry.at.0);
    out.put_u8(u8::from(entry.origin.is_some()));
    if let Some(Origin { session, number, answered_below }) = entry.origin {
        out.put_u64(session.0);
        out.put_u64(number);
        out.put_u64(answered_below);
    }
    match &entry.operation {
        Operation::Put { key, value, created_at } => {
            out.put_u64(created_at.0);
            put_bytes(out, key);
            if kind == PUT {
                out.extend_from_slice(value);
            }
        }
        Operation::Delete { key } => put_bytes(out, key),
        Operation::Nothing { refused: Some(Refusal { object: Some(object) }) } => put_metadata(out, object),
        Operation::Nothing { .. } | Operation::OpenSession => {}
        Operation::Expire { sessions } => sessions.iter().for_each(|session| out.put_u64(session.0)),
    }
}

impl LoggedOperation {
    /// The key that its value is of, if that is apart.
    pub(super) fn apart(&self) -> Option<&[u8]> {
        match self {
            LoggedOperation::PutApart { key, .. } => Some(key),
            LoggedOperation::Whole(_) => None,
        }
    }

    fn parse(kind: u8, fields: &mut Fields<'_>) -> Result<Self, Damage> {
        let refused = |object| Operation::Nothing { refused: Some(Refusal { object }) };
        Ok(LoggedOperation::Whole(match kind {
            PUT | PUT_APART => {
                let created_at = WallTime(fields.u64("creation time")?);
                let key = Bytes::copy_from_slice(fields.bytes("key")?);
                if kind == PUT_APART {
                    return Ok(LoggedOperation::PutApart { key, created_at });
                }
                let value = Bytes::copy_from_slice(fields.rest());
                if Placement::of(&value) == Placement::Apart {
                    return Err(Damage::Malformed("value"));
                }
                Operation::Put { key, value, created_at }
            }
            DELETE => Operation::Delete { key: Bytes::copy_from_slice(fields.bytes("key")?) },
            NOTHING => Operation::Nothing { refused: None },
            REFUSED => refused(None),
            REFUSED_ON => refused(Some(parse_metadata(fields)?)),
            OPEN_SESSION => Operation::OpenSession,
            EXPIRE => {
                let mut sessions = Vec::new();
                while !fields.is_empty() {
                    sessions.push(Seq(fields.u64("session")?));
                }
                Operation::Expire { sessions }
            }
            _ => return Err(Damage::Malformed("kind")),
        }))
    }
}

impl LogRecord {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Damage> {
        let mut fields = Fields(body);
        let kind = fields.u8("kind")?;
        let version = ChainVersion(fields.u64("version")?);
        let previous = ChainVersion(fields.u64("previous version")?);
        let at = WallTime(fields.u64("time")?);
        let origin = if fields.flag("origin")? {
            let (session, number) = (Seq(fields.u64("session")?), fields.u64("number")?);
            Some(Origin { session, number, answered_below: fields.u64("answered numbers")? })
        } else {
            None
        };
        let operation = LoggedOperation::parse(kind, &mut fields)?;
        fields.end()?;
        Ok(Self { version, previous, at, origin, operation })
    }

    /// The whole entry; `value` looks its value up, if that is apart, by the key that it is of.
    pub(super) fn entry(self, seq: Seq, value: impl FnOnce(&[u8]) -> Result<Bytes, StoreError>) -> Result<Entry, StoreError> {
        let Self { version, previous, at, origin, operation } = self;
        let operation = match operation {
            LoggedOperation::Whole(operation) => operation,
            LoggedOperation::PutApart { key, created_at } => {
                let value = value(&key)?;
                Operation::Put { key, value, created_at }
            }
        };
        Ok(Entry { id: EntryId { version, seq }, previous, at, origin, operation })
    }
}
