//! What goes wrong in a round, drawn from its seed.

use std::fmt;
use std::time::Duration;

use crate::rng::{Odds, Rng};

use super::host::Means;
use super::network::Host;

/// Nodes of a cluster.
pub(super) const NODES: usize = 4;

/// The node whose data is on a small disk of its own.
pub(super) const SMALL: usize = 3;

/// The node that is reached through the proxy.
pub(super) const PROXIED: usize = 4;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    NodeKill,
    AllKill,
    NodeStop,
    NodePause,
    Wipe,
    CoordinatorKill,
    CoordinatorPause,
    Delay,
    Reset,
    DiskReserve,
    DiskFull,
    CutOneWay,
    Cut,
    CoordinatorCut,
    Isolate,
    /// Planted, never drawn: all disks are as they were when the round began.
    OldDisks,
}

impl Kind {
    /// Those that are drawn.
    pub(super) const DRAWN: &[Kind] = &[
        Kind::NodeKill,
        Kind::AllKill,
        Kind::NodeStop,
        Kind::NodePause,
        Kind::Wipe,
        Kind::CoordinatorKill,
        Kind::CoordinatorPause,
        Kind::Delay,
        Kind::Reset,
        Kind::DiskReserve,
        Kind::DiskFull,
        Kind::CutOneWay,
        Kind::Cut,
        Kind::CoordinatorCut,
        Kind::Isolate,
    ];

    /// Its name in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::NodeKill => "node killed (kill -9)",
            Kind::AllKill => "all processes killed at once",
            Kind::NodeStop => "node stopped in order",
            Kind::NodePause => "node paused",
            Kind::Wipe => "disk wiped",
            Kind::CoordinatorKill => "coordinator killed (kill -9)",
            Kind::CoordinatorPause => "coordinator paused",
            Kind::Delay => "connections to a node delayed",
            Kind::Reset => "connections to a node reset",
            Kind::DiskReserve => "disk at its reserve",
            Kind::DiskFull => "disk full to the last byte",
            Kind::CutOneWay => "two processes cut, one way",
            Kind::Cut => "two processes cut, both ways",
            Kind::CoordinatorCut => "node cut off from the coordinator",
            Kind::Isolate => "node cut off from everybody",
            Kind::OldDisks => "all disks restored from an old copy",
        }
    }

    /// Why it cannot be had here, if it cannot.
    pub(super) fn missing(self, means: &Means) -> Option<&str> {
        let why = match self {
            Kind::DiskReserve | Kind::DiskFull => &means.no_disk,
            Kind::CutOneWay | Kind::Cut | Kind::CoordinatorCut | Kind::Isolate => &means.no_network,
            _ => return None,
        };
        why.as_deref()
    }

    /// Whose processes it hits: of two faults in a round, they are different ones.
    fn node(self, rng: &mut Rng) -> Option<usize> {
        match self {
            Kind::Delay | Kind::Reset => Some(PROXIED),
            Kind::DiskReserve | Kind::DiskFull => Some(SMALL),
            // What comes to the proxied node comes from elsewhere: it is cut off as a whole, or from the coordinator, which it dials.
            Kind::CutOneWay | Kind::Cut => Some(1 + rng.index(NODES - 1)),
            Kind::NodeKill | Kind::NodeStop | Kind::NodePause | Kind::Wipe | Kind::CoordinatorCut | Kind::Isolate => {
                Some(1 + rng.index(NODES))
            }
            Kind::AllKill | Kind::CoordinatorKill | Kind::CoordinatorPause | Kind::OldDisks => None,
        }
    }

    /// How long it lasts.
    fn lasts(self, rng: &mut Rng) -> Duration {
        let (low, high) = match self {
            Kind::Reset => (0, 0),
            Kind::NodeStop => (0, 2_000),
            // From a moment to several leases.
            _ => (100, 4_000),
        };
        rng.duration(Duration::from_millis(low), Duration::from_millis(high))
    }
}

/// One fault of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// The node that it hits; of a cut, the one that is not heard any more.
    pub(super) node: Option<usize>,
    /// Of a cut: who does not hear it.
    pub(super) other: Host,
    /// From the begin of the round.
    pub(super) at: Duration,
    pub(super) lasts: Duration,
}

impl Fault {
    fn draw(kinds: &[Kind], after: Duration, rng: &mut Rng) -> Self {
        let kind = *rng.pick(kinds);
        let node = kind.node(rng);
        // Nodes that may be cut from each other, and the coordinator.
        let others: Vec<Host> =
            (1..NODES).filter(|other| Some(*other) != node).map(Host::Node).chain([Host::Coordinator, Host::Clients]).collect();
        let other = *rng.pick(&others);
        let at = after + rng.duration(Duration::from_millis(100), Duration::from_millis(1_500));
        Self { kind, node, other, at, lasts: kind.lasts(rng) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, end) = (self.at.as_secs_f64(), (self.at + self.lasts).as_secs_f64());
        write!(f, "{at:6.2} s to {end:.2} s: {}", self.kind.name())?;
        if let Some(node) = self.node {
            write!(f, ", n{node}")?;
        }
        if matches!(self.kind, Kind::Cut | Kind::CutOneWay) {
            write!(f, " not heard by {}", self.other)?;
        }
        Ok(())
    }
}

/// What is planted: see [`super::Plant::OldDisks`].
pub(super) fn old_disks() -> Fault {
    planted(Kind::OldDisks, Duration::from_millis(1_500), Duration::from_millis(200))
}

/// What makes careless clients repeat themselves: everything dies under their hands, again and again.
pub(super) fn lost_answers() -> Vec<Fault> {
    (0..4).map(|number| planted(Kind::AllKill, Duration::from_secs(1 + 3 * number), Duration::from_millis(100))).collect()
}

fn planted(kind: Kind, at: Duration, lasts: Duration) -> Fault {
    Fault { kind, node: None, other: Host::Coordinator, at, lasts }
}

/// One or two faults, of different nodes.
pub(super) fn draw(means: &Means, rng: &mut Rng) -> Vec<Fault> {
    let kinds: Vec<Kind> = Kind::DRAWN.iter().copied().filter(|kind| kind.missing(means).is_none()).collect();
    let first = Fault::draw(&kinds, Duration::from_millis(300), rng);
    let mut faults = vec![first.clone()];
    if rng.chance(Odds::percent(50)) {
        let second = Fault::draw(&kinds, first.at, rng);
        let same = second.kind == first.kind || (second.node.is_some() && second.node == first.node);
        // A killed process cannot be stopped or paused.
        let all = [&first, &second].iter().any(|fault| matches!(fault.kind, Kind::AllKill));
        if !same && !all {
            faults.push(second);
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_is_drawn_and_two_faults_of_a_round_hit_different_nodes() {
        let means = Means::default();
        let (mut kinds, mut both) = (BTreeSet::new(), 0);
        for seed in 0..1_000 {
            let faults = draw(&means, &mut Rng::new(seed));
            kinds.extend(faults.iter().map(|fault| fault.kind));
            if let [first, second] = &faults[..] {
                assert!(first.kind != second.kind && (first.node.is_none() || first.node != second.node), "{faults:?}");
                both += 1;
            }
        }
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), Kind::DRAWN);
        assert!(both > 200, "{both}");
    }

    #[test]
    fn what_the_machine_cannot_do_is_not_drawn() {
        let means = Means { no_network: Some("no ip".to_owned()), no_disk: None };
        let drawn = |seed| draw(&means, &mut Rng::new(seed));
        assert!((0..1_000).flat_map(drawn).all(|fault| fault.kind.missing(&means).is_none()));
    }
}
