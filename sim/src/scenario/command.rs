//! The commands of a scenario.

use std::time::Duration;

use bytes::Bytes;
use catena_core::{ChainVersion, Comparison, Condition, Origin, Seq, Slot};

use super::error::Problem;
use super::names::{Names, links};
use super::shape::Shape;
use super::words::{Words, bytes, duration, number, version};

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
    ("traffic", "traffic every=DURATION|off"),
    ("kill", "kill NODE|COORDINATOR …"),
    ("power-off", "power-off NODE …"),
    ("start", "start NODE|COORDINATOR …"),
    ("stop", "stop NODE …"),
    ("wipe", "wipe NODE …"),
    ("pause", "pause NODE|COORDINATOR …"),
    ("resume", "resume NODE|COORDINATOR …"),
    ("stall", "stall NODE DURATION"),
    ("jump", "jump NODE forward|back DURATION"),
    ("cut", "cut END END, or cut END->END"),
    ("mend", "mend [END END, or END->END]"),
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
    /// A put every so often, until it is off.
    Traffic(Option<Duration>),
    Process {
        deed: Deed,
        whom: Vec<Party>,
    },
    /// The disk does nothing for so long.
    Stall {
        node: usize,
        long: Duration,
    },
    /// The wall clock jumps by so many nanoseconds.
    Jump {
        node: usize,
        by: i64,
    },
    Cut(Vec<Link>),
    /// `None`: everything.
    Mend(Option<Vec<Link>>),
    Order {
        kind: OrderKind,
        node: usize,
    },
    Status,
    Replicas(Slot),
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

/// So long a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

impl Command {
    /// Parses a command. `names` are those of the cluster before; a `cluster` replaces them.
    pub(crate) fn parse(text: &str, names: &mut Names) -> Result<Self, Problem> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let known = USAGES.iter().find(|(known, _)| *known == word);
        let (name, usage) = *known.ok_or_else(|| Problem::UnknownCommand { word: word.to_owned() })?;
        let words = &mut Words::new(name, usage, rest);
        let command = match name {
            "cluster" => {
                let shape = Shape::parse(words)?;
                *names = shape.names();
                Command::Cluster(Box::new(shape))
            }
            "no-rest" => Command::NoRest,
            "run" => Command::Run(duration(words.next()?)?),
            "until" => Self::until(words, names)?,
            "expect-whole" => Command::Until { goal: Goal::Whole, within: within(words)? },
            "put" | "delete" | "get" => Self::call(name, words, names)?,
            "wait" => Command::Wait,
            "load" => {
                let count = words.next()?;
                let bytes = words.option("bytes").map_or(Ok(10), number)?;
                Command::Load { count: number(count)?, bytes }
            }
            "traffic" => match words.option("every") {
                Some(every) => Command::Traffic(Some(duration(every)?)),
                None if words.flag("off") => Command::Traffic(None),
                None => return Err(Problem::Usage { usage }),
            },
            "stall" => Command::Stall { node: names.node(words.next()?)?, long: duration(words.next()?)? },
            "jump" => {
                let node = names.node(words.next()?)?;
                let sign = match words.next()? {
                    "forward" => 1,
                    "back" => -1,
                    _ => return Err(Problem::Usage { usage }),
                };
                let by = i64::try_from(duration(words.next()?)?.as_nanos()).map_err(|_| Problem::Usage { usage })?;
                Command::Jump { node, by: sign * by }
            }
            "cut" => Command::Cut(links(words, names)?),
            "mend" if words.is_empty() => Command::Mend(None),
            "mend" => Command::Mend(Some(links(words, names)?)),
            "drain" => Command::Order { kind: OrderKind::Drain, node: names.node(words.next()?)? },
            "evict" => Command::Order { kind: OrderKind::Evict, node: names.node(words.next()?)? },
            "readmit" => Command::Order { kind: OrderKind::Readmit, node: names.node(words.next()?)? },
            "status" => Command::Status,
            "replicas" => Command::Replicas(slot(words)?),
            _ => Self::process(name, words, names)?,
        };
        words.end("none here")?;
        Ok(command)
    }

    fn process(name: &str, words: &mut Words<'_>, names: &Names) -> Result<Self, Problem> {
        let (deed, coordinators) = match name {
            "kill" => (Deed::Kill, true),
            "start" => (Deed::Start, true),
            "pause" => (Deed::Pause, true),
            "resume" => (Deed::Resume, true),
            "power-off" => (Deed::PowerOff, false),
            "stop" => (Deed::Stop, false),
            "wipe" => (Deed::Wipe, false),
            _ => unreachable!("every other command is parsed before"),
        };
        let mut whom = vec![names.party(words.next()?)?];
        while !words.is_empty() {
            whom.push(names.party(words.next()?)?);
        }
        let fits = |party: &Party| match party {
            Party::Node(_) => true,
            Party::Coordinator(_) => coordinators,
            Party::Client(_) | Party::Store => false,
        };
        if whom.iter().all(fits) { Ok(Command::Process { deed, whom }) } else { Err(words.misused()) }
    }

    fn until(words: &mut Words<'_>, names: &Names) -> Result<Self, Problem> {
        let slot = slot(words)?;
        let within = within(words)?;
        let first = words.next()?;
        let goal = if first == "whole" {
            Goal::Whole
        } else if words.is_empty() {
            Goal::Version(slot, version(first)?)
        } else {
            match (names.party(first)?, words.next()?) {
                (Party::Coordinator(seat), "leads") => Goal::Leads(seat),
                (Party::Node(node), "joining") => Goal::Part(node, Part::Joining),
                (Party::Node(node), "copying") => Goal::Part(node, Part::Copying),
                (Party::Node(node), "unready") => Goal::Part(node, Part::Unready),
                (Party::Node(node), "member") => Goal::Part(node, Part::Copy),
                (Party::Node(node), "nowhere") => Goal::Part(node, Part::Nowhere),
                (Party::Node(node), "fenced") => Goal::Part(node, Part::Fenced),
                (Party::Node(node), "received") => Goal::Mark(node, slot, Mark::Received, Seq(number(words.next()?)?)),
                (Party::Node(node), "durable") => Goal::Mark(node, slot, Mark::Durable, Seq(number(words.next()?)?)),
                (Party::Node(node), "committed") => Goal::Mark(node, slot, Mark::Committed, Seq(number(words.next()?)?)),
                (Party::Node(node), "applied") => Goal::Mark(node, slot, Mark::Applied, Seq(number(words.next()?)?)),
                (Party::Node(node), health) => Goal::Health(node, health.to_owned()),
                (_, _) => return Err(words.misused()),
            }
        };
        Ok(Command::Until { goal, within })
    }

    fn call(name: &str, words: &mut Words<'_>, names: &Names) -> Result<Self, Problem> {
        const KNOWN: &str = "client=, if-version=, again=, at=, route=, session=, number=, if-exists, if-absent, exactly-once";
        let key = bytes(words.next()?)?;
        let action = match name {
            "put" => Wanted::Put(bytes(words.next()?)?),
            "delete" => Wanted::Delete,
            _ => Wanted::Get,
        };
        let client = words.option("client").map_or(Ok(0), |client| names.client(client))?;
        let again = words.option("again").map(duration).transpose()?;
        let mut conditions = Vec::new();
        if let Some(wanted) = words.option("if-version") {
            conditions.push(Condition::Version(Comparison::Eq, Seq(number(wanted)?)));
        }
        for (flag, exists) in [("if-exists", true), ("if-absent", false)] {
            if words.flag(flag) {
                conditions.push(Condition::Exists(exists));
            }
        }
        let manner = Self::manner(words, names)?;
        let waiting = if words.flag("&") { Waiting::Later } else { Waiting::Here };
        words.end(KNOWN)?;
        Ok(Command::Call { wish: CallWish { client, key, action, conditions, manner, again }, waiting })
    }

    fn manner(words: &mut Words<'_>, names: &Names) -> Result<Manner, Problem> {
        let route = words.option("route").map(version).transpose()?;
        let session: Option<u64> = words.option("session").map(number).transpose()?;
        let write = words.option("number").map_or(Ok(1), number)?;
        let origin = session.map(|session| Origin { session: Seq(session), number: write, answered_below: 0 });
        if let Some(node) = words.option("at") {
            return Ok(Manner::By { node: names.node(node)?, version: route, origin });
        }
        if route.is_some() || session.is_some() {
            return Err(words.misused()); // a client's machine has a route and sessions of its own
        }
        Ok(if words.flag("exactly-once") { Manner::ExactlyOnce } else { Manner::AtMostOnce })
    }
}

fn within(words: &mut Words<'_>) -> Result<Duration, Problem> {
    words.option("within").map_or(Ok(PATIENCE), duration)
}

fn slot(words: &mut Words<'_>) -> Result<Slot, Problem> {
    words.option("slot").map_or(Ok(0), number).map(Slot)
}
