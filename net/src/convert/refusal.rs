//! Refusals and their details.

use catena_core::{CallError, Kind, Metadata, MismatchReason, RegisterError, Resource, Role, RoutingMismatch, Slot};

use super::{ConvertError, Number, Result, cluster_id, enumeration, id_bytes, incarnation, node_id, required, size};
use crate::Refusal;
use crate::proto;
use crate::proto::error_detail::Reason;

enumeration!(Role, proto::Role, "routing.role": Head, Middle, Tail, Only, None);
enumeration!(
    MismatchReason, proto::MismatchReason, "routing.reason": NoReplica, WrongVersion, WrongRole, Inactive
);
enumeration!(
    Resource, proto::Resource, "backpressure.resource": SlotWrites, SlotBytes, NodeWrites, NodeBytes
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
            CallError::ConditionFailed { object } => {
                Self::ConditionFailed(proto::ConditionFailed { object: object.map(Into::into) })
            }
            CallError::Backpressure { slot, resource, current, limit } => Self::Backpressure(proto::Backpressure {
                slot: slot.0,
                resource: proto::Resource::from(resource).into(),
                current,
                limit,
            }),
            CallError::OutcomeUnknown { slot } => Self::OutcomeUnknown(proto::OutcomeUnknown { slot: slot.0 }),
        }
    }
}

impl From<RegisterError> for Reason {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::UnknownNode { node, known } => {
                Self::UnknownNode(proto::UnknownNode { node: node.as_str().to_owned(), known })
            }
            RegisterError::OtherDirectory { node, known, given } => Self::OtherDirectory(proto::OtherDirectory {
                node: node.as_str().to_owned(),
                known: id_bytes(known.0),
                given: id_bytes(given.0),
            }),
        }
    }
}

impl TryFrom<proto::ErrorDetail> for Refusal {
    type Error = ConvertError;

    fn try_from(detail: proto::ErrorDetail) -> Result<Self> {
        let call = |error: CallError| Ok(Refusal::Call(error));
        match required("error_detail.reason", detail.reason)? {
            Reason::KeyEmpty(proto::KeyEmpty {}) => call(CallError::KeyEmpty),
            Reason::KeyTooLong(error) => call(CallError::KeyTooLong {
                len: size("key_too_long.len", error.len)?,
                limit: size("key_too_long.limit", error.limit)?,
            }),
            Reason::ValueTooLarge(error) => call(CallError::ValueTooLarge {
                len: size("value_too_large.len", error.len)?,
                limit: size("value_too_large.limit", error.limit)?,
            }),
            Reason::UnknownSlot(error) => call(CallError::UnknownSlot { slot: Slot(error.slot), slots: error.slots }),
            Reason::Routing(mismatch) => call(CallError::Routing(mismatch.try_into()?)),
            Reason::NoLease(error) => call(CallError::NoLease { slot: Slot(error.slot) }),
            Reason::NotCaughtUp(error) => call(CallError::NotCaughtUp { slot: Slot(error.slot) }),
            Reason::ConditionFailed(error) => call(CallError::ConditionFailed { object: error.object.map(Metadata::from) }),
            Reason::Backpressure(error) => call(CallError::Backpressure {
                slot: Slot(error.slot),
                resource: Number::new(error.resource).try_into()?,
                current: error.current,
                limit: error.limit,
            }),
            Reason::OutcomeUnknown(error) => call(CallError::OutcomeUnknown { slot: Slot(error.slot) }),
            Reason::TimedOut(error) => Ok(Refusal::TimedOut { waited_ms: error.waited_ms }),
            Reason::Abandoned(proto::Abandoned {}) => Ok(Refusal::Abandoned),
            Reason::Stopping(proto::Stopping {}) => Ok(Refusal::Stopping),
            Reason::WrongCluster(error) => Ok(Refusal::WrongCluster {
                given: cluster_id("wrong_cluster.given", &error.given)?,
                here: cluster_id("wrong_cluster.here", &error.here)?,
            }),
            Reason::WrongWireVersion(error) => Ok(Refusal::WrongWireVersion { given: error.given, here: error.here }),
            Reason::WrongNode(error) => Ok(Refusal::WrongNode {
                expected: node_id("wrong_node.expected", &error.expected)?,
                found: node_id("wrong_node.found", &error.found)?,
            }),
            Reason::MessageTooLarge(error) => Ok(Refusal::MessageTooLarge { limit: error.limit }),
            Reason::Malformed(error) => Ok(Refusal::Malformed { problem: error.problem }),
            Reason::UnknownNode(error) => Ok(Refusal::Register(RegisterError::UnknownNode {
                node: node_id("unknown_node.node", &error.node)?,
                known: error.known,
            })),
            Reason::OtherDirectory(error) => Ok(Refusal::Register(RegisterError::OtherDirectory {
                node: node_id("other_directory.node", &error.node)?,
                known: incarnation("other_directory.known", &error.known)?,
                given: incarnation("other_directory.given", &error.given)?,
            })),
        }
    }
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
