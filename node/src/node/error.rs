//! Why a node ends by itself.

use catena_core::{NodeId, Slot};
use catena_net::coordination::JoinError;
use catena_net::server::ServeError;
use catena_store::StoreError;

/// What ends a node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The coordinator has said that the node may not take part.
    #[error("the coordinator refused node {node}: {source}")]
    Refused {
        /// Who.
        node: NodeId,
        /// Why.
        source: Box<JoinError>,
    },
    /// The disk failed, or a record on it is damaged (D1, D2).
    #[error("node {node} stops, its storage failed: {source}")]
    Storage {
        /// Who.
        node: NodeId,
        /// Why.
        source: StoreError,
    },
    /// A slot that the cluster does not have, on the disk or from the coordinator.
    #[error(
        "node {node} stops: it was given slot {slot}, and its cluster has {slots}: check that directory and coordinator belong together"
    )]
    SlotOutOfRange {
        /// Who.
        node: NodeId,
        /// Which slot.
        slot: Slot,
        /// How many there are.
        slots: u32,
    },
    /// The server failed.
    #[error("node {node} stops, its server failed: {source}")]
    Serve {
        /// Who.
        node: NodeId,
        /// Why.
        source: ServeError,
    },
}
