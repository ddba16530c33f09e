//! Why a development cluster does not start, or does not go on.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// One sentence each: what is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevError {
    #[error("{replicas} replicas need as many nodes, and there are {nodes}: give --nodes {replicas}, or fewer --replicas")]
    TooFewNodes { nodes: u32, replicas: u32 },
    #[error("{nodes} nodes need the ports after {port} and after {port} + 1000, and these end at 65535: give a lower --port")]
    TooFewPorts { nodes: u32, port: u16 },
    #[error("the directory {} was created with --{name} {stored}, not {given}: leave the option out, or choose another --data-dir", .directory.display())]
    Changed { directory: PathBuf, name: &'static str, stored: u32, given: u32 },
    #[error("the directory {} is not empty and holds no development cluster: choose another --data-dir", .0.display())]
    ForeignDirectory(PathBuf),
    #[error("the directory {} is of format {found}, this program knows {known}: use the newer program", .directory.display())]
    NewerFormat { directory: PathBuf, found: u32, known: u32 },
    #[error("{} is damaged ({source}): restore it, or choose another --data-dir", .file.display())]
    Damaged { file: PathBuf, source: serde_json::Error },
    #[error("the directory {} is in use by another `catena dev`: stop that one, or choose another --data-dir", .0.display())]
    InUse(PathBuf),
    #[error("{who} cannot start: {source}")]
    ChildInUse { who: String, source: catena_store::DirectoryError },
    #[error("cannot {what} {}: {source}; choose a --data-dir that you may write to", .path.display())]
    Directory { what: &'static str, path: PathBuf, source: io::Error },
    #[error("port {port} for {who} is taken: stop what listens there, or choose another --port")]
    PortTaken { port: u16, who: String },
    #[error("port {port} for {who} cannot be used: {source}; choose another --port")]
    Port { port: u16, who: String, source: io::Error },
    #[error("cannot find this program's own file: {0}; start it by its full path")]
    OwnProgram(io::Error),
    #[error("cannot start {who}: {source}")]
    Spawn { who: String, source: io::Error },
    #[error("{who} ended while the cluster was starting ({status}): see its message above; everything was stopped")]
    EndedAtStart { who: String, status: ExitStatus },
    #[error("cannot find {}: {source}; give the full path of the file of settings", .file.display())]
    Settings { file: PathBuf, source: io::Error },
    #[error("cannot watch for signals: {0}")]
    Signals(io::Error),
}

impl DevError {
    /// The settings that it is about.
    pub(crate) fn keys(&self) -> &'static [&'static str] {
        match self {
            DevError::TooFewNodes { .. } => &["nodes", "replicas"],
            DevError::TooFewPorts { .. } => &["nodes", "port"],
            DevError::Changed { .. } => &["nodes", "replicas", "slots", "data-dir"],
            DevError::ForeignDirectory(_)
            | DevError::NewerFormat { .. }
            | DevError::Damaged { .. }
            | DevError::InUse(_)
            | DevError::Directory { .. } => &["data-dir"],
            DevError::PortTaken { .. } | DevError::Port { .. } => &["port"],
            DevError::ChildInUse { .. }
            | DevError::OwnProgram(_)
            | DevError::Settings { .. }
            | DevError::Spawn { .. }
            | DevError::EndedAtStart { .. }
            | DevError::Signals(_) => &[],
        }
    }
}
