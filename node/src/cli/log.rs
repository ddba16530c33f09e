//! The log: events, never requests, to stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Says what is logged.
pub(crate) const LOG_VARIABLE: &str = "CATENA_LOG";

/// What is logged when nothing is said.
#[derive(Clone, Copy, Debug)]
pub(super) enum Level {
    /// A long-lived process: what happens to it.
    Process,
    /// A command: nothing; its result says it all.
    Command,
}

pub(super) fn to_stderr(level: Level) {
    let default = match level {
        Level::Process => "info",
        Level::Command => "off",
    };
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new(default));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).with_target(false).init();
}
