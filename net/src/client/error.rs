//! Why a client's call did not give a result.

use std::time::Duration;

use catena_core::{Kind, NodeId, Slot};
use tonic::{Code, Status};

use crate::convert::ConvertError;
use crate::transport::never_left;
use crate::{Refusal, kind_of};

/// Why a call did not give a result. Every error has a [`kind`](ClientError::kind) (W9).
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// A server, or this client on its behalf, refuses the call.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No coordinator gives the route.
    #[error("no coordinator gives the route ({endpoint}: {reason}): check the endpoints, and that a coordinator runs")]
    NoRoute {
        /// The last that was asked.
        endpoint: String,
        /// What happened.
        reason: String,
    },
    /// The slot has no chain.
    #[error("slot {slot} has no chain yet: wait until all nodes of the cluster have started")]
    NoChain {
        /// The key's slot.
        slot: Slot,
    },
    /// No connection to the node came about: nothing was sent.
    #[error("node {node} at {address} is not reached ({reason}): check that it runs")]
    Unreachable {
        /// Which node.
        node: NodeId,
        /// Where it should be.
        address: String,
        /// What happened.
        reason: String,
    },
    /// The call failed without a reason from the node: most often the connection was lost.
    #[error("the call to node {node} failed ({code:?}: {message}): {}", advice(*.kind))]
    Failed {
        /// Which node.
        node: NodeId,
        /// The gRPC code.
        code: Code,
        /// What the gRPC layer says.
        message: String,
        /// What the code allows to conclude.
        kind: Kind,
    },
    /// The node's answer makes no sense.
    #[error("node {node} sent a malformed answer ({problem}): {}", advice(Kind::Unknown))]
    Malformed {
        /// Which node.
        node: NodeId,
        /// What is wrong with it.
        problem: ConvertError,
    },
    /// The call's time is over and the node has not answered.
    #[error("node {node} did not answer within the call's {} ms: {}", .limit.as_millis(), advice(Kind::Unknown))]
    TimedOut {
        /// Which node.
        node: NodeId,
        /// The call's time.
        limit: Duration,
    },
    /// There is nobody to ask.
    #[error("no coordinator is given: name at least one endpoint, host:port")]
    NoEndpoint,
}

fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::NotExecuted => "it was not executed",
        Kind::Unknown => "its outcome is unknown, read before you repeat it",
    }
}

impl ClientError {
    /// What the caller may conclude. Of a call with several tries, the worst of them.
    pub fn kind(&self) -> Kind {
        match self {
            ClientError::Refused(refusal) => refusal.kind(),
            ClientError::Failed { kind, .. } => *kind,
            ClientError::Malformed { .. } | ClientError::TimedOut { .. } => Kind::Unknown,
            ClientError::NoRoute { .. }
            | ClientError::NoChain { .. }
            | ClientError::Unreachable { .. }
            | ClientError::NoEndpoint => Kind::NotExecuted,
        }
    }

    /// The reason, if it has come typed.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            ClientError::Refused(refusal) => Some(refusal),
            ClientError::NoRoute { .. }
            | ClientError::NoChain { .. }
            | ClientError::Unreachable { .. }
            | ClientError::Failed { .. }
            | ClientError::Malformed { .. }
            | ClientError::TimedOut { .. }
            | ClientError::NoEndpoint => None,
        }
    }

    /// Whether another try, under a fresh route, may go better: nothing was done, and the reason passes by itself.
    pub(super) fn passes(&self) -> bool {
        use catena_core::CallError;
        match self {
            ClientError::Refused(refusal) => match refusal {
                Refusal::Call(CallError::Routing(_) | CallError::NoLease { .. } | CallError::NotCaughtUp { .. })
                | Refusal::Stopping => true,
                Refusal::Call(
                    CallError::KeyEmpty
                    | CallError::KeyTooLong { .. }
                    | CallError::ValueTooLarge { .. }
                    | CallError::UnknownSlot { .. }
                    | CallError::ConditionFailed { .. }
                    | CallError::Backpressure { .. }
                    | CallError::OutcomeUnknown { .. },
                )
                | Refusal::Register(_)
                | Refusal::TimedOut { .. }
                | Refusal::Abandoned
                | Refusal::WrongCluster { .. }
                | Refusal::WrongWireVersion { .. }
                | Refusal::WrongNode { .. }
                | Refusal::MessageTooLarge { .. }
                | Refusal::Malformed { .. } => false,
            },
            ClientError::NoRoute { .. } | ClientError::NoChain { .. } | ClientError::Unreachable { .. } => true,
            ClientError::Failed { .. }
            | ClientError::Malformed { .. }
            | ClientError::TimedOut { .. }
            | ClientError::NoEndpoint => false,
        }
    }

    /// What the status of a call to a node means.
    pub(super) fn from_status(node: &NodeId, address: &str, status: &Status) -> Self {
        if let Some(refusal) = Refusal::from_status(status) {
            return ClientError::Refused(refusal);
        }
        let message = status.message().to_owned();
        if never_left(status) {
            return ClientError::Unreachable { node: node.clone(), address: address.to_owned(), reason: message };
        }
        ClientError::Failed { node: node.clone(), code: status.code(), message, kind: kind_of(status) }
    }
}
