//! What machines tell each other: neighbours in a chain, a node and its coordinator.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::{
    Chain, ChainVersion, Entry, EntryId, Epoch, Incarnation, Metadata, NodeId, Object, Process, Revision, RollCall, Seq, Session,
    Slot, WallTime,
};

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
    /// Successor to predecessor: "I have not been matched, or have not heard up to where you are synced; probe me." And in
    /// answer: "I am here, and not matched myself."
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
        /// Whether the disk of the sender, or of a member behind it, has room for no more puts (D3).
        disk_full: bool,
    },
    /// To the sender of a message under an older version: the stored configuration, verbatim (C2). So a half-adopted
    /// version does not block a chain while coordinators are away.
    Newer {
        /// What the sender of this has durably adopted.
        chain: Chain,
    },
    /// Joining replica to the tail: "Our logs do not meet; send me your state" (J1).
    Fetch {
        /// The snapshot that chunks are staged of; `None`: none yet.
        pin: Option<Pin>,
        /// The last key staged; `None`: from the first key on.
        after: Option<Bytes>,
    },
    /// Tail to joining replica: a part of a snapshot.
    Chunk(Chunk),
}

/// Names a snapshot: the same name, the same content (J3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Whose state.
    pub source: NodeId,
    /// The run of its process.
    pub process: Process,
    /// The last entry that the state has.
    pub at: EntryId,
}

/// A part of a snapshot: every object with a key after `after`, up to the last one given or to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Of which snapshot.
    pub pin: Pin,
    /// The part begins behind this key; `None`: at the first one.
    pub after: Option<Bytes>,
    /// In key order.
    pub objects: Vec<(Bytes, Object)>,
    /// What belongs to the state besides its objects; with the last part only.
    pub end: Option<SnapshotEnd>,
    /// Of all the above, see [`Chunk::digest`].
    pub checksum: u32,
}

/// What closes a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotEnd {
    /// The time of the entry that the state stands at (W2).
    pub at_time: WallTime,
    /// The session table (W8).
    pub sessions: Vec<(Seq, Session)>,
}

impl Chunk {
    /// CRC-32 over everything in it but the checksum: a chunk passes through two disks and a network.
    pub fn digest(&self) -> u32 {
        let mut hash = crc32fast::Hasher::new();
        let mut number = |number: u64| hash.update(&number.to_be_bytes());
        [self.pin.process.0, self.pin.at.version.0, self.pin.at.seq.0, self.objects.len() as u64]
            .into_iter()
            .for_each(&mut number);
        let mut bytes = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        bytes(self.pin.source.as_str().as_bytes());
        bytes(self.after.as_deref().unwrap_or_default());
        for (key, object) in &self.objects {
            bytes(key);
            bytes(&object.value);
            let Metadata { version, created_at, updated_at } = object.metadata;
            bytes(&[version.0, created_at.0, updated_at.0].map(u64::to_be_bytes).concat());
        }
        if let Some(end) = &self.end {
            bytes(&end.at_time.0.to_be_bytes());
            // The table's debug form names every field, in order.
            bytes(format!("{:?}", end.sessions).as_bytes());
        }
        hash.finalize()
    }
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

    /// Adds the entry behind the last.
    pub(crate) fn extend(&mut self, id: EntryId) {
        match self.runs.last_mut() {
            Some(run) if run.version == id.version => *run = id,
            Some(_) | None => self.runs.push(id),
        }
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
    /// Whether the node is here to stay.
    pub presence: Presence,
    /// The newest leadership that this process has heard of: an older one learns here that it is over (C1).
    pub epoch: Epoch,
    /// The latest roll call of that leadership that it has heard. So this was sent after that (C3).
    pub roll_call: RollCall,
}

/// Whether a node is here to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Staying,
    /// It stops in order: it answers no reads any more, and its silence is no failure (K3).
    Leaving,
}

/// What a node says of one of its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which replica.
    pub slot: Slot,
    /// The version it has durably adopted.
    pub version: ChainVersion,
    /// How it stands in that version.
    pub state: ReplicaState,
    /// Whether it has stopped serving in that version for good (C4).
    pub fenced: bool,
    /// Whether something that it has is damaged on its disk: it counts as no copy, and is to be replaced (D2).
    pub damaged: bool,
    /// A neighbour of that version that it waits for and has not heard for `NodeConfig::silence` (K2).
    pub silent: Option<NodeId>,
}

/// How a replica stands in the version it has adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaState {
    /// It takes part.
    Active,
    /// It takes part; and as a tail that is not ready it has committed up to the barrier (C9), as a joining replica it has
    /// all but the latest entries.
    CaughtUp,
    /// It has restarted in it as a member, and needs a newer one (C10).
    Restarted,
    /// It takes no part, and never will with what it has: a tail that was not ready whose log does not meet its predecessor's
    /// (C7), or a member whose log or state is damaged (D2).
    Astray,
    /// It is no replica of it. Its data is kept.
    Removed,
    /// It is no replica of it, and its data is gone.
    Dropped,
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
    /// Chains decided since `applied` of which the node is, or was, a replica; and all fences not yet reported.
    pub decisions: Decisions,
    /// Nodes registered or moved since `applied`.
    pub nodes: Vec<NodeRecord>,
}

/// What the coordinator wants of a node. Also sent by itself, as soon as something is decided: without a lease, and
/// repeated in the next answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decisions {
    /// The leadership that says so; a node takes nothing of an older one than it has heard of (C1).
    pub epoch: Epoch,
    /// The latest roll call of it.
    pub roll_call: RollCall,
    /// Chains to adopt.
    pub chains: Vec<Chain>,
    /// Versions to stop serving in (C4).
    pub fences: Vec<(Slot, ChainVersion)>,
    /// Slots whose data the node may forget: it is no replica of this version, whose chain is whole without it.
    pub drops: Vec<(Slot, ChainVersion)>,
}

impl Decisions {
    /// Nothing, of this leadership.
    pub fn none(epoch: Epoch) -> Self {
        Self { epoch, roll_call: RollCall(0), chains: Vec::new(), fences: Vec::new(), drops: Vec::new() }
    }
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
    /// Failure domains, such as `rack` → `r1`: two replicas of a chain differ in the value of every key that both have.
    pub labels: BTreeMap<String, String>,
}
