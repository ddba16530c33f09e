//! The next change of each chain, from what is stored and what nodes report (C3, C4, C9–C11, K1).

use std::collections::{BTreeMap, BTreeSet};

use super::leader::Leader;
use super::registry::Verdict;
use super::{CoordinatorEffect, Health, Record, Standing, Wait};
use crate::{
    Chain, ChainVersion, CoordinatorConfig, Decisions, Member, NodeId, Now, ReplicaState, Revision, RollCall, Slot, Time,
};

/// What this leader knows of a slot.
#[derive(Debug, Default)]
pub(super) struct SlotState {
    /// The chain that is in effect.
    pub(super) chain: Option<Chain>,
    /// The decision that it is.
    pub(super) revision: Revision,
    /// Its next version is being stored.
    pub(super) deciding: bool,
    /// Members that are to go, and the roll call that was made when that was planned.
    pub(super) removal: Option<BTreeMap<NodeId, RollCall>>,
    /// Nodes that may forget its data, and have been told so.
    pub(super) dropping: BTreeSet<NodeId>,
    /// Nodes that have data of it, and may be no replica.
    pub(super) leftovers: BTreeSet<NodeId>,
    /// Nodes that have left in order, and until when they are waited for.
    pub(super) absent: BTreeMap<NodeId, Time>,
    /// Nodes that could not join, and until when others are tried.
    pub(super) avoid: BTreeMap<NodeId, Time>,
    /// A replica that is moved for balance: from, to.
    pub(super) moving: Option<(NodeId, NodeId)>,
    /// An attachment that is being stored: joiner, source.
    pub(super) claim: Option<[NodeId; 2]>,
    /// What keeps it from being whole.
    pub(super) wait: Option<Wait>,
}

impl SlotState {
    /// Whether no node is waited for that may be there again after a time.
    fn waits_for_nobody(&self) -> bool {
        self.avoid.is_empty() && self.absent.is_empty()
    }

    pub(super) fn version(&self) -> ChainVersion {
        self.chain.as_ref().map_or(ChainVersion(0), |chain| chain.version)
    }
}

/// What becomes of a slot now.
pub(super) enum Next {
    /// It is as it should be.
    Settled,
    Change(Chain),
    Wait(Wait),
}

impl Leader {
    /// Decides the next change of every slot that something has happened to; at most one of each is under way.
    pub(super) fn reconcile(&mut self, config: &CoordinatorConfig, now: Now, out: &mut Vec<CoordinatorEffect>) {
        let mut changes: Vec<Record> = self.place(config);
        let mut blocked = false;
        for slot in std::mem::take(&mut self.dirty) {
            if blocked && mutant!(OneBlocksAll) {
                self.open.insert(slot);
                continue;
            }
            self.stranded.remove(&slot);
            if self.slots[&slot].deciding || self.slots[&slot].chain.is_none() {
                continue;
            }
            let wait = match self.next(slot, config, now, out) {
                Next::Settled => {
                    self.drop_leftovers(slot, config, out);
                    None
                }
                Next::Change(chain) => {
                    self.state(slot).deciding = true;
                    changes.push(Record::Chain(chain));
                    self.slots[&slot].wait
                }
                Next::Wait(wait) => {
                    blocked = true;
                    let timeless = wait == Wait::NoCandidate && self.slots[&slot].waits_for_nobody();
                    let waiting = if timeless { &mut self.stranded } else { &mut self.open };
                    waiting.insert(slot);
                    Some(wait)
                }
            };
            self.state(slot).wait = wait;
        }
        if !changes.is_empty() {
            self.store(changes, None, out);
        }
    }

    pub(super) fn state(&mut self, slot: Slot) -> &mut SlotState {
        self.slots.get_mut(&slot).expect("every slot has a state")
    }

    fn next(&mut self, slot: Slot, config: &CoordinatorConfig, now: Now, out: &mut Vec<CoordinatorEffect>) -> Next {
        let chain = self.slots[&slot].chain.clone().expect("the caller has looked");
        let victims = self.victims(&chain, config, now);
        let (going, kept): (Vec<Member>, Vec<Member>) = victims.into_iter().partition(|victim| self.can_spare(&chain, victim));
        if let Some(next) = self.remove_one(&chain, &going, config, now, out) {
            return Next::Change(next);
        }
        if self.needs_newer(&chain, &going) {
            return Next::Change(self.following(&chain));
        }
        if !going.is_empty() {
            return Next::Wait(Wait::Fencing);
        }
        // A last copy that should go stays in service until others are filled from it (C3).
        match self.fill(&chain, &kept, config, now) {
            Next::Settled | Next::Wait(_) if !kept.is_empty() => {
                reached!(LastCopyKept);
                Next::Wait(Wait::LastCopy)
            }
            Next::Settled if self.unheard_neighbour(&chain).is_some() => Next::Wait(Wait::Restrained),
            next => next,
        }
    }

    /// Whether a copy is there that could answer for this member's data (C3).
    fn can_spare(&self, chain: &Chain, victim: &Member) -> bool {
        self.copies_left(chain, victim).any(|copy| self.is_there(copy)) || mutant!(EvictLastCopy) && chain.members.len() > 1
    }

    /// The next version with nothing changed.
    pub(super) fn following(&self, chain: &Chain) -> Chain {
        Chain { version: chain.version.next(), epoch: self.leadership.epoch, ..chain.clone() }
    }

    /// Whether this replica reports to stand so in the version that is in effect, under its incarnation.
    pub(super) fn says(&self, replica: &Member, chain: &Chain, state: ReplicaState) -> bool {
        self.report(&replica.node, chain.slot, chain.version).is_some_and(|report| report.state == state)
            && self.nodes[&replica.node].stored.record.incarnation == replica.incarnation
    }

    /// Whether members that stay need a newer version: they have restarted in this one (C10), or are fenced in it and not to
    /// go (C4: the plan of a leader before).
    fn needs_newer(&self, chain: &Chain, going: &[Member]) -> bool {
        chain.members.iter().filter(|member| !going.contains(member)).any(|member| {
            let restarted = self.says(member, chain, ReplicaState::Restarted) && !mutant!(RestartIgnored);
            let fenced = self.report(&member.node, chain.slot, chain.version).is_some_and(|report| report.fenced);
            reached!(RestartFound if restarted);
            restarted || (fenced && !mutant!(OrphanFence))
        })
    }

    /// Members that have to go, the most urgent first.
    fn victims(&mut self, chain: &Chain, config: &CoordinatorConfig, now: Now) -> Vec<Member> {
        let gone = chain.members.iter().filter(|member| self.is_gone(member) || self.is_unfit(member, chain));
        let mut victims: Vec<Member> = gone.cloned().collect();
        if victims.is_empty() {
            let unheard = self.unheard_neighbour(chain);
            reached!(Parted if unheard.is_some());
            victims.extend(unheard.filter(|member| self.may_take_out(&member.node, config, now)));
        }
        if victims.is_empty() && chain.joining.is_none() && chain.tail_ready {
            victims.extend(self.surplus(chain, config));
        }
        victims
    }

    /// Whether a member's node will not hold it any more: dead, stopped, evicted, or with another disk.
    fn is_gone(&self, member: &Member) -> bool {
        let Some(node) = self.nodes.get(&member.node) else { return true };
        let wiped = node.stored.record.incarnation != member.incarnation && !mutant!(WipedDiskAccepted);
        reached!(WipedFound if wiped);
        wiped
            || node.verdict == Verdict::Out
            || node.health == Health::Stopped
            || matches!(node.stored.standing, Standing::Evicted { .. })
    }

    /// Whether a member has last said that what it has is of no use, or damaged (C7, D2). In whatever version it said so: a
    /// newer one does not mend it, and it may not have spoken in that yet.
    pub(super) fn is_unfit(&self, member: &Member, chain: &Chain) -> bool {
        self.nodes.get(&member.node).is_some_and(|node| {
            let report = node.reports.get(&chain.slot);
            let unfit = report.is_some_and(|report| report.damaged || report.state == ReplicaState::Astray);
            unfit && node.stored.record.incarnation == member.incarnation
        })
    }

    /// Two healthy neighbours, of which one does not hear the other (K2): the one goes that more nodes have lately not heard,
    /// or that has not heard more of them; of two alike the one that alone is not heard, or else the later.
    fn unheard_neighbour(&self, chain: &Chain) -> Option<Member> {
        if mutant!(NeighboursNotParted) {
            return None;
        }
        let healthy = |node: &NodeId| self.nodes.get(node).is_some_and(|node| node.health == Health::Healthy);
        let unheard_by = |member: &Member| {
            let silent = self.report(&member.node, chain.slot, chain.version)?.silent.as_ref()?;
            (healthy(&member.node) && healthy(silent)).then_some(silent)
        };
        chain.members.iter().find_map(|member| {
            let silent = chain.members.iter().find(|other| unheard_by(member) == Some(&other.node))?;
            let mutual = unheard_by(silent) == Some(&member.node);
            let later = chain.position(&member.node) > chain.position(&silent.node);
            let planned = self.slots[&chain.slot].removal.as_ref();
            let going = |member: &Member| planned.is_some_and(|planned| planned.contains_key(&member.node));
            let (mine, theirs) = (self.parted_from(&member.node), self.parted_from(&silent.node));
            // A plan is kept: else each of the two is fenced in turn, and neither goes.
            let member_goes = match (going(member), going(silent)) {
                (true, false) => true,
                (false, true) => false,
                (_, _) if mine == theirs => mutual && later,
                (_, _) => mine > theirs,
            };
            Some(if member_goes { member.clone() } else { silent.clone() })
        })
    }

    /// From how many nodes this one has been parted lately: either has said not to hear the other.
    fn parted_from(&self, node: &NodeId) -> usize {
        self.parted.keys().filter(|(a, b)| a == node || b == node).count()
    }

    /// One member more than there have to be: the one that is drained or moved, or on the fullest node; never the new tail.
    fn surplus(&self, chain: &Chain, config: &CoordinatorConfig) -> Option<Member> {
        let drains = |member: &&Member| self.nodes[&member.node].stored.standing == Standing::Draining;
        let drained = chain.members.iter().find(drains);
        let others = chain.members.iter().filter(|member| !drains(member)).count();
        // Whoever drains goes once there are as many others as the labels allow, also of nodes that are away just now.
        let member = |id: &NodeId| self.nodes[id].stored.standing == Standing::Member;
        let enough = |node: &NodeId| others > 0 && others >= self.possible_without(chain, node, config, member);
        if let Some(member) = drained.filter(|member| enough(&member.node)) {
            return Some(member.clone());
        }
        if chain.members.len() <= config.cluster.replicas as usize {
            return None;
        }
        let moving = self.slots[&chain.slot].moving.as_ref().map(|(from, _)| from);
        let (_, older) = chain.members.split_last()?;
        let key = |member: &&Member| {
            let node = &self.nodes[&member.node];
            let draining = node.stored.standing == Standing::Draining;
            let mut others = chain.members.iter().filter(|other| other != member);
            let conflicting = others.any(|other| !self.compatible(&member.node, &other.node));
            let moved = moving == Some(&member.node);
            (draining, moved, conflicting, node.load.replicas, std::cmp::Reverse(member.node.clone()))
        };
        drained.or_else(|| older.iter().max_by_key(key)).cloned()
    }

    /// Takes out the first member that may go: another copy has answered since that was planned (C3), and it cannot serve
    /// any more in this version (C4).
    fn remove_one(
        &mut self,
        chain: &Chain,
        victims: &[Member],
        config: &CoordinatorConfig,
        now: Now,
        out: &mut Vec<CoordinatorEffect>,
    ) -> Option<Chain> {
        self.plan_removal(chain, victims, out);
        let planned = self.slots[&chain.slot].removal.as_ref()?;
        let victim = victims.iter().find(|victim| {
            let since = planned[&victim.node];
            let copied = self.copies_left(chain, victim).any(|copy| self.answers(copy, since));
            (copied || mutant!(EvictLastCopy) && chain.members.len() > 1) && self.cannot_serve(chain, victim, config, now)
        })?;
        reached!(RemovedFenced if self.has_stopped(&victim.node, chain));
        reached!(RemovedByLapse if !self.has_stopped(&victim.node, chain)
            && self.nodes.get(&victim.node).is_some_and(|node| !node.may_hold_lease(config, now)));
        let members: Vec<Member> = chain.members.iter().filter(|member| *member != victim).cloned().collect();
        let ready = chain.tail_ready || chain.tail() == victim || mutant!(ReadinessForgotten);
        let (stopped, node) = (self.nodes.get(&victim.node).map(|node| node.health), victim.node.clone());
        let surplus = chain.members.len() > config.cluster.replicas as usize;
        let unheard = !surplus && !self.is_gone(victim) && !self.is_unfit(victim, chain);
        let next = Chain { members, tail_ready: ready, ..self.following(chain) };
        let state = self.state(chain.slot);
        if stopped == Some(Health::Stopped) {
            state.absent.insert(node.clone(), now.monotonic + config.absence);
        } else if unheard {
            // Its link to a neighbour may go on being cut: others are tried for a while.
            self.avoid(chain.slot, &node, config, now);
        }
        self.state(chain.slot).moving.take_if(|(from, _)| *from == node);
        Some(next)
    }

    /// Tries others for a while.
    pub(super) fn avoid(&mut self, slot: Slot, node: &NodeId, config: &CoordinatorConfig, now: Now) {
        let until = now.monotonic + config.join_patience;
        self.avoiding_until = self.avoiding_until.max(until);
        self.state(slot).avoid.insert(node.clone(), until);
    }

    /// Whether a copy has answered a roll call, or a later one, under its incarnation.
    fn answers(&self, copy: &Member, roll_call: RollCall) -> bool {
        reached!(StaleAnswer if self.is_there(copy) && self.nodes[&copy.node].roll_call < roll_call);
        self.is_there(copy) && (self.nodes[&copy.node].roll_call >= roll_call || mutant!(StaleCopyCounts))
    }

    /// Whether a member's node has answered lately, under its incarnation.
    fn is_there(&self, member: &Member) -> bool {
        self.nodes.get(&member.node).is_some_and(|node| {
            let heard = node.heard && matches!(node.health, Health::Healthy | Health::Suspect);
            heard && node.stored.record.incarnation == member.incarnation
        })
    }

    /// Whether a member serves in this version no more, whatever it believes (C4).
    fn cannot_serve(&self, chain: &Chain, victim: &Member, config: &CoordinatorConfig, now: Now) -> bool {
        let Some(node) = self.nodes.get(&victim.node) else { return true };
        let replaced = node.stored.record.incarnation != victim.incarnation;
        self.has_stopped(&victim.node, chain)
            || replaced
            || node.leaving
            || !node.may_hold_lease(config, now)
            || mutant!(EvictWithoutFence)
    }

    /// Notes which members are to go, and tells those: stop serving; and the others: say that you are there.
    fn plan_removal(&mut self, chain: &Chain, victims: &[Member], out: &mut Vec<CoordinatorEffect>) {
        let slot = chain.slot;
        let before = self.state(slot).removal.take().unwrap_or_default();
        for node in before.keys().filter(|node| !victims.iter().any(|victim| victim.node == **node)) {
            if let Some(node) = self.nodes.get_mut(node) {
                node.fences.remove(&slot);
            }
        }
        if victims.is_empty() {
            return;
        }
        let mut planned = BTreeMap::new();
        for victim in victims {
            let roll_call = before.get(&victim.node).copied();
            if roll_call.is_none() {
                self.roll_call = self.roll_call.next();
                if let Some(node) = self.nodes.get_mut(&victim.node) {
                    node.fences.insert(slot);
                }
                let decide = |to: &NodeId, fences| CoordinatorEffect::Decide {
                    to: to.clone(),
                    decisions: Decisions { fences, ..self.decisions() },
                };
                out.push(decide(&victim.node, vec![(slot, chain.version)]));
                out.extend(self.copies_left(chain, victim).map(|copy| decide(&copy.node, Vec::new())));
            }
            planned.insert(victim.node.clone(), roll_call.unwrap_or(self.roll_call));
        }
        self.state(slot).removal = Some(planned);
    }

    /// The members that count as copies once this one is gone (C3, C9, D2).
    fn copies_left<'a>(&self, chain: &'a Chain, victim: &Member) -> impl Iterator<Item = &'a Member> {
        chain.copies().iter().filter(move |copy| *copy != victim && (!self.is_unfit(copy, chain) || mutant!(DamagedCopyCounts)))
    }
}
