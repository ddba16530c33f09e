//! Why a directory is not fit for use.

use std::io;
use std::path::{Path, PathBuf};

use catena_core::ClusterId;

use super::Owner;

/// Why a data directory was refused. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The system refuses to create, read or write in it.
    #[error("cannot use data directory {path}: {source}: give a directory in which this user may create and write files", path = .path.display())]
    Unwritable {
        /// Which directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("data directory {path} is in use by process {pid}: stop that process, or give another directory", path = .path.display())]
    InUse {
        /// Which directory.
        path: PathBuf,
        /// The process that last locked it.
        pid: String,
    },
    /// It belongs to another process of a cluster.
    #[error("data directory {path} belongs to {found}, not to {given}: give the directory of {given}, or start as {found}", path = .path.display())]
    OtherOwner {
        /// Which directory.
        path: PathBuf,
        /// Whose it is.
        found: Owner,
        /// Who asked.
        given: Owner,
    },
    /// It belongs to another cluster.
    #[error("data directory {path} belongs to cluster {found}, not to cluster {given}: give a directory of this cluster, or connect to the coordinator of that one", path = .path.display())]
    OtherCluster {
        /// Which directory.
        path: PathBuf,
        /// Which cluster it belongs to.
        found: ClusterId,
        /// Which one was asked for.
        given: ClusterId,
    },
    /// A later build has written it.
    #[error("data directory {path} has format {found}, this build reads {known} only: start it with the newer build", path = .path.display())]
    NewerFormat {
        /// Which directory.
        path: PathBuf,
        /// Its format version.
        found: u64,
        /// The only one known here.
        known: u64,
    },
    /// An earlier build has written it.
    #[error("data directory {path} has format {found}, this build reads {known} only: start it with the build that wrote it, or move the directory away and start this node as a new one", path = .path.display())]
    OlderFormat {
        /// Which directory.
        path: PathBuf,
        /// Its format version.
        found: u64,
        /// The only one known here.
        known: u64,
    },
    /// It holds something else.
    #[error("{path} is not a Catena data directory: it has no identity file, but contains {found:?}: give an empty or a new directory", path = .path.display())]
    NotCatena {
        /// Which directory.
        path: PathBuf,
        /// Something in it.
        found: String,
    },
    /// The identity file is damaged.
    #[error("the identity file in data directory {path} is corrupt ({what}): restore it from a copy, or move the directory away and start this node as a new one", path = .path.display())]
    CorruptIdentity {
        /// Which directory.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// Its data is gone.
    #[error("data directory {path} has lost its data: restore it, or move the directory away and start this node as a new one", path = .path.display())]
    DataMissing {
        /// Which directory.
        path: PathBuf,
    },
}

impl DirectoryError {
    pub(super) fn unwritable(path: &Path, source: io::Error) -> Self {
        Self::Unwritable { path: path.to_owned(), source }
    }
}
