//! Ends of faults; and what a world must not be robbed of.

use std::time::Duration;

use catena_core::{Event, Health, Order, Slot, Standing, Time, Wait};

use super::hosts::{Input, Running};
use super::seats::Seat;
use super::streams::Way;
use super::troubles::FOR_GOOD;
use super::{Happening, Life, World};
use crate::check::Violation;
use crate::chronicle::{About, Kind, State};
use crate::plan::Place;

/// Between two wiped or damaged directories: so long at least, that the chains concerned have had time to hear of it.
const WIPES: Duration = Duration::from_secs(5);

/// How late a node that was gone for good comes back after the world has healed, at most.
const LATE: Duration = Duration::from_secs(2);

/// How a fault ends.
#[derive(Debug)]
pub(super) enum Undo {
    Mend { from: usize, to: usize },
    MendStream { node: usize, seat: usize, way: Way },
    Resume { node: usize, life: Life },
    Restart { node: usize },
    Empty { node: usize },
    Readmit { node: usize },
    ResumeCoordinator { seat: usize },
    RestartCoordinator { seat: usize },
}

impl Undo {
    /// Where it ends.
    pub(super) fn place(&self) -> Place {
        match *self {
            Undo::Mend { from, to } => Place::Link(from, to),
            Undo::MendStream { node, seat, .. } => Place::Line(node, seat),
            Undo::Resume { node, .. } | Undo::Restart { node } | Undo::Empty { node } | Undo::Readmit { node } => {
                Place::Node(node)
            }
            Undo::ResumeCoordinator { seat } | Undo::RestartCoordinator { seat } => Place::Seat(seat),
        }
    }
}

impl World {
    /// Whether a node's directory may be wiped, or damaged: only where, in each of its chains, as they are and as they may be in a moment,
    /// another copy is whole, its node is well, and nobody is about to take it out. The protocol cannot keep what is
    /// destroyed everywhere.
    pub(super) fn may_wipe(&self, node: usize) -> bool {
        let recently = self.now < self.wiped_at + WIPES && self.wiped_at > Time(0);
        if recently || !self.seats.iter().all(Seat::has_sent_all) {
            return false;
        }
        let Some(status) = self.leader().and_then(|seat| self.seats[seat].status()) else { return false };
        let me = &self.hosts[node].identity;
        let well = |id: &catena_core::NodeId| {
            let other = self.node_of(id);
            let known = status.nodes.iter().find(|known| known.stored.record.node == *id);
            self.troubles.until(other) + Duration::from_secs(2) < self.now
                && known.is_some_and(|known| known.health == Health::Healthy && known.stored.standing == Standing::Member)
        };
        let kept = |slot: Slot| {
            let calm = !matches!(status.waits.get(&slot), Some(Wait::Fencing | Wait::LastCopy));
            let chains = self.realm.possible(slot);
            calm && self.realm.chain(slot).is_some()
                && chains.filter(|chain| chain.replicas().any(|replica| replica.is(me))).all(|chain| {
                    let mut others = chain.copies().iter().filter(|copy| !copy.is(me));
                    others.any(|copy| {
                        let host = &self.hosts[self.node_of(&copy.node)];
                        copy.is(&host.identity) && !host.disk.is_damaged(slot) && well(&copy.node)
                    })
                })
        };
        (0..self.options.slots).map(Slot).all(kept)
    }

    /// The process goes on: with its timers, and with all that has arrived meanwhile.
    fn resume(&mut self, node: usize, life: Life) -> Result<(), Violation> {
        let Some(process) = self.hosts[node].alive(life) else { return Ok(()) };
        let Running::Paused(waiting) = std::mem::replace(&mut process.running, Running::Yes) else { return Ok(()) };
        self.trace.begins(self.now, Place::Node(node), Kind::Process, About::default(), || (State::Up, "goes on".to_owned()));
        waiting.into_iter().try_for_each(|input| self.input(node, life, input))
    }

    pub(super) fn undo(&mut self, undo: &Undo) -> Result<(), Violation> {
        let healed = self.options.odds.is_empty();
        match *undo {
            // Healing has mended all cuts at once, and readmits by itself.
            Undo::Mend { .. } | Undo::MendStream { .. } | Undo::Readmit { .. } if healed => Ok(()),
            Undo::Mend { from, to } => {
                self.network.mend(from, to);
                Ok(())
            }
            Undo::MendStream { node, seat, way } => {
                self.lines.mend(node, seat, way);
                if self.rng.below(2) == 0 {
                    self.break_stream(node);
                }
                Ok(())
            }
            Undo::Resume { node, life } => self.resume(node, life),
            Undo::Restart { node } if self.troubles.until(node) == FOR_GOOD => Ok(()), // gone for good
            Undo::Restart { node } => self.start(node),
            Undo::Empty { node } if self.now < self.hosts[node].full_until => Ok(()), // full once more
            Undo::Empty { node } => self.empty(node),
            Undo::Readmit { node } => {
                self.order(Order::Readmit(self.hosts[node].identity.node.clone()))?;
                Ok(())
            }
            Undo::ResumeCoordinator { seat } => self.resume_coordinator(seat),
            Undo::RestartCoordinator { seat } => {
                self.start_coordinator(seat);
                Ok(())
            }
        }
    }

    /// Ends every fault. What is down comes up again; what was gone for good, a little later. Says when all is well.
    pub(super) fn heal(&mut self) -> Result<Time, Violation> {
        self.trace.note(self.now, Place::World, Kind::Fault, About::default(), || "the world heals".to_owned());
        let gone: Vec<usize> = (0..self.hosts.len()).filter(|node| self.troubles.until(*node) == FOR_GOOD).collect();
        self.troubles.end(self.now);
        self.options.odds.clear();
        self.network.mend_all();
        self.lines.mend_all();
        self.realm.slow_until = self.now;
        for seat in 0..self.seats.len() {
            self.seats[seat].store_cut_until = self.now;
            self.start_coordinator(seat);
            self.resume_coordinator(seat)?;
        }
        let mut well = self.now;
        for node in 0..self.hosts.len() {
            self.hosts[node].stalled_until = self.now;
            self.hosts[node].full_until = self.now;
            if gone.contains(&node) {
                let at = self.now + self.rng.duration(Duration::ZERO, LATE);
                well = well.max(at);
                self.queue.push(at, Happening::Undo(Undo::Restart { node }));
                continue;
            }
            self.start(node)?;
            let life = self.hosts[node].process.as_ref().expect("just started").life;
            self.resume(node, life)?;
            self.empty(node)?;
        }
        Ok(well)
    }

    /// A disk has room again. Now and then its node's connections break just before, so that what it says of that is lost: then
    /// somebody has to ask (D3).
    fn empty(&mut self, node: usize) -> Result<(), Violation> {
        if self.hosts[node].reserve.is_some() && self.happens(self.options.untold) {
            for peer in (0..self.hosts.len()).filter(|peer| *peer != node) {
                self.reset_link(node, peer);
            }
        }
        self.input_any(node, Input::Event(Event::DiskFull { full: false }))
    }

    /// What is out is taken in again, as long as it takes.
    pub(super) fn readmit_all(&mut self) -> Result<(), Violation> {
        for node in 0..self.hosts.len() {
            let id = self.hosts[node].identity.node.clone();
            if self.realm.node(&id).is_some_and(|stored| stored.standing != Standing::Member) {
                self.order(Order::Readmit(id))?;
            }
        }
        Ok(())
    }
}
