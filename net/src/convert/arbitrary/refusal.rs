//! Refusals as they arrive.

use std::time::Duration;

use catena_core::{CallError, MismatchReason, OrderError, RegisterError, Resource, Role, RoutingMismatch};
use proptest::option;
use proptest::prelude::*;

use super::{cluster_id, incarnation, metadata, node_id, seq, slot, version};
use crate::Refusal;

fn routing_mismatch() -> impl Strategy<Value = RoutingMismatch> {
    use MismatchReason::{Damaged, Inactive, NoReplica, WrongRole, WrongVersion};
    use Role::{Head, Joining, Middle, Only, Tail};
    let role = prop_oneof![Just(Head), Just(Middle), Just(Tail), Just(Only), Just(Joining), Just(Role::None)];
    let reason = prop_oneof![Just(NoReplica), Just(WrongVersion), Just(WrongRole), Just(Inactive), Just(Damaged)];
    let parts = (slot(), version(), version(), role, reason);
    parts.prop_map(|(slot, expected, current, role, reason)| RoutingMismatch { slot, expected, current, role, reason })
}

fn call_error() -> impl Strategy<Value = CallError> {
    use Resource::{NodeAnswers, NodeBytes, NodeWrites, SessionWrites, SlotBytes, SlotSessions, SlotWrites};
    let of_slot = prop_oneof![Just(SlotWrites), Just(SlotBytes), Just(SlotSessions)];
    let resource = prop_oneof![of_slot, Just(NodeWrites), Just(NodeBytes), Just(SessionWrites), Just(NodeAnswers)];
    let sizes = || (any::<usize>(), any::<usize>());
    prop_oneof![
        Just(CallError::KeyEmpty),
        sizes().prop_map(|(len, limit)| CallError::KeyTooLong { len, limit }),
        sizes().prop_map(|(len, limit)| CallError::ValueTooLarge { len, limit }),
        (slot(), any::<u32>()).prop_map(|(slot, slots)| CallError::UnknownSlot { slot, slots }),
        routing_mismatch().prop_map(CallError::Routing),
        slot().prop_map(|slot| CallError::NoLease { slot }),
        slot().prop_map(|slot| CallError::NotCaughtUp { slot }),
        slot().prop_map(|slot| CallError::DiskFull { slot }),
        option::of(metadata()).prop_map(|object| CallError::ConditionFailed { object }),
        (slot(), resource, any::<u64>(), any::<u64>(), any::<u32>()).prop_map(|(slot, resource, current, limit, ms)| {
            CallError::Backpressure { slot, resource, current, limit, retry_after: Duration::from_millis(ms.into()) }
        }),
        slot().prop_map(|slot| CallError::OutcomeUnknown { slot }),
        (slot(), seq()).prop_map(|(slot, session)| CallError::SessionExpired { slot, session }),
        (slot(), seq(), any::<u64>()).prop_map(|(slot, session, number)| CallError::AlreadyAnswered { slot, session, number }),
    ]
}

fn register_error() -> impl Strategy<Value = RegisterError> {
    prop_oneof![
        (node_id(), ".{0,20}", incarnation()).prop_map(|(node, address, incarnation)| RegisterError::Elsewhere {
            node,
            address,
            incarnation
        }),
        (node_id(), ".{0,20}", node_id()).prop_map(|(node, address, taken_by)| RegisterError::AddressTaken {
            node,
            address,
            taken_by
        }),
        (node_id(), ".{0,20}", ".{0,20}").prop_map(|(node, recorded, given)| RegisterError::OtherLabels {
            node,
            recorded,
            given
        }),
    ]
}

fn order_error() -> impl Strategy<Value = OrderError> {
    prop_oneof![
        (node_id(), ".{0,20}").prop_map(|(node, known)| OrderError::UnknownNode { node, known }),
        (slot(), node_id(), any::<u32>(), any::<u32>()).prop_map(|(slot, node, replicas, possible)| OrderError::NoRoom {
            slot,
            node,
            replicas,
            possible
        }),
        (slot(), node_id()).prop_map(|(slot, node)| OrderError::LastCopy { slot, node }),
        node_id().prop_map(|node| OrderError::NotOut { node }),
    ]
}

pub(in crate::convert) fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        10 => call_error().prop_map(Refusal::Call),
        2 => register_error().prop_map(Refusal::Register),
        4 => order_error().prop_map(Refusal::Order),
        1 => Just(Refusal::NotLeading),
        1 => Just(Refusal::TooSlow),
        1 => any::<u64>().prop_map(|waited_ms| Refusal::TimedOut { waited_ms }),
        1 => Just(Refusal::Abandoned),
        1 => Just(Refusal::Stopping),
        2 => prop_oneof![
            (cluster_id(), cluster_id()).prop_map(|(given, here)| Refusal::WrongCluster { given, here }),
            (any::<u32>(), any::<u32>()).prop_map(|(given, here)| Refusal::WrongWireVersion { given, here }),
            (node_id(), node_id()).prop_map(|(expected, found)| Refusal::WrongNode { expected, found }),
        ],
        1 => any::<u64>().prop_map(|limit| Refusal::MessageTooLarge { limit }),
        1 => ".{0,40}".prop_map(|problem| Refusal::Malformed { problem }),
    ]
}
