//! How a process logs.

use clap::ValueEnum;

/// What an event looks like in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// A line for people.
    Text,
    /// A line of JSON.
    Json,
}
