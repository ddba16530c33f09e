//! Any valid value of each type that travels.

mod admin;
mod coordination;
mod refusal;
mod replication;

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::{
    Action, Chain, ChainVersion, ClusterId, Command, Comparison, Condition, EntryId, Epoch, Incarnation, Member, Metadata,
    NodeId, NodeRecord, Object, Origin, Page, Process, Revision, Seq, Slot, Target, WallTime,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

pub(super) use admin::{order, status};
pub(super) use coordination::{decisions, heartbeat, heartbeat_answer, register, registered, route_answer};
pub(super) use refusal::refusal;
pub(super) use replication::{envelope, hello};

use super::{Found, Scanned, Written};

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

fn process() -> impl Strategy<Value = Process> {
    any::<u64>().prop_map(Process)
}

fn epoch() -> impl Strategy<Value = Epoch> {
    (1u64..).prop_map(Epoch)
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map("[a-z/.]{1,12}", ".{1,16}", 0..4)
}

pub(super) fn node_record() -> impl Strategy<Value = NodeRecord> {
    let address = ("[a-z0-9]{1,9}(\\.[a-z0-9]{1,9}){0,3}|\\[::1\\]", any::<u16>());
    (node_id(), incarnation(), address, labels()).prop_map(|(node, incarnation, (host, port), labels)| NodeRecord {
        node,
        incarnation,
        address: format!("{host}:{port}"),
        labels,
    })
}

/// Members head first, and perhaps one that joins.
fn replicas() -> impl Strategy<Value = (Vec<Member>, Option<Member>)> {
    let member = |node| (Just(node), incarnation(), version());
    let nodes = btree_set(node_id(), 2..6).prop_flat_map(move |nodes| nodes.into_iter().map(member).collect::<Vec<_>>());
    (nodes, any::<bool>()).prop_map(|(nodes, joins)| {
        let member = |(node, incarnation, activated)| Member { node, incarnation, activated };
        let mut members: Vec<Member> = nodes.into_iter().map(member).collect();
        let joining = if joins { members.pop() } else { None };
        (members, joining)
    })
}

fn chain_of(slot: Slot) -> impl Strategy<Value = Chain> {
    (1u64.., epoch(), replicas(), any::<bool>()).prop_map(move |(version, epoch, (members, joining), tail_ready)| Chain {
        slot,
        version: ChainVersion(version),
        epoch,
        members,
        tail_ready,
        joining,
    })
}

pub(super) fn chain() -> impl Strategy<Value = Chain> {
    slot().prop_flat_map(chain_of)
}

/// Chains of slots below 1,000, by slot.
fn chains() -> impl Strategy<Value = Vec<Chain>> {
    btree_set(0u32..1000, 0..5).prop_flat_map(|slots| slots.into_iter().map(|slot| chain_of(Slot(slot))).collect::<Vec<_>>())
}

/// A write of a session, as a client may name it.
pub(super) fn origin() -> impl Strategy<Value = Origin> {
    (1u64.., any::<u64>(), any::<u64>()).prop_map(|(session, one, other)| Origin {
        session: Seq(session),
        number: one.max(other),
        answered_below: one.min(other),
    })
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

pub(super) fn scanned() -> impl Strategy<Value = Scanned> {
    let key = vec(any::<u8>(), 1..8).prop_map(Bytes::from);
    let objects = btree_map(key, object(), 0..5);
    (slot(), version(), objects, any::<bool>()).prop_map(|(slot, version, objects, more)| {
        let next = objects.last_key_value().map(|(key, _)| key.clone()).filter(|_| more);
        Scanned { slot, version, page: Page { objects: objects.into_iter().collect(), next } }
    })
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
