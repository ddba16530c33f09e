//! `Kv.Session` over real TCP, in front of a node that the test plays.

use std::time::Duration;

use bytes::Bytes;
use catena_core::{CallError, Kind, Object, Reply, Seq, Slot};
use catena_net::proto::kv_client::KvClient;
use catena_net::proto::session_request::Call;
use catena_net::proto::session_response::Outcome;
use catena_net::proto::{
    Condition, DeleteRequest, GetRequest, OpenSessionRequest, PutRequest, Refused, SessionRequest, SessionResponse,
};
use catena_net::server::{NodeInput, STOP_TIMEOUT};
use catena_net::{Refusal, kind_of};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::common::*;

const KIB: usize = 1 << 10;

/// How many calls of a stream a node works on at once, as `kv.proto` says.
const CALLS: usize = 256;

/// The same for the bytes of their requests.
const BYTES: usize = 16 << 20;

/// The caller's end of a stream.
struct Stream {
    requests: mpsc::UnboundedSender<SessionRequest>,
    responses: Streaming<SessionResponse>,
}

impl Stream {
    async fn open(address: &str) -> Self {
        let mut node = KvClient::connect(format!("http://{address}")).await.expect("connects");
        let (requests, sent) = mpsc::unbounded_channel();
        let responses = node.session(UnboundedReceiverStream::new(sent)).await.expect("a stream").into_inner();
        Self { requests, responses }
    }

    fn send(&self, id: u64, call: impl Into<Option<Call>>) {
        self.requests.send(SessionRequest { id, call: call.into() }).expect("the stream is there");
    }

    async fn next(&mut self) -> (u64, Outcome) {
        let response = soon("a response", self.responses.message()).await.expect("the stream is well");
        let SessionResponse { id, outcome } = response.expect("the stream goes on");
        (id, outcome.expect("a response says something"))
    }

    async fn refused(&mut self) -> (u64, Refused) {
        let (id, outcome) = self.next().await;
        let Outcome::Refused(refused) = outcome else { panic!("expected a refusal, got {outcome:?}") };
        (id, refused)
    }

    /// What the stream ends with.
    async fn end(&mut self) -> Result<(), Status> {
        let last = soon("the end", self.responses.message()).await?;
        assert_eq!(last, None);
        Ok(())
    }
}

fn get(key: &'static str) -> Call {
    Call::Get(GetRequest { slot: 4, chain_version: 7, key: key.into(), ..GetRequest::default() })
}

fn put(key: &'static str, value: impl Into<Bytes>) -> Call {
    let value = value.into();
    Call::Put(PutRequest { slot: 4, chain_version: 7, key: key.into(), value, ..PutRequest::default() })
}

/// The next input, which is a write; only its key counts.
async fn write(node: &mut TestNode) -> (Bytes, impl FnOnce(u64) + use<>) {
    let NodeInput::Write { target, command, reply, .. } = node.next().await else { panic!("expected a write") };
    (command.key, move |seq| reply.send(Ok(written(target, seq))).expect("the caller waits"))
}

/// How many inputs come until none comes for a while.
async fn count(node: &mut TestNode, mut each: impl FnMut(NodeInput)) -> usize {
    let mut count = 0;
    while let Ok(input) = timeout(Duration::from_millis(500), node.inputs.recv()).await {
        each(input.expect("the server runs"));
        count += 1;
    }
    count
}

#[tokio::test]
async fn calls_reach_the_node_in_their_order_and_are_answered_as_they_are_done() {
    let mut node = TestNode::start("a").await;
    let mut stream = Stream::open(&node.record.address).await;
    let key = || Bytes::from_static(b"d");
    stream.send(70, put("a", "one"));
    stream.send(60, get("b"));
    stream.send(50, Call::OpenSession(OpenSessionRequest { slot: 4, chain_version: 7, ..OpenSessionRequest::default() }));
    stream.send(40, Call::Delete(DeleteRequest { slot: 4, chain_version: 7, key: key(), ..DeleteRequest::default() }));
    let (first, answer_first) = write(&mut node).await;
    let NodeInput::Read { target, key: second, reply: answer_second } = node.next().await else { panic!("expected a read") };
    let NodeInput::OpenSession { reply: answer_third, .. } = node.next().await else { panic!("expected an opening") };
    let NodeInput::Write { command: fourth, reply: answer_fourth, .. } = node.next().await else { panic!("expected a write") };
    assert_eq!([first, second, fourth.key], ["a", "b", "d"]);
    answer_fourth.send(Ok(Reply::Written { entry: None, object: None })).expect("the caller waits");
    let (id, outcome) = stream.next().await;
    assert!(id == 40 && matches!(&outcome, Outcome::Delete(delete) if !delete.applied), "{id}: {outcome:?}");
    answer_third.send(Ok(Reply::Opened { session: Seq(9) })).expect("the caller waits");
    let (id, outcome) = stream.next().await;
    assert!(id == 50 && matches!(&outcome, Outcome::OpenSession(opened) if opened.session == 9), "{id}: {outcome:?}");
    answer_second.send(Ok(found(target, "two"))).expect("the caller waits");
    let (id, outcome) = stream.next().await;
    assert!(id == 60 && matches!(&outcome, Outcome::Get(found) if found.value == "two"), "{id}: {outcome:?}");
    answer_first(12);
    let (id, outcome) = stream.next().await;
    assert!(id == 70 && matches!(&outcome, Outcome::Put(put) if put.seq == 12), "{id}: {outcome:?}");
}

#[tokio::test]
async fn a_call_that_is_refused_says_why_and_the_stream_goes_on() {
    let mut node = TestNode::start("a").await;
    let mut stream = Stream::open(&node.record.address).await;
    let other = Bytes::copy_from_slice(&OTHER_CLUSTER.0.to_be_bytes());
    let malformed = |problem: &str| Refusal::Malformed { problem: problem.to_owned() };
    let refusals = [
        (None, malformed("session_request.call is missing: set it")),
        (
            Some(Call::Get(GetRequest { cluster: other, ..GetRequest::default() })),
            Refusal::WrongCluster { given: OTHER_CLUSTER, here: CLUSTER },
        ),
        (
            Some(Call::Put(PutRequest { conditions: vec![Condition::default()], ..PutRequest::default() })),
            malformed("condition.test is missing: set it"),
        ),
    ];
    for (id, (call, refusal)) in (1..).zip(refusals) {
        stream.send(id, call);
        let (answered, refused) = stream.refused().await;
        assert_eq!((answered, Code::from(refused.code), &refused.message), (id, refusal.code(), &refusal.to_string()));
        assert_eq!(Refusal::from_status(&refused.into()), Some(refusal));
    }
    assert!(node.inputs.try_recv().is_err(), "nothing reaches the node");
    let failed = CallError::ConditionFailed { object: Some(metadata(3)) };
    for error in [failed.clone(), CallError::OutcomeUnknown { slot: Slot(4) }] {
        stream.send(9, put("key", "value"));
        let NodeInput::Write { reply, .. } = node.next().await else { panic!("expected a write") };
        reply.send(Err(error.clone())).expect("the caller waits");
        let status = Status::from(stream.refused().await.1);
        assert_eq!((kind_of(&status), Refusal::from_status(&status)), (error.kind(), Some(error.into())));
    }
    stream.send(10, put("key", "value"));
    drop(node.next().await);
    assert_eq!(Refusal::from_status(&stream.refused().await.1.into()), Some(Refusal::Abandoned));
    stream.send(11, put("key", "value"));
    write(&mut node).await.1(12);
    assert_eq!(stream.next().await.0, 11);
}

#[tokio::test]
async fn a_stream_that_the_caller_ends_is_answered_to_the_end() {
    let mut node = TestNode::start("a").await;
    let mut stream = Stream::open(&node.record.address).await;
    stream.send(1, put("key", "value"));
    stream.requests = mpsc::unbounded_channel().0;
    write(&mut node).await.1(12);
    assert_eq!(stream.next().await.0, 1);
    stream.end().await.expect("all is well");
}

#[tokio::test]
async fn what_a_node_has_of_a_stream_is_bounded() {
    for (len, most) in [(0, CALLS), (1 << 20, BYTES >> 20)] {
        let mut node = TestNode::start("a").await;
        let mut stream = Stream::open(&node.record.address).await;
        for id in 0..2 * CALLS as u64 {
            stream.send(id, put("key", vec![7; len]));
        }
        let mut held = Vec::new();
        assert_eq!(count(&mut node, |input| held.push(input)).await, most, "values of {len} bytes");
        // One that is answered makes room for one.
        let NodeInput::Write { target, reply, .. } = held.swap_remove(3) else { panic!("expected a write") };
        reply.send(Ok(written(target, 1))).expect("the caller waits");
        assert_eq!(stream.next().await.0, 3);
        assert_eq!(count(&mut node, |input| held.push(input)).await, 1);
    }
}

/// What is answered at once waits in the connection and in the stream, up to what both take; more is not even read.
#[tokio::test]
async fn a_caller_that_does_not_read_is_not_read() {
    /// What the connection takes for a caller of hyper's that does not read.
    const WINDOW: usize = 2 << 20;
    let mut node = TestNode::start("a").await;
    let mut stream = Stream::open(&node.record.address).await;
    let requests = 40 * CALLS as u64;
    for id in 0..requests {
        stream.send(id, get("key"));
    }
    let object = Object { value: vec![7; 4 * KIB].into(), metadata: metadata(1) };
    let answer = |input| {
        let NodeInput::Read { target, reply, .. } = input else { panic!("expected a read") };
        let _ = reply.send(Ok(Reply::Read { version: target.version, object: Some(object.clone()) }));
    };
    let taken = count(&mut node, answer).await;
    assert!((CALLS..2 * CALLS + 2 * WINDOW / (4 * KIB)).contains(&taken), "{taken} of {requests}");
    // It has lost nothing by it.
    let read = async {
        for _ in 0..requests {
            stream.next().await;
        }
    };
    let (rest, ()) = tokio::join!(count(&mut node, answer), read);
    assert_eq!(taken + rest, 40 * CALLS);
}

#[tokio::test]
async fn a_request_over_the_limit_ends_the_stream_once_the_others_are_answered() {
    let mut node = TestNode::start("a").await;
    let mut stream = Stream::open(&node.record.address).await;
    stream.send(1, put("key", "value"));
    stream.send(2, put("key", vec![0; 40 << 20]));
    write(&mut node).await.1(12);
    assert_eq!(stream.next().await.0, 1);
    let status = stream.end().await.expect_err("refused");
    assert!(matches!(Refusal::from_status(&status), Some(Refusal::MessageTooLarge { .. })), "{status:?}");
    assert_eq!(kind_of(&status), Kind::NotExecuted);
}

#[tokio::test]
async fn a_node_that_stops_answers_what_it_has_and_says_that_it_has_no_more() {
    let Stoppable { address, mut inputs, stop, serving, links: _links } = Stoppable::start().await;
    let mut stream = Stream::open(&address.to_string()).await;
    let mut idle = Stream::open(&address.to_string()).await;
    stream.send(1, put("key", "value"));
    let held = soon("the write", inputs.recv()).await.expect("a write");
    let began = Instant::now();
    drop(stop);
    let status = idle.end().await.expect_err("it stops");
    assert_eq!(Refusal::from_status(&status), Some(Refusal::Stopping));
    let NodeInput::Write { target, reply, .. } = held else { panic!("expected a write") };
    reply.send(Ok(written(target, 12))).expect("the caller waits");
    assert_eq!(stream.next().await.0, 1);
    let status = stream.end().await.expect_err("it stops");
    assert_eq!(Refusal::from_status(&status), Some(Refusal::Stopping));
    soon("the stop", serving).await.expect("no panic").expect("a proper end");
    assert!(began.elapsed() < STOP_TIMEOUT, "nothing held it up for {:?}", began.elapsed());
}
