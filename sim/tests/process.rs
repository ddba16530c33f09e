//! Rounds with real processes in which something is done wrong on purpose. The binary under test is the one beside `catena-sim`:
//! `cargo build --release -p catena-node`.
#![cfg(not(madsim))]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn process(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catena-sim"));
    command.arg("process").args(arguments).output().expect("the binary was built")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Demands that what is planted is noticed with this exit code and in these words, and that all is said that it takes to look into it.
fn noticed(plant: &str, rounds: &str, code: i32, words: &str) {
    let output = process(&["--seed", "7", "--rounds", rounds, "--heal-within", "10", "--plant", plant]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(code), "{plant}: {text}");
    assert!(text.contains(words), "{plant}: {text}");
    let after = |start: &str| text.lines().find_map(|line| line.strip_prefix(start)).expect("a line that begins so");
    let again = after("again: ");
    assert!(again.contains("process --seed 7 --rounds ") && again.contains(plant), "{again}");
    let kept = Path::new(after("logs, data and history: "));
    let history = fs::read_to_string(kept.join("history.txt")).expect("what clients saw");
    assert!(history.lines().count() > 10, "{history}");
    assert!(kept.join("n3.log").is_file() && kept.join("n1/data").is_dir(), "{}", kept.display());
    fs::remove_dir_all(kept.parent().expect("the campaign's own")).expect("it is there");
}

#[test]
fn a_missing_binary_and_an_unknown_plant_are_said_in_one_line() {
    let output = process(&["--seed", "1", "--binary", "/nowhere/catena"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output).lines().count(), 1, "{}", text(&output));
    assert!(text(&output).contains("cargo build --release -p catena-node"), "{}", text(&output));
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(directory.path().join("seed-1/n1")).expect("a directory");
    let keep = directory.path().display().to_string();
    for (arguments, words) in [
        (["--binary", "/bin/true"], "/bin/true is no catena"),
        (["--binary", "/tmp"], "/tmp is no file"),
        (["--keep", &keep], "seed-1 has files of another cluster"),
    ] {
        let output = process(&[&["--seed", "1", "--rounds", "1"], &arguments[..]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(words), "{said}");
    }
    let output = process(&["--seed", "1", "--plant", "nothing"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("give one of old-disks"), "{}", text(&output));
}

#[test]
fn a_binary_that_has_other_bugs_than_it_is_to_have_is_refused_in_one_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let binary = directory.path().join("catena");
    let refused = |version: &str, mutant: &[&str], words: &str| {
        // Written by another process: what this one has open for writing, a child of a test beside may hold on to for a while.
        let script = format!("printf '#!/bin/sh\necho catena 0.1.0{version}\n' > {0} && chmod +x {0}", binary.display());
        assert!(Command::new("sh").args(["-c", &script]).status().expect("a shell").success());
        let output = process(&[&["--seed", "1", "--binary", &binary.display().to_string()], mutant].concat());
        assert_eq!((output.status.code(), text(&output).lines().count()), (Some(2), 1), "{}", text(&output));
        assert!(text(&output).contains(words), "{}", text(&output));
    };
    refused(", with planted bugs", &[], "has planted bugs compiled in: cargo build --release -p catena-node, by itself");
    refused("", &["--mutant", "NoResend"], "cannot have a planted bug: cargo build --release -p catena-node --features mutants");
}

// One test for all: clusters on one machine are in each other's way.
#[test]
fn what_is_done_wrong_is_noticed() {
    noticed("unasked", "1", 12, "nobody asked it to");
    noticed("old-disks", "1", 10, "failed: ");
    noticed("repeats-outside-sessions", "5", 10, "failed: linearizability");
    noticed("unhealed", "1", 11, "the cluster is not whole");
}
