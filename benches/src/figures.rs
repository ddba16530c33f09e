//! Durations, put together.

use std::time::Duration;

/// Measured durations, in no order.
#[derive(Clone, Debug, Default)]
pub struct Distribution(Vec<Duration>);

impl Distribution {
    /// Adds one.
    pub fn add(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The smallest that at least `per_mille` of a thousand do not exceed; zero if there is none.
    pub fn quantile(&self, per_mille: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * per_mille).div_ceil(1000).max(1) - 1;
        sorted.get(rank).copied().unwrap_or_default()
    }
}

impl FromIterator<Duration> for Distribution {
    fn from_iter<I: IntoIterator<Item = Duration>>(durations: I) -> Self {
        Self(durations.into_iter().collect())
    }
}

/// For people.
pub fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let of = |values: &[u64]| -> Distribution { values.iter().map(|value| Duration::from_millis(*value)).collect() };
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(of(&hundred).quantile(500), Duration::from_millis(50));
        assert_eq!(of(&hundred).quantile(990), Duration::from_millis(99));
        assert_eq!(of(&hundred).quantile(1000), Duration::from_millis(100));
        assert_eq!(of(&[7]).quantile(500), Duration::from_millis(7));
        assert_eq!(of(&[]).quantile(500), Duration::ZERO);
    }
}
