//! Nodes that do not answer.

use catena_core::client::{ClientEvent, Delivery, Failure};
use catena_core::{CallError, Kind, Resource, Slot};

use crate::common::*;

#[test]
fn a_node_that_is_not_there_is_not_hammered_and_its_return_frees_all() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    for _ in 0..200 {
        client.call(get("key"));
    }
    let mut tries = 0;
    let end = client.now + ms(2_000);
    while client.now < end {
        for sent in std::mem::take(&mut client.sent) {
            tries += 1;
            client.fail(&sent, Failure::NotConnected);
        }
        client.now = client.client.deadline().expect("calls go on").max(client.now);
        client.event(ClientEvent::Wake);
    }
    assert!((200 + 20..200 + 60).contains(&tries), "{tries} tries in 2 s");
    client.sent.clear();
    let probe = client.resent();
    client.answer(&probe, absent());
    assert!(client.sent.len() > 150, "{} of those who wait go at once", client.sent.len());
}

#[test]
fn a_new_route_ends_the_wait_for_a_dead_node() {
    let mut client = Harness::routed(config(), route(1, 1, &["a", "b"]));
    client.call(put("key", Delivery::AtMostOnce));
    let sent = client.sent();
    client.fail(&sent, Failure::NotConnected);
    client.call(put("key", Delivery::AtMostOnce));
    assert!(client.sent.is_empty(), "the node is spared");
    client.event(ClientEvent::Route(route(2, 2, &["b"])));
    assert_eq!(client.sent.iter().map(|sent| sent.node.as_str()).collect::<Vec<_>>(), ["b", "b"]);
}

/// One slot waits for its chain; its head serves others.
#[test]
fn a_node_that_answers_others_is_well() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    client.call(get("stuck"));
    let stuck = client.sent();
    client.pass(ms(1_999));
    client.call(get("other"));
    let other = client.sent();
    client.answer(&other, absent());
    client.pass(ms(1));
    assert_eq!(client.abandoned, [stuck.attempt]);
    client.sent.clear();
    client.call(get("third"));
    assert_eq!(client.sent().node, node("a"));
}

#[test]
fn a_silent_node_is_tried_by_few() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    client.call(get("first"));
    client.sent();
    client.pass(ms(2_000));
    client.sent.clear();
    for _ in 0..100 {
        client.call(get("key"));
    }
    client.pass(ms(1_000));
    assert!((5..=25).contains(&client.sent.len()), "{}", client.sent.len());
}

#[test]
fn a_full_node_is_tried_again_later_without_asking_for_the_route() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    client.pass(ms(10));
    client.call(put("key", Delivery::AtMostOnce));
    let full =
        CallError::Backpressure { slot: Slot(0), resource: Resource::SlotWrites, current: 1, limit: 1, retry_after: ms(10) };
    let mut begun = client.now;
    for (least, most) in [(0, 2), (10, 14), (10, 18), (10, 26)] {
        let sent = if client.sent.is_empty() { client.resent() } else { client.sent() };
        assert!((ms(least)..=ms(most)).contains(&client.now.since(begun)), "{least}");
        begun = client.now;
        client.refuse(&sent, full.clone());
    }
    assert!(client.asked().is_empty());
    let sent = client.resent();
    client.answer(&sent, written(1));
    assert!(client.done().1.is_ok());
}

#[test]
fn a_caller_that_gives_up_is_told_what_is_known() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    let waiting = client.call(put("key", Delivery::AtMostOnce));
    let sent = client.sent();
    client.fail(&sent, Failure::NotConnected);
    client.event(ClientEvent::Cancel { call: waiting });
    assert_eq!(client.error().1, Kind::NotExecuted);
    let under_way = client.call(get("key"));
    let sent = client.resent();
    client.event(ClientEvent::Cancel { call: under_way });
    assert_eq!((client.error().1, &client.abandoned[..]), (Kind::Unknown, &[sent.attempt][..]));
    client.answer(&sent, absent());
    client.event(ClientEvent::Cancel { call: under_way });
    assert!(client.done.is_empty() && client.client.calls() == 0);
}
