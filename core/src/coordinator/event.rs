//! The whole surface of the coordinator machine: what goes in, what comes out, what it stores.

use std::collections::BTreeMap;

use crate::{
    Chain, ClusterId, Decisions, Epoch, Heartbeat, HeartbeatAnswer, Incarnation, NodeId, NodeRecord, RequestId, Revision, Slot,
    Ticket, WallTime,
};

/// What happens to the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoordinatorEvent {
    /// A node dials in and says who and where it is.
    Register(NodeRecord),
    /// A registered node is there. The driver passes on only what came on a stream that this coordinator has answered with
    /// [`CoordinatorEffect::Registered`], and only of the newest stream of a node; one that is refused takes no other's place.
    Heartbeat {
        /// Who.
        from: NodeId,
        /// The directory it registered.
        incarnation: Incarnation,
        /// What it says.
        heartbeat: Heartbeat,
    },
    /// The store has the changes up to `ticket`: they are in effect (C1).
    Stored {
        /// The last such commit.
        ticket: Ticket,
    },
    /// The store refused a commit or a claim: another coordinator leads. Nothing of it is in effect.
    Deposed,
    /// What the store has as the leadership, for [`CoordinatorEffect::Observe`].
    Observed(Leadership),
    /// This coordinator leads, for [`CoordinatorEffect::Lead`].
    Elected {
        /// Under this epoch.
        leadership: Leadership,
        /// Everything stored.
        stored: Vec<Change>,
    },
    /// The claim is renewed, for [`CoordinatorEffect::Renew`].
    Renewed(Leadership),
    /// An operator wants something.
    Order {
        /// Names the order; exactly one [`CoordinatorEffect::Done`] answers it, as long as this coordinator leads.
        request: RequestId,
        /// What.
        order: Order,
    },
    /// A deadline has passed, or has not: early and repeated wakes are harmless.
    Wake,
}

/// Who leads, as stored: changed by compare-and-set only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The epoch; 0: nobody has ever led.
    pub epoch: Epoch,
    /// Counts renewals within it.
    pub beat: u64,
}

/// What an operator orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Move every replica off the node, as long as it takes; data is never less redundant than before.
    Drain(NodeId),
    /// Take the node out of its chains now, and keep it out.
    Evict(NodeId),
    /// Let a drained or evicted node take part again.
    Readmit(NodeId),
}

/// What the coordinator's driver is to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoordinatorEffect {
    /// Read who leads; report by [`CoordinatorEvent::Observed`].
    Observe,
    /// Take the leadership: store (`over.epoch + 1`, 0) if `over` is still there, and load everything; report by
    /// [`CoordinatorEvent::Elected`], or by `Observed` what is there instead.
    Lead {
        /// What was last observed.
        over: Leadership,
    },
    /// Store (`epoch`, `beat + 1`) if this is still there; report by [`CoordinatorEvent::Renewed`] or `Deposed`.
    Renew(Leadership),
    /// Store atomically and synced if `epoch` still leads; report by [`CoordinatorEvent::Stored`] or `Deposed`.
    Store {
        /// Names the commit.
        ticket: Ticket,
        /// Under which leadership.
        epoch: Epoch,
        /// In order.
        changes: Vec<Change>,
    },
    /// The node is known: heartbeats may follow.
    Registered {
        /// Who.
        node: NodeId,
    },
    /// The node is refused: nothing changes.
    Refused {
        /// Who.
        node: NodeId,
        /// Why.
        reason: RegisterError,
    },
    /// Answer a heartbeat.
    Answer {
        /// To whom.
        to: NodeId,
        /// With what.
        answer: HeartbeatAnswer,
    },
    /// Tell a node at once what the next answer will tell it too. May be lost.
    Decide {
        /// Whom.
        to: NodeId,
        /// What.
        decisions: Decisions,
    },
    /// An order is stored, or refused without an effect. What it sets going shows in [`Status`].
    Done {
        /// Which.
        request: RequestId,
        /// Whether it is.
        result: Result<(), OrderError>,
    },
    /// The route has changed: clients that watch it are to be told of these slots, and of all nodes.
    RouteChanged {
        /// The chains that are new.
        slots: Vec<Slot>,
    },
    /// Something an operator would want to know of.
    Note(Note),
}

/// What an operator would want to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// This coordinator leads.
    Leads(Epoch),
    /// It does not any more.
    Follows,
    /// A node's health has changed.
    Health {
        /// Whose.
        node: NodeId,
        /// To what.
        health: Health,
    },
    /// A node is evicted.
    Evicted {
        /// Who.
        node: NodeId,
        /// Why.
        reason: Eviction,
    },
    /// The failure detector stops taking nodes out (K4).
    Restrained {
        /// The node that it would have taken out.
        node: NodeId,
    },
    /// A chain has changed.
    Chain(Chain),
}

/// A record in the coordinator's store, with the revision it was decided at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Counts decisions.
    pub revision: Revision,
    /// What was decided.
    pub record: Record,
}

/// What the coordinator stores, one record a node and one a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A node. Replaces the one of the same name.
    Node(StoredNode),
    /// A chain. Replaces the slot's, whose version the store demands to be one less (compare-and-set, C1).
    Chain(Chain),
}

/// A node, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNode {
    /// Who and where.
    pub record: NodeRecord,
    /// Whether it may hold replicas.
    pub standing: Standing,
    /// When it became suspect, the latest `flap_threshold` times within the window: durable, so that a restart of the
    /// coordinator forgets nothing (K3).
    pub flaps: Vec<WallTime>,
    /// How often it was evicted for flapping: the back-off of [`crate::Rejoin::Auto`] grows with it.
    pub evictions: u32,
}

/// Whether a node may hold replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Member,
    /// Its replicas are being moved away, or are.
    Draining,
    /// It may not.
    Evicted {
        /// Why.
        reason: Eviction,
        /// When.
        at: WallTime,
    },
}

/// Why a node was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// It went silent and came back too often (K3).
    Flapping,
    /// An operator said so.
    Ordered,
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Known, and not heard since it registered or since this coordinator leads.
    Unheard,
    /// Its heartbeats come.
    Healthy,
    /// It has been silent for `suspect_after`. No route changes.
    Suspect,
    /// It has been silent for `dead_after`.
    Dead,
    /// It has stopped in order.
    Stopped,
}

/// Why a node is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// This coordinator does not lead.
    #[error("this coordinator does not lead: try the others")]
    NotLeading,
    /// A node of this id is alive in another directory or at another address.
    #[error(
        "node id {node} is alive at {address} (incarnation {incarnation}): stop that process, or start this one under another id"
    )]
    Elsewhere {
        /// Who.
        node: NodeId,
        /// Where the other one answers.
        address: String,
        /// Its directory.
        incarnation: Incarnation,
    },
    /// Another node answers at this address.
    #[error("{address} is where node {taken_by} is alive, so {node} cannot be there: give each node an address of its own")]
    AddressTaken {
        /// Who.
        node: NodeId,
        /// The address given.
        address: String,
        /// Who answers there.
        taken_by: NodeId,
    },
    /// The labels are not those of the record: chains were placed by them.
    #[error("node {node} is recorded with labels {recorded}, not {given}: start it with those, or under another id")]
    OtherLabels {
        /// Who.
        node: NodeId,
        /// The labels in the record.
        recorded: String,
        /// Those given.
        given: String,
    },
}

/// Why an order is refused. Nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// This coordinator does not lead.
    #[error("this coordinator does not lead: ask the others")]
    NotLeading,
    /// There is no such node.
    #[error("there is no node {node}; there are: {known}")]
    UnknownNode {
        /// Who was named.
        node: NodeId,
        /// Who there is.
        known: String,
    },
    /// Data would have fewer copies than replicas are wanted.
    #[error(
        "slot {slot} cannot be moved off {node}: of {replicas} replicas wanted, the other nodes, with their labels, can hold only {possible}: add a node first"
    )]
    NoRoom {
        /// The first such slot.
        slot: Slot,
        /// The node to be drained.
        node: NodeId,
        /// Wanted.
        replicas: u32,
        /// Possible.
        possible: u32,
    },
    /// The last copy that is known to be whole would go.
    #[error("node {node} holds the last copy of slot {slot}: bring another replica back first")]
    LastCopy {
        /// The first such slot.
        slot: Slot,
        /// The node.
        node: NodeId,
    },
    /// It is not drained or evicted.
    #[error("node {node} is a member already")]
    NotOut {
        /// Who.
        node: NodeId,
    },
}

/// Where everything is, as clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The cluster.
    pub cluster: ClusterId,
    /// Up to which decision.
    pub revision: Revision,
    /// The number of slots: `slot = crc32(key) mod slots`.
    pub slots: u32,
    /// Every chain, by slot; empty until the first placement.
    pub chains: Vec<Chain>,
    /// Every registered node, by name.
    pub nodes: Vec<NodeRecord>,
}

/// The cluster, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The leadership that says so.
    pub epoch: Epoch,
    /// Every node, by name.
    pub nodes: Vec<NodeStatus>,
    /// Every chain, by slot.
    pub chains: Vec<Chain>,
    /// By slot, what keeps a chain from being whole; nothing for a chain that is.
    pub waits: BTreeMap<Slot, Wait>,
}

impl Status {
    /// Nodes that could hold copies, and neither hold nor join any: no chain lacks one that their labels allow, or moves to
    /// them are still to come.
    pub fn unassigned(&self) -> impl Iterator<Item = &NodeStatus> {
        let placed = !self.chains.is_empty();
        self.nodes.iter().filter(move |node| {
            let usable = node.health == Health::Healthy && node.stored.standing == Standing::Member;
            placed && usable && node.replicas == 0 && node.joining == 0
        })
    }
}

/// A node, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// As stored.
    pub stored: StoredNode,
    /// How it is.
    pub health: Health,
    /// Chains that it is the head of.
    pub heads: u32,
    /// Chains that it is the tail of.
    pub tails: u32,
    /// Chains that it is a member of.
    pub replicas: u32,
    /// Chains that it is joining.
    pub joining: u32,
}

/// Why a chain is not whole, or not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// There are too few nodes with fitting labels.
    NoCandidate,
    /// A replica is being filled.
    Joining,
    /// A member is to go, and has not acknowledged its fence yet, nor has its lease run out.
    Fencing,
    /// The only copy known to be whole does not answer: it is kept, however dead it looks (C3).
    LastCopy,
    /// The failure detector holds back (K4).
    Restrained,
    /// Others go first: `changing_slots`, `joins_per_node`; or the node that fits has failed to join, and is tried again soon.
    Turn,
    /// A node that left in order may come back.
    Absence,
}
