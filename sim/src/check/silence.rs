//! Who is called silent has been: a pause of the coordinator is no silence of its nodes (K2, C5).

use std::time::Duration;

use catena_core::{CoordinatorConfig, Health, NodeId, Time};

use super::Violation;

/// Silence is reckoned in steps of so long, at most.
const STEP: Duration = Duration::from_millis(100);

/// What a coordinator's process can have heard: it counts no silence while it stands still, but for one step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ear {
    asleep_since: Option<Time>,
    slept: Duration,
}

/// When a heartbeat was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    at: Time,
    slept: Duration,
}

impl Ear {
    /// The process stands still.
    pub(crate) fn sleeps(&mut self, now: Time) {
        self.asleep_since = Some(now);
    }

    /// It goes on.
    pub(crate) fn wakes(&mut self, now: Time) {
        let slept = self.asleep_since.take().map_or(Duration::ZERO, |since| now.since(since));
        self.slept += slept.saturating_sub(STEP);
    }

    /// It reads a heartbeat.
    pub(crate) fn hears(&self, now: Time) -> Heard {
        Heard { at: now, slept: self.slept }
    }

    /// It changes its mind of a node, whose last heartbeat it has read so long ago. Its clock may run fast by `drift` percent.
    pub(crate) fn judged(
        &self,
        node: &NodeId,
        health: Health,
        heard: Option<Heard>,
        now: Time,
        config: &CoordinatorConfig,
        drift: u32,
    ) -> Result<(), Violation> {
        let after = match health {
            Health::Suspect => config.suspect_after,
            Health::Dead => config.dead_after,
            Health::Unheard | Health::Healthy | Health::Stopped => Duration::ZERO,
        };
        let silent = heard.map(|heard| now.since(heard.at).saturating_sub(self.slept.saturating_sub(heard.slept)));
        demand!(
            silent.is_none_or(|silent| silent + STEP >= after * (100 - drift) / 100),
            Silence,
            "K2, C5",
            "{node} is called {health:?}, which takes {after:?}, and was silent for {:?} of the coordinator's waking time",
            silent.unwrap_or_default()
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use catena_core::{ClusterConfig, ClusterId};

    use super::*;

    fn ms(milliseconds: u64) -> Time {
        Time(milliseconds * 1_000_000)
    }

    /// What an ear that has slept between two times says of a node heard at 0 and judged at `now`.
    fn judged(asleep: Option<(u64, u64)>, health: Health, now: u64) -> Result<(), Violation> {
        let lease = Duration::from_millis(600);
        let cluster = ClusterConfig { cluster: ClusterId(1), slots: 1, replicas: 1, founders: 1, lease };
        let mut ear = Ear::default();
        let heard = ear.hears(ms(0));
        if let Some((from, to)) = asleep {
            ear.sleeps(ms(from));
            ear.wakes(ms(to));
        }
        let node = NodeId::new("n1").expect("a name");
        ear.judged(&node, health, Some(heard), ms(now), &CoordinatorConfig::new(cluster), 1)
    }

    #[test]
    fn a_node_that_is_called_silent_although_it_was_heard_is_caught() {
        assert_eq!(judged(None, Health::Suspect, 400), Ok(()));
        assert_eq!(judged(None, Health::Dead, 593), Ok(()), "a step early");
        assert_eq!(judged(None, Health::Healthy, 0), Ok(()));
        judged(None, Health::Suspect, 290).expect_err("not silent for so long");
        judged(None, Health::Dead, 590).expect_err("not silent for so long");
    }

    #[test]
    fn a_pause_of_the_coordinator_that_counts_as_silence_is_caught() {
        judged(Some((10, 5_000)), Health::Dead, 5_000).expect_err("asleep all the time");
        assert_eq!(judged(Some((10, 5_000)), Health::Dead, 5_600), Ok(()));
        assert_eq!(judged(Some((310, 400)), Health::Suspect, 400), Ok(()), "a short one may");
    }
}
