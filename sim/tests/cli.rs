//! The command line: exit codes, and what a failure says.
#![cfg(not(madsim))]

use std::process::{Command, Output};

use catena_core::mutants::Mutant;
use catena_sim::mutation::hunt;
use catena_sim::{Scale, Severity};

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_catena-sim")).args(arguments).output().expect("the binary was built")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn clean_seeds_exit_with_0_and_a_summary_that_counts_every_fault() {
    let output = sim(&["run", "--seeds", "0..20", "--ops", "200", "--twice"]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("20 seeds, 0 failed"), "{text}");
    for fault in catena_sim::Fault::ALL {
        assert!(text.contains(fault.name()), "{fault} is not counted: {text}");
    }
}

#[test]
fn a_campaign_goes_on_where_it_was_and_comes_to_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let totals = |seeds: &[&str], name: &str| {
        let file = directory.path().join(name);
        for seeds in seeds {
            let file = file.to_str().expect("letters");
            let output = sim(&["run", "--seeds", seeds, "--ops", "100", "--jobs", "3", "--totals", file]);
            assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        }
        let mut totals: serde_json::Value = serde_json::from_slice(&std::fs::read(file).expect("written")).expect("JSON");
        totals["thread_seconds"] = 0.into();
        totals
    };
    let (at_once, in_parts) = (totals(&["5..30"], "at-once"), totals(&["5..12", "5..30", "5..30"], "in-parts"));
    assert_eq!(at_once["report"]["seeds"], 25);
    assert_eq!(at_once, in_parts);
}

#[test]
fn totals_name_the_commit_of_the_build_wherever_the_program_is_started() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_catena-sim"));
    command.args(["run", "--seeds", "0..1", "--ops", "10", "--totals", "t.json"]).current_dir(&directory);
    let output = command.env("PATH", "").output().expect("the binary was built");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let written = std::fs::read(directory.path().join("t.json")).expect("written");
    let totals: serde_json::Value = serde_json::from_slice(&written).expect("JSON");
    assert_eq!(totals["commit"], env!("CATENA_COMMIT"));
}

#[test]
fn mutants_are_shrunk_where_that_is_wanted() {
    let arguments = ["mutants", "--only", "CountUnsynced,AnswerOfAnotherSession", "--seeds", "10"];
    let (plain, small) = (sim(&arguments), sim(&[&arguments[..], &["--shrink"]].concat()));
    for output in [&plain, &small] {
        assert_eq!(output.status.code(), Some(0), "{}", text(output));
        assert!(text(output).contains("2 of 2 caught, "), "{}", text(output));
    }
    let says = "2 of 2 shrink to at most 20 events.";
    assert!(text(&small).contains("| shrunk to |") && text(&small).contains(says), "{}", text(&small));
    assert!(!text(&plain).contains("shrunk") && !text(&plain).contains(says), "{}", text(&plain));
}

#[test]
fn what_the_documents_show_shrinking_fails_in_this_build() {
    let documents = [include_str!("../../README.md"), include_str!("../../CONTRIBUTING.md")];
    let commands = documents.iter().flat_map(|text| text.lines()).filter_map(|line| Some(line.split_once(" shrink ")?.1));
    let shown: Vec<Vec<&str>> = commands.map(|arguments| arguments.split(' ').take(4).collect()).collect();
    assert!(shown.len() >= 2, "{shown:?}");
    for arguments in shown {
        let output = sim(&[&["replay"], &arguments[..]].concat());
        assert!(matches!(output.status.code(), Some(10 | 11)), "{arguments:?}: {}", text(&output));
    }
}

/// The shell command of deploy/campaign.yaml, as YAML folds it.
fn command_of_a_pod() -> String {
    let manifest = include_str!("../../deploy/campaign.yaml");
    let (_, folded) = manifest.split_once("- >-\n").expect("its command");
    let depth = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<&str> = folded.lines().take_while(|line| depth(line) == depth(folded)).map(str::trim).collect();
    lines.join(" ")
}

#[test]
fn each_pod_of_a_campaign_runs_seeds_of_its_own() {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_catena-sim"));
    let path = format!("{}:/usr/bin:/bin", binary.parent().expect("a directory").display());
    let ran = |pod: u64| {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-xc").arg(command_of_a_pod()).env("PATH", &path);
        let output = shell.env("JOB_COMPLETION_INDEX", pod.to_string()).env("SEEDS_EACH", "4").output().expect("a shell");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        text(&output)
    };
    for (pod, seeds) in [(0, "--seeds 0..4"), (3, "--seeds 12..16")] {
        let text = ran(pod);
        assert!(text.contains(seeds) && text.contains("4 seeds, 0 failed"), "{text}");
    }
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_is_wrong() {
    for (arguments, says) in [
        (&["run", "--seeds", "9..3"][..], "is no range of seeds"),
        (&["run", "--seeds", "9"], "is no range of seeds"),
        (&["run", "--seeds", "0..1", "--nodes", "0"], "0 is not in 1..=9"),
        (&["run", "--for", "10"], "is no time"),
        (&["run", "--for", "0s"], "is no time"),
        (&["run", "--seeds", "0..1", "--from", "7"], "cannot be used with"),
        (&["run", "--seeds", "0..1", "--totals", "/tmp"], "give another file"),
        (&["run", "--seeds", "0..1", "--totals", "/nowhere/t.json"], "cannot write /nowhere/t.json"),
        (&["run", "--seeds", "0..1", "--totals", "Cargo.toml"], "Cargo.toml holds no totals"),
        (&["run", "--seeds", "0..1", "--ops", "1", "--record", "Cargo.toml"], "there is no table of campaigns in Cargo.toml"),
        (&["run", "--seeds", "0..1", "--jobs", "0"], "0 is not in 1..=1024"),
        (&["mutants", "--seeds", "0"], "0 is not in 1..=1000000000"),
        (&["mutants", "--jobs", "0"], "0 is not in 1..=1024"),
        (&["mutants", "--only", "NoResend", "--write", "/nowhere/m.md"], "cannot write /nowhere/m.md"),
        (&["replay", "--seed", "1", "--mutant", "Nobody"], "there is no mutant"),
    ] {
        let output = sim(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output).contains(says), "{arguments:?}: {}", text(&output));
    }
}

#[test]
fn ten_failing_seeds_end_a_campaign_and_that_is_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let totals = directory.path().join("totals.json").display().to_string();
    let run = || sim(&["run", "--seeds", "0..100000", "--drift", "50", "--totals", &totals]);
    for output in [run(), run()] {
        let text = text(&output);
        assert!(matches!(output.status.code(), Some(10 | 11)), "{text}");
        assert!(text.contains("the campaign is over") && !text.contains("goes on behind them"), "{text}");
    }
}

#[test]
fn the_last_seed_of_all_is_the_last() {
    let output = sim(&["run", "--seeds", &format!("{}..{}", u64::MAX - 2, u64::MAX), "--ops", "10"]);
    assert!(text(&output).contains("2 seeds, 0 failed"), "{}", text(&output));
}

#[test]
fn a_planted_bug_that_nothing_shows_is_no_success() {
    let output = sim(&["mutants", "--only", "NoResend", "--seeds", "1"]);
    assert_eq!(output.status.code(), Some(13), "{}", text(&output));
}

#[test]
fn a_violation_is_named_and_its_exit_code_tells_safety_from_liveness() {
    for (mutant, severity, code) in
        [(Mutant::AnswerBeforeCommit, Severity::Safety, 10), (Mutant::NoResend, Severity::Liveness, 11)]
    {
        let fate = hunt(mutant, 400, Scale::default());
        let (took, violation) = fate.caught.expect("caught within 400 seeds");
        assert_eq!(violation.severity, severity, "{}: {violation}", mutant.name());
        let seed = (took - 1).to_string();
        let output = sim(&["replay", "--seed", &seed, "--mutant", mutant.name()]);
        let text = text(&output);
        assert_eq!(output.status.code(), Some(code), "{violation}");
        assert!(text.contains("options:") && text.contains(&violation.sentence), "{violation}");
    }
}
