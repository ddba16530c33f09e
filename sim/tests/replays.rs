//! Shrinking a failing seed, and replaying what is left: from files that are whole, and from files that are not.
#![cfg(not(madsim))]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use catena_core::mutants::Mutant;
use catena_sim::mutation::hunt;
use catena_sim::replay::{FileError, Look, Shrunk, Subject, shrink};
use catena_sim::{Printing, Scale, Violation};

const SILENT: Look = Look { printing: Printing::Off, until: None, page: false };
const MINUTE: Duration = Duration::from_mins(1);

/// The first seed that a mutant fails under, shrunk.
fn shrunk(mutant: Mutant) -> Shrunk {
    let seed = hunt(mutant, 100, Scale::default()).caught.expect("caught within 100 seeds").0 - 1;
    shrink(seed, Scale::default(), Some(mutant), MINUTE, |_, _| {}).expect("it fails")
}

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_catena-sim")).args(arguments).output().expect("the binary was built")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A file of this test run that nobody else writes.
fn file(name: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{count}-{name}", std::process::id()))
}

/// Of each kind of bug, and of each checker, one.
const VARIED: &[Mutant] = &[
    Mutant::ReadWithoutLease,
    Mutant::CountUnsynced,
    Mutant::AnswerOfAnotherSession,
    Mutant::CutIsNotExecuted,
    Mutant::NoResend,
    Mutant::SkipMatching,
    Mutant::OlderChain,
    Mutant::EvictWithoutFence,
    Mutant::PauseCountsAsSilence,
    Mutant::CorruptIsAbsent,
    Mutant::NewTailCuts,
    Mutant::TrimUnacked,
];

#[test]
fn planted_bugs_shrink_to_a_few_events_that_replay_to_the_same_violation_and_trace() {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(mutant) = VARIED.get(next.fetch_add(1, Ordering::Relaxed)) {
            let begun = Instant::now();
            let (seeds, found) = hunt(*mutant, 100, Scale::default()).caught.expect("caught within 100 seeds");
            let small = shrink(seeds - 1, Scale::default(), Some(*mutant), MINUTE, |_, _| {}).expect("it fails");
            let took = begun.elapsed();
            let kind = |violation: &Violation| (violation.checker, violation.rule);
            assert_eq!(kind(&small.violation), kind(&found), "{}", mutant.name());
            assert!(took < MINUTE * 2, "{}: {took:?}", mutant.name());
            assert!(small.events <= 20, "{}: {} of {} events are left", mutant.name(), small.events, small.events_before);
            assert!(small.file.len() < 10_000, "{}: {} bytes", mutant.name(), small.file.len());
            let again = Subject::file(&small.file).expect("just written").replay(SILENT, "");
            assert_eq!(again.difference, None, "{}", mutant.name());
            assert_eq!(again.violation, Some(small.violation), "{}", mutant.name());
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
}

#[test]
fn the_same_seed_shrinks_to_the_same_file() {
    let small = || shrink(2, Scale::default(), Some(Mutant::ReadWithoutLease), MINUTE, |_, _| {}).expect("it fails");
    let (one, other) = (small(), small());
    assert!(one.events < one.events_before);
    assert_eq!(one.file, other.file);
}

#[test]
fn a_clean_seed_is_nothing_to_shrink() {
    let scale = Scale { operations: 50, ..Scale::default() };
    assert!(shrink(1, scale, None, MINUTE, |_, _| {}).is_none());
    let out = file("clean.replay");
    let output = sim(&["shrink", "--seed", "1", "--ops", "50", "--out", out.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("is clean, there is nothing to shrink"), "{}", text(&output));
    assert!(!out.exists(), "nothing is left behind");
}

#[test]
fn a_small_world_without_faults_is_clean_when_no_bug_is_planted() {
    // What shrinking comes down to must not fail by itself: else a bug would be mistaken for the smallness.
    for mutant in [Mutant::ReadWithoutLease, Mutant::NewTailCuts, Mutant::NoResend, Mutant::SkipMatching] {
        let sound = shrunk(mutant).file.replace(&format!("mutant {}", mutant.name()), "mutant none");
        let (body, _) = sound.trim_end().rsplit_once('\n').expect("many lines");
        let replayed = Subject::file(&format!("{body}\nend unchecked\n")).expect("unchecked").replay(SILENT, "");
        assert_eq!(replayed.violation, None, "{}", mutant.name());
        assert!(replayed.difference.expect("the file says otherwise").contains("nothing is violated"));
    }
}

#[test]
fn clocks_that_are_worse_than_promised_are_so_in_the_replay_of_a_shrunk_seed() {
    const SKEWED: u64 = 2;
    let scale = Scale { drift: 20, ..Scale::default() };
    let small = shrink(SKEWED, scale, Some(Mutant::ReadWithoutLease), MINUTE, |_, _| {}).expect("it fails");
    let replay = |file: &str| Subject::file(file).expect("it is whole").replay(SILENT, "");
    assert_eq!(replay(&small.file).difference, None);
    let (body, _) = small.file.trim_end().rsplit_once('\n').expect("many lines");
    let promised = format!("{}\nend unchecked\n", body.replacen("drift 20", "drift 1", 1));
    assert!(replay(&promised).difference.is_some(), "its clocks matter");
}

#[test]
fn a_file_of_another_version_cut_short_or_damaged_is_refused_with_a_reason() {
    let whole = shrunk(Mutant::ReadWithoutLease).file;
    let refused = |text: &str| Subject::file(text).expect_err("it is not whole");
    assert_eq!(refused(""), FileError::Other);
    assert_eq!(refused("[package]\nname = \"x\"\n"), FileError::Other);
    let other = whole.replacen("catena-sim replay 2", "catena-sim replay 1", 1);
    assert_eq!(refused(&other), FileError::Version { found: "1".to_owned() });
    for end in "catena-sim replay 2".len()..whole.len() {
        assert!(matches!(refused(&whole[..end]), FileError::CutShort | FileError::Damaged { .. }), "{end} bytes");
    }
    for place in ("catena-sim replay 2\n".len()..whole.len() - 1).step_by(3) {
        let mut bytes = whole.clone().into_bytes();
        bytes[place] = if bytes[place] == b'7' { b'8' } else { b'7' };
        let damaged = String::from_utf8(bytes).expect("ASCII");
        assert!(matches!(refused(&damaged), FileError::CutShort | FileError::Damaged { .. }), "byte {place}");
    }
}

#[test]
fn a_line_that_makes_no_sense_is_refused_by_its_number() {
    let whole = shrunk(Mutant::ReadWithoutLease).file;
    let (body, _) = whole.trim_end().rsplit_once('\n').expect("many lines");
    for (line, instead, number, says) in [
        ("nodes 5", "nodes 10", 4, "10 is not between 1 and 9"),
        ("nodes 5", "knots 5", 4, "stands where \"nodes\""),
        ("drift 1", "drift 51", 6, "51 is not between 1 and 50"),
        ("mutant ReadWithoutLease", "mutant Nobody", 7, "there is no mutant \"Nobody\" in this build"),
        ("checker serving", "checker nobody", 14, "is none of linearizability,"),
        ("call client-", "call n", 21, "makes no calls"),
        ("call client-", "call client-99", 21, "clients"),
        ("call client-", "shout client-", 21, "is none of fault, call and step"),
        (" 0 :", " 0 : x", 20, "\"x\" is no number"),
        ("heals ", "heals 9999999", 12, "later than any world lasts"),
    ] {
        assert!(body.contains(line), "{line}: {body}");
        let text = format!("{}\nend unchecked\n", body.replacen(line, instead, 1));
        match Subject::file(&text) {
            Err(FileError::Line { number: found, what }) => {
                assert!(what.contains(says), "{instead}: {what}");
                assert_eq!(found, number, "{instead}: {what}");
            }
            other => panic!("{instead}: {other:?}"),
        }
    }
}

#[test]
fn the_command_line_shrinks_replays_stops_and_says_in_one_line_what_is_wrong() {
    let out = file("read.replay");
    let name = out.to_str().expect("UTF-8");
    let shrinks = sim(&["shrink", "--seed", "2", "--mutant", "ReadWithoutLease", "--out", name]);
    assert_eq!(shrinks.status.code(), Some(0), "{}", text(&shrinks));
    assert!(text(&shrinks).contains(&format!("replay {name}")), "{}", text(&shrinks));

    let replays = sim(&["replay", name]);
    assert_eq!(replays.status.code(), Some(10), "{}", text(&replays));
    assert!(text(&replays).contains("failed: serving (R1)") && !text(&replays).contains("warning"), "{}", text(&replays));

    let stops = sim(&["replay", name, "--until", "20"]);
    assert_eq!(stops.status.code(), Some(0), "{}", text(&stops));
    assert!(text(&stops).contains("stopped at step 20, nothing is violated so far"), "{}", text(&stops));

    let whole = std::fs::read_to_string(&out).expect("just written");
    std::fs::write(&out, &whole[..whole.len() / 2]).expect("it was written before");
    for (arguments, says) in [
        (&["replay", name][..], "it is cut short"),
        (&["replay", "/nonexistent/x.replay"], "cannot be read"),
        (&["replay", "--seed", "1", "--html", "/nonexistent/x.html", "--ops", "10"], "cannot write"),
        (&["shrink", "--seed", "1", "--out", "/nonexistent/x.replay"], "cannot write"),
        (&["shrink", "--seed", "1", "--out", name, "--html", "/nonexistent/x.html"], "cannot write"),
        (&["shrink", "--seed", "1", "--out", name, "--html", name], "cannot be both"),
        (&["shrink", "--seed", "1", "--ops", "10", "--out", name], "is clean, there is nothing to shrink"),
        (&["shrink", "--seed", "1", "--mutant", "Nobody", "--out", name], "there is no mutant \"Nobody\": give one of Judge"),
        (&["run", "--seeds", "7..7"], "is no range of seeds: write it as A..B"),
        (&["scenario", "no-such-story.txt"], "head-dies.txt"),
    ] {
        let output = sim(arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(says), "{arguments:?}: {errors}");
        let usage = errors.lines().filter(|line| !line.is_empty() && !line.starts_with("For more information")).count();
        assert_eq!(usage, 1, "{arguments:?}: {errors}");
    }
    let left = std::fs::read_to_string(&out).expect("it is there");
    assert_eq!(left, whole[..whole.len() / 2], "what cannot be replaced stays");
    std::fs::remove_file(out).expect("it is there");
}
