//! A coordinator as `/admin/v1/state` shows it.

use std::collections::BTreeMap;
use std::time::Duration;

use catena_core::{
    Chain, Coordinator, CoordinatorOverview, Health, NodeAccount, NodeId, NodeStatus, ReplicaState, Report, Slot, Standing,
    Status, Wait,
};
use serde::Serialize;

use crate::monitor::Happened;
use crate::words;

/// All of it, as of one moment.
#[derive(Clone, Debug, Serialize)]
pub struct CoordinatorState {
    cluster: String,
    leading: bool,
    epoch: Option<u64>,
    config: Config,
    pending: Option<Pending>,
    routing: Option<Routing>,
    nodes: Vec<Node>,
    unavailable_replicas: Vec<Unavailable>,
    watchers: usize,
    events: Vec<Happened>,
}

#[derive(Clone, Debug, Serialize)]
struct Config {
    slots: u32,
    replicas: u32,
    founders: u32,
    lease_ms: u64,
    suspect_ms: u64,
    dead_ms: u64,
    flap_threshold: u32,
    flap_window_ms: u64,
    restraint_percent: u32,
    restraint_window_ms: u64,
    absence_ms: u64,
}

/// What is decided, and not yet carried out.
#[derive(Clone, Debug, Serialize)]
struct Pending {
    commits: usize,
    orders: usize,
    /// Slots of chains that are not as they should be, and what they wait for.
    waits: BTreeMap<u32, &'static str>,
    /// Nodes that the failure detector has taken out lately (K4).
    taken_out: usize,
}

#[derive(Clone, Debug, Serialize)]
struct Routing {
    revision: u64,
    chains: Vec<Link>,
}

#[derive(Clone, Debug, Serialize)]
struct Link {
    slot: u32,
    version: u64,
    epoch: u64,
    members: Vec<String>,
    joining: Option<String>,
    tail_ready: bool,
    wait: Option<&'static str>,
    /// For how long it is in this version; of one that this leader has not changed, nobody knows.
    age_ms: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
struct Node {
    id: String,
    incarnation: String,
    address: String,
    labels: BTreeMap<String, String>,
    health: &'static str,
    standing: &'static str,
    /// When an evicted one was.
    evicted_at_ns: Option<u64>,
    evictions: u32,
    /// When it became suspect, the latest times within the window.
    suspect_at_ns: Vec<u64>,
    heads: u32,
    tails: u32,
    replicas: u32,
    joining: u32,
    heartbeat: Heartbeat,
    /// It is dead, and left in its chains, for too many went at once (K4).
    spared: bool,
    fences: usize,
    drops: usize,
    reports: Vec<Told>,
}

#[derive(Clone, Debug, Serialize)]
struct Heartbeat {
    /// Whether there is a stream from it.
    connected: bool,
    /// Whether this leader has heard it.
    heard: bool,
    silence_ms: u64,
    sequence: Option<u64>,
    applied_revision: Option<u64>,
}

/// What a node said last of a replica.
#[derive(Clone, Debug, Serialize)]
struct Told {
    slot: u32,
    version: u64,
    state: &'static str,
    fenced: bool,
    damaged: bool,
    /// The neighbour that it does not hear.
    silent: Option<String>,
}

/// A replica of a chain that cannot take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Unavailable {
    slot: u32,
    node_id: String,
    why: &'static str,
}

/// The last heartbeat on a node's stream, if one came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    pub(super) sequence: Option<u64>,
    pub(super) applied: Option<u64>,
}

impl CoordinatorState {
    /// `heard`: of a node that there is a stream from, the last heartbeat on it. `age`: of a chain that this leader has
    /// changed, how long ago it did.
    pub(super) fn of(
        coordinator: &Coordinator,
        watchers: usize,
        events: Vec<Happened>,
        heard: impl Fn(&NodeId) -> Option<Heard>,
        age: impl Fn(Slot) -> Option<Duration>,
    ) -> Self {
        let leader = coordinator.status().zip(coordinator.overview());
        let leader = leader.as_ref();
        let accounts = leader.map_or(&[][..], |(_, overview)| &overview.nodes);
        let nodes = leader.map_or(&[][..], |(status, _)| &status.nodes);
        // Both are by name.
        let nodes = nodes.iter().zip(accounts).map(|(status, account)| node(status, account, heard(account.node)));
        Self {
            cluster: coordinator.config().cluster.cluster.to_string(),
            leading: leader.is_some(),
            epoch: coordinator.epoch().map(|epoch| epoch.0),
            config: config(coordinator),
            pending: leader.map(|(status, overview)| pending(status, overview)),
            routing: leader.map(|(status, overview)| routing(status, overview, age)),
            nodes: nodes.collect(),
            unavailable_replicas: leader.into_iter().flat_map(|(status, overview)| unavailable(status, overview)).collect(),
            watchers,
            events,
        }
    }
}

fn config(coordinator: &Coordinator) -> Config {
    let config = coordinator.config();
    let cluster = &config.cluster;
    Config {
        slots: cluster.slots,
        replicas: cluster.replicas,
        founders: cluster.founders,
        lease_ms: ms(cluster.lease),
        suspect_ms: ms(config.suspect_after),
        dead_ms: ms(config.dead_after),
        flap_threshold: config.flap_threshold,
        flap_window_ms: ms(config.flap_window),
        restraint_percent: config.restraint_percent,
        restraint_window_ms: ms(config.restraint_window),
        absence_ms: ms(config.absence),
    }
}

fn pending(status: &Status, overview: &CoordinatorOverview<'_>) -> Pending {
    Pending {
        commits: overview.commits,
        orders: overview.orders,
        waits: status.waits.iter().map(|(slot, wait)| (slot.0, words::wait(*wait))).collect(),
        taken_out: overview.taken_out,
    }
}

fn routing(status: &Status, overview: &CoordinatorOverview<'_>, age: impl Fn(Slot) -> Option<Duration>) -> Routing {
    let chains = status.chains.iter().map(|chain| link(chain, status.waits.get(&chain.slot).copied(), age(chain.slot)));
    Routing { revision: overview.revision.0, chains: chains.collect() }
}

fn link(chain: &Chain, wait: Option<Wait>, age: Option<Duration>) -> Link {
    Link {
        slot: chain.slot.0,
        version: chain.version.0,
        epoch: chain.epoch.0,
        members: chain.members.iter().map(|member| member.node.to_string()).collect(),
        joining: chain.joining.as_ref().map(|member| member.node.to_string()),
        tail_ready: chain.tail_ready,
        wait: wait.map(words::wait),
        age_ms: age.map(ms),
    }
}

fn node(status: &NodeStatus, account: &NodeAccount<'_>, heard: Option<Heard>) -> Node {
    let stored = &status.stored;
    let connected = heard.is_some();
    let Heard { sequence, applied } = heard.unwrap_or_default();
    Node {
        id: stored.record.node.to_string(),
        incarnation: stored.record.incarnation.to_string(),
        address: stored.record.address.clone(),
        labels: stored.record.labels.clone(),
        health: words::health(status.health),
        standing: words::standing(stored.standing),
        evicted_at_ns: match stored.standing {
            Standing::Evicted { at, .. } => Some(at.0),
            Standing::Member | Standing::Draining => None,
        },
        evictions: stored.evictions,
        suspect_at_ns: stored.flaps.iter().map(|at| at.0).collect(),
        heads: status.heads,
        tails: status.tails,
        replicas: status.replicas,
        joining: status.joining,
        heartbeat: Heartbeat {
            connected,
            heard: account.heard,
            silence_ms: ms(account.silence),
            sequence,
            applied_revision: applied,
        },
        spared: account.spared,
        fences: account.fences,
        drops: account.drops,
        reports: account.reports.iter().map(|report| told(report)).collect(),
    }
}

fn told(report: &Report) -> Told {
    Told {
        slot: report.slot.0,
        version: report.version.0,
        state: words::replica(report.state),
        fenced: report.fenced,
        damaged: report.damaged,
        silent: report.silent.as_ref().map(NodeId::to_string),
    }
}

/// The replicas of chains that cannot take part, by slot.
pub(super) fn unavailable<'a>(
    status: &'a Status,
    overview: &'a CoordinatorOverview<'a>,
) -> impl Iterator<Item = Unavailable> + 'a {
    let nodes: BTreeMap<&NodeId, (Health, BTreeMap<_, _>)> = status
        .nodes
        .iter()
        .zip(&overview.nodes)
        .map(|(status, account)| {
            let reports = account.reports.iter().map(|report| (report.slot, *report)).collect();
            (account.node, (status.health, reports))
        })
        .collect();
    status.chains.iter().flat_map(move |chain| {
        let found: Vec<Unavailable> = chain
            .replicas()
            .filter_map(|replica| {
                let (health, reports) = nodes.get(&replica.node)?;
                let report: Option<&&Report> = reports.get(&chain.slot);
                let why = why(*health, report.filter(|report| report.version == chain.version).copied())?;
                Some(Unavailable { slot: chain.slot.0, node_id: replica.node.to_string(), why })
            })
            .collect();
        found
    })
}

/// Why a replica cannot take part, if it cannot; `report`: what its node has said of it in the chain's version.
fn why(health: Health, report: Option<&Report>) -> Option<&'static str> {
    match health {
        Health::Healthy => match report {
            Some(report) if report.damaged => Some("damaged"),
            Some(report) if report.fenced => Some("fenced"),
            Some(report) => match report.state {
                ReplicaState::Active | ReplicaState::CaughtUp => None,
                ReplicaState::Restarted | ReplicaState::Astray | ReplicaState::Removed | ReplicaState::Dropped => {
                    Some(words::replica(report.state))
                }
            },
            // On its way to this version, which it takes a moment to adopt.
            None => None,
        },
        Health::Unheard | Health::Suspect | Health::Dead | Health::Stopped => Some(words::health(health)),
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
