//! The loop around core's [`Coordinator`]: the one task that owns it, and decides nothing itself.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

use catena_core::{Coordinator, CoordinatorEffect, CoordinatorEvent, NodeId, Note, Order, OrderError, RegisterError, RequestId};
use catena_net::server::{CoordinatorInput, Session as SessionId, ToNode, Watchers};
use catena_store::ConfigError;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use super::{ConfigRequest, ConfigStorage, CoordinatorError, notes};
use crate::Clock;
use crate::timer::Timer;

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
    orders: HashMap<RequestId, Outcome>,
    last_request: RequestId,
    /// Reused from step to step.
    effects: Vec<CoordinatorEffect>,
}

struct Session {
    id: SessionId,
    outgoing: Outgoing,
}

impl Driver {
    pub(super) fn new(coordinator: Coordinator, clock: Clock, storage: ConfigStorage) -> Self {
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
                Some(input) = inputs.recv() => self.on_input(input)?,
            }
        }
    }

    fn on_input(&mut self, input: CoordinatorInput) -> Result<(), ConfigError> {
        match input {
            CoordinatorInput::Joined { session, node, outgoing } => {
                self.candidate = Some(Session { id: session, outgoing });
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
                self.step(CoordinatorEvent::Heartbeat { from, incarnation, heartbeat })
            }
            // An answer would go to the newer stream, and grant a lease from a heartbeat of the past.
            CoordinatorInput::Heartbeat { .. } => Ok(()),
            CoordinatorInput::Left { session, node } => {
                self.joining.retain(|_, joining| joining.id != session);
                if self.is_current(session, &node) {
                    self.sessions.remove(&node);
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
        self.orders.insert(request, reply);
        self.step(CoordinatorEvent::Order { request, order })
    }

    fn is_current(&self, session: SessionId, node: &NodeId) -> bool {
        self.sessions.get(node).is_some_and(|current| current.id == session)
    }

    fn step(&mut self, event: CoordinatorEvent) -> Result<(), ConfigError> {
        let now = (self.clock)();
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
                self.ask(ConfigRequest::Store { ticket, epoch, changes })?;
            }
            CoordinatorEffect::Registered { node } => {
                // The newest stream is the node's: of an older one, the node has let go. One that has gone meanwhile is
                // not there any more.
                if let Some(session) = self.candidate.take().or_else(|| self.joining.remove(&node)) {
                    self.sessions.insert(node.clone(), session);
                    self.send(&node, ToNode::Registered);
                }
            }
            CoordinatorEffect::Refused { node, reason } => {
                match reason {
                    RegisterError::NotLeading => debug!(component = "coordinator", node_id = %node, %reason, "refused"),
                    RegisterError::Elsewhere { .. } | RegisterError::OtherLabels { .. } => {
                        warn!(component = "coordinator", node_id = %node, %reason, "refused");
                    }
                }
                if let Some(refused) = self.candidate.take().or_else(|| self.joining.remove(&node)) {
                    let _ = refused.outgoing.try_send(Err(reason));
                }
            }
            CoordinatorEffect::Answer { to, answer } => self.send(&to, ToNode::Answer(answer)),
            CoordinatorEffect::Decide { to, decisions } => self.send(&to, ToNode::Decided(decisions)),
            CoordinatorEffect::Done { request, result } => {
                // Not there any more: this coordinator did not lead for a while.
                if let Some(reply) = self.orders.remove(&request) {
                    // An operator who has gone does not want to know.
                    let _ = reply.send(result);
                }
            }
            CoordinatorEffect::RouteChanged { slots } => self.watchers.changed(&slots, || self.coordinator.route()),
            CoordinatorEffect::Note(note) => self.on_note(&note),
        }
        Ok(())
    }

    fn on_note(&mut self, note: &Note) {
        notes::log(note);
        if matches!(note, Note::Follows) {
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
