//! The client over real TCP, against nodes and a coordinator that the test plays.

use std::time::Duration;

use catena_core::{CallError, ChainVersion, Kind, MismatchReason, Page, Reply, Revision, Role, Route, RoutingMismatch, Slot};
use catena_net::server::NodeInput;
use catena_net::{Client, ClientError, Options, Refusal};
use tokio::sync::watch;

use crate::common::*;

/// A client whose route the test changes.
struct Setup {
    client: Client,
    route: watch::Sender<Route>,
    _coordinator: Process,
}

async fn setup(route: Route, call_timeout: Duration) -> Setup {
    let (sender, receiver) = watch::channel(route);
    let (address, coordinator) = TestCoordinator::start().await.give(receiver);
    let client = Client::connect(vec![address], Options { call_timeout }).await.expect("connects");
    Setup { client: client.at_most_once(), route: sender, _coordinator: coordinator }
}

fn mismatch(current: u64) -> CallError {
    CallError::Routing(RoutingMismatch {
        slot: Slot(0),
        expected: ChainVersion(1),
        current: ChainVersion(current),
        role: Role::Head,
        reason: MismatchReason::WrongVersion,
    })
}

/// Answers the next write; returns the version it came under.
async fn answer_write(node: &mut TestNode, seq: u64) -> ChainVersion {
    let NodeInput::Write { target, reply, .. } = node.next().await else { panic!("expected a write") };
    reply.send(Ok(written(target, seq))).expect("the caller waits");
    target.version
}

async fn refuse_write(node: &mut TestNode, error: CallError) -> ChainVersion {
    let NodeInput::Write { target, reply, .. } = node.next().await else { panic!("expected a write") };
    reply.send(Err(error)).expect("the caller waits");
    target.version
}

#[tokio::test]
async fn writes_to_the_head_and_reads_from_the_tail() {
    let (mut head, mut tail) = (TestNode::start("a").await, TestNode::start("b").await);
    let setup = setup(route(1, 5, &[&head.record, &tail.record]), PATIENCE).await;
    let (put, version) = tokio::join!(setup.client.put("key", "value", vec![]), answer_write(&mut head, 3));
    let put = put.expect("written");
    assert_eq!((put.slot, put.entry.map(|entry| entry.seq.0), version), (Slot(0), Some(3), ChainVersion(5)));
    assert_eq!(put.object, Some(metadata(3)));
    let driver = async {
        let NodeInput::Read { target, reply, .. } = tail.next().await else { panic!("expected a read") };
        reply.send(Ok(found(target, "value"))).expect("the caller waits");
    };
    let (get, ()) = tokio::join!(setup.client.get("key"), driver);
    let get = get.expect("read");
    assert_eq!(get.object.map(|object| object.value), Some("value".into()));
    assert_eq!(get.version, ChainVersion(5));
}

#[tokio::test]
async fn a_scan_goes_to_the_tail_and_only_to_a_slot_that_there_is() {
    let (head, mut tail) = (TestNode::start("a").await, TestNode::start("b").await);
    let setup = setup(route(1, 5, &[&head.record, &tail.record]), PATIENCE).await;
    let driver = async {
        let NodeInput::Scan { target, after, bytes, reply } = tail.next().await else { panic!("expected a scan") };
        assert_eq!((target.slot, after, bytes), (Slot(0), None, 1_000));
        let page = Page { objects: Vec::new(), next: None };
        reply.send(Ok(Reply::Scanned { version: target.version, page })).expect("the caller waits");
    };
    let (scanned, ()) = tokio::join!(setup.client.scan(Slot(0), None, 1_000), driver);
    let scanned = scanned.expect("read");
    assert_eq!((scanned.version, scanned.page.next), (ChainVersion(5), None));
    let error = setup.client.scan(Slot(99), None, 1_000).await.expect_err("there is none");
    assert_eq!(error.kind(), Kind::NotExecuted);
    assert!(error.to_string().contains("99"), "{error}");
}

#[tokio::test]
async fn a_routing_mismatch_is_retried_under_a_fresh_route() {
    let (mut old, mut new) = (TestNode::start("a").await, TestNode::start("b").await);
    let setup = setup(route(1, 1, &[&old.record]), PATIENCE).await;
    let driver = async {
        // Twice, before the coordinator knows better.
        assert_eq!(refuse_write(&mut old, mismatch(2)).await, ChainVersion(1));
        assert_eq!(refuse_write(&mut old, mismatch(2)).await, ChainVersion(1));
        setup.route.send_replace(route(2, 2, &[&new.record, &old.record]));
        // Tries under the old route may still be on their way.
        loop {
            tokio::select! {
                version = answer_write(&mut new, 1) => return version,
                _ = refuse_write(&mut old, mismatch(2)) => {}
            }
        }
    };
    let (put, version) = tokio::join!(setup.client.put("key", "value", vec![]), driver);
    assert!(put.expect("written").entry.is_some());
    assert_eq!(version, ChainVersion(2));
}

#[tokio::test]
async fn refusals_that_pass_by_themselves_are_retried() {
    let mut node = TestNode::start("a").await;
    let setup = setup(route(1, 1, &[&node.record]), PATIENCE).await;
    let driver = async {
        let slot = Slot(0);
        refuse_write(&mut node, CallError::NoLease { slot }).await;
        refuse_write(&mut node, CallError::NotCaughtUp { slot }).await;
        answer_write(&mut node, 1).await;
    };
    let (put, ()) = tokio::join!(setup.client.put("key", "value", vec![]), driver);
    assert!(put.is_ok(), "{put:?}");
}

#[tokio::test]
async fn other_refusals_are_final() {
    let mut node = TestNode::start("a").await;
    let setup = setup(route(1, 1, &[&node.record]), PATIENCE).await;
    for error in [CallError::ConditionFailed { object: None }, CallError::OutcomeUnknown { slot: Slot(0) }] {
        let call = setup.client.put("key", "value", vec![]);
        let (put, _) = tokio::join!(call, refuse_write(&mut node, error.clone()));
        let refused = put.expect_err("refused");
        assert_eq!(refused.kind(), error.kind());
        assert_eq!(refused.refusal(), Some(&Refusal::Call(error)));
    }
    assert!(node.inputs.try_recv().is_err(), "each was tried once");
}

#[tokio::test]
async fn a_write_whose_connection_dies_is_unknown_and_not_repeated() {
    let mut node = TestNode::start("a").await;
    let setup = setup(route(1, 1, &[&node.record]), PATIENCE).await;
    let address = node.record.address.clone();
    let driver = async {
        let held = node.next().await;
        assert!(matches!(held, NodeInput::Write { .. }), "expected a write, got {held:?}");
        drop(node); // killed with the write in its hands
        drop(held);
        TestNode::restart("a", &address).await
    };
    let call = soon("an error", setup.client.put("key", "value", vec![]));
    let (put, mut node) = tokio::join!(call, driver);
    let error = put.expect_err("the node is dead");
    assert!(matches!(error, ClientError::Failed { kind: Kind::Unknown, .. }), "{error}");
    // The same client writes to the node that is there now; the lost write did not come again before it.
    let (put, ()) = tokio::join!(setup.client.put("other", "value", vec![]), async {
        let NodeInput::Write { target, command, reply, .. } = node.next().await else { panic!("expected a write") };
        assert_eq!(command.key, "other");
        reply.send(Ok(written(target, 1))).expect("the caller waits");
    });
    assert!(put.is_ok(), "{put:?}");
}

#[tokio::test]
async fn a_read_whose_connection_dies_is_repeated() {
    let mut node = TestNode::start("a").await;
    let setup = setup(route(1, 1, &[&node.record]), PATIENCE).await;
    let address = node.record.address.clone();
    let driver = async {
        let held = node.next().await;
        assert!(matches!(held, NodeInput::Read { .. }), "expected a read, got {held:?}");
        drop(node);
        drop(held);
        let mut node = TestNode::restart("a", &address).await;
        let NodeInput::Read { target, reply, .. } = node.next().await else { panic!("expected a read") };
        reply.send(Ok(found(target, "value"))).expect("the caller waits");
        node
    };
    let (get, _node) = tokio::join!(setup.client.get("key"), driver);
    assert!(get.is_ok(), "{get:?}");
}

/// Writes until one says that the node is not reached. One may find a connection dead with the write perhaps on its way, and one
/// in a hundred ends while it dials: those say `Unknown`, which is safe.
async fn unreachable(client: &Client) -> ClientError {
    for _ in 0..10 {
        let error = client.put("key", "value", vec![]).await.expect_err("nobody is there");
        if matches!(error, ClientError::Unreachable { .. }) {
            return error;
        }
        assert_eq!(error.kind(), Kind::Unknown, "{error}");
    }
    panic!("never known not to be reached");
}

#[tokio::test]
async fn a_node_that_was_never_reached_did_not_execute() {
    let node = TestNode::start("a").await;
    let record = node.record.clone();
    drop(node);
    let setup = setup(route(1, 1, &[&record]), Duration::from_millis(300)).await;
    let error = unreachable(&setup.client).await;
    assert!(matches!(&error, ClientError::Unreachable { address, .. } if *address == record.address), "{error}");
    assert_eq!(error.kind(), Kind::NotExecuted);
}

/// Also when there was a connection before: dialling again fails before anything is sent.
#[tokio::test]
async fn a_node_that_is_no_longer_reached_did_not_execute() {
    let mut node = TestNode::start("a").await;
    let setup = setup(route(1, 1, &[&node.record]), Duration::from_millis(500)).await;
    let (put, _) = tokio::join!(setup.client.put("key", "value", vec![]), answer_write(&mut node, 1));
    put.expect("written");
    drop(node);
    assert_eq!(unreachable(&setup.client).await.kind(), Kind::NotExecuted);
}

#[tokio::test]
async fn waits_for_a_node_that_is_starting() {
    let node = TestNode::start("a").await;
    let record = node.record.clone();
    drop(node);
    let setup = setup(route(1, 1, &[&record]), PATIENCE).await;
    let driver = async {
        let mut node = TestNode::restart("a", &record.address).await;
        answer_write(&mut node, 1).await;
        node
    };
    let (put, _node) = tokio::join!(setup.client.put("key", "value", vec![]), driver);
    assert!(put.is_ok(), "{put:?}");
}

#[tokio::test]
async fn waits_for_the_first_chains_and_says_so_when_they_do_not_come() {
    let mut node = TestNode::start("a").await;
    let empty = Route { chains: vec![], ..route(1, 1, &[&node.record]) };
    let hasty = setup(empty.clone(), Duration::from_millis(100)).await;
    let error = hasty.client.put("key", "value", vec![]).await.expect_err("no chains");
    assert!(matches!(error, ClientError::NoChain { slot: Slot(0) }), "{error}");
    assert_eq!(error.kind(), Kind::NotExecuted);
    let patient = setup(empty, PATIENCE).await;
    let driver = async {
        patient.route.send_replace(route(2, 1, &[&node.record]));
        answer_write(&mut node, 1).await;
    };
    let (put, ()) = tokio::join!(patient.client.put("key", "value", vec![]), driver);
    assert!(put.is_ok(), "{put:?}");
}

#[tokio::test]
async fn a_call_without_an_answer_ends_with_its_time() {
    let mut node = TestNode::start("a").await;
    let setup = setup(route(1, 1, &[&node.record]), Duration::from_millis(200)).await;
    let (put, _held) = tokio::join!(setup.client.put("key", "value", vec![]), node.next());
    let error = put.expect_err("no answer");
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
    assert_eq!(error.kind(), Kind::Unknown);
}

#[tokio::test]
async fn sizes_are_refused_before_anything_is_sent() {
    let mut node = TestNode::start("a").await;
    let setup = setup(route(1, 1, &[&node.record]), PATIENCE).await;
    let (long, large) = (vec![b'k'; 4097], vec![0; (16 << 20) + 1]);
    let errors = [
        (setup.client.put("", "value", vec![]).await.err(), CallError::KeyEmpty),
        (setup.client.delete("", vec![]).await.err(), CallError::KeyEmpty),
        (setup.client.get(long).await.err(), CallError::KeyTooLong { len: 4097, limit: 4096 }),
        (setup.client.put("key", large, vec![]).await.err(), CallError::ValueTooLarge { len: (16 << 20) + 1, limit: 16 << 20 }),
    ];
    for (error, expected) in errors {
        assert_eq!(error.expect("refused").refusal(), Some(&Refusal::Call(expected)));
    }
    assert!(node.inputs.try_recv().is_err(), "nothing reaches the node");
}

#[tokio::test]
async fn without_a_coordinator_nothing_is_executed_and_the_endpoint_is_named() {
    let gone = TestCoordinator::start().await;
    let address = gone.address.clone();
    drop(gone);
    let options = Options { call_timeout: Duration::from_millis(200) };
    let error = Client::connect(vec![address.clone()], options.clone()).await.expect_err("nobody is there");
    assert!(matches!(&error, ClientError::NoRoute { endpoint, .. } if *endpoint == address), "{error}");
    assert_eq!(error.kind(), Kind::NotExecuted);
    let none = Client::connect(vec![], options).await.expect_err("nobody to ask");
    assert!(matches!(none, ClientError::NoEndpoint), "{none}");
}

#[tokio::test]
async fn the_next_coordinator_is_asked_when_one_is_gone() {
    let mut node = TestNode::start("a").await;
    let gone = TestCoordinator::start().await;
    let first = gone.address.clone();
    drop(gone);
    let (_route, receiver) = watch::channel(route(1, 1, &[&node.record]));
    let (second, _process) = TestCoordinator::start().await.give(receiver);
    let client = Client::connect(vec![first, second], Options { call_timeout: PATIENCE }).await.expect("connects");
    let client = client.at_most_once();
    let (put, _) = tokio::join!(client.put("key", "value", vec![]), answer_write(&mut node, 1));
    assert!(put.is_ok(), "{put:?}");
}

#[tokio::test]
async fn a_change_of_the_route_is_followed_before_any_call_fails() {
    let (old, mut new) = (TestNode::start("a").await, TestNode::start("b").await);
    let setup = setup(route(1, 1, &[&old.record]), PATIENCE).await;
    setup.route.send_replace(route(2, 2, &[&new.record, &old.record]));
    let followed = async {
        while setup.client.route().revision != Revision(2) {
            tokio::task::yield_now().await;
        }
    };
    soon("the change", followed).await;
    let (put, version) = tokio::join!(setup.client.put("key", "value", vec![]), answer_write(&mut new, 1));
    assert!(put.is_ok(), "{put:?}");
    assert_eq!(version, ChainVersion(2));
    let mut old = old;
    assert!(old.inputs.try_recv().is_err(), "the old head has heard nothing");
}

#[tokio::test]
async fn the_next_coordinator_is_followed_when_one_dies() {
    let mut node = TestNode::start("a").await;
    let (_first, receiver) = watch::channel(route(1, 1, &[&node.record]));
    let (first, process) = TestCoordinator::start().await.give(receiver);
    let (_second, receiver) = watch::channel(route(2, 2, &[&node.record]));
    let (second, _process) = TestCoordinator::start().await.give(receiver);
    let client = Client::connect(vec![first, second], Options { call_timeout: PATIENCE }).await.expect("connects");
    assert_eq!(client.route().revision, Revision(1));
    drop(process);
    let followed = async {
        while client.route().revision != Revision(2) {
            tokio::task::yield_now().await;
        }
    };
    soon("the other coordinator's route", followed).await;
    let client = client.at_most_once();
    let (put, version) = tokio::join!(client.put("key", "value", vec![]), answer_write(&mut node, 1));
    assert!(put.is_ok(), "{put:?}");
    assert_eq!(version, ChainVersion(2));
}

/// Of reads that are held, a stream takes 256.
#[tokio::test]
async fn calls_that_a_node_holds_do_not_hold_up_others() {
    let mut node = TestNode::start("a").await;
    let setup = setup(route(1, 1, &[&node.record]), PATIENCE).await;
    let (mut calls, mut held) = (Vec::new(), Vec::new());
    for _ in 0..300 {
        let client = setup.client.clone();
        calls.push(tokio::spawn(async move { client.get("key").await }));
        held.push(node.next().await);
    }
    for input in held.into_iter().rev() {
        let NodeInput::Read { target, reply, .. } = input else { panic!("expected a read") };
        reply.send(Ok(found(target, "value"))).expect("the caller waits");
    }
    for call in calls {
        soon("a read", call).await.expect("no panic").expect("read");
    }
}
