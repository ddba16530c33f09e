//! The words for how things are; they are part of the JSON output, and labels of figures.

use catena_core::{CallError, Eviction, Health, ReplicaState, Reply, Resource, Role, Standing, Wait};

/// All words of [`health`].
pub const HEALTHS: [&str; 5] = ["unheard", "healthy", "suspect", "dead", "stopped"];
/// All words of [`wait`].
pub const WAITS: [&str; 7] = ["no-candidate", "joining", "fencing", "last-copy", "restrained", "turn", "absence"];
/// All words of [`role`].
pub const ROLES: [&str; 6] = ["head", "middle", "tail", "only", "joining", "none"];
/// All words of [`result`].
pub const RESULTS: [&str; 10] = [
    "ok",
    "invalid",
    "misrouted",
    "no-lease",
    "not-caught-up",
    "condition-failed",
    "backpressure",
    "disk-full",
    "session-expired",
    "outcome-unknown",
];
/// All words of [`resource`].
pub const RESOURCES: [&str; 7] =
    ["slot-writes", "slot-bytes", "node-writes", "node-bytes", "slot-sessions", "session-writes", "node-answers"];

/// How a node is.
pub fn health(health: Health) -> &'static str {
    match health {
        Health::Unheard => "unheard",
        Health::Healthy => "healthy",
        Health::Suspect => "suspect",
        Health::Dead => "dead",
        Health::Stopped => "stopped",
    }
}

/// Whether a node may hold replicas.
pub fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Member => "member",
        Standing::Draining => "draining",
        Standing::Evicted { reason: Eviction::Flapping, .. } => "evicted-flapping",
        Standing::Evicted { reason: Eviction::Ordered, .. } => "evicted-ordered",
    }
}

/// Why a chain waits.
pub fn wait(wait: Wait) -> &'static str {
    match wait {
        Wait::NoCandidate => "no-candidate",
        Wait::Joining => "joining",
        Wait::Fencing => "fencing",
        Wait::LastCopy => "last-copy",
        Wait::Restrained => "restrained",
        Wait::Turn => "turn",
        Wait::Absence => "absence",
    }
}

/// The same for people.
pub fn explained(wait: Wait) -> &'static str {
    match wait {
        Wait::NoCandidate => "no other node with fitting labels is there: add one",
        Wait::Joining => "a copy is being filled",
        Wait::Fencing => "a member is being taken out",
        Wait::LastCopy => "the only whole copy does not answer: bring its node back",
        Wait::Restrained => "too many nodes are gone at once: bring them back, or evict them by hand",
        Wait::Turn => "others go first, or a node that failed to join is tried again soon",
        Wait::Absence => "a node that stopped in order is waited for",
    }
}

/// What a replica is to its chain.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Head => "head",
        Role::Middle => "middle",
        Role::Tail => "tail",
        Role::Only => "only",
        Role::Joining => "joining",
        Role::None => "none",
    }
}

/// How a replica stands in its version.
pub fn replica(state: ReplicaState) -> &'static str {
    match state {
        ReplicaState::Active => "active",
        ReplicaState::CaughtUp => "caught-up",
        ReplicaState::Restarted => "restarted",
        ReplicaState::Astray => "astray",
        ReplicaState::Removed => "removed",
        ReplicaState::Dropped => "dropped",
    }
}

/// How a call ended.
pub fn result(result: &Result<Reply, CallError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => match error {
            CallError::KeyEmpty
            | CallError::KeyTooLong { .. }
            | CallError::ValueTooLarge { .. }
            | CallError::UnknownSlot { .. } => "invalid",
            CallError::Routing(_) => "misrouted",
            CallError::NoLease { .. } => "no-lease",
            CallError::NotCaughtUp { .. } => "not-caught-up",
            CallError::ConditionFailed { .. } => "condition-failed",
            CallError::Backpressure { .. } => "backpressure",
            CallError::DiskFull { .. } => "disk-full",
            CallError::SessionExpired { .. } | CallError::AlreadyAnswered { .. } => "session-expired",
            CallError::OutcomeUnknown { .. } => "outcome-unknown",
        },
    }
}

/// What there is too much of.
pub fn resource(resource: Resource) -> &'static str {
    match resource {
        Resource::SlotWrites => "slot-writes",
        Resource::SlotBytes => "slot-bytes",
        Resource::NodeWrites => "node-writes",
        Resource::NodeBytes => "node-bytes",
        Resource::SlotSessions => "slot-sessions",
        Resource::SessionWrites => "session-writes",
        Resource::NodeAnswers => "node-answers",
    }
}
