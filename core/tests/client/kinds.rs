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

/// Every error once. A new one does not compile until it is here.
fn errors() -> Vec<(CallError, Kind, Then)> {
    let (slot, session) = (Slot(0), Seq(7));
    let all = vec![
        CallError::KeyEmpty,
        CallError::KeyTooLong { len: 2, limit: 1 },
        CallError::ValueTooLarge { len: 2, limit: 1 },
        CallError::UnknownSlot { slot, slots: 1 },
        mismatch(1, 1),
        CallError::NoLease { slot },
        CallError::NotCaughtUp { slot },
        CallError::ConditionFailed { object: None },
        CallError::Backpressure { slot, resource: Resource::SlotBytes, current: 1, limit: 1 },
        CallError::SessionExpired { slot, session },
        CallError::AlreadyAnswered { slot, session, number: 1 },
        CallError::OutcomeUnknown { slot },
    ];
    let verdict = |error: &CallError| match error {
        CallError::KeyEmpty
        | CallError::KeyTooLong { .. }
        | CallError::ValueTooLarge { .. }
        | CallError::UnknownSlot { .. }
        | CallError::ConditionFailed { .. } => (Kind::NotExecuted, Then::End),
        CallError::Routing(_) | CallError::NoLease { .. } | CallError::NotCaughtUp { .. } | CallError::Backpressure { .. } => {
            (Kind::NotExecuted, Then::Again)
        }
        CallError::SessionExpired { .. } | CallError::AlreadyAnswered { .. } => (Kind::Unknown, Then::End),
        CallError::OutcomeUnknown { .. } => (Kind::Unknown, Then::AgainIfSafe),
    };
    all.into_iter().map(|error| (verdict(&error), error)).map(|((kind, then), error)| (error, kind, then)).collect()
}

fn failures() -> [(Failure, Kind, Then); 4] {
    [Failure::NotConnected, Failure::Lost, Failure::TimedOut, Failure::Rejected].map(|failure| match failure {
        Failure::NotConnected => (failure, Kind::NotExecuted, Then::Again),
        Failure::Lost | Failure::TimedOut => (failure, Kind::Unknown, Then::AgainIfSafe),
        Failure::Rejected => (failure, Kind::NotExecuted, Then::End),
    })
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
    let obstacle = Obstacle::Failure { node: node("a"), failure: Failure::Lost };
    for kind in [Kind::NotExecuted, Kind::Unknown] {
        let limit = ms(1);
        let errors = [
            ClientError::Refused { error: CallError::KeyEmpty, kind },
            ClientError::Failed { obstacle: obstacle.clone(), kind },
            ClientError::OutOfTime { limit, obstacle: Some(obstacle.clone()), kind },
            ClientError::OutOfTime { limit, obstacle: None, kind },
            ClientError::Cancelled { kind },
        ];
        for error in errors {
            assert_eq!(error.kind(), kind, "{error}");
            let says_unknown = error.to_string().contains("may have been executed") || error.to_string().contains("unknown");
            assert_eq!(says_unknown, kind == Kind::Unknown, "{error}");
        }
    }
    for error in [ClientError::TooManyCalls { limit: 1 }, ClientError::NoCoordinator] {
        assert_eq!(error.kind(), Kind::NotExecuted, "{error}");
    }
}
