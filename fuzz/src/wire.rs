//! Protobuf from anybody: refused, or converted to what converts back to what was sent.

use bytes::Bytes;
use catena_core::{
    Action, Chain, ChainVersion, Decisions, EntryId, Envelope, Heartbeat, HeartbeatAnswer, MAX_SLOTS, Message as Said,
    NodeRecord, Order, Status,
};
use catena_net::convert::{
    ConvertError, Found, Hello, OpenCall, Opened, ReadCall, Register, Registered, RouteAnswer, ScanCall, Scanned, WriteCall,
    Written,
};
use catena_net::proto::envelope::Message as Neighbours;
use catena_net::{Refusal, WIRE_VERSION, proto};
use prost::Message;

/// The first byte says which message the others are.
pub fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let bytes = Bytes::copy_from_slice(bytes);
    match kind % 22 {
        0 => envelope(&bytes),
        1 => drop(there_and_back::<proto::Hello, Hello>(&bytes, as_it_is)),
        2 => drop(there_and_back::<proto::Heartbeat, Heartbeat>(&bytes, as_it_is)),
        3 => drop(there_and_back::<proto::HeartbeatAnswer, HeartbeatAnswer>(&bytes, as_it_is)),
        4 => drop(there_and_back::<proto::Decisions, Decisions>(&bytes, as_it_is)),
        5 => drop(there_and_back::<proto::Status, Status>(&bytes, as_it_is)),
        6 => chain(&bytes),
        7 => drop(there_and_back::<proto::NodeRecord, NodeRecord>(&bytes, as_it_is)),
        8 => drop(there_and_back::<proto::Register, Register>(&bytes, |register| register.wire_version = WIRE_VERSION)),
        9 => registered(&bytes),
        10 => drop(there_and_back::<proto::Route, RouteAnswer>(&bytes, as_it_is)),
        11 => drop(there_and_back::<proto::OpenSessionRequest, OpenCall>(&bytes, as_it_is)),
        12 => refusal(&bytes),
        13 => order(&bytes),
        14 => get(&bytes),
        15 => drop(parsed::<proto::ScanRequest, ScanCall>(&bytes)),
        16 => put(&bytes),
        17 => delete(&bytes),
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

/// What is received means what was sent, and can be sent on. `tidy` puts that which may be said in several ways as it is sent here.
fn there_and_back<P, C>(bytes: &Bytes, tidy: impl Fn(&mut P)) -> Option<C>
where
    P: Message + Default + Clone + PartialEq + std::fmt::Debug + From<C>,
    C: TryFrom<P, Error = ConvertError> + Clone + PartialEq + std::fmt::Debug,
{
    let core = parsed::<P, C>(bytes)?;
    let sent = P::from(core.clone());
    let mut given = P::decode(bytes.clone()).expect("it was, just now");
    tidy(&mut given);
    assert_eq!(sent, given, "nothing is lost or changed on the way");
    let again = Bytes::from(sent.encode_to_vec());
    assert_eq!(P::decode(again.clone()).as_ref(), Ok(&sent), "protobuf that was encoded is decoded as it was");
    assert_eq!(parsed::<P, C>(&again).as_ref(), Some(&core), "what is received can be sent on");
    Some(core)
}

/// There is one way to say it.
fn as_it_is<P>(_: &mut P) {}

/// An id of nothing is none.
fn present(id: &mut Option<proto::EntryId>) {
    id.take_if(|id| EntryId::from(*id) == EntryId::default());
}

/// What conversion promises of a message between neighbours.
fn envelope(bytes: &Bytes) {
    let tidy = |envelope: &mut proto::Envelope| match &mut envelope.message {
        Some(Neighbours::Probe(probe)) => present(&mut probe.trim),
        Some(Neighbours::Poke(poke)) => present(&mut poke.last),
        Some(Neighbours::Fetch(fetch)) => fetch.pin.iter_mut().for_each(|pin| present(&mut pin.at)),
        Some(Neighbours::Chunk(chunk)) => chunk.pin.iter_mut().for_each(|pin| present(&mut pin.at)),
        Some(_) | None => {}
    };
    match there_and_back::<proto::Envelope, Envelope>(bytes, tidy).map(|envelope| envelope.message) {
        Some(Said::Append { entries, .. }) => {
            assert!(entries.windows(2).all(|pair| pair[1].previous_id() == pair[0].id), "entries without a gap");
        }
        Some(Said::Chunk(chunk)) => assert!(chunk.objects.is_sorted_by(|(one, _), (other, _)| one < other), "in key order"),
        Some(Said::Probe { log, .. }) => assert!(log.runs.is_sorted_by(|one, other| one.seq < other.seq), "runs that increase"),
        Some(_) | None => {}
    }
}

fn chain(bytes: &Bytes) {
    if let Some(chain) = there_and_back::<proto::Chain, Chain>(bytes, as_it_is) {
        assert!(!chain.members.is_empty() && chain.version > ChainVersion(0), "a chain that there can be: {chain:?}");
    }
}

fn registered(bytes: &Bytes) {
    if let Some(Registered { slots, .. }) = there_and_back::<proto::Registered, Registered>(bytes, as_it_is) {
        assert!((1..=MAX_SLOTS).contains(&slots), "a cluster has slots, and no more than there may be: {slots}");
    }
}

/// Of its kind the reason says what holds.
fn refusal(bytes: &Bytes) {
    let kind = parsed::<proto::ErrorDetail, Refusal>(bytes).map(|refusal| proto::ErrorDetail::from(refusal).kind);
    let tidy = |detail: &mut proto::ErrorDetail| detail.kind = kind.expect("it is a refusal");
    there_and_back::<proto::ErrorDetail, Refusal>(bytes, tidy);
}

fn order(bytes: &Bytes) {
    let Ok(proto::OrderRequest { order: Some(order), .. }) = proto::OrderRequest::decode(bytes.clone()) else { return };
    let Ok(order) = Order::try_from(order) else { return };
    assert_eq!(Order::try_from(proto::order_request::Order::from(order.clone())), Ok(order));
}

/// Keys and values are bytes: they arrive as they were sent, whether or not they are text.
fn get(bytes: &Bytes) {
    if let Some(call) = parsed::<proto::GetRequest, ReadCall>(bytes) {
        assert_eq!(proto::GetRequest::decode(bytes.clone()).map(|request| request.key), Ok(call.key));
    }
}

fn put(bytes: &Bytes) {
    let Some(WriteCall { command, .. }) = parsed::<proto::PutRequest, WriteCall>(bytes) else { return };
    let request = proto::PutRequest::decode(bytes.clone()).expect("it was, just now");
    assert_eq!((command.key, command.action), (request.key, Action::Put { value: request.value }));
    let conditions: Vec<_> = command.conditions.into_iter().map(proto::Condition::from).collect();
    assert_eq!(conditions, request.conditions);
}

fn delete(bytes: &Bytes) {
    let Some(WriteCall { command, .. }) = parsed::<proto::DeleteRequest, WriteCall>(bytes) else { return };
    let request = proto::DeleteRequest::decode(bytes.clone()).expect("it was, just now");
    assert_eq!((command.key, command.action), (request.key, Action::Delete));
    let conditions: Vec<_> = command.conditions.into_iter().map(proto::Condition::from).collect();
    assert_eq!(conditions, request.conditions);
}

fn page(bytes: &Bytes) {
    if let Some(scanned) = parsed::<proto::ScanResponse, Scanned>(bytes) {
        let keys = scanned.page.objects.iter().map(|(key, _)| key).chain(&scanned.page.next);
        assert!(keys.is_sorted(), "in key order, and what follows is behind them");
    }
}
