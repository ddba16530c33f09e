//! What a plan has to say, or a tape to hear: where a world's faults, calls and choices come from.

use std::rc::Rc;

use catena_core::Time;

use super::happening::Happening;
use super::{Phase, World};
use crate::check::Violation;
use crate::faults::Fault;
use crate::plan::{Item, Key, Place, Step, tape};
use crate::rng::{Odds, Rng};

/// Where a world's faults and calls come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The seed, as the world goes.
    Drawn,
    /// The same, and a tape records them.
    Recorded,
    /// A plan. A tape plays what it says of everything else.
    Planned(Rc<Course>),
}

/// What a plan has for a world.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    /// Faults that are injected and calls, in the order of time.
    pub(crate) events: Vec<Item>,
    /// When faults end.
    pub(crate) heals: Time,
}

impl World {
    /// Takes its faults, calls and choices from here. To be called before it runs, on a thread that has a tape.
    pub(crate) fn follow(&mut self, source: Source) {
        self.source = source;
        self.rng.put_on_tape();
        self.network.put_on_tape();
        self.workload.put_on_tape();
        self.hosts.iter_mut().for_each(|host| host.rng.put_on_tape());
    }

    /// What is planned, at its times.
    pub(super) fn schedule_plan(&mut self) {
        let Source::Planned(course) = &self.source else { return };
        for (index, item) in course.events.iter().enumerate() {
            self.queue.push(item.at, Happening::Planned { index });
        }
    }

    /// Something that is planned happens; calls, as long as there are faults.
    pub(super) fn happen_as_planned(&mut self, index: usize) -> Result<(), Violation> {
        let Source::Planned(course) = &self.source else { return Ok(()) };
        let Item { key, choices, .. } = course.events[index].clone();
        match key {
            Key::Fault(fault, Place::Node(node)) => self.injure(fault, node, Some(&choices)),
            Key::Call(client) if self.phase == Phase::Faults => {
                self.draw_call(client, Some(&choices));
                Ok(())
            }
            Key::Call(_) | Key::Fault(..) | Key::Step(..) => Ok(()),
        }
    }

    /// What a step is called: a call that is planned is its client's step, as one that is drawn.
    pub(super) fn key(&self, happening: &Happening) -> Key {
        match (happening, &self.source) {
            (Happening::Planned { index }, Source::Planned(course)) => match course.events[*index].key {
                Key::Call(client) => Key::Step(Step::Client, Place::Client(client)),
                Key::Fault(..) | Key::Step(..) => happening.key(),
            },
            (_, _) => happening.key(),
        }
    }

    /// Whether a fault of a single message, call or sync occurs now; counts it.
    pub(super) fn strikes(&mut self, fault: Fault, at: Place) -> bool {
        self.strikes_as(fault, at, |_| ()).is_some()
    }

    /// The same; with what `how` draws about it, if it does.
    pub(super) fn strikes_as<T>(&mut self, fault: Fault, at: Place, how: impl FnOnce(&mut Rng) -> T) -> Option<T> {
        self.strikes_at(self.options.odds(fault), fault, at, how)
    }

    pub(super) fn strikes_at<T>(&mut self, odds: Odds, fault: Fault, at: Place, how: impl FnOnce(&mut Rng) -> T) -> Option<T> {
        let strikes = self.rng.strikes(fault, odds, at, how);
        if strikes.is_some() {
            self.count(fault);
        }
        strikes
    }

    pub(super) fn is_planned(&self) -> bool {
        matches!(self.source, Source::Planned(_))
    }

    fn is_taped(&self) -> bool {
        !matches!(self.source, Source::Drawn)
    }

    /// Something begins that has choices of its own; those of a plan, if it has it.
    pub(super) fn open_frame(&mut self, key: Key, planned: Option<&[u64]>) {
        if self.is_taped() {
            tape::enter(key, planned);
        }
    }

    /// It is over.
    pub(super) fn close_frame(&mut self) {
        if self.is_taped() {
            tape::leave();
        }
    }

    pub(super) fn turn(&mut self, key: Key) {
        self.place = key.place();
        if self.is_taped() {
            tape::turn(self.now, key);
        }
    }
}
