//! The log: events, never requests, to stderr.

use std::ffi::OsString;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

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

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    #[error(
        "{LOG_VARIABLE} is {given:?}, which is no log filter ({source}): set it to a level such as debug, or to filters such as catena_node=debug"
    )]
    Filter { given: String, source: ParseError },
    #[error(
        "{LOG_VARIABLE} is {0:?}, which is no text: set it to a level such as debug, or to filters such as catena_node=debug"
    )]
    NoText(OsString),
}

/// Begins to log, as the environment says or else as `level` does.
pub(super) fn to_stderr(level: Level) -> Result<(), LogError> {
    let default = match level {
        Level::Process => "info",
        Level::Command => "off",
    };
    let filter = match std::env::var_os(LOG_VARIABLE).filter(|given| !given.is_empty()) {
        None => EnvFilter::new(default),
        Some(given) => {
            let given = given.into_string().map_err(LogError::NoText)?;
            EnvFilter::try_new(&given).map_err(|source| LogError::Filter { given, source })?
        }
    };
    let colours = std::io::stderr().is_terminal();
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).with_target(false);
    // A log that nobody reads any more is no reason to panic.
    log.log_internal_errors(false).init();
    Ok(())
}
