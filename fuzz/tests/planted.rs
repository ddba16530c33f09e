//! The targets notice: with a bug planted, something in the corpus fails.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use catena_core::mutants::Mutant;
use catena_fuzz::{TARGETS, Target, chain, chunks, stores, world};
use catena_sim::mutation::{Watcher, noticed_by, with};

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
}

fn is_found(target: &str, run: fn(&[u8]), mutant: Mutant) -> bool {
    corpus(target).iter().any(|bytes| with(mutant, || catch_unwind(|| run(bytes)).is_err()))
}

fn missed(target: &str, run: fn(&[u8]), mutants: &[Mutant]) -> Vec<&'static str> {
    mutants.iter().filter(|mutant| !is_found(target, run, **mutant)).map(|mutant| mutant.name()).collect()
}

/// The corpus of a target must notice each of these mutants.
fn assert_found(target: &str, run: fn(&[u8]), mutants: &[Mutant]) {
    let missed = missed(target, run, mutants);
    assert!(missed.is_empty(), "nothing in corpus/{target} notices {missed:?}");
}

#[test]
fn the_chain_notices() {
    use Mutant::{JudgeCommittedOnly, LeaseApart, NoResendToNew, RewriteVersion, VersionRestarts};
    assert_found("chain", chain::run, &[JudgeCommittedOnly, LeaseApart, NoResendToNew, RewriteVersion, VersionRestarts]);
}

#[test]
fn the_chunks_notice() {
    assert_found("chunks", chunks::run, &[Mutant::CursorOverPins, Mutant::TrimUnacked]);
}

#[test]
fn the_stores_notice() {
    use Mutant::{ApplyTorn, KeepStaleKeys, PartialSnapshotInstalled, SessionsLeftOut};
    assert_found("stores", stores::run, &[ApplyTorn, KeepStaleKeys, PartialSnapshotInstalled, SessionsLeftOut]);
}

#[test]
fn the_world_notices() {
    let notices =
        |mutant: &Mutant| corpus("world").iter().any(|bytes| catch_unwind(|| world::run_with(mutant.name(), bytes)).is_err());
    for mutant in [Mutant::CountUnsynced, Mutant::RestartIgnored, Mutant::AnswerBeforeCommit] {
        assert!(notices(&mutant), "nothing in corpus/world notices {}", mutant.name());
    }
}

/// What the simulated world does not run. `TextOnly` is the fault `j` of another system, whose other faults sim/tests/scenarios.rs
/// recreates: bytes that are no text did not arrive as they were sent.
#[test]
fn the_readers_of_bytes_from_outside_notice() {
    let outside = |target: &Target| noticed_by(Watcher::Corpus(target.name));
    let missed: Vec<&str> = TARGETS.iter().flat_map(|target| missed(target.name, target.run, outside(target))).collect();
    assert!(missed.is_empty(), "nothing in the corpora notices {missed:?}");
    let planted: usize = TARGETS.iter().map(|target| outside(target).len()).sum();
    assert_eq!(planted + noticed_by(Watcher::Cluster).len(), Mutant::ELSEWHERE.len(), "`cargo sim` plants the cluster's");
}
