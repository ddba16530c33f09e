//! Catena's protocol as pure state machines: events and the time go in, effects come out.
//!
//! There is no I/O here, no clock, no thread, no randomness and no hash-map iteration, so that everything that can go
//! wrong in the protocol can be tried from a seed, millions of times. Three drivers run the same machines: the event
//! queue of `catena-sim`, the shipped loops under madsim, and the shipped loops on tokio, tonic and fjall.
//!
//! Rules (W3, R1, C7 …) are those of `docs/protocol.md`.
//!
//! # The machine on one page
//!
//! ```text
//!            client                                                        client
//!              │ put                                                    get │ ▲ the committed object,
//!              ▼                                                            ▼ │ under a lease (R1, R2)
//!        ┌───────────┐  Append: entries, durable   ┌───────────┐        ┌───────────┐
//!        │   head    │ ──────────────────────────▶ │  middle   │ ─────▶ │   tail    │ commits up to
//!        │  orders   │                             │           │        │  commits  │ min(own durable,
//!        │ (W1, W7)  │ ◀────────────────────────── │           │ ◀───── │   (W3)    │     upstream durable)
//!        └─────┬─────┘  Ack: committed             └─────┬─────┘        └─────┬─────┘
//!      Persist │ ▲ Durable                       Persist │ ▲                  │ ▲
//!              ▼ │                                       ▼ │                  ▼ │
//!            disk                                      disk                 disk        synced in parallel (W3)
//! ```
//!
//! One [`Node`] holds a replica for each slot whose chain it is in. A replica is a log and seven watermarks; handlers move
//! the watermarks, and `advance` turns the gaps between them into effects: it is the only place that forwards, commits,
//! acknowledges and replies. So a duplicate, a resend, a new version or a restart is "set a watermark back".
//!
//! ```text
//!    trim ≤ applied ≤ applying ≤ committed ≤ durable ≤ submitted ≤ last
//!      │       │         │          │          │          │         └ received, in memory
//!      │       │         │          │          │          └ handed to the disk
//!      │       │         │          │          └ synced here: a ticket said so, for what was appended before it and not cut
//!      │       │         │          └ synced on every member under one version; a fact, kept over versions
//!      │       │         └ handed to the disk to be run against the objects
//!      │       └ the objects have it: no longer in the log on disk
//!      └ no longer in memory either: nobody who is being filled may lack it (W6)
//! ```
//!
//! 1. The seven stand in this order, on every replica, after every step.
//! 2. Nothing is shown (answer, read, refusal) above `committed` (W4).
//! 3. A successor's log is a prefix of its predecessor's, under one version, once the successor is matched (C7).
//! 4. An entry's (version, seq) never changes, and two logs that agree in one entry agree in all before it.
//! 5. A replica acts in one version at a time, which its disk has (C2), and in none that it restarted in (C10).
//! 6. Nobody cuts below its own `committed`.
//!
//! A version begins with matching, head to tail: the head is matched by being head; a matched replica shows its log
//! (`Probe`), its successor cuts what differs and says what it has (`Have`), and from then on gets what follows
//! (`Append`). While something is outstanding and nothing moves, the sender pokes, and an unmatched successor says
//! `Hello` (W6).
//!
//! A replica that joins stands behind the tail and is told all that the tail would tell a successor, but nobody waits for it.
//! Where its log does not meet the tail's it asks for a snapshot (`Fetch`, `Chunk`), part by part; what is written meanwhile
//! stays in the tail's memory. Once it has all but the latest entries the coordinator makes it the tail: not ready, until it
//! says that it has committed what was there before it (C9).
//!
//! [`Coordinator`] decides chains, stores them before anybody hears of them (C1), and grants leases: every answer to a
//! heartbeat carries all decisions that the node has not applied, or else no lease (R1).
//!
//! [`client::Client`] finds the node by the route, repeats what is safe to repeat, and says of every failed call what may be
//! concluded (W8, W9).
//!
//! # Where to read
//!
//! `replica/write.rs` orders, `replica/link.rs` passes on, `replica/mod.rs` (`advance`) commits and answers,
//! `replica/read.rs` reads, `replica/change.rs` changes versions, `replica/transfer.rs` copies snapshots,
//! `replica/sessions.rs` finds the answers of retried writes, `lease.rs` is the whole lease rule. In `coordinator/`, `plan.rs`
//! decides the next change of a chain, `liveness.rs` who is dead, `answers.rs` who gets a lease. `client/` routes and retries.
//!
//! # The caller's loop
//!
//! ```text
//! loop {
//!     event = next of: request, message, durable ticket, coordinator's answer, node.deadline() passed
//!     stored = for a request: the object from the store      // before `now`: the lease is checked after reading
//!     node.step(now, event, &mut effects)
//!     for effect in effects.drain(..) { send, hand to the disk, reply }     // in order
//! }
//! ```
#![forbid(unsafe_code)]

#[macro_use]
mod invariant;

mod chain;
pub mod client;
mod config;
mod coordinator;
mod entry;
mod error;
mod event;
mod ids;
mod lease;
mod log;
#[cfg(feature = "mutants")]
pub mod marks;
mod message;
#[cfg(feature = "mutants")]
pub mod mutants;
mod node;
mod object;
mod replica;
mod session;
mod time;

/// Whether planted bugs are compiled in, for a simulator: never in a shipped build.
pub const PLANTED_BUGS: bool = cfg!(feature = "mutants");

pub use chain::{Chain, Member, Role};
pub use config::{ClusterConfig, CoordinatorConfig, Identity, Limits, MAX_SLOTS, NodeConfig, Rejoin, Succession};
pub use coordinator::{
    Change, Coordinator, CoordinatorEffect, CoordinatorEvent, CoordinatorOverview, Eviction, Health, Leadership, NodeAccount,
    NodeStatus, Note, Order, OrderError, Record, RegisterError, Route, Standing, Status, StoredNode, Wait,
};
pub use entry::{Entry, Operation, Refusal};
pub use error::{CallError, Kind, MismatchReason, Resource, RoutingMismatch};
pub use event::{Batch, Effect, Event, Page, Recovered, Reply, Target, Write};
pub use ids::{
    ChainVersion, ClusterId, EntryId, Epoch, Incarnation, InvalidNodeId, NodeId, Process, RequestId, Revision, RollCall, Seq,
    Slot, Ticket, slot_of,
};
pub use message::{
    Chunk, Decisions, Envelope, Heartbeat, HeartbeatAnswer, LogSummary, Message, NodeRecord, Pin, Presence, ReplicaState, Report,
    SnapshotEnd,
};
pub use node::{Node, NodeOverview, Reason};
pub use object::{Action, Command, Comparison, Condition, Metadata, Object};
pub use replica::{Copying, ReplicaView};
pub use session::{Answered, Origin, Outcome, Session, Sessions};
pub use time::{Now, Time, WallTime};
