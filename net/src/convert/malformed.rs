//! Each field that can be wrong, and the error that names it.

use bytes::Bytes;
use catena_core::{Chain, Decisions, Envelope, Heartbeat, NodeRecord, Order, Origin, Report, Status};

use super::{ConvertError, id_bytes};
use crate::proto;
use crate::proto::{answered, chunk, envelope};

fn assert_named<T: std::fmt::Debug>(result: Result<T, ConvertError>, named: &str) {
    let error = result.expect_err(named).to_string();
    assert!(error.starts_with(named), "{named}: {error}");
}

fn entry(seq: u64, previous_version: u64) -> proto::Entry {
    let delete = proto::entry::Operation::Delete(proto::entry::Delete { key: Bytes::from_static(b"k") });
    proto::Entry { version: 1, seq, previous_version, at_ns: 0, origin: None, operation: Some(delete) }
}

fn said(message: envelope::Message) -> Result<Envelope, ConvertError> {
    proto::Envelope { slot: 1, version: 1, message: Some(message) }.try_into()
}

fn append(entries: Vec<proto::Entry>) -> Result<Envelope, ConvertError> {
    said(envelope::Message::Append(envelope::Append { entries, durable: 0 }))
}

fn probe(runs: &[u64]) -> Result<Envelope, ConvertError> {
    let runs = runs.iter().map(|seq| proto::EntryId { version: 1, seq: *seq }).collect();
    said(envelope::Message::Probe(envelope::Probe { trim: None, runs, barrier: 0 }))
}

#[test]
fn of_entries_and_logs() {
    assert_named(Envelope::try_from(proto::Envelope::default()), "envelope.message is missing");
    assert_named(append(vec![entry(0, 0)]), "entry.seq is 0");
    assert_named(append(vec![proto::Entry { operation: None, ..entry(1, 0) }]), "entry.operation is missing");
    assert_named(append(vec![entry(1, 0), entry(3, 1)]), "append.entries: element 1");
    assert_named(append(vec![entry(1, 0), entry(2, 9)]), "append.entries: element 1");
    assert_named(probe(&[4, 4]), "probe.runs: element 1");
}

fn member(node: &str) -> proto::Member {
    proto::Member { node: node.to_owned(), incarnation: id_bytes(7), activated: 1 }
}

fn chain_of(members: Vec<proto::Member>) -> proto::Chain {
    proto::Chain { slot: 0, version: 1, members, epoch: 1, tail_ready: true, joining: None }
}

#[test]
fn of_a_chain() {
    let right = chain_of(vec![member("n1"), member("n2")]);
    assert!(Chain::try_from(right.clone()).is_ok());
    assert_named(Chain::try_from(chain_of(vec![])), "chain.members is missing");
    assert_named(Chain::try_from(proto::Chain { version: 0, ..right.clone() }), "chain.version is 0");
    assert_named(Chain::try_from(proto::Chain { epoch: 0, ..right.clone() }), "chain.epoch is 0");
    assert_named(Chain::try_from(chain_of(vec![member("n1"), member("n1")])), "chain.members: element 1");
    assert_named(Chain::try_from(chain_of(vec![member("a b")])), "member.node: \"a b\"");
    let short = proto::Member { incarnation: Bytes::from_static(b"short"), ..member("n1") };
    assert_named(Chain::try_from(chain_of(vec![short])), "member.incarnation has 5 bytes");
    assert!(Chain::try_from(proto::Chain { joining: Some(member("n3")), ..right.clone() }).is_ok());
    assert_named(Chain::try_from(proto::Chain { joining: Some(member("n1")), ..right }), "chain.joining: element 0");
}

#[test]
fn of_a_relayed_chain() {
    assert_named(said(envelope::Message::Newer(envelope::Newer { chain: None })), "newer.chain is missing");
    let other = envelope::Newer { chain: Some(proto::Chain { slot: 2, ..chain_of(vec![member("n1")]) }) };
    assert_named(said(envelope::Message::Newer(other)), "newer.chain.slot is 2");
}

#[test]
fn of_a_node_record() {
    let record = |address: &str| proto::NodeRecord {
        node: "n1".to_owned(),
        incarnation: id_bytes(7),
        address: address.to_owned(),
        ..proto::NodeRecord::default()
    };
    for address in ["", "host", "host:", ":7400", "host:70000", "ho st:7400", "host:-1"] {
        let error = NodeRecord::try_from(record(address)).expect_err(address);
        assert_eq!(error, ConvertError::Address { field: "node_record.address", value: address.to_owned() });
    }
    let labelled = |labels: Vec<(String, String)>| {
        NodeRecord::try_from(proto::NodeRecord { labels: labels.into_iter().collect(), ..record("host:1") })
    };
    let label = |key: usize, value: usize| vec![("k".repeat(key), "v".repeat(value))];
    assert!(labelled(label(64, 64)).is_ok());
    for (key, value) in [(0, 1), (65, 1)] {
        assert_named(labelled(label(key, value)), &format!("the length of a key in node_record.labels is {key}"));
        assert_named(labelled(label(value, key)), &format!("the length of a value in node_record.labels is {key}"));
    }
    let many = (0..17).map(|number| (format!("k{number}"), "v".to_owned())).collect();
    assert_named(labelled(many), "node_record.labels is 17");
}

fn object(key: &'static [u8]) -> chunk::Object {
    let metadata = Some(proto::Metadata::default());
    chunk::Object { key: Bytes::from_static(key), value: Bytes::new(), metadata }
}

fn part(after: Option<&'static [u8]>, objects: Vec<chunk::Object>, end: Option<chunk::End>) -> Result<Envelope, ConvertError> {
    let pin = Some(proto::Pin { source: "n1".to_owned(), process: 1, at: None });
    let after = after.map(Bytes::from_static);
    said(envelope::Message::Chunk(proto::Chunk { pin, after, objects, end, checksum: 0 }))
}

#[test]
fn of_a_snapshot() {
    assert!(part(Some(b"a"), vec![object(b"b"), object(b"c")], None).is_ok());
    assert_named(said(envelope::Message::Chunk(proto::Chunk::default())), "chunk.pin is missing");
    assert_named(part(None, vec![object(b"b"), object(b"b")], None), "chunk.objects: element 1");
    assert_named(part(Some(b"b"), vec![object(b"b")], None), "chunk.objects: element 0");
    let bare = chunk::Object { metadata: None, ..object(b"b") };
    assert_named(part(None, vec![bare], None), "chunk.objects.metadata is missing");
    let pin = Some(proto::Pin::default());
    assert_named(said(envelope::Message::Fetch(envelope::Fetch { pin, after: None })), "pin.source: \"\"");
}

#[test]
fn of_a_session_table() {
    let ends = |sessions| part(None, vec![], Some(chunk::End { at_ns: 1, sessions }));
    let session = |name, answers: Vec<proto::Answered>| proto::Session { session: name, answers, ..proto::Session::default() };
    let absent = Some(answered::Outcome::Absent(answered::Absent {}));
    let right = proto::Answered { number: 3, entry: Some(proto::EntryId::default()), outcome: absent };
    assert!(ends(vec![session(1, vec![right]), session(2, vec![])]).is_ok());
    assert_named(ends(vec![session(2, vec![]), session(1, vec![])]), "chunk.end.sessions: element 1");
    assert_named(ends(vec![session(1, vec![right, right])]), "session.answers: element 1");
    let blank = proto::Answered { outcome: None, ..right };
    assert_named(ends(vec![session(1, vec![blank])]), "answered.outcome is missing");
    assert_named(ends(vec![session(1, vec![proto::Answered { entry: None, ..right }])]), "answered.entry is missing");
}

#[test]
fn of_a_session_s_write() {
    let write = |session, number, answered_below| Origin::try_from(proto::SessionWrite { session, number, answered_below });
    assert!(write(1, 5, 5).is_ok());
    assert_named(write(0, 5, 5), "session.session is 0");
    assert_named(write(1, 5, 6), "session.answered_below is 6: it must be from 0 to 5");
}

/// A number that means nothing is told from one that is missing.
#[test]
fn of_a_heartbeat() {
    let report = |state| Report::try_from(proto::Report { slot: 1, version: 1, state, ..proto::Report::default() });
    assert_eq!(report(0), Err(ConvertError::Missing { field: "report.state" }));
    assert_eq!(report(77), Err(ConvertError::Enumeration { field: "report.state", value: 77 }));
    let active = proto::ReplicaState::Active.into();
    let silent = proto::Report { state: active, silent: "a b".to_owned(), ..proto::Report::default() };
    assert_named(Report::try_from(silent), "report.silent: \"a b\"");
    let beat = |presence, applied| {
        Heartbeat::try_from(proto::Heartbeat { sequence: 1, applied, presence, ..proto::Heartbeat::default() })
    };
    assert_eq!(beat(0, 1), Err(ConvertError::Missing { field: "heartbeat.presence" }));
    assert_named(beat(1, u64::MAX), "heartbeat.applied is 18446744073709551615");
}

#[test]
fn of_decisions() {
    assert_named(Decisions::try_from(proto::Decisions::default()), "decisions.epoch is 0");
    let answer = catena_core::HeartbeatAnswer::try_from(proto::HeartbeatAnswer::default());
    assert_named(answer, "heartbeat_answer.decisions is missing");
}

#[test]
fn of_orders_and_the_status() {
    assert_named(Order::try_from(proto::order_request::Order::Evict(String::new())), "order.evict: \"\"");
    let record = |node: &str| proto::NodeRecord {
        node: node.to_owned(),
        incarnation: id_bytes(7),
        address: "host:1".to_owned(),
        ..proto::NodeRecord::default()
    };
    let member = proto::Standing { standing: Some(proto::standing::Standing::Member(proto::standing::Member {})) };
    let node = |name| proto::NodeStatus {
        record: Some(record(name)),
        health: proto::Health::Dead.into(),
        standing: Some(member),
        ..proto::NodeStatus::default()
    };
    let status = |nodes| Status::try_from(proto::Status { epoch: 1, nodes, chains: vec![], waits: vec![] });
    assert!(status(vec![node("n1"), node("n2")]).is_ok());
    assert_named(status(vec![node("n2"), node("n1")]), "status.nodes: element 1");
    assert_named(status(vec![proto::NodeStatus { standing: None, ..node("n1") }]), "node_status.standing is missing");
    assert_named(status(vec![proto::NodeStatus { health: 9, ..node("n1") }]), "node_status.health is 9");
    let wait = |slot| proto::SlotWait { slot, wait: proto::Wait::Turn.into() };
    let waits = vec![wait(3), wait(3)];
    assert_named(Status::try_from(proto::Status { epoch: 1, waits, ..proto::Status::default() }), "status.waits: element 1");
}
