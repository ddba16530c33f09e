//! What an operator would want to know of, as events of the log with stable fields, and kept for `/admin/v1/state`.

use catena_core::{Chain, ChainVersion, NodeId, Role, Slot};
use tracing::{debug, error, info, warn};

use crate::monitor::{Events, Happened, Happening};
use crate::words;

/// What happens to one node.
pub(super) struct Notes {
    name: NodeId,
    events: Events,
}

impl Notes {
    pub(super) fn new(name: NodeId) -> Self {
        Self { name, events: Events::default() }
    }

    /// What is kept.
    pub(super) fn all(&self) -> Vec<Happened> {
        self.events.all()
    }

    pub(super) fn joined(&mut self) {
        info!(component = "node", node_id = %self.name, "joined the coordinator");
        self.events.add(Happening::new("coordinator-joined"));
    }

    /// The log has it from who has lost it, with the reason.
    pub(super) fn lost_the_coordinator(&mut self) {
        self.events.add(Happening::new("coordinator-lost"));
    }

    pub(super) fn lease_held(&mut self) {
        info!(component = "node", node_id = %self.name, "holds its lease");
        self.events.add(Happening::new("lease-held"));
    }

    pub(super) fn lease_lost(&mut self) {
        warn!(component = "node", node_id = %self.name, "holds no lease any more, and answers no reads");
        self.events.add(Happening::new("lease-lost"));
    }

    pub(super) fn link_up(&mut self, peer: &NodeId) {
        info!(component = "node", node_id = %self.name, peer_node_id = %peer, "link up");
        self.events.add(Happening::new("link-up").node(peer));
    }

    pub(super) fn link_down(&mut self, peer: &NodeId) {
        info!(component = "node", node_id = %self.name, peer_node_id = %peer, "link down");
        self.events.add(Happening::new("link-down").node(peer));
    }

    /// `seq`: of the last entry that its replica has, if there is one.
    pub(super) fn chain(&mut self, chain: &Chain, role: Role, seq: Option<u64>) {
        let Chain { slot, version, .. } = chain;
        let role_word = words::role(role);
        debug!(component = "node", node_id = %self.name, slot = slot.0, chain_version = version.0, seq, role = role_word, "new chain");
        self.events.add(Happening::new("chain-adopted").chain(*slot, *version).detail(role_word));
    }

    pub(super) fn fenced(&mut self, slot: Slot, version: ChainVersion, seq: Option<u64>) {
        debug!(component = "node", node_id = %self.name, slot = slot.0, chain_version = version.0, seq, "fenced");
        self.events.add(Happening::new("fenced").chain(slot, version));
    }

    pub(super) fn dropped(&mut self, slot: Slot, version: ChainVersion, seq: Option<u64>) {
        info!(component = "node", node_id = %self.name, slot = slot.0, chain_version = version.0, seq, "may drop its data");
        self.events.add(Happening::new("data-dropped").chain(slot, version));
    }

    pub(super) fn damaged(&mut self, slot: Slot, damage: &str) {
        error!(component = "node", node_id = %self.name, slot = slot.0, error = damage, "this replica is to be replaced");
        self.events.add(Happening::new("damaged").slot(slot).detail(damage));
    }

    pub(super) fn disk_is_slow(&mut self, ms: u64) {
        warn!(component = "node", node_id = %self.name, ms, "the disk is slow: it has been at one sync for so long");
        self.events.add(Happening::new("disk-slow").detail(format!("at one sync for {ms} ms")));
    }

    pub(super) fn disk_is_back(&mut self, ms: u64) {
        info!(component = "node", node_id = %self.name, ms, "the disk goes on");
        self.events.add(Happening::new("disk-goes-on").detail(format!("after {ms} ms")));
    }

    pub(super) fn disk_is_full(&mut self) {
        warn!(component = "node", node_id = %self.name, "the disk is nearly full: puts to this node's chains are refused until there is room");
        self.events.add(Happening::new("disk-full"));
    }

    pub(super) fn disk_has_room(&mut self) {
        info!(component = "node", node_id = %self.name, "the disk has room again");
        self.events.add(Happening::new("disk-has-room"));
    }

    pub(super) fn told_to_stop(&mut self) {
        self.events.add(Happening::new("told-to-stop"));
    }

    pub(super) fn overdue(&mut self, chains: usize, reached: bool) {
        warn!(component = "node", node_id = %self.name, chains, reached, "stops before the coordinator let it go, and will be missed");
        self.events.add(Happening::new("stops-early").detail(format!("missed in {chains} chains")));
    }
}
