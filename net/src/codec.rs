//! Protobuf for tonic, with malformed requests refused in our own words. In the simulated build nothing is encoded.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::convert::ConvertError;
use crate::proto;

/// What a message that cannot be decoded means for the one who gets it.
pub(crate) trait Received {
    /// The status for a message that is not valid protobuf.
    fn malformed(error: prost::DecodeError) -> tonic::Status;
}

/// Messages that a server gets: the caller is told that nothing was done.
macro_rules! requests {
    ($($message:ident),*) => {$(
        impl Received for proto::$message {
            fn malformed(error: prost::DecodeError) -> tonic::Status {
                ConvertError::Protobuf(error).into()
            }
        }
    )*};
}

/// Messages that a client gets: the call has been made, so nothing is known of its outcome (W9).
macro_rules! responses {
    ($($message:ident),*) => {$(
        impl Received for proto::$message {
            fn malformed(error: prost::DecodeError) -> tonic::Status {
                tonic::Status::internal(format!("the server's answer is not valid protobuf: {error}"))
            }
        }
    )*};
}

requests!(
    GetRequest,
    ScanRequest,
    PutRequest,
    DeleteRequest,
    OpenSessionRequest,
    SessionRequest,
    GetRouteRequest,
    NodeMessage,
    OrderRequest,
    GetStatusRequest
);
responses!(
    GetResponse,
    ScanResponse,
    PutResponse,
    DeleteResponse,
    OpenSessionResponse,
    SessionResponse,
    Route,
    CoordinatorMessage,
    OrderResponse,
    Status
);
// Both ends get frames, and nobody waits for the outcome of one.
requests!(Frame);

/// The codec of every service.
pub(crate) struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Received + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProtobufEncoder<T>;
    type Decoder = ProtobufDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProtobufEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProtobufDecoder(PhantomData)
    }
}

pub(crate) struct ProtobufEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for ProtobufEncoder<T> {
    type Item = T;
    type Error = tonic::Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        buffer.reserve(item.encoded_len());
        item.encode_raw(buffer);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

pub(crate) struct ProtobufDecoder<U>(PhantomData<U>);

impl<U: Message + Default + Received> Decoder for ProtobufDecoder<U> {
    type Item = U;
    type Error = tonic::Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, tonic::Status> {
        U::decode(buffer).map(Some).map_err(U::malformed)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}
