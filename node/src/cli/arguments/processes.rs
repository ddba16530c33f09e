//! What a coordinator and a node are told.

use std::net::SocketAddr;
use std::path::PathBuf;

use catena_core::NodeId;
use clap::{Args, Subcommand};

use super::cluster::{ClusterArguments, JudgementArguments};
use super::limits::{LimitArguments, SizeArguments, TimingArguments};
use super::log::LogFormat;
use super::operator::OrderArguments;
use super::parse::{parse_endpoint, parse_label};

/// Runs a coordinator: it knows the nodes, hands out the chains, repairs them, grants leases and tells clients where
/// everything is.
#[derive(Debug, Args)]
#[command(after_help = "\
Slots, replicas, founders and lease are fixed when the directory is created: started again, they may be left out. Nodes
come by themselves: the first chains are laid as soon as so many as there are founders have registered.

Examples:
  catena coordinator --listen 10.0.0.1:7400 --data-dir /var/lib/catena
  catena coordinator --listen 10.0.0.1:7400 --data-dir /var/lib/catena --slots 64 --founders 5 --rejoin auto
  catena coordinator --config /etc/catena.toml     all of it from a file: see catena config --help")]
pub(in crate::cli) struct CoordinatorArguments {
    /// The address to listen on.
    #[arg(long, value_name = "IP:PORT")]
    pub(in crate::cli) listen: SocketAddr,
    /// The address for admin HTTP: a page for people, /livez, /readyz, /metrics and /admin/v1/state. [default: none]
    #[arg(long, value_name = "IP:PORT")]
    pub(in crate::cli) admin: Option<SocketAddr>,
    /// Where its data lies; created if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data_dir: PathBuf,
    #[command(flatten)]
    pub(in crate::cli) cluster: ClusterArguments,
    #[command(flatten)]
    pub(in crate::cli) judgement: JudgementArguments,
    #[command(flatten)]
    pub(in crate::cli) sizes: SizeArguments,
    /// How the log is written to stderr.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub(in crate::cli) log_format: LogFormat,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    pub(in crate::cli) stop_with_stdin: bool,
}

/// Runs a storage node; or, with drain, evict or readmit, says what is to become of one.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    override_usage = "catena node --id <ID> --listen <IP:PORT> --coordinator <HOST:PORT> --data-dir <DIR> [OPTIONS]\n       \
                      catena node drain|evict|readmit <ID> [OPTIONS]",
    after_help = "\
The directory belongs to this id and, once the coordinator has been reached, to its cluster. SIGTERM and Ctrl-C stop a node
in order: it leaves its chains first, its data stays, and its place is kept for a while.

Examples:
  catena node --id n1 --listen 10.0.0.2:7401 --coordinator 10.0.0.1:7400 --data-dir /var/lib/catena
  catena node --id n4 --listen 10.0.0.5:7401 --coordinator 10.0.0.1:7400 --data-dir /var/lib/catena --label rack=r2
  catena node --config /etc/catena.toml     all of it from a file: see catena config --help
  catena node drain n2         move everything off n2, and wait until that is done"
)]
pub(in crate::cli) struct NodeArguments {
    #[command(subcommand)]
    pub(in crate::cli) order: Option<NodeOrder>,
    #[command(flatten)]
    pub(in crate::cli) serve: Option<ServeArguments>,
}

/// What is to become of a node.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum NodeOrder {
    /// Moves every replica off a node, and waits until that is done. Data is never less redundant meanwhile.
    #[command(after_help = "\
Refused, with a reason, when the other nodes cannot hold what is to be moved. Stop the node once this is done.

Examples:
  catena node drain n2
  catena node drain n2 --timeout 30m

Exit codes: 0 done, 1 refused, 2 usage, 5 no coordinator was reached, 6 ordered but not done in time.")]
    Drain(OrderArguments),
    /// Takes a node out of its chains at once, and keeps it out; waits until that is done.
    #[command(after_help = "\
For a node that is broken: its copies are made anew on others, where there are any. Refused when it holds the last one.

Example:
  catena node evict n2

Exit codes: 0 done, 1 refused, 2 usage, 5 no coordinator was reached, 6 ordered but not done in time.")]
    Evict(OrderArguments),
    /// Lets a drained or evicted node take part again; waits until it runs, and no chain lacks a copy that it could have.
    #[command(after_help = "\
Example:
  catena node readmit n2

Exit codes: 0 done, 1 refused, 2 usage, 5 no coordinator was reached, 6 ordered but not done in time.")]
    Readmit(OrderArguments),
}

/// How a node is to serve.
#[derive(Debug, Args)]
pub(in crate::cli) struct ServeArguments {
    /// The node's name: 1 to 64 letters, digits, '.', '_' or '-'.
    #[arg(long, value_name = "ID", value_parser = NodeId::new)]
    pub(in crate::cli) id: NodeId,
    /// The address to listen on.
    #[arg(long, value_name = "IP:PORT")]
    pub(in crate::cli) listen: SocketAddr,
    /// The address for admin HTTP: /livez, /readyz, /metrics and /admin/v1/state. [default: none]
    #[arg(long, value_name = "IP:PORT")]
    pub(in crate::cli) admin: Option<SocketAddr>,
    /// Where others reach it, if that is another address.
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_endpoint)]
    pub(in crate::cli) advertise: Option<String>,
    /// The coordinators' addresses, separated by commas.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', required = true, value_parser = parse_endpoint)]
    pub(in crate::cli) coordinator: Vec<String>,
    /// Where its data lies; created if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data_dir: PathBuf,
    /// A failure domain that it is in, as in rack=r1; several with commas, each key once. No two copies of a key are put where
    /// a label is the same. Fixed when the node first registers.
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = parse_label)]
    pub(in crate::cli) label: Vec<(String, String)>,
    #[command(flatten)]
    pub(in crate::cli) limits: LimitArguments,
    #[command(flatten)]
    pub(in crate::cli) timings: TimingArguments,
    /// How the log is written to stderr.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub(in crate::cli) log_format: LogFormat,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    pub(in crate::cli) stop_with_stdin: bool,
    /// Print a line on standard output once its data is open.
    #[arg(long, hide = true)]
    pub(in crate::cli) say_when_open: bool,
}
