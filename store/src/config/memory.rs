//! The coordinator's state in memory, for simulated clusters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use catena_core::{ChainVersion, Change, ClusterConfig, Epoch, Leadership, NodeId, Record, Slot, mutant};

use super::{ConfigError, ConfigStore, next_beat, next_epoch, require_leader, require_succession, require_unchanged};

/// A simulated disk of coordinators. Clones are the same disk: a restarted coordinator gets a clone, and so does one that
/// stands by. A commit is synced, so a crash loses nothing. Behind a lock because its users are different tasks; it is held for
/// one call.
#[derive(Clone, Debug, Default)]
pub struct MemoryConfigStore {
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    cluster: Option<ClusterConfig>,
    leadership: Leadership,
    nodes: BTreeMap<NodeId, Change>,
    chains: BTreeMap<Slot, (ChainVersion, Change)>,
}

impl MemoryConfigStore {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The last record of every node and slot, in the order in which they were decided: for a simulation to look at.
    pub fn stored(&self) -> Vec<Change> {
        self.lock().changes()
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("a panic inside the store ends the simulation")
    }
}

impl Content {
    fn changes(&self) -> Vec<Change> {
        let chains = self.chains.values().map(|(_, change)| change);
        let mut changes: Vec<Change> = self.nodes.values().chain(chains).cloned().collect();
        changes.sort_by_key(|change| change.revision);
        changes
    }
}

impl ConfigStore for MemoryConfigStore {
    fn cluster(&mut self) -> Result<Option<ClusterConfig>, ConfigError> {
        Ok(self.lock().cluster.clone())
    }

    fn establish(&mut self, given: &ClusterConfig) -> Result<(), ConfigError> {
        require_unchanged(self.lock().cluster.get_or_insert_with(|| given.clone()), given)
    }

    fn observe(&mut self) -> Result<Leadership, ConfigError> {
        Ok(self.lock().leadership)
    }

    fn lead(&mut self, over: Leadership) -> Result<Option<(Leadership, Vec<Change>)>, ConfigError> {
        let mut content = self.lock();
        if content.leadership != over {
            return Ok(None);
        }
        content.leadership = next_epoch(over);
        Ok(Some((content.leadership, content.changes())))
    }

    fn renew(&mut self, current: Leadership) -> Result<Option<Leadership>, ConfigError> {
        let mut content = self.lock();
        if content.leadership != current {
            return Ok(None);
        }
        content.leadership = next_beat(current);
        Ok(Some(content.leadership))
    }

    fn commit(&mut self, epoch: Epoch, changes: &[Change]) -> Result<(), ConfigError> {
        let mut content = self.lock();
        if !mutant!(EpochUnchecked) {
            require_leader(content.leadership.epoch, epoch)?;
        }
        require_succession(changes, |slot| {
            Ok(content.chains.get(&slot).map_or(ChainVersion::default(), |&(version, _)| version))
        })?;
        for change in changes {
            match &change.record {
                Record::Node(node) => drop(content.nodes.insert(node.record.node.clone(), change.clone())),
                Record::Chain(chain) => drop(content.chains.insert(chain.slot, (chain.version, change.clone()))),
            }
        }
        Ok(())
    }
}
