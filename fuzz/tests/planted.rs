//! The targets notice: with a bug planted, something in the corpus fails.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use catena_core::mutants::Mutant;
use catena_fuzz::{chain, chunks, stores, world};
use catena_sim::mutation::with;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
}

fn is_found(target: &str, run: fn(&[u8]), mutant: Mutant) -> bool {
    corpus(target).iter().any(|bytes| with(mutant, || catch_unwind(|| run(bytes)).is_err()))
}

/// The corpus of a target must notice each of these mutants.
fn assert_found(target: &str, run: fn(&[u8]), mutants: &[Mutant]) {
    let missed: Vec<&str> =
        mutants.iter().filter(|mutant| !is_found(target, run, **mutant)).map(|mutant| mutant.name()).collect();
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
