//! The two clocks that go into every step. The machine reads no clock itself.

use std::time::Duration;

/// A monotonic time in nanoseconds from an origin of the process's choosing. Counts suspend. For leases and timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// Nanoseconds of `duration`, which must be under 500 years.
    fn nanos(duration: Duration) -> u64 {
        u64::try_from(duration.as_nanos()).expect("durations here are configured, and far below 500 years")
    }

    /// How long ago `earlier` was; zero if it is in the future.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Time;
    fn add(self, duration: Duration) -> Time {
        Time(self.0 + Time::nanos(duration))
    }
}

/// At least the origin.
impl std::ops::Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, duration: Duration) -> Time {
        Time(self.0.saturating_sub(Time::nanos(duration)))
    }
}

/// A wall-clock time in nanoseconds since the Unix epoch. For `created_at` and `updated_at` only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub u64);

/// The time of a step on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For leases and timers.
    pub monotonic: Time,
    /// For objects' times.
    pub wall: WallTime,
}
