//! The whole surface of the node machine: what goes in, what comes out, what lies on disk.

use bytes::Bytes;

use crate::{
    CallError, Chain, ChainVersion, Command, Decisions, Entry, EntryId, Envelope, Heartbeat, HeartbeatAnswer, Metadata, NodeId,
    Object, Origin, Pin, RequestId, Seq, Session, Slot, SnapshotEnd, Ticket, WallTime,
};

/// What happens to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client writes.
    Write {
        /// Names the call; exactly one [`Effect::Reply`] answers it.
        request: RequestId,
        /// Where the client's route sent it.
        target: Target,
        /// What to do.
        command: Command,
        /// Under which session; `None`: at most once, and not to be retried after an unknown outcome (W8).
        origin: Option<Origin>,
        /// The object as the store has it, read in the same turn as this step.
        stored: Option<Metadata>,
    },
    /// A client reads.
    Read {
        /// Names the call; exactly one [`Effect::Reply`] answers it.
        request: RequestId,
        /// Where the client's route sent it.
        target: Target,
        /// Which object.
        key: Bytes,
        /// The object as the store has it, read in the same turn as this step, before its `now` was taken (R1).
        stored: Option<Object>,
    },
    /// A client goes through a slot's objects. Answered by [`Reply::Scanned`].
    Scan {
        /// Names the call; exactly one [`Effect::Reply`] answers it.
        request: RequestId,
        /// Where the client's route sent it: the tail, as a read.
        target: Target,
        /// From behind this key on.
        after: Option<Bytes>,
        /// About how much the answer may hold.
        bytes: usize,
        /// The objects there as the store has them, about so many bytes, read in the same turn as this step, before its `now`
        /// was taken (R1).
        stored: Page,
    },
    /// A client opens a session in a slot (W8). Answered by [`Reply::Opened`].
    OpenSession {
        /// Names the call; exactly one [`Effect::Reply`] answers it.
        request: RequestId,
        /// Where the client's route sent it: the head, as a write.
        target: Target,
    },
    /// A neighbour says something.
    Message {
        /// Who.
        from: NodeId,
        /// What.
        envelope: Envelope,
    },
    /// The link to a neighbour is new: what was sent on the one before may be lost (W6).
    LinkUp {
        /// The neighbour.
        peer: NodeId,
    },
    /// Everything handed to the disk up to `ticket` is synced, and visible to reads of the store.
    Durable {
        /// The last such batch.
        ticket: Ticket,
    },
    /// The stream to the coordinator is new: it may not know what was reported before.
    CoordinatorUp,
    /// The coordinator answers a heartbeat.
    Answer(HeartbeatAnswer),
    /// The coordinator says at once what its next answer will say too.
    Decided(Decisions),
    /// A part of the pinned state, for [`Effect::ReadChunk`].
    ChunkRead {
        /// Whose.
        slot: Slot,
        /// The last entry that the state has; the same for all parts of one pin.
        at: EntryId,
        /// As asked for.
        after: Option<Bytes>,
        /// In key order.
        objects: Vec<(Bytes, Object)>,
        /// With the last part: the rest of the state.
        end: Option<SnapshotEnd>,
    },
    /// Spilled entries, for [`Effect::ReadSpilled`].
    SpilledRead {
        /// Whose.
        slot: Slot,
        /// From the one behind `after` on, without a gap; empty if that is not there any more.
        entries: Vec<Entry>,
    },
    /// A record of a replica's state is damaged on the disk, which a call, a snapshot or a successor wanted to read (D2).
    Damaged {
        /// Whose.
        slot: Slot,
        /// The call that wanted it; exactly one [`Effect::Reply`] answers it.
        request: Option<RequestId>,
    },
    /// The disk has reached its reserve, or has room again (D3). A disk has room until the first of these.
    DiskFull {
        /// Which of the two.
        full: bool,
    },
    /// The process is to stop: the node answers no reads any more, and says so to the coordinator. Calls that wait go on;
    /// the driver ends the process when they have ended, or when it has waited long enough.
    Stop,
    /// A deadline has passed, or has not: early and repeated wakes are harmless.
    Wake,
}

/// Objects of a slot, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In key order.
    pub objects: Vec<(Bytes, Object)>,
    /// The key that the next page begins behind; at or behind the last of these. `None`: there is none.
    pub next: Option<Bytes>,
}

/// The route under which a call was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The slot of the key.
    pub slot: Slot,
    /// The chain version of the client's route (C2).
    pub version: ChainVersion,
}

/// What the driver is to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send to a neighbour. May be dropped: what matters is sent again.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        envelope: Envelope,
    },
    /// Hand to the disk; report by [`Event::Durable`].
    Persist(Batch),
    /// Answer a client.
    Reply {
        /// Which call.
        request: RequestId,
        /// With what.
        result: Result<Reply, CallError>,
    },
    /// Send to the coordinator.
    Heartbeat(Heartbeat),
    /// Hold on to the slot's state as the store has it now, its objects, its sessions and the entry that they stand at, in
    /// one step (J1). Replaces the slot's pin before.
    Pin {
        /// Whose.
        slot: Slot,
    },
    /// Let go of it.
    Unpin {
        /// Whose.
        slot: Slot,
    },
    /// Read a part of the pinned state; report by [`Event::ChunkRead`]. Without effect after [`Effect::Unpin`].
    ReadChunk {
        /// Whose.
        slot: Slot,
        /// From behind this key on.
        after: Option<Bytes>,
        /// About so many bytes of keys and values, at least one object.
        bytes: usize,
    },
    /// Read entries that were spilled, as far as they are synced; report by [`Event::SpilledRead`].
    ReadSpilled {
        /// Whose.
        slot: Slot,
        /// From behind this one on.
        after: Seq,
        /// About so many bytes of entries, at least one.
        bytes: usize,
    },
}

/// A call's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The write is committed, or had nothing to do.
    Written {
        /// Where its entry stands; `None`: the object to delete was not there, nothing was ordered.
        entry: Option<EntryId>,
        /// The object as written; `None` after a delete.
        object: Option<Metadata>,
    },
    /// The session is open.
    Opened {
        /// Its name.
        session: Seq,
    },
    /// The object as committed; `None`: there is none.
    Read {
        /// The version that the replica answered in.
        version: ChainVersion,
        /// The object.
        object: Option<Object>,
    },
    /// The slot's objects from somewhere on, as committed, all of one moment; what is not there, there is none of.
    Scanned {
        /// The version that the replica answered in.
        version: ChainVersion,
        /// They.
        page: Page,
    },
}

/// Changes of one slot that reach the disk together or not at all. A crash keeps every synced batch and any
/// subset of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its name.
    pub ticket: Ticket,
    /// Whose.
    pub slot: Slot,
    /// In order.
    pub writes: Vec<Write>,
}

/// A change of what a slot has on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Adopt a chain (C2). Replaces the one before.
    Chain(Chain),
    /// Add to the log's end; an entry of the same seq is replaced.
    Append(Vec<Entry>),
    /// Remove every log entry after `last` (C7).
    Truncate {
        /// The last to stay.
        last: Seq,
    },
    /// Run committed entries against the objects, remove them from the log and move the trim point
    /// to the last of them; with the sessions that they changed, in one step (W11).
    Apply {
        /// In order, from the trim point on.
        entries: Vec<Entry>,
        /// Sessions as they are after the last of them; `None`: gone.
        sessions: Vec<(Seq, Option<Session>)>,
    },
    /// Keep applied entries beside the state, behind those spilled before, until `DropSpill`, `Install`, `Clear` or the end of
    /// the process: a successor that is being filled needs them, and they take too much memory (W6).
    Spill(Vec<Entry>),
    /// Nobody needs what is spilled any more.
    DropSpill,
    /// Stage a part of a snapshot. A part of another pin than those staged before replaces them (J3).
    Stage {
        /// Of which snapshot.
        pin: Pin,
        /// In key order, after those staged before.
        objects: Vec<(Bytes, Object)>,
    },
    /// What is staged becomes the slot's state, in one step (J3): objects, sessions, trim point and its time are replaced,
    /// the log is empty.
    Install {
        /// Of which snapshot; nothing of another is staged.
        pin: Pin,
        /// What belongs to it besides objects.
        end: SnapshotEnd,
    },
    /// The slot is as if it had never been, but for the chain: no objects, no log, no sessions, nothing staged.
    Clear,
    /// A record of its objects is damaged: to be known after a restart too, until `Install` or `Clear` (D2).
    Quarantine,
}

/// What a slot has on disk when a node starts. All of it is synced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Whose.
    pub slot: Slot,
    /// The last chain adopted.
    pub chain: Option<Chain>,
    /// The last entry that was applied and trimmed; also the commit watermark.
    pub trim: EntryId,
    /// That entry's time (W2).
    pub trim_at: WallTime,
    /// The sessions as of `trim`.
    pub sessions: Vec<(Seq, Session)>,
    /// The log after `trim`: linked by (version, seq) without a gap. What a crash left beyond a gap is gone.
    pub log: Vec<Entry>,
    /// The snapshot of which parts are staged, and the last key of them.
    pub staged: Option<(Pin, Option<Bytes>)>,
    /// Whether [`Write::Quarantine`] holds.
    pub quarantined: bool,
    /// What is damaged of it, for people. Then nothing is known but, perhaps, the chain: all else is empty here, and stays on
    /// the disk as it is until a [`Write::Clear`] (D2).
    pub damaged: Option<String>,
}

impl Recovered {
    /// Of a slot that nothing is known of.
    pub fn empty(slot: Slot) -> Self {
        Self {
            slot,
            chain: None,
            trim: EntryId::default(),
            trim_at: WallTime(0),
            sessions: Vec::new(),
            log: Vec::new(),
            staged: None,
            quarantined: false,
            damaged: None,
        }
    }
}
