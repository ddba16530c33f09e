//! A node that flaps is evicted, whoever leads: what one leader has counted and stored, the next one counts on (K3).

use std::collections::BTreeMap;
use std::time::Duration;

use catena_core::{CoordinatorConfig, Epoch, NodeId, Time, WallTime};

use super::Violation;

/// What a leader knows of its own election comes a little late.
const LATE_PERCENT: u32 = 1;

/// When each node was called suspect, as its leaders' clocks had it.
#[derive(Debug)]
pub(crate) struct Flaps {
    nodes: BTreeMap<NodeId, Counted>,
    /// An operator's order may be on its way to the store until then.
    ordered_until: Time,
    /// By how many percent a leader's clock may run fast.
    drift: u32,
}

#[derive(Debug)]
struct Counted {
    /// Every later leader knows of these.
    stored: Vec<WallTime>,
    /// These may die with the leader that has seen them.
    fresh: Vec<(Epoch, WallTime)>,
}

/// A leadership under which a node is called suspect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) epoch: Epoch,
    pub(crate) wall: WallTime,
    /// For how long it has led.
    pub(crate) led: Duration,
}

impl Flaps {
    pub(crate) fn new(drift: u32) -> Self {
        Self { nodes: BTreeMap::new(), ordered_until: Time(0), drift }
    }

    /// A node's record has become another: it counts from nothing.
    pub(crate) fn forget(&mut self, node: &NodeId) {
        self.nodes.remove(node);
    }

    /// An operator has ordered something.
    pub(crate) fn ordered(&mut self, until: Time) {
        self.ordered_until = until;
    }

    /// Whether a leader has called somebody suspect that it may not have stored.
    pub(crate) fn owes(&self, by: Epoch) -> bool {
        self.nodes.values().any(|counted| counted.fresh.iter().any(|(of, _)| *of == by))
    }

    /// A leader has nothing left to be stored.
    pub(crate) fn stored(&mut self, by: Epoch) {
        for counted in self.nodes.values_mut() {
            let stored = counted.fresh.extract_if(.., |(of, _)| *of == by).map(|(_, at)| at);
            counted.stored.extend(stored);
        }
    }

    /// A leader calls a node suspect; `evicts`: and evicts it. It has to once it is settled, where all nodes are members and may
    /// be taken out (K4): else it may have reasons not to.
    pub(crate) fn suspected(
        &mut self,
        node: &NodeId,
        by: Caller,
        evicts: bool,
        all_members: bool,
        now: Time,
        config: &CoordinatorConfig,
    ) -> Result<(), Violation> {
        let counted = self.nodes.entry(node.clone()).or_insert_with(|| Counted { stored: Vec::new(), fresh: Vec::new() });
        let window = u64::try_from(config.flap_window.as_nanos()).unwrap_or(u64::MAX);
        // Also for later leaders: what one takes for too old it stores no more.
        counted.stored.retain(|at| by.wall.0.abs_diff(at.0) <= window);
        let flaps = counted.stored.len() + 1;
        counted.fresh.push((by.epoch, by.wall));
        let threshold = config.flap_threshold as usize;
        let settled = by.led >= config.with_drift(config.dead_after) * (100 + self.drift + LATE_PERCENT) / 100;
        let free = all_members && config.restraint_percent >= 100 && now > self.ordered_until;
        let must = threshold > 0 && flaps >= threshold && settled && free;
        demand!(
            evicts || !must,
            Silence,
            "K3",
            "{node} is suspect for at least the {flaps}th time within {:?}, and stays: {threshold} are too many",
            config.flap_window
        );
        if evicts {
            self.forget(node);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use catena_core::{ClusterConfig, ClusterId};

    use super::*;

    fn config() -> CoordinatorConfig {
        let cluster =
            ClusterConfig { cluster: ClusterId(1), slots: 1, replicas: 1, founders: 1, lease: Duration::from_millis(600) };
        CoordinatorConfig {
            flap_threshold: 3,
            flap_window: Duration::from_secs(30),
            restraint_percent: 100,
            ..CoordinatorConfig::new(cluster)
        }
    }

    /// What becomes of a suspicion by this leader at this second.
    fn suspected(flaps: &mut Flaps, leader: u64, second: u64, evicts: bool) -> Result<(), Violation> {
        let by = Caller { epoch: Epoch(leader), wall: WallTime(second * 1_000_000_000), led: Duration::from_secs(5) };
        let node = NodeId::new("n1").expect("a name");
        let result = flaps.suspected(&node, by, evicts, true, Time(second), &config());
        if result.is_ok() {
            flaps.stored(Epoch(leader));
        }
        result
    }

    #[test]
    fn what_a_leader_before_has_counted_is_counted_on() {
        let flaps = &mut Flaps::new(1);
        assert_eq!(suspected(flaps, 1, 1, false), Ok(()));
        assert_eq!(suspected(flaps, 1, 2, false), Ok(()));
        suspected(flaps, 2, 3, false).expect_err("the third");
        assert_eq!(suspected(flaps, 2, 4, true), Ok(()));
        assert_eq!(suspected(flaps, 2, 5, false), Ok(()), "it begins anew");
    }

    #[test]
    fn what_is_too_old_or_was_never_stored_counts_for_nothing() {
        let flaps = &mut Flaps::new(1);
        assert_eq!(suspected(flaps, 1, 1, false), Ok(()));
        assert_eq!(suspected(flaps, 1, 2, false), Ok(()));
        assert_eq!(suspected(flaps, 1, 32, false), Ok(()), "the first is older than the window");
        let node = NodeId::new("n1").expect("a name");
        let flaps = &mut Flaps::new(1);
        for (leader, second) in [(1, 1), (2, 2), (3, 3)] {
            let by = Caller { epoch: Epoch(leader), wall: WallTime(second), led: Duration::from_secs(5) };
            assert_eq!(flaps.suspected(&node, by, false, true, Time(second), &config()), Ok(()), "each dies at once");
            assert!(flaps.owes(Epoch(leader)));
        }
    }
}
