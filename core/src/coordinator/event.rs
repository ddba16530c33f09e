//! The whole surface of the coordinator machine: what goes in, what comes out, what it stores.

use crate::{Chain, ClusterId, Heartbeat, HeartbeatAnswer, NodeId, NodeRecord, Revision, Ticket};

/// What happens to the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoordinatorEvent {
    /// A node dials in and says who and where it is.
    Register(NodeRecord),
    /// A registered node is there.
    Heartbeat {
        /// Who.
        from: NodeId,
        /// What it says.
        heartbeat: Heartbeat,
    },
    /// The store has the changes up to `ticket`: they are in effect (C1).
    Stored {
        /// The last such commit.
        ticket: Ticket,
    },
}

/// What the coordinator's driver is to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoordinatorEffect {
    /// Store atomically and synced; report by [`CoordinatorEvent::Stored`]. A record that is not
    /// expected there is a broken invariant while there is one coordinator.
    Store {
        /// Names the commit.
        ticket: Ticket,
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
    /// The route has changed: clients that watch it are to be told.
    RouteChanged,
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
    Node(NodeRecord),
    /// A chain. Replaces the slot's, whose version the store demands to be one less (compare-and-set, C1).
    Chain(Chain),
}

/// Why a node is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// Not one of the cluster's nodes.
    #[error("node {node} is not one of this cluster's nodes ({known}): start it under one of these ids")]
    UnknownNode {
        /// Who.
        node: NodeId,
        /// Who there is.
        known: String,
    },
    /// The id belongs to another data directory.
    #[error(
        "node id {node} belongs to the data directory with incarnation {known}, this one has {given}: start the node on its own directory"
    )]
    OtherDirectory {
        /// Who.
        node: NodeId,
        /// The incarnation in the record.
        known: crate::Incarnation,
        /// The one given.
        given: crate::Incarnation,
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
    /// Every chain, by slot; empty until all nodes have registered.
    pub chains: Vec<Chain>,
    /// Every registered node, by name.
    pub nodes: Vec<NodeRecord>,
}
