//! Who is healthy, suspect, dead; who flaps; and when the failure detector holds back (K2–K4, C5).

use std::time::Duration;

use super::leader::Leader;
use super::registry::Verdict;
use super::{CoordinatorEffect, Eviction, Health, Note, Record, Standing, StoredNode};
use crate::{CoordinatorConfig, NodeId, Now, Rejoin, WallTime};

impl Leader {
    /// A heartbeat has come.
    pub(super) fn heard(&mut self, id: &NodeId, out: &mut Vec<CoordinatorEffect>) {
        let awake = self.awake.now();
        let node = self.nodes.get_mut(id).expect("the caller has looked it up");
        node.heard_awake = awake;
        node.heard = true;
        let health = if node.leaving { Health::Stopped } else { Health::Healthy };
        if health == Health::Healthy {
            node.verdict = Verdict::None;
        }
        self.set_health(id, health, out);
        // A removal elsewhere may have waited for this node to answer (C3).
        if !self.open.is_empty() {
            let open = self.nodes[id].slots.intersection(&self.open);
            self.dirty.extend(open.filter(|slot| self.slots[*slot].removal.is_some()));
        }
    }

    /// A node may have become fit to hold replicas, or unfit.
    pub(super) fn may_place_elsewhere(&mut self) {
        self.dirty.append(&mut self.stranded);
        self.uneven = true;
        self.tried_moves = 0;
    }

    fn set_health(&mut self, id: &NodeId, health: Health, out: &mut Vec<CoordinatorEffect>) {
        let node = self.nodes.get_mut(id).expect("the caller has looked it up");
        if node.health == health {
            return;
        }
        node.health = health;
        self.dirty.extend(node.slots.iter().copied());
        self.may_place_elsewhere();
        out.push(CoordinatorEffect::Note(Note::Health { node: id.clone(), health }));
    }

    /// Looks at every node, with every tick.
    pub(super) fn watch(&mut self, config: &CoordinatorConfig, now: Now, out: &mut Vec<CoordinatorEffect>) {
        let awake = self.awake.now();
        let grace = self.grace(config);
        self.parted.retain(|_, at| now.monotonic.since(*at) <= config.restraint_window);
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        for id in ids {
            let node = &self.nodes[&id];
            let silence = awake.saturating_sub(node.heard_awake);
            let dead_after = if node.heard { config.dead_after } else { grace };
            match node.health {
                Health::Healthy if silence >= config.suspect_after => {
                    reached!(Suspected);
                    self.set_health(&id, Health::Suspect, out);
                    self.count_flap(&id, config, now, out);
                }
                Health::Unheard if mutant!(UnheardNeverDies) => {}
                Health::Suspect | Health::Unheard if silence >= dead_after => {
                    reached!(Died);
                    self.set_health(&id, Health::Dead, out);
                    self.take_out(&id, config, now, out);
                }
                Health::Dead => self.take_out(&id, config, now, out),
                Health::Healthy => self.come_back(&id, config, now, out),
                Health::Suspect | Health::Unheard | Health::Stopped => {}
            }
        }
    }

    /// How long a node that this leader has not heard may take to find it (C5). While most have not, they are still looking:
    /// one that hangs at the leader before may need several tries.
    pub(super) fn grace(&self, config: &CoordinatorConfig) -> Duration {
        const LOOKING: u32 = 8;
        let heard = self.nodes.values().filter(|node| node.heard).count();
        let grace = config.with_drift(config.dead_after);
        if heard * 2 >= self.nodes.len() { grace } else { grace * LOOKING }
    }

    /// A dead node leaves its chains, unless too many have lately: then it stays until it comes back or an operator evicts it,
    /// for time alone makes it no more likely that the node is what is broken (K4).
    fn take_out(&mut self, id: &NodeId, config: &CoordinatorConfig, now: Now, out: &mut Vec<CoordinatorEffect>) {
        let node = &self.nodes[id];
        if node.verdict != Verdict::None {
            return;
        }
        if node.slots.is_empty() {
            // This leader does not know when it was taken out: the one before may have done it just now.
            if !node.heard && !self.taken_out.iter().any(|(_, taken)| taken == id) {
                self.taken_out.push_back((now.monotonic, id.clone()));
            }
            return;
        }
        if !self.may_take_out(id, config, now) {
            return self.spare(id, out);
        }
        let node = self.nodes.get_mut(id).expect("just looked at");
        node.verdict = Verdict::Out;
        self.dirty.extend(node.slots.iter().copied());
    }

    /// Whether the failure detector may take out one more; counts it.
    pub(super) fn may_take_out(&mut self, id: &NodeId, config: &CoordinatorConfig, now: Now) -> bool {
        let window = config.restraint_window;
        while self.taken_out.pop_front_if(|(at, _)| now.monotonic.since(*at) > window).is_some() {}
        if self.taken_out.iter().any(|(_, node)| node == id) {
            return true;
        }
        let members = self.nodes.values().filter(|node| node.stored.standing == Standing::Member).count();
        let allowed = (members * config.restraint_percent as usize).div_ceil(100);
        let may = self.taken_out.len() < allowed;
        if may {
            self.taken_out.push_back((now.monotonic, id.clone()));
        }
        may
    }

    /// The failure detector holds back.
    fn spare(&mut self, id: &NodeId, out: &mut Vec<CoordinatorEffect>) {
        let verdict = &mut self.nodes.get_mut(id).expect("the caller has looked it up").verdict;
        if std::mem::replace(verdict, Verdict::Spared) != Verdict::Spared {
            reached!(Spared);
            out.push(CoordinatorEffect::Note(Note::Restrained { node: id.clone() }));
        }
    }

    /// A node has become suspect: too often within the window, and it is evicted (K3).
    fn count_flap(&mut self, id: &NodeId, config: &CoordinatorConfig, now: Now, out: &mut Vec<CoordinatorEffect>) {
        let (threshold, window) = (config.flap_threshold as usize, config.flap_window);
        if threshold == 0 || window.is_zero() {
            return;
        }
        let mut stored = self.latest(id);
        let window_ns = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        let recent = |at: &WallTime| now.wall.0.abs_diff(at.0) <= window_ns;
        stored.flaps.retain(recent);
        stored.flaps.push(now.wall);
        let flaps = stored.flaps.len();
        // A new leader evicts nobody before it has heard for so long who is there (C5).
        let settled = now.monotonic >= self.elected_at + config.with_drift(config.dead_after);
        let evicts = stored.standing == Standing::Member && flaps >= threshold && settled;
        if evicts && !self.may_take_out(id, config, now) {
            self.spare(id, out);
        } else if evicts {
            stored.standing = Standing::Evicted { reason: Eviction::Flapping, at: now.wall };
            reached!(FlappedOut);
            stored.evictions += 1;
            stored.flaps.clear();
            out.push(CoordinatorEffect::Note(Note::Evicted { node: id.clone(), reason: Eviction::Flapping }));
        }
        stored.flaps.drain(..stored.flaps.len().saturating_sub(threshold));
        if mutant!(FlapHistoryLost) && stored.standing == Standing::Member {
            self.nodes.get_mut(id).expect("the caller has looked it up").stored.flaps = stored.flaps;
            return;
        }
        self.store(vec![Record::Node(stored)], None, out);
    }

    /// An evicted node comes back by itself, if it may (C11).
    fn come_back(&mut self, id: &NodeId, config: &CoordinatorConfig, now: Now, out: &mut Vec<CoordinatorEffect>) {
        let Rejoin::Auto(first) = config.rejoin else { return };
        let stored = &self.nodes[id].stored;
        let Standing::Evicted { reason: Eviction::Flapping, at } = stored.standing else { return };
        let back_off = first * 2_u32.pow(stored.evictions.saturating_sub(1).min(6));
        let since = Duration::from_nanos(now.wall.0.saturating_sub(at.0));
        if since >= back_off && self.storing_node(id).is_none() {
            let stored = StoredNode { standing: Standing::Member, flaps: Vec::new(), ..stored.clone() };
            self.store(vec![Record::Node(stored)], None, out);
        }
    }

    /// A node's record as it will be once everything under way is stored.
    pub(super) fn latest(&self, id: &NodeId) -> StoredNode {
        self.storing_node(id).unwrap_or(&self.nodes[id].stored).clone()
    }
}
