//! What machines tell each other: neighbours in a chain, a node and its coordinator.

use std::time::Duration;

use crate::{Chain, ChainVersion, Entry, EntryId, Incarnation, NodeId, Revision, Seq, Slot};

/// A message between two neighbours, about one slot under one chain version (C2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The slot it is about.
    pub slot: Slot,
    /// The version the sender acts in. Without effect on a receiver that acts in another.
    pub version: ChainVersion,
    /// What it says.
    pub message: Message,
}

/// What neighbours say. Every message may be lost or repeated; a link delivers those it delivers in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Successor to predecessor: "I have not been matched, or have not heard up to where you are synced; probe me."
    Hello,
    /// Predecessor to successor, once itself matched: "This is my log; find where yours agrees" (C7).
    Probe {
        /// The sender's log.
        log: LogSummary,
        /// The last seq of the head's log when the head adopted the version (R2).
        barrier: Seq,
    },
    /// Successor to predecessor, matched: "My log ends here; send what follows."
    /// Answers a probe, and reports a gap.
    Have {
        /// The last seq received.
        last: Seq,
    },
    /// Predecessor to successor: entries and the durability watermark.
    Append {
        /// In order, without gaps; may be empty.
        entries: Vec<Entry>,
        /// All members up to the sender have synced up to here (W3); never above what the sender has received.
        durable: Seq,
    },
    /// Predecessor to successor, when nothing moves: "Do you have everything up to here?" Answered by `Ack`,
    /// or by `Have` where something is missing (W6).
    Poke {
        /// The last entry that the sender has sent.
        last: EntryId,
        /// As in `Append`.
        durable: Seq,
    },
    /// Successor to predecessor: everything up to here is committed (W5).
    Ack {
        /// The commit watermark.
        committed: Seq,
    },
    /// To the sender of a message under an older version: "I am at this one" (C1).
    Stale {
        /// The version the sender of this has adopted.
        current: ChainVersion,
    },
}

/// A log in a few numbers: where it is trimmed, and which versions its entries carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSummary {
    /// The last trimmed entry; zero if nothing is trimmed.
    pub trim: EntryId,
    /// The entries after `trim`, as runs of equal version: each run's version and its last seq, seqs increasing.
    pub runs: Vec<EntryId>,
}

impl LogSummary {
    /// The identity of the log's last entry.
    pub fn last(&self) -> EntryId {
        self.runs.last().copied().unwrap_or(self.trim)
    }

    /// The version of the entry at `seq`; `None` below the trim point and beyond the end.
    pub fn version_at(&self, seq: Seq) -> Option<ChainVersion> {
        if seq == self.trim.seq {
            return Some(self.trim.version);
        }
        if seq < self.trim.seq {
            return None;
        }
        self.runs.iter().find(|run| run.seq >= seq).map(|run| run.version)
    }
}

/// Node to coordinator: "I am here." Renews the lease; carries what changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Counts this process's heartbeats, so that an answer can be told from another.
    pub sequence: u64,
    /// Every decision up to here is durably adopted.
    pub applied: Revision,
    /// Replicas whose state the coordinator may not know yet.
    pub reports: Vec<Report>,
}

/// What a node says of one of its replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which replica.
    pub slot: Slot,
    /// The version it has durably adopted.
    pub version: ChainVersion,
    /// Whether it acts in that version.
    pub state: ReplicaState,
}

/// Whether a replica acts in the version it has adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaState {
    /// It does.
    Active,
    /// It has restarted in it, and needs a newer one (C10).
    Restarted,
    /// It is no member of it.
    Removed,
}

/// Coordinator to node, in answer to one heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// The heartbeat it answers.
    pub sequence: u64,
    /// The lease granted, counted from when that heartbeat was sent (R1).
    /// `None` when the answer could not carry every decision newer than `applied`.
    pub lease: Option<Duration>,
    /// The newest decision carried: every one of this node's up to here is in the answer, or was before `applied`.
    pub revision: Revision,
    /// Chains decided since `applied` of which the node is, or was, a member.
    pub chains: Vec<Chain>,
    /// Nodes registered or moved since `applied`.
    pub nodes: Vec<NodeRecord>,
}

/// A storage node as the coordinator knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its name.
    pub node: NodeId,
    /// Its data directory.
    pub incarnation: Incarnation,
    /// Where it answers: `host:port`.
    pub address: String,
}
