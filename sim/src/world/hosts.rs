//! Storage nodes: processes on machines with a disk and clocks; how they start, stop and die, and what goes into them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use catena_core::client::{AttemptId, Body};
use catena_core::{
    ChainVersion, Event, Identity, Incarnation, Node, NodeId, NodeRecord, Origin, Process as ProcessId, RequestId, Seq, Slot,
    Target, Time,
};

use super::storage::Pin;
use super::{Happening, Life, World};
use crate::check::answers::Questions;
use crate::check::histories::Watermarks;
use crate::check::reserve::Reserve;
use crate::check::{Violation, durable, serving};
use crate::chronicle::{About, Kind, State};
use crate::clock::Clock;
use crate::disk::{Crash, Damaged, Disk};
use crate::faults::Fault;
use crate::history::{CallId, Try};
use crate::options::Options;
use crate::plan::Place;
use crate::rng::Rng;

/// A machine.
#[derive(Debug)]
pub(super) struct Host {
    /// Its process's, or the last one's.
    pub(super) identity: Identity,
    pub(super) rack: Option<usize>,
    pub(super) clock: Clock,
    pub(super) disk: Disk,
    pub(super) process: Option<Process>,
    /// How callers find a machine that has no process.
    pub(super) silence: Silence,
    /// The disk does nothing until then.
    pub(super) stalled_until: Time,
    /// The disk has reached its reserve until then.
    pub(super) full_until: Time,
    /// What has been put on it since the process knows; `None`: it has room, for all that the process knows.
    pub(super) reserve: Option<Reserve>,
    pub(super) rng: Rng,
    /// Whether any process has ever run here.
    pub(super) arrival: Arrival,
    /// When its directory was last wiped.
    pub(super) wiped: Option<Time>,
    /// By slot, the newest version that any process on this directory has acted in.
    pub(super) acted: Vec<ChainVersion>,
    /// By slot, what was committed while this directory was a member.
    pub(super) owed: Vec<Seq>,
}

/// How callers find a machine that has no process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// They are told at once that nobody listens.
    Refusing,
    /// They hear nothing: the whole machine is gone.
    Total,
}

/// When a node first starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It has.
    Here,
    /// It waits for its time.
    Late,
}

/// A process on it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) life: Life,
    pub(super) node: Node,
    pub(super) running: Running,
    pub(super) stopping: Stopping,
    pub(super) wake_at: Option<Time>,
    pub(super) lease: serving::Lease,
    /// Calls that it has not answered.
    pub(super) calls: BTreeMap<RequestId, Call>,
    /// By slot, as last seen.
    pub(super) marks: Vec<Watermarks>,
    /// By slot, what it has been asked by neighbours and not answered.
    pub(super) questions: Vec<Questions>,
    /// Nodes whose address it has heard from the coordinator.
    pub(super) addresses: BTreeSet<NodeId>,
    /// What it holds on to, by slot.
    pub(super) pins: BTreeMap<Slot, Pin>,
}

/// Whether a process is scheduled.
#[derive(Debug)]
pub(super) enum Running {
    Yes,
    /// It stands still; what arrives waits.
    Paused(VecDeque<Input>),
}

/// Whether a process has been told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopping {
    No,
    Yes,
}

/// What goes into a process.
#[derive(Debug)]
pub(super) enum Input {
    Event(Event),
    Request {
        asked: Asked,
        request: RequestId,
        target: Target,
        body: Body,
    },
    /// The disk has read a part of the slot's pin, if that is still this one.
    Chunk {
        slot: Slot,
        pin: u64,
        after: Option<Bytes>,
        bytes: usize,
    },
    /// The disk has read spilled entries.
    Spilled {
        slot: Slot,
        after: Seq,
        bytes: usize,
    },
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// The client's try; `None`: a repetition, whose answer nobody hears.
    pub(super) heard_by: Option<(usize, AttemptId)>,
    /// `None`: a client opens a session.
    pub(super) call: Option<CallId>,
}

/// A call that a process has to answer.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) asked: Asked,
    pub(super) slot: Slot,
    /// `None`: a session is to be opened, or objects are gone through.
    pub(super) key: Option<Bytes>,
    /// The session's write that it is.
    pub(super) origin: Option<Origin>,
}

pub(super) fn node_id(node: usize) -> NodeId {
    NodeId::new(&format!("n{}", node + 1)).expect("letters and digits")
}

impl Host {
    pub(super) fn new(node: usize, options: &Options, rng: &mut Rng) -> Self {
        let mut rng = rng.fork();
        let identity = Identity {
            cluster: options.coordinator.cluster.cluster,
            node: node_id(node),
            incarnation: Incarnation(u128::from(rng.next())),
            process: ProcessId(0),
        };
        let slots = options.slots as usize;
        Self {
            identity,
            rack: (options.racks > 0).then(|| node % options.racks),
            clock: draw_clock(options, &mut rng),
            disk: Disk::new(options.slots),
            process: None,
            silence: Silence::Refusing,
            stalled_until: Time(0),
            full_until: Time(0),
            reserve: None,
            rng,
            arrival: Arrival::Here,
            wiped: None,
            acted: vec![ChainVersion(0); slots],
            owed: vec![Seq(0); slots],
        }
    }

    pub(super) fn name(&self) -> &str {
        self.identity.node.as_str()
    }

    pub(super) fn record(&self) -> NodeRecord {
        let Identity { node, incarnation, .. } = self.identity.clone();
        let labels = self.rack.map(|rack| ("rack".to_owned(), format!("r{rack}")));
        NodeRecord { address: format!("{node}:7400"), node, incarnation, labels: labels.into_iter().collect() }
    }

    /// The process, if it is this one.
    pub(super) fn alive(&mut self, life: Life) -> Option<&mut Process> {
        self.process.as_mut().filter(|process| process.life == life)
    }

    /// Its directory is gone; the next process begins a new one under the same id.
    pub(super) fn wipe(&mut self, slots: u32, now: Time) {
        assert!(self.process.is_none(), "a directory in use cannot be wiped");
        self.disk = Disk::new(slots);
        self.identity.incarnation = Incarnation(u128::from(self.rng.next()));
        self.wiped = Some(now);
        self.acted.fill(ChainVersion(0));
        self.owed.fill(Seq(0));
    }
}

/// The clocks of a machine: any two run apart by what the options say at most, often by just that, and are up to ten seconds off.
pub(super) fn draw_clock(options: &Options, rng: &mut Rng) -> Clock {
    /// In millionths, either way, for each percent between two.
    const HALF: i64 = 4_950;
    const SECOND: i64 = 1_000_000_000;
    let signed = |rng: &mut Rng, bound: i64| rng.below(bound.unsigned_abs() * 2 + 1).cast_signed() - bound;
    let most = HALF * i64::from(options.scale.drift);
    let drift = match rng.below(5) {
        0 | 1 => most,
        2 | 3 => -most,
        _ => signed(rng, most),
    };
    let (origin, offset) = (rng.below(1 << 40), signed(rng, 10 * SECOND));
    if options.on(Fault::Skew) { Clock::new(origin, drift, offset) } else { Clock::new(origin, 0, 0) }
}

impl World {
    /// Starts a process on a machine that has none.
    pub(super) fn start(&mut self, node: usize) -> Result<(), Violation> {
        if self.hosts[node].process.is_some() {
            return Ok(());
        }
        let life = self.next_life();
        let slots = self.options.slots;
        let host = &mut self.hosts[node];
        (host.silence, host.arrival) = (Silence::Refusing, Arrival::Here);
        host.identity.process = ProcessId(host.rng.next());
        let recovered = host.disk.recover();
        for slot in (0..slots).map(Slot) {
            let (name, synced) = (host.identity.node.as_str(), host.disk.synced(slot));
            durable::recovered(slot, host.acted[slot.0 as usize], name, synced)?;
            let debt = durable::debt(self.realm.chain(slot), &host.identity, &self.ledger, host.owed[slot.0 as usize]);
            durable::holds(slot, &self.ledger, debt, name, synced)?;
        }
        let machine = Node::new(self.options.node.clone(), host.identity.clone(), recovered, host.clock.now(self.now));
        let marks = |slot| machine.view(slot).map_or(Watermarks::NONE, |view| Watermarks::of(&view));
        let marks = (0..slots).map(|slot| marks(Slot(slot))).collect();
        host.process = Some(Process {
            life,
            node: machine,
            running: Running::Yes,
            stopping: Stopping::No,
            wake_at: None,
            lease: serving::Lease::default(),
            calls: BTreeMap::new(),
            marks,
            questions: vec![Questions::default(); slots as usize],
            addresses: BTreeSet::new(),
            pins: BTreeMap::new(),
        });
        self.trace.begins(self.now, Place::Node(node), Kind::Process, About::default(), || (State::Up, "starts".to_owned()));
        (0..slots).map(Slot).for_each(|slot| self.note_replica(node, slot, None, String::new));
        for peer in (0..self.hosts.len()).filter(|peer| *peer != node) {
            self.network.reset(node, peer); // those of the process before, where nobody has noticed its death
            let delay = self.latency();
            self.queue.push(self.now + delay, Happening::Connect { a: node, b: peer });
        }
        let delay = self.latency();
        self.queue.push(self.now + delay, Happening::OpenStream { node, life });
        self.schedule_wake(node);
        if self.now < self.hosts[node].full_until {
            self.input(node, life, Input::Event(Event::DiskFull { full: true }))?;
        }
        Ok(())
    }

    /// A process dies, alone or with its machine. What was in flight to and from it is gone. Whether there was one.
    pub(super) fn crash(&mut self, node: usize, crash: Crash, silence: Silence) -> bool {
        let host = &mut self.hosts[node];
        let Some(process) = host.process.take() else { return false };
        host.reserve = None;
        host.disk.crash(crash, &mut host.rng);
        host.silence = silence;
        self.trace.begins(self.now, Place::Node(node), Kind::Process, About::default(), || {
            (State::Down, format!("goes down: {crash:?}, {silence:?}"))
        });
        self.lines.hang_up(node);
        if silence == Silence::Total {
            return true;
        }
        for peer in 0..self.hosts.len() {
            self.network.reset(node, peer);
        }
        for call in process.calls.into_values() {
            // A client learns that its connection broke, or nothing.
            if self.rng.below(2) == 0 {
                self.connection_lost(node, call.asked);
            }
        }
        true
    }

    /// A process is told to end. Whether it had not been.
    pub(super) fn stop(&mut self, node: usize) -> Result<bool, Violation> {
        let Some(process) = &mut self.hosts[node].process else { return Ok(false) };
        if process.stopping == Stopping::Yes || !matches!(process.running, Running::Yes) {
            return Ok(false);
        }
        process.stopping = Stopping::Yes;
        let life = process.life;
        self.step(node, Event::Stop, None)?;
        let patience = self.rng.duration(Duration::from_millis(100), Duration::from_millis(500));
        self.queue.push(self.now + Duration::from_millis(50), Happening::Leave { node, life, until: self.now + patience });
        Ok(true)
    }

    /// A process that was told to end does so when it has answered its calls, or has waited long enough.
    pub(super) fn leave(&mut self, node: usize, life: Life, until: Time) {
        let Some(process) = self.hosts[node].alive(life) else { return };
        if !process.calls.is_empty() && self.now < until {
            self.queue.push(self.now + Duration::from_millis(20), Happening::Leave { node, life, until });
        } else {
            self.crash(node, Crash::Kill, Silence::Refusing);
        }
    }

    /// Hands something to a process, now or when it goes on.
    pub(super) fn input(&mut self, node: usize, life: Life, input: Input) -> Result<(), Violation> {
        let host = &mut self.hosts[node];
        let Some(process) = host.process.as_mut().filter(|process| process.life == life) else { return Ok(()) };
        if let Running::Paused(waiting) = &mut process.running {
            waiting.push_back(input);
            return Ok(());
        }
        match input {
            Input::Event(event) => {
                match &event {
                    Event::DiskFull { full } => self.hosts[node].reserve = full.then(Reserve::default),
                    Event::Message { from, envelope } => self.note_asked(node, from, envelope)?,
                    _ => {}
                }
                self.step(node, event, None)
            }
            Input::Request { asked, request, target, body } => self.request(node, asked, request, target, body),
            Input::Chunk { slot, pin, after, bytes } => match process.pins.get_mut(&slot).filter(|held| held.number == pin) {
                Some(held) => {
                    let event = held.read(&host.disk, slot, after, bytes);
                    self.step(node, event, None)
                }
                None => Ok(()),
            },
            Input::Spilled { slot, after, bytes } => {
                let entries = host.disk.spilled(slot, after, bytes);
                self.step(node, Event::SpilledRead { slot, entries }, None)
            }
        }
    }

    /// To whichever process there is.
    pub(super) fn input_any(&mut self, node: usize, input: Input) -> Result<(), Violation> {
        match &self.hosts[node].process {
            Some(process) => self.input(node, process.life, input),
            None => Ok(()),
        }
    }

    pub(super) fn wake(&mut self, node: usize, life: Life, at: Time) -> Result<(), Violation> {
        let Some(process) = self.hosts[node].alive(life).filter(|process| process.wake_at == Some(at)) else { return Ok(()) };
        process.wake_at = None;
        self.input(node, life, Input::Event(Event::Wake))
    }

    /// A client's request reaches a process.
    fn request(&mut self, node: usize, asked: Asked, request: RequestId, target: Target, body: Body) -> Result<(), Violation> {
        self.call = asked.call;
        let host = &mut self.hosts[node];
        let process = host.process.as_mut().expect("the caller has looked");
        let slot = target.slot;
        let (key, origin) = match &body {
            Body::Read { key } => (Some(key.clone()), None),
            Body::Write { command, origin } => (Some(command.key.clone()), *origin),
            Body::Scan { .. } | Body::OpenSession => (None, None),
        };
        process.calls.insert(request, Call { asked, slot, key, origin });
        let event = match body {
            Body::Read { key } => match host.disk.object(slot, &key) {
                Ok(stored) => Event::Read { request, target, key, stored },
                Err(Damaged) => Event::Damaged { slot, request: Some(request) },
            },
            Body::Write { command, origin } => match host.disk.metadata(slot, &command.key) {
                Ok(stored) => Event::Write { request, target, command, origin, stored },
                Err(Damaged) => Event::Damaged { slot, request: Some(request) },
            },
            Body::Scan { after, bytes } => match host.disk.page(slot, after.as_ref(), bytes) {
                Ok(stored) => Event::Scan { request, target, after, bytes, stored },
                Err(Damaged) => Event::Damaged { slot, request: Some(request) },
            },
            Body::OpenSession => Event::OpenSession { request, target },
        };
        self.step(node, event, asked.call.map(|call| Try { call, request }))
    }
}
