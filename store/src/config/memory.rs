//! The coordinator's state in memory, for simulated clusters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use catena_core::{ChainVersion, Change, ClusterConfig, NodeId, Record, Slot};

use super::{ConfigError, ConfigStore, require_succession, require_unchanged};

/// A simulated disk of a coordinator. Clones are the same disk: a restarted coordinator gets a clone. A commit is synced, so a
/// crash loses nothing. Behind a lock because the coordinator and the test that restarts it are different tasks.
#[derive(Clone, Debug, Default)]
pub struct MemoryConfigStore {
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    cluster: Option<ClusterConfig>,
    nodes: BTreeMap<NodeId, Change>,
    chains: BTreeMap<Slot, (ChainVersion, Change)>,
}

impl MemoryConfigStore {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("a panic inside the store ends the simulation")
    }
}

impl ConfigStore for MemoryConfigStore {
    fn cluster(&mut self) -> Result<Option<ClusterConfig>, ConfigError> {
        Ok(self.lock().cluster.clone())
    }

    fn establish(&mut self, given: &ClusterConfig) -> Result<(), ConfigError> {
        require_unchanged(self.lock().cluster.get_or_insert_with(|| given.clone()), given)
    }

    fn load(&mut self) -> Result<Vec<Change>, ConfigError> {
        let content = self.lock();
        let chains = content.chains.values().map(|(_, change)| change);
        let mut changes: Vec<Change> = content.nodes.values().chain(chains).cloned().collect();
        changes.sort_by_key(|change| change.revision);
        Ok(changes)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), ConfigError> {
        let mut content = self.lock();
        require_succession(changes, |slot| {
            Ok(content.chains.get(&slot).map_or(ChainVersion::default(), |&(version, _)| version))
        })?;
        for change in changes {
            match &change.record {
                Record::Node(node) => drop(content.nodes.insert(node.node.clone(), change.clone())),
                Record::Chain(chain) => drop(content.chains.insert(chain.slot, (chain.version, change.clone()))),
            }
        }
        Ok(())
    }
}
