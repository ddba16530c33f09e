//! What a leader has under way and has been told, for its operator; the rest is in [`Status`](super::Status).

use std::time::Duration;

use super::Coordinator;
use super::leader::Leader;
use super::registry::Verdict;
use crate::{NodeId, Report, Revision};

/// A leader apart from its status.
#[derive(Clone, Debug)]
pub struct CoordinatorOverview<'a> {
    /// The newest decision that is in effect.
    pub revision: Revision,
    /// Commits that the store has not confirmed.
    pub commits: usize,
    /// Orders that wait for one of them.
    pub orders: usize,
    /// How often it has looked whether every node is still there.
    pub looks: u64,
    /// How many nodes the failure detector has taken out within its window (K4).
    pub taken_out: usize,
    /// Every node, by name.
    pub nodes: Vec<NodeAccount<'a>>,
}

/// What a leader knows of a node besides its status.
#[derive(Clone, Debug)]
pub struct NodeAccount<'a> {
    /// Which.
    pub node: &'a NodeId,
    /// For how long nothing was heard of it, as far as this process was awake; since the election, if nothing ever was.
    pub silence: Duration,
    /// Whether this leader has heard it.
    pub heard: bool,
    /// Whether it is dead, and the failure detector holds back (K4).
    pub spared: bool,
    /// Slots that it has to stop serving (C4).
    pub fences: usize,
    /// Slots whose data it may forget.
    pub drops: usize,
    /// What it said last of each replica that it has, since it registered.
    pub reports: Vec<&'a Report>,
}

impl Coordinator {
    /// What is under way; `None`: this coordinator does not lead.
    pub fn overview(&self) -> Option<CoordinatorOverview<'_>> {
        self.leader().map(Leader::overview)
    }

    /// Of how many chains a node is a replica; 0 if this coordinator does not lead.
    pub fn replicas_at(&self, node: &NodeId) -> usize {
        self.leader().and_then(|leader| leader.nodes.get(node)).map_or(0, |node| node.slots.len())
    }

    /// The newest decision that is in effect; `None`: this coordinator does not lead.
    pub fn revision(&self) -> Option<Revision> {
        self.leader().map(|leader| leader.revision)
    }
}

impl Leader {
    fn overview(&self) -> CoordinatorOverview<'_> {
        let awake = self.awake.now();
        let nodes = self.nodes.iter().map(|(node, state)| NodeAccount {
            node,
            silence: awake.saturating_sub(state.heard_awake),
            heard: state.heard,
            spared: state.verdict == Verdict::Spared,
            fences: state.fences.len(),
            drops: state.drops.len(),
            reports: state.reports.values().collect(),
        });
        let (commits, orders) = self.under_way();
        CoordinatorOverview {
            revision: self.revision,
            commits,
            orders,
            looks: self.looks,
            taken_out: self.taken_out.len(),
            nodes: nodes.collect(),
        }
    }
}
