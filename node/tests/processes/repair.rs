//! What becomes of the chains when processes die, stop and come back, under load where that matters.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::load::Load;
use crate::support::{Dev, Process, Status, alive, eventually, free_ports, line_with, signal, text};

/// From a death to the next acknowledged write, on a machine that other tests keep busy. What it really takes is measured
/// elsewhere.
const HEALED: Duration = Duration::from_secs(5);

/// The member of the only chain that stands there, 0 being the head.
fn member(cluster: &Dev, position: usize) -> String {
    let status = cluster.await_status("a whole chain of three", |status| status.is_whole(3));
    status.members()[0][position].clone()
}

/// Kills a member of the only chain under load; writes go on soon, and nothing that was acknowledged is lost.
fn survives_the_death_of(position: usize) {
    let directory = TempDir::new().expect("a directory");
    let cluster = Dev::start(directory.path(), &["--slots", "1"]);
    let victim = member(&cluster, position);
    let load = Load::start(&cluster.endpoint());
    load.await_more(300);
    let pid = cluster.pid_of(&victim);
    signal(pid, Signal::KILL);
    eventually("its death", || (!alive(pid)).then_some(()));
    let died = Instant::now();
    // More than were under way.
    load.await_more(2 * Load::WRITERS);
    assert!(died.elapsed() < HEALED, "no write for {:?} after the death of {victim}", died.elapsed());
    load.await_more(300);
    load.stop_and_check(&cluster.endpoint());
    let chain = cluster.status().members().remove(0);
    assert!(chain.len() == 2 && !chain.contains(&victim), "{victim} is not in {chain:?}");
}

#[test]
fn writes_go_on_after_the_death_of_a_head() {
    survives_the_death_of(0);
}

#[test]
fn writes_go_on_after_the_death_of_a_middle() {
    survives_the_death_of(1);
}

#[test]
fn writes_go_on_after_the_death_of_a_tail() {
    survives_the_death_of(2);
}

#[test]
fn a_spare_takes_the_place_of_a_dead_node_under_load() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "4", "--replicas", "3", "--slots", "8"]);
    let load = Load::start(&cluster.endpoint());
    load.await_more(300);
    signal(cluster.pid_of("n2"), Signal::KILL);
    line_with(&cluster.process.stderr, "n2 is dead");
    line_with(&cluster.process.stderr, "being repaired");
    line_with(&cluster.process.stderr, "All slots are whole again: 3 copies of every key");
    let status = cluster.status();
    assert!(status.is_whole(3) && status.node("n2")["replicas"] == 0, "{status:?}");
    // The new copies are real ones: each chain loses another member.
    load.await_more(300);
    signal(cluster.pid_of("n1"), Signal::KILL);
    line_with(&cluster.process.stderr, "n1 is dead");
    load.await_more(300);
    load.stop_and_check(&cluster.endpoint());
}

#[test]
fn a_node_that_stops_in_order_leaves_its_place_open_and_moves_no_data() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "3", "--replicas", "2", "--slots", "6"]);
    let before = cluster.await_status("a whole cluster", |status| status.is_whole(2));
    let load = Load::start(&cluster.endpoint());
    load.await_more(300);
    // As often as a node may flap before it is evicted.
    let mut node: Option<Process> = None;
    for _ in 0..3 {
        signal(node.as_ref().map_or(cluster.pid_of("n2"), Process::pid), Signal::TERM);
        match &mut node {
            Some(node) => assert!(node.wait().success()),
            None => drop(line_with(&cluster.process.stderr, "n2 (pid")),
        }
        let away = cluster.await_status("n2 is away", |status| status.node("n2")["health"] == "stopped");
        for (chain, copies) in away.chains().iter().zip(before.copies()) {
            assert!(chain["joining"].is_null(), "nobody takes its place: {chain}");
            if copies.contains("n2") {
                assert_eq!(chain["wait"], "absence", "{chain}");
            }
        }
        load.await_more(100);
        node = Some(cluster.start_again("n2"));
        cluster.await_status("n2 is back", |status| status.is_whole(2) && status.node("n2")["health"] == "healthy");
    }
    let after = cluster.status();
    let said: Vec<String> = cluster.process.stderr.try_iter().collect();
    assert_eq!(after.copies(), before.copies(), "every copy is where it was; said: {said:#?}");
    assert_eq!(after.node("n2")["standing"], "member");
    load.stop_and_check(&cluster.endpoint());
}

#[test]
fn a_whole_cluster_that_stops_and_starts_evicts_nobody_and_moves_no_data() {
    let directory = TempDir::new().unwrap();
    let options = ["--nodes", "4", "--replicas", "2", "--slots", "8"];
    let port = free_ports(8);
    let mut before: Option<Vec<BTreeSet<String>>> = None;
    for round in 0..3 {
        let cluster = Dev::start_at(port, directory.path(), &options);
        let status = cluster.await_status("a whole cluster", |status| status.is_whole(2));
        let members = |status: &Status| status.0["nodes"].as_array().unwrap().iter().all(|node| node["standing"] == "member");
        assert!(members(&status), "{status:?}");
        let before = before.get_or_insert_with(|| status.copies());
        let said: Vec<String> = cluster.process.stderr.try_iter().collect();
        assert_eq!(status.copies(), *before, "every copy is where it was in round {round}; said: {said:#?}");
        let put = cluster.run(&["put", "round", &round.to_string()]);
        assert!(put.status.success(), "{}", text(&put.stderr));
        assert_eq!(text(&cluster.run(&["get", "round"]).stdout), round.to_string());
        assert!(cluster.stop().success());
    }
}

#[test]
fn a_node_that_was_dead_comes_back_with_its_data() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--slots", "4"]);
    let load = Load::start(&cluster.endpoint());
    load.await_more(300);
    signal(cluster.pid_of("n3"), Signal::KILL);
    line_with(&cluster.process.stderr, "n3 is dead");
    load.await_more(300);
    let _node = cluster.start_again("n3");
    cluster.await_status("three copies", |status| status.is_whole(3));
    load.await_more(100);
    // It has come back as the tail of every chain: what is read is its copy.
    let chains = cluster.status().members();
    assert!(chains.iter().all(|chain| chain[2] == "n3"), "{chains:?}");
    load.stop_and_check(&cluster.endpoint());
    // And it is a copy like any other: another one dies.
    signal(cluster.pid_of("n1"), Signal::KILL);
    line_with(&cluster.process.stderr, "n1 is dead");
    assert!(cluster.run(&["put", "key", "on two", "--timeout", "20s"]).status.success());
    assert_eq!(text(&cluster.run(&["get", "key"]).stdout), "on two");
}

#[test]
fn a_node_on_a_new_disk_gets_everything_again() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--slots", "4"]);
    for number in 0..40 {
        let put = cluster.run(&["put", &format!("key {number}"), "kept"]);
        assert!(put.status.success(), "{}", text(&put.stderr));
    }
    signal(cluster.pid_of("n1"), Signal::KILL);
    line_with(&cluster.process.stderr, "n1 (pid");
    std::fs::remove_dir_all(directory.path().join("n1")).unwrap();
    let _node = cluster.start_again("n1");
    cluster.await_status("three copies, one of them new", |status| status.is_whole(3) && status.node("n1")["replicas"] == 4);
    for number in 0..40 {
        assert_eq!(text(&cluster.run(&["get", &format!("key {number}")]).stdout), "kept");
    }
}
