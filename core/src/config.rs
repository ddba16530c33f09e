//! What a node and its coordinator are told when they start.

use std::time::Duration;

use crate::{CallError, ClusterId, Incarnation, NodeId};

/// The most slots that a cluster may have. Chosen here: sixteen times what is comfortable (K6), so that a nonsensical
/// number is refused before memory is taken for it.
pub const MAX_SLOTS: u32 = 65_536;

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster its directory belongs to.
    pub cluster: ClusterId,
    /// Its name.
    pub node: NodeId,
    /// Its data directory.
    pub incarnation: Incarnation,
}

/// A node's limits and intervals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// The cluster's number of slots; fixed when the cluster is created.
    pub slots: u32,
    /// What is admitted.
    pub limits: Limits,
    /// How often the node tells the coordinator that it is there. Must be well below the lease, so that
    /// a few lost heartbeats do not end it. 100 ms.
    pub heartbeat: Duration,
    /// How long a neighbour may make no progress before it is asked what it has. Must exceed a round
    /// trip and a sync. 50 ms.
    pub probe: Duration,
    /// How long committed entries of a slot may wait to be applied. Each time costs a sync that nobody waits for,
    /// which longer waits share among more entries; they cost memory. 200 ms.
    pub apply: Duration,
}

/// What a write may weigh, and how much may be in flight (W10). Checked at the head, before a seq is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest key. 4 KiB.
    pub key_bytes: usize,
    /// The longest value. 16 MiB.
    pub value_bytes: usize,
    /// Writes of one slot that wait for their commit. 1,024.
    pub slot_writes: usize,
    /// Bytes of one slot's entries in memory, uncommitted or not yet applied. 64 MiB: a few of the largest.
    pub slot_bytes: usize,
    /// Writes of all slots that wait for their commit. 16,384.
    pub node_writes: usize,
    /// Bytes of all slots' entries in memory. 256 MiB.
    pub node_bytes: usize,
    /// Committed entries of one slot that are applied at once, without waiting. Under load their sync is shared with
    /// writes; many at a time would hold those up. 32.
    pub apply_entries: usize,
    /// Bytes of entries in one message, unless a single one is larger. 256 KiB.
    pub message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        Self {
            key_bytes: 4096,
            value_bytes: 16 * MIB,
            slot_writes: 1024,
            slot_bytes: 64 * MIB,
            node_writes: 16_384,
            node_bytes: 256 * MIB,
            apply_entries: 32,
            message_bytes: MIB / 4,
        }
    }
}

impl Limits {
    /// Whether a key is 1 to `key_bytes` bytes long.
    ///
    /// # Errors
    /// [`CallError::KeyEmpty`] or [`CallError::KeyTooLong`].
    pub fn admit_key(&self, key: &[u8]) -> Result<(), CallError> {
        let (len, limit) = (key.len(), self.key_bytes);
        match len {
            0 => Err(CallError::KeyEmpty),
            _ if len > limit => Err(CallError::KeyTooLong { len, limit }),
            _ => Ok(()),
        }
    }
}

impl NodeConfig {
    /// The starting values of the protocol, for a cluster of `slots`.
    pub fn new(slots: u32) -> Self {
        Self {
            slots,
            limits: Limits::default(),
            heartbeat: Duration::from_millis(100),
            probe: Duration::from_millis(50),
            apply: Duration::from_millis(200),
        }
    }
}

/// What a cluster is; fixed when its coordinator's directory is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Its random identity.
    pub cluster: ClusterId,
    /// The number of hash buckets, hence of chains.
    pub slots: u32,
    /// Members of each chain.
    pub replicas: u32,
    /// The storage nodes.
    pub nodes: Vec<NodeId>,
    /// The lease that a heartbeat renews (R1). 600 ms.
    pub lease: Duration,
}
