//! Every message comes back as it was sent; what is no message is refused, with the field's name, and never panics.

use bytes::Bytes;
use catena_core::{Action, Chain, Command, Envelope, Heartbeat, HeartbeatAnswer, NodeRecord, Reply};
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
    ) {
        let call = WriteCall { cluster, target, command: command.clone() };
        let Command { key, action, conditions } = command;
        let cluster = cluster.map(cluster_bytes).unwrap_or_default();
        let arrived: WriteCall = match action {
            Action::Put { value } => received(&put_request(cluster, target, key, value, conditions)),
            Action::Delete => received(&delete_request(cluster, target, key, conditions)),
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
    fn results_survive_the_wire(found in valid::found(), put in valid::put_result(), delete in valid::delete_result()) {
        let read = Reply::Read { version: found.version, object: found.object.clone() };
        prop_assert_eq!(received::<_, Found>(&get_response(found.slot, read)), found);
        let written = |result: Written| Reply::Written { entry: result.entry, object: result.object };
        prop_assert_eq!(received::<_, Written>(&put_response(put.slot, &written(put))), put);
        prop_assert_eq!(received::<_, Written>(&delete_response(delete.slot, &written(delete))), delete);
    }

    #[test]
    fn refusals_survive_as_a_status_with_their_kind(refusal in valid::refusal()) {
        let status = Status::from(refusal.clone());
        prop_assert_eq!(kind_of(&status), refusal.kind());
        prop_assert_eq!(status.code(), refusal.code());
        prop_assert_eq!(status.message(), refusal.to_string());
        prop_assert_eq!(Refusal::from_status(&status), Some(refusal));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        parse_as_everything(&Bytes::from(bytes));
    }

    #[test]
    fn a_damaged_message_never_panics(
        envelope in valid::envelope(), answer in valid::heartbeat_answer(), route in valid::route_answer(),
        refusal in valid::refusal(), cut in any::<Index>(), flip in any::<Index>(),
        bits in 1u8..,
    ) {
        let encoded = [
            proto::Envelope::from(envelope).encode_to_vec(), proto::HeartbeatAnswer::from(answer).encode_to_vec(),
            proto::Route::from(route).encode_to_vec(), proto::ErrorDetail::from(refusal).encode_to_vec(),
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

/// Each wrong field, and the error that names it.
#[test]
fn a_wrong_field_is_named() {
    let wrong: [(std::result::Result<Envelope, ConvertError>, &str); 6] = [
        (proto::Envelope::default().try_into(), "envelope.message is missing"),
        (append(vec![entry(0, 0)]), "entry.seq is 0"),
        (append(vec![proto::Entry { operation: None, ..entry(1, 0) }]), "entry.operation is missing"),
        (append(vec![entry(1, 0), entry(3, 1)]), "append.entries: element 1"),
        (append(vec![entry(1, 0), entry(2, 9)]), "append.entries: element 1"),
        (probe(&[4, 4]), "probe.runs: element 1"),
    ];
    for (result, named) in wrong {
        assert!(result.as_ref().is_err_and(|error| error.to_string().starts_with(named)), "{named}: {result:?}");
    }
}

#[test]
fn a_wrong_chain_or_record_is_named() {
    let member = proto::Member { node: "n1".to_owned(), incarnation: id_bytes(7), activated: 1 };
    let chain = |version, members: &[proto::Member]| {
        let members = members.to_vec();
        Chain::try_from(proto::Chain { slot: 0, version, members }).expect_err("wrong").to_string()
    };
    assert!(chain(1, &[]).starts_with("chain.members is missing"));
    assert!(chain(0, std::slice::from_ref(&member)).starts_with("chain.version is 0"));
    assert!(chain(1, &[member.clone(), member.clone()]).starts_with("chain.members: element 1"));
    assert!(chain(1, &[proto::Member { node: "a b".to_owned(), ..member.clone() }]).starts_with("member.node: \"a b\""));
    let short = proto::Member { incarnation: Bytes::from_static(b"short"), ..member };
    assert!(chain(1, &[short]).starts_with("member.incarnation has 5 bytes"));
    for address in ["", "host", "host:", ":7400", "host:70000", "ho st:7400", "host:-1"] {
        let record = proto::NodeRecord { node: "n1".to_owned(), incarnation: id_bytes(7), address: address.to_owned() };
        let error = NodeRecord::try_from(record).expect_err(address);
        assert_eq!(error, ConvertError::Address { field: "node_record.address", value: address.to_owned() });
    }
}

#[test]
fn an_unknown_number_of_an_enumeration_is_told_from_a_missing_one() {
    let report = |state| {
        let report = proto::Report { slot: 1, version: 1, state };
        catena_core::Report::try_from(report).expect_err("wrong")
    };
    assert_eq!(report(0), ConvertError::Missing { field: "report.state" });
    assert_eq!(report(77), ConvertError::Enumeration { field: "report.state", value: 77 });
}

fn entry(seq: u64, previous_version: u64) -> proto::Entry {
    let delete = proto::entry::Operation::Delete(proto::entry::Delete { key: Bytes::from_static(b"k") });
    proto::Entry { version: 1, seq, previous_version, at_ns: 0, operation: Some(delete) }
}

fn append(entries: Vec<proto::Entry>) -> std::result::Result<Envelope, ConvertError> {
    let append = proto::envelope::Append { entries, durable: 0 };
    proto::Envelope { slot: 1, version: 1, message: Some(proto::envelope::Message::Append(append)) }.try_into()
}

fn probe(runs: &[u64]) -> std::result::Result<Envelope, ConvertError> {
    let runs = runs.iter().map(|seq| proto::EntryId { version: 1, seq: *seq }).collect();
    let probe = proto::envelope::Probe { trim: None, runs, barrier: 0 };
    proto::Envelope { slot: 1, version: 1, message: Some(proto::envelope::Message::Probe(probe)) }.try_into()
}
