//! Where everything is, as far as the client was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::jobs::End;
use crate::{Chain, ChainVersion, ClusterId, NodeId, NodeRecord, Revision, Route, Slot, slot_of};

/// The route: grows from snapshots and changes, in whatever order they come.
#[derive(Debug)]
pub(super) struct Routes {
    /// The only one whose routes count.
    cluster: Option<ClusterId>,
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    revision: Revision,
    slots: u32,
    /// Each the newest that was ever told.
    chains: BTreeMap<Slot, Chain>,
    nodes: BTreeMap<NodeId, Remote>,
    /// The newest versions that nodes have spoken of.
    hints: BTreeMap<Slot, ChainVersion>,
}

#[derive(Debug)]
struct Remote {
    record: NodeRecord,
    address: Arc<str>,
}

/// Where the calls of one slot go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) version: ChainVersion,
    pub(super) node: NodeId,
    pub(super) address: Arc<str>,
}

/// What a route brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It is of another cluster, or makes no sense.
    Foreign,
    /// The calls of these slots may go elsewhere now.
    Slots(BTreeSet<Slot>),
    /// The first route: nothing was known.
    First,
}

impl Routes {
    pub(super) fn new(cluster: Option<ClusterId>) -> Self {
        Self { cluster, known: None }
    }

    /// Learns a whole route.
    pub(super) fn learn(&mut self, route: Route) -> News {
        if !self.fits(&route) {
            return News::Foreign;
        }
        self.cluster = Some(route.cluster);
        if let Some(known) = &mut self.known {
            if route.revision > known.revision {
                known.nodes.retain(|node, _| route.nodes.iter().any(|record| record.node == *node));
            }
            return News::Slots(known.merge(route));
        }
        let mut known = Known {
            revision: Revision(0),
            slots: route.slots,
            chains: BTreeMap::new(),
            nodes: BTreeMap::new(),
            hints: BTreeMap::new(),
        };
        known.merge(route);
        self.known = Some(known);
        News::First
    }

    /// Learns what has changed up to a revision.
    pub(super) fn learn_change(&mut self, change: Route) -> News {
        if !self.fits(&change) {
            return News::Foreign;
        }
        match &mut self.known {
            Some(known) if change.revision > known.revision => News::Slots(known.merge(change)),
            Some(_) | None => News::Slots(BTreeSet::new()),
        }
    }

    fn fits(&self, route: &Route) -> bool {
        let slots = self.known.as_ref().map_or(route.slots, |known| known.slots);
        self.cluster.is_none_or(|cluster| cluster == route.cluster) && route.slots > 0 && route.slots == slots
    }

    /// The slot of a key; `None` before the first route.
    pub(super) fn slot(&self, key: &[u8]) -> Option<Slot> {
        self.known.as_ref().map(|known| slot_of(key, known.slots))
    }

    /// Where the calls of a slot go; `None` while it has no chain, or a chain of unknown nodes.
    pub(super) fn place(&self, slot: Slot, end: End) -> Option<Place> {
        let known = self.known.as_ref()?;
        let chain = known.chains.get(&slot)?;
        let node = end.of(chain);
        Some(Place { version: chain.version, node: node.clone(), address: known.nodes.get(node)?.address.clone() })
    }

    /// A node speaks of a version. Whether that is new to everybody here.
    pub(super) fn hint(&mut self, slot: Slot, version: ChainVersion) -> bool {
        let Some(known) = &mut self.known else { return false };
        let told = known.chains.get(&slot).map(|chain| chain.version).max(known.hints.get(&slot).copied());
        let new = told < Some(version);
        if new {
            known.hints.insert(slot, version);
        }
        new
    }

    pub(super) fn cluster(&self) -> Option<ClusterId> {
        self.cluster
    }

    /// All of it.
    pub(super) fn route(&self) -> Option<Route> {
        let (cluster, known) = (self.cluster?, self.known.as_ref()?);
        Some(Route {
            cluster,
            revision: known.revision,
            slots: known.slots,
            chains: known.chains.values().cloned().collect(),
            nodes: known.nodes.values().map(|remote| remote.record.clone()).collect(),
        })
    }
}

impl Known {
    /// Takes what is newer. Returns the slots whose calls may go elsewhere now.
    fn merge(&mut self, route: Route) -> BTreeSet<Slot> {
        let mut changed = BTreeSet::new();
        for chain in route.chains.into_iter().filter(|chain| !chain.members.is_empty()) {
            let newer = self.chains.get(&chain.slot).is_none_or(|known| known.version < chain.version);
            if newer {
                changed.insert(chain.slot);
                self.chains.insert(chain.slot, chain);
            }
        }
        let current = route.revision >= self.revision;
        let mut moved = BTreeSet::new();
        for record in route.nodes {
            let known = self.nodes.get(&record.node).map(|remote| &remote.record);
            if known.is_none() || current && known != Some(&record) {
                moved.insert(record.node.clone());
                let address = record.address.as_str().into();
                self.nodes.insert(record.node.clone(), Remote { record, address });
            }
        }
        self.revision = self.revision.max(route.revision);
        if !moved.is_empty() {
            let of_moved = |chain: &&Chain| moved.contains(&chain.head().node) || moved.contains(&chain.tail().node);
            changed.extend(self.chains.values().filter(of_moved).map(|chain| chain.slot));
        }
        changed
    }
}
