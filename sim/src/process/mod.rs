//! Real processes: the binary `catena`, its store on disk and TCP, under faults that a seed draws.
//!
//! ```text
//!   seed ──► faults of each round ──► kill -9, SIGSTOP, wiped and full disks, namespaces cut, a proxy that delays
//!                                                          │
//!   clients of catena-net ──TCP──► coordinator, 4 nodes ◄──┘
//!        │                              │
//!     history ──► seen           status, logs, disks in the end
//! ```
//!
//! The seed decides which faults there are and when, and what clients want. How long things take is the machine's affair:
//! the same seed mostly finds the same again, and not always.

mod campaign;
mod clients;
mod cluster;
mod fault;
mod host;
mod machine;
mod network;
mod old;
mod proxy;
mod record;
mod report;
mod round;
mod stores;

use std::path::PathBuf;
use std::time::Duration;

use catena_core::mutants::Mutant;

use crate::check::{Checker, Severity, Violation};

pub use self::campaign::run;
pub use self::report::Report;

/// Names to a `catena` that was built with planted bugs the one that it has.
pub const MUTANT_VARIABLE: &str = "CATENA_MUTANT";

/// Something done wrong on purpose, that the campaign must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// All disks are put back to what they were when the round began.
    OldDisks,
    /// Clients repeat writes of unknown outcome outside of any session.
    RepeatsOutsideSessions,
    /// Two nodes stay paused.
    Unhealed,
    /// A node is killed, and the campaign is not told.
    Unasked,
}

impl Plant {
    /// Every one, by its name.
    pub const ALL: &[(&str, Plant)] = &[
        ("old-disks", Plant::OldDisks),
        ("repeats-outside-sessions", Plant::RepeatsOutsideSessions),
        ("unhealed", Plant::Unhealed),
        ("unasked", Plant::Unasked),
    ];
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// So many rounds.
    pub rounds: u64,
    /// Of the first cluster; each later one has the next.
    pub seed: u64,
    /// The binary under test.
    pub binary: PathBuf,
    /// The bug that its processes have, of those that it was built with.
    pub mutant: Option<Mutant>,
    /// Where data and logs are kept; `None`: only those of a failure are.
    pub keep: Option<PathBuf>,
    /// How long chains may take to be whole again after the last fault.
    pub healing: Duration,
    /// What is to be noticed.
    pub plant: Option<Plant>,
}

/// Why a campaign ends early.
#[derive(Debug)]
pub enum Trouble {
    /// This machine does not do what it should: nothing is known of the cluster.
    Here(String),
    /// A cluster does not do what it should.
    Violated(Violation),
    /// Somebody has told it to stop.
    Interrupted,
}

/// A failed round.
#[derive(Debug)]
pub struct Failure {
    /// What happened.
    pub trouble: Trouble,
    /// The seed of its cluster.
    pub seed: u64,
    /// Its number in its cluster's life, from 1 on.
    pub round: u64,
    /// The faults drawn for it, a line each.
    pub faults: Vec<String>,
    /// Where data and logs are, if they are kept.
    pub kept: Option<PathBuf>,
}

fn crash(sentence: String) -> Trouble {
    Trouble::Violated(Violation { severity: Severity::Crash, checker: Checker::Assertion, rule: "processes", sentence })
}

fn stuck(sentence: String) -> Trouble {
    Trouble::Violated(Violation { severity: Severity::Liveness, checker: Checker::Progress, rule: "processes", sentence })
}
