//! Judges every chain by the rules, from what really happened rather than from what a coordinator believes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use catena_core::{Chain, ChainVersion, Change, Decisions, Epoch, Incarnation, Member, NodeId, Record, Revision, Slot};

use crate::node::Node;
use crate::store::Store;

/// Everything that was seen.
#[derive(Default)]
pub(crate) struct Audit {
    /// Every version of every chain.
    pub(crate) history: BTreeMap<Slot, Vec<Chain>>,
    revision: Revision,
    epoch: Epoch,
    /// When the last heartbeat was sent that a coordinator took of a node and its directory.
    heard: BTreeMap<(usize, NodeId, Incarnation), Duration>,
    /// When a coordinator, in an epoch, first told a member that it is to go.
    planned: BTreeMap<(usize, Epoch, Slot, ChainVersion, NodeId), Duration>,
    /// Which coordinator decided a version, and who had been heard by then.
    decided: BTreeMap<(Epoch, Slot, ChainVersion), Decision>,
}

struct Decision {
    seat: usize,
    heard: BTreeMap<(NodeId, Incarnation), Duration>,
}

impl Audit {
    pub(crate) fn heard(&mut self, seat: usize, node: &NodeId, incarnation: Incarnation, sent_at: Duration) {
        self.heard.insert((seat, node.clone(), incarnation), sent_at);
    }

    pub(crate) fn told(&mut self, seat: usize, to: &NodeId, decisions: &Decisions, now: Duration) {
        for (slot, version) in &decisions.fences {
            self.planned.entry((seat, decisions.epoch, *slot, *version, to.clone())).or_insert(now);
        }
    }

    /// A coordinator hands changes to the store.
    pub(crate) fn decided(&mut self, seat: usize, changes: &[Change]) {
        for change in changes {
            if let Record::Chain(chain) = &change.record {
                let heard = self.heard.iter().filter(|((at, ..), _)| *at == seat);
                let heard = heard.map(|((_, node, incarnation), at)| ((node.clone(), *incarnation), *at)).collect();
                self.decided.insert((chain.epoch, chain.slot, chain.version), Decision { seat, heard });
            }
        }
    }

    /// Changes come into effect.
    pub(crate) fn stored(&mut self, changes: &[Change], nodes: &BTreeMap<NodeId, Node>, now: Duration) {
        for change in changes {
            assert!(change.revision > self.revision, "revisions grow: {:?} after {:?}", change.revision, self.revision);
            self.revision = change.revision;
            let Record::Chain(next) = &change.record else { continue };
            assert!(next.epoch >= self.epoch, "epochs do not fall");
            self.epoch = next.epoch;
            let history = self.history.entry(next.slot).or_default();
            if let Some(before) = history.last().cloned() {
                assert_eq!(next.version, before.version.next(), "slot {}", next.slot);
                Self::one_change(&before, next);
                for member in before.members.iter().filter(|member| !next.members.contains(member)) {
                    self.copy_stays(&before, next, member);
                    may_be_cut(member, next, &nodes[&member.node], now);
                }
            }
            self.history.get_mut(&next.slot).unwrap().push(next.clone());
        }
    }

    /// C3: the members before, in order, or one less, or one more at the end; one change at a time.
    fn one_change(before: &Chain, next: &Chain) {
        let tale = || format!("slot {}: {before:?}, then {next:?}", before.slot);
        let gone = before.members.iter().filter(|member| !next.members.contains(member)).count();
        let kept = before.members.iter().filter(|member| next.members.contains(member));
        let new = &next.members[before.members.len() - gone..];
        assert!(kept.eq(&next.members[..next.members.len() - new.len()]), "order: {}", tale());
        assert!(!next.members.is_empty(), "{}", tale());
        let attached = before.joining != next.joining && new.is_empty();
        let made_ready = !before.tail_ready && next.tail_ready && gone == 0;
        let all = gone + new.len() + usize::from(attached) + usize::from(made_ready);
        assert!(all <= 1, "one change: {}", tale());
        match new {
            [] => {}
            [tail] => {
                let joined = before.joining.as_ref().expect("only who has joined is activated");
                assert_eq!((&tail.node, tail.incarnation), (&joined.node, joined.incarnation), "{}", tale());
                assert!(before.tail_ready, "behind a tail that is not ready: {}", tale());
                assert!(!next.tail_ready && next.joining.is_none() && tail.activated == next.version, "{}", tale());
            }
            _ => panic!("two activations: {}", tale()),
        }
        if gone == 1 && before.tail() == next.tail() {
            assert_eq!(before.tail_ready, next.tail_ready, "readiness is inherited: {}", tale());
        }
        if before.tail_ready && new.is_empty() {
            assert!(next.tail_ready, "a tail that is ready stays so: {}", tale());
        }
        if next.joining != before.joining && next.joining.is_some() {
            assert!(before.joining.is_none() && before.tail_ready, "joins behind a ready tail: {}", tale());
        }
        let mut names: Vec<&NodeId> = next.replicas().map(|replica| &replica.node).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), next.replicas().count(), "a node holds one replica of a chain: {}", tale());
    }

    /// C3: a ready copy that stays has answered after the removal was planned.
    fn copy_stays(&self, before: &Chain, next: &Chain, gone: &Member) {
        let decision = &self.decided[&(next.epoch, next.slot, next.version)];
        let key = (decision.seat, next.epoch, before.slot, before.version, gone.node.clone());
        let planned = self.planned.get(&key).unwrap_or_else(|| panic!("{gone:?} is cut from {before:?} without a plan"));
        let answered = before
            .copies()
            .iter()
            .filter(|copy| *copy != gone)
            .any(|copy| decision.heard.get(&(copy.node.clone(), copy.incarnation)).is_some_and(|heard| heard > planned));
        assert!(answered, "slot {}: {} is cut, and no copy has answered since: {before:?}", before.slot, gone.node);
    }

    /// Members that were taken out of a chain.
    pub(crate) fn taken_out(&self, slot: Slot) -> BTreeSet<NodeId> {
        let gone = |pair: &[Chain]| {
            let [before, after] = pair else { unreachable!("pairs") };
            let members = before.members.iter().filter(|member| !after.members.contains(member));
            members.map(|member| member.node.clone()).collect::<Vec<_>>()
        };
        self.history[&slot].windows(2).flat_map(gone).collect()
    }

    /// C4, at every moment: who serves is a member of the version that is in effect.
    pub(crate) fn serving(nodes: &BTreeMap<NodeId, Node>, store: &Store, now: Duration) {
        for (id, node) in nodes {
            for slot in node.replicas.keys().filter(|slot| node.serves(**slot, now)) {
                let chain = store.chain(*slot).unwrap();
                let incarnation = node.record.incarnation;
                let member = chain.members.iter().any(|member| member.node == *id && member.incarnation == incarnation);
                assert!(member, "slot {slot}: {id} serves, and is no member of {chain:?}");
            }
        }
    }
}

/// C4: who is cut does not serve any more, in truth, and cannot again before it has heard of it.
fn may_be_cut(member: &Member, next: &Chain, node: &Node, now: Duration) {
    let same = node.record.incarnation == member.incarnation;
    assert!(!same || !node.serves(next.slot, now), "slot {}: {} serves, and is cut by {next:?}", next.slot, member.node);
}
