//! A damaged record concerns its replica alone (D2): the node runs, and says what is damaged; the replica is replaced by a copy
//! of another, and nothing else stops.

use std::fs;
use std::path::Path;
use std::sync::mpsc::Receiver;

use catena_core::{Slot, slot_of};
use fjall::{Database, PersistMode};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::admin::{port_of, state};
use crate::load::{Load, client};
use crate::support::{Dev, Process, Status, alive, block_on, eventually, line_with, signal};

const SLOTS: u32 = 4;
const KEYS: u32 = 40;
const REPLACED: &str = "this replica is to be replaced";

/// A cluster of three copies, with some objects, which n2 has taken over from its log.
fn cluster(directory: &TempDir) -> Dev {
    let cluster = Dev::start(directory.path(), &["--slots", &SLOTS.to_string()]);
    block_on(async {
        let client = client(&cluster.endpoint()).await;
        for number in 0..KEYS {
            client.put(format!("key {number}"), format!("value {number}"), vec![]).await.expect("acknowledged");
        }
    });
    let port = port_of(&cluster, "n2");
    eventually("n2 has applied all", || {
        let replicas = state(port)["replicas"].as_array().expect("replicas").clone();
        replicas.iter().all(|replica| replica["applied"] == replica["last"]["seq"]).then_some(())
    });
    cluster
}

fn assert_reads_as_before(cluster: &Dev) {
    block_on(async {
        let client = client(&cluster.endpoint()).await;
        for number in 0..KEYS {
            let found = client.get(format!("key {number}")).await.expect("a read").object.map(|object| object.value);
            assert_eq!(found.as_deref(), Some(format!("value {number}").as_bytes()), "key {number}");
        }
    });
}

/// Ends a node's process, damages a record of its data, and starts it again.
fn damaged(cluster: &Dev, directory: &TempDir, end: Signal, keyspace: &str, record: impl Fn(&[u8]) -> bool) -> Process {
    signal(cluster.pid_of("n2"), end);
    eventually("its end", || (!alive(cluster.pid_of("n2"))).then_some(()));
    flip_a_bit(&directory.path().join("n2/data"), keyspace, record);
    cluster.start_again("n2")
}

/// Changes the files of a store that nobody has open.
fn flip_a_bit(path: &Path, keyspace: &str, record: impl Fn(&[u8]) -> bool) {
    assert!(fs::exists(path).expect("a directory"), "the engine's files are elsewhere");
    let database = Database::builder(path).open().expect("a store");
    let keyspace = database.keyspace(keyspace, || unreachable!("it exists")).expect("a keyspace");
    let keys = keyspace.iter().map(|found| found.key().expect("a key"));
    let key = keys.into_iter().find(|key| record(key)).expect("the record is there");
    let mut value = keyspace.get(&key).expect("readable").expect("just found").to_vec();
    let middle = value.len() / 2;
    value[middle] ^= 4;
    keyspace.insert(key, value).expect("room");
    database.persist(PersistMode::SyncAll).expect("room");
}

/// The first event in a log of JSON that says so.
fn event_with(log: &Receiver<String>, message: &str) -> Value {
    serde_json::from_str(&line_with(log, message)).expect("JSON")
}

fn error_of(event: &Value) -> &str {
    event["error"].as_str().expect("an error")
}

fn is_back(status: &Status) -> bool {
    status.is_whole(3) && status.node("n2")["replicas"] == SLOTS
}

/// Of slot 0.
fn is_tail(status: &Status) -> bool {
    status.members()[0].last().is_some_and(|tail| tail == "n2")
}

/// The node starts with a replica of slot 0 whose state is damaged.
fn is_replaced_at_the_start(end: Signal) {
    let directory = TempDir::new().expect("a directory");
    let cluster = cluster(&directory);
    let load = Load::start(&cluster.endpoint());
    load.await_more(100);
    assert!(!is_tail(&cluster.status()), "so that it shows when it has left and come back");
    let mut node = damaged(&cluster, &directory, end, "slots", |key| key == [0, 0, 0, 0, 1]);
    let said = event_with(&node.stderr, REPLACED);
    assert_eq!((&said["level"], &said["slot"]), (&"ERROR".into(), &0.into()), "{said}");
    assert!(error_of(&said).contains("record slot 0 state of keyspace slots is corrupt"), "{said}");
    // What is read from here on is the new copy.
    cluster.await_status("three copies, one of them new", |status| is_back(status) && is_tail(status));
    load.await_more(100);
    load.stop_and_check(&cluster.endpoint());
    assert_reads_as_before(&cluster);
    signal(node.pid(), Signal::TERM);
    assert!(node.wait().success());
    let again: Vec<String> = node.stderr.iter().filter(|line| line.contains("ERROR")).collect();
    assert!(again.is_empty(), "it is said once: {again:#?}");
}

#[test]
fn a_replica_that_is_found_damaged_when_its_node_comes_back_is_filled_anew() {
    is_replaced_at_the_start(Signal::TERM);
}

#[test]
fn a_replica_that_is_found_damaged_after_a_crash_is_filled_anew() {
    is_replaced_at_the_start(Signal::KILL);
}

#[test]
fn a_replica_that_is_found_damaged_by_a_read_is_replaced_and_no_other_slot_notices() {
    let directory = TempDir::new().unwrap();
    let cluster = cluster(&directory);
    let slot = slot_of(b"key 7", SLOTS);
    let object = [&slot.0.to_be_bytes()[..], &[0; 4], b"key 7"].concat();
    let node = damaged(&cluster, &directory, Signal::TERM, "objects", |key| key == object);
    let before = cluster.await_status("three copies", is_back);
    assert!(before.members().iter().all(|chain| chain[2] == "n2"), "what is read is its copy: {before:?}");
    assert_reads_as_before(&cluster);
    let said = event_with(&node.stderr, REPLACED);
    assert_eq!((&said["level"], &said["slot"]), (&"ERROR".into(), &slot.0.into()), "{said}");
    assert!(error_of(&said).contains(&format!("slot {slot} generation 0 key \"key 7\"")), "{said}");
    let changed = |status: &Status| version(status, slot) != version(&before, slot);
    let after = cluster.await_status("another copy", |status| changed(status) && is_back(status));
    for other in (0..SLOTS).map(Slot).filter(|other| *other != slot) {
        assert_eq!(version(&after, other), version(&before, other), "slot {other} stays as it is");
    }
    // What is read is the new copy.
    assert_reads_as_before(&cluster);
    assert_eq!(after.members()[slot.0 as usize][2], "n2", "{after:?}");
    assert!(node.stderr.try_iter().all(|line| !line.contains("ERROR")), "it is said once");
}

fn version(status: &Status, slot: Slot) -> &Value {
    &status.chains()[slot.0 as usize]["version"]
}
