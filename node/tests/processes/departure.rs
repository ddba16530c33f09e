//! How a node stops when the coordinator is not there to hear of it.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{Dev, Process, alive, eventually, line_with, signal};

/// What a node may take that is told to stop, and then its server.
const LEAVING_BOUND: Duration = Duration::from_millis(3500);
/// Other tests keep the machine busy.
const SLACK: Duration = Duration::from_millis(1500);

/// Room for a spare in every chain: were the node taken for dead, another would take its place.
fn cluster() -> (TempDir, Dev, Process) {
    let directory = TempDir::new().expect("a directory");
    let cluster = Dev::start(directory.path(), &["--nodes", "3", "--replicas", "2", "--slots", "6"]);
    let node = cluster.take_over("n2");
    (directory, cluster, node)
}

fn kill_coordinator(cluster: &Dev) {
    let coordinator = cluster.pid_of("coordinator");
    signal(coordinator, Signal::KILL);
    eventually("its end", || (!alive(coordinator)).then_some(()));
}

/// Has n2 told to stop and the coordinator killed by `meanwhile`, and demands that the next coordinator hears of it all.
fn is_heard_by_the_next_coordinator(meanwhile: impl FnOnce(&Dev, &Process)) {
    let (_directory, cluster, mut node) = cluster();
    let before = cluster.status();
    meanwhile(&cluster, &node);
    // It says so after a second of trying: far longer than its server takes to stop.
    line_with(&node.stderr, "no coordinator lets this node in yet");
    let _coordinator = cluster.start_again("coordinator");
    assert!(node.wait().success());
    let away = cluster.await_status("n2 is away", |status| status.node("n2")["health"] == "stopped");
    for (chain, copies) in away.chains().iter().zip(before.copies()) {
        assert!(chain["joining"].is_null(), "nobody takes its place: {chain}");
        let waits = copies.contains("n2").then_some("absence");
        assert_eq!(chain["wait"].as_str(), waits, "its place is kept: {chain}");
    }
    let _node = cluster.start_again("n2");
    let after = cluster.await_status("n2 is back", |status| status.is_whole(2) && status.node("n2")["health"] == "healthy");
    assert_eq!(after.copies(), before.copies(), "every copy is where it was");
    for id in ["n1", "n2", "n3"] {
        assert_eq!((&after.node(id)["flaps"], &after.node(id)["standing"]), (&0.into(), &"member".into()), "{after:?}");
    }
}

#[test]
fn a_leave_that_the_coordinator_did_not_hear_before_it_died_is_heard_by_the_next() {
    is_heard_by_the_next_coordinator(|cluster, node| {
        signal(cluster.pid_of("coordinator"), Signal::STOP);
        signal(node.pid(), Signal::TERM);
        line_with(&node.stderr, "told to stop");
        kill_coordinator(cluster);
        line_with(&node.stderr, "lost the coordinator");
    });
}

#[test]
fn a_node_that_is_told_to_stop_while_the_coordinator_is_away_waits_for_the_next() {
    is_heard_by_the_next_coordinator(|cluster, node| {
        kill_coordinator(cluster);
        line_with(&node.stderr, "lost the coordinator");
        signal(node.pid(), Signal::TERM);
        line_with(&node.stderr, "told to stop");
    });
}

#[test]
fn a_coordinator_that_hangs_holds_up_a_node_that_stops_for_a_bounded_time_only() {
    let (_directory, cluster, mut node) = cluster();
    signal(cluster.pid_of("coordinator"), Signal::STOP);
    signal(node.pid(), Signal::TERM);
    let began = Instant::now();
    assert!(node.wait().success(), "late is no failure");
    let took = began.elapsed();
    assert!(took < LEAVING_BOUND + SLACK, "stopping took {took:?}");
    line_with(&node.stderr, "stops before the coordinator let it go");
    signal(cluster.pid_of("coordinator"), Signal::CONT);
    assert!(cluster.run(&["put", "key", "without it"]).status.success());
}

#[test]
fn a_whole_cluster_that_stops_does_not_wait_for_a_coordinator_that_is_gone() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "3", "--replicas", "2", "--slots", "6"]);
    kill_coordinator(&cluster);
    let began = Instant::now();
    assert!(cluster.stop().success());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "stopping took {took:?}");
}

/// Its server waits for open links, and gives up on them after half a second: then the other end finds the connection broken.
#[test]
fn a_node_that_has_left_ends_its_links_itself() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "3", "--replicas", "2", "--slots", "6"]);
    let neighbour = cluster.take_over("n1");
    while !line_with(&neighbour.stderr, "link up").contains("\"peer_node_id\":\"n2\"") {}
    signal(cluster.pid_of("n2"), Signal::TERM);
    let ended = line_with(&neighbour.stderr, "link ended");
    assert!(ended.contains("\"peer_node_id\":\"n2\"") && ended.contains("\"error\":\"closed\""), "{ended}");
}
