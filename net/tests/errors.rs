//! The table of W9: what may be concluded from each refusal, with which gRPC code it travels, and that all of it arrives.
#![cfg(not(madsim))]

use std::collections::BTreeSet;

use catena_core::Kind::{NotExecuted, Unknown};
use catena_core::{
    CallError, ChainVersion, ClusterId, Incarnation, Kind, Metadata, MismatchReason, NodeId, OrderError, RegisterError, Resource,
    Role, RoutingMismatch, Seq, Slot, WallTime,
};
use catena_net::{Refusal, kind_of};
use tonic::{Code, Status};

const SLOT: Slot = Slot(4);

fn node() -> NodeId {
    NodeId::new("n1").expect("a legal name")
}

fn calls() -> Vec<(CallError, Kind, Code)> {
    let (expected, current) = (ChainVersion(7), ChainVersion(8));
    let mismatch = RoutingMismatch { slot: SLOT, expected, current, role: Role::Joining, reason: MismatchReason::WrongVersion };
    let object = Metadata { version: Seq(3), created_at: WallTime(1), updated_at: WallTime(2) };
    vec![
        (CallError::KeyEmpty, NotExecuted, Code::InvalidArgument),
        (CallError::KeyTooLong { len: 5000, limit: 4096 }, NotExecuted, Code::InvalidArgument),
        (CallError::ValueTooLarge { len: 17, limit: 16 }, NotExecuted, Code::InvalidArgument),
        (CallError::UnknownSlot { slot: SLOT, slots: 2 }, NotExecuted, Code::InvalidArgument),
        (CallError::Routing(mismatch), NotExecuted, Code::FailedPrecondition),
        (CallError::NoLease { slot: SLOT }, NotExecuted, Code::Unavailable),
        (CallError::NotCaughtUp { slot: SLOT }, NotExecuted, Code::Unavailable),
        (CallError::ConditionFailed { object: Some(object) }, NotExecuted, Code::Aborted),
        (backpressure(Resource::SlotSessions), NotExecuted, Code::ResourceExhausted),
        (backpressure(Resource::SessionWrites), NotExecuted, Code::ResourceExhausted),
        (CallError::OutcomeUnknown { slot: SLOT }, Unknown, Code::Unknown),
        (CallError::SessionExpired { slot: SLOT, session: Seq(9) }, Unknown, Code::Unknown),
        (CallError::AlreadyAnswered { slot: SLOT, session: Seq(9), number: 5 }, Unknown, Code::Unknown),
    ]
}

fn backpressure(resource: Resource) -> CallError {
    CallError::Backpressure { slot: SLOT, resource, current: 9, limit: 8 }
}

fn coordinators() -> Vec<(Refusal, Kind, Code)> {
    let elsewhere = RegisterError::Elsewhere { node: node(), address: "other:7400".to_owned(), incarnation: Incarnation(3) };
    let (recorded, given) = ("rack=r1".to_owned(), "rack=r2".to_owned());
    let labels = RegisterError::OtherLabels { node: node(), recorded, given };
    let unknown = OrderError::UnknownNode { node: node(), known: "n2, n3".to_owned() };
    let no_room = OrderError::NoRoom { slot: SLOT, node: node(), replicas: 3, possible: 2 };
    vec![
        (RegisterError::NotLeading.into(), NotExecuted, Code::Unavailable),
        (OrderError::NotLeading.into(), NotExecuted, Code::Unavailable),
        (elsewhere.into(), NotExecuted, Code::FailedPrecondition),
        (labels.into(), NotExecuted, Code::FailedPrecondition),
        (unknown.into(), NotExecuted, Code::NotFound),
        (no_room.into(), NotExecuted, Code::FailedPrecondition),
        (OrderError::LastCopy { slot: SLOT, node: node() }.into(), NotExecuted, Code::FailedPrecondition),
        (OrderError::NotOut { node: node() }.into(), NotExecuted, Code::FailedPrecondition),
        (Refusal::TooSlow, NotExecuted, Code::ResourceExhausted),
    ]
}

fn transport() -> Vec<(Refusal, Kind, Code)> {
    let (given, here) = (ClusterId(1), ClusterId(2));
    vec![
        (Refusal::TimedOut { waited_ms: 5000 }, Unknown, Code::DeadlineExceeded),
        (Refusal::Abandoned, Unknown, Code::Unknown),
        (Refusal::Stopping, NotExecuted, Code::Unavailable),
        (Refusal::WrongCluster { given, here }, NotExecuted, Code::FailedPrecondition),
        (Refusal::WrongWireVersion { given: 1, here: 2 }, NotExecuted, Code::FailedPrecondition),
        (Refusal::WrongNode { expected: node(), found: node() }, NotExecuted, Code::FailedPrecondition),
        (Refusal::MessageTooLarge { limit: 5 }, NotExecuted, Code::InvalidArgument),
        (Refusal::Malformed { problem: "entry.seq is 0".to_owned() }, NotExecuted, Code::InvalidArgument),
    ]
}

/// A number for each refusal that there is: a new one does not compile before it has one here, and fails before it is in
/// the table.
fn number(refusal: &Refusal) -> u32 {
    match refusal {
        Refusal::Call(error) => match error {
            CallError::KeyEmpty => 0,
            CallError::KeyTooLong { .. } => 1,
            CallError::ValueTooLarge { .. } => 2,
            CallError::UnknownSlot { .. } => 3,
            CallError::Routing(_) => 4,
            CallError::NoLease { .. } => 5,
            CallError::NotCaughtUp { .. } => 6,
            CallError::ConditionFailed { .. } => 7,
            CallError::Backpressure { .. } => 8,
            CallError::OutcomeUnknown { .. } => 9,
            CallError::SessionExpired { .. } => 10,
            CallError::AlreadyAnswered { .. } => 11,
        },
        Refusal::Register(RegisterError::NotLeading) | Refusal::Order(OrderError::NotLeading) | Refusal::NotLeading => 12,
        Refusal::Register(RegisterError::Elsewhere { .. }) => 13,
        Refusal::Register(RegisterError::OtherLabels { .. }) => 14,
        Refusal::Order(OrderError::UnknownNode { .. }) => 15,
        Refusal::Order(OrderError::NoRoom { .. }) => 16,
        Refusal::Order(OrderError::LastCopy { .. }) => 17,
        Refusal::Order(OrderError::NotOut { .. }) => 18,
        Refusal::TooSlow => 19,
        Refusal::TimedOut { .. } => 20,
        Refusal::Abandoned => 21,
        Refusal::Stopping => 22,
        Refusal::WrongCluster { .. } => 23,
        Refusal::WrongWireVersion { .. } => 24,
        Refusal::WrongNode { .. } => 25,
        Refusal::MessageTooLarge { .. } => 26,
        Refusal::Malformed { .. } => 27,
    }
}

#[test]
fn every_refusal_arrives_with_its_kind_its_code_and_every_field() {
    let calls = calls().into_iter().map(|(error, kind, code)| (Refusal::Call(error), kind, code));
    let mut walked = BTreeSet::new();
    for (refusal, kind, code) in calls.chain(coordinators()).chain(transport()) {
        walked.insert(number(&refusal));
        assert_eq!((refusal.kind(), refusal.code()), (kind, code), "{refusal:?}");
        let status = Status::from(refusal.clone());
        assert_eq!((kind_of(&status), status.code()), (kind, code), "{refusal:?}");
        assert_eq!(status.message(), refusal.to_string());
        assert_eq!(Refusal::from_status(&status), Some(refusal));
    }
    assert_eq!(walked, (0..=27).collect::<BTreeSet<u32>>(), "the table lacks a refusal");
}

/// Whoever does not look at the details, a proxy or a client in another language, must not be led to repeat a call whose
/// outcome is unknown: it repeats what is unavailable, exhausted or aborted.
#[test]
fn no_unknown_outcome_has_a_code_that_is_retried_by_habit() {
    let calls = calls().into_iter().map(|(error, kind, code)| (Refusal::Call(error), kind, code));
    for (refusal, kind, code) in calls.chain(coordinators()).chain(transport()) {
        let retried = matches!(code, Code::Unavailable | Code::ResourceExhausted | Code::Aborted);
        assert!(kind == NotExecuted || !retried, "{refusal:?}");
    }
}
