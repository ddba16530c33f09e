//! The loop around core's [`Coordinator`]: the one task that owns it, and decides nothing itself.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::convert::Infallible;

use catena_core::{
    Coordinator, CoordinatorEffect, CoordinatorEvent, Heartbeat, NodeId, NodeStatus, Note, Order, OrderError, RegisterError,
    RequestId, Revision, Slot, Standing, Ticket, Time,
};
use catena_net::server::{CoordinatorInput, Readiness, Session as SessionId, ToNode, Watchers};
use catena_store::ConfigError;
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use super::metrics::{ChainShape, CoordinatorMetrics};
use super::notes::Notes;
use super::state::{CoordinatorState, Heard};
use super::{ConfigRequest, ConfigStorage, CoordinatorError, CoordinatorMonitor};
use crate::Clock;
use crate::monitor::Question;
use crate::timer::Timer;

/// Why it is not ready.
const FOLLOWS: &str = "it does not lead";

type Outgoing = mpsc::Sender<Result<ToNode, RegisterError>>;
type Outcome = oneshot::Sender<Result<(), OrderError>>;

/// Everything that the loop owns.
pub(super) struct Driver {
    coordinator: Coordinator,
    clock: Clock,
    storage: ConfigStorage,
    /// Each registered node's newest stream.
    sessions: BTreeMap<NodeId, Session>,
    /// Streams whose registration is being stored.
    joining: BTreeMap<NodeId, Session>,
    /// The stream whose registration is being judged in this very step. Apart from the others, so that a stranger who is
    /// refused does not take the place of the node whose name it gave.
    candidate: Option<Session>,
    /// Clients that follow the route.
    watchers: Watchers,
    /// Orders that are being stored.
    orders: HashMap<RequestId, (Order, Outcome)>,
    last_request: RequestId,
    notes: Notes,
    metrics: CoordinatorMetrics,
    monitor: CoordinatorMonitor,
    timing: Timing,
    /// Reused from step to step.
    effects: Vec<CoordinatorEffect>,
}

struct Session {
    id: SessionId,
    outgoing: Outgoing,
    /// The last heartbeat on it.
    heard: Heard,
}

/// What figures are reckoned from.
#[derive(Default)]
struct Timing {
    /// When the latest step began.
    now: Time,
    /// Commits that the store has, and since when.
    commits: VecDeque<(Ticket, Time)>,
    /// Decisions pushed to nodes that have not adopted them all, and since when; of each node, the first.
    dispatched: BTreeMap<NodeId, (Revision, Time)>,
    /// By slot, the chain as it was noted last.
    chains: BTreeMap<Slot, ChainShape>,
    /// When this leader decided each chain that it has changed.
    changed: BTreeMap<Slot, Time>,
    /// Nodes that are to be drained, and are not yet.
    draining: BTreeSet<NodeId>,
    /// Looks at the nodes that are counted, of this leadership.
    looks: u64,
}

impl Driver {
    pub(super) fn new(coordinator: Coordinator, clock: Clock, storage: ConfigStorage, monitor: CoordinatorMonitor) -> Self {
        Self {
            coordinator,
            clock,
            storage,
            sessions: BTreeMap::new(),
            joining: BTreeMap::new(),
            candidate: None,
            watchers: Watchers::new(),
            orders: HashMap::new(),
            last_request: RequestId(0),
            notes: Notes::default(),
            metrics: monitor.metrics.clone(),
            monitor,
            timing: Timing::default(),
            effects: Vec::new(),
        }
    }

    /// Runs until the store fails; ends otherwise only by being dropped.
    pub(super) async fn run(mut self, inputs: mpsc::Receiver<CoordinatorInput>) -> CoordinatorError {
        match self.turns(inputs).await {
            Err(error) => error.into(),
        }
    }

    async fn turns(&mut self, mut inputs: mpsc::Receiver<CoordinatorInput>) -> Result<Infallible, ConfigError> {
        let mut timer = Timer::new();
        self.monitor.set_readiness(Readiness::Unready(FOLLOWS));
        // The machine has the first word: it may lead at once.
        self.step(CoordinatorEvent::Wake)?;
        loop {
            timer.set((self.clock)(), self.coordinator.deadline());
            tokio::select! {
                biased;
                told = self.storage.told.recv() => self.step(told.expect("a store reports its end")?)?,
                () = timer.sleep.as_mut() => {
                    timer.fired();
                    self.step(CoordinatorEvent::Wake)?;
                }
                Some(question) = self.monitor.asked() => self.on_question(question),
                Some(input) = inputs.recv() => self.on_input(input)?,
            }
        }
    }

    fn on_input(&mut self, input: CoordinatorInput) -> Result<(), ConfigError> {
        match input {
            CoordinatorInput::Joined { session, node, outgoing } => {
                self.candidate = Some(Session { id: session, outgoing, heard: Heard::default() });
                let name = node.node.clone();
                self.step(CoordinatorEvent::Register(node))?;
                // While it is being stored nothing counts that the process before may still say.
                if let Some(candidate) = self.candidate.take() {
                    self.sessions.remove(&name);
                    self.joining.insert(name, candidate);
                }
                Ok(())
            }
            CoordinatorInput::Heartbeat { session, from, incarnation, heartbeat } if self.is_current(session, &from) => {
                self.heard(&from, &heartbeat);
                self.step(CoordinatorEvent::Heartbeat { from, incarnation, heartbeat })
            }
            // An answer would go to the newer stream, and grant a lease from a heartbeat of the past.
            CoordinatorInput::Heartbeat { .. } => Ok(()),
            CoordinatorInput::Left { session, node } => {
                self.joining.retain(|_, joining| joining.id != session);
                if self.is_current(session, &node) {
                    self.sessions.remove(&node);
                    self.timing.dispatched.remove(&node);
                    self.notes.left(&node);
                }
                Ok(())
            }
            CoordinatorInput::Route { reply } => {
                // A caller that has gone does not want to know.
                let _ = reply.send(self.coordinator.route());
                Ok(())
            }
            CoordinatorInput::Status { reply } => {
                let _ = reply.send(self.coordinator.status());
                Ok(())
            }
            CoordinatorInput::Watch(watcher) => {
                self.watchers.add(watcher, self.coordinator.route());
                Ok(())
            }
            CoordinatorInput::Order { order, reply } => self.on_order(order, reply),
        }
    }

    fn on_order(&mut self, order: Order, reply: Outcome) -> Result<(), ConfigError> {
        self.last_request = self.last_request.next();
        let request = self.last_request;
        self.orders.insert(request, (order.clone(), reply));
        self.step(CoordinatorEvent::Order { request, order })
    }

    fn heard(&mut self, from: &NodeId, heartbeat: &Heartbeat) {
        self.metrics.heard();
        if let Some(session) = self.sessions.get_mut(from) {
            session.heard = Heard { sequence: Some(heartbeat.sequence), applied: Some(heartbeat.applied.0) };
        }
        let adopted = |dispatched: &(Revision, Time)| dispatched.0 <= heartbeat.applied;
        if let Some((_, since)) = self.timing.dispatched.get(from).copied().filter(adopted) {
            self.timing.dispatched.remove(from);
            self.metrics.acknowledged((self.clock)().monotonic.since(since));
        }
    }

    fn on_question(&mut self, question: Question<CoordinatorState>) {
        // Whoever has gone does not want to know.
        match question {
            Question::Measure(reply) => {
                self.metrics.measure(&self.coordinator, self.sessions.len(), self.watchers.len());
                let looks = self.coordinator.overview().map_or(0, |overview| overview.looks);
                self.metrics.evaluated(looks.saturating_sub(std::mem::replace(&mut self.timing.looks, looks)));
                let _ = reply.send(());
            }
            Question::State(reply) => {
                let heard = |node: &NodeId| self.sessions.get(node).map(|session| session.heard);
                let now = (self.clock)().monotonic;
                let age = |slot| self.timing.changed.get(&slot).map(|at| now.since(*at));
                let state = CoordinatorState::of(&self.coordinator, self.watchers.len(), self.notes.all(), heard, age);
                drop(reply.send(state));
            }
        }
    }

    fn is_current(&self, session: SessionId, node: &NodeId) -> bool {
        self.sessions.get(node).is_some_and(|current| current.id == session)
    }

    fn step(&mut self, event: CoordinatorEvent) -> Result<(), ConfigError> {
        let now = (self.clock)();
        self.timing.now = now.monotonic;
        if let CoordinatorEvent::Stored { ticket } = event {
            while let Some((_, since)) = self.timing.commits.pop_front_if(|(asked, _)| *asked <= ticket) {
                self.metrics.committed(now.monotonic.since(since));
            }
        }
        let mut effects = std::mem::take(&mut self.effects);
        self.coordinator.step(now, event, &mut effects);
        let result = effects.drain(..).try_for_each(|effect| self.perform(effect));
        self.effects = effects;
        result
    }

    fn perform(&mut self, effect: CoordinatorEffect) -> Result<(), ConfigError> {
        match effect {
            CoordinatorEffect::Observe => self.ask(ConfigRequest::Observe)?,
            CoordinatorEffect::Lead { over } => self.ask(ConfigRequest::Lead { over })?,
            CoordinatorEffect::Renew(leadership) => self.ask(ConfigRequest::Renew(leadership))?,
            CoordinatorEffect::Store { ticket, epoch, changes } => {
                debug!(component = "coordinator", changes = changes.len(), "decided");
                self.timing.commits.push_back((ticket, self.timing.now));
                self.ask(ConfigRequest::Store { ticket, epoch, changes })?;
            }
            CoordinatorEffect::Registered { node } => {
                // The newest stream is the node's: of an older one, the node has let go. One that has gone meanwhile is
                // not there any more.
                if let Some(session) = self.candidate.take().or_else(|| self.joining.remove(&node)) {
                    self.notes.registered(&node);
                    self.metrics.registered(Ok(()));
                    self.sessions.insert(node.clone(), session);
                    self.send(&node, ToNode::Registered);
                }
            }
            CoordinatorEffect::Refused { node, reason } => {
                self.notes.refused(&node, &reason);
                self.metrics.registered(Err(&reason));
                if let Some(refused) = self.candidate.take().or_else(|| self.joining.remove(&node)) {
                    let _ = refused.outgoing.try_send(Err(reason));
                }
            }
            CoordinatorEffect::Answer { to, answer } => self.send(&to, ToNode::Answer(answer)),
            CoordinatorEffect::Decide { to, decisions } => {
                self.metrics.dispatched();
                if let Some(revision) = self.coordinator.revision() {
                    self.timing.dispatched.entry(to.clone()).or_insert((revision, self.timing.now));
                }
                self.send(&to, ToNode::Decided(decisions));
            }
            CoordinatorEffect::Done { request, result } => {
                // Not there any more: this coordinator did not lead for a while.
                if let Some((order, reply)) = self.orders.remove(&request) {
                    self.notes.ordered(request, &order, &result);
                    self.metrics.ordered(&order, &result);
                    if result.is_ok() {
                        self.in_effect(&order);
                    }
                    // An operator who has gone does not want to know.
                    let _ = reply.send(result);
                }
            }
            CoordinatorEffect::RouteChanged { slots } => self.watchers.changed(&slots, || self.coordinator.route()),
            CoordinatorEffect::Note(note) => self.on_note(&note),
        }
        Ok(())
    }

    /// An order is stored: a drain takes its time, unless there is nothing to be moved.
    fn in_effect(&mut self, order: &Order) {
        match order {
            Order::Drain(node) => drop(self.timing.draining.insert(node.clone())),
            Order::Evict(node) | Order::Readmit(node) => drop(self.timing.draining.remove(node)),
        }
        self.note_drained();
    }

    fn note_drained(&mut self) {
        let drained: Vec<NodeId> = self.timing.draining.extract_if(.., |node| self.coordinator.replicas_at(node) == 0).collect();
        for node in &drained {
            self.notes.drained(node);
        }
    }

    fn on_note(&mut self, note: &Note) {
        let before = match note {
            Note::Chain(chain) => self.timing.chains.insert(chain.slot, chain.into()),
            Note::Leads(_) | Note::Follows | Note::Health { .. } | Note::Evicted { .. } | Note::Restrained { .. } => None,
        };
        if let Note::Chain(chain) = note {
            self.timing.changed.insert(chain.slot, self.timing.now);
        }
        self.notes.note(note, before);
        self.metrics.noted(note, before);
        if matches!(note, Note::Chain(_)) {
            self.note_drained();
        }
        if matches!(note, Note::Leads(_)) {
            self.monitor.set_readiness(Readiness::Ready);
            self.timing = Timing { now: self.timing.now, ..Timing::default() };
            if let Some(status) = self.coordinator.status() {
                self.timing.chains = status.chains.iter().map(|chain| (chain.slot, chain.into())).collect();
                let is_draining =
                    |node: &&NodeStatus| node.stored.standing == Standing::Draining && node.replicas + node.joining > 0;
                let draining = status.nodes.iter().filter(is_draining).map(|node| node.stored.record.node.clone());
                self.timing.draining = draining.collect();
            }
        }
        if matches!(note, Note::Follows) {
            self.monitor.set_readiness(Readiness::Unready(FOLLOWS));
            // Nodes and watchers are to look for the leader; operators are told that the outcome is unknown.
            self.sessions.clear();
            self.joining.clear();
            self.orders.clear();
            self.watchers.end();
        }
    }

    /// Never waits: a node that does not read its answers must not hold up the others. It will ask again.
    fn send(&self, node: &NodeId, message: ToNode) {
        if let Some(session) = self.sessions.get(node) {
            let _ = session.outgoing.try_send(Ok(message));
        }
    }

    fn ask(&mut self, request: ConfigRequest) -> Result<(), ConfigError> {
        (self.storage.ask)(request).map_err(|error| self.first_error(error))
    }

    /// The store's own account of why it takes nothing any more, where there is one.
    fn first_error(&mut self, error: ConfigError) -> ConfigError {
        while let Ok(reported) = self.storage.told.try_recv() {
            if let Err(reported) = reported {
                return reported;
            }
        }
        error
    }
}
