//! The real clocks.

use std::time::SystemTime;

use catena_core::{Now, Time};
use rustix::time::{ClockId, clock_gettime};

use crate::{Clock, wall_time};

/// The clock that also runs during suspend, for leases (R1), beside the wall clock.
pub(super) fn system_clock() -> Clock {
    Box::new(|| {
        let at = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(at.tv_sec).expect("time since boot is positive");
        let nanoseconds = u64::try_from(at.tv_nsec).expect("a part of a second is positive");
        Now { monotonic: Time(seconds * 1_000_000_000 + nanoseconds), wall: wall_time(SystemTime::now()) }
    })
}
