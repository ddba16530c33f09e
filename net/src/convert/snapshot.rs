//! Snapshots of a slot's state, in parts.

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::{Answered, Chunk, Object, Outcome, Pin, Process, Seq, Session, SnapshotEnd, WallTime};

use super::replication::{entry_id, present};
use super::{ConvertError, Result, each, node_id, ordered, required};
use crate::proto;
use crate::proto::{answered, chunk};

impl From<Pin> for proto::Pin {
    fn from(pin: Pin) -> Self {
        Self { source: pin.source.as_str().to_owned(), process: pin.process.0, at: present(pin.at) }
    }
}

impl TryFrom<proto::Pin> for Pin {
    type Error = ConvertError;

    fn try_from(pin: proto::Pin) -> Result<Self> {
        Ok(Self { source: node_id("pin.source", &pin.source)?, process: Process(pin.process), at: entry_id(pin.at) })
    }
}

impl From<Chunk> for proto::Chunk {
    fn from(chunk: Chunk) -> Self {
        let Chunk { pin, after, objects, end, checksum } = chunk;
        Self { pin: Some(pin.into()), after, objects: each(objects), end: end.map(Into::into), checksum }
    }
}

/// The checksum is the core's to compare: it vouches for the way from disk to disk.
impl TryFrom<proto::Chunk> for Chunk {
    type Error = ConvertError;

    fn try_from(chunk: proto::Chunk) -> Result<Self> {
        let objects: Vec<(Bytes, Object)> = chunk.objects.into_iter().map(keyed).collect::<Result<_>>()?;
        ordered("chunk.objects", &objects, |(key, _)| key.clone())?;
        let begins_before = |after: &Bytes| objects.first().is_some_and(|(first, _)| first <= after);
        if chunk.after.as_ref().is_some_and(begins_before) {
            return Err(ConvertError::Order { field: "chunk.objects", index: 0 });
        }
        Ok(Self {
            pin: required("chunk.pin", chunk.pin)?.try_into()?,
            after: chunk.after,
            objects,
            end: chunk.end.map(TryInto::try_into).transpose()?,
            checksum: chunk.checksum,
        })
    }
}

impl From<(Bytes, Object)> for chunk::Object {
    fn from((key, object): (Bytes, Object)) -> Self {
        Self { key, value: object.value, metadata: Some(object.metadata.into()) }
    }
}

fn keyed(object: chunk::Object) -> Result<(Bytes, Object)> {
    let metadata = required("chunk.objects.metadata", object.metadata)?.into();
    Ok((object.key, Object { value: object.value, metadata }))
}

impl From<SnapshotEnd> for chunk::End {
    fn from(end: SnapshotEnd) -> Self {
        Self { at_ns: end.at_time.0, sessions: each(end.sessions) }
    }
}

impl TryFrom<chunk::End> for SnapshotEnd {
    type Error = ConvertError;

    fn try_from(end: chunk::End) -> Result<Self> {
        let sessions: Vec<(Seq, Session)> = end.sessions.into_iter().map(named).collect::<Result<_>>()?;
        ordered("chunk.end.sessions", &sessions, |(name, _)| *name)?;
        Ok(Self { at_time: WallTime(end.at_ns), sessions })
    }
}

impl From<(Seq, Session)> for proto::Session {
    fn from((name, session): (Seq, Session)) -> Self {
        let Session { used_at, answered_below, answers } = session;
        Self { session: name.0, used_at_ns: used_at.0, answered_below, answers: answers.into_iter().map(Into::into).collect() }
    }
}

fn named(session: proto::Session) -> Result<(Seq, Session)> {
    ordered("session.answers", &session.answers, |answered| answered.number)?;
    let answers: Vec<(u64, Answered)> = session.answers.into_iter().map(numbered).collect::<Result<_>>()?;
    let (used_at, answered_below) = (WallTime(session.used_at_ns), session.answered_below);
    Ok((Seq(session.session), Session { used_at, answered_below, answers: BTreeMap::from_iter(answers) }))
}

impl From<(u64, Answered)> for proto::Answered {
    fn from((number, answered): (u64, Answered)) -> Self {
        let outcome = match answered.outcome {
            Outcome::Written(object) => answered::Outcome::Written(answered::Written { object: object.map(Into::into) }),
            Outcome::Absent => answered::Outcome::Absent(answered::Absent {}),
            Outcome::Refused(refusal) => answered::Outcome::Refused(refusal.into()),
        };
        Self { number, entry: Some(answered.entry.into()), outcome: Some(outcome) }
    }
}

fn numbered(answered: proto::Answered) -> Result<(u64, Answered)> {
    let outcome = match required("answered.outcome", answered.outcome)? {
        answered::Outcome::Written(written) => Outcome::Written(written.object.map(Into::into)),
        answered::Outcome::Absent(answered::Absent {}) => Outcome::Absent,
        answered::Outcome::Refused(refusal) => Outcome::Refused(refusal.into()),
    };
    let entry = required("answered.entry", answered.entry)?.into();
    Ok((answered.number, Answered { entry, outcome }))
}
