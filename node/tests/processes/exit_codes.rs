//! What the client commands print and how they end.

use std::io::Write;
use std::process::{Output, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{Dev, Process, catena, free_ports, refused, run, signal, text};

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn small_cluster() -> (TempDir, Dev) {
    let directory = TempDir::new().expect("a directory");
    let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "2"]);
    (directory, cluster)
}

#[test]
fn results_are_printed_as_asked() {
    let (_directory, cluster) = small_cluster();
    let first: u64 = stdout(&cluster.run(&["put", "k", "one"])).trim().parse().unwrap();
    let second: u64 = stdout(&cluster.run(&["put", "k", "two"])).trim().parse().unwrap();
    assert!(second > first, "versions grow");
    assert_eq!(stdout(&cluster.run(&["get", "k"])), "two", "raw is byte for byte");
    let json: serde_json::Value = serde_json::from_str(&stdout(&cluster.run(&["get", "k", "-o", "json"]))).unwrap();
    assert_eq!((&json["key"], &json["value"], &json["version"]), (&"k".into(), &"two".into(), &second.into()));
    assert!(json["updated_at_ns"].as_u64() > json["created_at_ns"].as_u64());
    let table = stdout(&cluster.run(&["get", "k", "-o", "table"]));
    assert!(table.contains("value    two") && table.contains(&format!("version  {second}")), "{table}");
    assert_eq!(stdout(&cluster.run(&["del", "k"])), "deleted\n");
    assert_eq!(stdout(&cluster.run(&["del", "k"])), "not there\n", "deleting what is not there is no error");
}

#[test]
fn any_bytes_go_in_and_come_out() {
    let (_directory, cluster) = small_cluster();
    let value: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let mut put = catena()
        .args(["put", "--endpoints", &cluster.endpoint(), "bytes", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    put.stdin.take().unwrap().write_all(&value).unwrap();
    assert!(put.wait().unwrap().success());
    assert_eq!(cluster.run(&["get", "bytes"]).stdout, value);
    let json: serde_json::Value = serde_json::from_str(&stdout(&cluster.run(&["get", "bytes", "-o", "json"]))).unwrap();
    assert!(json["value_base64"].as_str().unwrap().starts_with("AAECAwQFBgcICQ"));
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for wrong in [
        &["frobnicate"][..],
        &["put", "key"],
        &["get"],
        &["get", "k", "-o", "xml"],
        &["get", "k", "--timeout", "soon"],
        &["put", "k", "v", "--if-absent", "--if-exists"],
        &["node", "--id", "no spaces", "--listen", "127.0.0.1:0", "--coordinator", "x:1", "--data-dir", "/tmp/none"],
        &["node", "--id", "n1", "--listen", "127.0.0.1:0", "--coordinator", "x:1", "--data-dir", "/tmp/none", "--label", "rack"],
        &["load"],
        &["load", "pairs", "--from-line", "0"],
        &["export", "--from-slot", "-1"],
        &["node", "drain"],
        &["node", "drain", "no spaces"],
        &["node"],
        &["status", "-o", "xml"],
        &["coordinator", "--listen", "nowhere", "--data-dir", "/tmp/none"],
        &["coordinator", "--listen", "127.0.0.1:0", "--data-dir", "/tmp/none", "--rejoin", "perhaps"],
    ] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_malformed_address_is_named_and_ends_with_2() {
    for wrong in [
        &["get", "k", "--endpoints", "127.0.0.1:7400,nowhere"][..],
        &["put", "k", "v", "--endpoints", "nowhere:0"],
        &["node", "--id", "n1", "--listen", "127.0.0.1:0", "--coordinator", "nowhere:70000", "--data-dir", "/tmp/none"],
        &["node", "--id", "n1", "--listen", "127.0.0.1:0", "--coordinator", ":1,nowhere", "--data-dir", "/tmp/none"],
    ] {
        let output = run(wrong);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {error}");
        assert!(error.contains("not an address") && (error.contains("nowhere") || error.contains("':1'")), "{error}");
    }
    let from_environment = catena().args(["get", "k"]).env("CATENA_ENDPOINTS", "nowhere").output().unwrap();
    assert_eq!(from_environment.status.code(), Some(2));
}

#[test]
fn a_malformed_log_filter_is_named_and_ends_with_2() {
    let output = catena().args(["get", "k"]).env("CATENA_LOG", "catena_node=loud").output().unwrap();
    let error = refused(&output, 2);
    assert!(error.contains("CATENA_LOG") && error.contains("catena_node=loud"), "{error}");
}

#[test]
fn connecting_and_calling_share_one_time() {
    let (_directory, cluster) = small_cluster();
    signal(cluster.pid_of("coordinator"), Signal::STOP);
    signal(cluster.pid_of("n1"), Signal::STOP);
    let began = Instant::now();
    let mut arguments = catena();
    arguments.args(["get", "k", "--timeout", "3s", "--endpoints", &cluster.endpoint()]);
    let mut get = Process::spawn(&mut arguments);
    assert_eq!(get.stderr.recv_timeout(Duration::from_secs(2)), Err(RecvTimeoutError::Timeout), "it is still connecting");
    // The coordinator comes back; the node, which is to answer the call, does not.
    signal(cluster.pid_of("coordinator"), Signal::CONT);
    assert_eq!(get.wait().code(), Some(5));
    assert!(began.elapsed() < Duration::from_millis(4500), "3 s were {:?}", began.elapsed());
    signal(cluster.pid_of("n1"), Signal::CONT);
}

#[test]
fn what_is_not_there_ends_with_3() {
    let (_directory, cluster) = small_cluster();
    let error = refused(&cluster.run(&["get", "nothing"]), 3);
    assert!(error.contains("nothing"), "{error}");
}

#[test]
fn a_condition_that_does_not_hold_ends_with_4_and_changes_nothing() {
    let (_directory, cluster) = small_cluster();
    refused(&cluster.run(&["put", "k", "v", "--if-exists"]), 4);
    let version = stdout(&cluster.run(&["put", "k", "v", "--if-absent"]));
    let version = version.trim();
    let error = refused(&cluster.run(&["put", "k", "w", "--if-absent"]), 4);
    assert!(error.contains("condition failed") && error.contains(version), "{error}");
    refused(&cluster.run(&["put", "k", "w", "--if-version", "999"]), 4);
    refused(&cluster.run(&["del", "k", "--if-version", "999"]), 4);
    assert_eq!(stdout(&cluster.run(&["get", "k"])), "v");
    stdout(&cluster.run(&["put", "k", "w", "--if-version", version]));
    stdout(&cluster.run(&["del", "k", "--if-exists"]));
    refused(&cluster.run(&["del", "k", "--if-exists"]), 4);
}

#[test]
fn a_request_over_a_limit_ends_with_1_and_stores_nothing() {
    let (directory, cluster) = small_cluster();
    let error = refused(&cluster.run(&["put", "", "v"]), 1);
    assert!(error.contains("key is empty"), "{error}");
    let long = "k".repeat(4097);
    let error = refused(&cluster.run(&["put", &long, "v"]), 1);
    assert!(error.contains("4097") && error.contains("4096"), "{error}");
    stdout(&cluster.run(&["put", &long[1..], "v"]));
    let file = directory.path().join("large");
    std::fs::write(&file, vec![b'v'; (16 << 20) + 1]).unwrap();
    let put = catena()
        .args(["put", "--endpoints", &cluster.endpoint(), "large", "-"])
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    let error = refused(&put, 1);
    assert!(error.contains("16777217") && error.contains("16777216"), "{error}");
    refused(&cluster.run(&["get", "large"]), 3);
}

#[test]
fn a_cluster_that_is_not_reached_ends_with_5() {
    let endpoint = format!("127.0.0.1:{}", free_ports(1));
    for call in [&["put", "k", "v"][..], &["get", "k"], &["del", "k"]] {
        let error = refused(&run(&[call, &["--endpoints", &endpoint, "--timeout", "100ms"]].concat()), 5);
        assert!(error.contains(&endpoint), "{error}");
    }
}

#[test]
fn a_node_that_is_taken_for_a_coordinator_is_noticed() {
    let (_directory, cluster) = small_cluster();
    let node = format!("127.0.0.1:{}", cluster.port + 1);
    for call in [&["put", "k", "v"][..], &["get", "k"], &["status"]] {
        let error = refused(&run(&[call, &["--endpoints", &node, "--timeout", "300ms"]].concat()), 5);
        assert!(error.contains(&node) && error.contains("it does not know this call"), "{error}");
    }
}

#[test]
fn a_write_that_is_not_answered_ends_with_6_and_a_read_with_5() {
    let (_directory, cluster) = small_cluster();
    // The only copy, asleep: it is kept in its chains, however dead it looks.
    signal(cluster.pid_of("n1"), Signal::STOP);
    let error = refused(&cluster.run(&["put", "k", "v", "--timeout", "300ms"]), 6);
    assert!(error.contains("unknown"), "{error}");
    refused(&cluster.run(&["get", "k", "--timeout", "300ms"]), 5);
    signal(cluster.pid_of("n1"), Signal::CONT);
    let put = cluster.run(&["put", "k", "w", "--timeout", "20s"]);
    assert!(put.status.success(), "{}", text(&put.stderr));
    assert_eq!(stdout(&cluster.run(&["get", "k", "--timeout", "20s"])), "w");
}

#[test]
fn help_teaches_examples_and_exit_codes() {
    let help = stdout(&run(&["--help"]));
    for part in ["catena dev", "Exit codes:", "6  outcome unknown", "CATENA_ENDPOINTS"] {
        assert!(help.contains(part), "{part} in {help}");
    }
    for command in [
        "dev",
        "put",
        "get",
        "del",
        "load",
        "export",
        "status",
        "coordinator",
        "node",
        "node drain",
        "node evict",
        "node readmit",
    ] {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = stdout(&run(&words));
        assert!(help.contains("Example"), "{help}");
    }
    let help = stdout(&run(&["node", "--help"]));
    assert!(help.contains("--id") && help.contains("drain"), "both uses are taught: {help}");
}
