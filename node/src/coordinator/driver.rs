//! The loop around core's [`Coordinator`]: the one task that owns it, and decides nothing itself.

use std::collections::BTreeMap;
use std::convert::Infallible;

use catena_core::{Coordinator, CoordinatorEffect, CoordinatorEvent, NodeId, RegisterError};
use catena_net::server::{CoordinatorInput, Session as SessionId, ToNode};
use catena_store::ConfigError;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::{ConfigStorage, CoordinatorError};
use crate::Clock;

type Outgoing = mpsc::Sender<Result<ToNode, RegisterError>>;

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
        loop {
            tokio::select! {
                synced = self.storage.synced.recv() => {
                    let ticket = synced.expect("a store reports its end")?;
                    self.step(CoordinatorEvent::Stored { ticket })?;
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
                if let Some(candidate) = self.candidate.take() {
                    self.joining.insert(name, candidate);
                }
                Ok(())
            }
            CoordinatorInput::Heartbeat { session, from, heartbeat } if self.is_current(session, &from) => {
                self.step(CoordinatorEvent::Heartbeat { from, heartbeat })
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
        }
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
            CoordinatorEffect::Store { ticket, changes } => {
                debug!(component = "coordinator", changes = changes.len(), "decided");
                if let Err(error) = (self.storage.submit)(ticket, changes) {
                    return Err(self.first_error(error));
                }
            }
            CoordinatorEffect::Registered { node } => {
                // The newest stream is the node's: of an older one, the node has let go. One that has gone meanwhile is
                // not there any more.
                if let Some(session) = self.candidate.take().or_else(|| self.joining.remove(&node)) {
                    self.sessions.insert(node.clone(), session);
                    self.send(&node, Ok(ToNode::Registered));
                }
            }
            CoordinatorEffect::Refused { node, reason } => {
                warn!(component = "coordinator", node_id = %node, %reason, "refused");
                let candidate = self.candidate.take().expect("a registration is refused in the step that judges it");
                let _ = candidate.outgoing.try_send(Err(reason));
            }
            CoordinatorEffect::Answer { to, answer } => {
                if !answer.chains.is_empty() {
                    let (chains, revision) = (answer.chains.len(), answer.revision);
                    info!(component = "coordinator", node_id = %to, chains, %revision, "handed out chains");
                }
                self.send(&to, Ok(ToNode::Answer(answer)));
            }
            CoordinatorEffect::RouteChanged => {}
        }
        Ok(())
    }

    /// Never waits: a node that does not read its answers must not hold up the others. It will ask again.
    fn send(&mut self, node: &NodeId, message: Result<ToNode, RegisterError>) {
        if let Some(session) = self.sessions.get(node) {
            let _ = session.outgoing.try_send(message);
        }
    }

    /// The store's own account of why it takes nothing any more, where there is one.
    fn first_error(&mut self, error: ConfigError) -> ConfigError {
        while let Ok(reported) = self.storage.synced.try_recv() {
            if let Err(reported) = reported {
                return reported;
            }
        }
        error
    }
}
