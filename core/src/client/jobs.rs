//! What the client works on: its callers' calls, and sessions to be opened for them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::sessions::{Numbered, Share};
use super::{AttemptId, CallId, ClientConfig, ClientRequest, Delivery, Obstacle};
use crate::{CallError, Chain, ChainVersion, Command, Kind, NodeId, Slot, Time};

/// Names a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum JobId {
    /// A caller's.
    Call(CallId),
    /// A session for this slot.
    Open(Slot),
}

/// Something that is tried until it is done.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) work: Work,
    /// When it must be done; `None`: as long as somebody needs it.
    pub(super) until: Option<Time>,
    /// The time that it had when it began.
    pub(super) limit: Duration,
    /// The worst of all tries that have ended (W9).
    pub(super) kind: Kind,
    /// What stood in the way last.
    pub(super) obstacle: Option<Obstacle>,
    /// Waits so far: the next is longer.
    waits: u32,
    /// Tries that took too long.
    pub(super) timeouts: u32,
    pub(super) stage: Stage,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Work {
    Read { key: Bytes },
    Scan { slot: Slot, after: Option<Bytes>, bytes: usize },
    Write { command: Command, delivery: Delivery, numbered: Option<(Slot, Numbered)> },
    Open,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// About to be tried.
    Ready,
    /// Waits for its number in the session of this slot.
    Queued(Slot),
    /// Waits until then, or for another route.
    Waiting { slot: Option<Slot>, until: Time },
    /// Waits for an answer.
    Underway(AttemptId),
}

/// A try.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) job: JobId,
    pub(super) slot: Slot,
    pub(super) node: NodeId,
    pub(super) address: Arc<str>,
    /// The route that it went by.
    pub(super) version: ChainVersion,
    pub(super) sent: Time,
    pub(super) deadline: Time,
}

/// Which end of a chain answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Writes.
    Head,
    /// Reads.
    Tail,
}

impl End {
    pub(super) fn of(self, chain: &Chain) -> &NodeId {
        match self {
            End::Head => &chain.head().node,
            End::Tail => &chain.tail().node,
        }
    }
}

/// Whether a try may follow one whose outcome is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It does no harm.
    Safe,
    /// It might be done twice.
    Harmful,
}

/// What is to be concluded from a node's no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No other try goes better.
    Final,
    /// This write was not done and will not be, whatever became of tries before: they were the same write, or there were none
    /// whose outcome is unknown.
    Settled,
    /// The session is gone, and with it the knowledge of what was done.
    Expired,
    /// The route is old, or the chain is changing.
    Stale,
    /// Later may go better.
    Busy { retry_after: Duration },
}

pub(super) fn verdict(error: &CallError) -> Verdict {
    match error {
        CallError::KeyEmpty
        | CallError::KeyTooLong { .. }
        | CallError::ValueTooLarge { .. }
        | CallError::UnknownSlot { .. }
        | CallError::DiskFull { .. }
        | CallError::AlreadyAnswered { .. } => Verdict::Final,
        CallError::ConditionFailed { .. } => Verdict::Settled,
        CallError::SessionExpired { .. } => Verdict::Expired,
        CallError::Routing(_) | CallError::NoLease { .. } | CallError::NotCaughtUp { .. } | CallError::OutcomeUnknown { .. } => {
            Verdict::Stale
        }
        CallError::Backpressure { retry_after, .. } => Verdict::Busy { retry_after: *retry_after },
    }
}

/// A call is `NotExecuted` only if each of its tries was (W9).
pub(super) fn worse(one: Kind, other: Kind) -> Kind {
    match (one, other) {
        (Kind::NotExecuted, Kind::NotExecuted) => Kind::NotExecuted,
        (Kind::Unknown, _) | (_, Kind::Unknown) => Kind::Unknown,
    }
}

impl Job {
    pub(super) fn call(request: ClientRequest, now: Time, limit: Duration) -> Self {
        let work = match request {
            ClientRequest::Get { key } => Work::Read { key },
            ClientRequest::Scan { slot, after, bytes } => Work::Scan { slot, after, bytes },
            ClientRequest::Write { command, delivery } => Work::Write { command, delivery, numbered: None },
        };
        Self { work, until: Some(now + limit), limit, ..Self::open() }
    }

    pub(super) fn open() -> Self {
        let (until, limit, kind, stage) = (None, Duration::ZERO, Kind::NotExecuted, Stage::Ready);
        Self { work: Work::Open, until, limit, kind, obstacle: None, waits: 0, timeouts: 0, stage }
    }

    pub(super) fn end(&self) -> End {
        match self.work {
            Work::Read { .. } | Work::Scan { .. } => End::Tail,
            Work::Write { .. } | Work::Open => End::Head,
        }
    }

    pub(super) fn repeat(&self) -> Repeat {
        match self.work {
            Work::Write { delivery: Delivery::AtMostOnce, .. } => Repeat::Harmful,
            Work::Read { .. } | Work::Scan { .. } | Work::Write { delivery: Delivery::ExactlyOnce, .. } | Work::Open => {
                Repeat::Safe
            }
        }
    }

    /// Its place in a session, once it has one.
    pub(super) fn numbered(&self) -> Option<(Slot, Numbered)> {
        match self.work {
            Work::Write { numbered, .. } => numbered,
            Work::Read { .. } | Work::Scan { .. } | Work::Open => None,
        }
    }

    pub(super) fn wants_number(&self) -> bool {
        matches!(self.work, Work::Write { delivery: Delivery::ExactlyOnce, numbered: None, .. })
    }

    /// Half of its time.
    pub(super) fn share(&self) -> Share {
        let (half, until) = (self.limit / 2, self.until.expect("calls have an end, and nothing else waits for a number"));
        Share { half, until: until - half }
    }

    /// Counts a wait; how many there were with it.
    pub(super) fn next_wait(&mut self) -> u32 {
        self.waits = self.waits.saturating_add(1);
        self.waits
    }

    /// The next wait is the first again.
    pub(super) fn wait_anew(&mut self) {
        self.waits = 0;
    }

    /// What may be concluded if nothing more is heard.
    pub(super) fn kind_if_ended_now(&self) -> Kind {
        match self.stage {
            Stage::Underway(_) => Kind::Unknown,
            Stage::Ready | Stage::Queued(_) | Stage::Waiting { .. } => self.kind,
        }
    }

    /// Until when a try that is sent now may take: long where no other may follow it.
    pub(super) fn attempt_deadline(&self, now: Time, config: &ClientConfig) -> Time {
        /// Over half an hour, from the default: a large value may need it.
        const DOUBLINGS: u32 = 10;
        /// Of opening a session, which is small: one try that was lost must not hold up the calls of later.
        const DOUBLINGS_OF_OPEN: u32 = 2;
        let doublings = if self.until.is_some() { DOUBLINGS } else { DOUBLINGS_OF_OPEN };
        let most = config.attempt_timeout.saturating_mul(1 << self.timeouts.min(doublings));
        let most = now + most.min(ClientConfig::FOREVER);
        match (self.until, self.repeat()) {
            (Some(until), Repeat::Harmful) => until,
            (Some(until), Repeat::Safe) => most.min(until),
            (None, _) => most,
        }
    }
}
