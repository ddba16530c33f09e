//! Heartbeats and their answers: leases, and everything that the node has not applied (R1, K6).

use super::CoordinatorEffect;
use super::leader::Leader;
use crate::{
    Chain, ChainVersion, CoordinatorConfig, Decisions, Heartbeat, HeartbeatAnswer, Incarnation, NodeId, Now, Presence,
    ReplicaState, Report, Revision, Slot,
};

/// Chains that one answer carries at most; an answer that leaves some out grants no lease (R1). Chosen here: about
/// 100 KiB on the wire.
const CHAINS_PER_ANSWER: usize = 512;

impl Leader {
    pub(super) fn on_heartbeat(
        &mut self,
        from: &NodeId,
        incarnation: Incarnation,
        heartbeat: Heartbeat,
        config: &CoordinatorConfig,
        now: Now,
        out: &mut Vec<CoordinatorEffect>,
    ) {
        let Some(node) = self.nodes.get_mut(from) else { return };
        if node.stored.record.incarnation != incarnation {
            return; // of a directory that has been replaced
        }
        node.leaving |= heartbeat.presence == Presence::Leaving;
        if heartbeat.epoch == self.leadership.epoch {
            node.roll_call = node.roll_call.max(heartbeat.roll_call);
        }
        self.heard(from, out);
        for report in heartbeat.reports {
            self.on_report(from, report, now);
        }
        if !self.certain(now) {
            reached!(Uncertain);
            return; // another may lead: this one grants nothing (C5)
        }
        let answer = self.answer(from, heartbeat.sequence, heartbeat.applied, config, now);
        out.push(CoordinatorEffect::Answer { to: from.clone(), answer });
    }

    fn on_report(&mut self, from: &NodeId, report: Report, now: Now) {
        let slot = report.slot;
        let Some(state) = self.slots.get_mut(&slot) else { return };
        if let Some(silent) = &report.silent {
            let pair = (from.min(silent).clone(), from.max(silent).clone());
            self.parted.insert(pair, now.monotonic);
        }
        let node = self.nodes.get_mut(from).expect("the caller has looked it up");
        if report.state == ReplicaState::Dropped {
            state.leftovers.remove(from);
        } else {
            state.leftovers.insert(from.clone());
        }
        state.dropping.remove(from);
        node.drops.remove(&slot);
        // A replica of a chain that has gone on without it, under a leader before: it has to hear of that.
        let behind = report.version < state.version();
        if behind && node.newest.get(&slot) != Some(&state.revision) {
            if let Some(before) = node.newest.insert(slot, state.revision) {
                node.news.remove(&before);
            }
            node.news.insert(state.revision, slot);
        }
        if report.fenced && state.version() == report.version {
            node.fences.remove(&slot);
        }
        node.reports.insert(slot, report);
        self.dirty.insert(slot);
    }

    fn answer(&mut self, to: &NodeId, sequence: u64, applied: Revision, config: &CoordinatorConfig, now: Now) -> HeartbeatAnswer {
        let node = &self.nodes[to];
        let after = applied.next()..;
        // Who is no replica any more of a chain that a leader before has decided is not known: a process that has not applied
        // that hears of every chain. (A new process has applied nothing, acts in no old version, and reports what it has.)
        let unheard = applied > Revision(0) && applied < self.inherited;
        let mut news = if unheard { &self.chain_news } else { &node.news }.range(after.clone());
        let carried: Vec<(Revision, Slot)> = news.by_ref().take(CHAINS_PER_ANSWER).map(|(r, s)| (*r, *s)).collect();
        let complete = news.next().is_none();
        let revision = match carried.last() {
            Some((revision, _)) if !complete => *revision,
            Some(_) | None => self.revision,
        };
        let chains: Vec<Chain> = carried.iter().filter_map(|(_, slot)| self.slots[slot].chain.clone()).collect();
        let granted = complete && !node.leaving && !self.losing(to);
        reached!(GrantWithheld if complete && !node.leaving && !granted);
        reached!(ToldAgain if !chains.is_empty());
        let version = |slot: &Slot| (*slot, self.slots[slot].version());
        let decisions = Decisions {
            chains,
            fences: node.fences.iter().map(version).collect(),
            drops: node.drops.iter().take(CHAINS_PER_ANSWER).map(|(slot, version)| (*slot, *version)).collect(),
            ..self.decisions()
        };
        let nodes = self.node_news.range(after).map(|(_, node)| self.nodes[node].stored.record.clone()).collect();
        if granted {
            self.nodes.get_mut(to).expect("just looked at").granted_at = now.monotonic;
        }
        HeartbeatAnswer { sequence, lease: granted.then_some(config.cluster.lease), revision, decisions, nodes }
    }

    /// Whether a version without this node is on its way to the store that rests on the node's lease having run out: no
    /// other is granted before the version can be carried along (C4).
    fn losing(&self, node: &NodeId) -> bool {
        let mut storing = self.storing_chains();
        storing.any(|next| {
            let serving = |chain: &Chain| chain.position(node).is_some() && !self.has_stopped(node, chain);
            next.position(node).is_none() && self.slots[&next.slot].chain.as_ref().is_some_and(serving)
        })
    }

    /// Whether the node has said that it serves no more in this version (C4).
    pub(super) fn has_stopped(&self, node: &NodeId, chain: &Chain) -> bool {
        self.report(node, chain.slot, chain.version)
            .is_some_and(|report| report.fenced || matches!(report.state, ReplicaState::Restarted | ReplicaState::Astray))
    }

    /// The report of a node on its replica in the version that is in effect.
    pub(super) fn report(&self, node: &NodeId, slot: Slot, version: ChainVersion) -> Option<&Report> {
        self.nodes.get(node)?.reports.get(&slot).filter(|report| report.version == version)
    }
}
