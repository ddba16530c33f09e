//! What a coordinator and a node are to work with, and whether their numbers make sense together.

mod coordinator;
mod node;

pub(super) use self::coordinator::{cluster, coordinator};
pub(super) use self::node::{labels, node, sizes};
use super::arguments::Size;

/// Numbers that contradict each other. Each names the flag to change.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SettingsError {
    #[error(
        "--founders {founders} are fewer than the {replicas} replicas of a chain: give --founders {replicas} or more, or fewer --replicas"
    )]
    TooFewFounders { founders: u32, replicas: u32 },
    #[error("--lease-ms {lease} is less than {least}: nodes renew it every {heartbeat} ms, and a lost heartbeat must not end it")]
    LeaseTooShort { lease: u128, least: u128, heartbeat: u128 },
    #[error(
        "--suspect-ms {suspect} is less than {least}: nodes send a heartbeat every {heartbeat} ms, and one that is late is no failure"
    )]
    SuspectTooSoon { suspect: u128, least: u128, heartbeat: u128 },
    #[error("--suspect-ms {suspect} is not below --dead-ms {dead}: a node is suspect before it is dead")]
    SuspectAfterDead { suspect: u128, dead: u128 },
    #[error(
        "--dead-ms {dead} is less than {least}, for which a lease of {lease} ms may hold on a slow clock: give --dead-ms {least} or more, or a shorter --lease-ms"
    )]
    DeadWithinLease { dead: u128, least: u128, lease: u128 },
    #[error(
        "--slot-bytes {slot} is less than {least}, for which two values of --value-bytes {value} need it: one is committed while the next arrives"
    )]
    SlotTooSmall { slot: Size, least: Size, value: Size },
    #[error("--node-bytes {node} is less than --slot-bytes {slot}: a node holds one slot's writes at least")]
    NodeBytesBelowSlot { node: Size, slot: Size },
    #[error("--node-writes {node} is less than --slot-writes {slot}: a node holds one slot's writes at least")]
    NodeWritesBelowSlot { node: u32, slot: u32 },
    #[error(
        "--slot-sessions {sessions} with the answers of --session-writes {writes} each may weigh {weight}, more than the {most} of a message that --value-bytes {value} leaves: give fewer"
    )]
    SessionsTooMany { sessions: u32, writes: u32, weight: Size, most: Size, value: Size },
    #[error("--silence-ms {silence} is not above --probe-ms {probe}: a neighbour is asked before it is reported")]
    SilenceBeforeProbe { silence: u64, probe: u64 },
    #[error("--label gives {0} twice: give each key once")]
    LabelTwice(String),
}

impl SettingsError {
    /// The settings that contradict each other.
    pub(super) fn keys(&self) -> &'static [&'static str] {
        match self {
            SettingsError::TooFewFounders { .. } => &["founders", "replicas"],
            SettingsError::LeaseTooShort { .. } => &["lease-ms"],
            SettingsError::SuspectTooSoon { .. } => &["suspect-ms"],
            SettingsError::SuspectAfterDead { .. } => &["suspect-ms", "dead-ms"],
            SettingsError::DeadWithinLease { .. } => &["dead-ms", "lease-ms"],
            SettingsError::SlotTooSmall { .. } => &["slot-bytes", "value-bytes"],
            SettingsError::NodeBytesBelowSlot { .. } => &["node-bytes", "slot-bytes"],
            SettingsError::NodeWritesBelowSlot { .. } => &["node-writes", "slot-writes"],
            SettingsError::SessionsTooMany { .. } => &["slot-sessions", "session-writes", "value-bytes"],
            SettingsError::SilenceBeforeProbe { .. } => &["silence-ms", "probe-ms"],
            SettingsError::LabelTwice(_) => &["label"],
        }
    }
}
