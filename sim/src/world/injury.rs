//! Faults that hit a place or a process at a time.

use std::time::Duration;

use catena_core::{Slot, Time};

use super::hosts::Arrival;
use super::{Happening, World};
use crate::check::Violation;
use crate::chronicle::{About, Kind};
use crate::disk::Crash;
use crate::faults::Fault;
use crate::options::Temper;
use crate::plan::{Key, Place};
use crate::rng::Odds;

/// Faults that are injected, as against those that strike single messages.
const INJECTED: &[Fault] = &[
    Fault::Reset,
    Fault::CutOneWay,
    Fault::Cut,
    Fault::FlappingLink,
    Fault::SlowLink,
    Fault::NeighboursCut,
    Fault::DataCut,
    Fault::StreamReset,
    Fault::StreamCut,
    Fault::StreamCutOneWay,
    Fault::CoordinatorCut,
    Fault::Stall,
    Fault::DiskFull,
    Fault::Kill,
    Fault::PowerLoss,
    Fault::KillSome,
    Fault::RackDeath,
    Fault::KillAll,
    Fault::PowerLossAll,
    Fault::SilentDeath,
    Fault::LongDeath,
    Fault::Flapping,
    Fault::CrashLoop,
    Fault::Stop,
    Fault::Wipe,
    Fault::TornLog,
    Fault::Rot,
    Fault::Pause,
    Fault::Drain,
    Fault::Evict,
    Fault::Readmit,
    Fault::CoordinatorKill,
    Fault::AllCoordinatorsDown,
    Fault::LongOutage,
    Fault::SlowStore,
    Fault::StoreCut,
    Fault::CoordinatorPause,
    Fault::LongCoordinatorPause,
    Fault::TwoLeaders,
    Fault::WallJump,
    Fault::WallJumpElsewhere,
    // Twice as often: what changes chains is what is to be tried.
    Fault::Kill,
    Fault::SilentDeath,
];

impl Fault {
    /// Whether it is injected, as against those that strike single messages, calls and syncs, or the whole world.
    pub(crate) fn is_injected(self) -> bool {
        INJECTED.contains(&self) || self == Fault::LateJoin
    }
}

impl Fault {
    /// Whether it hits a coordinator, its store or a client, and no node.
    fn spares_nodes(self) -> bool {
        matches!(
            self,
            Fault::CoordinatorKill
                | Fault::AllCoordinatorsDown
                | Fault::LongOutage
                | Fault::SlowStore
                | Fault::StoreCut
                | Fault::CoordinatorPause
                | Fault::LongCoordinatorPause
                | Fault::TwoLeaders
                | Fault::WallJumpElsewhere
        )
    }
}

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
        if kinds.is_empty() || self.is_planned() {
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
                let node = self.target();
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
        let node = self.target();
        self.injure(fault, node, None)
    }

    /// Any node; now and then one that is being filled, if there is one: when most is at stake.
    fn target(&mut self) -> usize {
        let any = self.rng.index(self.hosts.len());
        if self.rng.below(4) > 0 {
            return any;
        }
        let slot = Slot(u32::try_from(self.rng.index(self.options.slots as usize)).expect("a few slots"));
        let filled = self.realm.chain(slot).and_then(|chain| match &chain.joining {
            Some(joining) => Some(joining),
            None => Some(chain.tail()).filter(|_| !chain.tail_ready),
        });
        filled.map_or(any, |member| self.node_of(&member.node))
    }

    /// A node was handed entries to sync: now and then it goes down about then.
    pub(super) fn aim(&mut self, node: usize) {
        if self.rng.chance(self.options.aimed) {
            self.bring_down(node);
        }
    }

    /// Whether something happens that has odds of its own. Nothing is drawn where it is off: so those worlds stay as they are.
    pub(super) fn happens(&mut self, odds: Odds) -> bool {
        odds > Odds::NEVER && self.rng.chance(odds)
    }

    /// A node goes down about now, in one of the ways that are on.
    fn bring_down(&mut self, node: usize) {
        let ways: Vec<Fault> = CRASHES.into_iter().filter(|fault| self.options.on(*fault)).collect();
        if !ways.is_empty() {
            let fault = *self.rng.pick(&ways);
            let after = self.rng.duration(Duration::ZERO, self.options.sync);
            self.queue.push(self.now + after, Happening::Injure { fault, node });
        }
    }

    /// A part of a snapshot goes to a joiner's disk: now and then whoever it is from goes down about then.
    pub(super) fn aim_at_source(&mut self, slot: Slot) {
        if self.happens(self.options.broken_copies)
            && let Some(source) = self.realm.chain(slot).map(|chain| self.node_of(&chain.tail().node))
        {
            self.bring_down(source);
        }
    }

    /// A replica has found that it is damaged: now and then all other copies go down before it can be replaced. Then they are
    /// to be waited for: what is left is no copy (D2).
    pub(super) fn aim_at_copies(&mut self, node: usize, slot: Slot) {
        if !self.options.on(Fault::SilentDeath) || !self.happens(self.options.lonely) {
            return;
        }
        let Some(chain) = self.realm.chain(slot) else { return };
        let others: Vec<usize> =
            chain.copies().iter().map(|copy| self.node_of(&copy.node)).filter(|other| *other != node).collect();
        for other in others {
            self.queue.push(self.now, Happening::Injure { fault: Fault::SilentDeath, node: other });
        }
    }

    /// How far a wall clock jumps, in nanoseconds: mostly by seconds, either way.
    fn leap(&mut self) -> i64 {
        const SECOND: u64 = 1_000_000_000;
        self.rng.below(10 * SECOND).cast_signed() - self.rng.below(10 * SECOND).cast_signed()
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

    /// Injects a fault at a node or about it, with the choices that a plan has about it. Where it finds nothing to hurt, it does
    /// not count.
    pub(super) fn injure(&mut self, fault: Fault, node: usize, planned: Option<&[u64]>) -> Result<(), Violation> {
        if !self.options.on(fault) {
            return Ok(()); // the world has healed
        }
        if !self.may_injure(node) {
            if fault == Fault::LateJoin {
                self.queue.push(self.now + ms(500), Happening::Injure { fault, node });
            }
            return Ok(());
        }
        self.open_frame(Key::Fault(fault, Place::Node(node)), planned);
        let injured = self.hurt(fault, node);
        self.close_frame();
        injured
    }

    fn hurt(&mut self, fault: Fault, node: usize) -> Result<(), Violation> {
        self.troubles.node(node, self.now); // what takes no time is trouble too
        self.pace.disturb(self.now);
        let occurred = match fault {
            Fault::Reset => match self.peer_of(node) {
                Some(peer) => self.reset_link(node, peer),
                None => false,
            },
            Fault::CutOneWay | Fault::Cut | Fault::NeighboursCut | Fault::DataCut => self.cut_links(fault, node),
            Fault::FlappingLink => self.flap_link(node),
            Fault::SlowLink => self.slow_link(node),
            Fault::StreamReset => self.break_stream(node),
            Fault::StreamCut | Fault::StreamCutOneWay | Fault::CoordinatorCut => self.cut_streams(fault, node),
            Fault::Stall => self.stall(node),
            Fault::DiskFull => self.fill_up(node)?,
            Fault::Kill => self.take_down(node, Crash::Kill),
            Fault::PowerLoss => self.take_down(node, Crash::PowerLoss),
            Fault::KillSome => self.take_some_down(),
            Fault::RackDeath => self.take_rack_down(node),
            Fault::KillAll => self.take_all_down(Crash::Kill),
            Fault::PowerLossAll => self.take_all_down(Crash::PowerLoss),
            Fault::SilentDeath => self.silence(node),
            Fault::LongDeath => self.bury(node),
            Fault::Flapping => self.flap(node),
            Fault::CrashLoop => self.crash_again_and_again(node),
            Fault::Stop => self.stop_for_a_while(node)?,
            Fault::Wipe => self.wipe(node),
            Fault::TornLog => self.tear(node),
            Fault::Rot => self.rot(node),
            Fault::LateJoin => {
                let late = self.hosts[node].arrival == Arrival::Late;
                self.start(node)?;
                late
            }
            Fault::Pause => self.pause(node),
            Fault::Drain | Fault::Evict | Fault::Readmit => self.operate(fault, node)?,
            Fault::CoordinatorKill
            | Fault::AllCoordinatorsDown
            | Fault::LongOutage
            | Fault::SlowStore
            | Fault::StoreCut
            | Fault::CoordinatorPause
            | Fault::LongCoordinatorPause
            | Fault::TwoLeaders => self.injure_coordinators(fault)?,
            Fault::WallJump => {
                let by = self.leap();
                self.hosts[node].clock.jump(by);
                true
            }
            Fault::WallJumpElsewhere => {
                let (by, seats) = (self.leap(), self.seats.len());
                match self.rng.index(seats + self.clients.len()) {
                    seat if seat < seats => self.seats[seat].clock.jump(by),
                    client => self.clients[client - seats].clock.jump(by),
                }
                true
            }
            Fault::Drop
            | Fault::Delay
            | Fault::Duplicate
            | Fault::LostRequest
            | Fault::LostReply
            | Fault::LateRequest
            | Fault::DuplicateRequest
            | Fault::DuplicateElsewhere
            | Fault::StaleRoute
            | Fault::Misroute
            | Fault::LostHeartbeat
            | Fault::LostAnswer
            | Fault::DelayedAnswer
            | Fault::RepeatedAnswer
            | Fault::LostPush
            | Fault::SlowSync
            | Fault::SyncError
            | Fault::SlowCommit
            | Fault::Skew => unreachable!("{fault} strikes single messages, calls, syncs or the whole world"),
        };
        if occurred {
            self.count(fault);
            let place = if fault.spares_nodes() { Place::World } else { Place::Node(node) };
            self.trace.note(self.now, place, Kind::Fault, About::default(), || format!("fault: {fault}"));
        }
        Ok(())
    }
}
