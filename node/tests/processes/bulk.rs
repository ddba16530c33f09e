//! `catena load` and `catena export`: what they move, how much memory that takes, and where to go on after a run that ended early.

use std::fs;
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::load::client;
use crate::support::{Dev, Process, block_on, catena, eventually, refused, signal, text};

fn value(line: u64) -> String {
    format!("value {line}")
}

fn pair(line: u64) -> String {
    format!("{{\"key\":\"key {line}\",\"value\":\"{}\"}}\n", value(line))
}

/// A file with so many pairs, each with another key.
fn pairs(directory: &Path, count: u64) -> PathBuf {
    let path = directory.join("pairs.jsonl");
    fs::write(&path, (1..=count).map(pair).collect::<Vec<_>>().concat()).expect("a file");
    path
}

fn command(cluster: &Dev, file: &Path) -> Command {
    let mut command = catena();
    command.arg("load").arg(file).args(["--endpoints", &cluster.endpoint()]);
    command
}

/// The lines that a run which ended early says are stored.
fn resumable(error: &str) -> u64 {
    let (_, from) = error.split_once("resume with --from-line ").unwrap_or_else(|| panic!("not resumable: {error}"));
    let stored = from.trim().parse::<u64>().expect("a line") - 1;
    assert!(error.contains(&format!("; {stored} line")), "{error}");
    stored
}

/// Whether the line says how far a run is, which one that takes long says now and then.
fn is_progress(line: &str) -> bool {
    line.contains(" pairs, ") && line.contains("/s, --from-line ")
}

/// What it complains of, if it has yet.
pub(crate) fn complaint(load: &Process) -> Option<String> {
    load.stderr.try_iter().find(|line| !is_progress(line))
}

/// Demands that the pairs of these lines are stored.
fn assert_stored(cluster: &Dev, mut lines: RangeInclusive<u64>) {
    /// Reads at once.
    const READS: usize = 200;
    block_on(async {
        let client = client(&cluster.endpoint()).await;
        while !lines.is_empty() {
            let read = |line| {
                let client = client.clone();
                (line, tokio::spawn(async move { client.get(format!("key {line}")).await }))
            };
            for (line, found) in lines.by_ref().take(READS).map(read).collect::<Vec<_>>() {
                let found = found.await.expect("a read does not panic").expect("a read").object;
                assert_eq!(found.map(|object| object.value), Some(value(line).into()), "line {line}");
            }
        }
    });
}

/// Waits until the pair of this line is stored.
fn await_line(cluster: &Dev, line: u64) {
    block_on(async {
        let client = client(&cluster.endpoint()).await;
        while client.get(format!("key {line}")).await.expect("a read").object.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn pairs_come_from_standard_input_as_they_are_printed() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1"]);
    let load = |lines: &[u8]| {
        let mut load = command(&cluster, Path::new("-"));
        let mut load = load.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        load.stdin.take().unwrap().write_all(lines).unwrap();
        let output = load.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let lines = b"{\"key\":\"text\",\"value\":\"one\"}\n\n{\"key\":\"bytes\",\"value_base64\":\"/wA=\"}\n{\"key\":\"text\",\"value\":\"two\"}";
    assert!(load(lines).starts_with("3 pairs, 21 B in "), "count and bytes");
    assert_eq!(cluster.run(&["get", "bytes"]).stdout, b"\xff\0");
    assert_eq!(cluster.run(&["get", "text"]).stdout, b"two", "of two lines with one key, the later one counts");
    let printed = ["bytes", "text"].map(|key| cluster.run(&["get", key, "-o", "json"]).stdout).concat();
    for key in ["bytes", "text"] {
        assert!(cluster.run(&["del", key]).status.success());
    }
    load(&printed);
    assert_eq!(cluster.run(&["get", "bytes"]).stdout, b"\xff\0");
    assert_eq!(cluster.run(&["get", "text"]).stdout, b"two");
}

#[test]
fn a_line_that_is_wrong_is_named_and_all_before_it_are_stored() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1"]);
    let file = pairs(directory.path(), 2000);
    let right = fs::read_to_string(&file).unwrap();
    let long = format!("{{\"key\":\"{}\",", "k".repeat(4097));
    for (wrong, said) in [
        ("{\"kay\":\"k\",", "neither key nor key_base64"),
        ("{\"key\":k,", "not a pair in JSON"),
        (&long, "4097"),
        ("{\"key\":\"\",", "empty"),
    ] {
        fs::write(&file, right.replace("{\"key\":\"key 1500\",", wrong)).unwrap();
        let error = refused(&command(&cluster, &file).output().unwrap(), 1);
        assert!(error.contains("line 1500: ") && error.contains(said), "{error}");
        assert_eq!(resumable(&error), 1499);
    }
    assert_stored(&cluster, 1..=1499);
    fs::write(&file, right).unwrap();
    let output = command(&cluster, &file).args(["--from-line", "1500"]).output().unwrap();
    assert!(text(&output.stdout).starts_with("501 pairs"), "{}", text(&output.stderr));
    assert_stored(&cluster, 1500..=2000);
    let error = refused(&command(&cluster, &directory.path().join("nothing")).output().unwrap(), 1);
    assert!(error.contains("nothing"), "{error}");
}

#[test]
fn a_hundred_thousand_pairs_take_little_memory() {
    const PAIRS: u64 = 100_000;
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1"]);
    let file = pairs(directory.path(), PAIRS);
    let mut load = Process::spawn(&mut command(&cluster, &file));
    let mut peak = 0;
    let summary = loop {
        let status = fs::read_to_string(format!("/proc/{}/status", load.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
        peak = peak.max(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap());
        match load.stdout.recv_timeout(Duration::from_millis(10)) {
            Ok(summary) => break summary,
            Err(_) => assert_eq!(complaint(&load), None, "it has nothing to complain of"),
        }
    };
    assert!(summary.starts_with("100,000 pairs, "), "{summary}");
    assert!(load.wait().success());
    assert!((1..64 << 10).contains(&peak), "{peak} KiB");
    assert_stored(&cluster, 1..=PAIRS);
}

#[test]
fn a_node_that_dies_does_not_end_it() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &[]);
    let file = pairs(directory.path(), 40_000);
    let mut load = Process::spawn(&mut command(&cluster, &file));
    await_line(&cluster, 5000);
    signal(cluster.pid_of("n2"), Signal::KILL);
    let summary = eventually("its end", || load.stdout.try_recv().ok());
    assert!(summary.starts_with("40,000 pairs, "), "{summary}");
    assert!(load.wait().success());
    assert_stored(&cluster, 1..=40_000);
}

#[test]
fn after_the_death_of_a_cluster_it_goes_on_where_it_ended() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &[]);
    let port = cluster.port;
    let file = pairs(directory.path(), 40_000);
    let mut load = Process::spawn(command(&cluster, &file).args(["--timeout", "2s"]));
    await_line(&cluster, 5000);
    cluster.kill_all();
    let error = eventually("its end", || complaint(&load));
    assert!(matches!(load.wait().code(), Some(5 | 6)), "{error}");
    let stored = resumable(&error);
    assert!((4000..40_000).contains(&stored) && error.contains(&format!("line {}: ", stored + 1)), "{error}");
    let cluster = Dev::start_at(port, directory.path(), &[]);
    assert_stored(&cluster, 1..=stored);
    let output = command(&cluster, &file).args(["--from-line", &(stored + 1).to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_stored(&cluster, stored + 1..=40_000);
}

#[test]
fn an_interrupted_run_stores_what_it_has_begun() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1"]);
    let (lines, mut input) = std::io::pipe().unwrap();
    let mut load = Process::spawn(command(&cluster, Path::new("-")).stdin(lines));
    thread::spawn(move || (1..).try_for_each(|line| input.write_all(pair(line).as_bytes())));
    await_line(&cluster, 2000);
    signal(load.pid(), Signal::INT);
    let error = eventually("its end", || complaint(&load));
    assert_eq!(load.wait().code(), Some(5), "{error}");
    assert!(error.contains("interrupted"), "{error}");
    let stored = resumable(&error);
    assert_stored(&cluster, 1..=stored);
    // One that has nothing to do ends as well, and at once.
    let (lines, _input) = std::io::pipe().unwrap();
    let mut idle = Process::spawn(command(&cluster, Path::new("-")).stdin(lines));
    eventually("its threads", || {
        fs::read_dir(format!("/proc/{}/task", idle.pid())).is_ok_and(|tasks| tasks.count() > 1).then_some(())
    });
    signal(idle.pid(), Signal::INT);
    assert_eq!(idle.wait().code(), Some(5));
}

#[test]
fn a_killed_run_without_a_terminal_has_said_where_to_resume() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1"]);
    let (lines, mut input) = std::io::pipe().unwrap();
    let mut load = Process::spawn(command(&cluster, Path::new("-")).stdin(lines));
    // Slowly, so that it takes long.
    thread::spawn(move || {
        (1..).try_for_each(|line| {
            thread::sleep(Duration::from_millis(10));
            input.write_all(pair(line).as_bytes())
        })
    });
    let progress = eventually("how far it is", || load.stderr.try_recv().ok());
    assert!(is_progress(&progress), "{progress}");
    signal(load.pid(), Signal::KILL);
    assert!(!load.wait().success());
    let (_, next) = progress.split_once("--from-line ").unwrap();
    let stored = next.parse::<u64>().expect("a line") - 1;
    assert!(stored > 0, "{progress}");
    assert_stored(&cluster, 1..=stored);
}

#[test]
fn what_is_exported_from_one_cluster_is_loaded_into_another() {
    let [one, other] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let [from, to] = [&one, &other].map(|directory| Dev::start(directory.path(), &["--nodes", "1"]));
    let file = pairs(one.path(), 3000);
    assert!(command(&from, &file).status().unwrap().success());
    assert!(from.run(&["put", "bytes", "-"]).status.success(), "an empty value, from an empty standard input");
    assert!(from.run(&["del", "key 7"]).status.success());
    let output = from.run(&["export"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    assert_eq!(lines.lines().count(), 3000);
    assert!(!lines.contains("\"key 7\"") && lines.contains("\"key 8\""));
    let exported = one.path().join("exported.jsonl");
    fs::write(&exported, &output.stdout).unwrap();
    assert!(command(&to, &exported).status().unwrap().success());
    // The same pairs, in the same order: slots and keys are the same, versions and times are not.
    let pairs = |lines: &str| {
        let pair = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            (line["slot"].clone(), line["key"].clone(), line["value"].clone())
        };
        lines.lines().map(pair).collect::<Vec<_>>()
    };
    assert_eq!(pairs(&text(&to.run(&["export"]).stdout)), pairs(&lines));
}

#[test]
fn an_export_goes_on_from_a_slot_and_says_from_which_when_it_ends_early() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1"]);
    assert!(command(&cluster, &pairs(directory.path(), 500)).status().unwrap().success());
    let all = text(&cluster.run(&["export"]).stdout);
    let rest = text(&cluster.run(&["export", "--from-slot", "5"]).stdout);
    assert!(!rest.is_empty() && rest.len() < all.len() && all.ends_with(&rest));
    let error = refused(&cluster.run(&["export", "--from-slot", "4096"]), 2);
    assert!(error.contains("no slot 4096"), "{error}");
    signal(cluster.pid_of("n1"), Signal::STOP);
    let error = refused(&cluster.run(&["export", "--from-slot", "5", "--timeout", "1s"]), 5);
    assert!(error.contains("go on with --from-slot 5"), "{error}");
}
