//! `catena status` and `catena node drain|evict|readmit`, with the real binary.

use std::fs::{self, File};
use std::process::Output;

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
    for number in 0..40 {
        assert_eq!(succeeded(&cluster.run(&["get", &format!("key {number}")])), "kept");
    }
    let said = succeeded(&cluster.run(&["node readmit", "n2"]));
    assert!(said.contains("n2 takes part again"), "{said}");
    assert_eq!(cluster.status().node("n2")["standing"], "member");
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
    // Copied at 64 MiB a second at most: two seconds.
    let value = directory.path().join("value");
    fs::write(&value, vec![b'v'; 16 << 20]).unwrap();
    for number in 0..8 {
        let mut put = catena();
        put.args(["put", "--endpoints", &endpoint, &format!("key {number}"), "-"]);
        succeeded(&put.stdin(File::open(&value).unwrap()).output().unwrap());
    }
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
