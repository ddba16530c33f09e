//! A sentence of the specification that did not hold.

use std::cell::Cell;
use std::fmt;

use catena_core::{ChainVersion, EntryId, Seq, Slot};
use serde::{Deserialize, Serialize};

/// How bad it is, the gravest first; each has an exit code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum Severity {
    /// Something wrong was done or shown.
    Safety,
    /// A machine panicked: it stopped before it could do what it had found to be wrong.
    Crash,
    /// Something right was not done in time.
    Liveness,
}

impl Severity {
    pub(crate) const ALL: &[Severity] = &[Severity::Safety, Severity::Crash, Severity::Liveness];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Severity::Safety => "safety",
            Severity::Liveness => "liveness",
            Severity::Crash => "crash",
        }
    }
}

/// Who found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum Checker {
    /// Every key behaves like one object.
    Linearizability,
    /// The same, by what clients were answered alone.
    BlackBox,
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
    /// Who is called silent has been, and whoever is asked is not.
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

impl Checker {
    pub(crate) const ALL: &[Checker] = &[
        Checker::Linearizability,
        Checker::BlackBox,
        Checker::Histories,
        Checker::Durability,
        Checker::Exposure,
        Checker::Serving,
        Checker::Configurations,
        Checker::Continuity,
        Checker::Sessions,
        Checker::Reserve,
        Checker::Silence,
        Checker::Progress,
        Checker::Determinism,
        Checker::Assertion,
    ];

    /// Whether it goes by what clients were answered and by what becomes of the cluster in time.
    fn looks_from_outside(self) -> bool {
        matches!(self, Checker::Linearizability | Checker::BlackBox | Checker::Progress)
    }
}

/// Who judges a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judges {
    /// Every checker.
    All,
    /// Only those of clients' histories and of liveness: what no client and no time can tell goes through. Nothing then goes by
    /// what replicas have declared to be committed, for nobody looks whether they contradict each other.
    Outside,
}

thread_local! {
    static JUDGES: Cell<Judges> = const { Cell::new(Judges::All) };
}

/// Runs `act` with these judges on this thread.
pub(crate) fn judged_by<T>(judges: Judges, act: impl FnOnce() -> T) -> T {
    let before = JUDGES.replace(judges);
    let result = act();
    JUDGES.set(before);
    result
}

/// Who judges on this thread.
pub(crate) fn judges() -> Judges {
    JUDGES.get()
}

/// Whether a checker is heard on this thread.
pub(crate) fn is_heard(checker: Checker) -> bool {
    judges() == Judges::All || checker.looks_from_outside()
}

impl fmt::Display for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Checker::Linearizability => "linearizability",
            Checker::BlackBox => "black box",
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

/// The entries that a sentence names: `(3, 17)`, in the slot that it names before.
pub(crate) fn named_entries(sentence: &str) -> Vec<(Slot, EntryId)> {
    let slot = sentence.split_once("slot ").map(|(_, rest)| number(rest).0);
    let Some(slot) = slot.flatten().and_then(|slot| u32::try_from(slot).ok()).map(Slot) else { return Vec::new() };
    let entry = |text: &str| {
        let (version, rest) = number(text);
        let (seq, rest) = number(rest.strip_prefix(", ")?);
        rest.starts_with(')').then_some((slot, EntryId { version: ChainVersion(version?), seq: Seq(seq?) }))
    };
    sentence.split('(').skip(1).filter_map(entry).collect()
}

/// The number that a text begins with, and what comes behind it.
fn number(text: &str) -> (Option<u64>, &str) {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].parse().ok(), &text[end..])
}

/// Demands that a condition holds; else returns a [`Violation`] of safety, if the checker is heard.
macro_rules! demand {
    ($condition:expr, $checker:ident, $rule:literal, $($sentence:tt)+) => {
        if !$condition && $crate::check::is_heard($crate::check::Checker::$checker) {
            return Err($crate::check::Violation {
                severity: $crate::check::Severity::Safety,
                checker: $crate::check::Checker::$checker,
                rule: $rule,
                sentence: format!($($sentence)+),
            });
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_in_a_sentence() {
        let named = named_entries(
            "slot 12: n1 acknowledges (1, 2), (a, 3) and (4, 5x) are none, (18446744073709551616, 1) neither; (7, 80)",
        );
        let entry = |version, seq| (Slot(12), EntryId { version: ChainVersion(version), seq: Seq(seq) });
        assert_eq!(named, [entry(1, 2), entry(7, 80)]);
        assert_eq!(named_entries("(1, 2) of no slot"), []);
    }
}
