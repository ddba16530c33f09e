//! A node as its operator sees it.

use std::time::Duration;

use super::Node;
use crate::{Epoch, Identity, Presence, Revision, Slot, Time};

/// How a node is, apart from its replicas.
#[derive(Clone, Copy, Debug)]
pub struct NodeOverview<'a> {
    /// Who it is.
    pub identity: &'a Identity,
    /// Whether it is here to stay.
    pub presence: Presence,
    /// For how long it still holds its lease (R1); `None`: it holds none.
    pub lease: Option<Duration>,
    /// The newest leadership heard of.
    pub epoch: Epoch,
    /// Decisions up to here are durably adopted.
    pub applied: Revision,
    /// Heartbeats sent so far.
    pub heartbeats: u64,
    /// How long ago the last one was.
    pub last_heartbeat: Duration,
    /// Replicas whose state the coordinator may not know.
    pub unreported: usize,
    /// Writes of all slots that wait for their commit (W10).
    pub writes: usize,
    /// Bytes of entries in memory that are not applied.
    pub bytes: usize,
    /// Bytes of entries that are, and kept for a successor that is being filled.
    pub retained: usize,
    /// Batches on their way to the disk.
    pub writing: usize,
    /// For how long the disk has been at the oldest of them.
    pub oldest_write: Duration,
    /// Whether that is so long that the node says nothing to the coordinator (K2).
    pub stalled: bool,
}

impl Node {
    /// How it is at this moment, which is not before the last step's.
    pub fn overview(&self, now: Time) -> NodeOverview<'_> {
        let oldest = self.writing.front().map(|(_, _, since)| now.since(*since));
        NodeOverview {
            identity: &self.identity,
            presence: self.presence,
            lease: self.lease.left(now),
            epoch: self.epoch,
            applied: self.applied,
            heartbeats: self.sequence,
            last_heartbeat: now.since(self.last_heartbeat),
            unreported: self.unreported.len(),
            writes: self.load.writes,
            bytes: self.load.bytes,
            retained: self.load.retained,
            writing: self.writing.len(),
            oldest_write: oldest.unwrap_or_default(),
            stalled: oldest.is_some_and(|oldest| oldest >= self.config.stall),
        }
    }

    /// The slots of which it has a replica, in order: see [`Node::view`].
    pub fn replicas(&self) -> impl Iterator<Item = Slot> {
        let slots = (0..self.config.slots).map(Slot);
        slots.zip(&self.replicas).filter_map(|(slot, replica)| replica.as_ref().map(|_| slot))
    }
}
