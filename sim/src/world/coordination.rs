//! The coordinator: its process, its store, and the streams that nodes have to it.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use catena_core::{
    Change, ClusterConfig, ClusterId, Coordinator, CoordinatorEffect, CoordinatorEvent, Event, Heartbeat, HeartbeatAnswer,
    NodeId, NodeRecord, Route, Ticket, Time,
};
use catena_store::{ConfigStore, MemoryConfigStore};

use super::clients::Heard;
use super::hosts::{Input, draw_clock, node_id};
use super::{Happening, Life, World};
use crate::check::{Checker, Severity, Violation};
use crate::clock::Clock;
use crate::faults::Fault;
use crate::options::Options;
use crate::rng::Rng;

/// The coordinator's machine.
#[derive(Debug)]
pub(super) struct Capital {
    config: ClusterConfig,
    clock: Clock,
    store: MemoryConfigStore,
    process: Option<Process>,
    /// What waits while the process stands still.
    paused: Option<VecDeque<CoordinatorEvent>>,
    /// By node.
    streams: Vec<Stream>,
    opened: u64,
    route: Rc<Route>,
    /// Kept between steps for its memory.
    effects: Vec<CoordinatorEffect>,
}

#[derive(Debug)]
struct Process {
    life: Life,
    machine: Coordinator,
    /// Handed to the store, one commit after the other.
    commits: VecDeque<(Ticket, Vec<Change>)>,
}

/// A node's stream to the coordinator.
#[derive(Clone, Debug, Default)]
struct Stream {
    /// Its name while it is open; a new stream gets a new one.
    open: Option<u64>,
    /// Whether the coordinator has let the node in.
    registered: Registration,
    /// Nothing arrives before these: each direction is in order.
    last_up: Time,
    last_down: Time,
    cuts: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Registration {
    #[default]
    Pending,
    Done,
}

/// From a node.
#[derive(Debug)]
pub(super) enum Up {
    Register(NodeRecord),
    Heartbeat(Heartbeat),
}

/// To a node.
#[derive(Debug)]
pub(super) enum Down {
    Registered,
    Answer(HeartbeatAnswer),
}

impl Options {
    pub(super) fn cluster(&self) -> ClusterId {
        ClusterId(0xca7e_9a00_0000_0000_0000_0000_0000_0000 + u128::from(self.seed))
    }
}

impl Capital {
    pub(super) fn new(options: &Options, rng: &mut Rng) -> Self {
        let config = ClusterConfig {
            cluster: options.cluster(),
            slots: options.slots,
            replicas: options.replicas,
            nodes: (0..options.scale.nodes).map(node_id).collect(),
            lease: options.lease,
        };
        let clock = if options.on(Fault::Skew) { draw_clock(rng) } else { Clock::new(rng.below(1 << 40), 0, 0) };
        let route = Rc::new(Coordinator::new(config.clone(), Vec::new()).route());
        Self {
            clock,
            store: MemoryConfigStore::new(),
            process: None,
            paused: None,
            streams: vec![Stream::default(); options.scale.nodes],
            opened: 0,
            route,
            effects: Vec::new(),
            config,
        }
    }

    /// What was last in effect.
    pub(super) fn route(&self) -> &Rc<Route> {
        &self.route
    }

    pub(super) fn alive(&self) -> bool {
        self.process.is_some()
    }

    /// Whether it can answer just now.
    fn answers(&self) -> bool {
        self.process.is_some() && self.paused.is_none()
    }

    /// A node's stream breaks. Whether it was open.
    pub(super) fn hang_up(&mut self, node: usize) -> bool {
        self.streams[node].registered = Registration::Pending;
        self.streams[node].open.take().is_some()
    }

    /// Stands still. Whether it went before.
    pub(super) fn pause(&mut self) -> bool {
        let pauses = self.answers();
        if pauses {
            self.paused = Some(VecDeque::new());
        }
        pauses
    }

    pub(super) fn cut(&mut self, node: usize) {
        self.streams[node].cuts += 1;
    }

    pub(super) fn mend(&mut self, node: usize) {
        self.streams[node].cuts -= 1;
    }

    pub(super) fn mend_all(&mut self) {
        self.streams.iter_mut().for_each(|stream| stream.cuts = 0);
    }

    /// Whether a node has dialled and was not let in yet: where a cut took the answer, it never will be.
    pub(super) fn pending(&self, node: usize) -> bool {
        let stream = &self.streams[node];
        stream.open.is_some() && stream.registered == Registration::Pending
    }
}

impl World {
    /// Starts the coordinator on what its store holds, if it is down.
    pub(super) fn start_coordinator(&mut self) -> Result<(), Violation> {
        if self.capital.alive() {
            return Ok(());
        }
        let life = self.next_life();
        let capital = &mut self.capital;
        let config = capital.config.clone();
        let loaded = capital.store.establish(&config).and_then(|()| capital.store.load());
        let stored = loaded.map_err(|error| broken(error.to_string()))?;
        let machine = Coordinator::new(config, stored);
        capital.route = Rc::new(machine.route());
        capital.process = Some(Process { life, machine, commits: VecDeque::new() });
        self.trace.line(self.now, || "the coordinator starts".to_owned());
        Ok(())
    }

    /// The coordinator dies. The commit that was going on is stored or not. Whether it was alive.
    pub(super) fn kill_coordinator(&mut self) -> Result<bool, Violation> {
        let stored = self.rng.below(2) == 0;
        let capital = &mut self.capital;
        let Some(process) = capital.process.take() else { return Ok(false) };
        capital.paused = None;
        if let Some((_, changes)) = process.commits.front().filter(|_| stored) {
            capital.store.commit(changes).map_err(|error| broken(error.to_string()))?;
        }
        self.trace.line(self.now, || "the coordinator goes down".to_owned());
        (0..self.hosts.len()).for_each(|node| self.break_stream(node));
        Ok(true)
    }

    pub(super) fn resume_coordinator(&mut self) -> Result<(), Violation> {
        let waiting = self.capital.paused.take().into_iter().flatten();
        waiting.collect::<Vec<_>>().into_iter().try_for_each(|event| self.coordinate(event))
    }

    /// A node's stream breaks; its process notices and dials again.
    pub(super) fn break_stream(&mut self, node: usize) {
        if self.capital.hang_up(node)
            && let Some(process) = &self.hosts[node].process
        {
            let life = process.life;
            self.redial(node, life);
        }
    }

    fn redial(&mut self, node: usize, life: Life) {
        let delay = self.rng.duration(Duration::from_millis(5), Duration::from_millis(100));
        self.queue.push(self.now + delay, Happening::OpenStream { node, life });
    }

    pub(super) fn open_stream(&mut self, node: usize, life: Life) {
        let alive = self.hosts[node].process.as_ref().is_some_and(|process| process.life == life);
        if !alive || self.capital.streams[node].open.is_some() {
            return;
        }
        if !self.capital.answers() || self.capital.streams[node].cuts > 0 {
            return self.redial(node, life);
        }
        self.capital.opened += 1;
        let name = self.capital.opened;
        self.capital.streams[node] = Stream { open: Some(name), ..Stream::default() };
        self.up(node, name, Up::Register(self.hosts[node].record()));
    }

    fn up(&mut self, node: usize, name: u64, up: Up) {
        let at = self.now + self.latency();
        let stream = &mut self.capital.streams[node];
        stream.last_up = stream.last_up.max(at);
        self.queue.push(stream.last_up, Happening::ToCoordinator { node, stream: name, up });
    }

    /// A node sends a heartbeat, if the coordinator has let it in.
    pub(super) fn heartbeat(&mut self, node: usize, heartbeat: Heartbeat) {
        let stream = &self.capital.streams[node];
        let (Some(name), Registration::Done, 0) = (stream.open, stream.registered, stream.cuts) else { return };
        if !self.strikes(Fault::LostHeartbeat) {
            self.up(node, name, Up::Heartbeat(heartbeat));
        }
    }

    pub(super) fn arrive_at_coordinator(&mut self, node: usize, stream: u64, up: Up) -> Result<(), Violation> {
        if self.capital.streams[node].open != Some(stream) {
            return Ok(());
        }
        let event = match up {
            Up::Register(record) => CoordinatorEvent::Register(record),
            Up::Heartbeat(heartbeat) => CoordinatorEvent::Heartbeat { from: node_id(node), heartbeat },
        };
        self.coordinate(event)
    }

    /// One step of the coordinator, now or when it goes on.
    fn coordinate(&mut self, event: CoordinatorEvent) -> Result<(), Violation> {
        let capital = &mut self.capital;
        if let Some(waiting) = &mut capital.paused {
            waiting.push_back(event);
            return Ok(());
        }
        let Some(process) = &mut capital.process else { return Ok(()) };
        let mut effects = std::mem::take(&mut capital.effects);
        process.machine.step(capital.clock.now(self.now), event, &mut effects);
        for effect in effects.drain(..) {
            self.run_coordinator_effect(effect)?;
        }
        self.capital.effects = effects;
        Ok(())
    }

    fn run_coordinator_effect(&mut self, effect: CoordinatorEffect) -> Result<(), Violation> {
        match effect {
            CoordinatorEffect::Store { ticket, changes } => {
                let process = self.capital.process.as_mut().expect("it was stepped");
                process.commits.push_back((ticket, changes));
                if process.commits.len() == 1 {
                    self.begin_commit();
                }
            }
            CoordinatorEffect::Registered { node } => self.down(&node, Down::Registered),
            CoordinatorEffect::Refused { node, reason } => return Err(broken(format!("{node} is refused: {reason}"))),
            CoordinatorEffect::Answer { to, answer } => self.answer(&to, answer),
            CoordinatorEffect::RouteChanged => {
                let route = self.capital.process.as_ref().expect("it was stepped").machine.route();
                self.trace.add(route.revision.0);
                self.trace.line(self.now, || {
                    let versions: Vec<String> = route.chains.iter().map(|chain| chain.version.to_string()).collect();
                    format!("route at revision {}, versions {}", route.revision, versions.join(" "))
                });
                self.capital.route = Rc::new(route);
            }
        }
        Ok(())
    }

    fn begin_commit(&mut self) {
        let life = self.capital.process.as_ref().expect("it was stepped").life;
        let mut duration = self.rng.duration(self.options.sync / 4, self.options.sync * 2);
        if self.strikes(Fault::SlowCommit) {
            duration += self.rng.heavy_tail(Duration::from_millis(50)).min(Duration::from_secs(3));
        }
        self.queue.push(self.now + duration, Happening::Committed { life });
    }

    pub(super) fn coordinator_committed(&mut self, life: Life) -> Result<(), Violation> {
        let capital = &mut self.capital;
        let Some(process) = capital.process.as_mut().filter(|process| process.life == life) else { return Ok(()) };
        let (ticket, changes) = process.commits.pop_front().expect("it was begun");
        let more = !process.commits.is_empty();
        capital.store.commit(&changes).map_err(|error| broken(error.to_string()))?;
        if more {
            self.begin_commit();
        }
        self.coordinate(CoordinatorEvent::Stored { ticket })
    }

    fn answer(&mut self, to: &NodeId, answer: HeartbeatAnswer) {
        if self.strikes(Fault::LostAnswer) {
            return;
        }
        // What carries a decision is repeated often: a repeated heartbeat without news is soon nothing.
        let news = self.options.on(Fault::RepeatedAnswer) && !answer.chains.is_empty() && self.rng.below(4) == 0;
        if news {
            self.count(Fault::RepeatedAnswer);
        }
        if news || self.strikes(Fault::RepeatedAnswer) {
            let late = self.rng.lateness();
            let node = self.node_of(to);
            if let Some(stream) = self.capital.streams[node].open {
                let down = Down::Answer(answer.clone());
                self.queue.push(self.now + late, Happening::FromCoordinator { node, stream, down });
            }
        }
        self.down(to, Down::Answer(answer));
    }

    fn down(&mut self, to: &NodeId, down: Down) {
        let node = self.node_of(to);
        let mut delay = self.latency();
        if matches!(down, Down::Answer(_)) && self.strikes(Fault::DelayedAnswer) {
            delay += self.rng.heavy_tail(Duration::from_millis(2));
        }
        let stream = &mut self.capital.streams[node];
        let (Some(name), 0) = (stream.open, stream.cuts) else { return };
        stream.last_down = stream.last_down.max(self.now + delay);
        self.queue.push(stream.last_down, Happening::FromCoordinator { node, stream: name, down });
    }

    pub(super) fn arrive_from_coordinator(&mut self, node: usize, stream: u64, down: Down) -> Result<(), Violation> {
        if self.capital.streams[node].open != Some(stream) {
            return Ok(());
        }
        let event = match down {
            Down::Registered => {
                self.capital.streams[node].registered = Registration::Done;
                Event::CoordinatorUp
            }
            Down::Answer(answer) => Event::Answer(answer),
        };
        self.input_any(node, Input::Event(event))
    }

    /// A client asks for the route, and may hear nothing.
    pub(super) fn ask_route(&mut self, client: usize) {
        if !self.capital.answers() || self.strikes(Fault::LostReply) {
            return;
        }
        let route = Rc::clone(self.capital.route());
        let delay = self.latency();
        self.queue.push(self.now + delay, Happening::Client { client, heard: Heard::Route(route) });
    }

    fn node_of(&self, id: &NodeId) -> usize {
        self.hosts.iter().position(|host| host.identity.node == *id).expect("the coordinator knows its nodes")
    }
}

/// Something that the world does not do has happened.
fn broken(sentence: String) -> Violation {
    Violation { severity: Severity::Safety, checker: Checker::Assertion, rule: "C1", sentence }
}
