//! Every scenario shows what its file says, and ends with clean checkers.
#![cfg(not(madsim))]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};

use catena_core::mutants::Mutant;
use catena_sim::Printing;
use catena_sim::mutation::with;
use catena_sim::scenario::{files, play};

#[test]
fn every_scenario_shows_what_its_file_says() {
    let files = files().expect("the folder is there");
    assert!(files.len() >= 36, "only {} scenarios", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("a readable file");
        match play(&text, Printing::Off) {
            Err(error) => wrong.push(format!("{name}: {error}")),
            Ok(played) => {
                wrong.extend(played.differences.iter().map(|difference| format!("{name}, {difference}")));
                wrong.extend(played.halt.map(|halt| format!("{name}, {halt}")));
            }
        }
    }
    let how = "if that is meant: cargo run --release -p catena-sim -- scenario --write";
    assert!(wrong.is_empty(), "{}\n{how}", wrong.join("\n"));
}

#[test]
fn every_fault_that_was_seen_elsewhere_has_its_story() {
    // The faults of another system have letters, and files name those that they show. `z` is none of a history but a cost: it
    // is held by core/tests/coordinator/cost.rs.
    let faults: BTreeSet<char> = ('a'..='y').collect();
    let mut told = BTreeSet::new();
    for file in files().expect("the folder is there") {
        let text = std::fs::read_to_string(&file).expect("a readable file");
        let tags = text.lines().filter_map(|line| line.strip_prefix("# parity: ")).flat_map(|tags| tags.split(", "));
        for tag in tags {
            let fault = tag.parse().ok().filter(|letter| faults.contains(letter));
            told.insert(fault.unwrap_or_else(|| panic!("{}: {tag:?} names no fault: use a to y", file.display())));
        }
    }
    let untold: Vec<&char> = faults.difference(&told).collect();
    assert!(
        untold.is_empty(),
        "no scenario shows the faults {untold:?}: name them in the file that does, as in `# parity: a, o`"
    );
}

/// The planted bug that brings each fault back, and the story that it makes go otherwise. One is not here: nothing on the way of
/// `j` (bytes that are no text) is the core's, it is planted in net's conversions, as `TextOnly`, by fuzz/tests/planted.rs.
const RECREATED: &[(char, &str, Mutant)] = &[
    ('a', "copy-of-many-parts", Mutant::ActivateEarly),
    ('b', "tail-loses-coordinator", Mutant::RouteBeforeChain),
    ('c', "handover-tail-dies", Mutant::ReadinessForgotten),
    ('d', "tail-loses-coordinator", Mutant::ReadWithoutLease),
    ('e', "tail-dies", Mutant::NewTailCuts),
    ('f', "two-compare-and-sets", Mutant::JudgeCommittedOnly),
    ('g', "paused-head", Mutant::CutIsNotExecuted),
    ('h', "all-restart-tail-ahead", Mutant::SkipMatching),
    ('i', "late-decision", Mutant::EpochIgnored),
    ('k', "readmitted-again", Mutant::ReadyAtOnce),
    ('l', "incomplete-source", Mutant::JoinBehindUnready),
    ('m', "concurrent-writers", Mutant::NoResendToNew),
    ('n', "lost-hop", Mutant::NoResend),
    ('n', "value-at-the-limit", Mutant::SizeAtMiddle),
    ('o', "joiner-dies", Mutant::JoinerDeathIgnored),
    ('p', "second-failure", Mutant::NoResendToNew),
    ('q', "every-member-drained", Mutant::FenceLifted),
    ('r', "unreachable-among-many", Mutant::JoinerDeathIgnored),
    ('s', "wrong-rack", Mutant::LabelsIgnored),
    ('t', "coordinator-paused", Mutant::PauseCountsAsSilence),
    ('u', "unreachable-among-many", Mutant::OneBlocksAll),
    ('v', "restart-in-place", Mutant::RestartIgnored),
    ('w', "joiner-dies", Mutant::ResumeFromAcked),
    ('x', "writes-outrun-the-copy", Mutant::SpillLost),
    ('y', "never-heard", Mutant::UnheardNeverDies),
];

#[test]
fn a_story_goes_otherwise_where_its_fault_is_planted() {
    for (fault, name, mutant) in RECREATED {
        let file =
            files().expect("the folder is there").into_iter().find(|file| file.file_stem().is_some_and(|stem| stem == *name));
        let text = std::fs::read_to_string(file.expect("there is such a story")).expect("a readable file");
        let tags = text.lines().filter_map(|line| line.strip_prefix("# parity: ")).flat_map(|tags| tags.split(", "));
        assert!(tags.into_iter().any(|tag| tag == fault.to_string()), "{name} does not say that it shows {fault}");
        let played = with(*mutant, || play(&text, Printing::Off)).expect("it is well formed");
        assert!(played.halt.is_some() || !played.differences.is_empty(), "{fault}: {name} is the same under {}", mutant.name());
    }
    let told: BTreeSet<char> = RECREATED.iter().map(|(fault, ..)| *fault).chain(['j']).collect();
    assert_eq!(told, ('a'..='y').collect());
}

#[test]
fn what_was_written_is_what_is_shown_the_next_time() {
    let text = "cluster nodes=3 replicas=3\n----\n\nput a 1\nkill n1\nput a 2 exactly-once\nstatus\nreplicas\n----\nwrong\n";
    let first = play(text, Printing::Off).expect("it is well formed");
    assert_eq!((first.differences.len(), &first.halt), (2, &None));
    assert!(first.text.contains("v2 = n2 n3"), "{}", first.text);
    let second = play(&first.text, Printing::Off).expect("it is well formed");
    assert_eq!((second.differences.len(), &second.text), (0, &first.text));
}

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_catena-sim")).args(arguments).output().expect("the binary was built")
}

fn scenario(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("a folder for tests");
    path
}

#[test]
fn exit_codes_tell_a_difference_from_a_mistake_and_from_what_did_not_happen() {
    let cases = [
        ("differs.txt", "cluster nodes=1 replicas=1\n----\nv9 = n1\n", 1, "- v9 = n1\n+ v1 = n1"),
        ("unknown.txt", "cluster nodes=1 replicas=1\n----\n\nfly n1\n----\n", 2, "line 4: there is no command \"fly\""),
        ("nobody.txt", "cluster nodes=1 replicas=1\n----\n\nkill n2\n----\n", 2, "line 4: there is no \"n2\""),
        (
            "unmet.txt",
            "cluster nodes=1 replicas=1\n----\nv1 = n1\n\nuntil v2 within=1s\n----\n",
            11,
            "line 5: not so within 1000 ms",
        ),
        (
            "undamaged.txt",
            "cluster nodes=1 replicas=1\n----\nv1 = n1\n\ndamage n1 a\n----\n",
            11,
            "line 5: there is no such record on that disk",
        ),
    ];
    for (name, text, code, says) in cases {
        let file = scenario(name, text);
        let output = sim(&["scenario", file.to_str().expect("UTF-8")]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
        assert!(said.contains(says), "{name}: {said}");
    }
    let absent = sim(&["scenario", "/nowhere/at-all.txt"]);
    let said = String::from_utf8_lossy(&absent.stderr).into_owned();
    assert_eq!((absent.status.code(), said.lines().count()), (Some(2), 1), "{said}");
}

#[test]
fn a_story_is_told_with_a_planted_bug_and_its_file_is_left_alone() {
    let story = |name: &str| format!("{}/scenarios/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let (lost_hop, late_decision) = (story("lost-hop"), story("late-decision"));
    let before = std::fs::read_to_string(&late_decision).expect("a readable file");
    for (arguments, code, says) in [
        (
            &["scenario", &lost_hop, "--mutant", "NoResend"][..],
            1,
            "NoResend breaks rule W6: What a link lost is never sent again.",
        ),
        (&["scenario", &late_decision, "--mutant", "EpochIgnored"], 1, "late-decision.txt, line "),
        (&["scenario", &late_decision, "--mutant", "NoDriftMargin"], 0, "1 scenarios, all as their files say"),
        (&["scenario", &lost_hop, "--mutant", "Nobody"], 2, "there is no mutant \"Nobody\": give one of Judge"),
        (&["scenario", "--write", &late_decision, "--mutant", "EpochIgnored"], 2, "cannot be used with"),
    ] {
        let output = sim(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    assert_eq!(std::fs::read_to_string(&late_decision).expect("a readable file"), before);
}

#[test]
fn a_file_with_an_output_written_into_it_is_clean_afterwards() {
    let file = scenario("written.txt", "# Three.\ncluster nodes=3 replicas=3\n----\n\nput a 1\n----\n");
    let name = file.to_str().expect("UTF-8");
    assert_eq!(sim(&["scenario", name]).status.code(), Some(1));
    assert_eq!(sim(&["scenario", "--write", name]).status.code(), Some(0));
    assert_eq!(sim(&["scenario", name]).status.code(), Some(0));
    let text = std::fs::read_to_string(&file).expect("it was written");
    assert!(text.starts_with("# Three.\ncluster nodes=3 replicas=3\n----\nv1 = n1 n2 n3\n\nput a 1\n----\n"), "{text}");
}
