//! The chain: nodes that die and come back, disks that hold back, links that lose, and a coordinator that does what is legal.

use std::cell::Cell;
use std::collections::BTreeMap;

use catena_core::{Envelope, Event, NodeId, ReplicaState};

use crate::bench::{Bench, Disk, Sync, id};

pub(super) const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];

thread_local! {
    /// Links that lose everything: a bit for each.
    static LOST: Cell<u16> = const { Cell::new(0) };
}

fn bit(from: &NodeId, to: &NodeId) -> u16 {
    let place = |node: &NodeId| NODES.iter().position(|name| *node == id(name)).expect("there are no others");
    1 << (place(from) * NODES.len() + place(to))
}

fn lost(from: &NodeId, to: &NodeId, _: &Envelope) -> bool {
    LOST.get() & bit(from, to) != 0
}

pub(super) struct Cluster {
    pub(super) bench: Bench,
    /// Disks of those that are down.
    down: BTreeMap<&'static str, Disk>,
}

impl Cluster {
    pub(super) fn new() -> Self {
        LOST.set(0);
        let mut bench = Bench::new();
        bench.lose = lost;
        Self { bench, down: BTreeMap::new() }
    }

    pub(super) fn is_up(&self, name: &str) -> bool {
        !self.down.contains_key(name)
    }

    pub(super) fn head_is_up(&self) -> bool {
        self.is_up(self.bench.chain.head().node.as_str())
    }

    /// It dies; what was not synced is lost.
    pub(super) fn kill(&mut self, name: &'static str) {
        if self.is_up(name) {
            let disk = self.bench.kill(name);
            self.down.insert(name, Disk { held: Vec::new(), sync: Sync::AtOnce, ..disk });
        }
    }

    pub(super) fn start(&mut self, name: &str) {
        if let Some(disk) = self.down.remove(name) {
            self.bench.start(name, disk);
        }
    }

    /// Its disk syncs nothing until it is released.
    pub(super) fn hold(&mut self, name: &str) {
        if self.is_up(name) {
            self.bench.disk(name).sync = Sync::Later;
        }
    }

    pub(super) fn release(&mut self, name: &str) {
        if self.is_up(name) {
            self.bench.release(name);
        }
    }

    /// Everything from one to the other is lost, or nothing any more.
    pub(super) fn switch_link(from: &str, to: &str) {
        LOST.set(LOST.get() ^ bit(&id(from), &id(to)));
    }

    /// The link between two is new, and both hear of it.
    pub(super) fn link_up(&mut self, one: &str, other: &str) {
        for (node, peer) in [(one, other), (other, one)] {
            self.bench.queue.push_back((id(node), Event::LinkUp { peer: id(peer) }));
        }
    }

    /// The same members in a new version: for those that have restarted (C10).
    pub(super) fn renew(&mut self) {
        let (members, joining) = self.names();
        self.bench.decide(&refs(&members), joining.as_deref());
    }

    /// Takes a member out, as far as that is legal: fenced, or down (C4); and with a copy left that has answered (C3).
    pub(super) fn remove(&mut self, name: &str) {
        let chain = &self.bench.chain;
        let Some(place) = chain.position(&id(name)) else { return };
        let unready = (!chain.tail_ready).then(|| chain.members.len() - 1);
        let counts = |other: usize, node: &str| {
            let state = self.bench.state(node);
            other != place && Some(other) != unready && matches!(state, Some(ReplicaState::Active | ReplicaState::CaughtUp))
        };
        if !chain.members.iter().enumerate().any(|(other, member)| counts(other, member.node.as_str())) {
            return;
        }
        if self.is_up(name) {
            self.bench.fences.push(id(name));
            self.bench.tell();
            self.bench.wait(5);
            let fenced = self
                .bench
                .reports
                .get(&id(name))
                .is_some_and(|report| report.fenced && report.version == self.bench.chain.version);
            if !fenced {
                return; // the fence stays where it is
            }
        }
        let (mut members, joining) = self.names();
        members.remove(place);
        self.bench.decide(&refs(&members), joining.as_deref());
        if unready == Some(place) {
            self.bench.chain.tail_ready = true;
        }
    }

    /// A node begins to join behind a tail that is ready (C9).
    pub(super) fn join(&mut self, name: &str) {
        let chain = &self.bench.chain;
        if chain.tail_ready && chain.joining.is_none() && chain.position(&id(name)).is_none() {
            let (members, _) = self.names();
            self.bench.decide(&refs(&members), Some(name));
        }
    }

    /// What joins and has caught up becomes the tail; a new tail that has caught up counts as a copy (C9).
    pub(super) fn advance(&mut self) {
        let (mut members, joining) = self.names();
        let caught_up = |name: &str| self.bench.state(name) == Some(ReplicaState::CaughtUp);
        match joining {
            Some(joining) if caught_up(&joining) => {
                members.push(joining);
                self.bench.decide(&refs(&members), None);
                self.bench.chain.tail_ready = false;
            }
            None if !self.bench.chain.tail_ready && caught_up(members.last().expect("a chain has members")) => {
                self.bench.decide(&refs(&members), None);
                self.bench.chain.tail_ready = true;
            }
            Some(_) | None => {}
        }
    }

    /// Nothing goes wrong any more: all are up, all is delivered and synced, and what needs a new version has it.
    pub(super) fn heal(&mut self) {
        LOST.set(0);
        (self.bench.lost_watermarks, self.bench.granting) = (0, true);
        for name in NODES {
            self.release(name);
            self.start(name);
        }
        let (members, _) = self.names();
        self.bench.decide(&refs(&members), None);
        self.bench.wait(400);
        if !self.bench.chain.tail_ready {
            let tail = members.last().expect("a chain has members").clone();
            self.advance();
            if !self.bench.chain.tail_ready {
                self.remove(&tail);
            }
            self.bench.wait(300);
        }
    }

    /// What each member's disk has come to is the same.
    pub(super) fn check_equal(&mut self) {
        let (members, _) = self.names();
        let states: Vec<_> = members.iter().map(|name| self.bench.disk(name).state.clone()).collect();
        assert!(states.windows(2).all(|pair| pair[0] == pair[1]), "{members:?} differ: {states:#?}");
    }

    fn names(&self) -> (Vec<String>, Option<String>) {
        let chain = &self.bench.chain;
        let name = |node: &NodeId| node.as_str().to_owned();
        let members = chain.members.iter().map(|member| name(&member.node)).collect();
        (members, chain.joining.as_ref().map(|joining| name(&joining.node)))
    }
}

fn refs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
