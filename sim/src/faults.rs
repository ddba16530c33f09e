//! The kinds of faults, and how often each occurred.

use std::fmt;

/// Defines the enum, its list, and each kind's name in tables.
macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident $text:literal,)*) => {
        /// A fault that a world can have; each a switch that a seed turns on or off (swarm testing).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// Every one.
            pub const ALL: &[Fault] = &[$(Fault::$name,)*];

            /// Its name in tables.
            pub fn name(self) -> &'static str {
                match self { $(Fault::$name => $text,)* }
            }
        }
    };
}

faults! {
    /// A message between neighbours is lost without a sign: its queue was full.
    Drop "message dropped",
    /// A message is late, and with it all behind it.
    Delay "message delayed",
    /// A message arrives again, after later ones.
    Duplicate "message duplicated",
    /// A connection breaks: what is in flight is lost, both sides learn of the next one.
    Reset "connection reset",
    /// Nothing arrives in one direction for a while.
    CutOneWay "link cut one way",
    /// Nothing arrives in either direction for a while.
    Cut "link cut",
    /// A link is cut again and again, each time for a moment.
    FlappingLink "link flapping",
    /// For a while, everything takes long between two nodes.
    SlowLink "link slow",
    /// Two neighbours of a chain do not reach each other, one way or both, for longer than it takes to be dead.
    NeighboursCut "neighbours cut for long",
    /// A node reaches no other node, but the coordinators.
    DataCut "node cut off from all nodes",
    /// A client's request is lost.
    LostRequest "request lost",
    /// A client's request arrives late: perhaps after a later try of the same call.
    LateRequest "request late",
    /// A client's request arrives again, later.
    DuplicateRequest "request duplicated",
    /// A client's request arrives again, later, and at another node.
    DuplicateElsewhere "request repeated elsewhere",
    /// The answer to a client is lost.
    LostReply "reply lost",
    /// A client calls by a route that it knows to be old.
    StaleRoute "stale route used",
    /// A client calls a node that its route does not name.
    Misroute "wrong node called",
    /// A heartbeat is lost.
    LostHeartbeat "heartbeat lost",
    /// The answer to a heartbeat is lost.
    LostAnswer "heartbeat answer lost",
    /// The answer to a heartbeat is late, and with it all behind it.
    DelayedAnswer "heartbeat answer delayed",
    /// The answer to a heartbeat arrives again, after later ones.
    RepeatedAnswer "heartbeat answer repeated",
    /// What a coordinator decided is not pushed to a node: it hears of it with its next answer.
    LostPush "pushed decision lost",
    /// A node's stream to the coordinator breaks.
    StreamReset "coordinator stream reset",
    /// A node reaches no coordinator for a while, but the other nodes.
    StreamCut "coordinators cut off",
    /// The same in one direction: heartbeats are lost, or their answers.
    StreamCutOneWay "coordinators cut off one way",
    /// A coordinator reaches no node for a while.
    CoordinatorCut "coordinator cut off from all nodes",
    /// A sync takes long.
    SlowSync "slow sync",
    /// A sync fails: what it covered is lost, and the process ends (D1).
    SyncError "sync failed",
    /// A disk does nothing for a while.
    Stall "disk stalled",
    /// A disk reaches its reserve, and has room again a while later.
    DiskFull "disk full",
    /// A process dies; what it wrote is in the page cache.
    Kill "node killed",
    /// A machine loses power: any subset of what was not synced is gone.
    PowerLoss "node lost power",
    /// Several storage nodes die at once, each in its own way.
    KillSome "several nodes killed",
    /// All nodes of a failure domain lose power at once, for longer than it takes to be dead.
    RackDeath "whole rack lost power",
    /// All storage nodes die at once.
    KillAll "all nodes killed",
    /// All storage nodes lose power at once.
    PowerLossAll "all nodes lost power",
    /// A machine dies without a sign to anybody, for longer than it takes to be dead.
    SilentDeath "node died silently",
    /// The same until the world heals: its replicas have to be built anew elsewhere.
    LongDeath "node gone for good",
    /// A node goes silent again and again, each time too briefly to be dead.
    Flapping "node flapping",
    /// A process dies again soon after each start.
    CrashLoop "node in a crash loop",
    /// A process ends in order and comes back.
    Stop "node stopped in order",
    /// A data directory is wiped; its node comes back under the same id.
    Wipe "disk wiped",
    /// A process finds a slot's log damaged when it starts again.
    TornLog "log damaged",
    /// The record of an object does not read any more.
    Rot "object damaged",
    /// A node starts for the first time in the middle.
    LateJoin "node joined late",
    /// A process stands still, and goes on with old timers.
    Pause "node paused",
    /// An operator drains a node.
    Drain "node drained",
    /// An operator evicts a node.
    Evict "node evicted",
    /// An operator readmits a node, perhaps one that is not out.
    Readmit "node readmitted",
    /// A coordinator dies; what it was storing is stored or not, now or later.
    CoordinatorKill "coordinator killed",
    /// All coordinators are down, for seconds.
    AllCoordinatorsDown "all coordinators down",
    /// All coordinators are down, for minutes.
    LongOutage "long coordinator outage",
    /// A store operation of a coordinator takes long.
    SlowCommit "slow store operation",
    /// For a while, all of them do.
    SlowStore "slow store",
    /// A coordinator does not reach the store for a while.
    StoreCut "coordinator cut off from the store",
    /// A coordinator stands still.
    CoordinatorPause "coordinator paused",
    /// It stands still for longer than any timeout.
    LongCoordinatorPause "coordinator paused for long",
    /// The leader stands still until another leads, and goes on.
    TwoLeaders "leader paused past its claim",
    /// Clocks run fast or slow, and wall clocks differ.
    Skew "clocks skewed",
    /// A node's wall clock jumps forward or back.
    WallJump "wall clock jumped",
    /// That of a coordinator or a client does.
    WallJumpElsewhere "wall clock jumped elsewhere",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often each fault occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrences {
    counts: Vec<u64>,
}

impl Default for Occurrences {
    fn default() -> Self {
        Self { counts: vec![0; Fault::ALL.len()] }
    }
}

impl FromIterator<(Fault, u64)> for Occurrences {
    fn from_iter<I: IntoIterator<Item = (Fault, u64)>>(counts: I) -> Self {
        let mut occurrences = Self::default();
        counts.into_iter().for_each(|(fault, count)| occurrences.counts[fault as usize] += count);
        occurrences
    }
}

impl Occurrences {
    pub(crate) fn count(&mut self, fault: Fault) {
        self.counts[fault as usize] += 1;
    }

    /// Adds those of another world.
    pub fn add(&mut self, other: &Occurrences) {
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
    }

    /// How often `fault` occurred.
    pub fn of(&self, fault: Fault) -> u64 {
        self.counts[fault as usize]
    }

    /// How many there were of all kinds.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Each kind with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Fault, u64)> + '_ {
        Fault::ALL.iter().map(|fault| (*fault, self.of(*fault)))
    }
}
