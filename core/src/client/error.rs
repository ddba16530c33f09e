//! Why a client's call did not give a result. Every error has a kind (W9).

use std::time::Duration;

use super::Failure;
use crate::{CallError, Kind, NodeId, Slot};

/// Why a call did not give a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A node refuses, and any would.
    #[error("{error}{}", despite(.error.kind(), *.kind))]
    Refused {
        /// Why.
        error: CallError,
        /// Of all tries.
        kind: Kind,
    },
    /// A try failed, and another is not allowed or would go no better.
    #[error("{obstacle}: {}", advice(*.kind))]
    Failed {
        /// How.
        obstacle: Obstacle,
        /// Of all tries.
        kind: Kind,
    },
    /// The call's time is over.
    #[error("no result within the call's {} ms ({}): {}", .limit.as_millis(), Last(.obstacle.as_ref()), advice(*.kind))]
    OutOfTime {
        /// The call's time.
        limit: Duration,
        /// What stood in the way last.
        obstacle: Option<Obstacle>,
        /// Of all tries.
        kind: Kind,
    },
    /// The caller has given up.
    #[error("the call was given up: {}", advice(*.kind))]
    Cancelled {
        /// Of all tries.
        kind: Kind,
    },
    /// Too many calls wait for their end.
    #[error("{limit} calls wait already: wait for some of them first, it was not executed")]
    TooManyCalls {
        /// As many as there may be.
        limit: usize,
    },
    /// There is nobody to ask.
    #[error("no coordinator is given: name at least one endpoint, host:port")]
    NoCoordinator,
}

/// What keeps a call from its result, for now or for good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// No coordinator has given the route.
    #[error("no coordinator gives the route: check the endpoints, and that a coordinator runs")]
    NoRoute,
    /// The slot has no chain.
    #[error("slot {slot} has no chain yet: wait until all nodes of the cluster have started")]
    NoChain {
        /// The key's slot.
        slot: Slot,
    },
    /// Other writes of the session go first, or the session is being opened.
    #[error("slot {slot}: waited for the session: wait for other writes first")]
    NoTurn {
        /// The key's slot.
        slot: Slot,
    },
    /// The node has not answered the tries before, and is spared.
    #[error("node {node} has not answered of late: check that it runs")]
    Spared {
        /// Which.
        node: NodeId,
    },
    /// A try failed.
    #[error("{}", describe(.node, *.failure))]
    Failure {
        /// At which node.
        node: NodeId,
        /// How.
        failure: Failure,
    },
    /// A node refused.
    #[error("{0}")]
    Refusal(CallError),
}

fn describe(node: &NodeId, failure: Failure) -> String {
    match failure {
        Failure::NotConnected => format!("node {node} is not reached: check that it runs"),
        Failure::Lost => format!("the connection to node {node} was lost during the call"),
        Failure::TimedOut => format!("node {node} did not answer in time"),
        Failure::Rejected => format!("node {node} refused the request"),
    }
}

fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::NotExecuted => "it was not executed",
        Kind::Unknown => "its outcome is unknown, read before you repeat it",
    }
}

/// What an error's own words do not say: that an earlier try may have been executed.
fn despite(own: Kind, all: Kind) -> &'static str {
    match (own, all) {
        (Kind::NotExecuted, Kind::Unknown) => " (but an earlier try may have been executed: read before you repeat it)",
        (Kind::NotExecuted, Kind::NotExecuted) | (Kind::Unknown, _) => "",
    }
}

struct Last<'a>(Option<&'a Obstacle>);

impl std::fmt::Display for Last<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => f.write_str("it was not tried"),
            Some(obstacle) => obstacle.fmt(f),
        }
    }
}

impl ClientError {
    /// What the caller may conclude.
    pub fn kind(&self) -> Kind {
        match self {
            ClientError::Refused { kind, .. }
            | ClientError::Failed { kind, .. }
            | ClientError::OutOfTime { kind, .. }
            | ClientError::Cancelled { kind } => *kind,
            ClientError::TooManyCalls { .. } | ClientError::NoCoordinator => Kind::NotExecuted,
        }
    }

    /// What a node has said, if that ended the call.
    pub fn refusal(&self) -> Option<&CallError> {
        match self {
            ClientError::Refused { error, kind: _ } => Some(error),
            ClientError::Failed { .. }
            | ClientError::OutOfTime { .. }
            | ClientError::Cancelled { .. }
            | ClientError::TooManyCalls { .. }
            | ClientError::NoCoordinator => None,
        }
    }

    /// Of a call that ends with this obstacle.
    pub(super) fn last(obstacle: Obstacle, kind: Kind) -> Self {
        match obstacle {
            Obstacle::Refusal(error) => ClientError::Refused { error, kind },
            obstacle => ClientError::Failed { obstacle, kind },
        }
    }

    /// The same, of a call whose own tries were of this kind.
    pub(super) fn with_kind(self, kind: Kind) -> Self {
        match self {
            ClientError::Refused { error, kind: _ } => ClientError::Refused { error, kind },
            ClientError::Failed { obstacle, kind: _ } => ClientError::Failed { obstacle, kind },
            ClientError::OutOfTime { limit, obstacle, kind: _ } => ClientError::OutOfTime { limit, obstacle, kind },
            ClientError::Cancelled { kind: _ } => ClientError::Cancelled { kind },
            ClientError::TooManyCalls { limit } => ClientError::TooManyCalls { limit },
            ClientError::NoCoordinator => ClientError::NoCoordinator,
        }
    }
}

impl Obstacle {
    /// The node at which a call does not get on.
    pub(super) fn node(&self) -> Option<&NodeId> {
        match self {
            Obstacle::Spared { node } | Obstacle::Failure { node, failure: _ } => Some(node),
            Obstacle::NoRoute | Obstacle::NoChain { .. } | Obstacle::NoTurn { .. } | Obstacle::Refusal(_) => None,
        }
    }
}

impl Failure {
    /// What may be concluded of the try.
    pub fn kind(self) -> Kind {
        match self {
            Failure::NotConnected | Failure::Rejected => Kind::NotExecuted,
            Failure::Lost | Failure::TimedOut => Kind::Unknown,
        }
    }
}
