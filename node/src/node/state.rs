//! A storage node as `/admin/v1/state` shows it.

use std::time::Duration;

use catena_core::{Copying, EntryId, Node, NodeOverview, Presence, ReplicaView, Slot, Time};
use catena_net::link::Links;
use serde::Serialize;

use crate::monitor::Happened;
use crate::words;

/// All of it, as of one moment.
#[derive(Clone, Debug, Serialize)]
pub struct NodeState {
    cluster: String,
    node_id: String,
    incarnation: String,
    process_id: String,
    presence: &'static str,
    coordinator: Coordinator,
    disk: Disk,
    in_flight: InFlight,
    links: Vec<Link>,
    replicas: Vec<Replica>,
    events: Vec<Happened>,
}

#[derive(Clone, Debug, Serialize)]
struct Coordinator {
    connected: bool,
    /// The newest leadership heard of.
    epoch: u64,
    /// For how long the lease still holds.
    lease_left_ms: Option<u64>,
    heartbeats: u64,
    last_heartbeat_ms_ago: u64,
    /// Decisions up to here are durably adopted.
    applied_revision: u64,
    unreported_replicas: usize,
}

#[derive(Clone, Debug, Serialize)]
struct Disk {
    batches: usize,
    oldest_batch_ms: u64,
    stalled: bool,
    /// Whether it has reached its reserve (D3).
    full: bool,
}

#[derive(Clone, Debug, Serialize)]
struct InFlight {
    calls: usize,
    writes: usize,
    buffered_bytes: usize,
    retained_bytes: usize,
    answer_bytes: usize,
    dropped_messages: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Link {
    node_id: String,
    address: Option<String>,
    up: bool,
    queued_bytes: usize,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a field of the JSON")]
#[derive(Clone, Debug, Serialize)]
struct Replica {
    slot: u32,
    chain_version: u64,
    epoch: u64,
    members: Vec<String>,
    joining: Option<String>,
    role: &'static str,
    state: &'static str,
    acting: bool,
    matched: bool,
    fenced: bool,
    damaged: bool,
    copying: Option<&'static str>,
    waiting_calls: usize,
    sessions: usize,
    barrier: u64,
    trim: Entry,
    applied: u64,
    committed: u64,
    durable: u64,
    last: Entry,
}

#[derive(Clone, Debug, Serialize)]
struct Entry {
    chain_version: u64,
    seq: u64,
}

/// What there is to look at at one moment.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) node: &'a Node,
    pub(super) now: Time,
    pub(super) links: &'a Links,
    /// Whether there is a stream to a coordinator.
    pub(super) connected: bool,
    /// Calls that have no answer.
    pub(super) calls: usize,
    /// What answers weigh that clients have not taken.
    pub(super) answer_bytes: usize,
    /// Replicas that are being filled, and those that others are being filled from.
    pub(super) filling: usize,
    pub(super) pins: usize,
    /// Whether the disk has reached its reserve.
    pub(super) disk_full: bool,
}

impl NodeState {
    pub(super) fn of(sight: Sight<'_>, events: Vec<Happened>) -> Self {
        let Sight { node, now, links, connected, calls, answer_bytes, disk_full, .. } = sight;
        let overview = node.overview(now);
        let NodeOverview { identity, .. } = overview;
        Self {
            cluster: identity.cluster.to_string(),
            node_id: identity.node.to_string(),
            incarnation: identity.incarnation.to_string(),
            process_id: identity.process.0.to_string(),
            presence: match overview.presence {
                Presence::Staying => "staying",
                Presence::Leaving => "leaving",
            },
            coordinator: Coordinator {
                connected,
                epoch: overview.epoch.0,
                lease_left_ms: overview.lease.map(ms),
                heartbeats: overview.heartbeats,
                last_heartbeat_ms_ago: ms(overview.last_heartbeat),
                applied_revision: overview.applied.0,
                unreported_replicas: overview.unreported,
            },
            disk: Disk {
                batches: overview.writing,
                oldest_batch_ms: ms(overview.oldest_write),
                stalled: overview.stalled,
                full: disk_full,
            },
            in_flight: InFlight {
                calls,
                writes: overview.writes,
                buffered_bytes: overview.bytes,
                retained_bytes: overview.retained,
                answer_bytes,
                dropped_messages: links.dropped(),
            },
            links: links.peers().map(link).collect(),
            replicas: node.replicas().filter_map(|slot| Some(replica(slot, &node.view(slot)?))).collect(),
            events,
        }
    }
}

fn link((node, address, queued): (&catena_core::NodeId, Option<&str>, Option<usize>)) -> Link {
    Link {
        node_id: node.to_string(),
        address: address.map(str::to_owned),
        up: queued.is_some(),
        queued_bytes: queued.unwrap_or_default(),
    }
}

fn replica(slot: Slot, view: &ReplicaView<'_>) -> Replica {
    Replica {
        slot: slot.0,
        chain_version: view.chain.map_or(0, |chain| chain.version.0),
        epoch: view.chain.map_or(0, |chain| chain.epoch.0),
        members: view.chain.iter().flat_map(|chain| &chain.members).map(|member| member.node.to_string()).collect(),
        joining: view.chain.and_then(|chain| Some(chain.joining.as_ref()?.node.to_string())),
        role: words::role(view.role),
        state: words::replica(view.state),
        acting: view.acting,
        matched: view.matched,
        fenced: view.fenced,
        damaged: view.damaged(),
        copying: match view.copying() {
            Copying::None => None,
            Copying::In => Some("in"),
            Copying::Out => Some("out"),
        },
        waiting_calls: view.waiting(),
        sessions: view.sessions.len(),
        barrier: view.barrier.0,
        trim: entry(view.trim),
        applied: view.applied.0,
        committed: view.committed.0,
        durable: view.durable.0,
        last: entry(view.last),
    }
}

fn entry(id: EntryId) -> Entry {
    Entry { chain_version: id.version.0, seq: id.seq.0 }
}

pub(crate) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
