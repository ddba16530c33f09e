//! Why a client's call did not give a result.

use std::time::Duration;

use catena_core::{Kind, NodeId, Slot};
use tonic::Code;

use crate::Refusal;
use crate::convert::ConvertError;

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
    /// The write has waited for its number all the time: for others of this client to the same slot, or for the session.
    #[error("slot {slot}: the write waited for others of this client: send fewer at once, it was not executed")]
    NoTurn {
        /// The key's slot.
        slot: Slot,
    },
    /// Too many calls of this client wait for their end.
    #[error("{limit} calls of this client wait already: wait for some of them first, it was not executed")]
    TooManyCalls {
        /// As many as there may be.
        limit: usize,
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
    /// The last try was not executed, but one before may have been.
    #[error("{last}; but of an earlier try {}", advice(Kind::Unknown))]
    Unsure {
        /// How the last one ended.
        last: Box<ClientError>,
    },
    /// The call was not sent: what it waited for went wrong.
    #[error("the call was not sent, for this reason: {reason}")]
    NotSent {
        /// What went wrong.
        reason: Box<ClientError>,
    },
    /// The call had no time at all.
    #[error("the call's time was over before anything was sent: give it more")]
    NoTime,
    /// There is nobody to ask.
    #[error("no coordinator is given: name at least one endpoint, host:port")]
    NoEndpoint,
}

fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::NotExecuted => "it was not executed",
        Kind::Unknown => "its outcome is unknown, read before you repeat a write",
    }
}

impl ClientError {
    /// What the caller may conclude. Of a call with several tries, the worst of them.
    pub fn kind(&self) -> Kind {
        match self {
            ClientError::Refused(refusal) => refusal.kind(),
            ClientError::Failed { kind, .. } => *kind,
            ClientError::Malformed { .. } | ClientError::TimedOut { .. } | ClientError::Unsure { .. } => Kind::Unknown,
            ClientError::NoRoute { .. }
            | ClientError::NoChain { .. }
            | ClientError::NoTurn { .. }
            | ClientError::TooManyCalls { .. }
            | ClientError::Unreachable { .. }
            | ClientError::NotSent { .. }
            | ClientError::NoTime
            | ClientError::NoEndpoint => Kind::NotExecuted,
        }
    }

    /// The reason, if it has come typed and ended the call.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            ClientError::Refused(refusal) => Some(refusal),
            ClientError::NoRoute { .. }
            | ClientError::NoChain { .. }
            | ClientError::NoTurn { .. }
            | ClientError::TooManyCalls { .. }
            | ClientError::Unreachable { .. }
            | ClientError::Failed { .. }
            | ClientError::Malformed { .. }
            | ClientError::TimedOut { .. }
            | ClientError::Unsure { .. }
            | ClientError::NotSent { .. }
            | ClientError::NoTime
            | ClientError::NoEndpoint => None,
        }
    }

    /// The same, of a call all of whose tries come to this kind.
    pub(super) fn of(self, kind: Kind) -> Self {
        match (self.kind(), kind) {
            (Kind::NotExecuted, Kind::Unknown) => ClientError::Unsure { last: Box::new(self) },
            // The session could not be opened, or it is another call's trouble.
            (Kind::Unknown, Kind::NotExecuted) => ClientError::NotSent { reason: Box::new(self) },
            (Kind::NotExecuted, Kind::NotExecuted) | (Kind::Unknown, Kind::Unknown) => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use catena_core::{CallError, Seq};

    use super::*;

    fn errors() -> Vec<(ClientError, Kind)> {
        use Kind::{NotExecuted, Unknown};
        let node = || NodeId::new("a").expect("a legal name");
        let (slot, address, reason) = (Slot(0), String::new, String::new);
        let failed = |kind| ClientError::Failed { node: node(), code: Code::Unavailable, message: String::new(), kind };
        let expired = Refusal::Call(CallError::SessionExpired { slot, session: Seq(1) });
        let problem = ConvertError::Missing { field: "get_response.metadata" };
        vec![
            (Refusal::Stopping.into(), NotExecuted),
            (expired.into(), Unknown),
            (ClientError::NoRoute { endpoint: address(), reason: reason() }, NotExecuted),
            (ClientError::NoChain { slot }, NotExecuted),
            (ClientError::NoTurn { slot }, NotExecuted),
            (ClientError::TooManyCalls { limit: 1 }, NotExecuted),
            (ClientError::Unreachable { node: node(), address: address(), reason: reason() }, NotExecuted),
            (failed(NotExecuted), NotExecuted),
            (failed(Unknown), Unknown),
            (ClientError::Malformed { node: node(), problem }, Unknown),
            (ClientError::TimedOut { node: node(), limit: Duration::from_secs(1) }, Unknown),
            (ClientError::Unsure { last: Box::new(ClientError::NoTime) }, Unknown),
            (ClientError::NotSent { reason: Box::new(failed(Unknown)) }, NotExecuted),
            (ClientError::NoTime, NotExecuted),
            (ClientError::NoEndpoint, NotExecuted),
        ]
    }

    #[test]
    fn every_error_has_its_kind() {
        for (error, kind) in errors() {
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(error.refusal().is_some(), matches!(error, ClientError::Refused(_)), "{error}");
        }
    }

    #[test]
    fn an_error_can_be_given_the_kind_of_all_tries() {
        for (error, own) in errors() {
            for kind in [Kind::NotExecuted, Kind::Unknown] {
                let of_all = error.clone().of(kind);
                assert_eq!(of_all.kind(), kind, "{error}");
                assert_eq!(of_all.refusal().is_some(), kind == own && error.refusal().is_some(), "{error}");
                assert!(of_all.to_string().contains(&error.to_string()));
            }
        }
    }
}
