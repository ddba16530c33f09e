//! Mutants: planted bugs, each run under seeds until a checker notices, with the core's own assertions switched off.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use catena_core::mutants::{Assertions, Mutant, set, set_assertions};

use crate::campaign::run_seed;
use crate::check::Violation;
use crate::options::Scale;
use crate::trace::Printing;

/// What became of a mutant.
#[derive(Clone, Debug)]
pub struct Fate {
    /// Which.
    pub mutant: Mutant,
    /// How many seeds it took, and what was violated; `None`: it was not caught.
    pub caught: Option<(u64, Violation)>,
}

/// The names of all mutants.
pub fn names() -> String {
    Mutant::ALL.iter().map(|mutant| mutant.name()).collect::<Vec<_>>().join(", ")
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
    Fate { mutant, caught: with(mutant, || (0..seeds).find_map(run)) }
}

/// Runs mutants, on `jobs` threads. `progress` hears of each fate; the result is in the order of `mutants`.
pub fn hunt_all(mutants: &[Mutant], seeds: u64, scale: Scale, jobs: usize, mut progress: impl FnMut(&Fate)) -> Vec<Fate> {
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
                    if results.send((index, hunt(*mutant, seeds, scale))).is_err() {
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
";

/// The table for `docs/mutants.md`.
pub fn table(fates: &[Fate], seeds: u64, scale: Scale) -> String {
    let mut numbers: Vec<u64> = fates.iter().filter_map(|fate| fate.caught.as_ref().map(|(seeds, _)| *seeds)).collect();
    numbers.sort_unstable();
    let median = numbers.get(numbers.len() / 2).map_or("none".to_owned(), u64::to_string);
    let mut text = format!(
        "# Mutants\n\n\
         Each mutant breaks a rule on purpose, in one line or two. `core/src/mutants.rs` lists them. They \
         are planted in `core`, but for the seven from ApplyTorn to EpochUnchecked, which are in `store`, and \
         FailedSyncRetried, which is in the simulator's own storage. The simulated world runs each under seeds 0, 1, 2 … with the \
         core's own assertions switched off, until a checker notices from the outside. `seeds` is how many it took.\n\n\
         Written by `cargo run --release -p catena-sim -- mutants --seeds {seeds} {scale} --write docs/mutants.md`.\n\n\
         {} of {} caught, median {median} seeds.\n\n\
         | mutant | rule | what is broken | seeds | caught by |\n|---|---|---|---:|---|\n",
        numbers.len(),
        fates.len(),
    );
    for fate in fates {
        let mutant = fate.mutant;
        let (took, checker) = match &fate.caught {
            Some((took, violation)) => (took.to_string(), violation.checker.to_string()),
            None => (format!("> {seeds}"), "nobody".to_owned()),
        };
        writeln!(text, "| {} | {} | {} | {took} | {checker} |", mutant.name(), mutant.rule(), mutant.story())
            .expect("a string takes everything");
    }
    text.push_str(NOT_PLANTED);
    text
}
