//! A sentence of the specification that did not hold.

use std::fmt;

/// How bad it is; each has an exit code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something wrong was done or shown.
    Safety,
    /// Something right was not done in time.
    Liveness,
    /// A machine panicked.
    Crash,
}

/// Who found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checker {
    /// Every key behaves like one object.
    Linearizability,
    /// Histories of replicas agree, and watermarks go forward.
    Histories,
    /// What is committed is synced on every member, and stays.
    Durability,
    /// What is shown is committed.
    Exposure,
    /// Only a replica with a lease shows state.
    Serving,
    /// One configuration of a slot serves at a time.
    Configurations,
    /// Configurations follow on each other.
    Continuity,
    /// A session's write takes effect once.
    Sessions,
    /// A full disk is soon given no more.
    Reserve,
    /// Who is called silent has been.
    Silence,
    /// After healing, everything comes to rest.
    Progress,
    /// The same seed gives the same world.
    Determinism,
    /// The machine's own assertions.
    Assertion,
}

/// What a checker found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// How bad it is.
    pub severity: Severity,
    /// Who found it.
    pub checker: Checker,
    /// The rule of the protocol that says otherwise; several, where the checker cannot tell.
    pub rule: &'static str,
    /// What happened.
    pub sentence: String,
}

impl fmt::Display for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Checker::Linearizability => "linearizability",
            Checker::Histories => "histories",
            Checker::Durability => "durability",
            Checker::Exposure => "exposure",
            Checker::Serving => "serving",
            Checker::Configurations => "configurations",
            Checker::Continuity => "continuity",
            Checker::Reserve => "reserve",
            Checker::Sessions => "sessions",
            Checker::Silence => "silence",
            Checker::Progress => "progress",
            Checker::Determinism => "determinism",
            Checker::Assertion => "assertion",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.checker, self.rule, self.sentence)
    }
}

/// Demands that a condition holds; else returns a [`Violation`] of safety.
macro_rules! demand {
    ($condition:expr, $checker:ident, $rule:literal, $($sentence:tt)+) => {
        if !$condition {
            return Err($crate::check::Violation {
                severity: $crate::check::Severity::Safety,
                checker: $crate::check::Checker::$checker,
                rule: $rule,
                sentence: format!($($sentence)+),
            });
        }
    };
}
