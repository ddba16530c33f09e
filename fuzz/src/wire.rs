//! Protobuf from anybody: refused, or converted to what converts back to the same.

use bytes::Bytes;
use catena_core::{Chain, Decisions, Envelope, Heartbeat, HeartbeatAnswer, Message as Said, NodeRecord, Order, Status};
use catena_net::convert::{
    ConvertError, Found, Hello, OpenCall, Opened, ReadCall, Register, Registered, RouteAnswer, ScanCall, Scanned, WriteCall,
    Written,
};
use catena_net::{Refusal, proto};
use prost::Message;

/// The first byte says which message the others are.
pub fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let bytes = Bytes::copy_from_slice(bytes);
    match kind % 22 {
        0 => envelope(&bytes),
        1 => there_and_back::<proto::Hello, Hello>(&bytes),
        2 => there_and_back::<proto::Heartbeat, Heartbeat>(&bytes),
        3 => there_and_back::<proto::HeartbeatAnswer, HeartbeatAnswer>(&bytes),
        4 => there_and_back::<proto::Decisions, Decisions>(&bytes),
        5 => there_and_back::<proto::Status, Status>(&bytes),
        6 => there_and_back::<proto::Chain, Chain>(&bytes),
        7 => there_and_back::<proto::NodeRecord, NodeRecord>(&bytes),
        8 => there_and_back::<proto::Register, Register>(&bytes),
        9 => there_and_back::<proto::Registered, Registered>(&bytes),
        10 => there_and_back::<proto::Route, RouteAnswer>(&bytes),
        11 => there_and_back::<proto::OpenSessionRequest, OpenCall>(&bytes),
        12 => there_and_back::<proto::ErrorDetail, Refusal>(&bytes),
        13 => order(&bytes),
        14 => drop(parsed::<proto::GetRequest, ReadCall>(&bytes)),
        15 => drop(parsed::<proto::ScanRequest, ScanCall>(&bytes)),
        16 => drop(parsed::<proto::PutRequest, WriteCall>(&bytes)),
        17 => drop(parsed::<proto::DeleteRequest, WriteCall>(&bytes)),
        18 => drop(parsed::<proto::OpenSessionResponse, Opened>(&bytes)),
        19 => drop(parsed::<proto::GetResponse, Found>(&bytes)),
        20 => page(&bytes),
        _ => drop(parsed::<proto::PutResponse, Written>(&bytes)),
    }
}

fn parsed<P, C>(bytes: &Bytes) -> Option<C>
where
    P: Message + Default,
    C: TryFrom<P, Error = ConvertError>,
{
    P::decode(bytes.clone()).map_err(ConvertError::from).and_then(C::try_from).ok()
}

fn there_and_back<P, C>(bytes: &Bytes)
where
    P: Message + Default + PartialEq + std::fmt::Debug + From<C>,
    C: TryFrom<P, Error = ConvertError> + Clone + PartialEq + std::fmt::Debug,
{
    let Some(core) = parsed::<P, C>(bytes) else { return };
    let sent = P::from(core.clone());
    let again = Bytes::from(sent.encode_to_vec());
    assert_eq!(P::decode(again.clone()).as_ref(), Ok(&sent), "protobuf that was encoded is decoded as it was");
    assert_eq!(parsed::<P, C>(&again), Some(core), "what is received can be sent on");
}

/// What conversion promises of a message between neighbours.
fn envelope(bytes: &Bytes) {
    there_and_back::<proto::Envelope, Envelope>(bytes);
    match parsed::<proto::Envelope, Envelope>(bytes).map(|envelope| envelope.message) {
        Some(Said::Append { entries, .. }) => {
            assert!(entries.windows(2).all(|pair| pair[1].previous_id() == pair[0].id), "entries without a gap");
        }
        Some(Said::Chunk(chunk)) => assert!(chunk.objects.is_sorted_by(|(one, _), (other, _)| one < other), "in key order"),
        Some(Said::Probe { log, .. }) => assert!(log.runs.is_sorted_by(|one, other| one.seq < other.seq), "runs that increase"),
        Some(_) | None => {}
    }
}

fn order(bytes: &Bytes) {
    let Ok(proto::OrderRequest { order: Some(order), .. }) = proto::OrderRequest::decode(bytes.clone()) else { return };
    let Ok(order) = Order::try_from(order) else { return };
    assert_eq!(Order::try_from(proto::order_request::Order::from(order.clone())), Ok(order));
}

fn page(bytes: &Bytes) {
    if let Some(scanned) = parsed::<proto::ScanResponse, Scanned>(bytes) {
        let keys = scanned.page.objects.iter().map(|(key, _)| key).chain(&scanned.page.next);
        assert!(keys.is_sorted(), "in key order, and what follows is behind them");
    }
}
