//! Sessions on disk. The layout is tabled in `docs/storage.md`.

use std::collections::BTreeMap;

use bytes::BufMut;
use catena_core::{Answered, Outcome, Refusal, Session, WallTime};

use super::frame::Fields;
use super::record::{parse_entry_id, parse_metadata, put_entry_id, put_metadata};
use crate::Damage;

const WRITTEN: u8 = 1;
const REMOVED: u8 = 2;
const ABSENT: u8 = 3;
const REFUSED: u8 = 4;
const REFUSED_ON: u8 = 5;

/// Writes a session, all but its name, which is in the record's key.
pub(super) fn put_session(out: &mut Vec<u8>, session: &Session) {
    out.put_u64(session.used_at.0);
    out.put_u64(session.answered_below);
    for (&number, Answered { entry, outcome }) in &session.answers {
        out.put_u64(number);
        put_entry_id(out, *entry);
        let (kind, object) = match outcome {
            Outcome::Written(Some(object)) => (WRITTEN, Some(object)),
            Outcome::Written(None) => (REMOVED, None),
            Outcome::Absent => (ABSENT, None),
            Outcome::Refused(Refusal { object: None }) => (REFUSED, None),
            Outcome::Refused(Refusal { object: Some(object) }) => (REFUSED_ON, Some(object)),
        };
        out.put_u8(kind);
        if let Some(object) = object {
            put_metadata(out, object);
        }
    }
}

pub(super) fn parse_session(body: &[u8]) -> Result<Session, Damage> {
    let mut fields = Fields(body);
    let used_at = WallTime(fields.u64("time")?);
    let answered_below = fields.u64("answered numbers")?;
    let mut answers = BTreeMap::new();
    while !fields.is_empty() {
        let number = fields.u64("number")?;
        if answers.last_key_value().is_some_and(|(last, _)| *last >= number) {
            return Err(Damage::Malformed("number"));
        }
        let entry = parse_entry_id(&mut fields)?;
        let outcome = match fields.u8("outcome")? {
            WRITTEN => Outcome::Written(Some(parse_metadata(&mut fields)?)),
            REMOVED => Outcome::Written(None),
            ABSENT => Outcome::Absent,
            REFUSED => Outcome::Refused(Refusal { object: None }),
            REFUSED_ON => Outcome::Refused(Refusal { object: Some(parse_metadata(&mut fields)?) }),
            _ => return Err(Damage::Malformed("outcome")),
        };
        answers.insert(number, Answered { entry, outcome });
    }
    Ok(Session { used_at, answered_below, answers })
}
