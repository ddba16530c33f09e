//! What has changed on a stage since it was last looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use catena_core::{ChainVersion, Entry, EntryId, Epoch, Health, NodeId, Role, Seq, Slot, Standing, Status, Time};

use super::{Seen, Stage};
use crate::check::histories::Watermarks;
use crate::history::{CallId, Outcome};
use crate::world::Life;

/// What was last seen of things that change.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) chains: BTreeMap<Slot, ChainVersion>,
    pub(super) committed: BTreeMap<Slot, Seq>,
    /// By node and slot, and the run of the process that they are of.
    pub(super) marks: BTreeMap<(usize, Slot), (Life, Watermarks)>,
    pub(super) health: BTreeMap<NodeId, Health>,
    pub(super) standing: BTreeMap<NodeId, Standing>,
    pub(super) leads: BTreeMap<usize, Epoch>,
    /// When they began.
    pub(super) open: BTreeMap<CallId, Time>,
    /// How long they took.
    pub(super) took: BTreeMap<CallId, Duration>,
    pub(super) verdicts: usize,
}

impl Stage {
    /// Looks around, and notes what is new.
    pub(crate) fn notice(&mut self) {
        self.notice_coordinators();
        for slot in (0..self.world.options.slots).map(Slot) {
            self.notice_slot(slot);
            for node in 0..self.world.hosts.len() {
                self.notice_replica(node, slot);
            }
        }
        let ended = |call: &CallId| self.world.history.call(*call).outcome != Outcome::Pending;
        let ended: Vec<CallId> = self.known.open.keys().copied().filter(ended).collect();
        for call in ended {
            let begun = self.known.open.remove(&call).expect("just looked");
            self.known.took.insert(call, self.world.now.since(begun));
            self.see(Seen::Ended(call));
        }
        while let Some(verdict) = self.world.verdicts.get(self.known.verdicts).cloned() {
            self.known.verdicts += 1;
            self.see(Seen::Order(verdict));
        }
    }

    fn notice_coordinators(&mut self) {
        for seat in 0..self.world.seats.len() {
            if self.world.seats[seat].alive() && !self.world.seats[seat].answers() {
                continue; // nobody can tell
            }
            let status = self.world.seats[seat].status();
            let epoch = status.as_ref().map(|status| status.epoch);
            let before = self.known.leads.get(&seat).copied();
            match (before, epoch) {
                (before, Some(epoch)) if before != Some(epoch) => {
                    self.known.leads.insert(seat, epoch);
                    self.see(Seen::Leads(seat, epoch));
                }
                (Some(_), None) => {
                    self.known.leads.remove(&seat);
                    if self.world.seats[seat].alive() {
                        self.see(Seen::Follows(seat));
                    }
                }
                (_, _) => {}
            }
            let newest = self.known.leads.values().max().copied();
            if let Some(status) = status.filter(|status| Some(status.epoch) == newest) {
                self.notice_nodes(&status);
            }
        }
    }

    fn notice_nodes(&mut self, status: &Status) {
        for node in &status.nodes {
            let id = &node.stored.record.node;
            // Nobody has been heard by a leader that is new.
            let before = self.known.health.get(id).copied();
            if node.health != Health::Unheard && before != Some(node.health) {
                self.known.health.insert(id.clone(), node.health);
                if before.is_some() {
                    self.see(Seen::Health(id.clone(), node.health));
                }
            }
            let standing = node.stored.standing;
            if self.known.standing.insert(id.clone(), standing).is_some_and(|before| before != standing) {
                self.see(Seen::Standing(id.clone(), standing));
            }
        }
    }

    fn notice_slot(&mut self, slot: Slot) {
        if let Some(chain) = self.world.realm.chain(slot)
            && self.known.chains.get(&slot) != Some(&chain.version)
        {
            let chain = chain.clone();
            self.known.chains.insert(slot, chain.version);
            self.see(Seen::Chain(chain));
        }
        let from = self.known.committed.get(&slot).copied().unwrap_or_default();
        let entries: Vec<Entry> = {
            let known = self.world.ledger.entries(slot);
            known[known.partition_point(|entry| entry.id.seq <= from)..].to_vec()
        };
        for entry in entries {
            self.known.committed.insert(slot, entry.id.seq);
            self.see(Seen::Committed(slot, entry));
        }
    }

    fn notice_replica(&mut self, node: usize, slot: Slot) {
        let Some(process) = &self.world.hosts[node].process else { return };
        let (life, marks) = (process.life, process.marks[slot.0 as usize]);
        let before = self.known.marks.insert((node, slot), (life, marks));
        let Some((_, before)) = before.filter(|(before, _)| *before == life) else { return };
        if marks.fenced && !before.fenced {
            self.see(Seen::Fenced(node, slot, marks.version));
        }
        if marks.role == Role::None && marks.last == EntryId::default() && before.last != EntryId::default() {
            self.see(Seen::Dropped(node, slot));
        } else if marks.last.seq < before.last.seq {
            self.see(Seen::Cut(node, slot, marks.last.seq));
        } else if marks.trim.seq > before.last.seq {
            self.copying.remove(&(node, slot));
            self.see(Seen::Installed(node, slot, marks.trim.seq));
        }
    }
}
