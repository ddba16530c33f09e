//! Why a node ends by itself.

use catena_core::NodeId;
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
        source: JoinError,
    },
    /// The disk failed, or a record on it is damaged (D1, D2).
    #[error("node {node} stops, its storage failed: {source}")]
    Storage {
        /// Who.
        node: NodeId,
        /// Why.
        source: StoreError,
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
