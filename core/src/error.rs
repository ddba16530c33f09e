//! Why a call was refused or its outcome is not known. Every error has a kind (W9).

use std::time::Duration;

use crate::{ChainVersion, Metadata, Role, Seq, Slot};

/// What a caller may conclude from an error (W9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing was done, nor will be: retry anywhere.
    NotExecuted,
    /// It may have been done, or may yet be: do not repeat blindly.
    Unknown,
}

/// Why a call did not give a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The key is empty.
    #[error("the key is empty: give at least one byte")]
    KeyEmpty,
    /// The key is over the limit.
    #[error("the key has {len} bytes, over the limit of {limit}: use a shorter key")]
    KeyTooLong {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The value is over the limit.
    #[error("the value has {len} bytes, over the limit of {limit}: split it over several keys")]
    ValueTooLarge {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// No such slot, or the key is of another.
    #[error("slot {slot} is not the slot of this key in a cluster of {slots} slots: recompute crc32(key) mod {slots}")]
    UnknownSlot {
        /// The slot asked for.
        slot: Slot,
        /// The cluster's number of slots.
        slots: u32,
    },
    /// The caller's route does not fit this replica.
    #[error("{0}")]
    Routing(RoutingMismatch),
    /// The node holds no lease from the coordinator, so it may not answer reads or reveal state (R1).
    #[error("slot {slot}: this node holds no lease from the coordinator just now: retry, and check that the coordinator runs")]
    NoLease {
        /// The slot asked for.
        slot: Slot,
    },
    /// The tail has not caught up with its chain's current version yet (R2).
    #[error("slot {slot}: the tail is catching up after a change of its chain: retry shortly")]
    NotCaughtUp {
        /// The slot asked for.
        slot: Slot,
    },
    /// A condition does not hold (W7).
    #[error("condition failed: the object {}", describe(.object.as_ref()))]
    ConditionFailed {
        /// The object it was judged on; `None`: there is none.
        object: Option<Metadata>,
    },
    /// Too much is in flight (W10).
    #[error("slot {slot}: {current} {resource} in flight reach the limit of {limit}: retry in {} ms, or send less side by side", .retry_after.as_millis())]
    Backpressure {
        /// The slot asked for.
        slot: Slot,
        /// What there is too much of.
        resource: Resource,
        /// How much is in flight.
        current: u64,
        /// The limit.
        limit: u64,
        /// When it may go better: from 10 ms to 1 s.
        retry_after: Duration,
    },
    /// The disk of a member has reached its reserve (D3). Deletes go on.
    #[error("slot {slot}: the disk of a node in its chain is nearly full: delete something, or give that node more room")]
    DiskFull {
        /// The slot written to.
        slot: Slot,
    },
    /// The session is not there: it has expired, or was never opened. Whether the write took effect before is not known.
    #[error("slot {slot}: session {session} has expired: open a new one; whether its last writes took effect is unknown")]
    SessionExpired {
        /// The slot asked for.
        slot: Slot,
        /// The session's name.
        session: Seq,
    },
    /// The client has said that it has this write's answer.
    #[error("slot {slot}: write {number} of session {session} was answered before: give a new write a higher number")]
    AlreadyAnswered {
        /// The slot asked for.
        slot: Slot,
        /// The session's name.
        session: Seq,
        /// The write's number.
        number: u64,
    },
    /// The entry was ordered, and then cut by a change of the chain before it was committed (C7).
    #[error("slot {slot}: the chain changed before the write was committed: its outcome is unknown")]
    OutcomeUnknown {
        /// The slot written to.
        slot: Slot,
    },
}

fn describe(object: Option<&Metadata>) -> String {
    match object {
        None => "does not exist".to_owned(),
        Some(object) => format!("exists at version {}, updated at {} ns", object.version, object.updated_at.0),
    }
}

/// What is limited in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Writes of one slot.
    SlotWrites,
    /// Bytes of writes of one slot.
    SlotBytes,
    /// Writes of all slots of a node.
    NodeWrites,
    /// Bytes of writes of all slots of a node.
    NodeBytes,
    /// Sessions of one slot.
    SlotSessions,
    /// Writes of one session whose answers the client has not said to have.
    SessionWrites,
    /// Bytes of a node's answers to reads that clients have not taken yet. The driver's, not the machine's.
    NodeAnswers,
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Resource::SlotWrites => "writes of the slot",
            Resource::SlotBytes => "bytes of the slot",
            Resource::NodeWrites => "writes of the node",
            Resource::NodeBytes => "bytes of the node",
            Resource::SlotSessions => "sessions of the slot",
            Resource::SessionWrites => "unanswered writes of the session",
            Resource::NodeAnswers => "bytes of untaken answers of the node",
        })
    }
}

/// How the caller's route and this replica disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "slot {slot}: the call was routed under chain version {expected}, this replica is {role:?} at version {current} ({reason}): refresh the route"
)]
pub struct RoutingMismatch {
    /// The slot asked for.
    pub slot: Slot,
    /// The version of the caller's route.
    pub expected: ChainVersion,
    /// The version this replica has adopted; 0 for none.
    pub current: ChainVersion,
    /// Its part in that version.
    pub role: Role,
    /// What is wrong.
    pub reason: MismatchReason,
}

/// What is wrong with a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MismatchReason {
    /// The node has no replica of the slot.
    NoReplica,
    /// The versions differ.
    WrongVersion,
    /// The replica does not answer this kind of call: writes go to the head, reads to the tail.
    WrongRole,
    /// It has restarted, is fenced or stopping, or is adopting a version, and does not act just now.
    Inactive,
    /// What was asked for is damaged on its disk; it is to be replaced (D2).
    Damaged,
}

impl std::fmt::Display for MismatchReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            MismatchReason::NoReplica => "no replica here",
            MismatchReason::WrongVersion => "wrong version",
            MismatchReason::WrongRole => "wrong role",
            MismatchReason::Inactive => "not active",
            MismatchReason::Damaged => "damaged on this node's disk",
        })
    }
}

impl CallError {
    /// What the caller may conclude.
    pub fn kind(&self) -> Kind {
        match self {
            CallError::SessionExpired { .. } if mutant!(ExpiredNotExecuted) => Kind::NotExecuted,
            CallError::KeyEmpty
            | CallError::KeyTooLong { .. }
            | CallError::ValueTooLarge { .. }
            | CallError::UnknownSlot { .. }
            | CallError::Routing(_)
            | CallError::NoLease { .. }
            | CallError::NotCaughtUp { .. }
            | CallError::DiskFull { .. }
            | CallError::ConditionFailed { .. }
            | CallError::Backpressure { .. } => Kind::NotExecuted,
            CallError::OutcomeUnknown { .. } | CallError::SessionExpired { .. } | CallError::AlreadyAnswered { .. } => {
                Kind::Unknown
            }
        }
    }
}
