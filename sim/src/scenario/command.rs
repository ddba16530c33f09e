//! The commands of a scenario.

use std::time::Duration;

use bytes::Bytes;
use catena_core::{ChainVersion, Condition, Origin, Seq, Slot};

use super::shape::Shape;

/// Every command and how it is written.
pub(crate) const USAGES: &[(&str, &str)] = &[
    ("cluster", "cluster nodes=N [OPTION=VALUE …]"),
    ("no-rest", "no-rest"),
    ("run", "run DURATION"),
    ("until", "until CONDITION [within=DURATION]"),
    ("expect-whole", "expect-whole [within=DURATION]"),
    ("put", "put KEY VALUE [OPTION=VALUE …] [&]"),
    ("delete", "delete KEY [OPTION=VALUE …] [&]"),
    ("get", "get KEY [OPTION=VALUE …] [&]"),
    ("wait", "wait"),
    ("load", "load COUNT [bytes=N]"),
    ("traffic", "traffic every=DURATION [readers=N]|off"),
    ("kill", "kill NODE|COORDINATOR …"),
    ("power-off", "power-off NODE …"),
    ("start", "start NODE|COORDINATOR …"),
    ("stop", "stop NODE …"),
    ("wipe", "wipe NODE …"),
    ("pause", "pause NODE|COORDINATOR …"),
    ("resume", "resume NODE|COORDINATOR …"),
    ("stall", "stall NODE DURATION"),
    ("damage", "damage NODE log|KEY [slot=N]"),
    ("jump", "jump NODE forward|back DURATION"),
    ("cut", "cut END END, or cut END->END"),
    ("mend", "mend [END END, or END->END]"),
    ("hold", "hold COORDINATOR->NODE"),
    ("deliver", "deliver"),
    ("drain", "drain NODE"),
    ("evict", "evict NODE"),
    ("readmit", "readmit NODE"),
    ("status", "status"),
    ("replicas", "replicas [slot=N]"),
];

/// What a scenario says to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Ends the world before, and begins one.
    Cluster(Box<Shape>),
    /// The world is not healed at its end.
    NoRest,
    Run(Duration),
    Until {
        goal: Goal,
        within: Duration,
    },
    Call {
        wish: CallWish,
        waiting: Waiting,
    },
    /// Until every call has ended.
    Wait,
    /// Many puts at once.
    Load {
        count: usize,
        bytes: usize,
    },
    /// Calls in the background, until they are off.
    Traffic(Option<Pace>),
    Process {
        deed: Deed,
        whom: Vec<Party>,
    },
    /// The disk does nothing for so long.
    Stall {
        node: usize,
        long: Duration,
    },
    /// A record does not read any more as it was written.
    Damage {
        node: usize,
        what: Record,
    },
    /// The wall clock jumps by so many nanoseconds.
    Jump {
        node: usize,
        by: i64,
    },
    Cut(Vec<Link>),
    /// `None`: everything.
    Mend(Option<Vec<Link>>),
    /// What these coordinators tell these nodes to do is kept back.
    Hold(Vec<(usize, usize)>),
    /// What was kept back arrives, late; nothing is any more.
    Deliver,
    Order {
        kind: OrderKind,
        node: usize,
    },
    Status,
    Replicas(Slot),
}

/// How much happens in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// A put so often.
    pub(crate) every: Duration,
    /// So many read what is being put, each as soon as it can.
    pub(crate) readers: usize,
}

/// What can be damaged on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// Shows when a process reads it, at its start.
    Log(Slot),
    /// By key. Shows when somebody wants it.
    Object(Bytes),
}

/// Whether a command waits for its call to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    Here,
    Later,
}

/// A call of a client.
#[derive(Debug)]
pub(crate) struct CallWish {
    pub(crate) client: usize,
    pub(crate) key: Bytes,
    pub(crate) action: Wanted,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) manner: Manner,
    /// Its first request arrives a second time, so much later.
    pub(crate) again: Option<Duration>,
    /// Its caller waits so long.
    pub(crate) deadline: Option<Duration>,
}

#[derive(Debug)]
pub(crate) enum Wanted {
    Get,
    Put(Bytes),
    Delete,
}

/// How a call is made.
#[derive(Debug)]
pub(crate) enum Manner {
    /// By the client's machine, not to be repeated after an unknown outcome.
    AtMostOnce,
    /// By the client's machine, under a session.
    ExactlyOnce,
    /// One request to one node, whatever routes say.
    By {
        node: usize,
        /// `None`: the chain's in effect.
        version: Option<ChainVersion>,
        origin: Option<Origin>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Kill,
    PowerOff,
    Start,
    Stop,
    Wipe,
    Pause,
    Resume,
}

/// Who can be killed, cut off or waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    Node(usize),
    Coordinator(usize),
    Client(usize),
    Store,
}

/// One direction between two parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) from: Party,
    pub(crate) to: Party,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrderKind {
    Drain,
    Evict,
    Readmit,
}

/// What to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Every chain has all its members, all of them copies.
    Whole,
    /// A chain's version, or a later one, is in effect.
    Version(Slot, ChainVersion),
    /// A replica's watermark has come so far.
    Mark(usize, Slot, Mark, Seq),
    /// A node is so, by the leader's word.
    Health(usize, String),
    /// A replica has this part in some chain in effect.
    Part(usize, Part),
    /// A coordinator leads.
    Leads(usize),
    /// A coordinator has let a node in, and the node may not know yet.
    Registered(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Received,
    Durable,
    Committed,
    Applied,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Behind the tail.
    Joining,
    /// It has staged a part of a snapshot, and not the whole.
    Copying,
    /// A member, but no copy yet.
    Unready,
    /// A member that counts.
    Copy,
    /// In no chain.
    Nowhere,
    /// Has stopped serving.
    Fenced,
}
