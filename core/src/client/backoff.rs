//! Waits that grow, and differ from client to client.

use std::time::Duration;

/// Draws waits. Deterministic: the same seed, the same waits.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    /// Of splitmix64.
    state: u64,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration, seed: u64) -> Self {
        Self { first, longest, state: seed }
    }

    /// The wait after `failures` failures in a row: none after none, then between half and all of a bound that doubles.
    pub(super) fn wait(&mut self, failures: u32) -> Duration {
        /// Far beyond any use: 2^20 times the first wait.
        const DOUBLINGS: u32 = 20;
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        self.jittered(self.first.saturating_mul(1 << doublings.min(DOUBLINGS)).min(self.longest))
    }

    /// The bound of the longest wait.
    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    fn jittered(&mut self, bound: Duration) -> Duration {
        /// Steps between half and all.
        const STEPS: u32 = 1024;
        let step = u32::try_from(self.draw() % u64::from(STEPS + 1)).expect("small");
        bound / 2 + bound / 2 * step / STEPS
    }

    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_are_jittered() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(2), ms(100), 7);
        assert_eq!(backoff.wait(0), Duration::ZERO);
        for (failures, bound) in [(1, 2), (2, 4), (3, 8), (6, 64), (7, 100), (1000, 100)] {
            let waits: Vec<_> = (0..100).map(|_| backoff.wait(failures)).collect();
            assert!(waits.iter().all(|wait| (ms(bound) / 2..=ms(bound)).contains(wait)), "{failures}: {waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]), "{failures}: {waits:?}");
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_waits() {
        let draw = |seed| {
            let mut backoff = Backoff::new(Duration::from_millis(2), Duration::from_millis(100), seed);
            (0..20).map(|failures| backoff.wait(failures)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
