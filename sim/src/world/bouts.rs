//! Faults that come again and again: a node that goes silent, a process that dies soon after each start, a link that comes
//! and goes.

use std::ops::RangeInclusive;
use std::time::Duration;

use catena_core::Time;

use super::hosts::Silence;
use super::{Happening, World};
use crate::disk::Crash;
use crate::faults::Fault;
use crate::plan::{Place, Step};
use crate::rng::Rng;

/// One time of several.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bout {
    /// A process stands still, until then.
    Silence { node: usize, until: Time },
    /// A process dies, and starts again then.
    Relapse { node: usize, until: Time },
    /// Nothing arrives between two nodes, until then.
    Sever { from: usize, to: usize, until: Time },
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl Bout {
    fn fault(self) -> Fault {
        match self {
            Bout::Silence { .. } => Fault::Flapping,
            Bout::Relapse { .. } => Fault::CrashLoop,
            Bout::Sever { .. } => Fault::FlappingLink,
        }
    }

    pub(super) fn step(self) -> Step {
        match self {
            Bout::Silence { .. } => Step::Silence,
            Bout::Relapse { .. } => Step::Relapse,
            Bout::Sever { .. } => Step::Sever,
        }
    }

    pub(super) fn place(self) -> Place {
        match self {
            Bout::Silence { node, .. } | Bout::Relapse { node, .. } => Place::Node(node),
            Bout::Sever { from, to, .. } => Place::Link(from, to),
        }
    }
}

impl World {
    /// It comes again, unless the world has healed.
    pub(super) fn suffer(&mut self, bout: Bout) {
        if !self.options.on(bout.fault()) {
            return;
        }
        match bout {
            Bout::Silence { node, until } => {
                self.pause_until(node, until);
            }
            Bout::Relapse { node, until } => {
                self.down_until(node, Crash::Kill, Silence::Refusing, until);
            }
            Bout::Sever { from, to, until } => self.cut_link(from, to, true, until),
        }
    }

    /// Silences about as long as it takes to be suspect, and not dead, one after the other.
    pub(super) fn flap(&mut self, node: usize) -> bool {
        let over = self.come_again(
            4..=7,
            ms(450)..=ms(650),
            |rng| rng.duration(ms(100), ms(400)),
            |until| Bout::Silence { node, until },
        );
        let there = self.hosts[node].process.is_some();
        if there {
            self.troubles.node(node, over);
        }
        there
    }

    /// A process dies while it starts, is let in, or has just begun to take part.
    pub(super) fn crash_again_and_again(&mut self, node: usize) -> bool {
        if self.hosts[node].process.is_none() {
            return false;
        }
        let over = self.come_again(
            3..=8,
            ms(10)..=ms(200),
            |rng| rng.heavy_tail(ms(2)).min(ms(800)),
            |until| Bout::Relapse { node, until },
        );
        self.troubles.node(node, over);
        true
    }

    /// A link is cut, and soon is not.
    pub(super) fn flap_link(&mut self, from: usize) -> bool {
        let Some(to) = self.peer_of(from) else { return false };
        let over = self.come_again(
            3..=8,
            ms(20)..=ms(500),
            |rng| rng.heavy_tail(ms(5)).min(ms(500)),
            |until| Bout::Sever { from, to, until },
        );
        self.troubles.common(over);
        true
    }

    /// Puts several bouts in the queue: how many, how long each is, how long the rest behind it. Returns when all are over.
    fn come_again(
        &mut self,
        times: RangeInclusive<u64>,
        lasts: RangeInclusive<Duration>,
        rests: impl Fn(&mut Rng) -> Duration,
        bout: impl Fn(Time) -> Bout,
    ) -> Time {
        let mut at = self.now;
        for _ in 0..self.rng.between(*times.start(), *times.end()) {
            let until = at + self.rng.duration(*lasts.start(), *lasts.end());
            self.queue.push(at, Happening::Bout(bout(until)));
            at = until + rests(&mut self.rng);
        }
        at
    }
}
