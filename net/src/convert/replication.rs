//! What neighbours tell each other.

use catena_core::{
    Chain, ChainVersion, Entry, EntryId, Envelope, Identity, LogSummary, Message, NodeId, Operation, Origin, Process, Refusal,
    Seq, Slot, WallTime,
};

use super::{ConvertError, Result, all, cluster_id, each, id_bytes, incarnation, node_id, ranged, required};
use crate::proto;
use crate::proto::{entry, envelope};

/// The first frame of a link: who is at its other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The version of the protocol on the wire.
    pub wire_version: u32,
    /// Who.
    pub identity: Identity,
    /// The node that it means to be talking to.
    pub to: NodeId,
}

impl From<Hello> for proto::Hello {
    fn from(hello: Hello) -> Self {
        let Hello { wire_version, identity, to } = hello;
        Self {
            wire_version,
            cluster: id_bytes(identity.cluster.0),
            node: identity.node.as_str().to_owned(),
            incarnation: id_bytes(identity.incarnation.0),
            to: to.as_str().to_owned(),
            process: identity.process.0,
        }
    }
}

impl TryFrom<proto::Hello> for Hello {
    type Error = ConvertError;

    fn try_from(hello: proto::Hello) -> Result<Self> {
        let identity = Identity {
            cluster: cluster_id("hello.cluster", &hello.cluster)?,
            node: node_id("hello.node", &hello.node)?,
            incarnation: incarnation("hello.incarnation", &hello.incarnation)?,
            process: Process(hello.process),
        };
        Ok(Self { wire_version: hello.wire_version, identity, to: node_id("hello.to", &hello.to)? })
    }
}

impl From<Envelope> for proto::Envelope {
    fn from(envelope: Envelope) -> Self {
        Self { slot: envelope.slot.0, version: envelope.version.0, message: Some(envelope.message.into()) }
    }
}

impl TryFrom<proto::Envelope> for Envelope {
    type Error = ConvertError;

    fn try_from(envelope: proto::Envelope) -> Result<Self> {
        let message: Message = required("envelope.message", envelope.message)?.try_into()?;
        if let Message::Newer { chain } = &message {
            ranged("newer.chain.slot", chain.slot.0.into(), envelope.slot.into(), envelope.slot.into())?;
        }
        Ok(Self { slot: Slot(envelope.slot), version: ChainVersion(envelope.version), message })
    }
}

impl From<Message> for envelope::Message {
    fn from(message: Message) -> Self {
        match message {
            Message::Hello => Self::Hello(envelope::Unmatched {}),
            Message::Probe { log, barrier } => {
                Self::Probe(envelope::Probe { trim: present(log.trim), runs: each(log.runs), barrier: barrier.0 })
            }
            Message::Have { last } => Self::Have(envelope::Have { last: last.0 }),
            Message::Append { entries, durable } => Self::Append(envelope::Append { entries: each(entries), durable: durable.0 }),
            Message::Poke { last, durable } => Self::Poke(envelope::Poke { last: present(last), durable: durable.0 }),
            Message::Ack { committed, disk_full } => Self::Ack(envelope::Ack { committed: committed.0, disk_full }),
            Message::Newer { chain } => Self::Newer(envelope::Newer { chain: Some(chain.into()) }),
            Message::Fetch { pin, after } => Self::Fetch(envelope::Fetch { pin: pin.map(Into::into), after }),
            Message::Chunk(chunk) => Self::Chunk(chunk.into()),
        }
    }
}

/// Nothing for the zero id: the empty history.
pub(super) fn present(id: EntryId) -> Option<proto::EntryId> {
    (id != EntryId::default()).then(|| id.into())
}

impl TryFrom<envelope::Message> for Message {
    type Error = ConvertError;

    fn try_from(message: envelope::Message) -> Result<Self> {
        Ok(match message {
            envelope::Message::Hello(envelope::Unmatched {}) => Self::Hello,
            envelope::Message::Probe(probe) => Self::Probe { barrier: Seq(probe.barrier), log: log_summary(probe)? },
            envelope::Message::Have(have) => Self::Have { last: Seq(have.last) },
            envelope::Message::Append(append) => Self::Append { entries: linked(append.entries)?, durable: Seq(append.durable) },
            envelope::Message::Poke(poke) => Self::Poke { last: entry_id(poke.last), durable: Seq(poke.durable) },
            envelope::Message::Ack(ack) => Self::Ack { committed: Seq(ack.committed), disk_full: ack.disk_full },
            envelope::Message::Newer(newer) => Self::Newer { chain: chain(newer)? },
            envelope::Message::Fetch(fetch) => {
                Self::Fetch { pin: fetch.pin.map(TryInto::try_into).transpose()?, after: fetch.after }
            }
            envelope::Message::Chunk(chunk) => Self::Chunk(chunk.try_into()?),
        })
    }
}

fn chain(newer: envelope::Newer) -> Result<Chain> {
    required("newer.chain", newer.chain)?.try_into()
}

pub(super) fn entry_id(id: Option<proto::EntryId>) -> EntryId {
    id.map(EntryId::from).unwrap_or_default()
}

fn log_summary(probe: envelope::Probe) -> Result<LogSummary> {
    let trim = entry_id(probe.trim);
    let runs: Vec<EntryId> = probe.runs.into_iter().map(EntryId::from).collect();
    let mut last = trim.seq;
    for (index, run) in runs.iter().enumerate() {
        if run.seq <= last {
            return Err(ConvertError::Order { field: "probe.runs", index });
        }
        last = run.seq;
    }
    Ok(LogSummary { trim, runs })
}

/// Entries of which each names the one before it.
fn linked(entries: Vec<proto::Entry>) -> Result<Vec<Entry>> {
    let entries: Vec<Entry> = all(entries)?;
    match entries.windows(2).position(|pair| pair[1].previous_id() != pair[0].id) {
        Some(before) => Err(ConvertError::Order { field: "append.entries", index: before + 1 }),
        None => Ok(entries),
    }
}

impl From<Entry> for proto::Entry {
    fn from(entry: Entry) -> Self {
        Self {
            version: entry.id.version.0,
            seq: entry.id.seq.0,
            previous_version: entry.previous.0,
            at_ns: entry.at.0,
            origin: entry.origin.map(Into::into),
            operation: Some(entry.operation.into()),
        }
    }
}

impl TryFrom<proto::Entry> for Entry {
    type Error = ConvertError;

    fn try_from(entry: proto::Entry) -> Result<Self> {
        let seq = ranged("entry.seq", entry.seq, 1, u64::MAX)?;
        Ok(Self {
            id: EntryId { version: ChainVersion(entry.version), seq: Seq(seq) },
            previous: ChainVersion(entry.previous_version),
            at: WallTime(entry.at_ns),
            origin: entry.origin.map(Into::into),
            operation: required("entry.operation", entry.operation)?.into(),
        })
    }
}

impl From<Operation> for entry::Operation {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Put { key, value, created_at } => Self::Put(entry::Put { key, value, created_at_ns: created_at.0 }),
            Operation::Delete { key } => Self::Delete(entry::Delete { key }),
            Operation::Nothing { refused } => Self::Nothing(entry::Nothing { refused: refused.map(Into::into) }),
            Operation::OpenSession => Self::OpenSession(entry::OpenSession {}),
            Operation::Expire { sessions } => {
                Self::Expire(entry::Expire { sessions: sessions.into_iter().map(|session| session.0).collect() })
            }
        }
    }
}

impl From<entry::Operation> for Operation {
    fn from(operation: entry::Operation) -> Self {
        match operation {
            entry::Operation::Put(put) => Self::Put { key: put.key, value: put.value, created_at: WallTime(put.created_at_ns) },
            entry::Operation::Delete(delete) => Self::Delete { key: delete.key },
            entry::Operation::Nothing(nothing) => Self::Nothing { refused: nothing.refused.map(Into::into) },
            entry::Operation::OpenSession(entry::OpenSession {}) => Self::OpenSession,
            entry::Operation::Expire(expire) => Self::Expire { sessions: expire.sessions.into_iter().map(Seq).collect() },
        }
    }
}

impl From<Origin> for proto::Origin {
    fn from(origin: Origin) -> Self {
        let Origin { session, number, answered_below } = origin;
        Self { session: session.0, number, answered_below }
    }
}

impl From<proto::Origin> for Origin {
    fn from(origin: proto::Origin) -> Self {
        let proto::Origin { session, number, answered_below } = origin;
        Self { session: Seq(session), number, answered_below }
    }
}

impl From<Refusal> for proto::Refusal {
    fn from(refusal: Refusal) -> Self {
        Self { object: refusal.object.map(Into::into) }
    }
}

impl From<proto::Refusal> for Refusal {
    fn from(refusal: proto::Refusal) -> Self {
        Self { object: refusal.object.map(Into::into) }
    }
}
