//! What a heartbeat costs, where there are many slots and nodes (K6).
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "it measures real time")]

use std::time::{Duration, Instant};

use catena_core::{
    Change, Coordinator, CoordinatorEffect, CoordinatorEvent, Epoch, Heartbeat, Incarnation, Leadership, NodeId, Now, Presence,
    Record, ReplicaState, Report, Revision, RollCall, Slot, Time, Wait, WallTime,
};

use crate::bench::{config, record};

const NODES: u64 = 128;
const SLOTS: u32 = 4096;

/// A coordinator whose store answers at once, and what its nodes have applied.
struct Cluster {
    coordinator: Coordinator,
    now: Duration,
    applied: Vec<Revision>,
    roll_calls: Vec<RollCall>,
    names: Vec<NodeId>,
    /// Who says nothing.
    silent: fn(usize) -> bool,
    chains: usize,
    /// Bytes of everything that came out, roughly: chains, nodes and fences carried.
    carried: usize,
    out: Vec<CoordinatorEffect>,
}

impl Cluster {
    fn with_racks(rack: fn(usize) -> usize) -> Self {
        let mut config = config(SLOTS, 3, u32::try_from(NODES).unwrap());
        config.restraint_percent = 100;
        let names: Vec<NodeId> = (0..NODES).map(|node| crate::bench::id(&format!("n{node:03}"))).collect();
        let mut cluster = Self {
            coordinator: Coordinator::new(config, Now::default()),
            now: Duration::ZERO,
            applied: vec![Revision(0); names.len()],
            roll_calls: vec![RollCall(0); names.len()],
            names,
            silent: |_| false,
            chains: 0,
            carried: 0,
            out: Vec::new(),
        };
        let leadership = Leadership { epoch: Epoch(1), beat: 0 };
        cluster.step(CoordinatorEvent::Elected { leadership, stored: Vec::new() });
        for node in 0..cluster.names.len() {
            let rack = format!("r{}", rack(node));
            let record = record(cluster.names[node].as_str(), node as u128, &[("rack", &rack)]);
            cluster.step(CoordinatorEvent::Register(record));
        }
        cluster
    }

    fn step(&mut self, event: CoordinatorEvent) {
        let now = Now { monotonic: Time(0) + self.now, wall: WallTime(u64::try_from(self.now.as_nanos()).unwrap()) };
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            self.coordinator.step(now, event, &mut self.out);
            for effect in std::mem::take(&mut self.out) {
                match effect {
                    CoordinatorEffect::Store { ticket, changes, .. } => {
                        let chains = |change: &&Change| matches!(change.record, Record::Chain(_));
                        self.chains += changes.iter().filter(chains).count();
                        events.push(CoordinatorEvent::Stored { ticket });
                    }
                    CoordinatorEffect::Answer { to, answer } => {
                        let node = self.names.binary_search(&to).unwrap();
                        self.applied[node] = self.applied[node].max(answer.revision);
                        self.roll_calls[node] = answer.decisions.roll_call;
                        self.carried += answer.decisions.chains.len() + answer.nodes.len() + answer.decisions.fences.len();
                    }
                    _ => {}
                }
            }
        }
    }

    /// Heartbeats of all nodes, evenly over a heartbeat's interval; the time spent in the coordinator.
    fn round(&mut self, reports: impl Fn(usize) -> Vec<Report>) -> Duration {
        let start = Instant::now();
        for node in 0..self.names.len() {
            self.now += Duration::from_millis(100) / u32::try_from(NODES).unwrap();
            if (self.silent)(node) {
                continue;
            }
            let (from, incarnation) = (self.names[node].clone(), Incarnation(node as u128));
            let heartbeat = Heartbeat {
                sequence: 1,
                applied: self.applied[node],
                reports: reports(node),
                presence: Presence::Staying,
                epoch: Epoch(1),
                roll_call: self.roll_calls[node],
            };
            self.step(CoordinatorEvent::Heartbeat { from, incarnation, heartbeat });
        }
        start.elapsed()
    }

    fn rounds(&mut self, rounds: u32) -> Duration {
        (0..rounds).map(|_| self.round(|_| Vec::new())).sum::<Duration>() / (rounds * u32::try_from(NODES).unwrap())
    }
}

/// A twentieth of it without optimisation, so that it is run every time.
const HEARTBEATS: u32 = if cfg!(debug_assertions) { 50_000 } else { 1_000_000 };

#[test]
fn a_heartbeat_costs_the_same_after_a_million_of_them_over_4096_slots_and_128_nodes() {
    let mut cluster = Cluster::with_racks(|node| node % 8);
    let placing = cluster.round(|_| Vec::new());
    assert_eq!(cluster.chains, SLOTS as usize);
    // Every node reports every replica once, as after a restart of the coordinator.
    let chains = cluster.coordinator.route().unwrap().chains;
    let names = cluster.names.clone();
    let reporting = cluster.round(|node| {
        let own = chains.iter().filter(|chain| chain.position(&names[node]).is_some());
        let report = |slot: Slot, version| Report {
            slot,
            version,
            state: ReplicaState::Active,
            fenced: false,
            damaged: false,
            silent: None,
        };
        own.map(|chain| report(chain.slot, chain.version)).collect()
    });
    cluster.rounds(8);
    let (carried, size) = (cluster.carried, format!("{:?}", cluster.coordinator).len());
    let rounds = HEARTBEATS / u32::try_from(NODES).unwrap();
    let first = cluster.rounds(rounds / 10);
    cluster.rounds(rounds - 2 * (rounds / 10));
    let last = cluster.rounds(rounds / 10);
    let grown = format!("{:?}", cluster.coordinator).len().abs_diff(size);
    println!(
        "placing {placing:?}, reporting {reporting:?}; a heartbeat at first {first:?}, at last {last:?}; grown by {grown} B"
    );
    assert_eq!(cluster.chains, SLOTS as usize, "nothing changes");
    assert_eq!(cluster.carried, carried, "nothing is repeated");
    assert!(grown < 4096, "its state, printed, has grown by {grown} bytes: only times and counts may get longer");
    assert!(last < first * 2 && last < Duration::from_micros(100), "first {first:?}, last {last:?}");
}

#[test]
fn a_heartbeat_stays_cheap_while_chains_wait_for_a_node_that_is_not_there() {
    let mut cluster = Cluster::with_racks(|node| node % 3);
    cluster.round(|_| Vec::new());
    cluster.rounds(20);
    let well = cluster.rounds(50);
    // One of three racks is gone: every chain is short, and nobody is there to join.
    cluster.silent = |node| node % 3 == 0;
    cluster.rounds(50);
    let route = cluster.coordinator.route().unwrap();
    assert!(route.chains.iter().all(|chain| chain.members.len() == 2));
    let waits = cluster.coordinator.status().unwrap().waits;
    assert!(waits.len() == SLOTS as usize && waits.values().all(|wait| *wait == Wait::NoCandidate), "{waits:?}");
    let short = cluster.rounds(50);
    println!("a heartbeat {well:?}; with every chain short {short:?}");
    assert!(short < well * 4, "{well:?}, then {short:?}");
}

#[test]
fn a_heartbeat_stays_cheap_where_labels_forbid_balance() {
    // One rack has one node, which holds a replica of every chain.
    let mut cluster = Cluster::with_racks(|node| if node == 0 { 0 } else { 1 + node % 2 });
    cluster.round(|_| Vec::new());
    cluster.rounds(20);
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    for _ in 0..100 {
        slowest = slowest.max(cluster.round(|_| Vec::new()));
    }
    println!("100 rounds of 128 heartbeats {:?}, the slowest round {slowest:?}", start.elapsed());
    assert_eq!(cluster.chains, SLOTS as usize);
    assert!(slowest < Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 100 }), "{slowest:?}");
}
