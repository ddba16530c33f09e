//! The only source of chance in a world: xoshiro256++ (Blackman & Vigna, 2019), seeded by splitmix64.

use std::time::Duration;

use crate::faults::Fault;
use crate::plan::Place;
use crate::plan::tape::{self, Taken};

/// A stream of numbers that depends on its seed alone.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: [u64; 4],
    chance: Chance,
    /// Whether its thread's tape hears of every number, or gives it.
    taped: bool,
}

/// Whether anything is left to chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chance {
    /// As much as there is.
    Full,
    /// Nothing: what takes time takes the longest, and of several ways it is the first. Only names differ.
    None,
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        let mut splitmix = seed;
        let state = std::array::from_fn(|_| {
            splitmix = splitmix.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (splitmix ^ (splitmix >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        Self { state, chance: Chance::Full, taped: false }
    }

    /// A stream that leaves so much to chance; so do those that are forked from it.
    pub(crate) fn with(seed: u64, chance: Chance) -> Self {
        Self { chance, ..Self::new(seed) }
    }

    /// From now on its thread's tape hears of every number, or gives it.
    pub(crate) fn put_on_tape(&mut self) {
        self.taped = true;
    }

    fn taken(&self) -> Taken {
        if self.taped { tape::take() } else { Taken::Live }
    }

    fn note(&self, drawn: u64) -> u64 {
        if self.taped {
            tape::note(drawn);
        }
        drawn
    }

    /// An independent stream: what is drawn from one does not shift the other.
    pub(crate) fn fork(&mut self) -> Self {
        Self::with(self.next(), self.chance)
    }

    /// Any number: a name, mostly.
    pub(crate) fn next(&mut self) -> u64 {
        match self.taken() {
            Taken::Given(number) | Taken::Fresh(number) => number,
            Taken::Live | Taken::Simple => {
                let number = self.number();
                self.note(number)
            }
        }
    }

    fn number(&mut self) -> u64 {
        let [s0, s1, s2, s3] = &mut self.state;
        let result = s0.wrapping_add(*s3).rotate_left(23).wrapping_add(*s0);
        let t = *s1 << 17;
        *s2 ^= *s0;
        *s3 ^= *s1;
        *s1 ^= *s2;
        *s0 ^= *s3;
        *s2 ^= t;
        *s3 = s3.rotate_left(45);
        result
    }

    /// One of `0..bound`. `bound` must not be 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if self.chance == Chance::None {
            return 0;
        }
        match self.taken() {
            Taken::Given(choice) => choice.min(bound - 1),
            Taken::Fresh(number) => share(number, bound),
            Taken::Simple => 0,
            Taken::Live => {
                let drawn = share(self.number(), bound);
                self.note(drawn)
            }
        }
    }

    /// One of `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// One of `0..len`, for an index.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("below a usize")
    }

    /// One of the items.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// Whether something of `odds` happens.
    pub(crate) fn chance(&mut self, odds: Odds) -> bool {
        self.below(1_000_000) < u64::from(odds.0)
    }

    /// A duration between two, both included.
    pub(crate) fn duration(&mut self, low: Duration, high: Duration) -> Duration {
        if self.chance == Chance::None {
            return high;
        }
        let span = nanos(high) - nanos(low) + 1;
        let above = match self.taken() {
            Taken::Given(choice) => choice.min(span - 1),
            Taken::Fresh(number) => share(number, span),
            Taken::Simple => span - 1,
            Taken::Live => {
                let drawn = share(self.number(), span);
                self.note(drawn)
            }
        };
        low + Duration::from_nanos(above)
    }

    /// A duration with a heavy tail: at least `least`, twice as long half as often, at most 1,024 times that.
    pub(crate) fn heavy_tail(&mut self, least: Duration) -> Duration {
        let doublings = match self.taken() {
            Taken::Given(choice) => u32::try_from(choice.min(9)).expect("9"),
            Taken::Fresh(number) => number.trailing_ones().min(9),
            Taken::Simple => 0,
            Taken::Live => {
                let drawn = self.number().trailing_ones().min(9);
                self.note(u64::from(drawn));
                drawn
            }
        };
        self.duration(least * (1 << doublings), least * (2 << doublings))
    }
}

impl Rng {
    /// How late something comes that should have come long ago: mostly a little, now and then so late that the world
    /// has changed meanwhile.
    pub(crate) fn lateness(&mut self) -> Duration {
        let least = if self.below(2) == 0 { Duration::from_micros(100) } else { Duration::from_millis(50) };
        self.heavy_tail(least)
    }
}

impl Rng {
    /// Whether a fault of these odds strikes at a place; with what `how` draws about it, if it does. A plan names each fault that
    /// strikes, and no other does.
    pub(crate) fn strikes<T>(&mut self, fault: Fault, odds: Odds, at: Place, how: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if !self.taped {
            return self.chance(odds).then(|| how(self));
        }
        let strikes = tape::strikes(fault, at, odds > Odds::NEVER).unwrap_or_else(|| {
            let strikes = share(self.number(), 1_000_000) < u64::from(odds.0);
            tape::struck(fault, at, strikes);
            strikes
        });
        strikes.then(|| {
            let how = how(self);
            tape::leave();
            how
        })
    }
}

/// The high half of a 128-bit product: unbiased enough for any bound here, and without a division.
fn share(number: u64, bound: u64) -> u64 {
    let product = u128::from(number) * u128::from(bound);
    u64::try_from(product >> 64).expect("the high half of 128 bits")
}

/// How likely something is, in parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Odds(pub(crate) u32);

impl Odds {
    pub(crate) const NEVER: Odds = Odds(0);

    pub(crate) const fn percent(percent: u32) -> Self {
        Self(percent * 10_000)
    }
}

impl std::fmt::Display for Odds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:02} %", self.0 / 10_000, self.0 / 100 % 100)
    }
}

/// Nanoseconds of a duration of a simulated world, which lasts minutes.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a simulated world lasts minutes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_does_not() {
        let draw = |seed| std::array::from_fn::<u64, 8, _>(|_| Rng::new(seed).next());
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn draws_cover_their_range_and_keep_their_odds() {
        let mut rng = Rng::new(7);
        let mut seen = [0_u32; 5];
        (0..10_000).for_each(|_| seen[rng.index(5)] += 1);
        assert!(seen.iter().all(|count| (1_800..2_200).contains(count)), "{seen:?}");
        let hits = (0..100_000).filter(|_| rng.chance(Odds::percent(3))).count();
        assert!((2_700..3_300).contains(&hits), "{hits}");
        let least = Duration::from_millis(1);
        let long = (0..10_000).map(|_| rng.heavy_tail(least)).filter(|delay| *delay > 8 * least).count();
        assert!((1_000..1_500).contains(&long), "{long}");
    }
}
