//! Puts in the background, so that a scenario shows what callers notice.

use std::time::Duration;

use catena_core::Time;
use catena_core::client::Delivery;

use crate::history::{CallId, Deed, Outcome, Wish};
use crate::world::script::Stage;

/// A put every so often, by the first client, exactly once.
#[derive(Debug)]
pub(super) struct Traffic {
    every: Duration,
    next: Time,
    calls: Vec<CallId>,
}

impl Traffic {
    pub(super) fn new(every: Duration, now: Time) -> Self {
        Self { every, next: now, calls: Vec::new() }
    }

    /// When the next one is.
    pub(super) fn due(&self) -> Time {
        self.next
    }

    pub(super) fn send(&mut self, stage: &mut Stage) -> CallId {
        let number = self.calls.len();
        let keys = stage.options().slots as usize * 4;
        let wish = Wish {
            key: format!("t{}", number % keys).into(),
            deed: Deed::Put { value: number.to_string().into() },
            conditions: Vec::new(),
        };
        let call = stage.begin(0, wish, Delivery::ExactlyOnce, None);
        self.calls.push(call);
        self.next = self.next + self.every;
        call
    }

    /// Whether one of them has not ended.
    pub(super) fn open(&self, stage: &Stage) -> bool {
        self.calls.iter().any(|call| stage.call(*call).returned.is_none())
    }

    pub(super) fn summary(&self, stage: &Stage) -> String {
        let count = |wanted: fn(&Outcome) -> bool| self.calls.iter().filter(|call| wanted(&stage.call(**call).outcome)).count();
        let done = count(|outcome| matches!(outcome, Outcome::Written { .. }));
        let unknown = count(|outcome| *outcome == Outcome::Unknown);
        format!(
            "traffic: {} puts, {done} done, {unknown} unknown, {} not executed; the slowest took {} ms",
            self.calls.len(),
            self.calls.len() - done - unknown,
            stage.slowest(&self.calls).as_millis()
        )
    }
}
