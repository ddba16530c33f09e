//! Calls of clients and their results.

use bytes::Bytes;
use catena_core::{
    Action, ChainVersion, ClusterId, Command, Comparison, Condition, EntryId, Metadata, Object, Origin, Seq, Slot, Target,
    WallTime, mutant,
};

use super::{ConvertError, Number, Result, all, cluster_bytes, each, enumeration, optional_cluster_id, ranged, required};
use crate::proto;
use crate::proto::condition::{Test, UpdatedAtTest, VersionTest};

/// A read as it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadCall {
    /// The cluster that the caller means, if it says so.
    pub cluster: Option<ClusterId>,
    /// Where its route sent it.
    pub target: Target,
    /// Which object.
    pub key: Bytes,
}

/// A write as it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteCall {
    /// The cluster that the caller means, if it says so.
    pub cluster: Option<ClusterId>,
    /// Where its route sent it.
    pub target: Target,
    /// What to do.
    pub command: Command,
    /// Under which session, if any.
    pub origin: Option<Origin>,
}

/// The opening of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenCall {
    /// The cluster that the caller means, if it says so.
    pub cluster: Option<ClusterId>,
    /// Where its route sent it.
    pub target: Target,
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The key's slot.
    pub slot: Slot,
    /// The chain version that the replica answered in.
    pub version: ChainVersion,
    /// The object; `None`: there is none.
    pub object: Option<Object>,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The key's slot.
    pub slot: Slot,
    /// Where the write stands in the slot's history; `None`: there was no object to delete.
    pub entry: Option<EntryId>,
    /// The object as written; `None` after a delete.
    pub object: Option<Metadata>,
}

/// An open session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The slot that it is of.
    pub slot: Slot,
    /// Its name.
    pub session: Seq,
}

/// The most conditions that a write may have. Chosen here: more than there are kinds, few enough to weigh nothing.
const CONDITIONS: usize = 16;

fn conditions(given: Vec<proto::Condition>) -> Result<Vec<Condition>> {
    ranged("conditions", given.len() as u64, 0, CONDITIONS as u64)?;
    all(given)
}

fn target(slot: u32, version: u64) -> Target {
    Target { slot: Slot(slot), version: ChainVersion(version) }
}

/// The request for a read. `cluster` is the cluster's id as bytes, or empty.
pub(crate) fn get_request(cluster: Bytes, target: Target, key: Bytes) -> proto::GetRequest {
    proto::GetRequest { cluster, slot: target.slot.0, chain_version: target.version.0, key }
}

/// The request for a put. `cluster` is the cluster's id as bytes, or empty.
pub(crate) fn put_request(
    cluster: Bytes,
    target: Target,
    key: Bytes,
    value: Bytes,
    conditions: Vec<Condition>,
    origin: Option<Origin>,
) -> proto::PutRequest {
    let (slot, chain_version, session) = (target.slot.0, target.version.0, origin.map(Into::into));
    proto::PutRequest { cluster, slot, chain_version, key, value, conditions: each(conditions), session }
}

/// The request for a delete. `cluster` is the cluster's id as bytes, or empty.
pub(crate) fn delete_request(
    cluster: Bytes,
    target: Target,
    key: Bytes,
    conditions: Vec<Condition>,
    origin: Option<Origin>,
) -> proto::DeleteRequest {
    let (slot, chain_version, session) = (target.slot.0, target.version.0, origin.map(Into::into));
    proto::DeleteRequest { cluster, slot, chain_version, key, conditions: each(conditions), session }
}

impl From<OpenCall> for proto::OpenSessionRequest {
    fn from(call: OpenCall) -> Self {
        let OpenCall { cluster, target } = call;
        let cluster = cluster.map(cluster_bytes).unwrap_or_default();
        Self { cluster, slot: target.slot.0, chain_version: target.version.0 }
    }
}

impl From<Origin> for proto::SessionWrite {
    fn from(origin: Origin) -> Self {
        let Origin { session, number, answered_below } = origin;
        Self { session: session.0, number, answered_below }
    }
}

impl TryFrom<proto::SessionWrite> for Origin {
    type Error = ConvertError;

    fn try_from(write: proto::SessionWrite) -> Result<Self> {
        let session = Seq(ranged("session.session", write.session, 1, u64::MAX)?);
        let answered_below = ranged("session.answered_below", write.answered_below, 0, write.number)?;
        Ok(Self { session, number: write.number, answered_below })
    }
}

impl TryFrom<proto::GetRequest> for ReadCall {
    type Error = ConvertError;

    fn try_from(request: proto::GetRequest) -> Result<Self> {
        Ok(Self {
            cluster: optional_cluster_id("get.cluster", &request.cluster)?,
            target: target(request.slot, request.chain_version),
            key: request.key,
        })
    }
}

impl TryFrom<proto::PutRequest> for WriteCall {
    type Error = ConvertError;

    fn try_from(request: proto::PutRequest) -> Result<Self> {
        Ok(Self {
            cluster: optional_cluster_id("put.cluster", &request.cluster)?,
            target: target(request.slot, request.chain_version),
            command: Command {
                key: request.key,
                action: Action::Put {
                    value: if mutant!(TextOnly) {
                        String::from_utf8_lossy(&request.value).into_owned().into()
                    } else {
                        request.value
                    },
                },
                conditions: conditions(request.conditions)?,
            },
            origin: request.session.map(Origin::try_from).transpose()?,
        })
    }
}

impl TryFrom<proto::DeleteRequest> for WriteCall {
    type Error = ConvertError;

    fn try_from(request: proto::DeleteRequest) -> Result<Self> {
        Ok(Self {
            cluster: optional_cluster_id("delete.cluster", &request.cluster)?,
            target: target(request.slot, request.chain_version),
            command: Command { key: request.key, action: Action::Delete, conditions: conditions(request.conditions)? },
            origin: request.session.map(Origin::try_from).transpose()?,
        })
    }
}

impl TryFrom<proto::OpenSessionRequest> for OpenCall {
    type Error = ConvertError;

    fn try_from(request: proto::OpenSessionRequest) -> Result<Self> {
        let cluster = optional_cluster_id("open_session.cluster", &request.cluster)?;
        Ok(Self { cluster, target: target(request.slot, request.chain_version) })
    }
}

enumeration!(Comparison, proto::Comparison, "condition.comparison": Eq, Lt, Lte, Gt, Gte);

impl From<Condition> for proto::Condition {
    fn from(condition: Condition) -> Self {
        let comparison = |comparison| proto::Comparison::from(comparison).into();
        let test = match condition {
            Condition::Exists(exists) => Test::Exists(exists),
            Condition::Version(how, version) => Test::Version(VersionTest { comparison: comparison(how), version: version.0 }),
            Condition::UpdatedAt(how, at) => Test::UpdatedAt(UpdatedAtTest { comparison: comparison(how), updated_at_ns: at.0 }),
        };
        Self { test: Some(test) }
    }
}

impl TryFrom<proto::Condition> for Condition {
    type Error = ConvertError;

    fn try_from(condition: proto::Condition) -> Result<Self> {
        let comparison = |value| Comparison::try_from(Number::<proto::Comparison>::new(value));
        Ok(match required("condition.test", condition.test)? {
            Test::Exists(exists) => Self::Exists(exists),
            Test::Version(test) => Self::Version(comparison(test.comparison)?, Seq(test.version)),
            Test::UpdatedAt(test) => Self::UpdatedAt(comparison(test.comparison)?, WallTime(test.updated_at_ns)),
        })
    }
}

/// A read's answer. Panics on a write's: the node has answered another question than was asked.
#[cfg(any(feature = "server", test))]
pub(crate) fn get_response(slot: Slot, reply: catena_core::Reply) -> proto::GetResponse {
    let catena_core::Reply::Read { version, object } = reply else { panic!("a read was answered by {reply:?}") };
    let (slot, chain_version, found) = (slot.0, version.0, object.is_some());
    let (value, metadata) = object.map(|object| (object.value, object.metadata.into())).unzip();
    proto::GetResponse { slot, chain_version, found, value: value.unwrap_or_default(), metadata }
}

/// A put's answer. `None`: it is the answer to a delete.
#[cfg(any(feature = "server", test))]
pub(crate) fn put_response(slot: Slot, reply: &catena_core::Reply) -> Option<proto::PutResponse> {
    let catena_core::Reply::Written { entry: Some(entry), object: Some(object) } = reply else { return None };
    let (chain_version, seq) = (entry.version.0, entry.seq.0);
    Some(proto::PutResponse { slot: slot.0, chain_version, seq, metadata: Some((*object).into()) })
}

/// A delete's answer. `None`: it is the answer to a put.
#[cfg(any(feature = "server", test))]
pub(crate) fn delete_response(slot: Slot, reply: &catena_core::Reply) -> Option<proto::DeleteResponse> {
    let catena_core::Reply::Written { entry, object: None } = reply else { return None };
    let EntryId { version, seq } = entry.unwrap_or_default();
    Some(proto::DeleteResponse { slot: slot.0, applied: entry.is_some(), chain_version: version.0, seq: seq.0 })
}

/// The answer to the opening of a session. Panics on any other: the node has answered another question than was asked.
#[cfg(any(feature = "server", test))]
pub(crate) fn open_session_response(slot: Slot, reply: &catena_core::Reply) -> proto::OpenSessionResponse {
    let catena_core::Reply::Opened { session } = reply else { panic!("the opening of a session was answered by {reply:?}") };
    proto::OpenSessionResponse { slot: slot.0, session: session.0 }
}

impl TryFrom<proto::GetResponse> for Found {
    type Error = ConvertError;

    fn try_from(response: proto::GetResponse) -> Result<Self> {
        let object = match (response.found, response.metadata) {
            (false, _) => None,
            (true, None) => return Err(ConvertError::Missing { field: "get_response.metadata" }),
            (true, Some(metadata)) => Some(Object { value: response.value, metadata: metadata.into() }),
        };
        Ok(Self { slot: Slot(response.slot), version: ChainVersion(response.chain_version), object })
    }
}

impl TryFrom<proto::PutResponse> for Written {
    type Error = ConvertError;

    fn try_from(response: proto::PutResponse) -> Result<Self> {
        Ok(Self {
            slot: Slot(response.slot),
            entry: Some(EntryId { version: ChainVersion(response.chain_version), seq: Seq(response.seq) }),
            object: Some(required("put_response.metadata", response.metadata)?.into()),
        })
    }
}

impl From<proto::DeleteResponse> for Written {
    fn from(response: proto::DeleteResponse) -> Self {
        let entry = EntryId { version: ChainVersion(response.chain_version), seq: Seq(response.seq) };
        Self { slot: Slot(response.slot), entry: response.applied.then_some(entry), object: None }
    }
}

impl TryFrom<proto::OpenSessionResponse> for Opened {
    type Error = ConvertError;

    fn try_from(response: proto::OpenSessionResponse) -> Result<Self> {
        let session = ranged("open_session_response.session", response.session, 1, u64::MAX)?;
        Ok(Self { slot: Slot(response.slot), session: Seq(session) })
    }
}
