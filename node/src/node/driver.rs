//! The loop around core's [`Node`]: the one task that owns it, and decides nothing itself.
//!
//! One turn: wait for anything; feed everything that is ready, up to a bound, one step each; run each step's effects before
//! the next step.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;

use catena_core::{CallError, Decisions, Effect, Event, Node, NodeId, Reply, RequestId, Slot, Ticket};
use catena_net::coordination::Heartbeats;
use catena_net::link::Links;
use catena_net::server::NodeInput;
use catena_store::{Reader, StoreError};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info, warn};

use super::departure::{Departure, Turn};
use super::pins::{PartRead, Pins};
use super::uplink::{Uplink, UplinkEvent};
use super::{NodeError, Storage};
use crate::Clock;
use crate::timer::Timer;

/// Inputs taken in one turn: enough to batch, few enough that tickets and heartbeats do not wait.
const INPUTS_A_TURN: usize = 128;

type Answer = oneshot::Sender<Result<Reply, CallError>>;

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
    /// Calls that the machine has not answered yet.
    calls: HashMap<RequestId, Answer>,
    last_request: RequestId,
    /// Slots whose damage has been logged.
    damaged: BTreeSet<Slot>,
    /// Reused from step to step.
    effects: Vec<Effect>,
}

/// What a turn begins with.
enum Ready {
    Inputs,
    Durable(Option<Result<Ticket, StoreError>>),
    Uplink(Option<UplinkEvent>),
    Part(PartRead),
    Departure(Turn),
    DiskFull,
    Deadline,
}

impl<R: Reader> Driver<R> {
    pub(super) fn new(name: NodeId, node: Node, clock: Clock, storage: Storage<R>, links: Links, departure: Departure) -> Self {
        let (pins, parts) = Pins::new(storage.reader.clone());
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
            calls: HashMap::new(),
            last_request: RequestId(0),
            damaged: BTreeSet::new(),
            effects: Vec::new(),
        }
    }

    /// Runs until something ends the node; ends otherwise only by being dropped.
    pub(super) async fn run(mut self, inputs: mpsc::Receiver<NodeInput>, uplink: Uplink) -> NodeError {
        match self.turns(inputs, uplink).await {
            Err(error) => error,
        }
    }

    async fn turns(&mut self, mut inputs: mpsc::Receiver<NodeInput>, mut uplink: Uplink) -> Result<Infallible, NodeError> {
        let mut taken = Vec::with_capacity(INPUTS_A_TURN);
        let mut timer = Timer::new();
        loop {
            let now = (self.clock)();
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
                _ = inputs.recv_many(&mut taken, INPUTS_A_TURN) => Ready::Inputs,
            };
            match ready {
                Ready::Inputs => taken.drain(..).try_for_each(|input| self.on_input(input))?,
                Ready::Durable(durable) => self.on_durable(durable.expect("a store reports its end"))?,
                Ready::Uplink(event) => self.on_uplink(event.expect("the uplink reports its end"))?,
                Ready::Part(part) => self.on_part(part)?,
                Ready::Departure(turn) => self.on_departure(turn)?,
                Ready::DiskFull => self.on_disk_full()?,
                Ready::Deadline => {
                    timer.fired();
                    self.step(Event::Wake)?;
                }
            }
            self.departure.leave_if_free();
        }
    }

    /// The disk has reached its reserve, or has room again.
    fn on_disk_full(&mut self) -> Result<(), NodeError> {
        let full = *self.storage.full.borrow_and_update();
        if full {
            warn!(component = "node", node_id = %self.name, "the disk is nearly full: puts to this node's chains are refused until there is room");
        } else {
            info!(component = "node", node_id = %self.name, "the disk has room again");
        }
        self.step(Event::DiskFull { full })
    }

    fn on_input(&mut self, input: NodeInput) -> Result<(), NodeError> {
        match input {
            NodeInput::Write { target, command, origin, reply } => {
                let Some(reply) = self.admit_key(&command.key, reply) else { return Ok(()) };
                let stored = self.storage.reader.metadata(target.slot, &command.key);
                let request = self.await_reply(reply);
                match stored {
                    Ok(stored) => self.step(Event::Write { request, target, command, origin, stored }),
                    Err(error) => self.on_unreadable(target.slot, Some(request), error),
                }
            }
            NodeInput::OpenSession { target, reply } => {
                let request = self.await_reply(reply);
                self.step(Event::OpenSession { request, target })
            }
            NodeInput::Read { target, key, reply } => {
                let Some(reply) = self.admit_key(&key, reply) else { return Ok(()) };
                let stored = self.storage.reader.get(target.slot, &key);
                let request = self.await_reply(reply);
                match stored {
                    Ok(stored) => self.step(Event::Read { request, target, key, stored }),
                    Err(error) => self.on_unreadable(target.slot, Some(request), error),
                }
            }
            NodeInput::Scan { target, after, bytes, reply } => {
                let admitted = if let Some(after) = &after { self.admit_key(after, reply) } else { Some(reply) };
                let Some(reply) = admitted else { return Ok(()) };
                let stored = self.storage.reader.page(target.slot, after.as_deref(), bytes);
                let request = self.await_reply(reply);
                match stored {
                    Ok(stored) => self.step(Event::Scan { request, target, after, bytes, stored }),
                    Err(error) => self.on_unreadable(target.slot, Some(request), error),
                }
            }
            NodeInput::Message { from, envelope } => self.step(Event::Message { from, envelope }),
            NodeInput::LinkUp(link) => {
                // Attached first, so that what the step sends goes down the new link.
                let Some(peer) = self.links.attach(link) else { return Ok(()) };
                info!(component = "node", node_id = %self.name, %peer, "link up");
                self.step(Event::LinkUp { peer })
            }
        }
    }

    /// One sync may have reported several tickets since the last turn: the last vouches for all.
    fn on_durable(&mut self, first: Result<Ticket, StoreError>) -> Result<(), NodeError> {
        let mut ticket = first.map_err(|e| self.failed(e))?;
        while let Ok(later) = self.storage.durable.try_recv() {
            ticket = later.map_err(|e| self.failed(e))?;
        }
        self.step(Event::Durable { ticket })
    }

    fn on_uplink(&mut self, event: UplinkEvent) -> Result<(), NodeError> {
        match event {
            UplinkEvent::Up(heartbeats) => {
                info!(component = "node", node_id = %self.name, "joined the coordinator");
                self.heartbeats = Some(heartbeats);
                self.step(Event::CoordinatorUp)
            }
            UplinkEvent::Answer(answer) => {
                self.check(&answer.decisions)?;
                for record in &answer.nodes {
                    self.links.set_peer(record);
                }
                self.departure.answer(&answer);
                self.step(Event::Answer(answer))
            }
            UplinkEvent::Decided(decisions) => {
                self.check(&decisions)?;
                self.step(Event::Decided(decisions))
            }
            UplinkEvent::Lost => {
                self.heartbeats = None;
                self.departure.unheard();
                Ok(())
            }
            UplinkEvent::Ended(error) => Err(error),
        }
    }

    fn on_part(&mut self, part: PartRead) -> Result<(), NodeError> {
        let slot = part.slot;
        match self.pins.event(part) {
            Ok(Some(event)) => self.step(event),
            Ok(None) => Ok(()),
            Err(error) => self.on_unreadable(slot, None, error),
        }
    }

    /// The store could not read what was wanted of a slot: that a record is damaged concerns its replica only (D2).
    fn on_unreadable(&mut self, slot: Slot, request: Option<RequestId>, error: StoreError) -> Result<(), NodeError> {
        if !matches!(error, StoreError::Corrupt { .. }) {
            return Err(self.failed(error));
        }
        if self.damaged.insert(slot) {
            error!(component = "node", node_id = %self.name, %slot, "this replica is to be replaced: {error}");
        }
        self.step(Event::Damaged { slot, request })
    }

    fn on_departure(&mut self, turn: Turn) -> Result<(), NodeError> {
        match turn {
            Turn::Told => {
                self.step(Event::Stop)?;
                if self.heartbeats.is_none() {
                    self.departure.unheard();
                }
                Ok(())
            }
            Turn::Overdue => {
                let chains = self.departure.needed();
                let reached = self.heartbeats.is_some();
                warn!(component = "node", node_id = %self.name, chains, reached, "stops before the coordinator let it go, and will be missed");
                Ok(())
            }
        }
    }

    /// Looks through what the coordinator wants, and takes note of it.
    fn check(&mut self, decisions: &Decisions) -> Result<(), NodeError> {
        let Decisions { epoch: _, roll_call: _, chains, fences, drops } = decisions;
        let others = fences.iter().chain(drops).map(|(slot, _)| *slot);
        check_slots(&self.name, self.node.config().slots, chains.iter().map(|chain| chain.slot).chain(others))?;
        for chain in chains {
            let role = self.departure.chain(chain);
            debug!(component = "node", node_id = %self.name, slot = %chain.slot, chain_version = %chain.version, ?role, "new chain");
        }
        for (slot, version) in fences {
            debug!(component = "node", node_id = %self.name, %slot, chain_version = %version, "fenced");
        }
        for (slot, version) in drops {
            info!(component = "node", node_id = %self.name, %slot, chain_version = %version, "may drop its data");
        }
        Ok(())
    }

    /// Refuses a key over the limit before the store is asked for it, which does not take a key of any length.
    fn admit_key(&self, key: &[u8], reply: Answer) -> Option<Answer> {
        match self.node.config().limits.admit_key(key) {
            Ok(()) => Some(reply),
            Err(error) => {
                // A caller that has gone does not want to know.
                let _ = reply.send(Err(error));
                None
            }
        }
    }

    fn await_reply(&mut self, reply: Answer) -> RequestId {
        self.last_request = self.last_request.next();
        self.calls.insert(self.last_request, reply);
        self.last_request
    }

    /// Feeds one event, whose reads of the store have been made, and runs what comes out.
    fn step(&mut self, event: Event) -> Result<(), NodeError> {
        let now = (self.clock)();
        let mut effects = std::mem::take(&mut self.effects);
        self.node.step(now, event, &mut effects);
        let result = effects.drain(..).try_for_each(|effect| self.perform(effect));
        self.effects = effects;
        result
    }

    fn perform(&mut self, effect: Effect) -> Result<(), NodeError> {
        match effect {
            Effect::Send { to, envelope } => self.links.send(&to, envelope),
            Effect::Persist(batch) => (self.storage.submit)(batch).or_else(|error| self.storage_ended(error))?,
            Effect::Reply { request, result } => {
                let reply = self.calls.remove(&request).expect("a call is answered once");
                // A caller that has gone does not want to know.
                let _ = reply.send(result);
            }
            Effect::Pin { slot } => self.pins.pin(slot),
            Effect::Unpin { slot } => self.pins.unpin(slot),
            Effect::ReadChunk { slot, after, bytes } => self.pins.read(slot, after, bytes),
            Effect::ReadSpilled { slot, after, bytes } => self.pins.read_spilled(slot, after, bytes),
            // Without a coordinator it is as good as lost on the way.
            Effect::Heartbeat(heartbeat) => {
                self.departure.heartbeat(&heartbeat);
                if let Some(heartbeats) = &self.heartbeats {
                    heartbeats.send(heartbeat);
                }
            }
        }
        Ok(())
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
