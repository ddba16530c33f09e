//! Who gets which replica (K5): spread over failure domains, then the least loaded, then by id.

use std::collections::BTreeMap;

use super::leader::Leader;
use super::registry::Load;
use super::{Record, StoredNode};
use crate::{Chain, ChainVersion, CoordinatorConfig, Member, NodeId, Now, Slot};

/// Replicas that are looked at in one step for one that can be moved; the search goes on in the next. Chosen here: a few
/// milliseconds (K6).
const LOOKS: usize = 8192;

/// Whether two nodes may hold replicas of one chain: every label that both have differs.
pub(super) fn distinct(a: &StoredNode, b: &StoredNode) -> bool {
    a.record.labels.iter().all(|(key, value)| b.record.labels.get(key) != Some(value))
}

impl Leader {
    pub(super) fn compatible(&self, a: &NodeId, b: &NodeId) -> bool {
        distinct(&self.nodes[a].stored, &self.nodes[b].stored)
    }

    /// Once enough nodes are there, gives every slot its first chain.
    pub(super) fn place(&mut self, config: &CoordinatorConfig) -> Vec<Record> {
        let placed = self.slots.values().any(|state| state.chain.is_some() || state.deciding);
        if placed {
            return Vec::new();
        }
        let ready: Vec<NodeId> = self.nodes.iter().filter(|(_, node)| node.placeable()).map(|(id, _)| id.clone()).collect();
        if ready.len() < config.cluster.founders as usize {
            return Vec::new();
        }
        let nodes: Vec<&StoredNode> = ready.iter().map(|id| &self.nodes[id].stored).collect();
        let mut loads = vec![Load::default(); nodes.len()];
        let mut records = Vec::with_capacity(self.slots.len());
        for slot in self.slots.keys() {
            let chosen = choose(&nodes, &loads, config.cluster.replicas as usize);
            let [.., tail] = chosen[..] else { continue };
            loads[chosen[0]].heads += 1;
            loads[tail].tails += 1;
            for node in &chosen {
                loads[*node].replicas += 1;
            }
            records.push(Record::Chain(self.first_chain(*slot, chosen.iter().map(|node| nodes[*node]))));
        }
        self.slots.values_mut().for_each(|state| state.deciding = true);
        records
    }

    fn first_chain<'a>(&self, slot: Slot, nodes: impl Iterator<Item = &'a StoredNode>) -> Chain {
        let version = ChainVersion(1);
        let member = |node: &StoredNode| {
            let (node, incarnation) = (node.record.node.clone(), node.record.incarnation);
            Member { node, incarnation, activated: version }
        };
        let members = nodes.map(member).collect();
        Chain { slot, version, epoch: self.leadership.epoch, members, tail_ready: true, joining: None }
    }

    /// Chooses replicas to be moved from the fullest to the emptiest node, while nothing else is under way.
    pub(super) fn rebalance(&mut self, config: &CoordinatorConfig, now: Now) {
        if !self.uneven || !self.open.is_empty() || !self.stranded.is_empty() || !self.dirty.is_empty() {
            return;
        }
        let placeable = self.nodes.iter().filter(|(_, node)| node.placeable());
        let mut counts: BTreeMap<NodeId, u32> = placeable.map(|(id, node)| (id.clone(), node.load.replicas)).collect();
        let mut looks = LOOKS;
        for _ in 0..config.changing_slots {
            let (tried, found) = self.next_move(&counts, self.tried_moves, &mut looks, now);
            self.tried_moves = tried;
            let Some((slot, from, to)) = found else {
                self.uneven = looks == 0 || now.monotonic < self.avoiding_until;
                return;
            };
            *counts.get_mut(&from).expect("it is one of them") -= 1;
            *counts.get_mut(&to).expect("it is one of them") += 1;
            self.slots.get_mut(&slot).expect("every slot has a state").moving = Some((from, to));
            self.dirty.insert(slot);
        }
    }

    /// A move that makes two nodes differ by less, and how many pairs of nodes were tried in vain: so many at first are not
    /// tried again. It is given up when no `looks` are left.
    fn next_move(
        &self,
        counts: &BTreeMap<NodeId, u32>,
        skip: usize,
        looks: &mut usize,
        now: Now,
    ) -> (usize, Option<(Slot, NodeId, NodeId)>) {
        let mut by_load: Vec<(&NodeId, u32)> = counts.iter().map(|(id, count)| (id, *count)).collect();
        by_load.sort_by_key(|(id, count)| (*count, (*id).clone()));
        let pairs = by_load.iter().rev().flat_map(|(from, most)| {
            let emptier = by_load.iter().take_while(move |(_, least)| least + 2 <= *most);
            emptier.map(move |(to, _)| (*from, *to))
        });
        for (tried, (from, to)) in pairs.enumerate().skip(skip) {
            let slots = &self.nodes[from].slots;
            if *looks == 0 {
                return (tried, None);
            }
            *looks = looks.saturating_sub(slots.len());
            if let Some(slot) = slots.iter().find(|slot| self.movable(**slot, from, to, now)) {
                return (0, Some((*slot, from.clone(), to.clone())));
            }
        }
        (0, None)
    }

    /// Whether a whole chain can have one node's replica moved to another.
    pub(super) fn movable(&self, slot: Slot, from: &NodeId, to: &NodeId, now: Now) -> bool {
        let state = &self.slots[&slot];
        let Some(chain) = state.chain.as_ref().filter(|_| state.moving.is_none() && !state.deciding) else { return false };
        let others = chain.members.iter().filter(|member| member.node != *from);
        chain.joining.is_none()
            && chain.tail_ready
            && chain.position(from).is_some()
            && chain.position(to).is_none()
            && state.avoid.get(to).is_none_or(|until| *until <= now.monotonic)
            && others.into_iter().all(|member| self.compatible(to, &member.node))
    }

    /// How many replicas a chain can have without this node, with the labels at hand.
    pub(super) fn possible_without(&self, chain: &Chain, node: &NodeId, config: &CoordinatorConfig) -> u32 {
        let staying = chain.members.iter().map(|member| &member.node).filter(|member| *member != node);
        let mut chosen: Vec<&NodeId> = staying.filter(|id| self.nodes[*id].placeable()).collect();
        for id in self.nodes.iter().filter(|(id, other)| *id != node && other.placeable()).map(|(id, _)| id) {
            if !chosen.contains(&id) && chosen.iter().all(|other| self.compatible(id, other)) {
                chosen.push(id);
            }
        }
        u32::try_from(chosen.len()).unwrap_or(u32::MAX).min(config.cluster.replicas)
    }
}

/// As many of `nodes`, which are in the order of their ids, as may go together, up to `replicas`: those with the fewest
/// replicas; of them, the one with the fewest tails is the tail, the one with the fewest heads the head.
fn choose(nodes: &[&StoredNode], loads: &[Load], replicas: usize) -> Vec<usize> {
    let mut by_load: Vec<usize> = (0..nodes.len()).collect();
    by_load.sort_unstable_by_key(|node| (loads[*node].replicas, loads[*node].tails, loads[*node].heads, *node));
    let mut chosen: Vec<usize> = Vec::with_capacity(replicas);
    for node in by_load {
        if chosen.len() < replicas && chosen.iter().all(|other| distinct(nodes[node], nodes[*other])) {
            chosen.push(node);
        }
    }
    chosen.sort_unstable_by_key(|node| (std::cmp::Reverse(loads[*node].tails), *node));
    if let Some((_, others)) = chosen.split_last_mut() {
        others.sort_unstable_by_key(|node| (loads[*node].heads, *node));
    }
    chosen
}
