//! What a seed decides before its world begins: sizes, rates, and which faults there are.

mod draw;
mod table;

use std::fmt;
use std::time::Duration;

use catena_core::{CoordinatorConfig, NodeConfig};

use crate::faults::Fault;
use crate::rng::{Chance, Odds};

/// What is asked for on the command line, the same for all seeds of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Storage nodes.
    pub nodes: usize,
    /// Operations of clients.
    pub operations: usize,
    /// Coordinators; `None`: one to three, as the seed draws.
    pub coordinators: Option<usize>,
    /// By how many percent any two clocks run apart at most: [`PROMISED_DRIFT`], or beyond it.
    pub drift: u32,
}

/// What the protocol's leases allow for, in percent.
pub const PROMISED_DRIFT: u32 = 1;

/// No world's clocks are worse, in percent.
pub const MOST_DRIFT: u32 = 50;

impl Default for Scale {
    fn default() -> Self {
        Self { nodes: 5, operations: 1_000, coordinators: None, drift: PROMISED_DRIFT }
    }
}

impl fmt::Display for Scale {
    /// As on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--ops {} --nodes {}", self.operations, self.nodes)?;
        self.coordinators.map_or(Ok(()), |coordinators| write!(f, " --coordinators {coordinators}"))?;
        if self.drift == PROMISED_DRIFT { Ok(()) } else { write!(f, " --drift {}", self.drift) }
    }
}

/// What a world does without that its seed has drawn: so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) nodes: usize,
    pub(crate) coordinators: usize,
    pub(crate) slots: usize,
}

/// The options of one world.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) seed: u64,
    pub(crate) scale: Scale,
    /// What the seed has drawn, and a plan does without.
    pub(crate) left_out: LeftOut,
    pub(crate) temper: Temper,
    /// What its world leaves to chance.
    pub(crate) chance: Chance,
    pub(crate) coordinators: usize,
    /// Failure domains that the nodes are spread over; 0: they have no labels.
    pub(crate) racks: usize,
    pub(crate) slots: u32,
    pub(crate) clients: usize,
    pub(crate) keys: usize,
    pub(crate) bursts: usize,
    /// How long a large value is, at most; 0: there are none.
    pub(crate) large: usize,
    /// How likely a get that need not be answered is a scan.
    pub(crate) scans: Odds,
    /// How long a client thinks between two operations of a burst, at most.
    pub(crate) think: Duration,
    /// How long faults go on before the world heals.
    pub(crate) duration: Duration,
    /// Between two faults of a kind that the world injects, on average, besides those of bursts.
    pub(crate) calm: Duration,
    /// The longest way of a message on a healthy link.
    pub(crate) latency: Duration,
    /// The longest sync of a healthy disk.
    pub(crate) sync: Duration,
    /// How likely a node goes down about the sync of entries that it was just handed, in one of the ways that are on:
    /// when most is at stake.
    pub(crate) aimed: Odds,
    /// How likely the other copies of a slot go down when a replica has found that it is damaged: then nobody but it is there to
    /// be asked (D2).
    pub(crate) lonely: Odds,
    /// How likely all connections of a node break just when its disk has room again: nobody hears of that (D3).
    pub(crate) untold: Odds,
    /// How likely the source of a snapshot goes down when a part of it is staged, in one of the ways that are on: the next one
    /// that is sent is another.
    pub(crate) broken_copies: Odds,
    /// Who is gone for good takes the other copies of a slot along: it waits as long as the faults go on.
    pub(crate) widows: bool,
    /// How long a process is down, at least; the tail is heavy.
    pub(crate) downtime: Duration,
    /// How often a fault of a single message, call or sync occurs.
    pub(crate) odds: Vec<(Fault, Odds)>,
    pub(crate) node: NodeConfig,
    pub(crate) coordinator: CoordinatorConfig,
}

/// How hard a world is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temper {
    /// Anything, anywhere, at any time.
    Wild,
    /// One node at a time is in trouble, all else is well: so service has to go on.
    Single,
    /// Messages are lost and repeated, and connections break; nobody is in trouble: so nobody has to leave a chain.
    Lossy,
}

impl Options {
    /// The same world, smaller.
    pub(crate) fn without(mut self, out: LeftOut) -> Self {
        self.left_out = out;
        self.scale.nodes -= out.nodes;
        self.coordinators -= out.coordinators;
        self.slots -= u32::try_from(out.slots).expect("a few slots");
        let cluster = &mut self.coordinator.cluster;
        cluster.founders = cluster.founders.min(u32::try_from(self.scale.nodes).expect("a few nodes"));
        cluster.slots = self.slots;
        self.node.slots = self.slots;
        self
    }

    /// Members that a chain has when all is well: pairwise of different racks.
    pub(crate) fn full(&self) -> usize {
        let domains = if self.racks == 0 { self.scale.nodes } else { self.racks };
        (self.coordinator.cluster.replicas as usize).min(domains)
    }

    /// A world that does more than this is going in circles: a healthy one does a twentieth of it.
    pub(crate) fn most_happenings(&self) -> u64 {
        const EACH_SECOND_OF_A_NODE: u64 = 2_000;
        const EACH_CALL: u64 = 500;
        let healing = Duration::from_secs(10);
        let seconds = (self.duration + healing).as_secs() * self.scale.nodes as u64;
        seconds * EACH_SECOND_OF_A_NODE + self.scale.operations as u64 * EACH_CALL
    }

    /// How likely `fault` is, each time that it can occur. Never, where the seed has switched it off.
    pub(crate) fn odds(&self, fault: Fault) -> Odds {
        self.odds.iter().find(|(on, _)| *on == fault).map_or(Odds::NEVER, |(_, odds)| *odds)
    }

    pub(crate) fn on(&self, fault: Fault) -> bool {
        self.odds.iter().any(|(on, _)| *on == fault)
    }
}
