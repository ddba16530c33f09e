//! The log: events, never requests, to stderr. As text for people, or as lines of JSON with the same names.

use std::ffi::OsString;
use std::io::{IsTerminal, Stderr, stderr};

use tracing::error;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::with_default;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::SubscriberBuilder;
use tracing_subscriber::fmt::format::{DefaultFields, Format, Json, JsonFields};

use super::arguments::{Command, LogFormat};

/// Says what is logged.
pub(crate) const LOG_VARIABLE: &str = "CATENA_LOG";

/// Who logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logger {
    /// A long-lived process: what happens to it.
    Process { component: &'static str, format: LogFormat },
    /// A command: nothing unless it is asked to; its result says it all.
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

impl Logger {
    pub(super) fn of(command: &Command) -> Self {
        match command {
            Command::Coordinator(its) => Self::Process { component: "coordinator", format: its.log_format },
            Command::Node(its) => match (&its.order, &its.serve) {
                (None, Some(serve)) => Self::Process { component: "node", format: serve.log_format },
                _ => Self::Command,
            },
            Command::Dev(_)
            | Command::Put(_)
            | Command::Get(_)
            | Command::Del(_)
            | Command::Load(_)
            | Command::Export(_)
            | Command::Status(_)
            | Command::Config(_) => Self::Command,
        }
    }

    /// Begins to log, as the environment says or else what such a logger does.
    pub(super) fn start(self) -> Result<(), LogError> {
        let default = match self {
            Self::Process { .. } => "info",
            Self::Command => "off",
        };
        let filter = match std::env::var_os(LOG_VARIABLE).filter(|given| !given.is_empty()) {
            None => EnvFilter::new(default),
            Some(given) => {
                let given = given.into_string().map_err(LogError::NoText)?;
                EnvFilter::try_new(&given).map_err(|source| LogError::Filter { given, source })?
            }
        };
        let log = to_stderr().with_env_filter(filter);
        if self.writes_json() {
            as_json(log).init();
        } else {
            log.init();
        }
        Ok(())
    }

    /// Says what has ended the process, whatever else is logged; `false`: it does not, for it is to be read as text.
    pub(super) fn ended(self, error: &str) -> bool {
        let Self::Process { component, .. } = self else { return false };
        if self.writes_json() {
            with_default(as_json(to_stderr()).finish(), || error!(component, error, "ended"));
        }
        self.writes_json()
    }

    fn writes_json(self) -> bool {
        match self {
            Self::Process { format: LogFormat::Json, .. } => true,
            Self::Process { format: LogFormat::Auto, .. } => !stderr().is_terminal(),
            Self::Process { format: LogFormat::Text, .. } | Self::Command => false,
        }
    }
}

fn to_stderr() -> SubscriberBuilder<DefaultFields, Format, LevelFilter, fn() -> Stderr> {
    let colours = stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_writer(stderr as fn() -> Stderr).with_ansi(colours).with_target(false);
    // A log that nobody reads any more is no reason to panic.
    log.log_internal_errors(false)
}

fn as_json<F>(
    log: SubscriberBuilder<DefaultFields, Format, F, fn() -> Stderr>,
) -> SubscriberBuilder<JsonFields, Format<Json>, F, fn() -> Stderr> {
    log.json().flatten_event(true).with_current_span(false).with_span_list(false)
}
