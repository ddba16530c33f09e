//! What operators order: drain, evict, readmit.

use super::leader::Leader;
use super::{CoordinatorEffect, Eviction, Health, Note, Order, OrderError, Record, Standing, StoredNode};
use crate::{Chain, CoordinatorConfig, Member, NodeId, Now, RequestId};

impl Leader {
    pub(super) fn on_order(
        &mut self,
        request: RequestId,
        order: &Order,
        config: &CoordinatorConfig,
        now: Now,
        out: &mut Vec<CoordinatorEffect>,
    ) {
        match self.judge(order, config, now) {
            Ok(Some(stored)) => {
                if let Standing::Evicted { reason, .. } = stored.standing {
                    out.push(CoordinatorEffect::Note(Note::Evicted { node: stored.record.node.clone(), reason }));
                }
                self.store(vec![Record::Node(stored)], Some(request), out);
            }
            Ok(None) => out.push(CoordinatorEffect::Done { request, result: Ok(()) }),
            Err(error) => out.push(CoordinatorEffect::Done { request, result: Err(error) }),
        }
    }

    /// The node's next record; `None`: it is as ordered already.
    fn judge(&self, order: &Order, config: &CoordinatorConfig, now: Now) -> Result<Option<StoredNode>, OrderError> {
        let (Order::Drain(node) | Order::Evict(node) | Order::Readmit(node)) = order;
        if !self.nodes.contains_key(node) {
            return Err(OrderError::UnknownNode { node: node.clone(), known: self.known_nodes() });
        }
        let latest = self.latest(node);
        match (order, latest.standing) {
            // As ordered already, or further on its way out.
            (Order::Drain(_), Standing::Draining | Standing::Evicted { .. }) | (Order::Evict(_), Standing::Evicted { .. }) => {
                Ok(None)
            }
            (Order::Readmit(_), Standing::Member) => Err(OrderError::NotOut { node: node.clone() }),
            (Order::Drain(_), Standing::Member) => {
                self.room_without(node, config)?;
                Ok(Some(StoredNode { standing: Standing::Draining, ..latest }))
            }
            (Order::Evict(_), Standing::Member | Standing::Draining) => {
                self.copies_without(node)?;
                let standing = Standing::Evicted { reason: Eviction::Ordered, at: now.wall };
                Ok(Some(StoredNode { standing, ..latest }))
            }
            (Order::Readmit(_), Standing::Draining | Standing::Evicted { .. }) => {
                Ok(Some(StoredNode { standing: Standing::Member, flaps: Vec::new(), evictions: 0, ..latest }))
            }
        }
    }

    fn chains_of<'a>(&'a self, node: &'a NodeId) -> impl Iterator<Item = &'a Chain> + use<'a> {
        let chains = self.nodes[node].slots.iter().filter_map(|slot| self.slots[slot].chain.as_ref());
        chains.filter(|chain| chain.position(node).is_some())
    }

    /// Every chain of the node must find as many replicas elsewhere as it has, or as it should have.
    fn room_without(&self, node: &NodeId, config: &CoordinatorConfig) -> Result<(), OrderError> {
        // With what has been ordered and is being stored, so that two orders at once are judged as one after the other.
        let stays = |id: &NodeId| self.nodes[id].placeable() && self.latest(id).standing == Standing::Member;
        for chain in self.chains_of(node) {
            let possible = self.possible_without(chain, node, config, stays);
            let replicas = chain.members.len().min(config.cluster.replicas as usize);
            if possible < replicas {
                let [possible, replicas] = [possible, replicas].map(|count| u32::try_from(count).expect("a few replicas"));
                return Err(OrderError::NoRoom { slot: chain.slot, node: node.clone(), replicas, possible });
            }
        }
        Ok(())
    }

    /// Every chain of the node must have another copy that is not known to be lost or away. (One that is evicted as well is
    /// there until others are filled from it.)
    fn copies_without(&self, node: &NodeId) -> Result<(), OrderError> {
        let counts = |copy: &Member, chain: &Chain| {
            let there = self.nodes.get(&copy.node).is_some_and(|node| {
                let away = matches!(node.health, Health::Dead | Health::Stopped);
                !away && node.stored.record.incarnation == copy.incarnation
            });
            copy.node != *node && there && !self.is_unfit(copy, chain)
        };
        let last = |chain: &&Chain| !chain.copies().iter().any(|copy| counts(copy, chain));
        match self.chains_of(node).find(last) {
            Some(chain) => Err(OrderError::LastCopy { slot: chain.slot, node: node.clone() }),
            None => Ok(()),
        }
    }
}
