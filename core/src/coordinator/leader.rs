//! What a leader knows and has under way; how decisions come into effect (C1, C5).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::plan::SlotState;
use super::registry::NodeState;
use super::{Change, CoordinatorEffect, Leadership, Note, Record, Route, StoredNode, TICK};
use crate::{
    Chain, ChainVersion, CoordinatorConfig, Decisions, NodeId, Now, RequestId, Revision, RollCall, Slot, Succession, Ticket, Time,
};

/// One leadership.
#[derive(Debug)]
pub(super) struct Leader {
    pub(super) leadership: Leadership,
    /// When it began: until a lease's time later, every node may hold one from the leader before (C5).
    pub(super) elected_at: Time,
    /// Until when nobody else can lead, on this clock; `None`: nobody else ever can.
    certain_until: Option<Time>,
    /// When the renewal that is under way was asked for.
    renewing_since: Option<Time>,
    renew_at: Time,
    pub(super) awake: AwakeClock,
    pub(super) nodes: BTreeMap<NodeId, NodeState>,
    pub(super) slots: BTreeMap<Slot, SlotState>,
    pub(super) revision: Revision,
    /// Nodes by the revision they were last changed at, so that an answer costs what changed (K6).
    pub(super) node_news: BTreeMap<Revision, NodeId>,
    /// Slots by the revision their chains were last changed at.
    pub(super) chain_news: BTreeMap<Revision, Slot>,
    /// The newest decision of the leaders before.
    pub(super) inherited: Revision,
    /// Slots to look at in this step.
    pub(super) dirty: BTreeSet<Slot>,
    /// Slots to look at again with every tick: something about them waits for time to pass or for others.
    pub(super) open: BTreeSet<Slot>,
    /// Slots for which no node can be found, until one appears.
    pub(super) stranded: BTreeSet<Slot>,
    /// Until when some node is avoided for some slot.
    pub(super) avoiding_until: Time,
    /// Pairs of nodes between which nothing can be moved, of those that the search for balance begins with.
    pub(super) tried_moves: usize,
    /// Whether replicas may be spread unevenly.
    pub(super) uneven: bool,
    /// Pairs of nodes of which one has said not to hear the other, and when it last did (K2).
    pub(super) parted: BTreeMap<(NodeId, NodeId), Time>,
    /// When the failure detector took nodes out (K4).
    pub(super) taken_out: VecDeque<(Time, NodeId)>,
    /// The latest roll call (C3).
    pub(super) roll_call: RollCall,
    /// Commits that let a node in.
    registrations: BTreeSet<Ticket>,
    /// Joins that are being stored, by node.
    pub(super) claims: BTreeMap<NodeId, u32>,
    storing: VecDeque<(Ticket, Vec<Change>)>,
    orders: BTreeMap<Ticket, Vec<RequestId>>,
    pub(super) last_ticket: Ticket,
    last_revision: Revision,
    next_tick: Time,
    /// How often it has looked at all nodes.
    pub(super) looks: u64,
}

/// A clock that counts only while this process was awake to hear heartbeats: a pause of the coordinator is nobody's
/// silence (C5).
#[derive(Debug)]
pub(super) struct AwakeClock {
    last: Time,
    awake: Duration,
}

impl AwakeClock {
    /// More than this between two steps is sleep: twice what lies between them when nothing is wrong.
    const MOST: Duration = Duration::from_millis(2 * 50);

    /// Whether this process has been asleep.
    fn advance(&mut self, now: Time) -> bool {
        let passed = now.since(std::mem::replace(&mut self.last, now));
        let asleep = passed > Self::MOST && !mutant!(PauseCountsAsSilence);
        if !asleep {
            self.awake += passed;
        }
        asleep
    }

    pub(super) fn now(&self) -> Duration {
        self.awake
    }
}

impl Leader {
    /// Tickets go on after `last_ticket`: what a leadership before has asked of the store may be answered late.
    pub(super) fn new(
        config: &CoordinatorConfig,
        now: Now,
        leadership: Leadership,
        mut stored: Vec<Change>,
        last_ticket: Ticket,
    ) -> Self {
        let certain_until = match config.succession {
            Succession::Exclusive => None,
            Succession::Shared { .. } => Some(now.monotonic), // until the first renewal
        };
        let mut leader = Self {
            leadership,
            elected_at: now.monotonic,
            certain_until,
            renewing_since: None,
            renew_at: now.monotonic,
            awake: AwakeClock { last: now.monotonic, awake: Duration::ZERO },
            nodes: BTreeMap::new(),
            slots: (0..config.cluster.slots).map(|slot| (Slot(slot), SlotState::default())).collect(),
            revision: Revision(0),
            node_news: BTreeMap::new(),
            chain_news: BTreeMap::new(),
            inherited: Revision(0),
            dirty: BTreeSet::new(),
            open: BTreeSet::new(),
            stranded: BTreeSet::new(),
            avoiding_until: now.monotonic,
            tried_moves: 0,
            uneven: true,
            parted: BTreeMap::new(),
            taken_out: VecDeque::new(),
            roll_call: RollCall(0),
            registrations: BTreeSet::new(),
            claims: BTreeMap::new(),
            storing: VecDeque::new(),
            orders: BTreeMap::new(),
            last_ticket,
            last_revision: Revision(0),
            next_tick: now.monotonic,
            looks: 0,
        };
        // Nodes first: a chain is counted at them, and a node's record may be the younger one.
        stored.sort_by_key(|change| (matches!(change.record, Record::Chain(_)), change.revision));
        for change in stored {
            leader.take_effect(change);
        }
        (leader.last_revision, leader.inherited) = (leader.revision, leader.revision);
        leader.dirty.extend((0..config.cluster.slots).map(Slot));
        leader
    }

    pub(super) fn deadline(&self) -> Time {
        let renew_at = self.certain_until.map(|_| self.renew_at);
        renew_at.into_iter().chain([self.next_tick]).min().expect("one of them is there")
    }

    /// Nothing decided, by this leadership.
    pub(super) fn decisions(&self) -> Decisions {
        Decisions { roll_call: self.roll_call, ..Decisions::none(self.leadership.epoch) }
    }

    /// Whether nobody else can have followed it (C5).
    pub(super) fn certain(&self, now: Now) -> bool {
        self.certain_until.is_none_or(|until| now.monotonic < until) || mutant!(UncertainLeaderGrants)
    }

    /// The claim holds from before it was asked for.
    pub(super) fn renewed(&mut self, leadership: Leadership, config: &CoordinatorConfig) {
        let Succession::Shared { claim, .. } = config.succession else { return };
        if leadership.epoch != self.leadership.epoch {
            return; // of a leadership before
        }
        if let Some(since) = self.renewing_since.take() {
            self.leadership = leadership;
            self.certain_until = Some(since + claim);
        }
    }

    fn renew(&mut self, config: &CoordinatorConfig, now: Now, out: &mut Vec<CoordinatorEffect>) {
        let Succession::Shared { renew, .. } = config.succession else { return };
        if now.monotonic >= self.renew_at && self.renewing_since.is_none() {
            self.renewing_since = Some(now.monotonic);
            self.renew_at = now.monotonic + renew;
            out.push(CoordinatorEffect::Renew(self.leadership));
        } else if now.monotonic >= self.renew_at {
            self.renew_at = now.monotonic + TICK;
        }
    }

    /// Before every event. After a sleep nobody is looked at before what has arrived meanwhile is heard.
    pub(super) fn wake(&mut self, now: Now) {
        if self.awake.advance(now.monotonic) {
            reached!(Slept);
            self.next_tick = now.monotonic + TICK;
        }
    }

    /// After every event: what time has brought, and the next change of every slot that something has happened to.
    pub(super) fn advance(&mut self, config: &CoordinatorConfig, now: Now, out: &mut Vec<CoordinatorEffect>) {
        self.renew(config, now, out);
        if now.monotonic >= self.next_tick {
            self.next_tick = now.monotonic + TICK;
            self.looks += 1;
            self.watch(config, now, out);
            self.rebalance(config, now);
            self.dirty.append(&mut self.open);
        }
        if self.certain(now) {
            self.reconcile(config, now, out);
        }
    }

    /// Commits that are being stored, and orders that wait for them.
    pub(super) fn under_way(&self) -> (usize, usize) {
        (self.storing.len(), self.orders.values().map(Vec::len).sum())
    }

    pub(super) fn open_orders(&self) -> Vec<RequestId> {
        self.orders.values().flatten().copied().collect()
    }

    /// Hands records to the store, all or none.
    pub(super) fn store(&mut self, records: Vec<Record>, order: Option<RequestId>, out: &mut Vec<CoordinatorEffect>) {
        self.last_ticket = self.last_ticket.next();
        let mut changes = Vec::with_capacity(records.len());
        for record in records {
            self.last_revision = self.last_revision.next();
            changes.push(Change { revision: self.last_revision, record });
        }
        self.orders.entry(self.last_ticket).or_default().extend(order);
        self.storing.push_back((self.last_ticket, changes.clone()));
        out.push(CoordinatorEffect::Store { ticket: self.last_ticket, epoch: self.leadership.epoch, changes });
    }

    /// Stores the record of a node that is to be let in.
    pub(super) fn store_registration(&mut self, stored: StoredNode, out: &mut Vec<CoordinatorEffect>) {
        self.store(vec![Record::Node(stored)], None, out);
        self.registrations.insert(self.last_ticket);
    }

    /// A node's record that is being stored, the latest.
    pub(super) fn storing_node(&self, node: &NodeId) -> Option<&StoredNode> {
        self.storing_nodes().rfind(|stored| stored.record.node == *node)
    }

    /// Nodes that are being stored.
    pub(super) fn storing_nodes(&self) -> impl DoubleEndedIterator<Item = &StoredNode> {
        self.storing.iter().flat_map(|(_, changes)| changes).filter_map(|change| match &change.record {
            Record::Node(stored) => Some(stored),
            Record::Chain(_) => None,
        })
    }

    /// Chains that are being stored.
    pub(super) fn storing_chains(&self) -> impl Iterator<Item = &Chain> {
        self.storing.iter().flat_map(|(_, changes)| changes).filter_map(|change| match &change.record {
            Record::Chain(chain) => Some(chain),
            Record::Node(_) => None,
        })
    }

    /// The store has everything up to `ticket`: it is in effect, and everybody concerned hears of it at once.
    pub(super) fn on_stored(&mut self, ticket: Ticket, out: &mut Vec<CoordinatorEffect>) {
        let mut changed = Vec::new();
        let mut concerned: BTreeMap<NodeId, Vec<Slot>> = BTreeMap::new();
        let mut any = false;
        while let Some((stored, changes)) = self.storing.pop_front_if(|(stored, _)| *stored <= ticket) {
            any = true;
            for change in changes {
                match &change.record {
                    Record::Node(node) => {
                        if self.registrations.remove(&stored) {
                            out.push(CoordinatorEffect::Registered { node: node.record.node.clone() });
                        }
                    }
                    Record::Chain(chain) => {
                        changed.push(chain.slot);
                        let before = self.slots[&chain.slot].chain.as_ref();
                        let replicas = before.into_iter().flat_map(Chain::replicas).chain(chain.replicas());
                        for replica in replicas {
                            let slots = concerned.entry(replica.node.clone()).or_default();
                            if slots.last() != Some(&chain.slot) {
                                slots.push(chain.slot);
                            }
                        }
                        out.push(CoordinatorEffect::Note(Note::Chain(chain.clone())));
                    }
                }
                self.take_effect(change);
            }
            for request in self.orders.remove(&stored).into_iter().flatten() {
                out.push(CoordinatorEffect::Done { request, result: Ok(()) });
            }
        }
        for (to, slots) in concerned {
            let chains = slots.iter().filter_map(|slot| self.slots[slot].chain.clone()).collect();
            out.push(CoordinatorEffect::Decide { to, decisions: Decisions { chains, ..self.decisions() } });
        }
        if any {
            out.push(CoordinatorEffect::RouteChanged { slots: changed });
        }
    }

    fn take_effect(&mut self, change: Change) {
        let Change { revision, record } = change;
        self.revision = self.revision.max(revision);
        match record {
            Record::Node(stored) => self.node_takes_effect(stored, revision),
            Record::Chain(chain) => self.chain_takes_effect(chain, revision),
        }
    }

    fn chain_takes_effect(&mut self, chain: Chain, revision: Revision) {
        let slot = chain.slot;
        let state = self.slots.get_mut(&slot).expect("the store checks slots");
        let before = state.chain.take();
        let expected = before.as_ref().map_or(ChainVersion(0), |chain| chain.version).next();
        assert!(before.is_none() || chain.version == expected, "slot {slot}: version {} after {expected}", chain.version);
        state.deciding = false;
        self.chain_news.remove(&std::mem::replace(&mut state.revision, revision));
        self.chain_news.insert(revision, slot);
        for node in state.removal.take().unwrap_or_default().into_keys() {
            if let Some(node) = self.nodes.get_mut(&node) {
                node.fences.remove(&slot);
            }
        }
        for node in state.claim.take().into_iter().flatten() {
            let claims = self.claims.get_mut(&node).expect("it was counted");
            *claims -= 1;
        }
        for node in std::mem::take(&mut state.dropping) {
            self.nodes.get_mut(&node).expect("nodes stay").drops.remove(&slot);
        }
        if let Some(before) = &before {
            self.count(before, |count| *count -= 1);
        }
        self.count(&chain, |count| *count += 1);
        let old = before.iter().flat_map(Chain::replicas);
        for replica in old.chain(chain.replicas()) {
            let Some(node) = self.nodes.get_mut(&replica.node) else { continue };
            if let Some(before) = node.newest.insert(slot, revision) {
                node.news.remove(&before);
            }
            node.news.insert(revision, slot);
            node.slots.remove(&slot);
        }
        for replica in chain.replicas() {
            if let Some(node) = self.nodes.get_mut(&replica.node) {
                node.slots.insert(slot);
            }
        }
        self.slots.get_mut(&slot).expect("it was there").chain = Some(chain);
        self.dirty.insert(slot);
        self.uneven = true;
        self.tried_moves = 0;
    }

    /// Counts a chain's replicas at their nodes.
    fn count(&mut self, chain: &Chain, change: fn(&mut u32)) {
        let mut at = |node: &NodeId, which: fn(&mut NodeState) -> &mut u32| {
            if let Some(node) = self.nodes.get_mut(node) {
                change(which(node));
            }
        };
        at(&chain.head().node, |node| &mut node.load.heads);
        at(&chain.tail().node, |node| &mut node.load.tails);
        chain.members.iter().for_each(|member| at(&member.node, |node| &mut node.load.replicas));
        if let Some(joining) = &chain.joining {
            at(&joining.node, |node| &mut node.load.joining);
            at(&chain.tail().node, |node| &mut node.load.sourcing);
        }
    }

    pub(super) fn route(&self, config: &CoordinatorConfig) -> Route {
        let mut chains: BTreeMap<Slot, Chain> =
            self.slots.iter().filter_map(|(slot, state)| Some((*slot, state.chain.clone()?))).collect();
        if mutant!(RouteBeforeChain) {
            chains.extend(self.storing_chains().map(|chain| (chain.slot, chain.clone())));
        }
        Route {
            cluster: config.cluster.cluster,
            revision: self.revision,
            slots: config.cluster.slots,
            chains: chains.into_values().collect(),
            nodes: self.nodes.values().map(|node| node.stored.record.clone()).collect(),
        }
    }
}
