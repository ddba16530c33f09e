//! Who is called silent has been: a pause of the coordinator is no silence of its nodes (K2, C5).

use std::time::Duration;

use catena_core::{CoordinatorConfig, Health, NodeId, Time};

use super::Violation;

/// By so much a coordinator's clock may run fast.
const DRIFT_PERCENT: u32 = 1;

/// Silence is reckoned in steps of so long, at most.
const STEP: Duration = Duration::from_millis(100);

/// A coordinator changes its mind of a node, whose last heartbeat reached it at `heard`, read or not.
pub(crate) fn judged(
    node: &NodeId,
    health: Health,
    heard: Option<Time>,
    now: Time,
    config: &CoordinatorConfig,
) -> Result<(), Violation> {
    let after = match health {
        Health::Suspect => config.suspect_after,
        Health::Dead => config.dead_after,
        Health::Unheard | Health::Healthy | Health::Stopped => Duration::ZERO,
    };
    let silent = heard.map(|heard| now.since(heard));
    demand!(
        silent.is_none_or(|silent| silent + STEP >= after * (100 - DRIFT_PERCENT) / 100),
        Silence,
        "K2, C5",
        "{node} is called {health:?}, which takes {after:?}, and was silent for {:?}",
        silent.unwrap_or_default()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use catena_core::{ClusterConfig, ClusterId};

    use super::*;

    #[test]
    fn a_node_that_is_called_dead_although_it_was_heard_is_caught() {
        let cluster =
            ClusterConfig { cluster: ClusterId(1), slots: 1, replicas: 1, founders: 1, lease: Duration::from_millis(600) };
        let config = CoordinatorConfig::new(cluster);
        let node = NodeId::new("n1").expect("a name");
        let judged = |health, silent: u64| {
            let now = Time(5_000_000_000);
            judged(&node, health, Some(Time(now.0 - silent * 1_000_000)), now, &config)
        };
        assert_eq!(
            (judged(Health::Suspect, 400), judged(Health::Dead, 700), judged(Health::Dead, 593)),
            (Ok(()), Ok(()), Ok(()))
        );
        assert_eq!((judged(Health::Healthy, 0), judged(Health::Stopped, 0)), (Ok(()), Ok(())));
        judged(Health::Suspect, 290).expect_err("not silent for so long");
        judged(Health::Dead, 590).expect_err("not silent for so long");
        assert_eq!(super::judged(&node, Health::Dead, None, Time(0), &config), Ok(()), "never heard");
    }
}
