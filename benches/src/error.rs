//! Why nothing was measured.

use std::path::PathBuf;

use catena_core::NodeId;
use catena_net::admin::AdminError;
use catena_net::client::ClientError;

/// One sentence each.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file, a process.
    #[error("{what}: {source}")]
    Io {
        /// What it was about.
        what: String,
        /// What happened.
        source: std::io::Error,
    },
    /// The binary under test is not there.
    #[error("{} is not there: build it first with cargo build --release -p catena-node -p catena-benches", .0.display())]
    NoBinary(PathBuf),
    /// A call of the cluster under test.
    #[error("a call of the cluster under test: {0}")]
    Call(#[from] ClientError),
    /// A look at the cluster under test, or an order.
    #[error("asking the cluster under test: {0}")]
    Admin(#[from] AdminError),
    /// It did not become what it should.
    #[error("in vain: {0}")]
    InVain(String),
    /// The status names a node that was never started.
    #[error("nobody started node {0}")]
    Stranger(NodeId),
}

impl Error {
    /// Names what an I/O error was about.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what: what.into(), source }
    }
}
