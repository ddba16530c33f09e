//! The world under a fixed range of seeds: clean, the same twice, and quick to notice planted bugs.
#![cfg(not(madsim))]

use catena_core::mutants::Mutant;
use catena_sim::campaign::{Runs, run, run_seed};
use catena_sim::mutation::{hunt_all, with};
use catena_sim::{Fault, Printing, Scale};

const JOBS: usize = 2;

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
    assert!(report.faults() > 10 * report.seeds, "{} faults", report.faults());
}

#[test]
fn clusters_of_one_to_nine_nodes_and_of_one_to_five_coordinators_are_clean() {
    for nodes in [1, 2, 3, 9] {
        let report = run(0..25, Scale { nodes, operations: 500, coordinators: None }, Runs::Once, JOBS, |_| {});
        assert!(report.failures.is_empty(), "{nodes} nodes: {:#?}", report.failures);
    }
    for coordinators in [1, 5] {
        let scale = Scale { operations: 500, coordinators: Some(coordinators), ..Scale::default() };
        let report = run(0..25, scale, Runs::Once, JOBS, |_| {});
        assert!(report.failures.is_empty(), "{coordinators} coordinators: {:#?}", report.failures);
    }
}

#[test]
fn a_slot_does_not_go_without_a_commit_while_one_node_at_most_is_in_trouble() {
    let report = run(0..200, Scale::default(), Runs::Once, JOBS, |_| {});
    assert!(report.longest_gap_ns > 700_000_000, "no node died while somebody waited: {} ns", report.longest_gap_ns);
    // Who is not found to be dead, or not taken out, holds up his slots.
    for mutant in [Mutant::RestartIgnored] {
        let caught = with(mutant, || run_all_until_late(mutant));
        assert!(caught, "{} is not noticed while faults go on", mutant.name());
    }
}

/// Whether some seed fails because a slot goes without a commit.
fn run_all_until_late(mutant: Mutant) -> bool {
    (0..400).any(|seed| match run_seed(seed, Scale::default(), Printing::Off) {
        Ok(_) => false,
        Err(violation) => {
            assert_ne!(violation.severity, Severity::Crash, "{}: {violation}", mutant.name());
            violation.rule == "K2, C4, C7"
        }
    })
}

#[test]
fn every_mutant_is_caught_with_the_cores_assertions_off() {
    let chosen: Vec<Mutant> = Mutant::ALL.iter().copied().filter(|mutant| !RARE.contains(mutant)).collect();
    let fates = hunt_all(&chosen, 400, Scale::default(), JOBS, |_| {});
    let missed: Vec<&str> = fates.iter().filter(|fate| fate.caught.is_none()).map(|fate| fate.mutant.name()).collect();
    assert!(missed.is_empty(), "not caught in 400 seeds: {missed:?}");
}
