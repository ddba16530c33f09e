//! Any valid value of each type that travels.

use bytes::Bytes;
use catena_core::{
    Action, CallError, Chain, ChainVersion, ClusterId, Command, Comparison, Condition, Entry, EntryId, Envelope, Heartbeat,
    HeartbeatAnswer, Identity, Incarnation, LogSummary, MAX_SLOTS, Member, Message, Metadata, MismatchReason, NodeId, NodeRecord,
    Object, Operation, RegisterError, ReplicaState, Report, Resource, Revision, Role, Route, RoutingMismatch, Seq, Slot, Target,
    WallTime,
};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use std::time::Duration;

use super::{Found, Hello, Register, Registered, RouteAnswer, Written};
use crate::Refusal;

pub(super) fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..64).prop_map(Bytes::from)
}

fn node_id() -> impl Strategy<Value = NodeId> {
    "[a-zA-Z0-9._-]{1,64}".prop_map(|name| NodeId::new(&name).expect("a legal name"))
}

pub(super) fn cluster_id() -> impl Strategy<Value = ClusterId> {
    any::<u128>().prop_map(ClusterId)
}

fn incarnation() -> impl Strategy<Value = Incarnation> {
    any::<u128>().prop_map(Incarnation)
}

fn slot() -> impl Strategy<Value = Slot> {
    any::<u32>().prop_map(Slot)
}

fn seq() -> impl Strategy<Value = Seq> {
    any::<u64>().prop_map(Seq)
}

fn version() -> impl Strategy<Value = ChainVersion> {
    any::<u64>().prop_map(ChainVersion)
}

fn wall() -> impl Strategy<Value = WallTime> {
    any::<u64>().prop_map(WallTime)
}

fn revision() -> impl Strategy<Value = Revision> {
    (0..u64::MAX).prop_map(Revision)
}

fn entry_id() -> impl Strategy<Value = EntryId> {
    (version(), seq()).prop_map(|(version, seq)| EntryId { version, seq })
}

fn metadata() -> impl Strategy<Value = Metadata> {
    (seq(), wall(), wall()).prop_map(|(version, created_at, updated_at)| Metadata { version, created_at, updated_at })
}

fn object() -> impl Strategy<Value = Object> {
    (bytes(), metadata()).prop_map(|(value, metadata)| Object { value, metadata })
}

pub(super) fn identity() -> impl Strategy<Value = Identity> {
    (cluster_id(), node_id(), incarnation()).prop_map(|(cluster, node, incarnation)| Identity { cluster, node, incarnation })
}

pub(super) fn hello() -> impl Strategy<Value = Hello> {
    (any::<u32>(), identity(), node_id()).prop_map(|(wire_version, identity, to)| Hello { wire_version, identity, to })
}

pub(super) fn node_record() -> impl Strategy<Value = NodeRecord> {
    let address = ("[a-z0-9]{1,9}(\\.[a-z0-9]{1,9}){0,3}|\\[::1\\]", any::<u16>());
    (node_id(), incarnation(), address).prop_map(|(node, incarnation, (host, port))| NodeRecord {
        node,
        incarnation,
        address: format!("{host}:{port}"),
    })
}

fn members() -> impl Strategy<Value = Vec<Member>> {
    let member = |node| (Just(node), incarnation(), version());
    btree_set(node_id(), 1..5).prop_flat_map(move |nodes| nodes.into_iter().map(member).collect::<Vec<_>>()).prop_map(|members| {
        members.into_iter().map(|(node, incarnation, activated)| Member { node, incarnation, activated }).collect()
    })
}

fn chain_of(slot: Slot) -> impl Strategy<Value = Chain> {
    (1u64.., members()).prop_map(move |(version, members)| Chain { slot, version: ChainVersion(version), members })
}

pub(super) fn chain() -> impl Strategy<Value = Chain> {
    slot().prop_flat_map(chain_of)
}

pub(super) fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (bytes(), bytes(), wall()).prop_map(|(key, value, created_at)| Operation::Put { key, value, created_at }),
        bytes().prop_map(|key| Operation::Delete { key }),
    ]
}

/// Entries that follow each other.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let parts = vec((version(), wall(), operation()), 0..5);
    (version(), 1..u64::MAX - 5, parts).prop_map(|(mut previous, first, parts)| {
        let link = |(seq, (version, at, operation))| {
            let id = EntryId { version, seq: Seq(seq) };
            let entry = Entry { id, previous, at, operation };
            previous = version;
            entry
        };
        (first..).zip(parts).map(link).collect()
    })
}

/// Runs whose last seqs increase.
fn log_summary() -> impl Strategy<Value = LogSummary> {
    (version(), btree_set(seq(), 1..6), vec(version(), 5)).prop_map(|(trim, seqs, versions)| {
        let mut seqs = seqs.into_iter();
        let trim = EntryId { version: trim, seq: seqs.next().expect("at least one") };
        LogSummary { trim, runs: versions.into_iter().zip(seqs).map(|(version, seq)| EntryId { version, seq }).collect() }
    })
}

pub(super) fn envelope() -> impl Strategy<Value = Envelope> {
    let message = prop_oneof![
        Just(Message::Hello),
        (log_summary(), seq()).prop_map(|(log, barrier)| Message::Probe { log, barrier }),
        seq().prop_map(|last| Message::Have { last }),
        (entries(), seq()).prop_map(|(entries, durable)| Message::Append { entries, durable }),
        (prop_oneof![Just(EntryId::default()), entry_id()], seq()).prop_map(|(last, durable)| Message::Poke { last, durable }),
        seq().prop_map(|committed| Message::Ack { committed }),
        version().prop_map(|current| Message::Stale { current }),
    ];
    (slot(), version(), message).prop_map(|(slot, version, message)| Envelope { slot, version, message })
}

fn comparison() -> impl Strategy<Value = Comparison> {
    use Comparison::{Eq, Gt, Gte, Lt, Lte};
    prop_oneof![Just(Eq), Just(Lt), Just(Lte), Just(Gt), Just(Gte)]
}

pub(super) fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        any::<bool>().prop_map(Condition::Exists),
        (comparison(), seq()).prop_map(|(how, version)| Condition::Version(how, version)),
        (comparison(), wall()).prop_map(|(how, at)| Condition::UpdatedAt(how, at)),
    ]
}

pub(super) fn command() -> impl Strategy<Value = Command> {
    let action = prop_oneof![bytes().prop_map(|value| Action::Put { value }), Just(Action::Delete)];
    (bytes(), action, vec(condition(), 0..4)).prop_map(|(key, action, conditions)| Command { key, action, conditions })
}

pub(super) fn target() -> impl Strategy<Value = Target> {
    (slot(), version()).prop_map(|(slot, version)| Target { slot, version })
}

pub(super) fn found() -> impl Strategy<Value = Found> {
    (slot(), version(), option::of(object())).prop_map(|(slot, version, object)| Found { slot, version, object })
}

pub(super) fn put_result() -> impl Strategy<Value = Written> {
    let parts = (slot(), entry_id(), metadata());
    parts.prop_map(|(slot, entry, object)| Written { slot, entry: Some(entry), object: Some(object) })
}

pub(super) fn delete_result() -> impl Strategy<Value = Written> {
    (slot(), option::of(entry_id())).prop_map(|(slot, entry)| Written { slot, entry, object: None })
}

pub(super) fn register() -> impl Strategy<Value = Register> {
    (option::of(cluster_id()), node_record()).prop_map(|(cluster, node)| Register { cluster, node })
}

pub(super) fn registered() -> impl Strategy<Value = Registered> {
    (cluster_id(), 1..=MAX_SLOTS).prop_map(|(cluster, slots)| Registered { cluster, slots })
}

pub(super) fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    use ReplicaState::{Active, Removed, Restarted};
    let state = prop_oneof![Just(Active), Just(Restarted), Just(Removed)];
    let report = (slot(), version(), state).prop_map(|(slot, version, state)| Report { slot, version, state });
    (any::<u64>(), revision(), vec(report, 0..5)).prop_map(|(sequence, applied, reports)| Heartbeat {
        sequence,
        applied,
        reports,
    })
}

pub(super) fn heartbeat_answer() -> impl Strategy<Value = HeartbeatAnswer> {
    let lease = option::of((0..=86_400_000_000_000u64).prop_map(Duration::from_nanos));
    let parts = (any::<u64>(), lease, revision(), vec(chain(), 0..4), vec(node_record(), 0..4));
    parts.prop_map(|(sequence, lease, revision, chains, nodes)| HeartbeatAnswer { sequence, lease, revision, chains, nodes })
}

pub(super) fn route_answer() -> impl Strategy<Value = RouteAnswer> {
    let chains =
        btree_set(0u32..1000, 0..5).prop_flat_map(|slots| slots.into_iter().map(|slot| chain_of(Slot(slot))).collect::<Vec<_>>());
    let route = (cluster_id(), revision(), 1000..=MAX_SLOTS, chains, vec(node_record(), 0..4))
        .prop_map(|(cluster, revision, slots, chains, nodes)| Route { cluster, revision, slots, chains, nodes });
    let parts = (route, any::<u32>(), any::<usize>(), any::<usize>());
    parts.prop_map(|(route, wire_version, key_bytes, value_bytes)| RouteAnswer { route, wire_version, key_bytes, value_bytes })
}

fn routing_mismatch() -> impl Strategy<Value = RoutingMismatch> {
    use MismatchReason::{Inactive, NoReplica, WrongRole, WrongVersion};
    let role = prop_oneof![Just(Role::Head), Just(Role::Middle), Just(Role::Tail), Just(Role::Only), Just(Role::None)];
    let reason = prop_oneof![Just(NoReplica), Just(WrongVersion), Just(WrongRole), Just(Inactive)];
    let parts = (slot(), version(), version(), role, reason);
    parts.prop_map(|(slot, expected, current, role, reason)| RoutingMismatch { slot, expected, current, role, reason })
}

pub(super) fn call_error() -> impl Strategy<Value = CallError> {
    use Resource::{NodeBytes, NodeWrites, SlotBytes, SlotWrites};
    let resource = prop_oneof![Just(SlotWrites), Just(SlotBytes), Just(NodeWrites), Just(NodeBytes)];
    let sizes = || (any::<usize>(), any::<usize>());
    prop_oneof![
        Just(CallError::KeyEmpty),
        sizes().prop_map(|(len, limit)| CallError::KeyTooLong { len, limit }),
        sizes().prop_map(|(len, limit)| CallError::ValueTooLarge { len, limit }),
        (slot(), any::<u32>()).prop_map(|(slot, slots)| CallError::UnknownSlot { slot, slots }),
        routing_mismatch().prop_map(CallError::Routing),
        slot().prop_map(|slot| CallError::NoLease { slot }),
        slot().prop_map(|slot| CallError::NotCaughtUp { slot }),
        option::of(metadata()).prop_map(|object| CallError::ConditionFailed { object }),
        (slot(), resource, any::<u64>(), any::<u64>()).prop_map(|(slot, resource, current, limit)| CallError::Backpressure {
            slot,
            resource,
            current,
            limit
        }),
        slot().prop_map(|slot| CallError::OutcomeUnknown { slot }),
    ]
}

pub(super) fn refusal() -> impl Strategy<Value = Refusal> {
    let unknown = (node_id(), ".{0,20}").prop_map(|(node, known)| RegisterError::UnknownNode { node, known });
    let other = (node_id(), incarnation(), incarnation()).prop_map(|(node, known, given)| RegisterError::OtherDirectory {
        node,
        known,
        given,
    });
    prop_oneof![
        10 => call_error().prop_map(Refusal::Call),
        2 => prop_oneof![unknown, other].prop_map(Refusal::Register),
        1 => any::<u64>().prop_map(|waited_ms| Refusal::TimedOut { waited_ms }),
        1 => Just(Refusal::Abandoned),
        1 => Just(Refusal::Stopping),
        1 => (cluster_id(), cluster_id()).prop_map(|(given, here)| Refusal::WrongCluster { given, here }),
        1 => (any::<u32>(), any::<u32>()).prop_map(|(given, here)| Refusal::WrongWireVersion { given, here }),
        1 => (node_id(), node_id()).prop_map(|(expected, found)| Refusal::WrongNode { expected, found }),
        1 => any::<u64>().prop_map(|limit| Refusal::MessageTooLarge { limit }),
        1 => ".{0,40}".prop_map(|problem| Refusal::Malformed { problem }),
    ]
}
