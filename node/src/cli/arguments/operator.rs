//! What an operator asks and orders.

use std::time::Duration;

use catena_core::NodeId;
use clap::{Args, ValueEnum};

use super::DEFAULT_ENDPOINT;
use super::parse::{parse_duration, parse_endpoint};

/// Shows how the cluster is: nodes, chains, and what keeps a chain from being whole.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  catena status
  catena status --watch            anew with every change, until Ctrl-C
  catena status -o json            one line of JSON; with --watch, a line with every change

Exit codes: 0 done, 2 usage, 5 no coordinator was reached.")]
pub(in crate::cli) struct StatusArguments {
    /// Go on, and print again what has changed.
    #[arg(short, long)]
    pub(in crate::cli) watch: bool,
    /// How to print.
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = ViewFormat::Table)]
    pub(in crate::cli) output: ViewFormat,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArguments,
    /// How long to try to reach a coordinator: a number and `ms`, `s` or `m`.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "10s")]
    pub(in crate::cli) timeout: Duration,
}

/// How a status, or the settings, are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ViewFormat {
    /// For reading.
    Table,
    /// One line of JSON.
    Json,
}

/// Which node, and how long to wait.
#[derive(Debug, Args)]
pub(in crate::cli) struct OrderArguments {
    /// The node.
    #[arg(value_name = "ID", value_parser = NodeId::new)]
    pub(in crate::cli) id: NodeId,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArguments,
    /// How long to wait until it is carried out: a number and `ms`, `s` or `m`. The order stands afterwards, too.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "60m")]
    pub(in crate::cli) timeout: Duration,
}

/// Whom to ask.
#[derive(Debug, Args)]
pub(in crate::cli) struct AskArguments {
    /// The coordinators' addresses, separated by commas.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', default_value = DEFAULT_ENDPOINT, value_parser = parse_endpoint)]
    pub(in crate::cli) endpoints: Vec<String>,
}
