//! What a node and its coordinator are told when they start.

use std::time::Duration;

use crate::{CallError, ClusterId, Incarnation, NodeId, Process};

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
    /// This run of its process.
    pub process: Process,
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
    /// How long a neighbour that is waited for may say nothing before the coordinator is told (K2). 700 ms, as `dead_after`.
    pub silence: Duration,
    /// How long the disk may be at a sync before the node says nothing to the coordinator any more, and so is taken for dead:
    /// else a member with a stalled disk would hold up its chains for as long as it likes (K2). Must exceed what a sync takes
    /// on a bad day. 1 s.
    pub stall: Duration,
    /// How long a session may be idle, by its entries' times, before the head proposes to end it (W8). 10 min.
    pub session_idle: Duration,
    /// Bytes of snapshots that the node asks for in a second, over all slots (J1). 64 MiB.
    pub copy_rate: u64,
    /// So many entries behind the tail a joining replica has "all but the latest", and may become the tail (J2). 64: what a sync
    /// covers under load.
    pub slack: u64,
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
    /// Bytes of answers to reads that clients have not taken yet, of which a quarter is for those up to 64 KiB. Kept by the
    /// driver. 256 MiB.
    pub answer_bytes: usize,
    /// Committed entries of one slot that are applied at once, without waiting. Under load their sync is shared with
    /// writes; many at a time would hold those up. 32.
    pub apply_entries: usize,
    /// Bytes of entries in one message, unless a single one is larger. 256 KiB.
    pub message_bytes: usize,
    /// Bytes of entries that the node keeps in memory, applied, for successors that are being filled (W6). Those beyond go to
    /// its disk. 32 MiB.
    pub retain_bytes: usize,
    /// Bytes of one slot's entries that it keeps there. Beyond, the successor needs a new snapshot: a copy that writes outrun
    /// must not fill the disk. 4 GiB.
    pub spill_bytes: u64,
    /// Bytes of objects in one part of a snapshot, unless a single one is larger. More at a time would hold up the syncs of
    /// other slots. 256 KiB.
    pub chunk_bytes: usize,
    /// Sessions of one slot. 2,048. With the answers kept of each, a bound on the table, which every replica has in memory and
    /// a snapshot's last part carries whole: 17 MB at most.
    pub slot_sessions: usize,
    /// Writes of one session whose answers are kept. 128: twice what a client has in flight.
    pub session_writes: usize,
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
            answer_bytes: 256 * MIB,
            apply_entries: 32,
            message_bytes: MIB / 4,
            retain_bytes: 32 * MIB,
            spill_bytes: 4 << 30,
            chunk_bytes: MIB / 4,
            slot_sessions: 2048,
            session_writes: 128,
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
            silence: Duration::from_millis(700),
            stall: Duration::from_secs(1),
            session_idle: Duration::from_mins(10),
            copy_rate: 64 << 20,
            slack: 64,
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
    /// Nodes to wait for before the first chains are placed, so that those are spread over all of them. At least
    /// `replicas`.
    pub founders: u32,
    /// The lease that a heartbeat renews (R1). 600 ms. Fixed: a new leader must know what the one before has granted (C5).
    pub lease: Duration,
}

/// How a coordinator judges and acts. May differ from start to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorConfig {
    /// The cluster.
    pub cluster: ClusterConfig,
    /// Whether other coordinators may use the same store.
    pub succession: Succession,
    /// Silence after which a node is suspect: a flap is counted, no route changes (K2). 400 ms.
    pub suspect_after: Duration,
    /// Silence after which a node is dead and leaves its chains. At least `lease × (1 + drift) + margin`, so that its lease
    /// has run out by then (C4). 700 ms.
    pub dead_after: Duration,
    /// By how much clocks may run apart, in parts per million. 10,000: 1 %.
    pub drift_ppm: u32,
    /// What is added to every wait for a lease (C4). 50 ms.
    pub margin: Duration,
    /// So many flaps within the window evict a node (K3). 3; 0: never.
    pub flap_threshold: u32,
    /// 30 s; zero: never.
    pub flap_window: Duration,
    /// The failure detector takes at most so many nodes out, in percent of all rounded up, within `restraint_window` (K4).
    /// Beyond, it stops until an operator evicts by hand or nodes come back. 34.
    pub restraint_percent: u32,
    /// 60 s.
    pub restraint_window: Duration,
    /// How long a node that left in order may be away before its replicas are built anew elsewhere. 60 s.
    pub absence: Duration,
    /// Slots that may be joining or being rebalanced at the same time; repairs are not held back by rebalancing. 64.
    pub changing_slots: u32,
    /// Joins that one node may take part in at the same time, as source or joiner. 8.
    pub joins_per_node: u32,
    /// How long a node is not tried again for a slot where it could not join, or was parted from its neighbour; a quarter of
    /// that if there is no other. 10 s.
    pub join_patience: Duration,
    /// Whether an evicted node comes back by itself.
    pub rejoin: Rejoin,
}

/// Whether several coordinators use one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Succession {
    /// Only this process can: its store is locked. It leads from the start.
    Exclusive,
    /// Any may: a leader renews its claim, and is followed when it has not done so for a while (C5).
    Shared {
        /// How long a claim holds. 2 s.
        claim: Duration,
        /// How often it is renewed. 250 ms.
        renew: Duration,
    },
}

/// Whether an evicted node comes back by itself (C11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejoin {
    /// When an operator says so.
    Manual,
    /// After this long, doubled with each eviction, at most 64 times.
    Auto(Duration),
}

impl CoordinatorConfig {
    /// The starting values of the protocol, for a cluster.
    pub fn new(cluster: ClusterConfig) -> Self {
        let ms = Duration::from_millis;
        Self {
            cluster,
            succession: Succession::Exclusive,
            suspect_after: ms(400),
            dead_after: ms(700),
            drift_ppm: 10_000,
            margin: ms(50),
            flap_threshold: 3,
            flap_window: ms(30_000),
            restraint_percent: 34,
            restraint_window: ms(60_000),
            absence: ms(60_000),
            changing_slots: 64,
            joins_per_node: 8,
            join_patience: ms(10_000),
            rejoin: Rejoin::Manual,
        }
    }

    /// How long a lease may still hold at the node, counted on the coordinator's clock from its last answer (C4).
    pub fn lease_bound(&self) -> Duration {
        self.with_drift(self.cluster.lease)
    }

    /// A span on this clock in which any other within the promised drift has counted `span`.
    pub fn with_drift(&self, span: Duration) -> Duration {
        span + span * self.drift_ppm / 1_000_000 + self.margin
    }
}
