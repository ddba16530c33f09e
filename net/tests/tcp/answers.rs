//! Answers that clients do not take, in front of a node that the test plays.

use bytes::{BufMut, Bytes};
use catena_core::{CallError, Object, Reply, Resource, Slot, Target};
use catena_net::Refusal;
use catena_net::proto::kv_client::KvClient;
use catena_net::proto::session_request::Call;
use catena_net::proto::session_response::Outcome;
use catena_net::proto::{GetRequest, GetResponse, SessionRequest, SessionResponse};
use catena_net::server::{Caller, NoRoom, NodeInput};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use crate::common::*;

const MIB: usize = 1 << 20;

/// What a node has room for, of large answers: three quarters of 256 MiB.
const ROOM: usize = 192 * MIB;

/// Just so much that eight of these answers fit.
const VALUE: usize = ROOM / 8 - 256;

async fn channel(node: &TestNode) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", node.record.address)).expect("an address");
    endpoint.initial_connection_window_size(1 << 30).connect().await.expect("connects")
}

fn get(key: &'static str) -> GetRequest {
    GetRequest { slot: 4, chain_version: 7, key: Bytes::from_static(key.as_bytes()), ..GetRequest::default() }
}

async fn read(node: &mut TestNode) -> (Target, Caller) {
    match node.next().await {
        NodeInput::Read { target, reply, .. } => (target, reply),
        other => panic!("expected a read, got {other:?}"),
    }
}

fn answer((target, reply): (Target, Caller), len: usize) {
    let object = Object { value: vec![7; len].into(), metadata: metadata(1) };
    reply.send(Ok(Reply::Read { version: target.version, object: Some(object) })).expect("the caller waits");
}

/// Gets whose answers can be left where they are: to a client of streams, one message is a stream as well.
struct Slowly;

impl Codec for Slowly {
    type Encode = GetRequest;
    type Decode = GetResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Slowly {
    type Item = GetRequest;
    type Error = Status;

    fn encode(&mut self, item: GetRequest, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item.encode_to_vec());
        Ok(())
    }
}

impl Decoder for Slowly {
    type Item = GetResponse;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<GetResponse>, Status> {
        Ok(Some(GetResponse::decode(buffer).expect("a message")))
    }
}

/// Asks for `key`; the answer begins, and is not taken.
async fn untaken(channel: &Channel, key: &'static str) -> Result<Streaming<GetResponse>, Status> {
    let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(64 * MIB);
    grpc.ready().await.expect("connected");
    let path = PathAndQuery::from_static("/catena.v1.Kv/Get");
    Ok(grpc.server_streaming(Request::new(get(key)), path, Slowly).await?.into_inner())
}

fn exhausted(status: &Status) -> (u64, u64) {
    match Refusal::from_status(status) {
        Some(Refusal::Call(CallError::Backpressure {
            slot: Slot(4), resource: Resource::NodeAnswers, current, limit, ..
        })) => (current, limit),
        other => panic!("{other:?}: {status}"),
    }
}

#[tokio::test]
async fn large_answers_that_nobody_takes_are_as_many_as_there_is_room_for() {
    let mut node = TestNode::start("a").await;
    let (channel, mut held) = (channel(&node).await, Vec::new());
    for _ in 0..8 {
        let call = async {
            let input = read(&mut node).await;
            answer(input, VALUE);
        };
        let (stream, ()) = tokio::join!(untaken(&channel, "large"), call);
        held.push(stream.expect("an answer"));
    }
    // The next is put off, comes again when its time is up, and is refused then.
    let calls = async {
        for _ in 0..2 {
            let input = read(&mut node).await;
            answer(input, VALUE);
        }
    };
    let (refused, ()) = tokio::join!(untaken(&channel, "large"), calls);
    let (current, limit) = exhausted(&refused.expect_err("no room"));
    assert_eq!((current, limit), (9 * (VALUE as u64 + 256), 256 << 20));
    // A small answer has room all the same.
    let small = async {
        let input = read(&mut node).await;
        answer(input, 10);
    };
    let mut client = KvClient::new(channel.clone());
    let (found, ()) = tokio::join!(client.get(get("small")), small);
    assert_eq!(found.expect("read").into_inner().value.len(), 10);
    // One that is put off has its turn once another is taken; and the answer is whole.
    let taken = async {
        let input = read(&mut node).await;
        answer(input, VALUE);
        let first = held.pop().expect("eight").message().await.expect("an answer").expect("a message");
        assert_eq!((first.value.len(), first.found, first.chain_version), (VALUE, true, 7));
        let input = read(&mut node).await;
        answer(input, VALUE);
    };
    let (stream, ()) = tokio::join!(untaken(&channel, "large"), taken);
    let last = stream.expect("room").message().await.expect("an answer").expect("a message");
    assert_eq!((last.value.len(), last.metadata.map(|metadata| metadata.version)), (VALUE, Some(1)));
    // Calls that are dropped give back what they had.
    drop(held);
    for _ in 0..8 {
        let call = async {
            loop {
                let (target, mut reply) = read(&mut node).await;
                match reply.make_room(VALUE) {
                    Ok(()) => break answer((target, reply), VALUE),
                    Err(NoRoom::Yet(put_off)) => reply.put_off(put_off),
                    Err(refused) => panic!("{refused:?}"),
                }
            }
        };
        let (stream, ()) = tokio::join!(untaken(&channel, "large"), call);
        drop(stream.expect("an answer"));
    }
}

#[tokio::test]
async fn answers_over_a_stream_have_their_room_until_it_is_read() {
    let mut node = TestNode::start("a").await;
    let mut client = KvClient::new(channel(&node).await).max_decoding_message_size(64 * MIB);
    let (requests, arrivals) = mpsc::unbounded_channel();
    let ask = |id| requests.send(SessionRequest { id, call: Some(Call::Get(get("large"))) }).expect("the stream is open");
    (0..9).for_each(ask);
    let mut responses = client.session(UnboundedReceiverStream::new(arrivals)).await.expect("a stream").into_inner();
    let mut waiting = Vec::new();
    for _ in 0..9 {
        waiting.push(read(&mut node).await);
    }
    // All are answered at once: eight have room, and the ninth comes again once one of them is read.
    for input in waiting {
        answer(input, VALUE);
    }
    let mut found = 0;
    while found < 9 {
        tokio::select! {
            biased;
            response = responses.message() => {
                let SessionResponse { id, outcome } = response.expect("responses").expect("nine");
                match outcome.expect("an outcome") {
                    Outcome::Get(response) => {
                        assert_eq!((response.value.len(), response.chain_version), (VALUE, 7));
                        found += 1;
                    }
                    // On a busy machine reading one may take longer than the ninth waits.
                    Outcome::Refused(refused) => {
                        exhausted(&refused.into());
                        ask(id);
                    }
                    other => panic!("{other:?}"),
                }
            }
            input = read(&mut node) => answer(input, VALUE),
        }
    }
}
