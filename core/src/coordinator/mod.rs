//! The coordinator: places chains once, grants leases by heartbeat, makes a new version for a member that restarted.
//!
//! It decides nothing else: membership is fixed. Everything that it has decided is in its store before anybody
//! hears of it (C1), and it is rebuilt from there.

mod event;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    Chain, ChainVersion, ClusterConfig, Heartbeat, HeartbeatAnswer, Member, NodeId, NodeRecord, Now, ReplicaState, Report,
    Revision, Slot, Ticket,
};

pub use event::{Change, CoordinatorEffect, CoordinatorEvent, Record, RegisterError, Route};

/// Chains that one answer carries at most; an answer that leaves some out grants no lease (R1). Chosen here: about
/// 100 KiB on the wire.
const CHAINS_PER_ANSWER: usize = 512;

/// The coordinator of one cluster.
#[derive(Debug)]
pub struct Coordinator {
    config: ClusterConfig,
    now: Now,
    /// What is stored, hence in effect.
    nodes: BTreeMap<NodeId, NodeRecord>,
    chains: BTreeMap<Slot, Chain>,
    revision: Revision,
    /// By node, the decisions it must hear of: so that an answer costs what changed, not what there is (K6).
    chain_news: BTreeMap<NodeId, BTreeMap<Revision, Slot>>,
    chain_revisions: BTreeMap<Slot, Revision>,
    node_news: BTreeMap<Revision, NodeId>,
    node_revisions: BTreeMap<NodeId, Revision>,
    /// Handed to the store, in effect once it says so.
    storing: VecDeque<(Ticket, Vec<Change>)>,
    last_ticket: Ticket,
    last_revision: Revision,
    /// Slots whose next version is being stored.
    deciding: BTreeSet<Slot>,
    /// Heartbeats that wait for a decision about one of their node's chains, so that the answer carries it.
    owed: BTreeMap<NodeId, Heartbeat>,
}

impl Coordinator {
    /// A coordinator with what its store holds, in the order of revisions or in any other.
    pub fn new(config: ClusterConfig, mut stored: Vec<Change>) -> Self {
        assert!(config.slots > 0, "a cluster has at least one slot");
        assert!(config.replicas > 0, "a chain has at least one member");
        assert!(config.nodes.len() >= config.replicas as usize, "a chain's members are on different nodes");
        let mut coordinator = Self {
            config,
            now: Now::default(),
            nodes: BTreeMap::new(),
            chains: BTreeMap::new(),
            revision: Revision(0),
            chain_news: BTreeMap::new(),
            chain_revisions: BTreeMap::new(),
            node_news: BTreeMap::new(),
            node_revisions: BTreeMap::new(),
            storing: VecDeque::new(),
            last_ticket: Ticket(0),
            last_revision: Revision(0),
            deciding: BTreeSet::new(),
            owed: BTreeMap::new(),
        };
        stored.sort_by_key(|change| change.revision);
        for change in stored {
            coordinator.take_effect(change);
        }
        coordinator.last_revision = coordinator.revision;
        coordinator
    }

    /// Feeds one event. `out` must be empty: the effects of the step before have been run.
    pub fn step(&mut self, now: Now, event: CoordinatorEvent, out: &mut Vec<CoordinatorEffect>) {
        assert!(out.is_empty(), "effects of the previous step were not run");
        assert!(now.monotonic >= self.now.monotonic, "time ran backwards");
        self.now = now;
        match event {
            CoordinatorEvent::Register(record) => self.on_register(record, out),
            CoordinatorEvent::Heartbeat { from, heartbeat } => self.on_heartbeat(from, heartbeat, out),
            CoordinatorEvent::Stored { ticket } => self.on_stored(ticket, out),
        }
    }

    /// Where everything is.
    pub fn route(&self) -> Route {
        Route {
            cluster: self.config.cluster,
            revision: self.revision,
            slots: self.config.slots,
            chains: self.chains.values().cloned().collect(),
            nodes: self.nodes.values().cloned().collect(),
        }
    }

    fn on_register(&mut self, record: NodeRecord, out: &mut Vec<CoordinatorEffect>) {
        if let Err(reason) = self.admit(&record) {
            out.push(CoordinatorEffect::Refused { node: record.node, reason });
            return;
        }
        // A heartbeat of the process before is not answered to this one: it has applied nothing yet.
        self.owed.remove(&record.node);
        if self.nodes.get(&record.node) == Some(&record) {
            out.push(CoordinatorEffect::Registered { node: record.node });
            if !mutant!(NeverPlaceAgain) {
                self.place(out); // the process before may have stored the last node, and not the chains
            }
            return;
        }
        self.store(vec![Record::Node(record)], out);
    }

    fn admit(&self, record: &NodeRecord) -> Result<(), RegisterError> {
        let node = record.node.clone();
        if !self.config.nodes.contains(&node) {
            let known = self.config.nodes.iter().map(NodeId::as_str).collect::<Vec<_>>().join(", ");
            return Err(RegisterError::UnknownNode { node, known });
        }
        // A registration that is still being stored holds its id too.
        let storing = self.storing.iter().flat_map(|(_, changes)| changes).find_map(|change| match &change.record {
            Record::Node(storing) if storing.node == node => Some(storing.incarnation),
            Record::Node(_) | Record::Chain(_) => None,
        });
        match storing.or(self.nodes.get(&node).map(|known| known.incarnation)) {
            Some(known) if known != record.incarnation => {
                Err(RegisterError::OtherDirectory { node, known, given: record.incarnation })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn on_heartbeat(&mut self, from: NodeId, heartbeat: Heartbeat, out: &mut Vec<CoordinatorEffect>) {
        if !self.nodes.contains_key(&from) {
            return; // its registration is still being stored, or belongs to a stream of the past
        }
        let next: Vec<Record> = heartbeat.reports.iter().filter_map(|report| self.next_version(&from, *report)).collect();
        if !next.is_empty() {
            self.store(next, out);
        }
        self.answer(from, heartbeat, out);
    }

    /// C10: a member that restarted in the current version needs a newer one; the members stay.
    fn next_version(&mut self, from: &NodeId, report: Report) -> Option<Record> {
        let chain = self.chains.get(&report.slot)?;
        let wanted = match report.state {
            ReplicaState::Restarted => report.version == chain.version && chain.position(from).is_some(),
            ReplicaState::Active | ReplicaState::Removed => false,
        };
        if !wanted || !self.deciding.insert(report.slot) {
            return None;
        }
        Some(Record::Chain(Chain { version: chain.version.next(), ..chain.clone() }))
    }

    /// Answers, or owes the answer until what is being decided about the node's chains is in effect.
    fn answer(&mut self, to: NodeId, heartbeat: Heartbeat, out: &mut Vec<CoordinatorEffect>) {
        if self.deciding.iter().any(|slot| self.chains.get(slot).is_none_or(|chain| chain.position(&to).is_some())) {
            self.owed.insert(to, heartbeat);
            return;
        }
        let after = heartbeat.applied.next()..;
        let news = self.chain_news.get(&to);
        let mut chains = news.into_iter().flat_map(|news| news.range(after.clone()));
        let carried: Vec<(Revision, Slot)> = chains.by_ref().take(CHAINS_PER_ANSWER).map(|(r, s)| (*r, *s)).collect();
        let complete = chains.next().is_none();
        let revision = match carried.last() {
            Some((revision, _)) if !complete => *revision,
            Some(_) | None => self.revision,
        };
        let answer = HeartbeatAnswer {
            sequence: heartbeat.sequence,
            lease: complete.then_some(self.config.lease),
            revision,
            chains: carried.iter().map(|(_, slot)| self.chains[slot].clone()).collect(),
            nodes: self.node_news.range(after).map(|(_, node)| self.nodes[node].clone()).collect(),
        };
        out.push(CoordinatorEffect::Answer { to, answer });
    }

    fn store(&mut self, records: Vec<Record>, out: &mut Vec<CoordinatorEffect>) {
        self.last_ticket = self.last_ticket.next();
        let mut changes = Vec::with_capacity(records.len());
        for record in records {
            self.last_revision = self.last_revision.next();
            changes.push(Change { revision: self.last_revision, record });
        }
        self.storing.push_back((self.last_ticket, changes.clone()));
        out.push(CoordinatorEffect::Store { ticket: self.last_ticket, changes });
    }

    fn on_stored(&mut self, ticket: Ticket, out: &mut Vec<CoordinatorEffect>) {
        while let Some((_, changes)) = self.storing.pop_front_if(|(stored, _)| *stored <= ticket) {
            for change in changes {
                if let Record::Node(record) = &change.record {
                    self.owed.remove(&record.node); // as for one that was known
                    out.push(CoordinatorEffect::Registered { node: record.node.clone() });
                }
                self.take_effect(change);
            }
            out.push(CoordinatorEffect::RouteChanged);
        }
        self.place(out);
        for (node, heartbeat) in std::mem::take(&mut self.owed) {
            self.answer(node, heartbeat, out);
        }
    }

    fn take_effect(&mut self, change: Change) {
        let Change { revision, record } = change;
        self.revision = self.revision.max(revision);
        match record {
            Record::Node(record) => {
                if let Some(before) = self.node_revisions.insert(record.node.clone(), revision) {
                    self.node_news.remove(&before);
                }
                self.node_news.insert(revision, record.node.clone());
                self.nodes.insert(record.node.clone(), record);
            }
            Record::Chain(chain) => {
                let slot = chain.slot;
                let before = self.chains.get(&slot);
                let expected = before.map_or(ChainVersion(0), |chain| chain.version).next();
                assert!(before.is_none() || chain.version >= expected, "slot {slot}: version {} after {expected}", chain.version);
                let old = before.into_iter().flat_map(|chain| &chain.members);
                let affected: BTreeSet<NodeId> = old.chain(&chain.members).map(|member| member.node.clone()).collect();
                let revised = self.chain_revisions.insert(slot, revision);
                for node in affected {
                    let news = self.chain_news.entry(node).or_default();
                    if let Some(revised) = revised {
                        news.remove(&revised);
                    }
                    news.insert(revision, slot);
                }
                self.deciding.remove(&slot);
                self.chains.insert(slot, chain);
            }
        }
    }

    /// Once every node is there, gives every slot its chain: the nodes in turn, each slot beginning one further, so
    /// that heads and tails are spread evenly.
    fn place(&mut self, out: &mut Vec<CoordinatorEffect>) {
        if self.nodes.len() < self.config.nodes.len() || !self.chains.is_empty() || !self.deciding.is_empty() {
            return;
        }
        let first = ChainVersion(1);
        let nodes: Vec<&NodeRecord> = self.nodes.values().collect();
        let chains: Vec<Chain> = (0..self.config.slots)
            .map(|slot| {
                let turn = nodes.iter().cycle().skip(slot as usize % nodes.len()).take(self.config.replicas as usize);
                let members = turn
                    .map(|record| Member { node: record.node.clone(), incarnation: record.incarnation, activated: first })
                    .collect();
                Chain { slot: Slot(slot), version: first, members }
            })
            .collect();
        self.deciding.extend(chains.iter().map(|chain| chain.slot));
        self.store(chains.into_iter().map(Record::Chain).collect(), out);
    }
}
