//! The loop around core's [`Node`]: the one task that owns it, and decides nothing itself.
//!
//! One turn: wait for anything; feed everything that is ready, up to a bound, one step each; run each step's effects before
//! the next step.

mod reads;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use catena_core::{Batch, Decisions, Effect, Event, Node, NodeId, RequestId, Slot, Ticket, Time};
use catena_net::coordination::Heartbeats;
use catena_net::link::Links;
use catena_net::server::{Answers, Caller, NodeInput};
use catena_store::{Reader, StoreError};
use tokio::sync::mpsc;

use super::calls::Calls;
use super::departure::{Departure, Turn};
use super::metrics::{Asked, NodeMetrics};
use super::notes::Notes;
use super::pins::{PartRead, Pins};
use super::state::{NodeState, Sight};
use super::uplink::{Uplink, UplinkEvent};
use super::watching::{Watching, readiness};
use super::{NodeError, NodeMonitor, Storage};
use crate::Clock;
use crate::monitor::Question;
use crate::timer::Timer;

/// Inputs taken in one turn: enough to batch, few enough that tickets and heartbeats do not wait.
const INPUTS_A_TURN: usize = 128;

/// After so long a turn ends with the input that it is at, and sockets and timers have theirs: a read of one of the largest
/// values takes some ten milliseconds, and a heartbeat is waited for every tenth of a second.
const TURN: Duration = Duration::from_millis(5);

/// Everything that the loop owns.
pub(super) struct Driver<R: Reader> {
    name: NodeId,
    node: Node,
    clock: Clock,
    storage: Storage<R>,
    pins: Pins<R>,
    parts: mpsc::UnboundedReceiver<PartRead>,
    links: Links,
    departure: Departure,
    /// Where heartbeats go; `None` while there is no coordinator.
    heartbeats: Option<Heartbeats>,
    calls: Calls,
    /// What their answers weigh that are not taken yet.
    answers: Answers,
    /// Slots whose damage has been logged.
    damaged: BTreeSet<Slot>,
    notes: Notes,
    metrics: NodeMetrics,
    watching: Watching,
    monitor: NodeMonitor,
    /// When this turn, or the latest step in it, began.
    now: Time,
    /// Reused from step to step.
    effects: Vec<Effect>,
    /// What this turn's steps have for the disk: handed over at its end, so that they share a sync.
    batches: Vec<Batch>,
}

/// What a turn begins with.
enum Ready {
    Input(NodeInput),
    Durable(Option<Result<Ticket, StoreError>>),
    Uplink(Option<UplinkEvent>),
    Part(PartRead),
    Departure(Turn),
    DiskFull,
    Question(Question<NodeState>),
    Deadline,
}

impl<R: Reader> Driver<R> {
    pub(super) fn new(
        node: Node,
        mut clock: Clock,
        storage: Storage<R>,
        (links, answers): (Links, Answers),
        departure: Departure,
        notes: Notes,
        monitor: NodeMonitor,
    ) -> Self {
        let (pins, parts) = Pins::new(storage.reader.clone());
        let now = clock().monotonic;
        let (name, metrics) = (node.overview(now).identity.node.clone(), monitor.metrics.clone());
        Self {
            name,
            node,
            clock,
            storage,
            pins,
            parts,
            links,
            departure,
            heartbeats: None,
            calls: Calls::new(metrics.clone()),
            answers,
            damaged: BTreeSet::new(),
            notes,
            metrics,
            watching: Watching::default(),
            monitor,
            now,
            effects: Vec::new(),
            batches: Vec::new(),
        }
    }

    /// Runs until something ends the node; ends otherwise only by being dropped.
    pub(super) async fn run(mut self, inputs: mpsc::Receiver<NodeInput>, uplink: Uplink) -> NodeError {
        match self.turns(inputs, uplink).await {
            Err(error) => error,
        }
    }

    async fn turns(&mut self, mut inputs: mpsc::Receiver<NodeInput>, mut uplink: Uplink) -> Result<Infallible, NodeError> {
        let mut timer = Timer::new();
        loop {
            let now = (self.clock)();
            self.look(now.monotonic);
            let (at, _) = self.node.deadline();
            timer.set(now, at);
            let ready = tokio::select! {
                biased;
                durable = self.storage.durable.recv() => Ready::Durable(durable),
                event = uplink.events.recv() => Ready::Uplink(event),
                Some(part) = self.parts.recv() => Ready::Part(part),
                turn = self.departure.next() => Ready::Departure(turn),
                Ok(()) = self.storage.full.changed() => Ready::DiskFull,
                () = timer.sleep.as_mut() => Ready::Deadline,
                Some(question) = self.monitor.asked() => Ready::Question(question),
                Some(input) = inputs.recv() => Ready::Input(input),
            };
            let mut in_time = true;
            match ready {
                Ready::Input(input) => in_time = self.on_inputs(input, &mut inputs)?,
                Ready::Durable(durable) => self.on_durable(durable.expect("a store reports its end"))?,
                Ready::Uplink(event) => self.on_uplink(event.expect("the uplink reports its end"))?,
                Ready::Part(part) => self.on_part(part)?,
                Ready::Departure(turn) => self.on_departure(turn),
                Ready::DiskFull => self.on_disk_full(),
                Ready::Question(question) => self.on_question(question),
                Ready::Deadline => {
                    timer.fired();
                    self.step(Event::Wake);
                }
            }
            self.submit()?;
            if self.departure.leave_if_free() {
                self.links.close();
            }
            if !in_time {
                // The tasks that carry heartbeats and answers have their turn as well.
                tokio::task::yield_now().await;
            }
        }
    }

    /// The disk has reached its reserve, or has room again.
    fn on_disk_full(&mut self) {
        let full = *self.storage.full.borrow_and_update();
        if full {
            self.notes.disk_is_full();
        } else {
            self.notes.disk_has_room();
        }
        self.step(Event::DiskFull { full });
    }

    /// Takes this input, and what waits behind it, for a turn; says whether it had the time for them.
    fn on_inputs(&mut self, first: NodeInput, waiting: &mut mpsc::Receiver<NodeInput>) -> Result<bool, NodeError> {
        let began = (self.clock)().monotonic;
        self.on_input(first)?;
        for _ in 1..INPUTS_A_TURN {
            // As of the latest step, before which the store was read.
            if self.now.since(began) >= TURN {
                return Ok(false);
            }
            let Ok(input) = waiting.try_recv() else { break };
            self.on_input(input)?;
        }
        Ok(true)
    }

    fn on_input(&mut self, input: NodeInput) -> Result<(), NodeError> {
        match input {
            NodeInput::Write { target, command, origin, reply } => {
                let Some(reply) = self.admit_key(Asked::Write, &command.key, reply) else { return Ok(()) };
                let stored = self.storage.reader.metadata(target.slot, &command.key);
                let request = self.calls.take_up(Asked::Write, reply, self.now);
                match stored {
                    Ok(stored) => self.step(Event::Write { request, target, command, origin, stored }),
                    Err(error) => self.on_unreadable(target.slot, Some(request), error)?,
                }
            }
            NodeInput::OpenSession { target, reply } => {
                let request = self.calls.take_up(Asked::Session, reply, self.now);
                self.step(Event::OpenSession { request, target });
            }
            NodeInput::Read { target, key, reply } => self.on_read(target, key, reply)?,
            NodeInput::Scan { target, after, bytes, reply } => self.on_scan(target, after, bytes, reply)?,
            NodeInput::Message { from, envelope } => self.step(Event::Message { from, envelope }),
            NodeInput::LinkUp(link) => {
                // Attached first, so that what the step sends goes down the new link.
                let Some(peer) = self.links.attach(link) else { return Ok(()) };
                self.notes.link_up(&peer);
                self.step(Event::LinkUp { peer });
            }
            NodeInput::LinkDown(end) => {
                if let Some(peer) = self.links.detach(&end) {
                    self.notes.link_down(&peer);
                }
            }
        }
        Ok(())
    }

    /// One sync may have reported several tickets since the last turn: the last vouches for all.
    fn on_durable(&mut self, first: Result<Ticket, StoreError>) -> Result<(), NodeError> {
        let mut ticket = first.map_err(|e| self.failed(e))?;
        while let Ok(later) = self.storage.durable.try_recv() {
            ticket = later.map_err(|e| self.failed(e))?;
        }
        self.watching.synced(ticket, (self.clock)().monotonic, &self.metrics);
        self.step(Event::Durable { ticket });
        Ok(())
    }

    fn on_uplink(&mut self, event: UplinkEvent) -> Result<(), NodeError> {
        match event {
            UplinkEvent::Up(heartbeats) => {
                self.notes.joined();
                self.heartbeats = Some(heartbeats);
                self.step(Event::CoordinatorUp);
            }
            UplinkEvent::Answer(answer) => {
                self.check(&answer.decisions)?;
                for record in &answer.nodes {
                    self.links.set_peer(record);
                }
                self.departure.answer(&answer);
                self.step(Event::Answer(answer));
            }
            UplinkEvent::Decided(decisions) => {
                self.check(&decisions)?;
                self.step(Event::Decided(decisions));
            }
            UplinkEvent::Lost => {
                self.notes.lost_the_coordinator();
                self.heartbeats = None;
                self.departure.unheard();
            }
            UplinkEvent::Ended(error) => return Err(error),
        }
        Ok(())
    }

    fn on_part(&mut self, part: PartRead) -> Result<(), NodeError> {
        let slot = part.slot;
        match self.pins.event(part) {
            Ok(Some(event)) => self.step(event),
            Ok(None) => {}
            Err(error) => self.on_unreadable(slot, None, error)?,
        }
        Ok(())
    }

    /// The store could not read what was wanted of a slot: that a record is damaged concerns its replica only (D2).
    fn on_unreadable(&mut self, slot: Slot, request: Option<RequestId>, error: StoreError) -> Result<(), NodeError> {
        if !matches!(error, StoreError::Corrupt { .. }) {
            return Err(self.failed(error));
        }
        if self.damaged.insert(slot) {
            self.notes.damaged(slot, &error.to_string());
        }
        self.step(Event::Damaged { slot, request });
        Ok(())
    }

    fn on_departure(&mut self, turn: Turn) {
        match turn {
            Turn::Told => {
                self.notes.told_to_stop();
                self.step(Event::Stop);
                if self.heartbeats.is_none() {
                    self.departure.unheard();
                }
            }
            Turn::Overdue => self.notes.overdue(self.departure.needed(), self.heartbeats.is_some()),
        }
    }

    /// Looks through what the coordinator wants, and takes note of it.
    fn check(&mut self, decisions: &Decisions) -> Result<(), NodeError> {
        let Decisions { epoch: _, roll_call: _, chains, fences, drops } = decisions;
        let others = fences.iter().chain(drops).map(|(slot, _)| *slot);
        check_slots(&self.name, self.node.config().slots, chains.iter().map(|chain| chain.slot).chain(others))?;
        let node = &self.node;
        let seq = |slot: Slot| node.view(slot).map(|replica| replica.last.seq.0);
        for chain in chains {
            let role = self.departure.chain(chain);
            if self.watching.chains.is_news(chain.slot, chain.version) {
                self.watching.part(chain.slot, role, self.now, &self.metrics);
                self.notes.chain(chain, role, seq(chain.slot));
            }
        }
        for (slot, version) in fences {
            if self.watching.fences.is_news(*slot, *version) {
                self.notes.fenced(*slot, *version, seq(*slot));
            }
        }
        for (slot, version) in drops {
            if self.watching.drops.is_news(*slot, *version) {
                self.notes.dropped(*slot, *version, seq(*slot));
            }
        }
        Ok(())
    }

    /// Refuses a key over the limit before the store is asked for it, which does not take a key of any length.
    fn admit_key(&self, asked: Asked, key: &[u8], reply: Caller) -> Option<Caller> {
        match self.node.config().limits.admit_key(key) {
            Ok(()) => Some(reply),
            Err(error) => {
                self.calls.refuse(asked, reply, error, self.now);
                None
            }
        }
    }

    /// Before each turn: what is to be said of the node that it does not say itself.
    fn look(&mut self, now: Time) {
        self.now = now;
        let overview = self.node.overview(now);
        self.watching.look(&overview, &mut self.notes);
        self.monitor.set_readiness(readiness(&overview));
    }

    fn on_question(&self, question: Question<NodeState>) {
        let sight = Sight {
            node: &self.node,
            now: self.now,
            links: &self.links,
            connected: self.heartbeats.is_some(),
            calls: self.calls.len(),
            answer_bytes: self.answers.taken(),
            filling: self.watching.filling(),
            pins: self.pins.len(),
            disk_full: *self.storage.full.borrow(),
        };
        // Whoever has gone does not want to know.
        match question {
            Question::Measure(reply) => {
                self.metrics.now.measure(sight);
                let _ = reply.send(());
            }
            Question::State(reply) => drop(reply.send(NodeState::of(sight, self.notes.all()))),
        }
    }

    /// Feeds one event, whose reads of the store have been made, and runs what comes out.
    fn step(&mut self, event: Event) {
        let now = (self.clock)();
        self.now = now.monotonic;
        let mut effects = std::mem::take(&mut self.effects);
        self.node.step(now, event, &mut effects);
        effects.drain(..).for_each(|effect| self.perform(effect));
        self.effects = effects;
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, envelope } => {
                self.metrics.sent(&envelope);
                self.links.send(&to, envelope);
            }
            Effect::Persist(batch) => {
                self.metrics.persisted(&batch.writes);
                self.watching.submitted(batch.ticket, self.now);
                self.batches.push(batch);
            }
            Effect::Reply { request, result } => self.calls.answer(request, result, self.now),
            Effect::Pin { slot } => self.pins.pin(slot),
            Effect::Unpin { slot } => self.pins.unpin(slot),
            Effect::ReadChunk { slot, after, bytes } => self.pins.read(slot, after, bytes),
            Effect::ReadSpilled { slot, after, bytes } => self.pins.read_spilled(slot, after, bytes),
            // Without a coordinator it is as good as lost on the way.
            Effect::Heartbeat(heartbeat) => {
                self.metrics.heartbeats.inc();
                self.departure.heartbeat(&heartbeat);
                if let Some(heartbeats) = &self.heartbeats {
                    heartbeats.send(heartbeat);
                }
            }
        }
    }

    /// Hands the turn's batches to the disk.
    fn submit(&mut self) -> Result<(), NodeError> {
        let submitted = self.batches.drain(..).try_for_each(|batch| (self.storage.submit)(batch));
        submitted.or_else(|error| self.storage_ended(error))
    }

    /// Why nothing can be submitted any more: the store has reported it, or is about to.
    fn storage_ended(&mut self, error: StoreError) -> Result<(), NodeError> {
        while let Ok(reported) = self.storage.durable.try_recv() {
            reported.map_err(|error| self.failed(error))?;
        }
        Err(self.failed(error))
    }

    fn failed(&self, source: StoreError) -> NodeError {
        NodeError::Storage { node: self.name.clone(), source }
    }
}

/// The machine relies on slots of its cluster only.
pub(super) fn check_slots(node: &NodeId, slots: u32, mut given: impl Iterator<Item = Slot>) -> Result<(), NodeError> {
    match given.find(|slot| slot.0 >= slots) {
        Some(slot) => Err(NodeError::SlotOutOfRange { node: node.clone(), slot, slots }),
        None => Ok(()),
    }
}
