//! What nodes, clients and the coordinator tell each other.

use std::time::Duration;

use catena_core::{Decisions, Epoch, Heartbeat, HeartbeatAnswer, MAX_SLOTS, Presence, ReplicaState, Report, RollCall, Route};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{chain, chains, cluster_id, epoch, node_id, node_record, revision, slot, version};
use crate::convert::{Register, Registered, RouteAnswer};

pub(in crate::convert) fn register() -> impl Strategy<Value = Register> {
    (option::of(cluster_id()), node_record()).prop_map(|(cluster, node)| Register { cluster, node })
}

pub(in crate::convert) fn registered() -> impl Strategy<Value = Registered> {
    (cluster_id(), 1..=MAX_SLOTS).prop_map(|(cluster, slots)| Registered { cluster, slots })
}

fn report() -> impl Strategy<Value = Report> {
    use ReplicaState::{Active, Astray, CaughtUp, Dropped, Removed, Restarted};
    let state = prop_oneof![Just(Active), Just(CaughtUp), Just(Restarted), Just(Astray), Just(Removed), Just(Dropped)];
    (slot(), version(), state, any::<[bool; 2]>(), option::of(node_id()))
        .prop_map(|(slot, version, state, [fenced, damaged], silent)| Report { slot, version, state, fenced, damaged, silent })
}

pub(in crate::convert) fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    let presence = prop_oneof![Just(Presence::Staying), Just(Presence::Leaving)];
    let heard = (any::<u64>().prop_map(Epoch), any::<u64>().prop_map(RollCall));
    (any::<u64>(), revision(), vec(report(), 0..5), presence, heard).prop_map(
        |(sequence, applied, reports, presence, (epoch, roll_call))| Heartbeat {
            sequence,
            applied,
            reports,
            presence,
            epoch,
            roll_call,
        },
    )
}

pub(in crate::convert) fn decisions() -> impl Strategy<Value = Decisions> {
    let versions = || vec((slot(), version()), 0..4);
    (epoch(), any::<u64>().prop_map(RollCall), vec(chain(), 0..4), versions(), versions())
        .prop_map(|(epoch, roll_call, chains, fences, drops)| Decisions { epoch, roll_call, chains, fences, drops })
}

pub(in crate::convert) fn heartbeat_answer() -> impl Strategy<Value = HeartbeatAnswer> {
    let lease = option::of((0..=86_400_000_000_000u64).prop_map(Duration::from_nanos));
    let parts = (any::<u64>(), lease, revision(), decisions(), vec(node_record(), 0..4));
    parts.prop_map(|(sequence, lease, revision, decisions, nodes)| HeartbeatAnswer {
        sequence,
        lease,
        revision,
        decisions,
        nodes,
    })
}

pub(in crate::convert) fn route_answer() -> impl Strategy<Value = RouteAnswer> {
    let route = (cluster_id(), revision(), 1000..=MAX_SLOTS, chains(), vec(node_record(), 0..4))
        .prop_map(|(cluster, revision, slots, chains, nodes)| Route { cluster, revision, slots, chains, nodes });
    let parts = (route, any::<u32>(), any::<usize>(), any::<usize>());
    parts.prop_map(|(route, wire_version, key_bytes, value_bytes)| RouteAnswer { route, wire_version, key_bytes, value_bytes })
}
