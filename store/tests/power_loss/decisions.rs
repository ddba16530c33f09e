//! The same for the coordinator's store: what it decides, and what must be there of it.

use std::path::Path;
use std::time::Duration;

use catena_core::{
    Chain, ChainVersion, Change, ClusterConfig, ClusterId, Epoch, Incarnation, Leadership, Member, NodeId, NodeRecord, Record,
    Revision, Slot, Standing, StoredNode,
};
use catena_store::{ConfigStore, FjallConfigStore};

use super::trace::Task;
use super::workload::report;

const SLOTS: u64 = 5;

fn config() -> ClusterConfig {
    ClusterConfig { cluster: ClusterId(77), slots: 16, replicas: 2, founders: 3, lease: Duration::from_millis(600) }
}

/// What is decided together, the `number`th time: where the node is, and the next version of a chain.
fn decision(number: u64) -> [Change; 2] {
    let (node, incarnation) = (NodeId::new("n1").unwrap(), Incarnation(5));
    let record = NodeRecord { node: node.clone(), incarnation, address: format!("n1:{number}"), labels: [].into() };
    let record = Record::Node(StoredNode { record, standing: Standing::Member, flaps: vec![], evictions: 0 });
    let (slot, version) = (Slot(u32::try_from(number % SLOTS).unwrap()), ChainVersion(number.div_ceil(SLOTS)));
    let members = vec![Member { node, incarnation, activated: ChainVersion(1) }];
    let chain = Chain { slot, version, epoch: Epoch(1), members, joining: None, tail_ready: true };
    [
        Change { revision: Revision(2 * number - 1), record },
        Change { revision: Revision(2 * number), record: Record::Chain(chain) },
    ]
}

/// The last record of the node and of every slot after so many decisions, in their order.
fn stored_after(number: u64) -> Vec<Change> {
    let last = (number.saturating_sub(SLOTS - 1).max(1)..=number).map(decision);
    last.flat_map(|[node, chain]| [(node.revision == Revision(2 * number - 1)).then_some(node), Some(chain)]).flatten().collect()
}

/// Not a test: decides, with a beat now and then, and says up to where everything is durable.
#[test]
#[ignore = "another test runs it, in a process of its own"]
fn decide_until_told() {
    let Task { directory, writes, .. } = Task::told();
    let mut store = FjallConfigStore::open_unidentified(&directory).unwrap();
    store.establish(&config()).unwrap();
    let (mut leadership, _) = store.lead(Leadership::default()).unwrap().unwrap();
    for number in 1..=writes {
        store.commit(Epoch(1), &decision(number)).unwrap();
        report(number);
        if number % 3 == 0 {
            leadership = store.renew(leadership).unwrap().unwrap();
        }
    }
}

/// Everything up to decision `durable` is there, whole decisions only, and the next leader is a new one.
pub(crate) fn assert_holds(path: &Path, durable: u64) -> Result<(), String> {
    let lacks = |what: &dyn std::fmt::Display| format!("{durable} was durable: {what}");
    let mut store = FjallConfigStore::open_unidentified(path).map_err(|error| lacks(&error))?;
    let known = store.cluster().map_err(|error| lacks(&error))?;
    if known != Some(config()) {
        return Err(lacks(&format!("the cluster is {known:?}")));
    }
    let before = store.observe().map_err(|error| lacks(&error))?;
    let (now, stored) = store.lead(before).map_err(|error| lacks(&error))?.ok_or_else(|| lacks(&"nobody may lead"))?;
    let last = stored.last().map_or(0, |change| change.revision.0 / 2);
    if now.epoch != Epoch(2) || before.beat < durable.saturating_sub(1) / 3 || last < durable || stored != stored_after(last) {
        return Err(lacks(&format!("{before:?} and {stored:?}")));
    }
    store.commit(now.epoch, &decision(last + 1)).map_err(|error| lacks(&error))
}
