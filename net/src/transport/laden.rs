//! Answers that hold their room until the connection has sent them.
//!
//! What tonic encodes it hands on as one piece of bytes, which hyper and h2 hold until the client has taken all of it. So the
//! room goes with these bytes, and is given back when the last of whoever holds them lets go. A large value is not encoded, for
//! that would copy it, on the one thread that has everything else to do: it follows behind the other fields as it is.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::Frame;
use prost::encoding::{WireType, encode_key, encode_varint};
use tonic::body::Body;
use tonic::codegen::http;
use tonic::{Response, Status};

use crate::proto::GetResponse;
use crate::server::Share;

/// Values from here on are not copied. Below, a copy costs less than another frame.
const LARGE: usize = 64 << 10;

/// `GetResponse.value` in `kv.proto`.
const VALUE_FIELD: u32 = 4;

/// gRPC's prefix of a message: whether it is compressed, and how long it is.
const PREFIX: usize = 5;

/// The room of what is encoded next. Between whoever makes the responses and the body that they become, which are polled by one
/// task: the lock is never waited for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Aboard(Arc<Mutex<Cargo>>);

#[derive(Debug, Default)]
struct Cargo {
    shares: Vec<Share>,
    /// The value of the one message that there is, which lacks it.
    value: Option<Bytes>,
}

impl Aboard {
    /// Room for the next message.
    pub(crate) fn put(&self, share: Share) {
        self.cargo().shares.push(share);
    }

    /// A response whose messages have the room that is put here.
    pub(crate) fn laden<T>(self, message: T) -> Response<T> {
        let mut response = Response::new(message);
        response.extensions_mut().insert(self);
        response
    }

    fn cargo(&self) -> MutexGuard<'_, Cargo> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a get is answered with, which has this room.
pub(crate) fn found(mut message: GetResponse, share: Share) -> Response<GetResponse> {
    let aboard = Aboard::default();
    aboard.put(share);
    if message.value.len() >= LARGE {
        aboard.cargo().value = Some(std::mem::take(&mut message.value));
    }
    aboard.laden(message)
}

/// The response as it is sent.
pub(super) fn load(mut response: http::Response<Body>) -> http::Response<Body> {
    match response.extensions_mut().remove::<Aboard>() {
        Some(aboard) => response.map(|body| Body::new(Laden { body, aboard, behind: None })),
        None => response,
    }
}

struct Laden {
    body: Body,
    aboard: Aboard,
    /// What comes next.
    behind: Option<Bytes>,
}

/// Bytes, and the room that the messages in them have.
struct Load {
    bytes: Bytes,
    _shares: Vec<Share>,
}

impl AsRef<[u8]> for Load {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl http_body::Body for Laden {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(behind) = self.behind.take() {
            return Poll::Ready(Some(Ok(Frame::data(behind))));
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            last => return Poll::Ready(last),
        };
        Poll::Ready(Some(Ok(frame.map_data(|encoded| {
            let Cargo { shares, value } = std::mem::take(&mut *self.aboard.cargo());
            match value {
                None if shares.is_empty() => encoded,
                None => Bytes::from_owner(Load { bytes: encoded, _shares: shares }),
                Some(value) => {
                    let head = announced(&encoded, value.len());
                    self.behind = Some(Bytes::from_owner(Load { bytes: value, _shares: shares }));
                    head
                }
            }
        }))))
    }

    fn is_end_stream(&self) -> bool {
        self.behind.is_none() && self.body.is_end_stream()
    }
}

/// A `GetResponse` as it is sent, up to its value of so many bytes, which is its last field. `encoded` lacks it.
fn announced(encoded: &[u8], value: usize) -> Bytes {
    let mut head = BytesMut::from(encoded);
    encode_key(VALUE_FIELD, WireType::LengthDelimited, &mut head);
    encode_varint(value as u64, &mut head);
    let len = u32::try_from(head.len() - PREFIX + value).expect("values are far below 4 GiB");
    (&mut head[1..PREFIX]).put_u32(len);
    head.freeze()
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::proto::Metadata;

    #[test]
    fn a_value_that_follows_its_message_is_read_as_a_part_of_it() {
        let metadata = Metadata { version: 3, created_at_ns: 4, updated_at_ns: 5 };
        let whole = GetResponse { slot: 1, chain_version: 2, found: true, value: vec![7; 300].into(), metadata: Some(metadata) };
        let without = GetResponse { value: Bytes::new(), ..whole.clone() }.encode_to_vec();
        let len = u32::try_from(without.len()).expect("short").to_be_bytes();
        let head = announced(&[&[0][..], &len, &without].concat(), whole.value.len());
        let sent = [&head[..], &whole.value].concat();
        assert_eq!(sent[0], 0, "not compressed");
        assert_eq!(u32::from_be_bytes(sent[1..PREFIX].try_into().expect("four")) as usize, sent.len() - PREFIX);
        assert_eq!(GetResponse::decode(&sent[PREFIX..]), Ok(whole));
    }
}
