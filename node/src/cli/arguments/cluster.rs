//! What a cluster is, and how its coordinator judges the nodes.

use catena_core::Rejoin;
use clap::Args;

use super::parse::parse_rejoin;

/// What the cluster is; fixed when the coordinator's directory is created.
#[derive(Debug, Args)]
pub(in crate::cli) struct ClusterArguments {
    /// Number of hash buckets, each with a chain of its own. [default: 16, or what the directory was created with]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub(in crate::cli) slots: Option<u32>,
    /// Number of copies of every key, each on another node. [default: 3, or what the directory was created with]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) replicas: Option<u32>,
    /// Number of nodes to wait for before the first chains are laid over them. [default: as many as replicas, or what the
    /// directory was created with]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) founders: Option<u32>,
    /// How long a node may answer reads without hearing from the coordinator. [default: 600, or what the directory was
    /// created with]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(in crate::cli) lease_ms: Option<u64>,
}

/// When a node is taken for gone, and what follows.
#[derive(Debug, Args)]
pub(in crate::cli) struct JudgementArguments {
    /// Silence after which a node is suspect; nothing is done yet.
    #[arg(long, value_name = "MS", default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(in crate::cli) suspect_ms: u64,
    /// Silence after which a node is dead, and others take its place.
    #[arg(long, value_name = "MS", default_value_t = 700, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(in crate::cli) dead_ms: u64,
    /// A node that becomes suspect so often within --flap-window-s is evicted; 0: never.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(in crate::cli) flap_threshold: u32,
    /// See --flap-threshold; 0: never.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub(in crate::cli) flap_window_s: u64,
    /// The coordinator takes at most so many nodes out of their chains by itself, in percent of all, within
    /// --restraint-window-s; beyond, it waits for an operator or for them to come back.
    #[arg(long, value_name = "PERCENT", default_value_t = 34, value_parser = clap::value_parser!(u32).range(..=100))]
    pub(in crate::cli) restraint_percent: u32,
    /// See --restraint-percent.
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(in crate::cli) restraint_window_s: u64,
    /// How long the place of a node that stopped in order is kept.
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub(in crate::cli) absence_s: u64,
    /// Whether a node that was evicted for flapping comes back by itself: manual, auto, or auto:TIME with the first wait, which
    /// doubles each time.
    #[arg(long, value_name = "HOW", default_value = "manual", value_parser = parse_rejoin)]
    pub(in crate::cli) rejoin: Rejoin,
}
