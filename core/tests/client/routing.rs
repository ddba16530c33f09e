//! Where calls go, and how the client learns of it.

use catena_core::client::{Body, ClientConfig, ClientError, ClientEvent, Delivery, Failure, Obstacle};
use catena_core::{CallError, ChainVersion, ClusterId, Kind, Revision, Route, Slot, Target, Time};

use crate::common::*;

#[test]
fn the_route_is_asked_for_at_once_and_calls_wait_for_it() {
    let mut client = Harness::new(config());
    assert_eq!(client.client.deadline(), Some(client.now));
    let call = client.call(get("key"));
    assert_eq!((client.asked(), client.sent.len()), (vec![0], 0));
    client.event(ClientEvent::Route(route(1, 5, &["a", "b", "c"])));
    let sent = client.sent();
    assert_eq!((sent.node.as_str(), sent.target), ("c", Target { slot: Slot(0), version: ChainVersion(5) }));
    client.answer(&sent, absent());
    assert_eq!(client.done(), (call, Ok(absent())));
}

#[test]
fn writes_go_to_the_head_and_reads_to_the_tail() {
    let mut client = Harness::routed(config(), route(1, 5, &["b", "c"]));
    client.call(put("key", Delivery::AtMostOnce));
    let write = client.sent();
    assert!(matches!(write.body, Body::Write { origin: None, .. }), "{write:?}");
    assert_eq!(write.node, node("b"));
    client.call(get("key"));
    assert_eq!(client.sent().node, node("c"));
}

#[test]
fn a_hundred_calls_that_cannot_be_routed_ask_once() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    client.pass(ms(10));
    for _ in 0..100 {
        client.call(get("key"));
    }
    for sent in std::mem::take(&mut client.sent) {
        client.refuse(&sent, mismatch(1, 2));
    }
    assert_eq!(client.asked(), [0]);
    client.event(ClientEvent::Route(route(2, 2, &["b"])));
    assert_eq!(client.sent.len(), 100);
    assert!(client.sent.iter().all(|sent| sent.node == node("b") && sent.target.version == ChainVersion(2)));
    assert_eq!(client.asked(), [0; 0]);
}

#[test]
fn every_answer_that_cannot_be_routed_asks_for_the_route() {
    let slot = Slot(0);
    let errors = [mismatch(1, 0), mismatch(1, 2), CallError::NoLease { slot }, CallError::NotCaughtUp { slot }];
    for error in errors {
        let mut client = Harness::routed(config(), route(1, 1, &["a"]));
        client.pass(ms(10));
        client.call(put("key", Delivery::AtMostOnce));
        let sent = client.sent();
        client.refuse(&sent, error.clone());
        assert_eq!(client.asked(), [0], "{error}");
        assert_eq!(client.resent().target, sent.target, "{error}");
    }
    for failure in [Failure::NotConnected, Failure::Lost, Failure::TimedOut] {
        let mut client = Harness::routed(config(), route(1, 1, &["a"]));
        client.pass(ms(10));
        client.call(get("key"));
        let sent = client.sent();
        client.fail(&sent, failure);
        assert_eq!(client.asked(), [0], "{failure:?}");
        assert_eq!(client.resent().target, sent.target, "{failure:?}");
    }
}

#[test]
fn answers_that_bring_nothing_are_asked_for_ever_less_often() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    client.call(get("key"));
    let mut asked = 0;
    let end = client.now + ms(5_000);
    while client.now < end {
        if client.sent.is_empty() {
            client.now = client.client.deadline().expect("the call goes on");
            client.event(ClientEvent::Wake);
        }
        for sent in std::mem::take(&mut client.sent) {
            client.refuse(&sent, CallError::NoLease { slot: Slot(0) });
        }
        for _ in client.asked() {
            asked += 1;
            client.event(ClientEvent::Route(route(1, 1, &["a"])));
        }
    }
    assert!((8..=20).contains(&asked), "{asked} in 5 s");
}

#[test]
fn a_version_that_a_node_speaks_of_is_asked_for_without_a_pause() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    client.call(get("key"));
    client.call(get("key"));
    let sent = std::mem::take(&mut client.sent);
    client.refuse(&sent[0], mismatch(1, 2));
    assert_eq!(client.asked(), [0], "although the route has just come");
    client.event(ClientEvent::Route(route(1, 1, &["a"])));
    client.refuse(&sent[1], mismatch(1, 2));
    assert_eq!(client.asked(), [0; 0], "the same hint does not hurry twice");
}

#[test]
fn a_call_that_was_sent_by_an_older_route_is_sent_again_at_once() {
    let mut client = Harness::routed(config(), route(1, 1, &["a", "c"]));
    client.pass(ms(10));
    client.call(put("key", Delivery::AtMostOnce));
    let sent = client.sent();
    client.event(ClientEvent::Route(route(2, 2, &["b", "c"])));
    assert!(client.sent.is_empty(), "a write that may be done waits for its answer");
    client.refuse(&sent, mismatch(1, 2));
    assert_eq!((client.sent().node, client.asked()), (node("b"), vec![]));
}

#[test]
fn changes_are_followed_and_old_ones_ignored() {
    let mut client = Harness::routed(config(), route(5, 3, &["a", "b"]));
    let change = |revision, version, members: &[&str]| {
        ClientEvent::RouteChanged(Route { nodes: vec![], ..route(revision, version, members) })
    };
    let reads_at = |client: &mut Harness| {
        client.call(get("key"));
        let sent = client.sent();
        client.answer(&sent, absent());
        (sent.node.as_str().to_owned(), sent.target.version.0)
    };
    client.event(change(5, 9, &["a", "c"]));
    assert_eq!(reads_at(&mut client), ("b".into(), 3), "not newer than the route");
    client.event(change(6, 4, &["a"]));
    assert_eq!(reads_at(&mut client), ("a".into(), 4));
    client.event(change(7, 2, &["c"]));
    assert_eq!(reads_at(&mut client), ("a".into(), 4), "a chain keeps its highest version");
    client.event(ClientEvent::Route(route(4, 2, &["c"])));
    assert_eq!(reads_at(&mut client), ("a".into(), 4), "also against an old snapshot");
    let known = client.client.route().expect("known");
    assert_eq!((known.revision, known.chains, known.nodes.len()), (Revision(7), vec![chain(0, 4, &["a"])], 3));
}

#[test]
fn a_node_that_has_moved_is_called_where_it_is() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    client.call(get("key"));
    let sent = client.sent();
    client.fail(&sent, Failure::NotConnected);
    let mut moved = route(2, 1, &["a"]);
    moved.nodes[0].address = "elsewhere:1".into();
    client.event(ClientEvent::Route(moved));
    assert_eq!(client.sent().address, "elsewhere:1", "at once: that the node was not where it was says nothing");
}

/// A silent head would hold its calls for a whole try; the route says sooner that it is out.
#[test]
fn tries_at_a_node_that_is_out_are_left_where_that_is_safe() {
    let mut client = Harness::routed(config(), route(1, 1, &["a", "b"]));
    client.call(put("key", Delivery::ExactlyOnce));
    client.open(7);
    let safe = client.sent();
    client.call(put("key", Delivery::AtMostOnce));
    let harmful = client.sent();
    client.call(get("key"));
    let read = client.sent();
    client.event(ClientEvent::Route(route(2, 2, &["c", "b"])));
    assert_eq!(client.abandoned, [safe.attempt]);
    let again = client.sent();
    assert_eq!((&again.node, again.origin()), (&node("c"), safe.origin()));
    client.answer(&harmful, written(9));
    client.answer(&read, absent());
    client.answer(&again, written(10));
    assert!(client.done.iter().all(|(_, result)| result.is_ok()) && client.done.len() == 3, "{:?}", client.done);
}

#[test]
fn coordinators_are_asked_in_turn() {
    let config = ClientConfig { coordinators: 3, ..config() };
    let mut client = Harness::new(config);
    client.event(ClientEvent::Wake);
    assert_eq!(client.asked(), [0]);
    client.event(ClientEvent::RouteFailed { coordinator: 0 });
    assert_eq!(client.asked(), [1], "at once");
    client.pass(ms(1_000));
    assert_eq!(client.asked(), [2], "after a silent one");
    client.event(ClientEvent::RouteFailed { coordinator: 0 });
    assert_eq!(client.asked(), [0; 0], "old news");
    client.event(ClientEvent::RouteFailed { coordinator: 2 });
    assert_eq!(client.asked(), [0; 0], "a pause after a round");
    client.pass(ms(100));
    assert_eq!(client.asked(), [0]);
    client.event(ClientEvent::Route(route(1, 1, &["a"])));
    client.event(ClientEvent::RouteFailed { coordinator: 0 });
    assert_eq!(client.asked(), [1], "the one that was listened to is gone");
}

#[test]
fn without_a_route_or_a_chain_nothing_is_executed() {
    let mut client = Harness::new(config());
    client.call(put("key", Delivery::ExactlyOnce));
    client.pass(ms(10_000));
    let (error, kind) = client.error();
    assert!(matches!(error, ClientError::OutOfTime { obstacle: Some(Obstacle::NoRoute), .. }), "{error}");
    assert_eq!(kind, Kind::NotExecuted);
    let mut client = Harness::routed(config(), Route { chains: vec![], ..route(1, 1, &["a"]) });
    client.call(get("key"));
    client.pass(ms(10_000));
    let (error, kind) = client.error();
    assert!(matches!(error, ClientError::OutOfTime { obstacle: Some(Obstacle::NoChain { slot: Slot(0) }), .. }), "{error}");
    assert_eq!(kind, Kind::NotExecuted);
    let mut client = Harness::new(ClientConfig { coordinators: 0, ..config() });
    assert_eq!(client.client.deadline(), None);
    client.call(get("key"));
    assert_eq!(client.error(), (ClientError::NoCoordinator, Kind::NotExecuted));
}

#[test]
fn routes_of_another_cluster_and_nonsense_are_no_routes() {
    let foreign = Route { cluster: ClusterId(2), ..route(1, 1, &["a"]) };
    let nonsense = [Route { slots: 0, ..route(1, 1, &["a"]) }, foreign];
    for route_given in nonsense {
        let mut client = Harness::new(ClientConfig { cluster: Some(CLUSTER), ..config() });
        client.event(ClientEvent::Wake);
        client.call(get("key"));
        client.event(ClientEvent::Route(route_given));
        assert!(client.sent.is_empty() && client.client.route().is_none());
        assert_eq!(client.asked(), [0, 1], "the next is asked");
    }
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    client.event(ClientEvent::Route(Route { slots: 2, ..route(9, 9, &["b"]) }));
    let empty = catena_core::Chain { members: vec![], ..chain(0, 9, &["b"]) };
    client.event(ClientEvent::Route(Route { chains: vec![empty], ..route(9, 9, &["b"]) }));
    client.call(get("key"));
    assert_eq!(client.sent().node, node("a"));
}

#[test]
fn a_call_has_a_time_and_each_of_its_tries_too() {
    let mut client = Harness::routed(config(), route(1, 1, &["a"]));
    let begun = client.now;
    client.call(get("key"));
    let mut deadlines = Vec::new();
    while client.done.is_empty() {
        deadlines.extend(client.sent.drain(..).map(|sent| Time(sent.deadline.0 - begun.0)));
        client.now = client.client.deadline().expect("the call goes on");
        client.event(ClientEvent::Wake);
    }
    assert_eq!(client.now, begun + ms(10_000));
    assert_eq!(deadlines.len(), 3, "2 s, 4 s, and what is left: {deadlines:?}");
    assert_eq!((deadlines[0], deadlines[2]), (Time::default() + ms(2_000), Time::default() + ms(10_000)));
    assert_eq!(client.abandoned.len(), 3);
    let (error, kind) = client.error();
    assert!(matches!(error, ClientError::OutOfTime { obstacle: Some(Obstacle::Failure { .. }), .. }), "{error}");
    assert_eq!((kind, client.client.calls()), (Kind::Unknown, 0));
}
