//! Faults that hit a place or a process at a time.

use std::collections::VecDeque;
use std::time::Duration;

use catena_core::{Order, Succession, Time};

use super::hosts::{Arrival, Running, Silence};
use super::recovery::Undo;
use super::streams::Way;
use super::troubles::FOR_GOOD;
use super::{Happening, World};
use crate::check::Violation;
use crate::disk::Crash;
use crate::faults::Fault;
use crate::options::Temper;

/// Faults that are injected, as against those that strike single messages.
const INJECTED: &[Fault] = &[
    Fault::Reset,
    Fault::CutOneWay,
    Fault::Cut,
    Fault::NeighboursCut,
    Fault::DataCut,
    Fault::StreamReset,
    Fault::StreamCut,
    Fault::StreamCutOneWay,
    Fault::CoordinatorCut,
    Fault::Stall,
    Fault::Kill,
    Fault::PowerLoss,
    Fault::KillSome,
    Fault::KillAll,
    Fault::PowerLossAll,
    Fault::SilentDeath,
    Fault::LongDeath,
    Fault::Flapping,
    Fault::Stop,
    Fault::Wipe,
    Fault::Pause,
    Fault::Drain,
    Fault::Evict,
    Fault::Readmit,
    Fault::CoordinatorKill,
    Fault::AllCoordinatorsDown,
    Fault::SlowStore,
    Fault::StoreCut,
    Fault::CoordinatorPause,
    Fault::LongCoordinatorPause,
    Fault::TwoLeaders,
    Fault::WallJump,
    // Twice as often: what changes chains is what is to be tried.
    Fault::Kill,
    Fault::SilentDeath,
];

/// Ways to go down.
const CRASHES: [Fault; 4] = [Fault::Kill, Fault::PowerLoss, Fault::KillAll, Fault::PowerLossAll];

/// Where one node at a time is in trouble: how long after one the next may be.
const SETTLING: Duration = Duration::from_secs(3);

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl World {
    /// Faults at any time, and more of them about bursts: that is when something is at stake.
    pub(super) fn schedule_faults(&mut self) {
        let kinds = self.injected();
        if kinds.is_empty() {
            return;
        }
        self.queue.push(self.now + self.options.calm, Happening::Inject);
        // The first placement is at stake at the very start.
        let starts: Vec<Time> = std::iter::once(self.now).chain(self.bursts.iter().copied()).collect();
        for start in starts {
            for _ in 0..self.rng.below(3) {
                // Into the burst, or into the recovery from the fault before.
                let soon = self.rng.heavy_tail(ms(1));
                let later = self.rng.duration(Duration::ZERO, ms(800));
                let after = *self.rng.pick(&[soon, later]);
                let fault = *self.rng.pick(&kinds);
                let node = self.rng.index(self.hosts.len());
                self.queue.push(start + after, Happening::Injure { fault, node });
            }
        }
    }

    /// Nodes that were not there from the beginning come at some time.
    pub(super) fn schedule_arrivals(&mut self) {
        let founders = self.options.coordinator.cluster.founders as usize;
        if !self.options.on(Fault::LateJoin) {
            return;
        }
        for node in founders..self.hosts.len() {
            self.hosts[node].arrival = Arrival::Late;
            let at = Time(0) + self.rng.duration(ms(500), ms(30_000));
            self.queue.push(at, Happening::Injure { fault: Fault::LateJoin, node });
        }
    }

    fn injected(&self) -> Vec<Fault> {
        INJECTED.iter().copied().filter(|fault| self.options.on(*fault)).collect()
    }

    pub(super) fn inject(&mut self) -> Result<(), Violation> {
        let kinds = self.injected();
        if kinds.is_empty() {
            return Ok(()); // the world has healed
        }
        let fault = *self.rng.pick(&kinds);
        let pause = self.rng.duration(Duration::ZERO, self.options.calm * 2);
        self.queue.push(self.now + pause, Happening::Inject);
        let node = self.rng.index(self.hosts.len());
        self.injure(fault, node)
    }

    /// A node was handed entries to sync: now and then it goes down about then.
    pub(super) fn aim(&mut self, node: usize) {
        if !self.rng.chance(self.options.aimed) {
            return;
        }
        let ways: Vec<Fault> = CRASHES.into_iter().filter(|fault| self.options.on(*fault)).collect();
        if !ways.is_empty() {
            let fault = *self.rng.pick(&ways);
            let after = self.rng.duration(Duration::ZERO, self.options.sync);
            self.queue.push(self.now + after, Happening::Injure { fault, node });
        }
    }

    /// Whether a fault may hit this node now: where one at a time is to be in trouble, nobody else may be.
    fn may_injure(&self, node: usize) -> bool {
        let well = |other: usize| other == node || self.troubles.until(other) + SETTLING <= self.now;
        match self.options.temper {
            Temper::Wild | Temper::Lossy => true,
            Temper::Single => {
                self.troubles.until(node) <= self.now
                    && self.troubles.common_until() + SETTLING <= self.now
                    && (0..self.hosts.len()).all(well)
            }
        }
    }

    /// Injects a fault at a node or about it. Where it finds nothing to hurt, it does not count.
    pub(super) fn injure(&mut self, fault: Fault, node: usize) -> Result<(), Violation> {
        if !self.options.on(fault) {
            return Ok(()); // the world has healed
        }
        if !self.may_injure(node) {
            if fault == Fault::LateJoin {
                self.queue.push(self.now + ms(500), Happening::Injure { fault, node });
            }
            return Ok(());
        }
        self.troubles.node(node, self.now); // what takes no time is trouble too
        self.pace.disturb(self.now);
        let occurred = match fault {
            Fault::Reset => match self.peer_of(node) {
                Some(peer) => self.reset_link(node, peer),
                None => false,
            },
            Fault::CutOneWay | Fault::Cut | Fault::NeighboursCut | Fault::DataCut => self.cut_links(fault, node),
            Fault::StreamReset => {
                self.break_stream(node);
                true
            }
            Fault::StreamCut | Fault::StreamCutOneWay | Fault::CoordinatorCut => self.cut_streams(fault, node),
            Fault::Stall => self.stall(node),
            Fault::Kill => self.take_down(node, Crash::Kill),
            Fault::PowerLoss => self.take_down(node, Crash::PowerLoss),
            Fault::KillSome => self.take_some_down(),
            Fault::KillAll => self.take_all_down(Crash::Kill),
            Fault::PowerLossAll => self.take_all_down(Crash::PowerLoss),
            Fault::SilentDeath => self.silence(node),
            Fault::LongDeath => self.bury(node),
            Fault::Flapping => self.flap(node),
            Fault::Stop => self.stop_for_a_while(node)?,
            Fault::Wipe => self.wipe(node),
            Fault::LateJoin => {
                let late = self.hosts[node].arrival == Arrival::Late;
                self.start(node)?;
                late
            }
            Fault::Pause => self.pause(node),
            Fault::Drain | Fault::Evict | Fault::Readmit => self.operate(fault, node)?,
            Fault::CoordinatorKill
            | Fault::AllCoordinatorsDown
            | Fault::SlowStore
            | Fault::StoreCut
            | Fault::CoordinatorPause
            | Fault::LongCoordinatorPause
            | Fault::TwoLeaders => self.injure_coordinators(fault)?,
            Fault::WallJump => {
                const SECOND: u64 = 1_000_000_000;
                let by = self.rng.below(10 * SECOND).cast_signed() - self.rng.below(10 * SECOND).cast_signed();
                self.hosts[node].clock.jump(by);
                true
            }
            Fault::Drop
            | Fault::Delay
            | Fault::Duplicate
            | Fault::LostRequest
            | Fault::LostReply
            | Fault::LateRequest
            | Fault::DuplicateRequest
            | Fault::StaleRoute
            | Fault::Misroute
            | Fault::LostHeartbeat
            | Fault::LostAnswer
            | Fault::DelayedAnswer
            | Fault::RepeatedAnswer
            | Fault::LostPush
            | Fault::SlowSync
            | Fault::SlowCommit
            | Fault::Skew => unreachable!("{fault} strikes single messages, calls, syncs or the whole world"),
        };
        if occurred {
            self.count(fault);
            self.trace.line(self.now, || format!("fault: {fault} (at or about n{})", node + 1));
        }
        Ok(())
    }

    fn undo_at(&mut self, at: Time, undo: Undo) {
        self.queue.push(at, Happening::Undo(undo));
    }

    /// When a fault ends: mostly soon.
    fn soon(&mut self, least: Duration, most: Duration) -> Time {
        self.now + self.rng.heavy_tail(least).min(most)
    }

    fn peer_of(&mut self, node: usize) -> Option<usize> {
        let others = self.hosts.len() - 1;
        (others > 0).then(|| (node + 1 + self.rng.index(others)) % self.hosts.len())
    }

    /// Two neighbours of a chain, in one order or the other.
    fn neighbours(&mut self) -> Option<(usize, usize)> {
        let slot = catena_core::Slot(u32::try_from(self.rng.index(self.options.slots as usize)).expect("a few slots"));
        let replicas: Vec<usize> = self.realm.chain(slot)?.replicas().map(|replica| self.node_of(&replica.node)).collect();
        let pairs: Vec<_> = replicas.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let (a, b) = *pairs.get(self.rng.index(pairs.len().max(1)))?;
        Some(if self.rng.below(2) == 0 { (a, b) } else { (b, a) })
    }

    fn cut_links(&mut self, fault: Fault, node: usize) -> bool {
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
            let (from, to) = (*from, *to);
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
        self.troubles.common(until);
        !pairs.is_empty()
    }

    fn cut_streams(&mut self, fault: Fault, node: usize) -> bool {
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

    fn stall(&mut self, node: usize) -> bool {
        let until = self.soon(ms(5), ms(5_000));
        self.hosts[node].stalled_until = until;
        self.troubles.node(node, until);
        if self.rng.below(2) == 0 {
            // With much that is not synced.
            let at = self.now + self.rng.duration(Duration::ZERO, until.since(self.now));
            self.queue.push(at, Happening::Injure { fault: Fault::PowerLoss, node });
        }
        true
    }

    fn down_until(&mut self, node: usize, crash: Crash, silence: Silence, until: Time) -> bool {
        let was = self.crash(node, crash, silence);
        if was {
            self.troubles.node(node, until);
            self.undo_at(until, Undo::Restart { node });
        }
        was
    }

    fn take_down(&mut self, node: usize, crash: Crash) -> bool {
        let until = self.soon(self.options.downtime, ms(3_000));
        self.down_until(node, crash, Silence::Refusing, until)
    }

    fn take_some_down(&mut self) -> bool {
        let mut hit = 0;
        for node in 0..self.hosts.len() {
            let crash = *self.rng.pick(&[Crash::Kill, Crash::PowerLoss]);
            hit += usize::from(self.rng.below(2) == 0 && self.take_down(node, crash));
        }
        hit > 1
    }

    fn take_all_down(&mut self, crash: Crash) -> bool {
        (0..self.hosts.len()).filter(|node| self.take_down(*node, crash)).count() > 0
    }

    fn silence(&mut self, node: usize) -> bool {
        let dead_after = self.options.coordinator.dead_after;
        let until = self.now + self.rng.duration(dead_after, dead_after + ms(4_000));
        self.down_until(node, Crash::PowerLoss, Silence::Total, until)
    }

    /// Gone until the world heals; of as many nodes as chains can be whole without.
    fn bury(&mut self, node: usize) -> bool {
        let gone = (0..self.hosts.len()).filter(|node| self.troubles.until(*node) == FOR_GOOD).count();
        let spare = self.hosts.len() - self.options.full();
        let buried = gone < spare && self.crash(node, Crash::PowerLoss, Silence::Total);
        if buried {
            self.troubles.node(node, FOR_GOOD);
        }
        buried
    }

    fn stop_for_a_while(&mut self, node: usize) -> Result<bool, Violation> {
        let stops = self.stop(node)?;
        if stops {
            let least = *self.rng.pick(&[ms(20), ms(500)]);
            let until = self.soon(least, ms(4_000)) + ms(600);
            self.troubles.node(node, until);
            self.undo_at(until, Undo::Restart { node });
        }
        Ok(stops)
    }

    fn wipe(&mut self, node: usize) -> bool {
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

    pub(super) fn pause_until(&mut self, node: usize, until: Time) -> bool {
        let Some(process) = &mut self.hosts[node].process else { return false };
        let Running::Yes = process.running else { return false };
        process.running = Running::Paused(VecDeque::new());
        let life = process.life;
        self.troubles.node(node, until);
        self.undo_at(until, Undo::Resume { node, life });
        true
    }

    /// Mostly a little; now and then up to ten times the lease.
    fn pause(&mut self, node: usize) -> bool {
        let lease = self.options.coordinator.cluster.lease;
        let brief = self.soon(ms(20), ms(2_000));
        let long = self.now + self.rng.duration(lease, lease * 10);
        let until = *self.rng.pick(&[brief, brief, long]);
        self.pause_until(node, until)
    }

    /// Silences about as long as it takes to be suspect, and not dead, one after the other.
    fn flap(&mut self, node: usize) -> bool {
        let mut at = self.now;
        for _ in 0..self.rng.between(4, 7) {
            let until = at + self.rng.duration(ms(450), ms(650));
            self.queue.push(at, Happening::Silence { node, until });
            at = until + self.rng.duration(ms(100), ms(400));
        }
        let there = self.hosts[node].process.is_some();
        if there {
            self.troubles.node(node, at);
        }
        there
    }

    /// An operator's orders. What is taken out comes back some time.
    fn operate(&mut self, fault: Fault, node: usize) -> Result<bool, Violation> {
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

    fn injure_coordinators(&mut self, fault: Fault) -> Result<bool, Violation> {
        let seat = self.rng.index(self.seats.len());
        let (soon, later) = (self.soon(ms(50), ms(3_000)), self.now + self.rng.duration(ms(1_000), ms(5_000)));
        let (occurred, until) = match fault {
            Fault::CoordinatorKill => {
                let until = self.soon(self.options.downtime, ms(3_000));
                self.undo_at(until, Undo::RestartCoordinator { seat });
                (self.kill_coordinator(seat)?, until)
            }
            Fault::AllCoordinatorsDown => {
                for seat in 0..self.seats.len() {
                    self.kill_coordinator(seat)?;
                    let after = self.rng.duration(Duration::ZERO, ms(200));
                    self.undo_at(later + after, Undo::RestartCoordinator { seat });
                }
                (true, later)
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

    fn pause_coordinator(&mut self, seat: usize, until: Time) -> bool {
        let pauses = self.seats[seat].pause(self.now);
        if pauses {
            self.undo_at(until, Undo::ResumeCoordinator { seat });
        }
        pauses
    }

    /// The leader stands still until its claim has run out and another leads.
    fn divide_leadership(&mut self) -> (bool, Time) {
        let Succession::Shared { claim, .. } = self.options.coordinator.succession else { return (false, self.now) };
        let until = self.now + claim + self.rng.duration(ms(100), ms(2_000));
        let Some(seat) = self.leader() else { return (false, self.now) };
        (self.pause_coordinator(seat, until), until)
    }
}
