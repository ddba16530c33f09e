//! Refusals and their details.

use std::time::Duration;

use catena_core::{
    CallError, Kind, Metadata, MismatchReason, OrderError, RegisterError, Resource, Role, RoutingMismatch, Seq, Slot,
};

use super::{ConvertError, Number, Result, cluster_id, enumeration, id_bytes, incarnation, node_id, required, size};
use crate::Refusal;
use crate::proto;
use crate::proto::error_detail::Reason;

enumeration!(Role, proto::Role, "routing.role": Head, Middle, Tail, Only, Joining, None);
enumeration!(
    MismatchReason, proto::MismatchReason, "routing.reason": NoReplica, WrongVersion, WrongRole, Inactive, Damaged
);
enumeration!(
    Resource, proto::Resource, "backpressure.resource":
    SlotWrites, SlotBytes, NodeWrites, NodeBytes, SlotSessions, SessionWrites, NodeAnswers
);

impl From<Kind> for proto::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::NotExecuted => Self::NotExecuted,
            Kind::Unknown => Self::Unknown,
        }
    }
}

impl From<Refusal> for proto::ErrorDetail {
    fn from(refusal: Refusal) -> Self {
        let kind = proto::Kind::from(refusal.kind()).into();
        let reason = match refusal {
            Refusal::Call(error) => error.into(),
            Refusal::Register(error) => error.into(),
            Refusal::Order(error) => error.into(),
            Refusal::NotLeading => Reason::NotLeading(proto::NotLeading {}),
            Refusal::TooSlow => Reason::TooSlow(proto::TooSlow {}),
            Refusal::TimedOut { waited_ms } => Reason::TimedOut(proto::TimedOut { waited_ms }),
            Refusal::Abandoned => Reason::Abandoned(proto::Abandoned {}),
            Refusal::Stopping => Reason::Stopping(proto::Stopping {}),
            Refusal::WrongCluster { given, here } => {
                Reason::WrongCluster(proto::WrongCluster { given: id_bytes(given.0), here: id_bytes(here.0) })
            }
            Refusal::WrongWireVersion { given, here } => Reason::WrongWireVersion(proto::WrongWireVersion { given, here }),
            Refusal::WrongNode { expected, found } => {
                Reason::WrongNode(proto::WrongNode { expected: expected.as_str().to_owned(), found: found.as_str().to_owned() })
            }
            Refusal::MessageTooLarge { limit } => Reason::MessageTooLarge(proto::MessageTooLarge { limit }),
            Refusal::Malformed { problem } => Reason::Malformed(proto::Malformed { problem }),
        };
        Self { kind, reason: Some(reason) }
    }
}

impl From<CallError> for Reason {
    fn from(error: CallError) -> Self {
        match error {
            CallError::KeyEmpty => Self::KeyEmpty(proto::KeyEmpty {}),
            CallError::KeyTooLong { len, limit } => Self::KeyTooLong(proto::KeyTooLong { len: len as u64, limit: limit as u64 }),
            CallError::ValueTooLarge { len, limit } => {
                Self::ValueTooLarge(proto::ValueTooLarge { len: len as u64, limit: limit as u64 })
            }
            CallError::UnknownSlot { slot, slots } => Self::UnknownSlot(proto::UnknownSlot { slot: slot.0, slots }),
            CallError::Routing(mismatch) => Self::Routing(mismatch.into()),
            CallError::NoLease { slot } => Self::NoLease(proto::NoLease { slot: slot.0 }),
            CallError::NotCaughtUp { slot } => Self::NotCaughtUp(proto::NotCaughtUp { slot: slot.0 }),
            CallError::DiskFull { slot } => Self::DiskFull(proto::DiskFull { slot: slot.0 }),
            CallError::ConditionFailed { object } => {
                Self::ConditionFailed(proto::ConditionFailed { object: object.map(Into::into) })
            }
            CallError::Backpressure { slot, resource, current, limit, retry_after } => Self::Backpressure(proto::Backpressure {
                slot: slot.0,
                resource: proto::Resource::from(resource).into(),
                current,
                limit,
                retry_after_ms: millis(retry_after),
            }),
            CallError::OutcomeUnknown { slot } => Self::OutcomeUnknown(proto::OutcomeUnknown { slot: slot.0 }),
            CallError::SessionExpired { slot, session } => {
                Self::SessionExpired(proto::SessionExpired { slot: slot.0, session: session.0 })
            }
            CallError::AlreadyAnswered { slot, session, number } => {
                Self::AlreadyAnswered(proto::AlreadyAnswered { slot: slot.0, session: session.0, number })
            }
        }
    }
}

impl From<RegisterError> for Reason {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::NotLeading => Self::NotLeading(proto::NotLeading {}),
            RegisterError::Elsewhere { node, address, incarnation } => Self::Elsewhere(proto::Elsewhere {
                node: node.as_str().to_owned(),
                address,
                incarnation: id_bytes(incarnation.0),
            }),
            RegisterError::AddressTaken { node, address, taken_by } => Self::AddressTaken(proto::AddressTaken {
                node: node.as_str().to_owned(),
                address,
                taken_by: taken_by.as_str().to_owned(),
            }),
            RegisterError::OtherLabels { node, recorded, given } => {
                Self::OtherLabels(proto::OtherLabels { node: node.as_str().to_owned(), recorded, given })
            }
        }
    }
}

impl From<OrderError> for Reason {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::NotLeading => Self::NotLeading(proto::NotLeading {}),
            OrderError::UnknownNode { node, known } => {
                Self::UnknownNode(proto::UnknownNode { node: node.as_str().to_owned(), known })
            }
            OrderError::NoRoom { slot, node, replicas, possible } => {
                Self::NoRoom(proto::NoRoom { slot: slot.0, node: node.as_str().to_owned(), replicas, possible })
            }
            OrderError::LastCopy { slot, node } => {
                Self::LastCopy(proto::LastCopy { slot: slot.0, node: node.as_str().to_owned() })
            }
            OrderError::NotOut { node } => Self::NotOut(proto::NotOut { node: node.as_str().to_owned() }),
        }
    }
}

impl TryFrom<proto::ErrorDetail> for Refusal {
    type Error = ConvertError;

    fn try_from(detail: proto::ErrorDetail) -> Result<Self> {
        Ok(match required("error_detail.reason", detail.reason)? {
            Reason::KeyEmpty(proto::KeyEmpty {}) => CallError::KeyEmpty.into(),
            Reason::KeyTooLong(error) => key_too_long(&error)?.into(),
            Reason::ValueTooLarge(error) => value_too_large(&error)?.into(),
            Reason::UnknownSlot(error) => CallError::UnknownSlot { slot: Slot(error.slot), slots: error.slots }.into(),
            Reason::Routing(mismatch) => CallError::Routing(mismatch.try_into()?).into(),
            Reason::NoLease(error) => CallError::NoLease { slot: Slot(error.slot) }.into(),
            Reason::NotCaughtUp(error) => CallError::NotCaughtUp { slot: Slot(error.slot) }.into(),
            Reason::DiskFull(error) => CallError::DiskFull { slot: Slot(error.slot) }.into(),
            Reason::ConditionFailed(error) => CallError::ConditionFailed { object: error.object.map(Metadata::from) }.into(),
            Reason::Backpressure(error) => backpressure(&error)?.into(),
            Reason::OutcomeUnknown(error) => CallError::OutcomeUnknown { slot: Slot(error.slot) }.into(),
            Reason::SessionExpired(error) => {
                CallError::SessionExpired { slot: Slot(error.slot), session: Seq(error.session) }.into()
            }
            Reason::AlreadyAnswered(error) => already_answered(&error).into(),
            Reason::Elsewhere(error) => Self::Register(elsewhere(error)?),
            Reason::AddressTaken(error) => Self::Register(address_taken(error)?),
            Reason::OtherLabels(error) => Self::Register(other_labels(error)?),
            Reason::UnknownNode(error) => Self::Order(unknown_node(error)?),
            Reason::NoRoom(error) => Self::Order(no_room(&error)?),
            Reason::LastCopy(error) => Self::Order(last_copy(&error)?),
            Reason::NotOut(error) => Self::Order(OrderError::NotOut { node: node_id("not_out.node", &error.node)? }),
            Reason::NotLeading(proto::NotLeading {}) => Self::NotLeading,
            Reason::TooSlow(proto::TooSlow {}) => Self::TooSlow,
            Reason::TimedOut(error) => Self::TimedOut { waited_ms: error.waited_ms },
            Reason::Abandoned(proto::Abandoned {}) => Self::Abandoned,
            Reason::Stopping(proto::Stopping {}) => Self::Stopping,
            Reason::WrongCluster(error) => wrong_cluster(&error)?,
            Reason::WrongWireVersion(error) => Self::WrongWireVersion { given: error.given, here: error.here },
            Reason::WrongNode(error) => wrong_node(&error)?,
            Reason::MessageTooLarge(error) => Self::MessageTooLarge { limit: error.limit },
            Reason::Malformed(error) => Self::Malformed { problem: error.problem },
        })
    }
}

/// Of a duration far below an age.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("not for ever")
}

fn key_too_long(error: &proto::KeyTooLong) -> Result<CallError> {
    Ok(CallError::KeyTooLong { len: size("key_too_long.len", error.len)?, limit: size("key_too_long.limit", error.limit)? })
}

fn value_too_large(error: &proto::ValueTooLarge) -> Result<CallError> {
    let (len, limit) = (size("value_too_large.len", error.len)?, size("value_too_large.limit", error.limit)?);
    Ok(CallError::ValueTooLarge { len, limit })
}

fn backpressure(error: &proto::Backpressure) -> Result<CallError> {
    let resource = Number::new(error.resource).try_into()?;
    let proto::Backpressure { slot, current, limit, retry_after_ms, .. } = *error;
    let retry_after = Duration::from_millis(retry_after_ms);
    Ok(CallError::Backpressure { slot: Slot(slot), resource, current, limit, retry_after })
}

fn already_answered(error: &proto::AlreadyAnswered) -> CallError {
    CallError::AlreadyAnswered { slot: Slot(error.slot), session: Seq(error.session), number: error.number }
}

fn elsewhere(error: proto::Elsewhere) -> Result<RegisterError> {
    let node = node_id("elsewhere.node", &error.node)?;
    let incarnation = incarnation("elsewhere.incarnation", &error.incarnation)?;
    Ok(RegisterError::Elsewhere { node, address: error.address, incarnation })
}

fn address_taken(error: proto::AddressTaken) -> Result<RegisterError> {
    let node = node_id("address_taken.node", &error.node)?;
    let taken_by = node_id("address_taken.taken_by", &error.taken_by)?;
    Ok(RegisterError::AddressTaken { node, address: error.address, taken_by })
}

fn other_labels(error: proto::OtherLabels) -> Result<RegisterError> {
    let node = node_id("other_labels.node", &error.node)?;
    Ok(RegisterError::OtherLabels { node, recorded: error.recorded, given: error.given })
}

fn unknown_node(error: proto::UnknownNode) -> Result<OrderError> {
    Ok(OrderError::UnknownNode { node: node_id("unknown_node.node", &error.node)?, known: error.known })
}

fn no_room(error: &proto::NoRoom) -> Result<OrderError> {
    let node = node_id("no_room.node", &error.node)?;
    Ok(OrderError::NoRoom { slot: Slot(error.slot), node, replicas: error.replicas, possible: error.possible })
}

fn last_copy(error: &proto::LastCopy) -> Result<OrderError> {
    Ok(OrderError::LastCopy { slot: Slot(error.slot), node: node_id("last_copy.node", &error.node)? })
}

fn wrong_cluster(error: &proto::WrongCluster) -> Result<Refusal> {
    let given = cluster_id("wrong_cluster.given", &error.given)?;
    Ok(Refusal::WrongCluster { given, here: cluster_id("wrong_cluster.here", &error.here)? })
}

fn wrong_node(error: &proto::WrongNode) -> Result<Refusal> {
    let expected = node_id("wrong_node.expected", &error.expected)?;
    Ok(Refusal::WrongNode { expected, found: node_id("wrong_node.found", &error.found)? })
}

impl From<RoutingMismatch> for proto::RoutingMismatch {
    fn from(mismatch: RoutingMismatch) -> Self {
        Self {
            slot: mismatch.slot.0,
            expected: mismatch.expected.0,
            current: mismatch.current.0,
            role: proto::Role::from(mismatch.role).into(),
            reason: proto::MismatchReason::from(mismatch.reason).into(),
        }
    }
}

impl TryFrom<proto::RoutingMismatch> for RoutingMismatch {
    type Error = ConvertError;

    fn try_from(mismatch: proto::RoutingMismatch) -> Result<Self> {
        Ok(Self {
            slot: Slot(mismatch.slot),
            expected: catena_core::ChainVersion(mismatch.expected),
            current: catena_core::ChainVersion(mismatch.current),
            role: Number::new(mismatch.role).try_into()?,
            reason: Number::new(mismatch.reason).try_into()?,
        })
    }
}
