//! Why a node or a coordinator does not start, or ends by itself.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use catena_net::server::ServeError;
use catena_store::{ConfigError, DirectoryError, StoreError};

use super::settings::SettingsError;
use crate::{CoordinatorError, NodeError};

/// One sentence each: what is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProcessError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("others cannot reach this node at {0}: give --advertise HOST:PORT, or listen on one address")]
    NoAddress(SocketAddr),
    #[error("{0} is for --listen and for --admin: give two addresses")]
    OneAddress(SocketAddr),
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    #[error("cannot watch for signals: {0}")]
    Signals(io::Error),
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    #[error("{source}; the data directory {} is new and holds nothing: remove it before starting a node with another --id there", .directory.display())]
    RefusedAtFirst { directory: PathBuf, source: Box<NodeError> },
    #[error(transparent)]
    Listen(#[from] ServeError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Coordinator(#[from] CoordinatorError),
}

impl ProcessError {
    /// The settings that it is about.
    pub(super) fn keys(&self) -> &'static [&'static str] {
        match self {
            ProcessError::Settings(error) => error.keys(),
            ProcessError::NoAddress(_) | ProcessError::Listen(_) => &["listen"],
            ProcessError::OneAddress(_) => &["listen", "admin"],
            ProcessError::RefusedAtFirst { .. } => &["id", "data-dir"],
            ProcessError::Directory(_) => &["data-dir"],
            ProcessError::Config(ConfigError::Changed { .. }) => &["slots", "replicas", "lease-ms"],
            ProcessError::Random(_)
            | ProcessError::Signals(_)
            | ProcessError::Thread(_)
            | ProcessError::Store(_)
            | ProcessError::Config(_)
            | ProcessError::Node(_)
            | ProcessError::Coordinator(_) => &[],
        }
    }
}

/// 128 random bits: an incarnation, or a cluster's id.
pub(super) fn random_id() -> Result<u128, ProcessError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(ProcessError::Random)?;
    Ok(u128::from_be_bytes(bytes))
}
