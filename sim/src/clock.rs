//! Clocks that disagree: each process has its own origin, rate and wall time.

use catena_core::{Now, Time, WallTime};

/// Where every world's wall clocks start, before their offsets: an arbitrary instant in 2026.
const EPOCH: u64 = 1_780_000_000_000_000_000;

/// The clocks of one process, as functions of the world's time.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// What the monotonic clock shows when the world begins.
    origin: u64,
    /// How much it runs fast (or slow), in parts per million.
    drift: i64,
    /// How far the wall clock is off, in nanoseconds.
    wall_offset: i64,
}

impl Clock {
    pub(crate) fn new(origin: u64, drift: i64, wall_offset: i64) -> Self {
        assert!(drift.abs() < 1_000_000, "a clock goes forward");
        Self { origin, drift, wall_offset }
    }

    /// Moves the wall clock by so many nanoseconds.
    pub(crate) fn jump(&mut self, by: i64) {
        self.wall_offset += by;
    }

    pub(crate) fn now(&self, world: Time) -> Now {
        Now { monotonic: self.local(world), wall: WallTime((EPOCH + world.0).saturating_add_signed(self.wall_offset)) }
    }

    fn local(&self, world: Time) -> Time {
        let elapsed = i64::try_from(world.0).expect("a world lasts minutes");
        Time(
            (self.origin + world.0)
                .saturating_add_signed(elapsed / 1_000_000 * self.drift + elapsed % 1_000_000 * self.drift / 1_000_000),
        )
    }

    /// The first instant of the world at which this clock shows `local` or later.
    pub(crate) fn world_at(&self, local: Time) -> Time {
        let shown = local.0.saturating_sub(self.origin);
        let rate = u64::try_from(1_000_000 + self.drift).expect("a clock goes forward");
        let elapsed = u128::from(shown) * 1_000_000 / u128::from(rate);
        let mut world = Time(u64::try_from(elapsed).expect("a world lasts hours").saturating_sub(2));
        while self.local(world) < local {
            world.0 += 1;
        }
        world
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_due_at_the_first_instant_that_shows_it() {
        for drift in [-10_000, -3, 0, 1, 9_999] {
            let clock = Clock::new(123_456, drift, 0);
            for local in [123_456, 123_457, 1_000_000, 60_000_000_123, 36_000_000_000_123] {
                let world = clock.world_at(Time(local));
                assert!(clock.now(world).monotonic >= Time(local), "drift {drift}, local {local}");
                assert!(world.0 == 0 || clock.now(Time(world.0 - 1)).monotonic < Time(local), "drift {drift}, local {local}");
            }
        }
    }

    #[test]
    fn monotonic_time_never_runs_backwards_while_wall_time_jumps() {
        let mut clock = Clock::new(0, -9_999, 5);
        let mut last = Time(0);
        for world in (0..5_000_000).step_by(977) {
            let now = clock.now(Time(world)).monotonic;
            assert!(now >= last);
            last = now;
        }
        let before = clock.now(Time(1)).wall;
        clock.jump(-1_000);
        assert_eq!(clock.now(Time(1)).wall.0 + 1_000, before.0);
    }
}
