//! Storage nodes: processes on machines with a disk and clocks; what goes into them and what comes out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use catena_core::{
    Action, ChainVersion, Command, Envelope, Event, Identity, Incarnation, Node, NodeId, NodeRecord, RequestId, Slot, Target,
    Time,
};

use super::clients::{Answer, Heard};
use super::{Happening, Life, World};
use crate::check::histories::Watermarks;
use crate::check::{Violation, durable, serving};
use crate::clock::Clock;
use crate::disk::{Crash, Disk};
use crate::faults::Fault;
use crate::history::{CallId, Deed, Try, Wish};
use crate::network::Connection;
use crate::options::Options;
use crate::rng::Rng;

/// A machine.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) identity: Identity,
    pub(super) clock: Clock,
    pub(super) disk: Disk,
    pub(super) process: Option<Process>,
    /// The disk does nothing until then.
    pub(super) stalled_until: Time,
    rng: Rng,
    /// By slot, the newest version that any process here has acted in.
    pub(super) acted: Vec<ChainVersion>,
}

/// A process on it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) life: Life,
    pub(super) node: Node,
    pub(super) running: Running,
    pub(super) wake_at: Option<Time>,
    pub(super) lease: serving::Lease,
    /// Calls that it has not answered.
    pub(super) calls: BTreeMap<RequestId, Asked>,
    /// By slot, as last seen.
    pub(super) marks: Vec<Watermarks>,
    /// Nodes whose address it has heard from the coordinator.
    pub(super) addresses: BTreeSet<NodeId>,
}

/// Whether a process is scheduled.
#[derive(Debug)]
pub(super) enum Running {
    Yes,
    /// It stands still; what arrives waits.
    Paused(VecDeque<Input>),
}

/// What goes into a process.
#[derive(Debug)]
pub(super) enum Input {
    Event(Event),
    Request { asked: Asked, request: RequestId, target: Target, wish: Wish },
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) client: usize,
    pub(super) call: CallId,
}

pub(super) fn node_id(node: usize) -> NodeId {
    NodeId::new(&format!("n{}", node + 1)).expect("letters and digits")
}

impl Host {
    pub(super) fn new(node: usize, options: &Options, rng: &mut Rng) -> Self {
        let identity =
            Identity { cluster: options.cluster(), node: node_id(node), incarnation: Incarnation(0xd15c + node as u128) };
        let clock = if options.on(Fault::Skew) { draw_clock(rng) } else { Clock::new(rng.below(1 << 40), 0, 0) };
        Self {
            identity,
            clock,
            disk: Disk::new(options.slots),
            process: None,
            stalled_until: Time(0),
            rng: rng.fork(),
            acted: vec![ChainVersion(0); options.slots as usize],
        }
    }

    pub(super) fn name(&self) -> &str {
        self.identity.node.as_str()
    }

    pub(super) fn record(&self) -> NodeRecord {
        let Identity { cluster: _, node, incarnation } = self.identity.clone();
        NodeRecord { address: format!("{node}:7400"), node, incarnation }
    }

    /// The process, if it is this one.
    fn alive(&mut self, life: Life) -> Option<&mut Process> {
        self.process.as_mut().filter(|process| process.life == life)
    }
}

/// A clock within the promised drift of 1 %, often at its very edge, and up to ten seconds off.
pub(super) fn draw_clock(rng: &mut Rng) -> Clock {
    const DRIFT: i64 = 10_000;
    const SECOND: i64 = 1_000_000_000;
    let signed = |rng: &mut Rng, bound: i64| rng.below(bound.unsigned_abs() * 2 + 1).cast_signed() - bound;
    let drift = match rng.below(3) {
        0 => DRIFT,
        1 => -DRIFT,
        _ => signed(rng, DRIFT),
    };
    Clock::new(rng.below(1 << 40), drift, signed(rng, 10 * SECOND))
}

impl World {
    /// Starts a process on a machine that has none.
    pub(super) fn start(&mut self, node: usize) -> Result<(), Violation> {
        if self.hosts[node].process.is_some() {
            return Ok(());
        }
        let life = self.next_life();
        let member_of: Vec<Slot> = (0..self.options.slots).map(Slot).filter(|slot| self.members(*slot).contains(&node)).collect();
        let host = &mut self.hosts[node];
        let recovered = host.disk.recover();
        for slot in member_of {
            let acted = host.acted[slot.0 as usize];
            durable::recovered(slot, &self.ledger, acted, host.identity.node.as_str(), host.disk.synced(slot))?;
        }
        let machine = Node::new(self.options.node.clone(), host.identity.clone(), recovered, host.clock.now(self.now));
        let marks = (0..self.options.slots)
            .map(|slot| machine.view(Slot(slot)).map_or(Watermarks::default(), |view| Watermarks::of(&view, None)))
            .collect();
        host.process = Some(Process {
            life,
            node: machine,
            running: Running::Yes,
            wake_at: None,
            lease: serving::Lease::default(),
            calls: BTreeMap::new(),
            marks,
            addresses: BTreeSet::new(),
        });
        let name = host.name().to_owned();
        self.trace.line(self.now, || format!("{name} starts"));
        for peer in (0..self.hosts.len()).filter(|peer| *peer != node) {
            let delay = self.latency();
            self.queue.push(self.now + delay, Happening::Connect { a: node, b: peer });
        }
        let delay = self.latency();
        self.queue.push(self.now + delay, Happening::OpenStream { node, life });
        self.schedule_wake(node);
        Ok(())
    }

    /// A process dies, alone or with its machine. What was in flight to and from it is gone. Whether there was one.
    pub(super) fn crash(&mut self, node: usize, crash: Crash) -> bool {
        let host = &mut self.hosts[node];
        let Some(process) = host.process.take() else { return false };
        host.disk.crash(crash, &mut host.rng);
        let name = host.name().to_owned();
        self.trace.line(self.now, || format!("{name} goes down: {crash:?}"));
        for peer in 0..self.hosts.len() {
            self.network.reset(node, peer);
        }
        self.capital.hang_up(node);
        for (request, asked) in process.calls {
            // A client learns that its connection broke, or nothing.
            if self.rng.below(2) == 0 {
                let delay = self.latency();
                let heard = Heard::Answer { request, answer: Answer::Broken };
                self.queue.push(self.now + delay, Happening::Client { client: asked.client, heard });
            }
        }
        true
    }

    /// Hands something to a process, now or when it goes on.
    pub(super) fn input(&mut self, node: usize, life: Life, input: Input) -> Result<(), Violation> {
        let Some(process) = self.hosts[node].alive(life) else { return Ok(()) };
        match &mut process.running {
            Running::Paused(waiting) => {
                waiting.push_back(input);
                Ok(())
            }
            Running::Yes => match input {
                Input::Event(event) => self.step(node, event),
                Input::Request { asked, request, target, wish } => self.request(node, asked, request, target, wish),
            },
        }
    }

    /// To whichever process there is.
    pub(super) fn input_any(&mut self, node: usize, input: Input) -> Result<(), Violation> {
        match &self.hosts[node].process {
            Some(process) => self.input(node, process.life, input),
            None => Ok(()),
        }
    }

    pub(super) fn frame(&mut self, from: usize, to: usize, connection: Connection, envelope: Envelope) -> Result<(), Violation> {
        if !self.network.arrives(from, to, connection) {
            return Ok(());
        }
        let from = self.hosts[from].identity.node.clone();
        self.input_any(to, Input::Event(Event::Message { from, envelope }))
    }

    pub(super) fn link_up(&mut self, node: usize, peer: usize, connection: Connection) -> Result<(), Violation> {
        if !self.network.arrives(node, peer, connection) {
            return Ok(());
        }
        let peer = self.hosts[peer].identity.node.clone();
        self.input_any(node, Input::Event(Event::LinkUp { peer }))
    }

    /// Two nodes connect, as soon as both are there, nothing is cut, and the one that dials knows where.
    pub(super) fn connect(&mut self, a: usize, b: usize) {
        if self.hosts[a].process.is_none() || self.hosts[b].process.is_none() {
            return; // the one that starts will try
        }
        let (dials, accepts) = (a.min(b), a.max(b));
        let accepts = &self.hosts[accepts].identity.node;
        let known = self.hosts[dials].process.as_ref().is_some_and(|process| process.addresses.contains(accepts));
        let connected = if known { self.network.connect(a, b, self.now, &self.options) } else { None };
        match connected {
            Some((connection, [at_a, at_b])) => {
                self.queue.push(at_a, Happening::LinkUp { node: a, peer: b, connection });
                self.queue.push(at_b, Happening::LinkUp { node: b, peer: a, connection });
            }
            None if self.network.connected(a, b) => {}
            None => {
                let delay = self.rng.duration(Duration::from_millis(5), Duration::from_millis(100));
                self.queue.push(self.now + delay, Happening::Connect { a, b });
            }
        }
    }

    pub(super) fn wake(&mut self, node: usize, life: Life, at: Time) -> Result<(), Violation> {
        let Some(process) = self.hosts[node].alive(life).filter(|process| process.wake_at == Some(at)) else { return Ok(()) };
        process.wake_at = None;
        self.input(node, life, Input::Event(Event::Wake))
    }

    /// A sync has ended: what it covered is durable and visible. The process learns of it a little later.
    pub(super) fn synced(&mut self, node: usize, life: Life) {
        let delay = self.rng.duration(Duration::from_micros(1), Duration::from_micros(50));
        let host = &mut self.hosts[node];
        if host.alive(life).is_none() {
            return;
        }
        if self.now < host.stalled_until {
            self.queue.push(host.stalled_until, Happening::Synced { node, life });
            return;
        }
        let ticket = host.disk.end();
        self.queue.push(self.now + delay, Happening::Input { node, life, input: Input::Event(Event::Durable { ticket }) });
        self.begin_sync(node, life);
    }

    pub(super) fn begin_sync(&mut self, node: usize, life: Life) {
        if !self.hosts[node].disk.begin() {
            return;
        }
        let mut duration = self.rng.duration(self.options.sync / 4, self.options.sync);
        if self.strikes(Fault::SlowSync) {
            duration += self.rng.heavy_tail(Duration::from_millis(1));
        }
        self.queue.push(self.now + duration, Happening::Synced { node, life });
    }

    /// A client's request reaches a process.
    fn request(&mut self, node: usize, asked: Asked, request: RequestId, target: Target, wish: Wish) -> Result<(), Violation> {
        let host = &mut self.hosts[node];
        let process = host.process.as_mut().expect("the caller has looked");
        process.calls.insert(request, asked);
        let Wish { key, deed, conditions } = wish;
        let action = match deed {
            Deed::Get => {
                let stored = host.disk.object(target.slot, &key);
                return self.step(node, Event::Read { request, target, key, stored });
            }
            Deed::Put { value } => Action::Put { value },
            Deed::Delete => Action::Delete,
        };
        let before = process.node.view(target.slot).map(|view| view.last.seq);
        let stored = host.disk.metadata(target.slot, &key);
        self.step(node, Event::Write { request, target, command: Command { key, action, conditions }, stored })?;
        let process = self.hosts[node].process.as_ref().expect("a step ends no process");
        let last = process.node.view(target.slot).map(|view| view.last);
        let Some(id) = last.filter(|last| Some(last.seq) > before) else { return Ok(()) };
        let author = Try { call: asked.call, request };
        let twice = self.history.order(target.slot, id, author);
        demand!(
            twice.is_none(),
            Histories,
            "W1, C10",
            "slot {}: {} orders {id} for {author:?}, it was ordered for {twice:?} before",
            target.slot,
            self.hosts[node].name()
        );
        Ok(())
    }
}
