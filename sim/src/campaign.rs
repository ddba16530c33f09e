//! Many seeds, one after the other and side by side: what they did, and what they violated.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use catena_core::marks::Reached;
use serde::{Deserialize, Serialize};

use crate::check::{Checker, Searches, Severity, Violation};
use crate::faults::{Fault, Occurrences};
use crate::options::{Options, Scale};
use crate::rules;
use crate::trace::Printing;
use crate::world::{Summary, World};

/// After so many failures the rest of a campaign tells little more: it ends.
pub const MOST_FAILURES: usize = 10;

/// So many seeds come by every mark and every fault but one: the rarest of them shows in one seed of twenty.
pub const ENOUGH: u64 = 400;

/// What one seed of seventy has, as its world lasts several times as long; and how many seeds come by it.
const SELDOM: (Fault, u64) = (Fault::LongOutage, 2_000);

/// How often each seed is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// Once.
    Once,
    /// Twice: both runs must leave the same trace.
    Twice,
}

/// What all the seeds of a campaign did.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Report {
    /// Seeds that were run.
    pub seeds: u64,
    /// Sums over clean seeds.
    pub happenings: u64,
    /// Virtual nanoseconds.
    pub virtual_ns: u64,
    /// Calls that clients made.
    pub calls: u64,
    /// Calls with a definite answer from the chain.
    pub answered: u64,
    /// Calls of unknown outcome.
    pub unknown: u64,
    /// Entries committed.
    pub committed: u64,
    /// Times that a replica cut its log (C7).
    pub cuts: u64,
    /// Chain versions made after each slot's first.
    pub new_versions: u64,
    /// Those of them that had other members than the one before.
    pub reconfigurations: u64,
    /// The longest time, in nanoseconds, that a slot went without a commit although writes waited for it and one node at most
    /// was in trouble.
    pub longest_gap_ns: u64,
    /// Keys whose calls were put in an order without looking at versions.
    pub searches: Searches,
    /// Faults that occurred.
    #[serde(with = "faults")]
    pub occurrences: Occurrences,
    /// Marks of the protocol's rules that they came by.
    #[serde(with = "marks")]
    pub reached: Reached,
    /// Seeds that failed, the lowest first.
    pub failures: Vec<Failure>,
}

/// A seed that failed.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// How bad it is.
    pub severity: Severity,
    /// Which guarantee it is about.
    pub checker: Checker,
    /// Who found what.
    pub violation: String,
}

/// Defines how counts are stored: by name.
macro_rules! stored_by_name {
    ($module:ident, $counts:ty, $all:expr, $name:expr) => {
        mod $module {
            use std::collections::BTreeMap;

            use serde::de::Error;
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            pub(super) fn serialize<S: Serializer>(counts: &$counts, serializer: S) -> Result<S::Ok, S::Error> {
                let named: BTreeMap<String, u64> = counts.iter().map(|(kind, count)| ($name(kind), count)).collect();
                named.serialize(serializer)
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$counts, D::Error> {
                let named = BTreeMap::<String, u64>::deserialize(deserializer)?;
                let kind = |name: &String| $all.iter().copied().find(|kind| $name(*kind) == *name);
                let known = |(name, count)| kind(&name).map(|kind| (kind, count)).ok_or(name);
                named
                    .into_iter()
                    .map(known)
                    .collect::<Result<_, _>>()
                    .map_err(|name| D::Error::custom(format!("there is no {name:?}")))
            }
        }
    };
}

stored_by_name!(faults, crate::faults::Occurrences, crate::faults::Fault::ALL, |kind: crate::faults::Fault| kind
    .name()
    .to_owned());
stored_by_name!(marks, catena_core::marks::Reached, catena_core::marks::Mark::ALL, |kind: catena_core::marks::Mark| format!(
    "{kind:?}"
));

impl Report {
    /// Faults that hit a process, a link, a disk or the store, as against those of single messages, calls and syncs, of which
    /// there are many.
    pub fn injected(&self) -> u64 {
        self.occurrences.iter().filter(|(fault, _)| fault.is_injected()).map(|(_, count)| count).sum()
    }

    /// Those of single messages, calls and syncs.
    pub fn struck(&self) -> u64 {
        self.occurrences.total() - self.injected() - self.occurrences.of(Fault::Skew)
    }

    /// What the seeds should have come by, being so many and so large, and have not.
    pub fn lacks(&self, scale: Scale) -> Vec<String> {
        let least = Scale::default();
        let large = scale.nodes >= least.nodes
            && scale.operations >= least.operations
            && scale.coordinators.is_none()
            && scale.drift == least.drift;
        if self.seeds >= ENOUGH && large { self.never_reached() } else { Vec::new() }
    }

    /// Faults that never occurred, and marks that no seed came by.
    pub fn never_reached(&self) -> Vec<String> {
        let expected = |fault: &Fault| *fault != SELDOM.0 || self.seeds >= SELDOM.1;
        let never = self.occurrences.iter().filter(|(fault, count)| *count == 0 && expected(fault));
        let faults = never.map(|(fault, _)| format!("fault: {fault}"));
        let marks = self.reached.iter().filter(|(_, count)| *count == 0).map(|(mark, _)| rules::line(mark));
        faults.chain(marks).collect()
    }

    fn add(&mut self, seed: u64, result: Result<Summary, Violation>) {
        self.seeds += 1;
        match result {
            Ok(summary) => {
                self.happenings += summary.happenings;
                self.virtual_ns += summary.virtual_ns;
                self.calls += summary.calls;
                self.answered += summary.answered;
                self.unknown += summary.unknown;
                self.committed += summary.committed;
                self.cuts += summary.cuts;
                self.new_versions += summary.new_versions;
                self.reconfigurations += summary.reconfigurations;
                self.longest_gap_ns = self.longest_gap_ns.max(summary.longest_gap_ns);
                self.searches += summary.searches;
                self.occurrences.add(&summary.occurrences);
                self.reached += &summary.reached;
            }
            Err(violation) => {
                self.failures.push(Failure {
                    seed,
                    severity: violation.severity,
                    checker: violation.checker,
                    violation: violation.to_string(),
                });
            }
        }
    }
}

/// Runs one seed.
///
/// # Errors
/// What was violated first.
pub fn run_seed(seed: u64, scale: Scale, printing: Printing) -> Result<Summary, Violation> {
    let options = Options::draw(seed, scale);
    let world = || World::new(options, printing)?.run();
    let ended = caught(world).unwrap_or_else(|panic| Err(panicked(panic)));
    ended.map(|summary| summary.expect("nobody stops it"))
}

/// A machine has panicked.
pub(crate) fn panicked(message: String) -> Violation {
    Violation { severity: Severity::Crash, checker: Checker::Assertion, rule: "core", sentence: message }
}

/// Runs one seed as often as asked for.
fn run_runs(seed: u64, scale: Scale, runs: Runs) -> Result<Summary, Violation> {
    let first = run_seed(seed, scale, Printing::Off)?;
    if runs == Runs::Twice {
        same_trace(first.hash, run_seed(seed, scale, Printing::Off)?.hash)?;
    }
    Ok(first)
}

fn same_trace(first: u64, second: u64) -> Result<(), Violation> {
    demand!(
        first == second,
        Determinism,
        "same seed",
        "the trace of the first run hashes to {first:016x}, of the second to {second:016x}"
    );
    Ok(())
}

/// Runs the seeds on `jobs` threads.
pub fn run(seeds: Range<u64>, scale: Scale, runs: Runs, jobs: usize) -> Report {
    go_on(Report::default(), seeds, scale, runs, jobs, |_| ControlFlow::Continue(()))
}

/// Adds the seeds to what those before did, in their order. `progress` hears of the report as it grows, and says whether to go
/// on.
pub fn go_on(
    mut report: Report,
    seeds: Range<u64>,
    scale: Scale,
    runs: Runs,
    jobs: usize,
    mut progress: impl FnMut(&Report) -> ControlFlow<()>,
) -> Report {
    let (begun, count) = (AtomicU64::new(0), seeds.end.saturating_sub(seeds.start));
    let enough = AtomicBool::new(report.failures.len() >= MOST_FAILURES);
    let (mut due, mut early) = (seeds.start, BTreeMap::new());
    thread::scope(|scope| {
        let (results, finished) = mpsc::channel();
        for _ in 0..jobs.max(1) {
            let (results, begun, enough, start) = (results.clone(), &begun, &enough, seeds.start);
            scope.spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    let number = begun.fetch_add(1, Ordering::Relaxed);
                    if number >= count || results.send((start + number, run_runs(start + number, scale, runs))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        for (seed, result) in finished {
            early.insert(seed, result);
            while let Some(result) = early.remove(&due) {
                report.add(due, result);
                due += 1;
            }
            if progress(&report).is_break() || report.failures.len() >= MOST_FAILURES {
                enough.store(true, Ordering::Relaxed);
            }
        }
    });
    report
}

thread_local! {
    /// Whether a panic on this thread is a finding, and not our own failure.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static MESSAGE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `world`. A panic becomes its message and place, without a word on standard error.
pub(crate) fn caught<T>(world: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if CATCHING.get() {
                let message = panic.payload_as_str().unwrap_or("a panic without a message");
                let place = panic.location().map_or(String::new(), |place| format!(" ({}:{})", place.file(), place.line()));
                MESSAGE.set(format!("{message}{place}"));
            } else {
                before(panic);
            }
        }));
    });
    CATCHING.set(true);
    let result = catch_unwind(AssertUnwindSafe(world));
    CATCHING.set(false);
    result.map_err(|_| MESSAGE.take())
}

#[cfg(test)]
mod tests {
    use catena_core::marks::Mark;

    use super::*;

    #[test]
    fn another_trace_is_caught_and_another_seed_leaves_one() {
        let scale = Scale { operations: 50, ..Scale::default() };
        let hash = |seed| run_seed(seed, scale, Printing::Off).map(|summary| summary.hash).expect("a clean seed");
        assert_eq!(same_trace(hash(1), hash(1)), Ok(()));
        same_trace(hash(1), hash(2)).expect_err("two seeds, two traces");
    }

    #[test]
    fn what_no_seed_came_by_is_named_and_held_against_a_large_campaign_only() {
        let report = Report { seeds: ENOUGH, ..Report::default() };
        assert_eq!(report.lacks(Scale::default()).len(), Fault::ALL.len() - 1 + Mark::ALL.len());
        let larger = Report { seeds: SELDOM.1, ..Report::default() };
        assert_eq!(larger.lacks(Scale::default()).len(), Fault::ALL.len() + Mark::ALL.len());
        assert!(report.lacks(Scale { nodes: 1, ..Scale::default() }).is_empty(), "one node has no neighbours");
        assert!(Report { seeds: ENOUGH - 1, ..report }.lacks(Scale::default()).is_empty(), "too few to tell");
        let alone = run(0..20, Scale { nodes: 1, operations: 200, coordinators: Some(1), ..Scale::default() }, Runs::Once, 1);
        let never = alone.never_reached();
        assert!(never.contains(&"K2  Two healthy neighbours do not hear each other.".to_owned()), "{never:?}");
        assert!(never.contains(&"fault: neighbours cut for long".to_owned()), "{never:?}");
        assert!(!never.contains(&"W1  A head gives an entry its place.".to_owned()), "{never:?}");
    }

    #[test]
    fn a_panic_in_a_machine_is_reported_with_its_message_and_place() {
        let message = caught(|| -> u32 { panic!("7 is broken") }).expect_err("it panics");
        assert!(message.starts_with("7 is broken (") && message.contains("campaign.rs:"), "{message}");
        assert_eq!(caught(|| 5), Ok(5));
    }
}
