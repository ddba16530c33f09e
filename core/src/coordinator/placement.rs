//! Who gets which replica (K5): spread over failure domains, then the least loaded, then by id.

use std::collections::BTreeMap;

use super::leader::Leader;
use super::registry::Load;
use super::{Record, StoredNode, Wait};
use crate::{Chain, ChainVersion, CoordinatorConfig, Member, NodeId, Now, Slot};

/// Replicas that are looked at in one step for one that can be moved; the search goes on in the next. Chosen here: a few
/// milliseconds (K6).
const LOOKS: usize = 8192;

/// Whether two nodes may hold replicas of one chain: every label that both have differs.
pub(super) fn distinct(a: &StoredNode, b: &StoredNode) -> bool {
    a.record.labels.iter().all(|(key, value)| b.record.labels.get(key) != Some(value)) || mutant!(LabelsIgnored)
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
        reached!(Placed if !records.is_empty());
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

    /// Chooses replicas to be moved from the fullest to the emptiest node, while no chain is being repaired. Those that nothing
    /// can be done about now hold up nobody.
    pub(super) fn rebalance(&mut self, config: &CoordinatorConfig, now: Now) {
        let repairing = |slot: &Slot| matches!(self.slots[slot].wait, Some(Wait::Fencing | Wait::Joining | Wait::Turn));
        // Of a chain that is being stored it is not known yet what it waits for, and who holds it.
        let storing = self.storing_chains().next().is_some();
        if !self.uneven || storing || !self.dirty.is_empty() || self.open.iter().any(repairing) {
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

    /// How many replicas a chain can have without this node, with the labels of those others that may be counted on.
    pub(super) fn possible_without(
        &self,
        chain: &Chain,
        node: &NodeId,
        config: &CoordinatorConfig,
        counts: impl Fn(&NodeId) -> bool,
    ) -> usize {
        let staying = chain.members.iter().map(|member| &member.node).filter(|member| *member != node);
        let chosen: Vec<&NodeId> = staying.filter(|id| counts(id)).collect();
        let others = self.nodes.keys().filter(|id| *id != node && !chosen.contains(id) && counts(id));
        let others: Vec<&NodeId> = others.collect();
        let fits = |id: &&NodeId, chosen: &[&NodeId]| chosen.iter().all(|other| self.compatible(id, other));
        let wanted = config.cluster.replicas as usize;
        spread(chosen, &others, wanted, &fits).len().min(wanted)
    }
}

/// As many of `nodes`, which are in the order of their ids, as may go together, up to `replicas`: those with the fewest
/// replicas; of them, the one with the fewest tails is the tail, the one with the fewest heads the head.
fn choose(nodes: &[&StoredNode], loads: &[Load], replicas: usize) -> Vec<usize> {
    let mut by_load: Vec<usize> = (0..nodes.len()).collect();
    by_load.sort_unstable_by_key(|node| (loads[*node].replicas, loads[*node].tails, loads[*node].heads, *node));
    let fits = |node: &usize, chosen: &[usize]| chosen.iter().all(|other| distinct(nodes[*node], nodes[*other]));
    let mut chosen = spread(Vec::new(), &by_load, replicas, &fits);
    chosen.sort_unstable_by_key(|node| (std::cmp::Reverse(loads[*node].tails), *node));
    if let Some((_, others)) = chosen.split_last_mut() {
        others.sort_unstable_by_key(|node| (loads[*node].heads, *node));
    }
    chosen
}

/// Sets of nodes that are looked at for one that goes together. Chosen here: far more than labels of one kind need, and a
/// millisecond at most.
const SETS: usize = 4096;

/// `chosen`, and up to `wanted` in all of those `others` that go together with them, the first ones first where there is a
/// choice; where not as many go together, the most that were found.
pub(super) fn spread<T: Clone>(chosen: Vec<T>, others: &[T], wanted: usize, fits: &impl Fn(&T, &[T]) -> bool) -> Vec<T> {
    let (mut best, mut current, mut left) = (chosen.clone(), chosen, SETS);
    search(&mut current, others, wanted, fits, &mut best, &mut left);
    best
}

/// Adds to `current` what comes next; whether no better set is to be looked for.
fn search<T: Clone>(
    current: &mut Vec<T>,
    others: &[T],
    wanted: usize,
    fits: &impl Fn(&T, &[T]) -> bool,
    best: &mut Vec<T>,
    left: &mut usize,
) -> bool {
    if current.len() > best.len() {
        best.clone_from(current);
    }
    if current.len() >= wanted || *left == 0 {
        return true;
    }
    *left -= 1;
    for (index, other) in others.iter().enumerate() {
        // Fewer are left than it takes to beat the best.
        if current.len() + others.len() - index <= best.len() {
            return false;
        }
        if fits(other, current) {
            current.push(other.clone());
            if search(current, &others[index + 1..], wanted, fits, best, left) {
                return true;
            }
            current.pop();
        }
    }
    false
}
