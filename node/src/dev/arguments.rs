//! What `catena dev` is told.

use std::path::PathBuf;

/// Starts a coordinator and some storage nodes on this machine, and watches over them until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every process is this same program; `ps` shows which is which. The data stays in the directory: run the same
command again and everything is there. Numbers are fixed when the directory is created.

Examples:
  catena dev                                     three nodes, every key on all of them, port 7400 and up
  catena dev --nodes 5 --replicas 3 --slots 64   more of everything, and two nodes to spare: kill one, and see the
                                                 others take its place
  catena dev --data-dir /tmp/try --port 9000     a second cluster beside the first
  catena dev --restart                           what dies is started again
  catena dev --config catena.toml                every process reads the file: see catena config --help")]
pub(crate) struct DevArguments {
    /// Number of storage nodes; those beyond --replicas are to spare. [default: 3, or what the directory was created with]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=128))]
    pub(super) nodes: Option<u32>,
    /// Number of copies of every key, each on another node. [default: 3 or fewer, or what the directory was created with]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=128))]
    pub(super) replicas: Option<u32>,
    /// Number of hash buckets, each with a chain of its own. [default: 16, or what the directory was created with]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub(super) slots: Option<u32>,
    /// Where the cluster's data lies; created if it is not there.
    #[arg(long, value_name = "DIR", default_value = "./catena-data")]
    pub(super) data_dir: PathBuf,
    /// The coordinator's port on 127.0.0.1; the nodes take the ones after it, and admin HTTP of each is 1000 ports further on.
    #[arg(long, value_name = "PORT", default_value_t = 7400, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: u16,
    /// Start a process that dies again, by itself.
    #[arg(long)]
    restart: bool,
}

/// What to do about a process that dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnDeath {
    /// Say so, and how to start it again.
    Report,
    /// Say so, and start it again.
    Restart,
}

impl DevArguments {
    pub(super) fn on_death(&self) -> OnDeath {
        if self.restart { OnDeath::Restart } else { OnDeath::Report }
    }
}
