//! Writes that are executed once.

use catena_core::client::{Body, ClientConfig, ClientError, ClientEvent, Delivery, Failure, Obstacle};
use catena_core::{CallError, Kind, Origin, Reply, Seq, Slot};

use crate::common::*;

fn origin(session: u64, number: u64, answered_below: u64) -> Origin {
    Origin { session: Seq(session), number, answered_below }
}

#[test]
fn a_session_is_opened_once_and_its_writes_are_numbered() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    for _ in 0..4 {
        client.call(put("key", Delivery::ExactlyOnce));
    }
    client.open(7);
    let first = client.sent();
    assert_eq!(first.origin(), origin(7, 1, 1));
    client.answer(&first, written(8));
    let sent = std::mem::take(&mut client.sent);
    let origins: Vec<_> = sent.iter().map(Sent::origin).collect();
    assert_eq!(origins, [origin(7, 2, 2), origin(7, 3, 2)]);
    client.answer(&sent[1], written(10));
    assert_eq!(client.sent().origin(), origin(7, 4, 2), "2 has no answer yet");
    client.answer(&sent[0], written(9));
    client.call(put("key", Delivery::ExactlyOnce));
    assert_eq!(client.sent().origin(), origin(7, 5, 4));
}

#[test]
fn opening_is_tried_again_whatever_happens() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    client.call(put("key", Delivery::ExactlyOnce));
    for failure in [Failure::Lost, Failure::NotConnected, Failure::TimedOut] {
        let sent = if client.sent.is_empty() { client.resent() } else { client.sent() };
        client.fail(&sent, failure);
    }
    for error in [mismatch(1, 1), CallError::OutcomeUnknown { slot: Slot(0) }] {
        let sent = client.resent();
        client.refuse(&sent, error);
    }
    let sent = client.resent();
    client.answer(&sent, Reply::Opened { session: Seq(3) });
    assert_eq!(client.sent().origin(), origin(3, 1, 1));
}

#[test]
fn a_write_keeps_its_number_over_all_tries() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    let call = client.call(put("key", Delivery::ExactlyOnce));
    client.open(7);
    for failure in [Failure::Lost, Failure::TimedOut, Failure::NotConnected] {
        let sent = if client.sent.is_empty() { client.resent() } else { client.sent() };
        assert_eq!(sent.origin(), origin(7, 1, 1));
        client.fail(&sent, failure);
    }
    let sent = client.resent();
    client.refuse(&sent, CallError::OutcomeUnknown { slot: Slot(0) });
    let sent = client.resent();
    assert_eq!(sent.origin(), origin(7, 1, 1));
    client.answer(&sent, written(9));
    assert_eq!(client.done(), (call, Ok(written(9))));
}

/// The condition was judged once, whichever try it was.
#[test]
fn a_condition_that_failed_settles_a_write_after_an_unknown_try() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    client.call(put("key", Delivery::ExactlyOnce));
    client.open(7);
    let sent = client.sent();
    client.fail(&sent, Failure::Lost);
    let sent = client.resent();
    client.refuse(&sent, CallError::ConditionFailed { object: None });
    assert_eq!(client.error().1, Kind::NotExecuted);
}

#[test]
fn an_at_most_once_write_is_not_repeated_after_an_unknown_try() {
    for failure in [Failure::Lost, Failure::TimedOut] {
        let mut client = Harness::routed(config(), route(1, 1, &["a"]));
        client.call(put("key", Delivery::AtMostOnce));
        let sent = client.sent();
        client.fail(&sent, failure);
        let obstacle = Obstacle::Failure { node: node("a"), failure };
        assert_eq!(client.error(), (ClientError::Failed { obstacle, kind: Kind::Unknown }, Kind::Unknown));
        client.pass(ms(20_000));
        assert!(client.sent.is_empty());
    }
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    client.call(put("key", Delivery::AtMostOnce));
    let sent = client.sent();
    assert_eq!(sent.deadline, client.now + ms(10_000), "its only try may take as long as the call");
    client.refuse(&sent, CallError::OutcomeUnknown { slot: Slot(0) });
    assert_eq!(client.error().1, Kind::Unknown);
}

#[test]
fn an_expired_session_is_unknown_and_later_writes_open_another() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    for _ in 0..3 {
        client.call(put("key", Delivery::ExactlyOnce));
    }
    client.open(7);
    let first = client.sent();
    client.answer(&first, written(8));
    assert_eq!(client.done().1, Ok(written(8)));
    let sent = std::mem::take(&mut client.sent);
    let expired = CallError::SessionExpired { slot: Slot(0), session: Seq(7) };
    client.refuse(&sent[0], expired.clone());
    assert_eq!(client.error(), (ClientError::Refused { error: expired.clone(), kind: Kind::Unknown }, Kind::Unknown));
    client.call(put("key", Delivery::ExactlyOnce));
    client.open(20);
    let other = client.sent();
    assert_eq!(other.origin(), origin(20, 1, 1));
    client.refuse(&sent[1], expired);
    assert_eq!(client.error().1, Kind::Unknown);
    client.answer(&other, written(21));
    client.call(put("key", Delivery::ExactlyOnce));
    assert_eq!(client.sent().origin(), origin(20, 2, 2), "the new session stays");
}

#[test]
fn a_session_that_was_idle_is_not_used_again() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    client.call(put("key", Delivery::ExactlyOnce));
    client.open(7);
    let sent = client.sent();
    client.pass(ms(1_000));
    client.answer(&sent, written(8));
    // Counted from when the write was sent: the head may have ordered it then.
    client.pass(ms(298_999));
    client.call(put("key", Delivery::ExactlyOnce));
    let sent = client.sent();
    assert_eq!(sent.origin(), origin(7, 2, 2));
    client.answer(&sent, written(9));
    client.pass(ms(300_000));
    client.call(put("key", Delivery::ExactlyOnce));
    client.open(30);
    assert_eq!(client.sent().origin(), origin(30, 1, 1));
}

#[test]
fn writes_beyond_the_room_wait_for_their_turn() {
    let mut client = Harness::routed(ClientConfig { session_writes: 4, ..config() }, route(1, 1, &["a"]));
    for _ in 0..20 {
        client.call(put("key", Delivery::ExactlyOnce));
    }
    client.open(7);
    for width in [1, 2] {
        let sent = std::mem::take(&mut client.sent);
        assert_eq!(sent.len(), width);
        for sent in sent {
            client.answer(&sent, written(sent.origin().number));
        }
    }
    let mut sent = std::mem::take(&mut client.sent);
    assert_eq!(sent.len(), 4);
    let stuck = sent.remove(0);
    let mut highest = 0;
    while let Some(next) = sent.pop() {
        highest = highest.max(next.origin().number);
        assert!(next.origin().answered_below <= 4, "{next:?}");
        client.answer(&next, written(next.origin().number));
        sent.append(&mut client.sent);
    }
    assert_eq!(highest, 11, "while 4 is unanswered, the session keeps the answers of all others");
    client.answer(&stuck, written(4));
    assert_eq!(client.sent.iter().map(|sent| sent.origin().number).collect::<Vec<_>>(), [12, 13, 14, 15]);
}

/// The head keeps so many answers of a session and refuses what is beyond; the oldest must never be.
#[test]
fn a_session_has_room_for_the_answers_to_all_numbers_that_are_out() {
    assert!(2 * ClientConfig::new(1, 0).session_writes <= catena_core::Limits::default().session_writes);
}

#[test]
fn too_many_calls_are_refused() {
    let mut client = Harness::routed(ClientConfig { calls: 3, ..config() }, route(1, 1, &["a"]));
    for _ in 0..3 {
        client.call(put("key", Delivery::ExactlyOnce));
    }
    client.call(get("key"));
    assert_eq!(client.error(), (ClientError::TooManyCalls { limit: 3 }, Kind::NotExecuted));
}

/// A write whose call has ended is told to the head not to run, by the next one.
#[test]
fn a_write_that_nobody_waits_for_is_passed_over() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    let call = client.call(put("key", Delivery::ExactlyOnce));
    client.open(7);
    client.sent();
    client.event(ClientEvent::Cancel { call });
    assert_eq!(client.error().1, Kind::Unknown);
    client.call(put("key", Delivery::ExactlyOnce));
    assert_eq!(client.sent().origin(), origin(7, 2, 2));
}

#[test]
fn what_could_not_open_a_session_was_not_executed() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    client.call(put("key", Delivery::ExactlyOnce));
    let sent = client.sent();
    client.fail(&sent, Failure::Rejected);
    assert_eq!(client.error().1, Kind::NotExecuted);
    client.call(put("key", Delivery::ExactlyOnce));
    let sent = client.sent();
    client.fail(&sent, Failure::Lost);
    client.pass(ms(10_000));
    let (error, kind) = client.error();
    assert!(matches!(error, ClientError::OutOfTime { obstacle: Some(Obstacle::Failure { .. }), .. }), "{error}");
    assert_eq!(kind, Kind::NotExecuted);
    client.pass(ms(20_000));
    client.sent.clear();
    client.call(put("key", Delivery::ExactlyOnce));
    assert_eq!(client.sent().body, Body::OpenSession);
}
