//! Calls that are well-formed HTTP/2, and nothing that a gRPC library would send.

use std::net::SocketAddr;

use bytes::Bytes;
use catena_core::Kind;
use catena_net::Refusal;
use catena_net::proto::PutRequest;
use catena_net::proto::kv_client::KvClient;
use h2::RecvStream;
use tokio::net::TcpStream;
use tonic::codegen::http::{HeaderMap, Request};
use tonic::{Code, Status};

use super::LARGE_MIB;
use super::frames::prefix;
use super::greed::client;
use super::siege::Siege;
use crate::support::block_on;

pub(super) const GET: &str = "/catena.v1.Kv/Get";
const ROUTE: &str = "/catena.v1.Coordination/GetRoute";

/// A call on a connection of its own, whose answer is taken piece by piece.
pub(super) struct Unary {
    answer: RecvStream,
    head: HeaderMap,
}

impl Unary {
    pub(super) async fn begin(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let stream = TcpStream::connect(address).await.expect("the port is open");
        let (mut calls, connection) = h2::client::handshake(stream).await.expect("a server that speaks HTTP/2");
        tokio::spawn(connection);
        let request =
            Request::post(format!("http://catena{path}")).header("content-type", "application/grpc").header("te", "trailers");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (response, mut sender) = calls.send_request(request.body(()).expect("a request"), false).expect("an open connection");
        // The server may have answered before it has all.
        let _ = sender.send_data(Bytes::copy_from_slice(body), true);
        let (head, answer) = response.await.expect("an answer").into_parts();
        Self { answer, head: head.headers }
    }

    /// The bytes of the next piece.
    pub(super) async fn data(&mut self) -> Option<usize> {
        let len = self.answer.data().await?.expect("more of the answer").len();
        self.answer.flow_control().release_capacity(len).expect("it was taken");
        Some(len)
    }

    /// The status that it ends with, behind all pieces.
    pub(super) async fn end(mut self) -> Status {
        let trailers = if self.head.contains_key("grpc-status") {
            self.head
        } else {
            self.answer.trailers().await.expect("the end of the answer").expect("trailers")
        };
        Status::from_header_map(&trailers).expect("a status")
    }
}

/// A message as it is sent.
pub(super) fn message(bytes: &[u8]) -> Vec<u8> {
    [&prefix(false, u32::try_from(bytes.len()).expect("a short one"))[..], bytes].concat()
}

/// The code that such a call ends with.
async fn status(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Code {
    let mut call = Unary::begin(address, path, headers, body).await;
    while call.data().await.is_some() {}
    call.end().await.code()
}

#[test]
fn absurd_deadlines_compression_and_lengths_are_refused() {
    let siege = Siege::begin();
    let (node, coordinator) = (siege.node(), siege.coordinator());
    // A whole message without any fields: of a read, it lacks the key; of the route, it is all there is to ask.
    let empty = prefix(false, 0);
    block_on(async {
        for timeout in ["1n", "0n"] {
            let code = status(node, GET, &[("grpc-timeout", timeout)], &empty).await;
            assert!([Code::DeadlineExceeded, Code::Cancelled, Code::InvalidArgument].contains(&code), "{timeout}: {code:?}");
        }
        for timeout in ["99999999H", "99999999999999999999H", "-1S", "1", "soon", ""] {
            let headers = [("grpc-timeout", timeout)];
            assert_eq!(status(node, GET, &headers, &empty).await, Code::InvalidArgument, "{timeout}");
            assert_eq!(status(coordinator, ROUTE, &headers, &empty).await, Code::Ok, "{timeout}");
        }
        for (address, path) in [(node, GET), (coordinator, ROUTE)] {
            let compressed = [prefix(true, 1000), vec![0; 1000]].concat();
            for encoding in ["gzip", "deflate", "zstd"] {
                let code = status(address, path, &[("grpc-encoding", encoding)], &compressed).await;
                assert_eq!(code, Code::Unimplemented, "{path} in {encoding}");
            }
            assert_eq!(status(address, path, &[], &compressed).await, Code::Internal, "compressed without a word how");
            let endless = [prefix(false, u32::MAX), vec![0; 1 << 20]].concat();
            let code = status(address, path, &[], &endless).await;
            assert!([Code::InvalidArgument, Code::OutOfRange].contains(&code), "4 GiB: {code:?}");
            assert_ne!(status(address, path, &[], &[prefix(false, 100), vec![0; 10]].concat()).await, Code::Ok, "cut off");
            assert_ne!(status(address, path, &[], &[]).await, Code::Ok, "no message at all");
            assert_ne!(status(address, path, &[], &[prefix(false, 4), vec![0xff; 4]].concat()).await, Code::Ok, "no protobuf");
        }
    });
    siege.end("odd calls", super::SMALL_MIB);
}

#[test]
fn keys_and_values_are_taken_up_to_their_limits_and_refused_beyond() {
    let siege = Siege::begin();
    block_on(async {
        let client = client(&siege).await;
        let any: Vec<u8> = (0..=u8::MAX).collect();
        let [longest, too_long] = [4096, 4097].map(|len| any.iter().copied().cycle().take(len).collect::<Vec<u8>>());
        let largest = vec![7; 16 << 20];
        for key in [vec![0], vec![0xff; 3], any, longest] {
            client.put(key.clone(), largest.clone(), vec![]).await.expect("within the limits");
            let found = client.get(key).await.expect("a read").object.expect("stored");
            assert!(found.value == largest, "the same bytes");
        }
        let node = KvClient::connect(format!("http://{}", siege.node())).await.expect("the node is there");
        let mut node = node.max_encoding_message_size(64 << 20);
        for (key, value) in
            [(vec![], vec![]), (too_long, vec![]), (vec![1], vec![7; (16 << 20) + 1]), (vec![1], vec![7; 40 << 20])]
        {
            let request = PutRequest { key: key.into(), value: value.into(), chain_version: 1, ..PutRequest::default() };
            let refused = node.put(request).await.expect_err("over a limit");
            assert!(matches!(refused.code(), Code::InvalidArgument), "{refused}");
            assert_eq!(Refusal::from_status(&refused).expect("a reason").kind(), Kind::NotExecuted, "{refused}");
        }
    });
    siege.end("keys and values at the limits", LARGE_MIB);
}
