//! How a chain gets a member that it lacks: a node is chosen, joins behind the tail, becomes the tail, becomes ready (C9,
//! C11); and what happens to the data of nodes that are replicas no more.

use super::leader::Leader;
use super::placement::{distinct, spread};
use super::plan::Next;
use super::{CoordinatorEffect, Health, Standing, StoredNode, Wait};
use crate::{Chain, CoordinatorConfig, Decisions, Member, NodeId, Now, ReplicaState, Slot};

impl Leader {
    /// No member is about to go: one that is missing joins, becomes the tail, becomes ready.
    pub(super) fn fill(&mut self, chain: &Chain, kept: &[Member], config: &CoordinatorConfig, now: Now) -> Next {
        if let Some(joining) = &chain.joining {
            return self.join(chain, joining, config, now);
        }
        if !chain.tail_ready && !mutant!(JoinBehindUnready) {
            let ready = self.says(chain.tail(), chain, ReplicaState::CaughtUp);
            reached!(Ready if ready);
            return if ready {
                Next::Change(Chain { tail_ready: true, ..self.following(chain) })
            } else {
                Next::Wait(Wait::Joining)
            };
        }
        self.complete(chain, kept, config, now)
    }

    /// A replica is joining: goes on, is given up, or becomes the tail (C9, C11).
    fn join(&mut self, chain: &Chain, joining: &Member, config: &CoordinatorConfig, now: Now) -> Next {
        let node = self.nodes.get(&joining.node);
        let fit = node.is_some_and(|node| {
            node.stored.record.incarnation == joining.incarnation
                && node.stored.standing == Standing::Member
                && !matches!(node.health, Health::Dead | Health::Stopped)
        });
        let silent = |at: &Member, of: &NodeId| {
            self.report(&at.node, chain.slot, chain.version).is_some_and(|report| report.silent.as_ref() == Some(of))
        };
        let healthy = [chain.tail(), joining].iter().all(|replica| self.nodes[&replica.node].health == Health::Healthy);
        let stuck = healthy && (silent(chain.tail(), &joining.node) || silent(joining, &chain.tail().node));
        if (!fit || stuck) && !mutant!(JoinerDeathIgnored) {
            reached!(JoinGivenUp);
            let next = Chain { joining: None, ..self.following(chain) };
            self.state(chain.slot).moving = None;
            if fit {
                self.avoid(chain.slot, &joining.node, config, now);
            }
            return Next::Change(next);
        }
        if !self.says(joining, chain, ReplicaState::CaughtUp) && !mutant!(ActivateEarly) {
            return Next::Wait(Wait::Joining);
        }
        reached!(Activated);
        let mut next = self.following(chain);
        next.members.push(Member { activated: next.version, ..joining.clone() });
        next.joining = None;
        next.tail_ready = mutant!(ReadyAtOnce);
        Next::Change(next)
    }

    /// Every member is well: is there one missing, one to be replaced, or moved?
    fn complete(&mut self, chain: &Chain, kept: &[Member], config: &CoordinatorConfig, now: Now) -> Next {
        let (slot, wanted) = (chain.slot, config.cluster.replicas as usize);
        let nodes = &self.nodes;
        let state = self.slots.get_mut(&slot).expect("every slot has a state");
        state.avoid.retain(|_, until| *until > now.monotonic);
        let away = |node: &NodeId| matches!(nodes[node].health, Health::Stopped | Health::Unheard);
        let expected = |node: &NodeId| away(node) && nodes[node].stored.standing == Standing::Member;
        state.absent.retain(|node, until| *until > now.monotonic && expected(node));
        let absent = state.absent.len();
        let usable = |member: &&Member| nodes[&member.node].stored.standing == Standing::Member && !kept.contains(member);
        // Of two in one failure domain one is as good as missing (K5): they come together where a replica was moved or drained,
        // and before the other left the chain, that was taken back, or a third one left.
        let mut staying: Vec<&Member> = Vec::new();
        for member in chain.members.iter().filter(usable) {
            if staying.iter().all(|other| self.compatible(&member.node, &other.node)) {
                staying.push(member);
            }
        }
        if staying.len() >= wanted {
            if let Some((from, to)) = self.state(slot).moving.take()
                && self.nodes[&to].placeable()
                && self.movable(slot, &from, &to, now)
            {
                self.state(slot).moving = Some((from, to.clone()));
                return self.source_waits(chain, config).map_or_else(|| self.attach(chain, to, config), Next::Wait);
            }
            let dead = chain.members.iter().any(|member| self.nodes[&member.node].health == Health::Dead);
            return if dead { Next::Wait(Wait::Restrained) } else { Next::Settled };
        }
        self.slots.get_mut(&slot).expect("every slot has a state").moving = None;
        // The nodes of a cluster that starts as a whole come one by one: those that have the data are waited for.
        if self.nodes.values().any(|node| node.health == Health::Unheard) && now.monotonic < self.elected_at + self.grace(config)
        {
            return Next::Wait(Wait::Absence);
        }
        if staying.len() + absent >= wanted && chain.members.len() == staying.len() {
            return Next::Wait(Wait::Absence);
        }
        if let Some(wait) = self.source_waits(chain, config) {
            return Next::Wait(wait);
        }
        match self.candidate(chain, &staying, config, now) {
            Ok(joiner) => self.attach(chain, joiner, config),
            Err(wait) => Next::Wait(wait),
        }
    }

    /// Why nobody can join behind this chain's tail just now.
    fn source_waits(&self, chain: &Chain, config: &CoordinatorConfig) -> Option<Wait> {
        let source = &self.nodes[&chain.tail().node];
        let busy = source.load.sourcing + self.claimed(&chain.tail().node) >= config.joins_per_node;
        match source.health {
            Health::Healthy => busy.then_some(Wait::Turn),
            Health::Dead => Some(Wait::Restrained),
            Health::Unheard | Health::Suspect | Health::Stopped => Some(Wait::Turn),
        }
    }

    fn attach(&mut self, chain: &Chain, joiner: NodeId, config: &CoordinatorConfig) -> Next {
        let node = &self.nodes[&joiner];
        if node.load.joining + self.claimed(&joiner) >= config.joins_per_node {
            return Next::Wait(Wait::Turn);
        }
        reached!(RejoinedWithData if self.slots[&chain.slot].leftovers.contains(&joiner));
        let (source, incarnation) = (chain.tail().node.clone(), node.stored.record.incarnation);
        let mut next = self.following(chain);
        next.joining = Some(Member { node: joiner.clone(), incarnation, activated: next.version });
        for node in [&joiner, &source] {
            *self.claims.entry(node.clone()).or_default() += 1;
        }
        self.state(chain.slot).claim = Some([joiner, source]);
        Next::Change(next)
    }

    /// Joins of a node that are being stored.
    pub(super) fn claimed(&self, node: &NodeId) -> u32 {
        self.claims.get(node).copied().unwrap_or(0)
    }

    /// The node that joins best: one that has data of the slot, then by K5. One that has failed of late only if there is no
    /// other, and not at once.
    fn candidate(&self, chain: &Chain, staying: &[&Member], config: &CoordinatorConfig, now: Now) -> Result<NodeId, Wait> {
        let state = &self.slots[&chain.slot];
        let soon = now.monotonic + config.join_patience * 3 / 4;
        let others: Vec<&StoredNode> = staying.iter().map(|member| &self.nodes[&member.node].stored).collect();
        let fitting = self.nodes.iter().filter(|(id, node)| {
            node.placeable() && others.iter().all(|other| distinct(&node.stored, other)) && chain.position(id).is_none()
        });
        let coming = |id: &NodeId| self.nodes[id].load.joining + self.claimed(id);
        let rests = |id: &&NodeId| state.avoid.get(*id).is_some_and(|until| *until > soon);
        let (resting, mut fitting): (Vec<&NodeId>, Vec<&NodeId>) = fitting.map(|(id, _)| id).partition(rests);
        fitting.sort_by_key(|id| {
            let (load, coming) = (&self.nodes[*id].load, coming(id));
            let rank = (state.avoid.contains_key(*id), !state.leftovers.contains(*id));
            (rank, load.tails + coming, load.heads, load.replicas + coming, *id)
        });
        // Not one that leaves no room for the others that are missing.
        let staying: Vec<&NodeId> = staying.iter().map(|member| &member.node).collect();
        let fits = |id: &&NodeId, chosen: &[&NodeId]| chosen.iter().all(|other| self.compatible(id, other));
        let chosen = spread(staying.clone(), &fitting, config.cluster.replicas as usize, &fits);
        let joiners = &chosen[staying.len()..];
        reached!(NoPlace if joiners.is_empty());
        let first = joiners.iter().find(|id| coming(id) < config.joins_per_node);
        let wait = if joiners.is_empty() && resting.is_empty() { Wait::NoCandidate } else { Wait::Turn };
        first.map(|id| (*id).clone()).ok_or(wait)
    }

    /// The chain is whole: who has data of it and is no replica may forget it.
    pub(super) fn drop_leftovers(&mut self, slot: Slot, config: &CoordinatorConfig, out: &mut Vec<CoordinatorEffect>) {
        let Leader { slots, nodes, leadership, .. } = self;
        let state = slots.get_mut(&slot).expect("every slot has a state");
        let Some(chain) = &state.chain else { return };
        if chain.members.len() < config.cluster.replicas as usize {
            return;
        }
        for id in &state.leftovers {
            let node = nodes.get_mut(id).expect("nodes stay");
            let Some(report) = node.reports.get(&slot) else { continue };
            let removed = report.state == ReplicaState::Removed;
            if !removed || chain.replicas().any(|replica| replica.node == *id) || node.drops.contains_key(&slot) {
                continue;
            }
            node.drops.insert(slot, report.version);
            state.dropping.insert(id.clone());
            let drops = vec![(slot, report.version)];
            let decisions = Decisions { drops, ..Decisions::none(leadership.epoch) };
            out.push(CoordinatorEffect::Decide { to: id.clone(), decisions });
        }
    }
}
