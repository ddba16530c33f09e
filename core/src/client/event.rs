//! The whole surface of the client machine: what it is told, what goes in, what comes out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::ClientError;
use crate::{CallError, ClusterId, Command, NodeId, Origin, Reply, Route, Slot, Target, Time};

/// How a client behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// The cluster that is meant; `None`: that of the first route.
    pub cluster: Option<ClusterId>,
    /// How many coordinators there are to ask: they are 0, 1, … in the driver's list.
    pub coordinators: usize,
    /// How long one call may take, with all its tries. Should exceed the time in which a chain heals, about a second, and how
    /// long a node holds a call, 5 s. 10 s.
    pub call_timeout: Duration,
    /// How long one try may take, if there may be another. Doubles with each try of a call that took too long: large values
    /// on slow links get through. 2 s.
    pub attempt_timeout: Duration,
    /// How long a coordinator may take to give the route before the next one is asked. 1 s.
    pub route_timeout: Duration,
    /// The wait before a second try under an unchanged route. It doubles with each further one. 2 ms.
    pub first_wait: Duration,
    /// The longest wait between two tries: about how soon a node that is back is noticed. 100 ms.
    pub longest_wait: Duration,
    /// A session that was not used for so long is left to expire, and another is opened: else a write could end `Unknown`
    /// that never ran. At most half of [`NodeConfig::session_idle`](crate::NodeConfig::session_idle). 5 min.
    pub session_idle: Duration,
    /// Writes of one session that wait for their answers, at most (`window.rs`); more wait in the client, and so do those twice as
    /// far ahead of the first of them: else the session keeps so many answers that it has no room for that one. At most half of
    /// [`Limits::session_writes`](crate::Limits::session_writes). 64.
    pub session_writes: usize,
    /// Calls at once; more are refused. 16,384.
    pub calls: usize,
    /// What the jitter is drawn from. Clients should differ.
    pub seed: u64,
}

impl ClientConfig {
    /// The starting values, for a cluster with so many coordinators.
    pub fn new(coordinators: usize, seed: u64) -> Self {
        let ms = Duration::from_millis;
        Self {
            cluster: None,
            coordinators,
            call_timeout: ms(10_000),
            attempt_timeout: ms(2_000),
            route_timeout: ms(1_000),
            first_wait: ms(2),
            longest_wait: ms(100),
            session_idle: ms(300_000),
            session_writes: 64,
            calls: 16_384,
            seed,
        }
    }

    /// As good as for ever, and yet can be reckoned with.
    pub(super) const FOREVER: Duration = Duration::from_hours(100 * 365 * 24);

    /// The same, with times that can be reckoned with.
    pub(super) fn bounded(self) -> Self {
        let bounded = |duration: Duration| duration.min(Self::FOREVER);
        Self {
            call_timeout: bounded(self.call_timeout),
            attempt_timeout: bounded(self.attempt_timeout),
            route_timeout: bounded(self.route_timeout),
            longest_wait: bounded(self.longest_wait),
            ..self
        }
    }
}

/// Names a call. Given by the driver, never reused by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Names a try. Given by the machine, never reused by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub u64);

/// What a caller wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientRequest {
    /// An object, linearizably.
    Get {
        /// Its key.
        key: Bytes,
    },
    /// A part of a slot's objects, linearizably.
    Scan {
        /// Whose.
        slot: Slot,
        /// From behind this key on.
        after: Option<Bytes>,
        /// Of about so many bytes.
        bytes: usize,
    },
    /// A write.
    Write {
        /// What to do.
        command: Command,
        /// What to do after a try whose outcome is not known.
        delivery: Delivery,
    },
}

/// What happens after a try of a write whose outcome is not known (W8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is not tried again: the call ends [`Kind::Unknown`](crate::Kind::Unknown).
    AtMostOnce,
    /// It is tried again under the same session and number, and takes effect once.
    ExactlyOnce,
}

/// What happens to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// A call begins. Exactly one [`ClientEffect::Done`] ends it.
    Call {
        /// Names it.
        call: CallId,
        /// What is wanted.
        request: ClientRequest,
    },
    /// The caller does not wait any more: the call ends at once.
    Cancel {
        /// Which. Without effect if it has ended.
        call: CallId,
    },
    /// A coordinator gives the whole route: for [`ClientEffect::AskRoute`], or by itself.
    Route(Route),
    /// A coordinator that gave the route says what has changed since: only those chains and nodes are in it.
    RouteChanged(Route),
    /// A coordinator does not give the route, or does not say any more what changes.
    RouteFailed {
        /// Which.
        coordinator: usize,
    },
    /// A node answers. Without effect if the try has ended.
    Answered {
        /// Which try.
        attempt: AttemptId,
        /// With what.
        result: Result<Reply, CallError>,
    },
    /// A try ends without the node's word. Without effect if it has ended before.
    Failed {
        /// Which try.
        attempt: AttemptId,
        /// How.
        failure: Failure,
    },
    /// A deadline has passed, or has not: early and repeated wakes are harmless.
    Wake,
}

/// How a try ends that no machine of a node has answered (W9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection came about, or the process there is stopping and took no notice: surely not executed.
    NotConnected,
    /// The connection broke after the request may have left, or the answer made no sense: the outcome is unknown.
    Lost,
    /// No answer came in time: the outcome is unknown. The machine keeps the tries' deadlines itself; this is for a driver or
    /// a node with an earlier one.
    TimedOut,
    /// The request was refused as such, and would be anywhere: surely not executed. The driver knows why.
    Rejected,
}

/// What the driver is to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEffect {
    /// Send a request to a node, connecting explicitly before: so that a failed connect is told from a lost call. Report by
    /// [`ClientEvent::Answered`] or [`ClientEvent::Failed`].
    Send {
        /// Names the try.
        attempt: AttemptId,
        /// For which call; `None`: for a session, which several calls may wait for.
        call: Option<CallId>,
        /// To whom.
        node: NodeId,
        /// Where that is: `host:port`.
        address: Arc<str>,
        /// The route it goes by.
        target: Target,
        /// What.
        body: Body,
        /// Nobody waits for the answer after this.
        deadline: Time,
    },
    /// Nobody waits for this try any more. It may have been executed, and may yet be.
    Abandon {
        /// Which.
        attempt: AttemptId,
    },
    /// Ask a coordinator for the whole route, and to say what changes from there on, if it does not already. Report by
    /// [`ClientEvent::Route`] or [`ClientEvent::RouteFailed`].
    AskRoute {
        /// Which.
        coordinator: usize,
    },
    /// A call has ended.
    Done {
        /// Which.
        call: CallId,
        /// How. Never [`Reply::Opened`].
        result: Result<Reply, ClientError>,
    },
}

/// What a node is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// An object. To the tail.
    Read {
        /// Its key.
        key: Bytes,
    },
    /// A part of the slot's objects. To the tail.
    Scan {
        /// From behind this key on.
        after: Option<Bytes>,
        /// Of about so many bytes.
        bytes: usize,
    },
    /// A write. To the head.
    Write {
        /// What to do.
        command: Command,
        /// Under which session.
        origin: Option<Origin>,
    },
    /// A new session. To the head.
    OpenSession,
}
