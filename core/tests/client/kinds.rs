//! W9: the kind of every error, and what the client makes of it.

use catena_core::client::{CallId, ClientError, Delivery, Failure, Obstacle};
use catena_core::{CallError, Kind, Resource, Seq, Slot};

use crate::common::*;

/// What a client does after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Tries again, whatever the call.
    Again,
    /// Tries again, unless the write might be done twice.
    AgainIfSafe,
    /// Ends the call.
    End,
}

/// The rows of one enum: `pattern => (example, what is expected of it)`. A variant without a row does not compile, and a row
/// whose example is of another variant fails.
macro_rules! rows {
    ($error:ty: $($pattern:pat => ($example:expr, $($expected:expr),+);)+) => {{
        let _: fn(&$error) = |error| match error { $($pattern => {})+ };
        vec![$({
            let example: $error = $example;
            assert!(matches!(example, $pattern), "{example:?} is not {}", stringify!($pattern));
            (example, $($expected),+)
        }),+]
    }};
}

/// Every error of a node.
fn errors() -> Vec<(CallError, Kind, Then)> {
    use Kind::{NotExecuted, Unknown};
    let (slot, session) = (Slot(0), Seq(7));
    let backpressure = CallError::Backpressure { slot, resource: Resource::SlotBytes, current: 1, limit: 1, retry_after: ms(10) };
    rows! { CallError:
        CallError::KeyEmpty => (CallError::KeyEmpty, NotExecuted, Then::End);
        CallError::KeyTooLong { .. } => (CallError::KeyTooLong { len: 2, limit: 1 }, NotExecuted, Then::End);
        CallError::ValueTooLarge { .. } => (CallError::ValueTooLarge { len: 2, limit: 1 }, NotExecuted, Then::End);
        CallError::UnknownSlot { .. } => (CallError::UnknownSlot { slot, slots: 1 }, NotExecuted, Then::End);
        CallError::Routing(_) => (mismatch(1, 1), NotExecuted, Then::Again);
        CallError::NoLease { .. } => (CallError::NoLease { slot }, NotExecuted, Then::Again);
        CallError::NotCaughtUp { .. } => (CallError::NotCaughtUp { slot }, NotExecuted, Then::Again);
        CallError::DiskFull { .. } => (CallError::DiskFull { slot }, NotExecuted, Then::End);
        CallError::ConditionFailed { .. } => (CallError::ConditionFailed { object: None }, NotExecuted, Then::End);
        CallError::Backpressure { .. } => (backpressure, NotExecuted, Then::Again);
        CallError::SessionExpired { .. } => (CallError::SessionExpired { slot, session }, Unknown, Then::End);
        CallError::AlreadyAnswered { .. } => (CallError::AlreadyAnswered { slot, session, number: 1 }, Unknown, Then::End);
        CallError::OutcomeUnknown { .. } => (CallError::OutcomeUnknown { slot }, Unknown, Then::AgainIfSafe);
    }
}

/// Every way in which a try ends without a node's word.
fn failures() -> Vec<(Failure, Kind, Then)> {
    rows! { Failure:
        Failure::NotConnected => (Failure::NotConnected, Kind::NotExecuted, Then::Again);
        Failure::Lost => (Failure::Lost, Kind::Unknown, Then::AgainIfSafe);
        Failure::TimedOut => (Failure::TimedOut, Kind::Unknown, Then::AgainIfSafe);
        Failure::Rejected => (Failure::Rejected, Kind::NotExecuted, Then::End);
    }
}

/// Every error of the client, of a call whose tries come to `kind`; with the kind that it is to have.
fn ends(kind: Kind) -> Vec<(ClientError, Kind)> {
    let limit = ms(1);
    let obstacle = Obstacle::Failure { node: node("a"), failure: Failure::Lost };
    let late = |obstacle| ClientError::OutOfTime { limit, obstacle, kind };
    rows! { ClientError:
        ClientError::Refused { .. } => (ClientError::Refused { error: CallError::KeyEmpty, kind }, kind);
        ClientError::Failed { .. } => (ClientError::Failed { obstacle: obstacle.clone(), kind }, kind);
        ClientError::OutOfTime { obstacle: Some(_), .. } => (late(Some(obstacle)), kind);
        ClientError::OutOfTime { obstacle: None, .. } => (late(None), kind);
        ClientError::Cancelled { .. } => (ClientError::Cancelled { kind }, kind);
        ClientError::TooManyCalls { .. } => (ClientError::TooManyCalls { limit: 1 }, Kind::NotExecuted);
        ClientError::NoCoordinator => (ClientError::NoCoordinator, Kind::NotExecuted);
    }
}

/// A client with a write under way.
fn writing(delivery: Delivery) -> (Harness, CallId, Sent) {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    let call = client.call(put("key", delivery));
    if delivery == Delivery::ExactlyOnce {
        client.open(7);
    }
    let sent = client.sent();
    (client, call, sent)
}

fn expect(mut client: Harness, what: &str, kind: Kind, again: bool) {
    if again {
        assert!(client.done.is_empty(), "{what}: {:?}", client.done);
        let sent = client.resent();
        client.answer(&sent, written(9));
        assert!(client.done().1.is_ok(), "{what}");
        return;
    }
    assert_eq!(client.error().1, kind, "{what}");
    client.pass(ms(20_000));
    assert!(client.sent.is_empty() && client.done.is_empty(), "{what}");
}

#[test]
fn every_error_of_a_node_has_its_kind_and_its_consequence() {
    for (error, kind, then) in errors() {
        assert_eq!(error.kind(), kind, "{error}");
        for delivery in [Delivery::AtMostOnce, Delivery::ExactlyOnce] {
            let (mut client, _, sent) = writing(delivery);
            client.refuse(&sent, error.clone());
            let again = then == Then::Again || then == Then::AgainIfSafe && delivery == Delivery::ExactlyOnce;
            expect(client, &format!("{delivery:?}, {error}"), kind, again);
        }
    }
}

#[test]
fn every_failure_has_its_kind_and_its_consequence() {
    for (failure, kind, then) in failures() {
        assert_eq!(failure.kind(), kind, "{failure:?}");
        for delivery in [Delivery::AtMostOnce, Delivery::ExactlyOnce] {
            let (mut client, _, sent) = writing(delivery);
            client.fail(&sent, failure);
            let again = then == Then::Again || then == Then::AgainIfSafe && delivery == Delivery::ExactlyOnce;
            expect(client, &format!("{delivery:?}, {failure:?}"), kind, again);
        }
    }
}

/// A call is `NotExecuted` only if each of its tries was; but the session's own answer settles it.
#[test]
fn one_unknown_try_makes_the_call_unknown() {
    for (error, _, then) in errors() {
        let (mut client, _, sent) = writing(Delivery::ExactlyOnce);
        client.fail(&sent, Failure::Lost);
        let sent = client.resent();
        client.refuse(&sent, error.clone());
        if then != Then::End {
            client.pass(ms(10_000));
        }
        let settled = matches!(error, CallError::ConditionFailed { .. });
        let expected = if settled { Kind::NotExecuted } else { Kind::Unknown };
        assert_eq!(client.error().1, expected, "{error}");
    }
}

#[test]
fn each_try_not_executed_leaves_the_call_not_executed() {
    for (error, kind, _) in errors().into_iter().filter(|(_, kind, _)| *kind == Kind::NotExecuted) {
        let (mut client, _, sent) = writing(Delivery::ExactlyOnce);
        client.fail(&sent, Failure::NotConnected);
        let mut sent = Some(client.resent());
        while client.done.is_empty() {
            if let Some(sent) = sent.take().or_else(|| client.sent.pop()) {
                client.refuse(&sent, error.clone());
            } else {
                client.now = client.client.deadline().expect("the call goes on").max(client.now);
                client.event(catena_core::client::ClientEvent::Wake);
            }
        }
        assert_eq!(client.error().1, kind, "{error}");
    }
}

#[test]
fn every_error_of_the_client_says_its_kind() {
    for (error, kind) in [ends(Kind::NotExecuted), ends(Kind::Unknown)].concat() {
        assert_eq!(error.kind(), kind, "{error}");
        let says_unknown = error.to_string().contains("may have been executed") || error.to_string().contains("unknown");
        assert_eq!(says_unknown, kind == Kind::Unknown, "{error}");
    }
}
