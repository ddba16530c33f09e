//! The world under a fixed range of seeds: clean, the same twice, and quick to notice planted bugs.
#![cfg(not(madsim))]

use catena_core::mutants::Mutant;
use catena_sim::campaign::{Runs, run, run_seed};
use catena_sim::mutation::{hunt_all, with};
use catena_sim::{Fault, Printing, Scale};

const JOBS: usize = 2;

/// Mutants that need more seeds than a test has time for; `docs/mutants.md` has how many.
const RARE: &[Mutant] = &[Mutant::OlderChain];

#[test]
fn two_hundred_seeds_are_clean_and_each_leaves_the_same_trace_twice() {
    let report = run(0..200, Scale::default(), Runs::Twice, JOBS, |_| {});
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert_eq!(report.seeds, 200);
    for (fault, count) in report.occurrences.iter() {
        assert!(count > 0, "{fault}: never occurred");
    }
    assert!(report.answered * 100 > report.calls * 60, "{} of {} calls were answered", report.answered, report.calls);
    assert!(report.new_versions > 2 * report.seeds && report.cuts > 0, "{} versions, {} cuts", report.new_versions, report.cuts);
    let injected = report.occurrences.total() - report.occurrences.of(Fault::Skew);
    assert!(injected > 10 * report.seeds, "{injected} faults");
}

#[test]
fn chains_of_one_two_and_five_nodes_are_clean() {
    for nodes in [1, 2, 5] {
        let report = run(0..25, Scale { nodes, operations: 500 }, Runs::Once, JOBS, |_| {});
        assert!(report.failures.is_empty(), "{nodes} nodes: {:#?}", report.failures);
    }
}

/// Seeds that found a bug, and the mutant that brings it back: so a seed that no longer reaches it is noticed too.
const FOUND: &[(u64, Mutant)] = &[
    // The coordinator died after the last node had registered and before the chains were stored: there never were any.
    (100, Mutant::NeverPlaceAgain),
    (968, Mutant::NeverPlaceAgain),
];

#[test]
fn seeds_that_found_a_bug_are_clean_now_and_still_reach_it() {
    for (seed, mutant) in FOUND {
        let run = || run_seed(*seed, Scale::default(), Printing::Off);
        assert_eq!(run().err(), None, "seed {seed}");
        assert!(with(*mutant, run).is_err(), "seed {seed} does not reach {}: find another", mutant.name());
    }
}

#[test]
fn every_mutant_is_caught_with_the_cores_assertions_off() {
    let chosen: Vec<Mutant> = Mutant::ALL.iter().copied().filter(|mutant| !RARE.contains(mutant)).collect();
    let fates = hunt_all(&chosen, 400, Scale::default(), JOBS, |_| {});
    let missed: Vec<&str> = fates.iter().filter(|fate| fate.caught.is_none()).map(|fate| fate.mutant.name()).collect();
    assert!(missed.is_empty(), "not caught in 400 seeds: {missed:?}");
}
