//! How a node stops in order: it says so, waits until it is in no chain that can do without it, and only then lets its
//! server go. So no data moves, and its silence afterwards is no failure (K3). A coordinator that is lost on the way may be
//! starting again: the node goes on looking for it, and says it again.

use std::collections::BTreeSet;
use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use catena_core::{Chain, Heartbeat, HeartbeatAnswer, Identity, Presence, Role, Slot, mutant};
use tokio::sync::oneshot;
use tokio::time::Sleep;

/// How long the coordinator may take. Chosen here: many times what it needs, and short enough for whoever waits for the
/// process to end.
pub(super) const LEAVING_BOUND: Duration = Duration::from_secs(3);

/// What is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// This node: the coordinator is to hear of it, also if it is away just now.
    Node,
    /// The whole cluster: a coordinator that is away does not come back, and nobody takes this node's place.
    Cluster,
}

/// How far it has come.
pub(super) struct Departure {
    identity: Identity,
    stage: Stage,
    /// Slots whose newest known chain has this node among several members.
    needed: BTreeSet<Slot>,
    /// Told when the server may go.
    left: Option<oneshot::Sender<()>>,
}

enum Stage {
    Staying {
        told: Pin<Box<dyn Future<Output = Stop> + Send>>,
    },
    Leaving {
        stop: Stop,
        bound: Pin<Box<Sleep>>,
        /// The first heartbeat that said so to the coordinator of now.
        announced: Option<u64>,
        heard: Heard,
    },
    Left,
}

/// Whether the coordinator knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    No,
    Yes,
}

/// What happens on the way.
#[derive(Clone, Copy)]
pub(super) enum Turn {
    /// The process is told to stop.
    Told,
    /// It has waited for long enough.
    Overdue,
}

impl Departure {
    /// A node that stays until `told` ends; `left` is told when it has left.
    pub(super) fn new(identity: Identity, told: impl Future<Output = Stop> + Send + 'static, left: oneshot::Sender<()>) -> Self {
        Self { identity, stage: Stage::Staying { told: Box::pin(told) }, needed: BTreeSet::new(), left: Some(left) }
    }

    /// The next turn. Safe to cancel.
    pub(super) async fn next(&mut self) -> Turn {
        match &mut self.stage {
            Stage::Staying { told } => {
                let stop = told.await;
                let bound = Box::pin(tokio::time::sleep(LEAVING_BOUND));
                self.stage = Stage::Leaving { stop, bound, announced: None, heard: Heard::No };
                Turn::Told
            }
            Stage::Leaving { bound, .. } => {
                bound.await;
                self.leave();
                Turn::Overdue
            }
            Stage::Left => pending().await,
        }
    }

    /// Takes note of a chain that the node has, or is to have; returns its part in it.
    pub(super) fn chain(&mut self, chain: &Chain) -> Role {
        let role = chain.role(&self.identity);
        if chain.members.len() > 1 && role.is_member() {
            self.needed.insert(chain.slot);
        } else {
            self.needed.remove(&chain.slot);
        }
        role
    }

    pub(super) fn heartbeat(&mut self, heartbeat: &Heartbeat) {
        if let Stage::Leaving { announced: announced @ None, .. } = &mut self.stage
            && heartbeat.presence == Presence::Leaving
        {
            *announced = Some(heartbeat.sequence);
        }
    }

    pub(super) fn answer(&mut self, answer: &HeartbeatAnswer) {
        if let Stage::Leaving { announced: Some(announced), heard, .. } = &mut self.stage
            && answer.sequence >= *announced
        {
            *heard = Heard::Yes;
        }
    }

    /// Leaves, if nothing is to be waited for any more; says whether it has, just now.
    pub(super) fn leave_if_free(&mut self) -> bool {
        let free = matches!(self.stage, Stage::Leaving { heard: Heard::Yes, .. }) && self.needed.is_empty();
        if free {
            self.leave();
        }
        free
    }

    /// There is no coordinator. The next one has heard nothing yet; if there will be none, it leaves alone.
    pub(super) fn unheard(&mut self) {
        match &mut self.stage {
            Stage::Leaving { stop: Stop::Cluster, .. } => self.leave(),
            Stage::Leaving { stop: Stop::Node, announced, heard, .. } => (*announced, *heard) = (None, Heard::No),
            Stage::Staying { .. } | Stage::Left => {}
        }
    }

    /// In how many chains it is missed.
    pub(super) fn needed(&self) -> usize {
        self.needed.len()
    }

    fn leave(&mut self) {
        self.stage = Stage::Left;
        if mutant!(LeftUntold) {
            return;
        }
        if let Some(left) = self.left.take() {
            // A server that has gone needs no telling.
            let _ = left.send(());
        }
    }
}
