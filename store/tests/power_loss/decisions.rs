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

/// What is durable: the last leadership, and so many decisions.
#[derive(Clone, Copy, Debug)]
struct Durable {
    leadership: Leadership,
    decisions: u64,
}

impl Durable {
    /// What a store has when it is asked. A decision is there as a whole or not at all.
    fn found(leadership: Leadership, stored: &[Change]) -> Result<Self, String> {
        let decisions = stored.last().map_or(0, |change| change.revision.0 / 2);
        let found = Self { leadership, decisions };
        if stored == stored_after(decisions) { Ok(found) } else { Err(format!("{found:?}: {stored:?}")) }
    }

    /// Reports are numbers.
    fn number(self) -> u64 {
        let Self { leadership: Leadership { epoch, beat }, decisions } = self;
        assert!(beat < 1 << 16 && decisions < 1 << 32, "{self:?} is too much for a number");
        epoch.0 << 48 | beat << 32 | decisions
    }

    fn of(number: u64) -> Self {
        let leadership = Leadership { epoch: Epoch(number >> 48), beat: number >> 32 & 0xffff };
        Self { leadership, decisions: number & 0xffff_ffff }
    }

    /// Whether all of `other` is there, too.
    fn has(self, other: Self) -> bool {
        let since = |durable: Self| (durable.leadership.epoch, durable.leadership.beat);
        since(self) >= since(other) && self.decisions >= other.decisions
    }
}

/// Not a test: leads and decides, with a beat now and then, and says up to where everything is durable. It goes on with what it
/// finds, which is durable.
#[test]
#[ignore = "another test runs it, in a process of its own"]
fn decide_until_told() {
    let Task { directory, writes, durable, at_most } = Task::told();
    let mut store = FjallConfigStore::open_unidentified(&directory).unwrap();
    store.establish(&config()).unwrap();
    let before = store.observe().unwrap();
    let (leadership, stored) = store.lead(before).unwrap().unwrap();
    let found = Durable::found(before, &stored).unwrap();
    assert!(found.has(Durable::of(durable)), "{:?} was durable, there is {found:?}", Durable::of(durable));
    let mut done = Durable { leadership, ..found };
    report(done.number());
    for number in found.decisions + 1..=writes.min(found.decisions.saturating_add(at_most)) {
        store.commit(leadership.epoch, &decision(number)).unwrap();
        done.decisions = number;
        report(done.number());
        if number % 3 == 0 {
            done.leadership = store.renew(done.leadership).unwrap().unwrap();
            report(done.number());
        }
    }
}

/// Everything that was durable is there, whole decisions only, and the next leader is a new one.
pub(crate) fn assert_holds(path: &Path, durable: u64) -> Result<(), String> {
    let durable = Durable::of(durable);
    let lacks = |what: &dyn std::fmt::Display| format!("{durable:?} was durable: {what}");
    let mut store = FjallConfigStore::open_unidentified(path).map_err(|error| lacks(&error))?;
    let known = store.cluster().map_err(|error| lacks(&error))?;
    if known != Some(config()) {
        return Err(lacks(&format!("the cluster is {known:?}")));
    }
    let before = store.observe().map_err(|error| lacks(&error))?;
    let (now, stored) = store.lead(before).map_err(|error| lacks(&error))?.ok_or_else(|| lacks(&"nobody may lead"))?;
    let found = Durable::found(before, &stored).map_err(|found| lacks(&found))?;
    if !found.has(durable) || now.epoch != before.epoch.next() {
        return Err(lacks(&format!("{found:?}, then {now:?}")));
    }
    store.commit(now.epoch, &decision(found.decisions + 1)).map_err(|error| lacks(&error))
}
