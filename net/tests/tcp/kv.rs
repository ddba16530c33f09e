//! The service `Kv` over real TCP, in front of a node that the test plays.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use catena_core::{
    CallError, ChainVersion, Command, Kind, MismatchReason, Origin, Page, Reply, Resource, Role, RoutingMismatch, Seq, Slot,
    Target,
};
use catena_net::proto::kv_client::KvClient;
use catena_net::proto::{DeleteRequest, GetRequest, OpenSessionRequest, PutRequest, ScanRequest, SessionWrite};
use catena_net::server::{Caller, Listener, NodeInput, ServeError};
use catena_net::{Refusal, kind_of};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::common::*;

const MIB: usize = 1 << 20;

async fn channel(node: &TestNode) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", node.record.address)).expect("an address");
    endpoint.connect().await.expect("connects")
}

async fn client(node: &TestNode) -> KvClient<Channel> {
    KvClient::new(channel(node).await).max_decoding_message_size(64 * MIB)
}

fn put(value: Bytes) -> PutRequest {
    PutRequest { slot: 4, chain_version: 7, key: Bytes::from_static(b"key"), value, ..PutRequest::default() }
}

fn target() -> Target {
    Target { slot: Slot(4), version: ChainVersion(7) }
}

/// The next input, which is a write.
async fn write(node: &mut TestNode) -> (Target, Command, Caller) {
    match node.next().await {
        NodeInput::Write { target, command, reply, .. } => (target, command, reply),
        other => panic!("expected a write, got {other:?}"),
    }
}

#[tokio::test]
async fn hands_on_calls_and_answers_them() {
    let mut node = TestNode::start("a").await;
    let mut client = client(&node).await;
    let driver = async {
        let (at, command, reply) = write(&mut node).await;
        assert_eq!((at, command.key.as_ref()), (target(), &b"key"[..]));
        reply.send(Ok(written(at, 12))).expect("the caller waits");
        let NodeInput::Read { target: at, key, reply } = node.next().await else { panic!("expected a read") };
        assert_eq!((at, key.as_ref()), (target(), &b"key"[..]));
        reply.send(Ok(found(at, "value"))).expect("the caller waits");
        let (at, command, reply) = write(&mut node).await;
        assert_eq!((at, command.action), (target(), catena_core::Action::Delete));
        reply.send(Ok(Reply::Written { entry: None, object: None })).expect("the caller waits");
    };
    let calls = async {
        let put = client.put(put(Bytes::from_static(b"value"))).await.expect("written").into_inner();
        assert_eq!((put.slot, put.chain_version, put.seq), (4, 7, 12));
        let key = Bytes::from_static(b"key");
        let get = GetRequest { slot: 4, chain_version: 7, key: key.clone(), ..GetRequest::default() };
        let get = client.get(get).await.expect("read").into_inner();
        assert!(get.found);
        assert_eq!((get.value.as_ref(), get.chain_version), (&b"value"[..], 7));
        let delete = DeleteRequest { slot: 4, chain_version: 7, key, ..DeleteRequest::default() };
        let delete = client.delete(delete).await.expect("deleted").into_inner();
        assert!(!delete.applied);
    };
    tokio::join!(driver, calls);
}

#[tokio::test]
async fn a_scan_is_handed_on_and_answered_page_by_page() {
    let mut node = TestNode::start("a").await;
    let mut client = client(&node).await;
    let (one, two) = (Bytes::from_static(b"k1"), Bytes::from_static(b"k2"));
    let driver = async {
        for (from, key, next) in [(None, &one, Some(one.clone())), (Some(one.clone()), &two, None)] {
            let NodeInput::Scan { target: at, after, bytes, reply } = node.next().await else { panic!("expected a scan") };
            assert_eq!((at, after, bytes), (target(), from, 100));
            let Reply::Read { version, object } = found(at, "value") else { unreachable!() };
            let page = Page { objects: object.map(|object| (key.clone(), object)).into_iter().collect(), next };
            reply.send(Ok(Reply::Scanned { version, page })).expect("the caller waits");
        }
    };
    let calls = async {
        let first = ScanRequest { slot: 4, chain_version: 7, limit_bytes: 100, ..ScanRequest::default() };
        let page = client.scan(first.clone()).await.expect("read").into_inner();
        assert_eq!((page.objects[0].key.as_ref(), page.objects[0].value.as_ref()), (&b"k1"[..], &b"value"[..]));
        let page = client.scan(ScanRequest { after: page.next, ..first.clone() }).await.expect("read").into_inner();
        assert_eq!((page.objects.len(), page.objects[0].key.as_ref(), page.next.as_ref()), (1, &b"k2"[..], &b""[..]));
        let status = client.scan(ScanRequest { limit_bytes: 2 << 20, ..first }).await.expect_err("too much at once");
        assert_eq!((status.code(), kind_of(&status)), (Code::InvalidArgument, Kind::NotExecuted));
        assert!(status.message().contains("scan.limit_bytes"), "{status}");
    };
    tokio::join!(driver, calls);
}

const SESSION: SessionWrite = SessionWrite { session: 9, number: 5, answered_below: 3 };

#[tokio::test]
async fn a_session_is_opened_and_its_writes_are_named() {
    let mut node = TestNode::start("a").await;
    let mut client = client(&node).await;
    let driver = async {
        let NodeInput::OpenSession { target: at, reply } = node.next().await else { panic!("expected an opening") };
        assert_eq!(at, target());
        reply.send(Ok(Reply::Opened { session: Seq(9) })).expect("the caller waits");
        let named = Some(Origin { session: Seq(9), number: 5, answered_below: 3 });
        for answer in [written(target(), 12), Reply::Written { entry: None, object: None }] {
            let NodeInput::Write { origin, reply, .. } = node.next().await else { panic!("expected a write") };
            assert_eq!(origin, named);
            reply.send(Ok(answer)).expect("the caller waits");
        }
        let NodeInput::Write { origin, reply, .. } = node.next().await else { panic!("expected a write") };
        assert_eq!(origin, None);
        reply.send(Ok(written(target(), 13))).expect("the caller waits");
    };
    let calls = async {
        let open = OpenSessionRequest { slot: 4, chain_version: 7, ..OpenSessionRequest::default() };
        let opened = client.open_session(open).await.expect("opened").into_inner();
        assert_eq!((opened.slot, opened.session), (4, 9));
        client.put(PutRequest { session: Some(SESSION), ..put(Bytes::new()) }).await.expect("written");
        let key = Bytes::from_static(b"key");
        let delete = DeleteRequest { slot: 4, chain_version: 7, key, session: Some(SESSION), ..DeleteRequest::default() };
        client.delete(delete).await.expect("deleted");
        client.put(put(Bytes::new())).await.expect("written");
    };
    tokio::join!(driver, calls);
}

/// A number that was given to a delete before, and now to a put, or the other way round: what was asked for now has not
/// been done, and the session's first answer is another operation's.
#[tokio::test]
async fn a_number_that_belongs_to_another_operation_is_refused() {
    let mut node = TestNode::start("a").await;
    let mut client = client(&node).await;
    let driver = async {
        write(&mut node).await.2.send(Ok(Reply::Written { entry: None, object: None })).expect("the caller waits");
        write(&mut node).await.2.send(Ok(written(target(), 12))).expect("the caller waits");
    };
    let calls = async {
        let put = client.put(PutRequest { session: Some(SESSION), ..put(Bytes::new()) }).await.expect_err("refused");
        let key = Bytes::from_static(b"key");
        let delete = DeleteRequest { slot: 4, chain_version: 7, key, session: Some(SESSION), ..DeleteRequest::default() };
        [put, client.delete(delete).await.expect_err("refused")]
    };
    let ((), statuses) = tokio::join!(driver, calls);
    for status in statuses {
        let refusal = CallError::AlreadyAnswered { slot: Slot(4), session: Seq(9), number: 5 }.into();
        assert_eq!((Refusal::from_status(&status), kind_of(&status)), (Some(refusal), Kind::Unknown));
    }
}

#[tokio::test]
async fn every_error_of_the_node_survives_the_trip() {
    let slot = Slot(4);
    let mismatch = RoutingMismatch {
        slot,
        expected: ChainVersion(7),
        current: ChainVersion(8),
        role: Role::Middle,
        reason: MismatchReason::WrongVersion,
    };
    let errors = [
        (CallError::KeyEmpty, Code::InvalidArgument),
        (CallError::KeyTooLong { len: 5000, limit: 4096 }, Code::InvalidArgument),
        (CallError::ValueTooLarge { len: 17 * MIB, limit: 16 * MIB }, Code::InvalidArgument),
        (CallError::UnknownSlot { slot, slots: 2 }, Code::InvalidArgument),
        (CallError::Routing(mismatch), Code::FailedPrecondition),
        (CallError::NoLease { slot }, Code::Unavailable),
        (CallError::NotCaughtUp { slot }, Code::Unavailable),
        (CallError::ConditionFailed { object: Some(metadata(3)) }, Code::Aborted),
        (CallError::ConditionFailed { object: None }, Code::Aborted),
        (
            CallError::Backpressure {
                slot,
                resource: Resource::NodeBytes,
                current: 9,
                limit: 8,
                retry_after: Duration::from_millis(20),
            },
            Code::ResourceExhausted,
        ),
        (CallError::OutcomeUnknown { slot }, Code::Unknown),
        (CallError::SessionExpired { slot, session: Seq(9) }, Code::Unknown),
        (CallError::AlreadyAnswered { slot, session: Seq(9), number: 5 }, Code::Unknown),
    ];
    let mut node = TestNode::start("a").await;
    let mut client = client(&node).await;
    for (error, code) in errors {
        let call = async { client.put(put(Bytes::new())).await.expect_err("refused") };
        let driver = async { write(&mut node).await.2.send(Err(error.clone())).expect("the caller waits") };
        let (status, ()) = tokio::join!(call, driver);
        assert_eq!(status.code(), code, "{error:?}");
        assert_eq!(status.message(), error.to_string());
        assert_eq!(kind_of(&status), error.kind());
        assert_eq!(Refusal::from_status(&status), Some(Refusal::Call(error)));
    }
}

#[tokio::test]
async fn another_cluster_is_refused_by_name_and_the_node_does_not_hear_of_it() {
    let mut node = TestNode::start("a").await;
    let mut client = client(&node).await;
    let given = Bytes::copy_from_slice(&OTHER_CLUSTER.0.to_be_bytes());
    let status = client.put(PutRequest { cluster: given, ..put(Bytes::new()) }).await.expect_err("refused");
    let refusal = Refusal::WrongCluster { given: OTHER_CLUSTER, here: CLUSTER };
    assert_eq!(Refusal::from_status(&status), Some(refusal));
    assert!(status.message().contains(&OTHER_CLUSTER.to_string()) && status.message().contains(&CLUSTER.to_string()));
    // The right one is let through.
    let given = Bytes::copy_from_slice(&CLUSTER.0.to_be_bytes());
    let call = client.put(PutRequest { cluster: given, ..put(Bytes::new()) });
    let driver = async { write(&mut node).await.2.send(Ok(written(target(), 1))).expect("the caller waits") };
    let (answer, ()) = tokio::join!(call, driver);
    assert_eq!(answer.expect("written").into_inner().seq, 1);
}

#[tokio::test]
async fn a_field_that_is_wrong_is_named() {
    let mut node = TestNode::start("a").await;
    let mut client = client(&node).await;
    let short = PutRequest { cluster: Bytes::from_static(b"short"), ..put(Bytes::new()) };
    let empty = catena_net::proto::Condition::default();
    let untested = PutRequest { conditions: vec![empty], ..put(Bytes::new()) };
    let nameless = PutRequest { session: Some(SessionWrite::default()), ..put(Bytes::new()) };
    for (request, named) in
        [(short, "put.cluster has 5 bytes"), (untested, "condition.test is missing"), (nameless, "session.session is 0")]
    {
        let status = client.put(request).await.expect_err("refused");
        assert_eq!((status.code(), kind_of(&status)), (Code::InvalidArgument, Kind::NotExecuted));
        assert!(status.message().contains(named), "{status:?}");
    }
    assert!(node.inputs.try_recv().is_err(), "nothing reaches the node");
}

#[tokio::test]
async fn malformed_protobuf_is_refused_as_not_executed() {
    let mut node = TestNode::start("a").await;
    let mut raw = tonic::client::Grpc::new(channel(&node).await);
    for method in ["Get", "Put", "Delete", "OpenSession", "Session"] {
        raw.ready().await.expect("connected");
        let path = format!("/catena.v1.Kv/{method}").parse().expect("a path");
        let request = Bytes::from_static(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
        let answer = if method == "Session" {
            let responses = raw.streaming(Request::new(tokio_stream::once(request)), path, RawBytes).await;
            responses.expect("a stream").into_inner().message().await.map(drop)
        } else {
            raw.unary(Request::new(request), path, RawBytes).await.map(drop)
        };
        let status = answer.expect_err("refused");
        assert_eq!((status.code(), kind_of(&status)), (Code::InvalidArgument, Kind::NotExecuted), "{status:?}");
        assert!(status.message().contains("not valid protobuf"), "{status:?}");
        assert!(matches!(Refusal::from_status(&status), Some(Refusal::Malformed { .. })));
    }
    assert!(node.inputs.try_recv().is_err(), "nothing reaches the node");
}

/// The largest value comes through both ways; one somewhat larger reaches the node, whose typed refusal names the
/// limit; one far larger is refused before it is read.
#[tokio::test]
async fn large_values_are_carried_or_refused_with_the_limit() {
    let mut node = TestNode::start("a").await;
    let mut client = client(&node).await;
    for len in [16 * MIB, 16 * MIB + 1, 24 * MIB] {
        let call = async { client.put(put(vec![7; len].into())).await };
        let driver = async {
            let (at, command, reply) = write(&mut node).await;
            let catena_core::Action::Put { value } = command.action else { panic!("expected a put") };
            assert_eq!(value.len(), len);
            let refused = Err(CallError::ValueTooLarge { len, limit: 16 * MIB });
            reply.send(if len > 16 * MIB { refused } else { Ok(written(at, 1)) }).expect("the caller waits");
        };
        let (answer, ()) = tokio::join!(call, driver);
        match answer {
            Ok(_) => assert_eq!(len, 16 * MIB),
            Err(status) => {
                let refusal = Refusal::Call(CallError::ValueTooLarge { len, limit: 16 * MIB });
                assert_eq!(Refusal::from_status(&status), Some(refusal));
            }
        }
    }
    for len in [40 * MIB, 64 * MIB, 100 * MIB] {
        let status = soon("a refusal", client.put(put(vec![7; len].into()))).await.expect_err("refused");
        assert!(matches!(Refusal::from_status(&status), Some(Refusal::MessageTooLarge { .. })), "{len}: {status:?}");
        assert_eq!(kind_of(&status), Kind::NotExecuted);
    }
    assert!(node.inputs.try_recv().is_err(), "nothing reaches the node");
}

#[tokio::test]
async fn a_large_value_is_read() {
    let mut node = TestNode::start("a").await;
    let mut client = client(&node).await;
    let value = Bytes::from(vec![9; 16 * MIB]);
    let call = client.get(GetRequest { key: Bytes::from_static(b"key"), ..GetRequest::default() });
    let driver = async {
        let NodeInput::Read { target, reply, .. } = node.next().await else { panic!("expected a read") };
        let object = catena_core::Object { value: value.clone(), metadata: metadata(1) };
        reply.send(Ok(Reply::Read { version: target.version, object: Some(object) })).expect("the caller waits");
    };
    let (answer, ()) = tokio::join!(call, driver);
    assert!(answer.expect("read").into_inner().value == value, "the value differs after its journey");
}

#[tokio::test]
async fn a_call_that_the_node_drops_has_an_unknown_outcome() {
    let mut node = TestNode::start("a").await;
    let mut client = client(&node).await;
    let driver = async { drop(write(&mut node).await) };
    let (answer, ()) = tokio::join!(client.put(put(Bytes::new())), driver);
    let status = answer.expect_err("abandoned");
    assert_eq!((Refusal::from_status(&status), kind_of(&status)), (Some(Refusal::Abandoned), Kind::Unknown));
}

#[tokio::test]
async fn a_call_to_a_node_that_takes_no_more_is_not_executed() {
    let mut node = TestNode::start("a").await;
    let mut client = client(&node).await;
    node.inputs.close();
    let status = client.put(put(Bytes::new())).await.expect_err("stopping");
    assert_eq!((Refusal::from_status(&status), kind_of(&status)), (Some(Refusal::Stopping), Kind::NotExecuted));
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let first = Listener::bind(local(0)).await.expect("a free port");
    let error = Listener::bind(first.address()).await.expect_err("taken");
    assert!(matches!(error, ServeError::Taken { address } if address == first.address()));
    assert!(error.to_string().contains(&first.address().to_string()), "{error}");
}

/// Calls that are open when the node is told to stop hold it up for the documented time, and no longer.
#[tokio::test]
async fn stops_within_its_bound_though_a_call_is_open() {
    let Stoppable { address, mut inputs, stop, serving, links: _links } = Stoppable::start().await;
    let mut client = KvClient::connect(format!("http://{address}")).await.expect("connects");
    let call = tokio::spawn(async move { client.put(put(Bytes::new())).await });
    let held = soon("the write", inputs.recv()).await.expect("a write");
    drop(stop);
    soon("the stop", serving).await.expect("no panic").expect("a proper end");
    drop(held);
    assert_eq!(kind_of(&soon("the call", call).await.expect("no panic").expect_err("no answer")), Kind::Unknown);
}

/// Sends and receives bytes as they are.
#[derive(Default)]
struct RawBytes;

impl Codec for RawBytes {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawBytes {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for RawBytes {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
