//! Who the nodes are: registration, and the refusal of impostors.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::leader::Leader;
use super::{CoordinatorEffect, Health, RegisterError, Standing, StoredNode};
use crate::{ChainVersion, CoordinatorConfig, NodeId, NodeRecord, Now, Report, Revision, RollCall, Slot, Time};

/// A node, as this leader knows it.
#[derive(Debug)]
pub(super) struct NodeState {
    pub(super) stored: StoredNode,
    revision: Revision,
    pub(super) health: Health,
    /// The last heartbeat, on the clock that counts only when this process is awake; or the election.
    pub(super) heard_awake: Duration,
    /// Whether its present directory has been heard by this leader.
    pub(super) heard: bool,
    /// The latest roll call of this leadership that it has said back (C3).
    pub(super) roll_call: RollCall,
    /// When it was last granted a lease, by whichever leader (C4, C5).
    pub(super) granted_at: Time,
    /// It has said that it stops, and serves nobody.
    pub(super) leaving: bool,
    /// What the failure detector has decided (K4), until it is healthy again.
    pub(super) verdict: Verdict,
    /// By slot, what it said last since it registered.
    pub(super) reports: BTreeMap<Slot, Report>,
    /// Slots that it is a replica of.
    pub(super) slots: BTreeSet<Slot>,
    /// Chains that concern it, by the revision they were last changed at: so that an answer costs what changed (K6).
    pub(super) news: BTreeMap<Revision, Slot>,
    /// The same by slot.
    pub(super) newest: BTreeMap<Slot, Revision>,
    /// Slots that it has to stop serving, in the version that is in effect (C4).
    pub(super) fences: BTreeSet<Slot>,
    /// Slots whose data it may forget.
    pub(super) drops: BTreeMap<Slot, ChainVersion>,
    pub(super) load: Load,
}

/// What the failure detector has decided about a node (K4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    None,
    /// It is dead, and leaves its chains.
    Out,
    /// It would be out, had not too many others been taken out lately.
    Spared,
}

/// How many chains a node plays which part in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) heads: u32,
    pub(super) tails: u32,
    pub(super) replicas: u32,
    pub(super) joining: u32,
    /// Chains that somebody joins behind it.
    pub(super) sourcing: u32,
}

impl NodeState {
    /// Whether it can be given replicas.
    pub(super) fn placeable(&self) -> bool {
        self.health == Health::Healthy && self.stored.standing == Standing::Member
    }

    /// Whether it can hold a lease still (C4).
    pub(super) fn may_hold_lease(&self, config: &CoordinatorConfig, now: Now) -> bool {
        let mut bound = config.lease_bound();
        if mutant!(NoDriftMargin) {
            bound = config.cluster.lease;
        }
        now.monotonic < self.granted_at + bound
    }

    /// Whether some process of it is there.
    fn alive(&self, config: &CoordinatorConfig, now: Now, awake: Duration) -> bool {
        let heard = self.heard && awake.saturating_sub(self.heard_awake) < config.suspect_after;
        !self.leaving && (heard || self.may_hold_lease(config, now))
    }
}

impl Leader {
    pub(super) fn on_register(
        &mut self,
        record: NodeRecord,
        config: &CoordinatorConfig,
        now: Now,
        out: &mut Vec<CoordinatorEffect>,
    ) {
        if let Some(taken_by) = self.answers_at(&record, config, now) {
            let reason = RegisterError::AddressTaken { node: record.node.clone(), address: record.address, taken_by };
            return out.push(CoordinatorEffect::Refused { node: record.node, reason });
        }
        let known = self.storing_node(&record.node).cloned().or_else(|| Some(self.nodes.get(&record.node)?.stored.clone()));
        let Some(known) = known else {
            let stored = StoredNode { record, standing: Standing::Member, flaps: Vec::new(), evictions: 0 };
            return self.store_registration(stored, out);
        };
        if let Err(reason) = self.recognise(&record, &known, config, now) {
            // It is there, and has to wait until nobody can be at its old place any more: that is no silence.
            let awake = self.awake.now();
            let same_disk = record.incarnation == known.record.incarnation;
            let waits = same_disk && matches!(reason, RegisterError::Elsewhere { .. });
            if let Some(node) = self.nodes.get_mut(&record.node).filter(|node| waits && node.health == Health::Unheard) {
                node.heard_awake = awake;
            }
            return out.push(CoordinatorEffect::Refused { node: record.node, reason });
        }
        self.arrives(&record.node);
        if known.record != record || self.storing_node(&record.node).is_some() {
            self.store_registration(StoredNode { record, ..known }, out);
        } else {
            out.push(CoordinatorEffect::Registered { node: record.node });
        }
    }

    /// Which other node is alive at the address that this one gives.
    fn answers_at(&self, given: &NodeRecord, config: &CoordinatorConfig, now: Now) -> Option<NodeId> {
        let awake = self.awake.now();
        let alive = self.nodes.values().filter(|other| other.alive(config, now, awake)).map(|other| &other.stored);
        let mut others = alive.chain(self.storing_nodes()).map(|other| &other.record);
        others.find(|other| other.address == given.address && other.node != given.node).map(|other| other.node.clone())
    }

    /// Whether a node of a known id is that node, or may take its place.
    fn recognise(
        &self,
        given: &NodeRecord,
        known: &StoredNode,
        config: &CoordinatorConfig,
        now: Now,
    ) -> Result<(), RegisterError> {
        let (node, recorded) = (given.node.clone(), &known.record);
        let elsewhere = given.incarnation != recorded.incarnation || given.address != recorded.address;
        let alive = match self.nodes.get(&given.node) {
            // Another registration of it is being stored.
            None => true,
            Some(state) => state.alive(config, now, self.awake.now()),
        };
        if elsewhere && alive {
            let (address, incarnation) = (recorded.address.clone(), recorded.incarnation);
            return Err(RegisterError::Elsewhere { node, address, incarnation });
        }
        if given.incarnation == recorded.incarnation && given.labels != recorded.labels {
            let text = |record: &NodeRecord| match record.labels.len() {
                0 => "none".to_owned(),
                _ => record.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","),
            };
            return Err(RegisterError::OtherLabels { node, recorded: text(recorded), given: text(given) });
        }
        Ok(())
    }

    /// A process of the node dials in: what the one before it said counts no more. From here on nothing of that comes any
    /// more, and nothing of this one before it has been let in.
    fn arrives(&mut self, id: &NodeId) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        let slots: Vec<Slot> = std::mem::take(&mut node.reports).into_keys().collect();
        node.leaving = false;
        node.roll_call = RollCall(0);
        if node.health == Health::Stopped {
            node.health = Health::Unheard;
            node.heard_awake = self.awake.now();
        }
        for slot in &slots {
            self.slots.get_mut(slot).expect("reports are of slots").leftovers.remove(id);
        }
        self.dirty.extend(slots);
    }

    pub(super) fn node_takes_effect(&mut self, stored: StoredNode, revision: Revision) {
        let id = stored.record.node.clone();
        self.node_news.insert(revision, id.clone());
        if let Some(node) = self.nodes.get_mut(&id) {
            self.node_news.remove(&node.revision);
            node.revision = revision;
            let other_directory = node.stored.record.incarnation != stored.record.incarnation;
            node.stored = stored;
            if other_directory {
                (node.heard, node.roll_call) = (false, RollCall(0));
                node.drops.clear();
            }
            self.dirty.extend(node.slots.iter().copied());
        } else {
            let granted_at = if mutant!(NewLeaderForgetsLeases) { Time(0) } else { self.elected_at };
            let node = NodeState {
                stored,
                revision,
                health: Health::Unheard,
                heard_awake: self.awake.now(),
                heard: false,
                roll_call: RollCall(0),
                granted_at,
                leaving: false,
                verdict: Verdict::None,
                reports: BTreeMap::new(),
                slots: BTreeSet::new(),
                news: BTreeMap::new(),
                newest: BTreeMap::new(),
                fences: BTreeSet::new(),
                drops: BTreeMap::new(),
                load: Load::default(),
            };
            self.nodes.insert(id, node);
        }
        self.may_place_elsewhere();
    }

    /// The ids there are, for people.
    pub(super) fn known_nodes(&self) -> String {
        let known: Vec<&str> = self.nodes.keys().map(NodeId::as_str).collect();
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    }
}
