//! What operators ask, and what they see.

use catena_core::{Eviction, Health, NodeStatus, Order, Slot, Standing, Status, StoredNode, Wait};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::{chains, epoch, node_id, node_record, wall};

pub(in crate::convert) fn order() -> impl Strategy<Value = Order> {
    let kind =
        prop_oneof![Just(Order::Drain as fn(_) -> _), Just(Order::Evict as fn(_) -> _), Just(Order::Readmit as fn(_) -> _)];
    (kind, node_id()).prop_map(|(order, node)| order(node))
}

fn standing() -> impl Strategy<Value = Standing> {
    let reason = prop_oneof![Just(Eviction::Flapping), Just(Eviction::Ordered)];
    prop_oneof![
        Just(Standing::Member),
        Just(Standing::Draining),
        (reason, wall()).prop_map(|(reason, at)| Standing::Evicted { reason, at }),
    ]
}

fn node_status() -> impl Strategy<Value = NodeStatus> {
    use Health::{Dead, Healthy, Stopped, Suspect, Unheard};
    let stored = (node_record(), standing(), vec(wall(), 0..4), any::<u32>())
        .prop_map(|(record, standing, flaps, evictions)| StoredNode { record, standing, flaps, evictions });
    let health = prop_oneof![Just(Unheard), Just(Healthy), Just(Suspect), Just(Dead), Just(Stopped)];
    (stored, health, any::<[u32; 4]>()).prop_map(|(stored, health, [heads, tails, replicas, joining])| NodeStatus {
        stored,
        health,
        heads,
        tails,
        replicas,
        joining,
    })
}

/// Nodes by name.
fn nodes() -> impl Strategy<Value = Vec<NodeStatus>> {
    btree_map(node_id(), node_status(), 0..4).prop_map(|nodes| {
        let named = |(name, mut status): (_, NodeStatus)| {
            status.stored.record.node = name;
            status
        };
        nodes.into_iter().map(named).collect()
    })
}

pub(in crate::convert) fn status() -> impl Strategy<Value = Status> {
    use Wait::{Absence, Fencing, Joining, LastCopy, NoCandidate, Restrained, Turn};
    let wait =
        prop_oneof![Just(NoCandidate), Just(Joining), Just(Fencing), Just(LastCopy), Just(Restrained), Just(Turn), Just(Absence)];
    let waits = btree_map(any::<u32>().prop_map(Slot), wait, 0..4);
    (epoch(), nodes(), chains(), waits).prop_map(|(epoch, nodes, chains, waits)| Status { epoch, nodes, chains, waits })
}
