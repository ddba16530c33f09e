//! The clocks that a driver is handed.

use std::time::SystemTime;

use catena_core::{Now, Time, WallTime};

/// Reads both clocks. The monotonic one never runs backwards, and where leases matter it also counts suspend.
pub type Clock = Box<dyn FnMut() -> Now + Send>;

/// The runtime's clock from now on, which is simulated time in a simulated process, and the system's wall clock.
pub fn tokio_clock() -> Clock {
    let origin = tokio::time::Instant::now();
    Box::new(move || Now { monotonic: Time::default() + origin.elapsed(), wall: wall_time(SystemTime::now()) })
}

/// A wall clock's reading; the epoch for one before it.
pub fn wall_time(time: SystemTime) -> WallTime {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since_epoch.as_nanos()).expect("the wall clock is before the year 2500"))
}
