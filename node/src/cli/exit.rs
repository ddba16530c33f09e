//! What the process says at its end.

use std::process::ExitCode;

use catena_core::{CallError, Kind};
use catena_net::Refusal;
use catena_net::admin::AdminError;
use catena_net::client::ClientError;

use super::output::complain;

/// An exit code; the table in `catena --help` is this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Ok = 0,
    Error = 1,
    /// Clap ends with it by itself, too.
    Usage = 2,
    NotFound = 3,
    ConditionFailed = 4,
    NotExecuted = 5,
    Unknown = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Says what is wrong, in one line.
pub(super) fn fail(message: &str, exit: Exit) -> Exit {
    complain(&format!("catena: {}", message.replace('\n', " ")));
    exit
}

/// What a failed write comes to.
pub(super) fn of_write(error: &ClientError) -> Exit {
    match error.kind() {
        Kind::Unknown => Exit::Unknown,
        Kind::NotExecuted => of_refused(error),
    }
}

/// What a failed read comes to: it changes nothing, whatever became of it.
pub(super) fn of_read(error: &ClientError) -> Exit {
    match error.kind() {
        Kind::Unknown => Exit::NotExecuted,
        Kind::NotExecuted => of_refused(error),
    }
}

/// What a failed order, or a failed look at the cluster, comes to.
pub(super) fn of_order(error: &AdminError) -> Exit {
    match error {
        AdminError::Refused { .. } => Exit::Error,
        AdminError::OutcomeUnknown { .. } => Exit::Unknown,
        AdminError::NobodyLeads { .. } | AdminError::NoEndpoint => Exit::NotExecuted,
    }
}

fn of_refused(error: &ClientError) -> Exit {
    let Some(refusal) = error.refusal() else { return Exit::NotExecuted };
    match refusal {
        Refusal::Call(call) => match call {
            CallError::KeyEmpty
            | CallError::KeyTooLong { .. }
            | CallError::ValueTooLarge { .. }
            | CallError::UnknownSlot { .. } => Exit::Error,
            CallError::ConditionFailed { .. } => Exit::ConditionFailed,
            CallError::Routing(_)
            | CallError::NoLease { .. }
            | CallError::NotCaughtUp { .. }
            | CallError::DiskFull { .. }
            | CallError::Backpressure { .. }
            | CallError::OutcomeUnknown { .. }
            | CallError::SessionExpired { .. }
            | CallError::AlreadyAnswered { .. } => Exit::NotExecuted,
        },
        Refusal::Register(_)
        | Refusal::Order(_)
        | Refusal::WrongCluster { .. }
        | Refusal::WrongWireVersion { .. }
        | Refusal::WrongNode { .. }
        | Refusal::MessageTooLarge { .. }
        | Refusal::Malformed { .. } => Exit::Error,
        Refusal::TimedOut { .. } | Refusal::Abandoned | Refusal::Stopping | Refusal::NotLeading | Refusal::TooSlow => {
            Exit::NotExecuted
        }
    }
}
