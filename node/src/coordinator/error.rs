//! Why a coordinator ends by itself.

use catena_net::server::ServeError;
use catena_store::ConfigError;

/// What ends a coordinator.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// Its store failed (D1).
    #[error("the coordinator stops, its storage failed: {0}")]
    Storage(#[from] ConfigError),
    /// The server failed.
    #[error("the coordinator stops, its server failed: {0}")]
    Serve(ServeError),
}
