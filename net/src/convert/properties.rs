//! Every message comes back as it was sent; what is no message is refused, with the field's name, and never panics.

use bytes::Bytes;
use catena_core::{
    Action, Chain, Command, Decisions, Envelope, Heartbeat, HeartbeatAnswer, Message as Said, NodeRecord, Order, Reply,
    Status as Seen,
};
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;
use tonic::Status;

use super::arbitrary as valid;
use super::*;
use crate::{Refusal, kind_of, proto};

/// Encodes, decodes and converts back.
fn over_the_wire<P, C>(core: C) -> std::result::Result<C, ConvertError>
where
    P: Message + Default + From<C>,
    C: TryFrom<P, Error = ConvertError>,
{
    P::decode(Bytes::from(P::from(core).encode_to_vec()))?.try_into()
}

/// The same for a message that is made by a function.
fn received<P, C>(sent: &P) -> C
where
    P: Message + Default,
    C: TryFrom<P>,
    C::Error: std::fmt::Debug,
{
    P::decode(Bytes::from(sent.encode_to_vec())).expect("protobuf of this message").try_into().expect("a valid message")
}

proptest! {
    #[test]
    fn envelopes_survive_the_wire(envelope in valid::envelope()) {
        prop_assert_eq!(over_the_wire::<proto::Envelope, _>(envelope.clone()), Ok(envelope));
    }

    #[test]
    fn greetings_survive_the_wire(hello in valid::hello()) {
        prop_assert_eq!(over_the_wire::<proto::Hello, _>(hello.clone()), Ok(hello));
    }

    #[test]
    fn heartbeats_survive_the_wire(heartbeat in valid::heartbeat()) {
        prop_assert_eq!(over_the_wire::<proto::Heartbeat, _>(heartbeat.clone()), Ok(heartbeat));
    }

    #[test]
    fn answers_to_heartbeats_survive_the_wire(answer in valid::heartbeat_answer()) {
        prop_assert_eq!(over_the_wire::<proto::HeartbeatAnswer, _>(answer.clone()), Ok(answer));
    }

    #[test]
    fn decisions_survive_the_wire(decisions in valid::decisions()) {
        prop_assert_eq!(over_the_wire::<proto::Decisions, _>(decisions.clone()), Ok(decisions));
    }

    #[test]
    fn orders_survive_the_wire(order in valid::order()) {
        let sent = proto::OrderRequest { cluster: Bytes::new(), order: Some(order.clone().into()) };
        let arrived = proto::OrderRequest::decode(Bytes::from(sent.encode_to_vec())).expect("protobuf of this message");
        prop_assert_eq!(arrived.order.map(Order::try_from), Some(Ok(order)));
    }

    #[test]
    fn the_status_survives_the_wire(status in valid::status()) {
        prop_assert_eq!(over_the_wire::<proto::Status, _>(status.clone()), Ok(status));
    }

    #[test]
    fn chains_survive_the_wire(chain in valid::chain()) {
        prop_assert_eq!(over_the_wire::<proto::Chain, _>(chain.clone()), Ok(chain));
    }

    #[test]
    fn node_records_survive_the_wire(record in valid::node_record()) {
        prop_assert_eq!(over_the_wire::<proto::NodeRecord, _>(record.clone()), Ok(record));
    }

    #[test]
    fn registrations_survive_the_wire(register in valid::register(), registered in valid::registered()) {
        prop_assert_eq!(over_the_wire::<proto::Register, _>(register.clone()), Ok(register));
        prop_assert_eq!(over_the_wire::<proto::Registered, _>(registered), Ok(registered));
    }

    #[test]
    fn routes_survive_the_wire(answer in valid::route_answer()) {
        prop_assert_eq!(over_the_wire::<proto::Route, _>(answer.clone()), Ok(answer));
    }

    #[test]
    fn writes_survive_the_wire(
        cluster in proptest::option::of(valid::cluster_id()), target in valid::target(), command in valid::command(),
        origin in proptest::option::of(valid::origin()),
    ) {
        let call = WriteCall { cluster, target, command: command.clone(), origin };
        let Command { key, action, conditions } = command;
        let cluster = cluster.map(cluster_bytes).unwrap_or_default();
        let arrived: WriteCall = match action {
            Action::Put { value } => received(&put_request(cluster, target, key, value, conditions, origin)),
            Action::Delete => received(&delete_request(cluster, target, key, conditions, origin)),
        };
        prop_assert_eq!(arrived, call);
    }

    #[test]
    fn reads_survive_the_wire(
        cluster in proptest::option::of(valid::cluster_id()), target in valid::target(), key in valid::bytes(),
    ) {
        let sent = get_request(cluster.map(cluster_bytes).unwrap_or_default(), target, key.clone());
        prop_assert_eq!(received::<_, ReadCall>(&sent), ReadCall { cluster, target, key });
    }

    #[test]
    fn scans_survive_the_wire(
        cluster in proptest::option::of(valid::cluster_id()), target in valid::target(),
        after in proptest::option::of(valid::bytes()), bytes in 1..=1_usize << 20, scanned in valid::scanned(),
    ) {
        let after = after.filter(|after| !after.is_empty());
        let sent = scan_request(cluster.map(cluster_bytes).unwrap_or_default(), target, after.clone(), bytes);
        prop_assert_eq!(received::<_, ScanCall>(&sent), ScanCall { cluster, target, after, bytes });
        let answer = scan_response(scanned.slot, Reply::Scanned { version: scanned.version, page: scanned.page.clone() });
        prop_assert_eq!(received::<_, Scanned>(&answer), scanned);
    }

    #[test]
    fn the_opening_of_a_session_survives_the_wire(
        cluster in proptest::option::of(valid::cluster_id()), target in valid::target(), session in 1u64..,
    ) {
        let call = OpenCall { cluster, target };
        prop_assert_eq!(over_the_wire::<proto::OpenSessionRequest, _>(call), Ok(call));
        let (slot, session) = (target.slot, catena_core::Seq(session));
        let answer = open_session_response(slot, &Reply::Opened { session });
        prop_assert_eq!(received::<_, Opened>(&answer), Opened { slot, session });
    }

    #[test]
    fn results_survive_the_wire(found in valid::found(), put in valid::put_result(), delete in valid::delete_result()) {
        let read = Reply::Read { version: found.version, object: found.object.clone() };
        prop_assert_eq!(received::<_, Found>(&get_response(found.slot, read)), found);
        let written = |result: Written| Reply::Written { entry: result.entry, object: result.object };
        prop_assert_eq!(received::<_, Written>(&put_response(put.slot, &written(put)).expect("of a put")), put);
        prop_assert_eq!(received::<_, Written>(&delete_response(delete.slot, &written(delete)).expect("of a delete")), delete);
    }

    #[test]
    fn refusals_survive_as_a_status_with_their_kind(refusal in valid::refusal()) {
        let status = Status::from(refusal.clone());
        prop_assert_eq!(kind_of(&status), refusal.kind());
        prop_assert_eq!(status.code(), refusal.code());
        prop_assert_eq!(status.message(), refusal.to_string());
        let on_a_stream = Status::from(proto::Refused::from(refusal.clone()));
        prop_assert_eq!((on_a_stream.code(), on_a_stream.message()), (status.code(), status.message()));
        prop_assert_eq!(on_a_stream.details(), status.details());
        prop_assert_eq!(Refusal::from_status(&status), Some(refusal));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        parse_as_everything(&Bytes::from(bytes));
    }

    #[test]
    fn a_damaged_message_never_panics(
        envelope in valid::envelope(), answer in valid::heartbeat_answer(), route in valid::route_answer(),
        refusal in valid::refusal(), status in valid::status(), cut in any::<Index>(), flip in any::<Index>(),
        bits in 1u8..,
    ) {
        let encoded = [
            proto::Envelope::from(envelope).encode_to_vec(), proto::HeartbeatAnswer::from(answer).encode_to_vec(),
            proto::Route::from(route).encode_to_vec(), proto::ErrorDetail::from(refusal).encode_to_vec(),
            proto::Status::from(status).encode_to_vec(),
        ];
        for mut bytes in encoded {
            if bytes.is_empty() {
                continue;
            }
            parse_as_everything(&Bytes::copy_from_slice(&bytes[..cut.index(bytes.len())]));
            let flipped = flip.index(bytes.len());
            bytes[flipped] ^= bits;
            parse_as_everything(&Bytes::from(bytes));
        }
    }
}

/// Parses bytes as each message. What is accepted is valid, so that it can be used and sent again.
fn parse_as_everything(bytes: &Bytes) {
    fn parse<P: Message + Default, C: TryFrom<P, Error = ConvertError>>(bytes: &Bytes) -> Option<C> {
        P::decode(bytes.clone()).map_err(ConvertError::from).and_then(C::try_from).ok()
    }
    if let Some(envelope) = parse::<proto::Envelope, Envelope>(bytes) {
        if let Said::Chunk(chunk) = &envelope.message {
            assert!(chunk.objects.is_sorted_by(|(before, _), (after, _)| before < after));
        }
        assert_eq!(over_the_wire::<proto::Envelope, _>(envelope.clone()), Ok(envelope));
    }
    if let Some(chain) = parse::<proto::Chain, Chain>(bytes) {
        assert_eq!(chain.position(&chain.tail().node), Some(chain.members.len() - 1));
    }
    if let Some(answer) = parse::<proto::Route, RouteAnswer>(bytes) {
        assert!(answer.route.chains.iter().all(|chain| chain.slot.0 < answer.route.slots));
    }
    let _: Option<Hello> = parse::<proto::Hello, _>(bytes);
    let _: Option<Heartbeat> = parse::<proto::Heartbeat, _>(bytes);
    let _: Option<HeartbeatAnswer> = parse::<proto::HeartbeatAnswer, _>(bytes);
    let _: Option<Decisions> = parse::<proto::Decisions, _>(bytes);
    let _: Option<Seen> = parse::<proto::Status, _>(bytes);
    let _: Option<OpenCall> = parse::<proto::OpenSessionRequest, _>(bytes);
    let _: Option<Opened> = parse::<proto::OpenSessionResponse, _>(bytes);
    let _: Option<NodeRecord> = parse::<proto::NodeRecord, _>(bytes);
    let _: Option<Register> = parse::<proto::Register, _>(bytes);
    let _: Option<Registered> = parse::<proto::Registered, _>(bytes);
    let _: Option<ReadCall> = parse::<proto::GetRequest, _>(bytes);
    let _: Option<WriteCall> = parse::<proto::PutRequest, _>(bytes);
    let _: Option<WriteCall> = parse::<proto::DeleteRequest, _>(bytes);
    let _: Option<Found> = parse::<proto::GetResponse, _>(bytes);
    let _: Option<Written> = parse::<proto::PutResponse, _>(bytes);
    let _: Option<Refusal> = parse::<proto::ErrorDetail, _>(bytes);
}
