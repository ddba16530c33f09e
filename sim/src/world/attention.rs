//! The look whether slots that can do without somebody who is gone for good are rid of it (K1).

use catena_core::{Health, Member, NodeId, Slot, Standing, Status};

use super::World;
use super::seats::Seat;
use super::troubles::FOR_GOOD;
use crate::check::Violation;
use crate::check::attention::Due;

/// A leader whose work arrives, and what it says of its cluster.
struct Acting<'a> {
    world: &'a World,
    seat: &'a Seat,
    status: Status,
    /// It has heard most nodes: one that it has never heard dies in time (K2); else that is not certain (C5).
    settled: bool,
}

impl World {
    /// Looks at all slots.
    pub(super) fn watch_attention(&mut self) -> Result<(), Violation> {
        let gone: Vec<usize> = self.troubles.nodes(self.now).filter(|node| self.troubles.until(*node) == FOR_GOOD).collect();
        if gone.is_empty() || self.options.coordinator.restraint_percent < 100 {
            return Ok(());
        }
        let acting = self.acting();
        let due = |slot| acting.as_ref().and_then(|acting| acting.due(slot, &gone));
        let slots: Vec<_> = (0..self.options.slots).map(Slot).map(|slot| (slot, due(slot))).collect();
        slots.into_iter().try_for_each(|(slot, due)| self.attention.look(slot, due, self.now))
    }

    /// The leader, if nothing keeps it from its work and nobody is to be let in or out, which takes its time.
    fn acting(&self) -> Option<Acting<'_>> {
        let seat = &self.seats[self.leader()?];
        let reaches_store = seat.has_sent_all() && seat.store_cut_until <= self.now && self.realm.slow_until <= self.now;
        let status = seat.status().filter(|status| reaches_store && self.realm.leads(status.epoch))?;
        let free = status.nodes.iter().all(|node| node.stored.standing == Standing::Member);
        let healthy = status.nodes.iter().filter(|node| node.health == Health::Healthy).count();
        free.then(|| Acting { world: self, seat, settled: healthy * 2 >= status.nodes.len(), status })
    }
}

impl Acting<'_> {
    /// What is to be done, and which one of `gone` is to be taken out.
    fn due(&self, slot: Slot, gone: &[usize]) -> Option<(Due, NodeId)> {
        let chain = self.world.realm.chain(slot)?;
        let is_dead = |member: &&Member| gone.contains(&self.world.node_of(&member.node)) && self.gives_up(member);
        let dead = chain.members.iter().find(is_dead)?;
        let due = Due { version: chain.version, epoch: self.status.epoch };
        chain.copies().iter().any(|copy| self.is_well(slot, copy)).then(|| (due, dead.node.clone()))
    }

    /// Also where all may be taken out, one is spared when others have died too often of late (K4).
    fn gives_up(&self, member: &Member) -> bool {
        let silent = self.finds(member, Health::Dead) || (self.settled && self.finds(member, Health::Unheard));
        silent && !self.seat.spares(&member.node)
    }

    /// One that knows and has told of damage is no copy, also where what was damaged was written anew since (D2).
    fn is_well(&self, slot: Slot, copy: &Member) -> bool {
        let node = self.world.node_of(&copy.node);
        let host = &self.world.hosts[node];
        let told = host.disk.is_quarantined(slot) && self.seat.knows_damaged(node, slot, copy.incarnation);
        let whole = copy.is(&host.identity) && !host.disk.is_damaged(slot) && !told;
        whole && self.world.troubles.until(node) <= self.world.now && self.finds(copy, Health::Healthy)
    }

    fn finds(&self, member: &Member, health: Health) -> bool {
        let found = self.status.nodes.iter().find(|node| node.stored.record.node == member.node);
        found.is_some_and(|node| node.health == health)
    }
}
