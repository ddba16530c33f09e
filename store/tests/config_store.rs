//! The coordinator's store: one list of behaviours over both implementations.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use catena_core::{
    Chain, ChainVersion, Change, ClusterConfig, ClusterId, Incarnation, Member, NodeId, NodeRecord, Record, Revision, Slot,
};
use catena_store::{ConfigError, ConfigStore, FjallConfigStore, MemoryConfigStore};
use tempfile::TempDir;

/// Something that a coordinator's process is started on, one after the other.
trait Disk {
    fn open(&self) -> impl ConfigStore;
}

impl Disk for MemoryConfigStore {
    fn open(&self) -> impl ConfigStore {
        self.clone()
    }
}

impl Disk for TempDir {
    fn open(&self) -> impl ConfigStore {
        FjallConfigStore::open_unidentified(self.path()).unwrap()
    }
}

macro_rules! behaviours {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $case() { crate::$case(&catena_store::MemoryConfigStore::new()); })*
        }
        mod fjall {
            $(#[test] fn $case() { crate::$case(&tempfile::tempdir().unwrap()); })*
        }
    };
}

behaviours!(
    a_new_store_is_empty,
    the_last_record_of_each_node_and_slot_is_loaded_in_order_of_decision,
    a_chain_that_does_not_follow_is_refused_and_nothing_changes,
    chains_may_follow_each_other_within_a_commit,
    parameters_are_established_once,
    each_changed_parameter_is_refused_by_name,
);

fn node(revision: u64, name: &str, address: &str) -> Change {
    let record = NodeRecord { node: NodeId::new(name).unwrap(), incarnation: Incarnation(5), address: address.to_owned() };
    Change { revision: Revision(revision), record: Record::Node(record) }
}

fn chain(revision: u64, slot: u32, version: u64) -> Change {
    let member =
        Member { node: NodeId::new("n1").unwrap(), incarnation: Incarnation(u128::MAX), activated: ChainVersion(version) };
    let chain = Chain { slot: Slot(slot), version: ChainVersion(version), members: vec![member] };
    Change { revision: Revision(revision), record: Record::Chain(chain) }
}

fn config() -> ClusterConfig {
    ClusterConfig {
        cluster: ClusterId(77),
        slots: 16,
        replicas: 2,
        nodes: vec![NodeId::new("n1").unwrap(), NodeId::new("n2").unwrap()],
        lease: Duration::from_millis(600),
    }
}

fn a_new_store_is_empty(disk: &impl Disk) {
    let mut store = disk.open();
    assert_eq!(store.cluster().unwrap(), None);
    assert_eq!(store.load().unwrap(), []);
}

fn the_last_record_of_each_node_and_slot_is_loaded_in_order_of_decision(disk: &impl Disk) {
    let mut store = disk.open();
    store.establish(&config()).unwrap();
    store.commit(&[node(1, "n1", "a:1"), chain(2, 1, 1), chain(3, 0x1_0000, 1)]).unwrap();
    store.commit(&[node(4, "n1", "b:2"), chain(5, 1, 2)]).unwrap();
    drop(store);
    assert_eq!(disk.open().load().unwrap(), [chain(3, 0x1_0000, 1), node(4, "n1", "b:2"), chain(5, 1, 2)]);
}

fn a_chain_that_does_not_follow_is_refused_and_nothing_changes(disk: &impl Disk) {
    let mut store = disk.open();
    store.commit(&[chain(1, 1, 1)]).unwrap();
    for (slot, given, stored) in [(1, 1, 1), (1, 3, 1), (2, 2, 0), (2, 0, 0)] {
        let error = store.commit(&[node(2, "n1", "a:1"), chain(3, slot, given)]).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, ConfigError::Conflict { slot: s, stored: v, given: g }
                if (s.0, v.0, g.0) == (slot, stored, given)),
            "{text}"
        );
        assert!(text.contains(&format!("slot {slot}: chain version {given}")), "{text}");
        assert_eq!(store.load().unwrap(), [chain(1, 1, 1)]);
    }
    drop(store);
    assert_eq!(disk.open().load().unwrap(), [chain(1, 1, 1)]);
}

fn chains_may_follow_each_other_within_a_commit(disk: &impl Disk) {
    let mut store = disk.open();
    store.commit(&[chain(1, 1, 1), chain(2, 1, 2)]).unwrap();
    assert!(store.commit(&[chain(3, 1, 3), chain(4, 1, 3)]).is_err());
    assert_eq!(store.load().unwrap(), [chain(2, 1, 2)]);
}

fn parameters_are_established_once(disk: &impl Disk) {
    let mut store = disk.open();
    store.establish(&config()).unwrap();
    store.establish(&config()).unwrap();
    drop(store);
    let mut store = disk.open();
    assert_eq!(store.cluster().unwrap(), Some(config()));
    store.establish(&config()).unwrap();
    assert_eq!(store.load().unwrap(), []);
}

fn each_changed_parameter_is_refused_by_name(disk: &impl Disk) {
    let mut store = disk.open();
    store.establish(&config()).unwrap();
    let changed = [
        ("slots 16, not 32", ClusterConfig { slots: 32, ..config() }),
        ("replicas 2, not 1", ClusterConfig { replicas: 1, ..config() }),
        ("nodes n1,n2, not n1", ClusterConfig { nodes: vec![NodeId::new("n1").unwrap()], ..config() }),
        ("lease 600ms, not 1s", ClusterConfig { lease: Duration::from_secs(1), ..config() }),
        ("cluster id", ClusterConfig { cluster: ClusterId(78), ..config() }),
    ];
    for (words, given) in changed {
        let error = store.establish(&given).unwrap_err().to_string();
        assert!(error.contains(words), "{words:?} is not in: {error}");
        assert_eq!(store.cluster().unwrap(), Some(config()));
    }
}
