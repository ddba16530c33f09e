//! `catena status` and `catena node drain|evict|readmit`, with the real binary.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Output, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{Dev, Process, catena, free_ports, line_with, refused, run, signal, text};

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// The ids of the nodes that hold a slot.
fn holders(cluster: &Dev) -> Vec<String> {
    cluster.status().copies().into_iter().flatten().collect()
}

/// Stores so much that it takes two seconds to copy it: 64 MiB a second at most.
fn fill(directory: &TempDir, cluster: &Dev) {
    let value = directory.path().join("value");
    fs::write(&value, vec![b'v'; 16 << 20]).expect("room for a file");
    for number in 0..8 {
        let mut put = catena();
        put.args(["put", "--endpoints", &cluster.endpoint(), &format!("key {number}"), "-"]);
        succeeded(&put.stdin(File::open(&value).expect("just written")).output().expect("the binary runs"));
    }
}

#[test]
fn a_status_shows_every_node_and_every_chain() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "3", "--replicas", "2", "--slots", "6"]);
    let status = cluster.await_status("a whole cluster", |status| status.is_whole(2));
    assert_eq!(status.chains().len(), 6);
    for (id, port) in [("n1", 1), ("n2", 2), ("n3", 3)] {
        let node = status.node(id);
        assert_eq!((&node["health"], &node["standing"]), (&"healthy".into(), &"member".into()), "{node}");
        assert_eq!(node["address"], format!("127.0.0.1:{}", cluster.port + port));
        // Six heads, six tails and twelve copies over three nodes.
        for (count, fair) in [("heads", 2), ("tails", 2), ("replicas", 4), ("joining", 0)] {
            assert_eq!(node[count], fair, "{count} of {node}");
        }
    }
    assert!(status.0["epoch"].as_u64() >= Some(1));
    let table = succeeded(&cluster.run(&["status"]));
    assert!(table.contains("n3") && table.contains("healthy") && table.contains("slot"), "{table}");
}

#[test]
fn a_watched_status_is_printed_again_with_every_change() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "2", "--replicas", "2", "--slots", "1"]);
    let endpoint = cluster.endpoint();
    let watch = Process::spawn(catena().args(["status", "--watch", "-o", "json", "--endpoints", &endpoint]));
    line_with(&watch.stdout, "n2");
    signal(cluster.pid_of("n2"), Signal::KILL);
    let lacking = line_with(&watch.stdout, r#""wait":"no-candidate""#);
    assert!(lacking.contains(r#""health":"dead""#), "{lacking}");
}

#[test]
fn a_watched_status_outlives_its_coordinator() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "1"]);
    let watch = Process::spawn(catena().args(["status", "--watch", "-o", "json", "--endpoints", &cluster.endpoint()]));
    line_with(&watch.stdout, "n1");
    signal(cluster.pid_of("coordinator"), Signal::KILL);
    let lost = line_with(&watch.stderr, "trying again");
    assert!(lost.contains(&cluster.endpoint()), "{lost}");
    let _coordinator = cluster.start_again("coordinator");
    line_with(&watch.stderr, "the coordinator answers again");
    line_with(&watch.stdout, r#""health":"healthy""#);
    assert_eq!(watch.stderr.try_iter().collect::<Vec<_>>(), Vec::<String>::new(), "each is said once");
}

#[test]
fn a_watched_status_that_nobody_reads_any_more_ends() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "1"]);
    let mut watch = catena();
    watch.args(["status", "--watch", "-o", "json", "--endpoints", &cluster.endpoint()]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(watch.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("n1"), "{line}");
    // The pipe is closed by now, and nothing changes.
    let output = watch.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_drained_node_holds_nothing_and_may_come_back() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "4", "--replicas", "3", "--slots", "4"]);
    for number in 0..40 {
        succeeded(&cluster.run(&["put", &format!("key {number}"), "kept"]));
    }
    let said = succeeded(&cluster.run(&["node drain", "n2"]));
    assert!(said.contains("n2 is drained"), "{said}");
    let status = cluster.status();
    assert_eq!(status.node("n2")["standing"], "draining");
    assert!(!holders(&cluster).contains(&"n2".to_owned()));
    cluster.await_status("three copies on the others", |status| status.is_whole(3));
    // Nothing depends on it any more.
    signal(cluster.pid_of("n2"), Signal::KILL);
    cluster.await_status("its death", |status| status.node("n2")["health"] == "dead");
    for number in 0..40 {
        assert_eq!(succeeded(&cluster.run(&["get", &format!("key {number}")])), "kept");
    }
    let error = text(&cluster.run(&["node readmit", "n2", "--timeout", "500ms"]).stderr);
    assert!(error.contains("n2: its process is not running: start it"), "{error}");
    assert!(error.contains("not carried out in time (its process is not running: start it)"), "{error}");
    let error = refused(&cluster.run(&["node readmit", "n2"]), 1);
    assert!(error.contains("n2 is a member already"), "the order stands: {error}");
}

#[test]
fn readmitting_a_node_that_does_not_run_waits_for_its_process() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "3", "--replicas", "2", "--slots", "4"]);
    succeeded(&cluster.run(&["node drain", "n2"]));
    signal(cluster.pid_of("n2"), Signal::KILL);
    cluster.await_status("its death", |status| status.node("n2")["health"] == "dead");
    let mut readmit = Process::spawn(catena().args(["node", "readmit", "n2", "--endpoints", &cluster.endpoint()]));
    line_with(&readmit.stderr, "n2: its process is not running: start it");
    let _node = cluster.start_again("n2");
    line_with(&readmit.stdout, "n2 takes part again");
    assert!(readmit.wait().success());
    let status = cluster.status();
    assert_eq!((&status.node("n2")["health"], &status.node("n2")["standing"]), (&"healthy".into(), &"member".into()));
}

#[test]
fn readmitting_a_node_waits_until_the_chains_that_lack_it_are_filled() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "2", "--replicas", "2", "--slots", "1"]);
    succeeded(&cluster.run(&["node evict", "n2"]));
    fill(&directory, &cluster);
    let mut readmit = Process::spawn(catena().args(["node", "readmit", "n2", "--endpoints", &cluster.endpoint()]));
    line_with(&readmit.stderr, "n2: 1 slot still to be filled");
    line_with(&readmit.stdout, "n2 takes part again");
    let status = cluster.status();
    assert!(status.is_whole(2), "at once: {status:?}");
    assert!(readmit.wait().success());
}

#[test]
fn readmitting_a_node_does_not_wait_for_a_chain_that_another_fills() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "3", "--replicas", "1", "--slots", "1"]);
    fill(&directory, &cluster);
    let from = holders(&cluster).pop().expect("the only copy");
    let spare = ["n1", "n2", "n3"].into_iter().find(|id| *id != from).expect("two others");
    succeeded(&cluster.run(&["node drain", spare]));
    let mut drain = Process::spawn(catena().args(["node", "drain", &from, "--endpoints", &cluster.endpoint()]));
    cluster.await_status("a copy in the making", |status| status.waits() == ["joining"]);
    succeeded(&cluster.run(&["node readmit", spare]));
    let status = cluster.status();
    assert_eq!(status.waits(), ["joining"], "{status:?}");
    line_with(&drain.stdout, "is drained");
    assert!(drain.wait().success());
}

#[test]
fn an_evicted_node_stays_out_until_it_is_readmitted() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "3", "--replicas", "3", "--slots", "4"]);
    let said = succeeded(&cluster.run(&["node evict", "n3"]));
    assert!(said.contains("n3 is evicted"), "{said}");
    let status = cluster.status();
    assert_eq!(status.node("n3")["standing"], "evicted-ordered");
    assert_eq!(status.node("n3")["replicas"], 0);
    assert!(status.copies().iter().all(|copies| copies.len() == 2), "{status:?}");
    succeeded(&cluster.run(&["put", "key", "written without it"]));
    succeeded(&cluster.run(&["node readmit", "n3"]));
    let status = cluster.await_status("three copies", |status| status.is_whole(3));
    assert_eq!(status.node("n3")["standing"], "member");
}

#[test]
fn evicting_a_node_says_what_is_still_to_go() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "3", "--replicas", "3", "--slots", "4"]);
    cluster.await_status("a whole cluster", |status| status.is_whole(3));
    // It acknowledges no fence: its lease is waited for (C4).
    signal(cluster.pid_of("n3"), Signal::STOP);
    let mut evict = Process::spawn(catena().args(["node", "evict", "n3", "--endpoints", &cluster.endpoint()]));
    line_with(&evict.stderr, "n3: 4 slots still to go");
    line_with(&evict.stdout, "n3 is evicted");
    assert!(evict.wait().success());
    assert_eq!(cluster.status().node("n3")["replicas"], 0);
}

#[test]
fn what_cannot_be_ordered_is_refused_and_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "2", "--replicas", "2", "--slots", "2"]);
    let before = cluster.await_status("a whole cluster", |status| status.is_whole(2));
    for order in ["node drain", "node evict", "node readmit"] {
        let error = refused(&cluster.run(&[order, "n9"]), 1);
        assert!(error.contains("there is no node n9") && error.contains("n1, n2"), "{error}");
    }
    let error = refused(&cluster.run(&["node drain", "n1"]), 1);
    assert!(error.contains("cannot be moved off n1") && error.contains("only 1"), "{error}");
    let error = refused(&cluster.run(&["node readmit", "n1"]), 1);
    assert!(error.contains("n1 is a member already"), "{error}");
    assert_eq!(cluster.status().0, before.0);
}

#[test]
fn the_last_copy_is_not_evicted() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "2"]);
    let error = refused(&cluster.run(&["node evict", "n1"]), 1);
    assert!(error.contains("n1 holds the last copy of slot 0"), "{error}");
    succeeded(&cluster.run(&["put", "still", "here"]));
}

#[test]
fn an_order_that_is_late_or_interrupted_stands() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "2", "--replicas", "1", "--slots", "1"]);
    let endpoint = cluster.endpoint();
    fill(&directory, &cluster);
    let from = holders(&cluster).pop().expect("the only copy");
    let error = text(&cluster.run(&["node drain", &from, "--timeout", "500ms"]).stderr);
    assert!(error.contains(&format!("the order to drain {from} stands")), "{error}");
    let mut drain = Process::spawn(catena().args(["node", "drain", &from, "--endpoints", &endpoint]));
    line_with(&drain.stderr, "1 slot still to go");
    signal(drain.pid(), Signal::INT);
    line_with(&drain.stderr, &format!("the order to drain {from} stands"));
    assert_eq!(drain.wait().code(), Some(6));
    cluster.await_status("an empty node", |status| status.node(&from)["replicas"] == 0 && status.is_whole(1));
}

#[test]
fn without_a_coordinator_an_operator_ends_with_5() {
    let endpoint = format!("127.0.0.1:{}", free_ports(1));
    for command in [&["status"][..], &["node", "drain", "n1"], &["node", "readmit", "n1"]] {
        let error = refused(&run(&[command, &["--endpoints", &endpoint, "--timeout", "100ms"]].concat()), 5);
        assert!(error.contains(&endpoint), "{error}");
    }
}

#[test]
fn a_coordinator_that_says_nothing_is_named() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = silent.local_addr().unwrap().to_string();
    let error = refused(&run(&["status", "--endpoints", &endpoint, "--timeout", "300ms"]), 5);
    assert!(error.contains(&format!("{endpoint} (no answer in time)")), "{error}");
}
