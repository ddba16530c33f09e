//! The world: the real machines on one event queue, with our own network, disks and clocks.
//!
//! Everything that happens is a [`Happening`] in the queue. A step takes the earliest, lets it happen, and hands what
//! comes of it back to the queue; checkers look on after every step of a node. One thread, one seed, no real time.

mod clients;
mod coordination;
mod hosts;
mod injury;
mod rest;
mod steps;

use std::rc::Rc;

use catena_core::{Effect, Envelope, RequestId, Route, Slot, Time};

use crate::check::ledger::Ledger;
use crate::check::{Checker, Severity, Violation, linearize};
use crate::faults::{Fault, Occurrences};
use crate::history::{History, Outcome};
use crate::network::{Connection, Network};
use crate::options::Options;
use crate::queue::Queue;
use crate::rng::Rng;
use crate::trace::{Printing, Trace};
use crate::workload::Workload;
use clients::{Client, Heard, Prompt};
use coordination::{Capital, Down, Up};
use hosts::{Host, Input};
use injury::Undo;

/// A world that does more than this is going in circles: a healthy one needs a hundredth.
const HAPPENINGS: u64 = 10_000_000;

/// A world from a seed.
pub(crate) struct World {
    options: Options,
    now: Time,
    queue: Queue<Happening>,
    rng: Rng,
    hosts: Vec<Host>,
    capital: Capital,
    network: Network,
    clients: Vec<Client>,
    workload: Workload,
    /// When bursts of calls begin.
    bursts: Vec<Time>,
    issued: usize,
    cuts: u64,
    history: History,
    ledger: Ledger,
    occurrences: Occurrences,
    trace: Trace,
    phase: Phase,
    last_request: RequestId,
    last_life: Life,
    /// Kept between steps for its memory.
    effects: Vec<Effect>,
}

/// One run of a process, from its start to its death.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Life(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Faults occur.
    Faults,
    /// They have ended, at this time; everything must come to rest.
    Healing { since: Time },
}

/// Something that happens at a time.
#[derive(Debug)]
enum Happening {
    /// To a process, while it lives.
    Input {
        node: usize,
        life: Life,
        input: Input,
    },
    /// A message arrives, if its connection still is.
    Frame {
        from: usize,
        to: usize,
        connection: Connection,
        envelope: Envelope,
    },
    /// A side learns of a new connection.
    LinkUp {
        node: usize,
        peer: usize,
        connection: Connection,
    },
    /// Two nodes try to connect.
    Connect {
        a: usize,
        b: usize,
    },
    /// A process's timer.
    Wake {
        node: usize,
        life: Life,
        at: Time,
    },
    /// A sync ends.
    Synced {
        node: usize,
        life: Life,
    },
    /// A node tries to reach the coordinator.
    OpenStream {
        node: usize,
        life: Life,
    },
    ToCoordinator {
        node: usize,
        stream: u64,
        up: Up,
    },
    FromCoordinator {
        node: usize,
        stream: u64,
        down: Down,
    },
    /// The coordinator's commit ends.
    Committed {
        life: Life,
    },
    /// A client asks for the route.
    AskRoute {
        client: usize,
    },
    Client {
        client: usize,
        heard: Heard,
    },
    Prompt {
        client: usize,
        prompt: Prompt,
    },
    /// Injects a fault, and goes on to the next.
    Inject,
    Injure {
        fault: Fault,
        node: usize,
    },
    Undo(Undo),
    /// Looks whether faults have to end, or the world has come to rest.
    Look,
}

/// What a clean world did.
#[derive(Clone, Debug)]
pub struct Summary {
    /// A hash of every event and effect.
    pub hash: u64,
    /// Virtual time, in nanoseconds.
    pub virtual_ns: u64,
    /// Events that happened.
    pub happenings: u64,
    /// Calls that clients made.
    pub calls: u64,
    /// Calls with a definite answer from the chain: done, or refused by a condition.
    pub answered: u64,
    /// Calls of unknown outcome.
    pub unknown: u64,
    /// Chain versions made after each slot's first.
    pub new_versions: u64,
    /// Entries committed.
    pub committed: u64,
    /// Times that a replica cut its log (C7).
    pub cuts: u64,
    /// Faults that occurred.
    pub occurrences: Occurrences,
}

impl World {
    pub(crate) fn new(options: Options, printing: Printing) -> Self {
        // The options have drawn from the seed itself; the world draws from a stream of its own.
        let mut rng = Rng::new(options.seed ^ 0x005e_ed0f_ca7e_9a00);
        let nodes = options.scale.nodes;
        let hosts = (0..nodes).map(|node| Host::new(node, &options, &mut rng)).collect();
        let capital = Capital::new(&options, &mut rng);
        let network = Network::new(nodes, rng.fork());
        let workload = Workload::new(options.keys, rng.fork());
        let clients = (0..options.clients + options.slots as usize).map(|_| Client::default()).collect();
        let mut world = Self {
            now: Time(0),
            queue: Queue::new(),
            bursts: Self::draw_bursts(&options, &mut rng),
            rng,
            hosts,
            capital,
            network,
            clients,
            workload,
            issued: 0,
            cuts: 0,
            history: History::default(),
            ledger: Ledger::new(options.slots),
            occurrences: Occurrences::default(),
            trace: Trace::new(printing),
            phase: Phase::Faults,
            last_request: RequestId(0),
            last_life: Life(0),
            effects: Vec::new(),
            options,
        };
        if world.options.on(Fault::Skew) {
            world.occurrences.count(Fault::Skew);
        }
        world
    }

    /// Bursts are spread over the time of faults, each somewhere in its share of it.
    fn draw_bursts(options: &Options, rng: &mut Rng) -> Vec<Time> {
        let share = options.duration * 9 / 10 / u32::try_from(options.bursts).expect("a few bursts");
        let start = |burst: usize| Time(1_000_000_000) + share * u32::try_from(burst).expect("a few bursts");
        (0..options.bursts).map(|burst| start(burst) + rng.duration(share / 8, share)).collect()
    }

    /// Runs the world to its end.
    pub(crate) fn run(mut self) -> Result<Summary, Violation> {
        let mut happenings = 0;
        self.begin()?;
        while let Some((at, happening)) = self.queue.pop() {
            self.now = at;
            happenings += 1;
            if happenings > HAPPENINGS {
                return Err(Violation {
                    severity: Severity::Liveness,
                    checker: Checker::Progress,
                    rule: "W6",
                    sentence: format!("the world goes in circles: {HAPPENINGS} events by {:?}", self.now),
                });
            }
            let rests = matches!(happening, Happening::Look) && self.look()?;
            if rests {
                return self.end(happenings);
            }
            self.happen(happening)?;
        }
        unreachable!("a world has always something to look at")
    }

    fn begin(&mut self) -> Result<(), Violation> {
        self.start_coordinator()?;
        for node in 0..self.hosts.len() {
            self.start(node)?;
        }
        for client in 0..self.options.clients {
            self.queue.push(self.now, Happening::Prompt { client, prompt: Prompt::Next });
        }
        self.schedule_faults();
        self.queue.push(self.now, Happening::Look);
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Input { node, life, input } => self.input(node, life, input),
            Happening::Frame { from, to, connection, envelope } => self.frame(from, to, connection, envelope),
            Happening::LinkUp { node, peer, connection } => self.link_up(node, peer, connection),
            Happening::Connect { a, b } => {
                self.connect(a, b);
                Ok(())
            }
            Happening::Wake { node, life, at } => self.wake(node, life, at),
            Happening::Synced { node, life } => {
                self.synced(node, life);
                Ok(())
            }
            Happening::OpenStream { node, life } => {
                self.open_stream(node, life);
                Ok(())
            }
            Happening::ToCoordinator { node, stream, up } => self.arrive_at_coordinator(node, stream, up),
            Happening::FromCoordinator { node, stream, down } => self.arrive_from_coordinator(node, stream, down),
            Happening::Committed { life } => self.coordinator_committed(life),
            Happening::AskRoute { client } => {
                self.ask_route(client);
                Ok(())
            }
            Happening::Client { client, heard } => {
                self.hear(client, heard);
                Ok(())
            }
            Happening::Prompt { client, prompt } => {
                self.prompt(client, prompt);
                Ok(())
            }
            Happening::Inject => self.inject(),
            Happening::Injure { fault, node } => self.injure(fault, node),
            Happening::Undo(undo) => self.undo(&undo),
            Happening::Look => {
                self.queue.push(self.now + std::time::Duration::from_millis(50), Happening::Look);
                Ok(())
            }
        }
    }

    /// The last checks, once everything has come to rest.
    fn end(mut self, happenings: u64) -> Result<Summary, Violation> {
        linearize::check(&self.history, &self.ledger, self.options.slots)?;
        let calls = &self.history.calls;
        let count = |wanted: fn(&Outcome) -> bool| calls.iter().filter(|call| wanted(&call.outcome)).count() as u64;
        let answered = count(|outcome| match outcome {
            Outcome::Read(_) | Outcome::Written { .. } | Outcome::NothingToDo | Outcome::Refused(_) => true,
            Outcome::Pending | Outcome::NotExecuted | Outcome::Unknown => false,
        });
        let versions: u64 = self.route().chains.iter().map(|chain| chain.version.0 - 1).sum();
        let committed = (0..self.options.slots).map(|slot| self.ledger.last(Slot(slot)).seq.0).sum();
        for word in [calls.len() as u64, answered, versions, committed, self.now.0] {
            self.trace.add(word);
        }
        Ok(Summary {
            hash: self.trace.hash(),
            virtual_ns: self.now.0,
            happenings,
            calls: calls.len() as u64,
            answered,
            unknown: count(|outcome| *outcome == Outcome::Unknown),
            new_versions: versions,
            committed,
            cuts: self.cuts,
            occurrences: self.occurrences,
        })
    }

    fn route(&self) -> &Rc<Route> {
        self.capital.route()
    }

    fn next_life(&mut self) -> Life {
        self.last_life.0 += 1;
        self.last_life
    }

    /// Whether a fault of a single message, call or sync occurs now; counts it.
    fn strikes(&mut self, fault: Fault) -> bool {
        let strikes = self.rng.chance(self.options.odds(fault));
        if strikes {
            self.count(fault);
        }
        strikes
    }

    fn count(&mut self, fault: Fault) {
        self.occurrences.count(fault);
        self.trace.add(100 + fault as u64);
    }

    /// How long something takes over a healthy network.
    fn latency(&mut self) -> std::time::Duration {
        self.rng.duration(self.options.latency / 8, self.options.latency)
    }
}
