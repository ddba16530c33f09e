//! What each fault does, to whom, and for how long.

use std::collections::VecDeque;
use std::time::Duration;

use catena_core::{Event, Order, Slot, Succession, Time};

use super::hosts::{Input, Running, Silence};
use super::recovery::Undo;
use super::streams::Way;
use super::troubles::FOR_GOOD;
use super::{Happening, World};
use crate::check::Violation;
use crate::chronicle::{About, Kind, State};
use crate::disk::Crash;
use crate::faults::Fault;
use crate::options::Temper;
use crate::plan::Place;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn cut_until(both_ways: bool, until: Time) -> String {
    let ways = if both_ways { "both ways" } else { "one way" };
    format!("is cut {ways} until {:.3} s", Duration::from_nanos(until.0).as_secs_f64())
}

fn stands_still(until: Time) -> String {
    format!("stands still until {:.3} s", Duration::from_nanos(until.0).as_secs_f64())
}

impl World {
    pub(super) fn undo_at(&mut self, at: Time, undo: Undo) {
        self.queue.push(at, Happening::Undo(undo));
    }

    /// When a fault ends: mostly soon.
    pub(super) fn soon(&mut self, least: Duration, most: Duration) -> Time {
        self.now + self.rng.heavy_tail(least).min(most)
    }

    pub(super) fn peer_of(&mut self, node: usize) -> Option<usize> {
        let others = self.hosts.len() - 1;
        (others > 0).then(|| (node + 1 + self.rng.index(others)) % self.hosts.len())
    }

    /// Two neighbours of a chain, in one order or the other.
    pub(super) fn neighbours(&mut self) -> Option<(usize, usize)> {
        let slot = Slot(u32::try_from(self.rng.index(self.options.slots as usize)).expect("a few slots"));
        let replicas: Vec<usize> = self.realm.chain(slot)?.replicas().map(|replica| self.node_of(&replica.node)).collect();
        let pairs: Vec<_> = replicas.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let (a, b) = *pairs.get(self.rng.index(pairs.len().max(1)))?;
        Some(if self.rng.below(2) == 0 { (a, b) } else { (b, a) })
    }

    pub(super) fn cut_link(&mut self, from: usize, to: usize, both_ways: bool, until: Time) {
        self.trace.note(self.now, Place::Link(from, to), Kind::Fault, About::default(), || cut_until(both_ways, until));
        self.network.cut(from, to);
        self.undo_at(until, Undo::Mend { from, to });
        if both_ways {
            self.network.cut(to, from);
            self.undo_at(until, Undo::Mend { from: to, to: from });
        }
        // Keep-alives notice some cuts and miss others.
        if self.rng.below(2) == 0 {
            self.reset_link(from, to);
        }
    }

    pub(super) fn cut_links(&mut self, fault: Fault, node: usize) -> bool {
        let dead_after = self.options.coordinator.dead_after;
        let pairs: Vec<(usize, usize)> = match fault {
            Fault::DataCut => (0..self.hosts.len()).filter(|peer| *peer != node).map(|peer| (node, peer)).collect(),
            Fault::NeighboursCut => self.neighbours().into_iter().collect(),
            _ => self.peer_of(node).map(|peer| (node, peer)).into_iter().collect(),
        };
        let until = match fault {
            Fault::NeighboursCut => self.now + self.rng.duration(dead_after, dead_after + ms(4_000)),
            Fault::DataCut => self.now + self.rng.duration(ms(50), dead_after + ms(3_000)),
            _ => self.soon(ms(10), ms(3_000)),
        };
        let both_ways = match fault {
            Fault::CutOneWay => false,
            Fault::NeighboursCut => self.rng.below(3) > 0,
            _ => true,
        };
        for (from, to) in &pairs {
            self.cut_link(*from, *to, both_ways, until);
        }
        match self.options.temper {
            // Whoever of them is to go: the others can go on.
            Temper::Single => pairs.iter().take(1).for_each(|(from, _)| self.troubles.node(*from, until)),
            Temper::Wild | Temper::Lossy => self.troubles.common(until),
        }
        !pairs.is_empty()
    }

    /// Everything takes longer between two nodes, one way or both: by a little, or by more than it takes to be silent.
    pub(super) fn slow_link(&mut self, node: usize) -> bool {
        let Some(peer) = self.peer_of(node) else { return false };
        let by = self.rng.heavy_tail(ms(5)).min(ms(1_000));
        let until = self.now + self.rng.duration(ms(200), ms(6_000));
        let both_ways = self.rng.below(2) == 0;
        self.network.slow(node, peer, by, until);
        if both_ways {
            self.network.slow(peer, node, by, until);
        }
        let text = || format!("takes {by:?} longer until {:.3} s", Duration::from_nanos(until.0).as_secs_f64());
        self.trace.note(self.now, Place::Link(node, peer), Kind::Fault, About::default(), text);
        self.troubles.common(until);
        true
    }

    pub(super) fn cut_streams(&mut self, fault: Fault, node: usize) -> bool {
        let nodes = self.hosts.len();
        let seats = self.seats.len();
        let seat = self.rng.index(seats);
        let pairs: Vec<(usize, usize)> = match fault {
            Fault::CoordinatorCut => (0..nodes).map(|node| (node, seat)).collect(),
            _ => (0..seats).map(|seat| (node, seat)).collect(),
        };
        let ways = match fault {
            Fault::StreamCutOneWay => &[[Way::Up], [Way::Down]][self.rng.index(2)][..],
            _ => &[Way::Up, Way::Down],
        };
        let until = self.soon(ms(20), ms(6_000));
        for (node, seat) in pairs {
            let both = ways.len() > 1;
            self.trace.note(self.now, Place::Line(node, seat), Kind::Fault, About::default(), || cut_until(both, until));
            for way in ways {
                self.lines.cut(node, seat, *way);
                self.undo_at(until, Undo::MendStream { node, seat, way: *way });
            }
        }
        match fault {
            Fault::CoordinatorCut => self.troubles.common(until),
            _ => self.troubles.node(node, until),
        }
        true
    }

    pub(super) fn stall(&mut self, node: usize) -> bool {
        // Mostly a hiccup; now and then for longer than a node may be of no use (K2).
        let least = *self.rng.pick(&[ms(5), ms(5), ms(3_000)]);
        let until = self.soon(least, ms(6_000));
        self.hosts[node].stalled_until = until;
        self.troubles.node(node, until);
        if self.rng.below(2) == 0 {
            // With much that is not synced.
            let at = self.now + self.rng.duration(Duration::ZERO, until.since(self.now));
            self.queue.push(at, Happening::Injure { fault: Fault::PowerLoss, node });
        }
        true
    }

    /// The disk is full for a while, through restarts.
    pub(super) fn fill_up(&mut self, node: usize) -> Result<bool, Violation> {
        let until = self.soon(ms(300), ms(8_000));
        self.hosts[node].full_until = until;
        self.undo_at(until, Undo::Empty { node });
        self.input_any(node, Input::Event(Event::DiskFull { full: true }))?;
        Ok(true)
    }

    pub(super) fn down_until(&mut self, node: usize, crash: Crash, silence: Silence, until: Time) -> bool {
        let was = self.crash(node, crash, silence);
        if was {
            self.troubles.node(node, until);
            self.undo_at(until, Undo::Restart { node });
        }
        was
    }

    pub(super) fn take_down(&mut self, node: usize, crash: Crash) -> bool {
        let until = self.soon(self.options.downtime, ms(3_000));
        self.down_until(node, crash, Silence::Refusing, until)
    }

    pub(super) fn take_some_down(&mut self) -> bool {
        let mut hit = 0;
        for node in 0..self.hosts.len() {
            let crash = *self.rng.pick(&[Crash::Kill, Crash::PowerLoss]);
            hit += usize::from(self.rng.below(2) == 0 && self.take_down(node, crash));
        }
        hit > 1
    }

    /// Whoever shares the node's failure domain goes with it.
    pub(super) fn take_rack_down(&mut self, node: usize) -> bool {
        let Some(rack) = self.hosts[node].rack else { return false };
        let of_it: Vec<usize> = (0..self.hosts.len()).filter(|other| self.hosts[*other].rack == Some(rack)).collect();
        of_it.len() > 1 && of_it.into_iter().filter(|other| self.silence(*other)).count() > 0
    }

    pub(super) fn take_all_down(&mut self, crash: Crash) -> bool {
        (0..self.hosts.len()).filter(|node| self.take_down(*node, crash)).count() > 0
    }

    pub(super) fn silence(&mut self, node: usize) -> bool {
        let dead_after = self.options.coordinator.dead_after;
        let until = self.now + self.rng.duration(dead_after, dead_after + ms(4_000));
        self.down_until(node, Crash::PowerLoss, Silence::Total, until)
    }

    /// Gone until the world heals; where it is to be so, with the other copies of one of its slots.
    pub(super) fn bury(&mut self, node: usize) -> bool {
        let others = if self.options.widows { self.companions(node) } else { Vec::new() };
        let buried = self.bury_alone(node);
        if buried {
            for other in others {
                self.bury_alone(other);
            }
        }
        buried
    }

    /// The other copies of the first slot that it has one of.
    fn companions(&self, node: usize) -> Vec<usize> {
        let chains = (0..self.options.slots).filter_map(|slot| self.realm.chain(Slot(slot)));
        let copies = chains.map(|chain| chain.copies().iter().map(|copy| self.node_of(&copy.node)).collect::<Vec<_>>());
        let mut with_it = copies.filter(|copies| copies.contains(&node));
        with_it.next().unwrap_or_default().into_iter().filter(|other| *other != node).collect()
    }

    /// Of as many nodes as chains can be whole without.
    fn bury_alone(&mut self, node: usize) -> bool {
        let gone = (0..self.hosts.len()).filter(|node| self.troubles.until(*node) == FOR_GOOD).count();
        let spare = self.hosts.len() - self.options.full();
        let buried = gone < spare && self.crash(node, Crash::PowerLoss, Silence::Total);
        if buried {
            self.troubles.node(node, FOR_GOOD);
        }
        buried
    }

    pub(super) fn stop_for_a_while(&mut self, node: usize) -> Result<bool, Violation> {
        let stops = self.stop(node)?;
        if stops {
            let least = *self.rng.pick(&[ms(20), ms(500)]);
            let until = self.soon(least, ms(4_000)) + ms(600);
            self.troubles.node(node, until);
            self.undo_at(until, Undo::Restart { node });
        }
        Ok(stops)
    }

    pub(super) fn wipe(&mut self, node: usize) -> bool {
        if !self.may_wipe(node) {
            return false;
        }
        let until = self.soon(self.options.downtime, ms(3_000));
        self.crash(node, Crash::PowerLoss, Silence::Refusing);
        self.hosts[node].wipe(self.options.slots, self.now);
        self.wiped_at = self.now;
        self.troubles.node(node, until);
        self.undo_at(until, Undo::Restart { node });
        true
    }

    /// Goes down, and finds one of its logs damaged when it is up again.
    pub(super) fn tear(&mut self, node: usize) -> bool {
        if !self.may_wipe(node) || !self.take_down(node, Crash::Kill) {
            return false;
        }
        let slot = Slot(u32::try_from(self.rng.index(self.options.slots as usize)).expect("a few slots"));
        let tears = self.hosts[node].disk.tear(slot);
        if tears {
            self.wiped_at = self.now;
        }
        tears
    }

    pub(super) fn rot(&mut self, node: usize) -> bool {
        let rots = self.may_wipe(node) && self.hosts[node].disk.rot(&mut self.rng);
        if rots {
            self.wiped_at = self.now;
            // Found or not by then, it may restart, or another copy die.
            let after = self.rng.duration(Duration::ZERO, ms(2_000));
            let other = self.peer_of(node).unwrap_or(node);
            let (fault, node) = *self.rng.pick(&[(Fault::Kill, node), (Fault::SilentDeath, other)]);
            self.queue.push(self.now + after, Happening::Injure { fault, node });
        }
        rots
    }

    pub(super) fn pause_until(&mut self, node: usize, until: Time) -> bool {
        let Some(process) = &mut self.hosts[node].process else { return false };
        let Running::Yes = process.running else { return false };
        process.running = Running::Paused(VecDeque::new());
        let life = process.life;
        self.trace.begins(self.now, Place::Node(node), Kind::Process, About::default(), || (State::Paused, stands_still(until)));
        self.troubles.node(node, until);
        self.undo_at(until, Undo::Resume { node, life });
        true
    }

    /// Mostly a little; now and then up to ten times the lease.
    pub(super) fn pause(&mut self, node: usize) -> bool {
        let lease = self.options.coordinator.cluster.lease;
        let brief = self.soon(ms(20), ms(2_000));
        let long = self.now + self.rng.duration(lease, lease * 10);
        let until = *self.rng.pick(&[brief, brief, long]);
        self.pause_until(node, until)
    }

    /// An operator's orders. What is taken out comes back some time.
    pub(super) fn operate(&mut self, fault: Fault, node: usize) -> Result<bool, Violation> {
        let id = self.hosts[node].identity.node.clone();
        let order = match fault {
            Fault::Drain => Order::Drain(id),
            Fault::Evict => Order::Evict(id),
            _ => Order::Readmit(id),
        };
        let asked = self.order(order)?;
        if asked && fault != Fault::Readmit {
            let until = self.now + self.rng.duration(ms(200), ms(8_000));
            self.undo_at(until, Undo::Readmit { node });
        }
        Ok(asked)
    }

    pub(super) fn injure_coordinators(&mut self, fault: Fault) -> Result<bool, Violation> {
        let seat = self.rng.index(self.seats.len());
        let (soon, later) = (self.soon(ms(50), ms(3_000)), self.now + self.rng.duration(ms(1_000), ms(5_000)));
        let (occurred, until) = match fault {
            Fault::CoordinatorKill => {
                let until = self.soon(self.options.downtime, ms(3_000));
                self.undo_at(until, Undo::RestartCoordinator { seat });
                (self.kill_coordinator(seat)?, until)
            }
            Fault::AllCoordinatorsDown => (true, self.take_coordinators_down(later)?),
            Fault::LongOutage if self.occurrences.of(fault) > 0 => (false, self.now), // once is long enough
            Fault::LongOutage => {
                let until = self.now + self.rng.duration(Duration::from_mins(1), Duration::from_mins(3));
                (true, self.take_coordinators_down(until)?)
            }
            Fault::SlowStore => {
                self.realm.slow_until = later;
                (true, later)
            }
            Fault::StoreCut => {
                self.seats[seat].store_cut_until = later;
                (true, later)
            }
            Fault::CoordinatorPause => (self.pause_coordinator(seat, soon), soon),
            Fault::LongCoordinatorPause => {
                let until = later + ms(1_000);
                (self.pause_coordinator(seat, until), until)
            }
            _ => self.divide_leadership(),
        };
        if occurred {
            self.troubles.common(until);
        }
        Ok(occurred)
    }

    /// All of them, until then or a little later. Says until when.
    fn take_coordinators_down(&mut self, until: Time) -> Result<Time, Violation> {
        for seat in 0..self.seats.len() {
            self.kill_coordinator(seat)?;
            let after = self.rng.duration(Duration::ZERO, ms(200));
            self.undo_at(until + after, Undo::RestartCoordinator { seat });
        }
        Ok(until)
    }

    pub(super) fn pause_coordinator(&mut self, seat: usize, until: Time) -> bool {
        let pauses = self.seats[seat].pause(self.now);
        if pauses {
            self.trace
                .begins(self.now, Place::Seat(seat), Kind::Process, About::default(), || (State::Paused, stands_still(until)));
            self.undo_at(until, Undo::ResumeCoordinator { seat });
        }
        pauses
    }

    /// The leader stands still until its claim has run out and another leads.
    pub(super) fn divide_leadership(&mut self) -> (bool, Time) {
        let Succession::Shared { claim, .. } = self.options.coordinator.succession else { return (false, self.now) };
        let until = self.now + claim + self.rng.duration(ms(100), ms(2_000));
        let Some(seat) = self.leader() else { return (false, self.now) };
        (self.pause_coordinator(seat, until), until)
    }
}
