//! How commands are read.

use std::time::Duration;

use catena_core::{Comparison, Condition, Origin, Seq, Slot};

use super::command::{
    CallWish, Command, Deed, Goal, Manner, Mark, OrderKind, Pace, Part, Party, Record, USAGES, Waiting, Wanted,
};
use super::error::Problem;
use super::names::{Names, links};
use super::shape::Shape;
use super::words::{Words, bytes, duration, number, version};

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
            "traffic" => Self::traffic(words)?,
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
            "damage" => Self::damage(words, names)?,
            "cut" => Command::Cut(links(words, names)?),
            "mend" if words.is_empty() => Command::Mend(None),
            "mend" => Command::Mend(Some(links(words, names)?)),
            "hold" => Self::hold(words, names)?,
            "deliver" => Command::Deliver,
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

    fn traffic(words: &mut Words<'_>) -> Result<Self, Problem> {
        let readers = words.option("readers").map_or(Ok(0), number)?;
        match words.option("every") {
            Some(every) => Ok(Command::Traffic(Some(Pace { every: duration(every)?, readers }))),
            None if words.flag("off") => Ok(Command::Traffic(None)),
            None => Err(words.misused()),
        }
    }

    fn damage(words: &mut Words<'_>, names: &Names) -> Result<Self, Problem> {
        let slot = slot(words)?;
        let node = names.node(words.next()?)?;
        let what = match words.next()? {
            "log" => Record::Log(slot),
            key => Record::Object(bytes(key)?),
        };
        Ok(Command::Damage { node, what })
    }

    fn hold(words: &mut Words<'_>, names: &Names) -> Result<Self, Problem> {
        let lines = links(words, names)?.into_iter().map(|link| match (link.from, link.to) {
            (Party::Coordinator(seat), Party::Node(node)) => Ok((seat, node)),
            (_, _) => Err(words.misused()),
        });
        Ok(Command::Hold(lines.collect::<Result<_, _>>()?))
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
                (Party::Node(node), "registered") => Goal::Registered(node),
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
        const KNOWN: &str =
            "client=, if-version=, again=, deadline=, at=, route=, session=, number=, if-exists, if-absent, exactly-once";
        let key = bytes(words.next()?)?;
        let action = match name {
            "put" => Wanted::Put(bytes(words.next()?)?),
            "delete" => Wanted::Delete,
            _ => Wanted::Get,
        };
        let client = words.option("client").map_or(Ok(0), |client| names.client(client))?;
        let again = words.option("again").map(duration).transpose()?;
        let deadline = words.option("deadline").map(duration).transpose()?;
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
        if deadline.is_some() && matches!(manner, Manner::By { .. }) {
            return Err(words.misused()); // only a client's machine can give a call up
        }
        let waiting = if words.flag("&") { Waiting::Later } else { Waiting::Here };
        words.end(KNOWN)?;
        Ok(Command::Call { wish: CallWish { client, key, action, conditions, manner, again, deadline }, waiting })
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
