//! Writes that take effect exactly once, over real TCP, against nodes that the test plays.

use catena_core::{CallError, Kind, Origin, Reply, Route, Seq, Slot};
use catena_net::server::NodeInput;
use catena_net::{Client, Options, Refusal};
use tokio::sync::watch;

use crate::common::*;

async fn connect(first: Route) -> (Client, watch::Sender<Route>, Process) {
    let (route, receiver) = watch::channel(first);
    let (address, coordinator) = TestCoordinator::start().await.give(receiver);
    let client = Client::connect(vec![address], Options { call_timeout: PATIENCE }).await.expect("connects");
    (client, route, coordinator)
}

/// Opens the session that a write waits for.
async fn open(node: &mut TestNode, session: u64) {
    let NodeInput::OpenSession { reply, .. } = node.next().await else { panic!("expected the opening of a session") };
    reply.send(Ok(Reply::Opened { session: Seq(session) })).expect("the client waits");
}

/// The next write's place in its session, and a way to end it.
async fn write(node: &mut TestNode) -> (Origin, impl FnOnce(Result<u64, CallError>) + use<>) {
    let NodeInput::Write { target, origin, reply, .. } = node.next().await else { panic!("expected a write") };
    let end = move |result: Result<u64, CallError>| reply.send(result.map(|seq| written(target, seq))).expect("the caller waits");
    (origin.expect("under a session"), end)
}

fn origin(session: u64, number: u64, answered_below: u64) -> Origin {
    Origin { session: Seq(session), number, answered_below }
}

#[tokio::test]
async fn writes_of_a_slot_share_a_session() {
    let mut node = TestNode::start("a").await;
    let (client, _route, _coordinator) = connect(route(1, 1, &[&node.record])).await;
    let other = client.clone();
    let driver = async {
        open(&mut node, 7).await;
        for number in 1..=2 {
            let (place, end) = write(&mut node).await;
            assert_eq!(place, origin(7, number, number));
            end(Ok(10 + number));
        }
    };
    let calls = async {
        let first = client.put("key", "value", vec![]).await;
        let second = other.put("other", "value", vec![]).await;
        [first, second].map(|put| put.expect("written").entry.expect("ordered").seq.0)
    };
    let (seqs, ()) = tokio::join!(calls, driver);
    assert_eq!(seqs, [11, 12]);
}

#[tokio::test]
async fn a_write_whose_connection_dies_is_repeated_under_its_number() {
    let mut node = TestNode::start("a").await;
    let (client, _route, _coordinator) = connect(route(1, 1, &[&node.record])).await;
    let address = node.record.address.clone();
    let driver = async {
        open(&mut node, 7).await;
        let (before, end) = write(&mut node).await;
        drop(node); // killed with the write in its hands
        drop(end);
        let mut node = TestNode::restart("a", &address).await;
        let (again, end) = write(&mut node).await;
        assert_eq!((before, again), (origin(7, 1, 1), origin(7, 1, 1)));
        end(Ok(9));
        node
    };
    let (put, _node) = tokio::join!(client.put("key", "value", vec![]), driver);
    assert_eq!(put.expect("written").entry.expect("ordered").seq, Seq(9));
}

/// A head that holds its calls, as a process that is stopped does, and is taken out of the chain.
#[tokio::test]
async fn a_write_at_a_silent_head_goes_to_the_next_one_as_soon_as_there_is_one() {
    let (mut silent, mut next) = (TestNode::start("a").await, TestNode::start("b").await);
    let (client, routes, _coordinator) = connect(route(1, 1, &[&silent.record, &next.record])).await;
    let driver = async {
        open(&mut silent, 7).await;
        let held = write(&mut silent).await;
        routes.send_replace(route(2, 2, &[&next.record]));
        let (place, end) = write(&mut next).await;
        assert_eq!(place, held.0);
        end(Ok(9));
        held
    };
    let (put, _held) = tokio::join!(client.put("key", "value", vec![]), driver);
    assert!(put.is_ok(), "{put:?}");
}

#[tokio::test]
async fn an_expired_session_is_unknown_and_the_next_write_opens_another() {
    let mut node = TestNode::start("a").await;
    let (client, _route, _coordinator) = connect(route(1, 1, &[&node.record])).await;
    let expired = CallError::SessionExpired { slot: Slot(0), session: Seq(7) };
    let driver = async {
        open(&mut node, 7).await;
        let (_, end) = write(&mut node).await;
        end(Err(expired.clone()));
    };
    let (put, ()) = tokio::join!(client.put("key", "value", vec![]), driver);
    let error = put.expect_err("nothing is known");
    assert_eq!((error.kind(), error.refusal()), (Kind::Unknown, Some(&Refusal::Call(expired))));
    let driver = async {
        open(&mut node, 20).await;
        let (place, end) = write(&mut node).await;
        assert_eq!(place, origin(20, 1, 1));
        end(Ok(21));
    };
    let (put, ()) = tokio::join!(client.put("key", "value", vec![]), driver);
    assert!(put.is_ok(), "{put:?}");
}

#[tokio::test]
async fn a_condition_that_failed_is_an_answer() {
    let mut node = TestNode::start("a").await;
    let (client, _route, _coordinator) = connect(route(1, 1, &[&node.record])).await;
    let failed = CallError::ConditionFailed { object: Some(metadata(3)) };
    let driver = async {
        open(&mut node, 7).await;
        let (_, end) = write(&mut node).await;
        end(Err(failed.clone()));
    };
    let (put, ()) = tokio::join!(client.put("key", "value", vec![]), driver);
    let error = put.expect_err("refused");
    assert_eq!((error.kind(), error.refusal()), (Kind::NotExecuted, Some(&Refusal::Call(failed))));
}

/// A caller that goes away leaves no call behind, and its write is not to run any more.
#[tokio::test]
async fn a_dropped_write_is_passed_over_by_the_next() {
    let mut node = TestNode::start("a").await;
    let (client, _route, _coordinator) = connect(route(1, 1, &[&node.record])).await;
    let dropped = {
        let put = client.put("key", "value", vec![]);
        let driver = async {
            open(&mut node, 7).await;
            write(&mut node).await
        };
        tokio::select! {
            biased;
            (place, _end) = driver => place,
            put = put => panic!("nobody has answered: {put:?}"),
        }
    };
    let driver = async {
        let (place, end) = write(&mut node).await;
        assert_eq!((dropped, place), (origin(7, 1, 1), origin(7, 2, 2)));
        end(Ok(9));
    };
    let (put, ()) = tokio::join!(client.put("key", "value", vec![]), driver);
    assert!(put.is_ok(), "{put:?}");
}

#[tokio::test]
async fn a_hundred_writes_at_once_all_get_their_own_answers() {
    let mut node = TestNode::start("a").await;
    let (client, _route, _coordinator) = connect(route(1, 1, &[&node.record])).await;
    let driver = async {
        open(&mut node, 7).await;
        for _ in 0..100 {
            let (place, end) = write(&mut node).await;
            end(Ok(1000 + place.number));
        }
    };
    let calls = async {
        let put = |number: u32| {
            let client = client.clone();
            tokio::spawn(async move { client.put(number.to_string(), "value", vec![]).await.expect("written") })
        };
        let calls: Vec<_> = (0..100).map(put).collect();
        let mut seqs = Vec::new();
        for call in calls {
            seqs.push(call.await.expect("no panic").entry.expect("ordered").seq.0);
        }
        seqs.sort_unstable();
        seqs
    };
    let (seqs, ()) = tokio::join!(calls, driver);
    assert_eq!(seqs, (1001..=1100).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_could_not_open_its_session_was_not_executed() {
    let mut node = TestNode::start("a").await;
    let (client, _route, _coordinator) = connect(route(1, 1, &[&node.record])).await;
    let hasty = client.with_options(Options { call_timeout: std::time::Duration::from_millis(200) });
    let (put, _held) = tokio::join!(hasty.put("key", "value", vec![]), node.next());
    let error = put.expect_err("no session");
    assert_eq!(error.kind(), Kind::NotExecuted, "{error}");
}
