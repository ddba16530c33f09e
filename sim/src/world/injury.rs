//! Faults that hit a place or a process, and their end.

use std::time::Duration;

use catena_core::Time;

use super::hosts::Running;
use super::{Happening, Life, World};
use crate::check::Violation;
use crate::disk::Crash;
use crate::faults::Fault;

/// How a fault ends.
#[derive(Debug)]
pub(super) enum Undo {
    Mend { from: usize, to: usize },
    MendStream { node: usize },
    Resume { node: usize, life: Life },
    Restart { node: usize },
    ResumeCoordinator,
    RestartCoordinator,
}

/// Faults that are injected, as against those that strike single messages.
const INJECTED: [Fault; 14] = [
    Fault::Reset,
    Fault::CutOneWay,
    Fault::Cut,
    Fault::StreamReset,
    Fault::StreamCut,
    Fault::Stall,
    Fault::Kill,
    Fault::PowerLoss,
    Fault::KillAll,
    Fault::PowerLossAll,
    Fault::Pause,
    Fault::CoordinatorKill,
    Fault::CoordinatorPause,
    Fault::WallJump,
];

/// Ways to go down.
const CRASHES: [Fault; 4] = [Fault::Kill, Fault::PowerLoss, Fault::KillAll, Fault::PowerLossAll];

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
            for _ in 0..self.rng.below(5) {
                // Into the burst, or into the recovery from the fault before.
                let soon = self.rng.heavy_tail(Duration::from_millis(1));
                let later = self.rng.duration(Duration::ZERO, Duration::from_millis(800));
                let after = *self.rng.pick(&[soon, later]);
                let fault = *self.rng.pick(&kinds);
                let node = self.rng.index(self.hosts.len());
                self.queue.push(start + after, Happening::Injure { fault, node });
            }
        }
    }

    fn injected(&self) -> Vec<Fault> {
        INJECTED.into_iter().filter(|fault| self.options.on(*fault)).collect()
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

    /// Injects a fault at a node or about it. Where it finds nothing to hurt, it does not count.
    pub(super) fn injure(&mut self, fault: Fault, node: usize) -> Result<(), Violation> {
        if !self.options.on(fault) {
            return Ok(()); // the world has healed
        }
        let occurred = match fault {
            Fault::Reset => self.reset_link(node),
            Fault::CutOneWay | Fault::Cut => self.cut_link(node, fault),
            Fault::StreamReset => {
                self.break_stream(node);
                true
            }
            Fault::StreamCut => {
                self.capital.cut(node);
                self.undo_later(Duration::from_millis(20), Undo::MendStream { node });
                true
            }
            Fault::Stall => {
                let stall = self.rng.heavy_tail(Duration::from_millis(5));
                self.hosts[node].stalled_until = self.now + stall;
                if self.rng.below(2) == 0 {
                    // With much that is not synced.
                    let after = self.rng.duration(Duration::ZERO, stall);
                    self.queue.push(self.now + after, Happening::Injure { fault: Fault::PowerLoss, node });
                }
                true
            }
            Fault::Kill => self.take_down(node, Crash::Kill),
            Fault::PowerLoss => self.take_down(node, Crash::PowerLoss),
            Fault::KillAll => self.take_all_down(Crash::Kill),
            Fault::PowerLossAll => self.take_all_down(Crash::PowerLoss),
            Fault::Pause => self.pause(node),
            Fault::CoordinatorKill => {
                self.undo_later(self.options.downtime, Undo::RestartCoordinator);
                self.kill_coordinator()?
            }
            Fault::CoordinatorPause => {
                self.undo_later(Duration::from_millis(50), Undo::ResumeCoordinator);
                self.capital.pause()
            }
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
            | Fault::StaleRoute
            | Fault::Misroute
            | Fault::LostHeartbeat
            | Fault::LostAnswer
            | Fault::DelayedAnswer
            | Fault::RepeatedAnswer
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

    fn undo_later(&mut self, least: Duration, undo: Undo) {
        let after = self.rng.heavy_tail(least).min(Duration::from_secs(6));
        self.queue.push(self.now + after, Happening::Undo(undo));
    }

    fn peer_of(&mut self, node: usize) -> Option<usize> {
        let others = self.hosts.len() - 1;
        (others > 0).then(|| (node + 1 + self.rng.index(others)) % self.hosts.len())
    }

    fn reset_link(&mut self, node: usize) -> bool {
        let Some(peer) = self.peer_of(node) else { return false };
        let was = self.network.reset(node, peer);
        if was {
            let delay = self.rng.duration(Duration::from_millis(1), Duration::from_millis(50));
            self.queue.push(self.now + delay, Happening::Connect { a: node, b: peer });
        }
        was
    }

    fn cut_link(&mut self, node: usize, fault: Fault) -> bool {
        let Some(peer) = self.peer_of(node) else { return false };
        let after = self.rng.heavy_tail(Duration::from_millis(10)).min(Duration::from_secs(3));
        let mut cut = |from, to| {
            self.network.cut(from, to);
            self.queue.push(self.now + after, Happening::Undo(Undo::Mend { from, to }));
        };
        cut(node, peer);
        if fault == Fault::Cut {
            cut(peer, node);
        }
        // Keep-alives notice some cuts and miss others.
        if self.rng.below(2) == 0 {
            self.reset_link_of(node, peer);
        }
        true
    }

    fn reset_link_of(&mut self, a: usize, b: usize) {
        if self.network.reset(a, b) {
            let delay = self.rng.duration(Duration::from_millis(1), Duration::from_millis(50));
            self.queue.push(self.now + delay, Happening::Connect { a, b });
        }
    }

    fn take_down(&mut self, node: usize, crash: Crash) -> bool {
        let was = self.crash(node, crash);
        if was {
            let after = self.rng.heavy_tail(self.options.downtime).min(Duration::from_secs(3));
            self.queue.push(self.now + after, Happening::Undo(Undo::Restart { node }));
        }
        was
    }

    fn take_all_down(&mut self, crash: Crash) -> bool {
        (0..self.hosts.len()).filter(|node| self.take_down(*node, crash)).count() > 0
    }

    fn pause(&mut self, node: usize) -> bool {
        let Some(process) = &mut self.hosts[node].process else { return false };
        let Running::Yes = process.running else { return false };
        process.running = Running::Paused(std::collections::VecDeque::new());
        let life = process.life;
        self.undo_later(Duration::from_millis(20), Undo::Resume { node, life });
        true
    }

    /// The process goes on: with its timers, and with all that has arrived meanwhile.
    fn resume(&mut self, node: usize, life: Life) -> Result<(), Violation> {
        let process = self.hosts[node].process.as_mut().filter(|process| process.life == life);
        let Some(process) = process else { return Ok(()) };
        let Running::Paused(waiting) = std::mem::replace(&mut process.running, Running::Yes) else { return Ok(()) };
        self.trace.line(self.now, || format!("n{} goes on", node + 1));
        waiting.into_iter().try_for_each(|input| self.input(node, life, input))
    }

    pub(super) fn undo(&mut self, undo: &Undo) -> Result<(), Violation> {
        let healed = self.options.odds.is_empty();
        match *undo {
            // Healing has mended all cuts at once.
            Undo::Mend { .. } | Undo::MendStream { .. } if healed => Ok(()),
            Undo::Mend { from, to } => {
                self.network.mend(from, to);
                Ok(())
            }
            Undo::MendStream { node } => {
                self.capital.mend(node);
                if self.capital.pending(node) || self.rng.below(2) == 0 {
                    self.break_stream(node);
                }
                Ok(())
            }
            Undo::Resume { node, life } => self.resume(node, life),
            Undo::Restart { node } => self.start(node),
            Undo::ResumeCoordinator => self.resume_coordinator(),
            Undo::RestartCoordinator => self.start_coordinator(),
        }
    }

    /// Ends every fault; what is down comes up again.
    pub(super) fn heal(&mut self) -> Result<(), Violation> {
        self.trace.line(self.now, || "the world heals".to_owned());
        self.options.odds.clear();
        self.network.mend_all();
        self.capital.mend_all();
        self.start_coordinator()?;
        self.resume_coordinator()?;
        for node in 0..self.hosts.len() {
            self.hosts[node].stalled_until = self.now;
            self.start(node)?;
            let life = self.hosts[node].process.as_ref().expect("just started").life;
            self.resume(node, life)?;
            if self.capital.pending(node) {
                self.break_stream(node);
            }
        }
        Ok(())
    }
}
