//! The cluster, as an operator sees it.

use super::leader::Leader;
use super::{NodeStatus, Status};

impl Leader {
    pub(super) fn status(&self) -> Status {
        let node = |node: &super::registry::NodeState| NodeStatus {
            stored: node.stored.clone(),
            health: node.health,
            heads: node.load.heads,
            tails: node.load.tails,
            replicas: node.load.replicas,
            joining: node.load.joining,
        };
        Status {
            epoch: self.leadership.epoch,
            nodes: self.nodes.values().map(node).collect(),
            chains: self.slots.values().filter_map(|state| state.chain.clone()).collect(),
            waits: self.slots.iter().filter_map(|(slot, state)| Some((*slot, state.wait?))).collect(),
        }
    }
}
