//! Mutants: planted bugs, each run under seeds until a checker notices, with the core's own assertions switched off.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use catena_core::mutants::{Assertions, Mutant, set, set_assertions};

use crate::campaign::run_seed;
use crate::check::{Checker, Judges, Violation, judged_by};
use crate::options::Scale;
use crate::replay::shrink;
use crate::trace::Printing;

/// What is spent on a mutant.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Seeds to try, at most.
    pub seeds: u64,
    /// Seeds to try with the checkers of histories and of liveness alone, at most; 0: that is not tried.
    pub outside: u64,
    /// How large their worlds are.
    pub scale: Scale,
    /// How long the seed by which it is caught is made smaller, at most; `None`: that is left as it is.
    pub shrinking: Option<Duration>,
}

/// What became of a mutant.
#[derive(Clone, Debug)]
pub struct Fate {
    /// Which.
    pub mutant: Mutant,
    /// How many seeds it took, and what was violated; `None`: it was not caught.
    pub caught: Option<(u64, Violation)>,
    /// The same by the checkers of histories and of liveness alone.
    pub outside: Option<(u64, Violation)>,
    /// What the seed was shrunk to, if it was.
    pub small: Option<Small>,
}

/// What a seed was shrunk to.
#[derive(Clone, Copy, Debug)]
pub struct Small {
    /// Faults and calls that are left.
    pub events: usize,
    /// How long that took, by the clock.
    pub took: Duration,
}

/// The names of all mutants that the world runs.
pub fn names() -> String {
    Mutant::ALL.iter().map(|mutant| mutant.name()).collect::<Vec<_>>().join(", ")
}

/// The one of that name, of those that the world runs.
pub fn named(name: &str) -> Option<Mutant> {
    Mutant::named(name).filter(|mutant| Mutant::ALL.contains(mutant))
}

/// Who notices a mutant that the world does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watcher {
    /// The corpus of this fuzz target: `fuzz/tests/planted.rs` plants its mutants.
    Corpus(&'static str),
    /// The shipped code under simulated time: `cluster/mod.rs` plants its mutants.
    Cluster,
}

/// Who notices which of [`Mutant::ELSEWHERE`], and where those are planted.
const ELSEWHERE: &[(Watcher, &str, &[Mutant])] = &[
    (Watcher::Corpus("wire"), "net's conversions", &[Mutant::TextOnly, Mutant::DamageNotSent, Mutant::RangeUnchecked]),
    (Watcher::Corpus("records"), "the store's records and keys", &[Mutant::ChecksumIgnored, Mutant::ZeroUnescaped]),
    (Watcher::Corpus("scenarios"), "scenarios, read and written", &[Mutant::ContinuationLost]),
    (Watcher::Corpus("replays"), "the reader of replay files", &[Mutant::ReplayUnchecked]),
    (Watcher::Corpus("settings"), "settings, read and printed", &[Mutant::SettingUnchecked, Mutant::ListCutShort]),
    (
        Watcher::Cluster,
        "tasks and streams around the machines",
        &[
            Mutant::LinkNotRedialled,
            Mutant::CoordinatorNotSought,
            Mutant::LostIsRefused,
            Mutant::DeadlineMissed,
            Mutant::LeftUntold,
        ],
    ),
];

/// The mutants that this one is to notice: a test plants each of them.
pub fn noticed_by(watcher: Watcher) -> &'static [Mutant] {
    ELSEWHERE.iter().find(|(one, ..)| *one == watcher).map_or(&[], |(.., mutants)| mutants)
}

/// Runs `act` with a mutant planted on this thread, and the core's own assertions switched off.
pub fn with<T>(mutant: Mutant, act: impl FnOnce() -> T) -> T {
    set(Some(mutant));
    set_assertions(Assertions::Off);
    let result = act();
    set(None);
    set_assertions(Assertions::On);
    result
}

/// Runs `act` with a mutant planted, if there is one.
pub fn with_any<T>(mutant: Option<Mutant>, act: impl FnOnce() -> T) -> T {
    match mutant {
        Some(mutant) => with(mutant, act),
        None => act(),
    }
}

/// Runs one mutant under seeds 0, 1, 2 … until it is caught, at most `seeds` of them.
pub fn hunt(mutant: Mutant, seeds: u64, scale: Scale) -> Fate {
    let run = |seed| Some((seed + 1, run_seed(seed, scale, Printing::Off).err()?));
    Fate { mutant, caught: with(mutant, || (0..seeds).find_map(run)), outside: None, small: None }
}

/// The same with the checkers of histories and of liveness alone. A machine that panics tells nothing here.
fn hunt_from_outside(mutant: Mutant, seeds: u64, scale: Scale) -> Option<(u64, Violation)> {
    let run = |seed| {
        let violation = run_seed(seed, scale, Printing::Off).err()?;
        (violation.checker != Checker::Assertion).then_some((seed + 1, violation))
    };
    judged_by(Judges::Outside, || with(mutant, || (0..seeds).find_map(run)))
}

/// The same, also from the outside, and shrinks the seed by which it is caught: what of that is wanted.
fn hunt_and_shrink(mutant: Mutant, effort: Effort) -> Fate {
    let Effort { seeds, outside, scale, shrinking } = effort;
    let fate = hunt(mutant, seeds, scale);
    let outside = hunt_from_outside(mutant, outside, scale);
    let small = fate.caught.as_ref().zip(shrinking).and_then(|((took, _), time)| {
        let begun = Instant::now();
        let small = shrink(took - 1, scale, Some(mutant), time, |_, _| {})?;
        Some(Small { events: small.events, took: begun.elapsed() })
    });
    Fate { outside, small, ..fate }
}

/// Runs mutants, on `jobs` threads. `progress` hears of each fate; the result is in the order of `mutants`.
pub fn hunt_all(mutants: &[Mutant], effort: Effort, jobs: usize, mut progress: impl FnMut(&Fate)) -> Vec<Fate> {
    let next = AtomicUsize::new(0);
    let mut fates: Vec<(usize, Fate)> = Vec::new();
    thread::scope(|scope| {
        let (results, finished) = mpsc::channel();
        for _ in 0..jobs.max(1) {
            let (results, next) = (results.clone(), &next);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(mutant) = mutants.get(index) else { return };
                    if results.send((index, hunt_and_shrink(*mutant, effort))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        for (index, fate) in finished {
            progress(&fate);
            fates.push((index, fate));
        }
    });
    fates.sort_by_key(|(index, _)| *index);
    fates.into_iter().map(|(_, fate)| fate).collect()
}

/// What the table does not have, and why.
const NOT_PLANTED: &str = "
## Without a violation

Three readings that the rules forbid break no promise that a checker watches over; only the last is planted:

* Acknowledgements of an older version are taken (C2). A commit watermark is a fact in every version, and what a wrong `Have` \
makes the sender skip, the receiver reports as a gap or the next `Poke` finds.
* A joining replica that has restarted waits for a newer version, as members do (C10). Its source reports that it says nothing, \
and the coordinator lets it begin anew.
* A node takes decisions and leases of a deposed leader (C1, EpochIgnored). What that leader has stored holds for its successor, \
too, which waits for as long as its leases may last, and finds a fence without a plan in the node's reports. What shows is a \
pause: in `sim/scenarios/late-decision.txt` a late fence has the tail refuse reads for 10 ms, until the successor has made a \
version for nothing (`catena-sim scenario sim/scenarios/late-decision.txt --mutant EpochIgnored`).

Of the readings in [why.md](why.md) these are not planted:

* A gap that is accepted (J1, W6): a log is indexed by seq, and takes none.
* A chain that is stored before its member is fenced (C4): it differs from EvictWithoutFence only in leaders that are followed by \
another in between.
* A tail that waits for what its log had before its own cut (C9): that is over with the next write. `core/tests/chain/steady.rs` \
holds it.
* Reads of any replica (R3) and without a lease (R4), which there are not.
";

/// What the column says that there is where seeds are shrunk.
const SHRUNK_TO: &str = " `shrunk to` is what is left of the last of them after `catena-sim shrink`: faults and calls, and how long \
that took. After a minute no more is tried.";

/// What the column says that there is where mutants are hunted from the outside, too.
fn by_outside(seeds: u64) -> String {
    format!(
        " `from the outside` is how many it took of the first {seeds} with every checker switched off that looks at replicas or \
         at single steps, or that goes by what replicas declare to be committed: left are those of clients' histories (by the \
         versions that clients are told, and by a search without them) and of liveness. A panic counts for nothing there."
    )
}

/// What was shrunk to so many events can be read off a page.
const FEW: usize = 20;

/// The table for `docs/mutants.md`.
pub fn table(fates: &[Fate], effort: Effort) -> String {
    let Effort { seeds, outside, scale, shrinking } = effort;
    let mut numbers: Vec<u64> = fates.iter().filter_map(|fate| fate.caught.as_ref().map(|(seeds, _)| *seeds)).collect();
    numbers.sort_unstable();
    let median = numbers.get(numbers.len() / 2).map_or("none".to_owned(), u64::to_string);
    let (mut options, mut titles, mut lines, mut columns) = (String::new(), String::new(), String::new(), String::new());
    if outside > 0 {
        options = format!(" --outside {outside}");
        (titles, lines, columns) = (" from the outside |".to_owned(), "---|".to_owned(), by_outside(outside));
    }
    if shrinking.is_some() {
        options.push_str(" --shrink");
        titles.push_str(" shrunk to |");
        lines.push_str("---|");
        columns.push_str(SHRUNK_TO);
    }
    let mut text = format!(
        "# Mutants\n\n\
         Each mutant breaks a rule on purpose, in one line or two. `core/src/mutants.rs` lists them. They \
         are planted in `core`, but for the seven from ApplyTorn to EpochUnchecked, which are in `store`, and \
         FailedSyncRetried, which is in the simulator's own storage. The simulated world runs each under seeds 0, 1, 2 … with the \
         core's own assertions switched off, until a checker notices, or a machine panics all the same (`assertion`). \
         `seeds` is how many it took.{columns}\n\n\
         Written by `cargo run --release -p catena-sim -- mutants --seeds {seeds} {scale}{options} --write docs/mutants.md`.\n\n\
         {} of {} caught, median {median} seeds.\n\n\
         | mutant | rule | what is broken | seeds | caught by |{titles}\n|---|---|---|---:|---|{lines}\n",
        numbers.len(),
        fates.len(),
    );
    text.extend(fates.iter().map(|fate| row(fate, effort)));
    if outside > 0 {
        let caught = fates.iter().filter(|fate| fate.outside.is_some()).count();
        writeln!(text, "\n{caught} of {} caught from the outside.", fates.len()).expect("a string takes everything");
    }
    if shrinking.is_some() {
        let small: Vec<Small> = fates.iter().filter_map(|fate| fate.small).collect();
        let few = small.iter().filter(|small| small.events <= FEW).count();
        writeln!(text, "\n{few} of {} shrink to at most {FEW} events.", small.len()).expect("a string takes everything");
    }
    text.push_str(NOT_PLANTED);
    text.push_str(&elsewhere());
    text
}

/// What `docs/mutants.md` says of those that the world does not run.
fn elsewhere() -> String {
    let mut text = format!(
        "
## Outside of the simulated world

What the world does not run it cannot notice. So {} more are planted in what reads bytes from outside, and in the tasks around the \
machines. Tests plant each, and fail if nobody notices: `fuzz/tests/planted.rs` those that a fuzz target is to notice by its corpus; \
`sim/src/cluster/mod.rs` those that the shipped code under simulated time is to show (`cargo sim --release`).

",
        Mutant::ELSEWHERE.len()
    );
    for (watcher, place, mutants) in ELSEWHERE {
        let who = match watcher {
            Watcher::Corpus(target) => format!("the corpus of `{target}`"),
            Watcher::Cluster => "a cluster under simulated time".to_owned(),
        };
        for mutant in *mutants {
            writeln!(text, "* {} ({}), in {place}: {} Noticed by {who}.", mutant.name(), mutant.rule(), mutant.story())
                .expect("a string takes everything");
        }
    }
    text
}

fn row(fate: &Fate, effort: Effort) -> String {
    let mutant = fate.mutant;
    let (took, checker) = match &fate.caught {
        Some((took, violation)) => (took.to_string(), violation.checker.to_string()),
        None => (format!("> {}", effort.seeds), "nobody".to_owned()),
    };
    let outside = match &fate.outside {
        Some((took, violation)) => format!(" {took}, {} |", violation.checker),
        None if effort.outside > 0 => " |".to_owned(),
        None => String::new(),
    };
    let small = fate.small.map_or_else(String::new, |small| small.to_string());
    let small = effort.shrinking.map_or_else(String::new, |_| format!(" {small} |"));
    format!("| {} | {} | {} | {took} | {checker} |{outside}{small}\n", mutant.name(), mutant.rule(), mutant.story())
}

impl fmt::Display for Small {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = if self.events == 1 { "event" } else { "events" };
        write!(f, "{} {events}, {:.1} s", self.events, self.took.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mutant_outside_of_the_world_has_somebody_who_notices_and_the_document_says_who() {
        let watched: Vec<Mutant> = ELSEWHERE.iter().flat_map(|(.., mutants)| mutants.iter().copied()).collect();
        assert_eq!(watched, Mutant::ELSEWHERE, "in the order of core/src/mutants.rs, each once");
        assert!(include_str!("../../docs/mutants.md").ends_with(&elsewhere()), "its last section is to be\n{}", elsewhere());
    }
}
