//! Asking the coordinators for the route: one at a time, one after the other, and not more often than helps.

use std::time::Duration;

use super::ClientEffect;
use super::backoff::Backoff;
use crate::Time;

/// By how much an idle client, or one that was told nothing new, waits longer than one whose calls need a route.
const PATIENT: u32 = 10;

/// Whom to ask, and when.
#[derive(Debug)]
pub(super) struct Inquiry {
    coordinators: usize,
    timeout: Duration,
    /// The one to ask.
    current: usize,
    /// Until when it may answer.
    asked: Option<Time>,
    /// When to ask.
    due: Option<Time>,
    /// Not before.
    pause: Time,
    /// Answers in a row that brought nothing.
    fruitless: u32,
    /// Coordinators in a row that gave no answer.
    failures: usize,
}

/// Whether an answer was worth asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    News,
    Nothing,
}

impl Inquiry {
    /// Asks first at `now`.
    pub(super) fn new(coordinators: usize, timeout: Duration, now: Time) -> Self {
        let due = (coordinators > 0).then_some(now);
        Self { coordinators, timeout, current: 0, asked: None, due, pause: now, fruitless: 0, failures: 0 }
    }

    pub(super) fn nobody(&self) -> bool {
        self.coordinators == 0
    }

    /// Somebody cannot go on without a newer route. A hundred who say so at once ask once.
    pub(super) fn want(&mut self, now: Time) {
        if self.asked.is_some() || self.nobody() {
            return;
        }
        // What did not help long ago may help now.
        if now.since(self.pause) > self.timeout {
            self.fruitless = 0;
        }
        let soon = self.pause.max(now);
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.asked.or(self.due)
    }

    /// Does what is due.
    pub(super) fn run(&mut self, now: Time, backoff: &mut Backoff, out: &mut Vec<ClientEffect>) {
        if self.asked.is_some_and(|deadline| deadline <= now) {
            self.failed(self.current, now, backoff);
        }
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.asked = Some(now + self.timeout);
            out.push(ClientEffect::AskRoute { coordinator: self.current });
        }
    }

    /// A whole route has come.
    pub(super) fn answered(&mut self, worth: Worth, now: Time, backoff: &mut Backoff) {
        self.fruitless = match worth {
            Worth::News => 0,
            Worth::Nothing => self.fruitless.saturating_add(1),
        };
        (self.asked, self.due, self.failures) = (None, None, 0);
        // A whole route is much, and whoever has told one tells what changes of it: soon asking again is of no use.
        self.pause = now + backoff.wait(self.fruitless.max(1)) * self.fruitless.clamp(1, PATIENT);
    }

    /// The route has changed, as somebody told by itself.
    pub(super) fn told(&mut self) {
        self.fruitless = 0;
    }

    /// There is a newer route for certain.
    pub(super) fn hinted(&mut self, now: Time) {
        (self.fruitless, self.pause) = (0, now);
    }

    /// What has come is no answer.
    pub(super) fn useless(&mut self, now: Time, backoff: &mut Backoff) {
        if self.asked.is_some() {
            self.failed(self.current, now, backoff);
        }
    }

    /// The coordinator that is asked, or listened to, gives nothing.
    pub(super) fn failed(&mut self, coordinator: usize, now: Time, backoff: &mut Backoff) {
        if coordinator != self.current || self.nobody() {
            return;
        }
        (self.asked, self.current) = (None, (coordinator + 1) % self.coordinators);
        self.failures += 1;
        if self.failures.is_multiple_of(self.coordinators) {
            let wait = backoff.wait(u32::try_from(self.failures / self.coordinators).unwrap_or(u32::MAX));
            (self.pause, self.due) = (now + wait, Some(now + wait * PATIENT));
        } else {
            (self.pause, self.due) = (now, Some(now));
        }
    }
}
