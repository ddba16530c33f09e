//! A machine's deadline as something to wait for.

use std::pin::Pin;

use catena_core::{Now, Time};
use tokio::time::{Instant, Sleep};

/// One sleep, moved rather than made anew each turn.
pub(crate) struct Timer {
    /// Ends at the deadline that was set last.
    pub(crate) sleep: Pin<Box<Sleep>>,
    set_to: Option<Time>,
}

impl Timer {
    pub(crate) fn new() -> Self {
        Self { sleep: Box::pin(tokio::time::sleep_until(Instant::now())), set_to: None }
    }

    /// Sleeps until `deadline` on the machine's clock.
    pub(crate) fn set(&mut self, now: Now, deadline: Time) {
        if self.set_to != Some(deadline) {
            self.sleep.as_mut().reset(Instant::now() + deadline.since(now.monotonic));
            self.set_to = Some(deadline);
        }
    }

    /// It has ended: to be set again, also to the same deadline.
    pub(crate) fn fired(&mut self) {
        self.set_to = None;
    }
}
