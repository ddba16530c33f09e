//! The world: the real machines on one event queue, with our own network, disks and clocks.
//!
//! Everything that happens is a [`Happening`] in the queue. A step takes the earliest, lets it happen, and hands what
//! comes of it back to the queue; checkers look on after every step of a node. One thread, one seed, no real time.

mod attention;
mod bouts;
mod clients;
mod happening;
mod hosts;
mod injury;
mod links;
mod pace;
mod planned;
mod realm;
mod recovery;
mod requests;
mod rest;
mod routes;
pub(crate) mod script;
mod seats;
mod steps;
mod storage;
mod streams;
mod table;
mod troubles;
mod watch;
mod wounds;

use catena_core::marks::{self, Reached};
use catena_core::{CoordinatorEffect, Effect, OrderError, RequestId, Slot, Time};

use crate::check::attention::Attention;
use crate::check::configurations::Reigns;
use crate::check::flaps::Flaps;
use crate::check::ledger::Ledger;
use crate::check::{Checker, Judges, Searches, Severity, Violation, judges, linearize, named_entries, seen, wing_gong};
use crate::chronicle::{About, Chronicle, Kind};
use crate::faults::{Fault, Occurrences};
use crate::history::{Author, CallId, History, Outcome};
use crate::network::Network;
use crate::options::Options;
use crate::plan::{Key, Place, Step};
use crate::queue::Queue;
use crate::rng::{Rng, nanos};
use crate::trace::{Printing, Trace};
use crate::workload::Workload;
use clients::{Client, Prompt};
use happening::Happening;
use hosts::{Arrival, Host, draw_clock};
use pace::Pace;
pub(crate) use planned::{Course, Source};
use realm::Realm;
use seats::Seat;
use streams::Lines;
use troubles::Troubles;

/// A world from a seed.
pub(crate) struct World {
    options: Options,
    source: Source,
    now: Time,
    happenings: u64,
    /// It goes no further than this step.
    stops_at: Option<u64>,
    /// The call that this step is about, if it is.
    call: Option<CallId>,
    /// Where it happens.
    place: Place,
    queue: Queue<Happening>,
    rng: Rng,
    hosts: Vec<Host>,
    seats: Vec<Seat>,
    realm: Realm,
    lines: Lines,
    network: Network,
    clients: Vec<Client>,
    workload: Workload,
    /// When bursts of calls begin.
    bursts: Vec<Time>,
    issued: usize,
    cuts: u64,
    history: History,
    ledger: Ledger,
    reigns: Reigns,
    flaps: Flaps,
    attention: Attention,
    troubles: Troubles,
    pace: Pace,
    occurrences: Occurrences,
    trace: Trace,
    phase: Phase,
    /// When the faults have ended.
    pub(crate) healed: Option<Time>,
    last_request: RequestId,
    last_life: Life,
    /// Pins that were taken.
    pins: u64,
    /// When a directory was last wiped; 0: never.
    wiped_at: Time,
    /// Kept between steps for their memory.
    effects: Vec<Effect>,
    decisions: Vec<CoordinatorEffect>,
    /// What became of operators' orders.
    verdicts: Vec<Result<(), OrderError>>,
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
    /// Those of them that had other members than the one before.
    pub reconfigurations: u64,
    /// Entries committed.
    pub committed: u64,
    /// Times that a replica cut its log (C7).
    pub cuts: u64,
    /// The longest time, in nanoseconds, that a slot went without a commit although writes waited for it and one node at most
    /// was in trouble.
    pub longest_gap_ns: u64,
    /// Keys whose calls were put in an order without looking at versions.
    pub searches: Searches,
    /// Faults that occurred.
    pub occurrences: Occurrences,
    /// Marks of the protocol's rules that it came by.
    pub reached: Reached,
}

impl World {
    pub(crate) fn new(options: Options, printing: Printing) -> Result<Self, Violation> {
        // The options have drawn from the seed itself; the world draws from a stream of its own.
        let mut rng = Rng::with(options.seed ^ 0x005e_ed0f_ca7e_9a00, options.chance);
        let nodes = options.scale.nodes;
        // Of what a plan leaves out, the numbers are drawn all the same: so the rest stays as it was.
        let out = options.left_out;
        let mut hosts: Vec<Host> = (0..nodes + out.nodes).map(|node| Host::new(node, &options, &mut rng)).collect();
        let mut seats: Vec<Seat> =
            (0..options.coordinators + out.coordinators).map(|_| Seat::new(draw_clock(&options, &mut rng))).collect();
        hosts.truncate(nodes);
        seats.truncate(options.coordinators);
        let network = Network::new(nodes, rng.fork());
        let workload = Workload::new(options.keys, rng.fork()).with_large(options.large);
        let mut clients: Vec<Client> = Vec::new();
        for client in 0..options.clients + options.slots as usize + out.slots {
            let clock = draw_clock(&options, &mut rng);
            let works = client < options.clients;
            clients.push(if works { Client::new(&options, clock, &mut rng) } else { Client::prover(&options, clock, &mut rng) });
        }
        clients.truncate(options.clients + options.slots as usize);
        let mut world = Self {
            source: Source::Drawn,
            now: Time(0),
            happenings: 0,
            stops_at: None,
            call: None,
            place: Place::World,
            queue: Queue::new(),
            bursts: Self::draw_bursts(&options, &mut rng),
            rng,
            hosts,
            realm: Realm::new(&options)?,
            lines: Lines::new(nodes, options.coordinators),
            seats,
            network,
            clients,
            workload,
            issued: 0,
            cuts: 0,
            history: History::default(),
            ledger: Ledger::new(&options.node),
            reigns: Reigns::new(options.slots),
            flaps: Flaps::new(options.scale.drift),
            attention: Attention::new(options.slots),
            troubles: Troubles::new(nodes),
            pace: Pace::new(options.slots),
            occurrences: Occurrences::default(),
            trace: Trace::new(printing),
            phase: Phase::Faults,
            healed: None,
            last_request: RequestId(0),
            last_life: Life(0),
            pins: 0,
            wiped_at: Time(0),
            effects: Vec::new(),
            decisions: Vec::new(),
            verdicts: Vec::new(),
            options,
        };
        if world.options.on(Fault::Skew) {
            world.occurrences.count(Fault::Skew);
        }
        Ok(world)
    }

    /// Bursts are spread over the time of faults, each somewhere in its share of it.
    fn draw_bursts(options: &Options, rng: &mut Rng) -> Vec<Time> {
        let share = options.duration * 9 / 10 / u32::try_from(options.bursts).expect("a few bursts");
        let start = |burst: usize| Time(1_000_000_000) + share * u32::try_from(burst).expect("a few bursts");
        (0..options.bursts).map(|burst| start(burst) + rng.duration(share / 8, share)).collect()
    }

    /// Runs the world to its end; `None`: it was stopped before.
    pub(crate) fn run(&mut self) -> Result<Option<Summary>, Violation> {
        marks::take(); // those of a world before on this thread
        self.turn(Key::Step(Step::Begin, Place::World));
        self.begin()?;
        let most = self.options.most_happenings();
        while let Some((at, happening)) = self.queue.pop() {
            if self.stops_at.is_some_and(|step| self.happenings >= step) {
                return Ok(None);
            }
            (self.now, self.call) = (at, None);
            self.turn(self.key(&happening));
            self.happenings += 1;
            self.trace.step_to(self.happenings);
            self.judge_length(most)?;
            let rests = matches!(happening, Happening::Look) && self.look()?;
            if rests {
                let summary = self.end()?;
                // Of a cluster into which nobody can look, this must find nothing where nothing is wrong: nor does it here.
                seen::check(&self.history)?;
                return Ok(Some(summary));
            }
            self.happen(happening)?;
        }
        unreachable!("a world has always something to look at")
    }

    /// A world that does ever more is going in circles.
    fn judge_length(&self, most: u64) -> Result<(), Violation> {
        if self.happenings <= most {
            return Ok(());
        }
        Err(Violation {
            severity: Severity::Liveness,
            checker: Checker::Progress,
            rule: "W6",
            sentence: format!("the world goes in circles: {most} events by {:?}", self.now),
        })
    }

    fn begin(&mut self) -> Result<(), Violation> {
        (0..self.seats.len()).for_each(|seat| self.start_coordinator(seat));
        self.schedule_arrivals();
        for node in 0..self.hosts.len() {
            if self.hosts[node].arrival == Arrival::Here {
                self.start(node)?;
            }
        }
        self.schedule_plan();
        for client in 0..self.options.clients {
            for _ in 0..self.clients[client].lanes {
                self.queue.push(self.now, Happening::Prompt { client, prompt: Prompt::Next });
            }
        }
        (0..self.clients.len()).for_each(|client| self.schedule_client(client));
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
            Happening::Synced { node, life } => self.synced(node, life),
            Happening::Leave { node, life, until } => {
                self.leave(node, life, until);
                Ok(())
            }
            Happening::Bout(bout) => {
                self.suffer(bout);
                Ok(())
            }
            Happening::OpenStream { node, life } => {
                self.open_stream(node, life);
                Ok(())
            }
            Happening::ToCoordinator { node, seat, life, stream, up } => self.arrive_at_coordinator(node, seat, life, stream, up),
            Happening::FromCoordinator { node, stream, down } => self.arrive_from_coordinator(node, stream, down),
            Happening::WakeCoordinator { seat, life, at } => self.wake_coordinator(seat, life, at),
            Happening::StoreActs { errand } => self.store_acts(errand),
            Happening::StoreReports { errand } => self.store_reports(errand),
            Happening::AskRoute { client, coordinator } => self.route_asked(client, coordinator),
            Happening::Client { client, event } => {
                self.note_heard(client, &event);
                self.hear(client, event);
                Ok(())
            }
            Happening::Prompt { client, prompt } => {
                self.prompt(client, prompt);
                Ok(())
            }
            Happening::Inject => self.inject(),
            Happening::Planned { index } => self.happen_as_planned(index),
            Happening::Injure { .. } if self.is_planned() => Ok(()), // only what is planned
            Happening::Injure { fault, node } => self.injure(fault, node, None),
            Happening::Undo(undo) => self.undo(&undo),
            Happening::Readmit => self.make_round(),
            Happening::Look => {
                self.queue.push(self.now + std::time::Duration::from_millis(50), Happening::Look);
                Ok(())
            }
        }
    }

    /// The last checks, once everything has come to rest.
    fn end(&mut self) -> Result<Summary, Violation> {
        if judges() == Judges::All {
            linearize::check(&self.history, &self.ledger, self.options.slots)?;
        }
        let searches = wing_gong::check(&self.history)?;
        let calls = &self.history.calls;
        let count = |wanted: fn(&Outcome) -> bool| calls.iter().filter(|call| wanted(&call.outcome)).count() as u64;
        let answered = count(|outcome| match outcome {
            Outcome::Read(_) | Outcome::Written { .. } | Outcome::NothingToDo | Outcome::Refused(_) => true,
            Outcome::Pending | Outcome::NotExecuted | Outcome::Unknown => false,
        });
        let (versions, reconfigurations) = (self.realm.changes(), self.realm.reconfigurations());
        let committed = (0..self.options.slots).map(|slot| self.ledger.last(Slot(slot)).seq.0).sum();
        for word in [calls.len() as u64, answered, versions, committed, self.now.0] {
            self.trace.add(word);
        }
        Ok(Summary {
            hash: self.trace.hash(),
            virtual_ns: self.now.0,
            happenings: self.happenings,
            calls: calls.len() as u64,
            answered,
            unknown: count(|outcome| *outcome == Outcome::Unknown),
            new_versions: versions,
            reconfigurations,
            committed,
            cuts: self.cuts,
            longest_gap_ns: nanos(self.pace.longest()),
            searches,
            occurrences: self.occurrences.clone(),
            reached: marks::take(),
        })
    }

    pub(crate) fn now(&self) -> Time {
        self.now
    }

    pub(crate) fn happenings(&self) -> u64 {
        self.happenings
    }

    /// It goes no further than this step.
    pub(crate) fn stop_at(&mut self, step: u64) {
        self.stops_at = Some(step);
    }

    /// What happens is kept for a picture.
    pub(crate) fn keep_chronicle(&mut self) {
        self.trace.keep();
    }

    /// What was kept, with what was violated at last.
    pub(crate) fn chronicle(&mut self, violation: Option<&Violation>) -> Option<Chronicle> {
        if let Some(violation) = violation {
            let named = named_entries(&violation.sentence).into_iter().filter_map(|(slot, entry)| {
                match self.history.author(slot, entry)? {
                    Author::Call(by) => Some(by.call),
                    Author::Chain | Author::Unseen => None,
                }
            });
            let calls = self.call.into_iter().chain(named).map(|call| call.0).collect();
            let about = About { calls, ..About::default() };
            self.trace.note(self.now, self.place, Kind::Violation, about, || violation.to_string());
        }
        self.trace.chronicle()
    }

    pub(crate) fn hash(&self) -> u64 {
        self.trace.hash()
    }

    fn next_life(&mut self) -> Life {
        self.last_life.0 += 1;
        self.last_life
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
