//! What a plan consists of: things that happen at a time, each with the choices that were made about it.

use std::fmt;
use std::rc::Rc;

use catena_core::Time;

use crate::faults::Fault;

/// Something that happens at a time, and what was chosen about it: each a number below a bound that the world knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) at: Time,
    pub(crate) key: Key,
    /// How many of the same came before it at the same time.
    pub(crate) nth: u32,
    pub(crate) choices: Rc<[u64]>,
}

/// What happens, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// A fault that is injected, or one that strikes what is next done at this place.
    Fault(Fault, Place),
    /// A client's call begins.
    Call(usize),
    /// Anything else for which something was drawn: a delay, mostly.
    Step(Step, Place),
}

/// Where something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    World,
    Node(usize),
    /// A coordinator.
    Seat(usize),
    Client(usize),
    /// From a node to a node.
    Link(usize, usize),
    /// Between a node and a coordinator.
    Line(usize, usize),
    /// Between a client and a coordinator.
    Subscription(usize, usize),
}

/// Defines the steps, their list, and each one's name in files.
macro_rules! steps {
    ($($name:ident $text:literal,)*) => {
        /// A step of a world, besides faults and the beginnings of calls.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Step {
            $($name,)*
        }

        impl Step {
            pub(crate) const ALL: &[Step] = &[$(Step::$name,)*];

            pub(crate) fn name(self) -> &'static str {
                match self { $(Step::$name => $text,)* }
            }
        }
    };
}

steps! {
    Begin "begin",
    Input "input",
    Frame "message",
    LinkUp "link-up",
    Connect "connect",
    Wake "wake",
    Synced "synced",
    Leave "leave",
    Silence "silence",
    Relapse "relapse",
    Sever "sever",
    Dial "dial",
    Up "to-coordinator",
    Down "from-coordinator",
    WakeCoordinator "wake-coordinator",
    Store "store",
    Report "store-report",
    Route "route",
    Client "client",
    Arrive "request",
    Undo "fault-ends",
    Look "look",
}

impl Key {
    /// A fault or a call: what a reader counts as an event.
    pub(crate) fn is_event(self) -> bool {
        !matches!(self, Key::Step(..))
    }

    /// Where it happens.
    pub(crate) fn place(self) -> Place {
        match self {
            Key::Fault(_, place) | Key::Step(_, place) => place,
            Key::Call(client) => Place::Client(client),
        }
    }

    /// Whether its place is there, in a world of so many nodes and coordinators.
    pub(crate) fn exists(self, nodes: usize, seats: usize) -> bool {
        self.place().exists(nodes, seats)
    }

    /// A fault that strikes a single message, call or sync.
    pub(crate) fn strikes(self) -> bool {
        matches!(self, Key::Fault(fault, _) if !fault.is_injected())
    }
}

impl Place {
    /// Whether the place is there, in a world of so many nodes and coordinators.
    fn exists(self, nodes: usize, seats: usize) -> bool {
        match self {
            Place::World | Place::Client(_) => true,
            Place::Node(node) => node < nodes,
            Place::Link(from, to) => from < nodes && to < nodes,
            Place::Seat(seat) | Place::Subscription(_, seat) => seat < seats,
            Place::Line(node, seat) => node < nodes && seat < seats,
        }
    }
}

impl fmt::Display for Place {
    /// One word, as in files and in pictures: people count from 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::World => f.write_str("world"),
            Place::Node(node) => write!(f, "n{}", node + 1),
            Place::Seat(seat) => write!(f, "c{}", seat + 1),
            Place::Client(client) => write!(f, "client-{client}"),
            Place::Link(from, to) => write!(f, "n{}>n{}", from + 1, to + 1),
            Place::Line(node, seat) => write!(f, "n{}>c{}", node + 1, seat + 1),
            Place::Subscription(client, seat) => write!(f, "client-{client}>c{}", seat + 1),
        }
    }
}

impl std::str::FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let numbered = |prefix: &str, text: &str| text.strip_prefix(prefix).and_then(|number| number.parse::<usize>().ok());
        let counted = |prefix: &str, text: &str| numbered(prefix, text).and_then(|number| number.checked_sub(1));
        let place = match text.split_once('>') {
            None if text == "world" => Some(Place::World),
            None => (numbered("client-", text).map(Place::Client))
                .or_else(|| counted("n", text).map(Place::Node))
                .or_else(|| counted("c", text).map(Place::Seat)),
            Some((from, to)) => match (counted("n", from), numbered("client-", from), counted("n", to), counted("c", to)) {
                (Some(from), None, Some(to), None) => Some(Place::Link(from, to)),
                (Some(node), None, None, Some(seat)) => Some(Place::Line(node, seat)),
                (None, Some(client), None, Some(seat)) => Some(Place::Subscription(client, seat)),
                (_, _, _, _) => None,
            },
        };
        place.ok_or(())
    }
}
