//! The coordinators' store, played: one record a node and a slot, compare-and-set, as slow as the test wants.

use std::collections::BTreeMap;
use std::time::Duration;

use catena_core::{Chain, ChainVersion, Change, CoordinatorEffect, CoordinatorEvent, Epoch, Leadership, NodeId, Record, Slot};

/// What is stored, and how long it takes.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) leadership: Leadership,
    pub(crate) nodes: BTreeMap<NodeId, Change>,
    pub(crate) chains: BTreeMap<Slot, Change>,
    /// From a commit's asking to its effect, and from there to the coordinator's hearing of it.
    pub(crate) delay: Duration,
    /// Nothing is done or answered while this is set.
    pub(crate) out_of_order: bool,
}

impl Store {
    pub(crate) fn chain(&self, slot: Slot) -> Option<&Chain> {
        match &self.chains.get(&slot)?.record {
            Record::Chain(chain) => Some(chain),
            Record::Node(_) => None,
        }
    }

    pub(crate) fn everything(&self) -> Vec<Change> {
        self.chains.values().chain(self.nodes.values()).cloned().collect()
    }

    /// Does what a coordinator asked for, and says what it is to hear of it, and what has come into effect.
    pub(crate) fn run(&mut self, effect: CoordinatorEffect) -> (CoordinatorEvent, Vec<Change>) {
        let event = match effect {
            CoordinatorEffect::Lead { over } if over == self.leadership => {
                self.leadership = Leadership { epoch: over.epoch.next(), beat: 0 };
                CoordinatorEvent::Elected { leadership: self.leadership, stored: self.everything() }
            }
            CoordinatorEffect::Observe | CoordinatorEffect::Lead { .. } => CoordinatorEvent::Observed(self.leadership),
            CoordinatorEffect::Renew(held) if held == self.leadership => {
                self.leadership.beat += 1;
                CoordinatorEvent::Renewed(self.leadership)
            }
            CoordinatorEffect::Renew(_) => CoordinatorEvent::Deposed,
            CoordinatorEffect::Store { ticket, epoch, changes } => {
                if !self.take(epoch, &changes) {
                    return (CoordinatorEvent::Deposed, Vec::new());
                }
                return (CoordinatorEvent::Stored { ticket }, changes);
            }
            other => unreachable!("{other:?} is not for the store"),
        };
        (event, Vec::new())
    }

    fn take(&mut self, epoch: Epoch, changes: &[Change]) -> bool {
        if epoch != self.leadership.epoch {
            return false;
        }
        for change in changes {
            match &change.record {
                Record::Node(node) => drop(self.nodes.insert(node.record.node.clone(), change.clone())),
                Record::Chain(chain) => {
                    let before = self.chain(chain.slot).map_or(ChainVersion(0), |chain| chain.version);
                    assert_eq!(chain.version, before.next(), "slot {}: a leader's compare-and-set failed", chain.slot);
                    self.chains.insert(chain.slot, change.clone());
                }
            }
        }
        true
    }
}
