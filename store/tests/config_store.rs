//! The coordinator's store: one list of behaviours over both implementations.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use catena_core::{
    Chain, ChainVersion, Change, ClusterConfig, ClusterId, Epoch, Eviction, Incarnation, Leadership, Member, NodeId, NodeRecord,
    Record, Revision, Slot, Standing, StoredNode, WallTime,
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
    everything_that_is_known_of_a_node_and_a_chain_is_read_back,
    a_chain_that_does_not_follow_is_refused_and_nothing_changes,
    chains_may_follow_each_other_within_a_commit,
    parameters_are_established_once,
    each_changed_parameter_is_refused_by_name,
    the_founders_are_those_first_given,
    leaderships_follow_each_other_and_survive_a_restart,
    only_one_of_two_takes_over_what_both_have_observed,
    a_leader_that_renews_is_not_taken_over_by_who_has_observed_it_before,
    a_deposed_leader_can_neither_renew_nor_commit,
    nobody_commits_before_anybody_leads,
);

fn stored_node(name: &str, address: &str) -> StoredNode {
    let record = NodeRecord {
        node: NodeId::new(name).unwrap(),
        incarnation: Incarnation(5),
        address: address.to_owned(),
        labels: [("rack", "r1"), ("zone", "")].map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
    };
    StoredNode { record, standing: Standing::Member, flaps: vec![], evictions: 0 }
}

fn node(revision: u64, name: &str, address: &str) -> Change {
    Change { revision: Revision(revision), record: Record::Node(stored_node(name, address)) }
}

fn chain(revision: u64, slot: u32, version: u64) -> Change {
    let member =
        |name| Member { node: NodeId::new(name).unwrap(), incarnation: Incarnation(u128::MAX), activated: ChainVersion(version) };
    let chain = Chain {
        slot: Slot(slot),
        version: ChainVersion(version),
        epoch: Epoch(7),
        members: vec![member("n1")],
        tail_ready: version.is_multiple_of(2),
        joining: version.is_multiple_of(2).then(|| member("n2")),
    };
    Change { revision: Revision(revision), record: Record::Chain(chain) }
}

fn config() -> ClusterConfig {
    ClusterConfig { cluster: ClusterId(77), slots: 16, replicas: 2, founders: 3, lease: Duration::from_millis(600) }
}

/// Takes over from whoever leads.
fn lead(store: &mut impl ConfigStore) -> (Leadership, Vec<Change>) {
    let over = store.observe().unwrap();
    store.lead(over).unwrap().unwrap()
}

fn epoch(store: &mut impl ConfigStore) -> Epoch {
    lead(store).0.epoch
}

fn stored(store: &mut impl ConfigStore) -> Vec<Change> {
    lead(store).1
}

fn a_new_store_is_empty(disk: &impl Disk) {
    let mut store = disk.open();
    assert_eq!(store.cluster().unwrap(), None);
    assert_eq!(store.observe().unwrap(), Leadership { epoch: Epoch(0), beat: 0 });
    assert_eq!(lead(&mut store), (Leadership { epoch: Epoch(1), beat: 0 }, vec![]));
}

fn the_last_record_of_each_node_and_slot_is_loaded_in_order_of_decision(disk: &impl Disk) {
    let mut store = disk.open();
    store.establish(&config()).unwrap();
    let epoch = epoch(&mut store);
    store.commit(epoch, &[node(1, "n1", "a:1"), chain(2, 1, 1), chain(3, 0x1_0000, 1)]).unwrap();
    store.commit(epoch, &[node(4, "n1", "b:2"), chain(5, 1, 2)]).unwrap();
    drop(store);
    assert_eq!(stored(&mut disk.open()), [chain(3, 0x1_0000, 1), node(4, "n1", "b:2"), chain(5, 1, 2)]);
}

fn everything_that_is_known_of_a_node_and_a_chain_is_read_back(disk: &impl Disk) {
    let at = WallTime(u64::MAX);
    let standings = [
        Standing::Member,
        Standing::Draining,
        Standing::Evicted { reason: Eviction::Flapping, at },
        Standing::Evicted { reason: Eviction::Ordered, at: WallTime(0) },
    ];
    let nodes = standings.into_iter().zip(1..).map(|(standing, number)| {
        let flaps = (0..number).map(WallTime).collect();
        let evictions = u32::try_from(number).unwrap() * 1000;
        let stored = StoredNode { standing, flaps, evictions, ..stored_node(&format!("n{number}"), "a:1") };
        Change { revision: Revision(number), record: Record::Node(stored) }
    });
    let changes: Vec<Change> = nodes.chain([chain(9, 4, 1), chain(10, 5, 1), chain(11, 5, 2)]).collect();
    let mut store = disk.open();
    let epoch = epoch(&mut store);
    store.commit(epoch, &changes).unwrap();
    drop(store);
    let mut expected = changes;
    expected.remove(5);
    assert_eq!(stored(&mut disk.open()), expected);
}

fn a_chain_that_does_not_follow_is_refused_and_nothing_changes(disk: &impl Disk) {
    let mut store = disk.open();
    let first = epoch(&mut store);
    store.commit(first, &[chain(1, 1, 1)]).unwrap();
    for (slot, given, found) in [(1, 1, 1), (1, 3, 1), (2, 2, 0), (2, 0, 0)] {
        let epoch = epoch(&mut store);
        let error = store.commit(epoch, &[node(2, "n1", "a:1"), chain(3, slot, given)]).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, ConfigError::Conflict { slot: s, stored: v, given: g }
                if (s.0, v.0, g.0) == (slot, found, given)),
            "{text}"
        );
        assert!(text.contains(&format!("slot {slot}: chain version {given}")), "{text}");
        assert_eq!(stored(&mut store), [chain(1, 1, 1)]);
    }
    drop(store);
    assert_eq!(stored(&mut disk.open()), [chain(1, 1, 1)]);
}

fn chains_may_follow_each_other_within_a_commit(disk: &impl Disk) {
    let mut store = disk.open();
    let epoch = epoch(&mut store);
    store.commit(epoch, &[chain(1, 1, 1), chain(2, 1, 2)]).unwrap();
    assert!(store.commit(epoch, &[chain(3, 1, 3), chain(4, 1, 3)]).is_err());
    assert_eq!(stored(&mut store), [chain(2, 1, 2)]);
}

fn parameters_are_established_once(disk: &impl Disk) {
    let mut store = disk.open();
    store.establish(&config()).unwrap();
    store.establish(&config()).unwrap();
    drop(store);
    let mut store = disk.open();
    assert_eq!(store.cluster().unwrap(), Some(config()));
    store.establish(&config()).unwrap();
    assert_eq!(stored(&mut store), []);
}

fn each_changed_parameter_is_refused_by_name(disk: &impl Disk) {
    let mut store = disk.open();
    store.establish(&config()).unwrap();
    let changed = [
        ("slots 16, not 32", ClusterConfig { slots: 32, ..config() }),
        ("replicas 2, not 1", ClusterConfig { replicas: 1, ..config() }),
        ("lease 600ms, not 1s", ClusterConfig { lease: Duration::from_secs(1), ..config() }),
        ("cluster id", ClusterConfig { cluster: ClusterId(78), ..config() }),
    ];
    for (words, given) in changed {
        let error = store.establish(&given).unwrap_err().to_string();
        assert!(error.contains(words), "{words:?} is not in: {error}");
        assert_eq!(store.cluster().unwrap(), Some(config()));
    }
}

fn the_founders_are_those_first_given(disk: &impl Disk) {
    let mut store = disk.open();
    store.establish(&config()).unwrap();
    store.establish(&ClusterConfig { founders: 9, ..config() }).unwrap();
    assert_eq!(store.cluster().unwrap(), Some(config()));
}

fn leaderships_follow_each_other_and_survive_a_restart(disk: &impl Disk) {
    let mut store = disk.open();
    let (first, _) = lead(&mut store);
    let renewed = store.renew(first).unwrap().unwrap();
    assert_eq!(renewed, Leadership { epoch: Epoch(1), beat: 1 });
    assert_eq!(store.renew(renewed).unwrap(), Some(Leadership { epoch: Epoch(1), beat: 2 }));
    drop(store);
    let mut store = disk.open();
    assert_eq!(store.observe().unwrap(), Leadership { epoch: Epoch(1), beat: 2 });
    store.commit(Epoch(1), &[chain(1, 1, 1)]).unwrap();
    assert_eq!(lead(&mut store), (Leadership { epoch: Epoch(2), beat: 0 }, vec![chain(1, 1, 1)]));
}

fn only_one_of_two_takes_over_what_both_have_observed(disk: &impl Disk) {
    let mut store = disk.open();
    let (leader, _) = lead(&mut store);
    let observed = [store.observe().unwrap(), store.observe().unwrap()];
    assert_eq!(observed, [leader; 2]);
    assert!(store.lead(observed[0]).unwrap().is_some());
    assert_eq!(store.lead(observed[1]).unwrap(), None);
    assert_eq!(store.observe().unwrap(), Leadership { epoch: Epoch(2), beat: 0 });
}

fn a_leader_that_renews_is_not_taken_over_by_who_has_observed_it_before(disk: &impl Disk) {
    let mut store = disk.open();
    let (leader, _) = lead(&mut store);
    let observed = store.observe().unwrap();
    let renewed = store.renew(leader).unwrap().unwrap();
    assert_eq!(store.lead(observed).unwrap(), None);
    assert_eq!(store.renew(observed).unwrap(), None, "one claim is renewed once");
    assert_eq!(store.observe().unwrap(), renewed);
}

fn a_deposed_leader_can_neither_renew_nor_commit(disk: &impl Disk) {
    let mut store = disk.open();
    let (old, _) = lead(&mut store);
    store.commit(old.epoch, &[chain(1, 1, 1)]).unwrap();
    let (new, taken_over) = lead(&mut store);
    assert_eq!(taken_over, [chain(1, 1, 1)]);
    assert_eq!(store.renew(old).unwrap(), None);
    let refuse = |store: &mut _, epoch| {
        let error = ConfigStore::commit(store, epoch, &[chain(2, 1, 2)]).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, ConfigError::Deposed { given, stored } if (given, stored) == (epoch, new.epoch)), "{text}");
        assert!(text.contains(&format!("epoch {epoch} does not lead, epoch 2 does")), "{text}");
    };
    refuse(&mut store, old.epoch);
    refuse(&mut store, new.epoch.next());
    store.commit(new.epoch, &[chain(2, 1, 2)]).unwrap();
    assert_eq!(stored(&mut store), [chain(2, 1, 2)]);
}

fn nobody_commits_before_anybody_leads(disk: &impl Disk) {
    let mut store = disk.open();
    for epoch in [Epoch(0), Epoch(1)] {
        assert!(matches!(store.commit(epoch, &[chain(1, 1, 1)]), Err(ConfigError::Deposed { .. })));
    }
    assert_eq!(stored(&mut store), []);
}

/// Two coordinators on one store, step by step.
#[test]
fn two_users_of_one_store_see_each_other() {
    let mut one = MemoryConfigStore::new();
    let mut two = one.clone();
    one.establish(&config()).unwrap();
    assert_eq!(two.cluster().unwrap(), Some(config()));
    let (first, _) = lead(&mut one);
    let seen = two.observe().unwrap();
    one.commit(first.epoch, &[chain(1, 1, 1)]).unwrap();
    assert_eq!(seen, first);
    // Two takes over while one believes that it leads.
    let (second, stored) = two.lead(seen).unwrap().unwrap();
    assert_eq!(stored, [chain(1, 1, 1)]);
    assert!(matches!(one.commit(first.epoch, &[chain(2, 1, 2)]), Err(ConfigError::Deposed { .. })));
    assert_eq!(one.renew(first).unwrap(), None);
    two.commit(second.epoch, &[chain(2, 1, 2)]).unwrap();
    // And one again, over a leader that has renewed meanwhile.
    let seen = one.observe().unwrap();
    let second = two.renew(second).unwrap().unwrap();
    assert_eq!(one.lead(seen).unwrap(), None);
    let (third, stored) = one.lead(second).unwrap().unwrap();
    assert_eq!((third.epoch, stored), (Epoch(3), vec![chain(2, 1, 2)]));
    assert!(matches!(two.commit(second.epoch, &[]), Err(ConfigError::Deposed { .. })));
    assert_eq!(one.stored(), [chain(2, 1, 2)]);
}
