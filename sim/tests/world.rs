//! The world under a fixed range of seeds: clean, the same twice, and quick to notice planted bugs.
#![cfg(not(madsim))]

use catena_core::mutants::Mutant;
use catena_sim::campaign::{Runs, run, run_seed};
use catena_sim::mutation::{Effort, hunt_all, with};
use catena_sim::{Checker, Printing, Scale};

const JOBS: usize = 2;

#[test]
fn two_hundred_seeds_are_clean_and_each_leaves_the_same_trace_twice() {
    let report = run(0..200, Scale::default(), Runs::Twice, JOBS);
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert_eq!(report.seeds, 200);
    let never = report.never_reached();
    assert!(never.is_empty(), "never reached: {never:#?}");
    assert!(report.answered * 100 > report.calls * 60, "{} of {} calls were answered", report.answered, report.calls);
    assert!(report.reconfigurations > 2 * report.seeds && report.cuts > 0, "{} and {}", report.reconfigurations, report.cuts);
    assert!(report.injected() > 10 * report.seeds, "{} faults injected", report.injected());
    let searches = report.searches;
    assert!(searches.keys > 5 * report.seeds && searches.given_up * 20 < searches.keys, "{searches:?}");
    assert!(report.longest_gap_ns > 500_000_000, "somebody has waited for a dead node to be found");
}

/// Seeds that have found a bug, and what that was.
const REGRESSIONS: &[(u64, &str)] = &[
    (160_828_552, "of two neighbours that did not reach each other each was fenced in turn, and neither went (K2)"),
    (912_017, "a late probe matched anew what had been left behind in the same version: committed entries were to be cut (C7)"),
    (944_438, "each newer version gave a silent neighbour its whole time anew: 2.55 s without a commit (K2)"),
    (20_009, "a drain that was taken back, and another member that left, left two members of one rack in a chain for good (K5)"),
    (3_003_748, "a checker took a node that K4 spares for neglected (K1)"),
    (9_043_972, "a checker held a process to a note of damage that the one before had not synced (D2)"),
    (8_001_147, "a checker took a replica that had told of damage for a copy, for it had been written over (D2)"),
];

#[test]
fn seeds_that_have_found_a_bug_are_clean() {
    for (seed, bug) in REGRESSIONS {
        let result = run_seed(*seed, Scale::default(), Printing::Off);
        assert!(result.is_ok(), "seed {seed}, by which this was found: {bug}: {result:?}");
    }
}

#[test]
fn clusters_of_one_to_nine_nodes_and_of_one_to_five_coordinators_are_clean() {
    for nodes in [1, 2, 3, 9] {
        let report = run(0..25, Scale { nodes, operations: 500, ..Scale::default() }, Runs::Once, JOBS);
        assert!(report.failures.is_empty(), "{nodes} nodes: {:#?}", report.failures);
    }
    for coordinators in [1, 5] {
        let scale = Scale { operations: 500, coordinators: Some(coordinators), ..Scale::default() };
        let report = run(0..25, scale, Runs::Once, JOBS);
        assert!(report.failures.is_empty(), "{coordinators} coordinators: {:#?}", report.failures);
    }
}

/// What goes first is the coordinator's knowledge of leases (C4): it leaves out who still believes in one.
#[test]
fn clocks_that_run_apart_by_more_than_is_promised_cost_leases() {
    let report = run(0..60, Scale { drift: 50, ..Scale::default() }, Runs::Once, JOBS);
    assert!(!report.failures.is_empty(), "leases are not what they are thought to be for");
    for failure in &report.failures {
        assert_eq!(failure.checker, Checker::Continuity, "{failure:?}");
        assert!(failure.violation.contains("(C4)"), "{failure:?}");
    }
}

#[test]
fn a_member_that_is_not_brought_back_is_missed_while_faults_go_on() {
    let overdue = |seed| run_seed(seed, Scale::default(), Printing::Off).is_err_and(|violation| violation.rule == "K2, C4, C7");
    assert!(with(Mutant::RestartIgnored, || (0..400).any(overdue)));
}

#[test]
fn a_loss_that_is_not_made_good_is_caught_though_the_coordinator_works_around_it() {
    let worked_around = |seed| run_seed(seed, Scale::default(), Printing::Off).is_err_and(|violation| violation.rule == "W6, K2");
    assert!(with(Mutant::NoResend, || (0..400).any(worked_around)));
}

/// As many seeds as a test has time for.
const SEEDS: u64 = 400;

/// Mutants that need more; `docs/mutants.md` has how many.
const RARE: &[Mutant] = &[
    Mutant::ResumeFromAcked,
    Mutant::EpochIgnored,
    Mutant::StaleCopyCounts,
    Mutant::DamageForgotten,
    Mutant::PartialSnapshotInstalled,
];

#[test]
fn every_mutant_is_caught_with_the_cores_assertions_off() {
    let chosen: Vec<Mutant> = Mutant::ALL.iter().copied().filter(|mutant| !RARE.contains(mutant)).collect();
    let effort = Effort { seeds: SEEDS, outside: 0, scale: Scale::default(), shrinking: None };
    let fates = hunt_all(&chosen, effort, JOBS, |_| {});
    let missed: Vec<&str> = fates.iter().filter(|fate| fate.caught.is_none()).map(|fate| fate.mutant.name()).collect();
    assert!(missed.is_empty(), "not caught in {SEEDS} seeds: {missed:?}");
}

#[test]
fn histories_and_liveness_alone_notice_what_a_look_at_replicas_notices_at_once() {
    let mutants = [Mutant::CountUnsynced, Mutant::RefuseBeforeCommit, Mutant::KeepStaleKeys, Mutant::JoinBehindUnready];
    let effort = Effort { seeds: 10, outside: 60, scale: Scale::default(), shrinking: None };
    for fate in hunt_all(&mutants, effort, JOBS, |_| {}) {
        let checker = |caught: Option<(u64, catena_sim::Violation)>| caught.map(|(_, violation)| violation.checker);
        let outside = [Some(Checker::Linearizability), Some(Checker::BlackBox), Some(Checker::Progress)];
        let (by_all, from_outside) = (checker(fate.caught), checker(fate.outside));
        assert!(by_all.is_some() && !outside.contains(&by_all), "{}: {by_all:?}", fate.mutant.name());
        assert!(outside.contains(&from_outside), "{}: {from_outside:?}", fate.mutant.name());
    }
}

const TABLE: &str = include_str!("../../docs/mutants.md");

/// A row of `docs/mutants.md`: the mutant's name, its rule, its story, and the seeds that it takes; `None`: nobody has caught it.
type Row = (&'static str, &'static str, &'static str, Option<u64>);

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter_map(|line| line.strip_prefix("| ")).filter(|line| !line.starts_with("mutant |"));
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.split(" | ").collect();
        let seeds = cells[3].parse().ok();
        assert!(seeds.is_some() || cells[3].starts_with("> "), "{line}");
        (cells[0], cells[1], cells[2], seeds)
    };
    lines.map(row).collect()
}

/// How many mutants are caught within so many seeds, by the table.
fn within(seeds: u64) -> usize {
    rows().iter().filter(|(.., took)| took.is_some_and(|took| took <= seeds)).count()
}

#[test]
fn the_table_of_mutants_has_a_row_for_each_and_tells_which_are_rare() {
    let told: Vec<_> = rows().iter().map(|(name, rule, story, _)| (*name, *rule, *story)).collect();
    let there: Vec<_> = Mutant::ALL.iter().map(|mutant| (mutant.name(), mutant.rule(), mutant.story())).collect();
    assert_eq!(told, there, "write it anew: the command is in it");
    let rare: Vec<&str> = rows().iter().filter(|row| row.3.is_none_or(|took| took > SEEDS)).map(|row| row.0).collect();
    assert_eq!(rare, RARE.iter().map(|mutant| mutant.name()).collect::<Vec<_>>());
    assert!(TABLE.contains(&format!("\n{} of {} caught, ", within(u64::MAX), told.len())));
}

#[test]
fn forty_mutants_at_least_are_caught_by_histories_and_liveness_alone() {
    let lines = TABLE.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| mutant |"));
    let cell = |line: &str| line.split('|').nth(6).expect("the table has such a column").trim().to_owned();
    let caught: Vec<String> = lines.map(cell).filter(|cell| !cell.is_empty()).collect();
    let outside = ["linearizability", "black box", "progress"];
    let (by, told) = (|cell: &String| outside.iter().any(|checker| cell.ends_with(checker)), rows().len());
    assert!(caught.iter().all(by), "{caught:?}");
    assert!(caught.len() >= 40, "only {} of {told}", caught.len());
    assert!(TABLE.contains(&format!("\n{} of {told} caught from the outside.", caught.len())));
}

#[test]
fn what_other_documents_say_of_the_mutants_is_so_by_the_table() {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (readme, contributing) = (include_str!("../../README.md"), include_str!("../../CONTRIBUTING.md"));
    let (all, soon) = (rows().len(), within(1_000));
    assert_eq!(within(10_000) - soon, 1, "one more within ten thousand: the README calls it \"another\"");
    for (text, says) in [
        (
            readme,
            format!("of the {all} planted bugs in [docs/mutants.md](docs/mutants.md) it notices {soon} within a thousand seeds"),
        ),
        (readme, "within a thousand seeds, and another within ten thousand.".to_owned()),
        (contributing, format!(" of the {all}: what every client meets")),
    ] {
        assert!(words(text).contains(&says), "it does not say: {says}");
    }
}
