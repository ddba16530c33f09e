//! Catena's core.
#![forbid(unsafe_code)]

#[macro_use]
mod invariant;

mod chain;
mod config;
mod coordinator;
mod entry;
mod error;
mod event;
mod ids;
mod lease;
mod log;
mod message;
#[cfg(feature = "mutants")]
pub mod mutants;
mod node;
mod object;
mod replica;
mod time;

pub use chain::{Chain, Member, Role};
pub use config::{ClusterConfig, Identity, Limits, NodeConfig};
pub use coordinator::{Change, Coordinator, CoordinatorEffect, CoordinatorEvent, Record, RegisterError, Route};
pub use entry::{Entry, Operation};
pub use error::{CallError, Kind, MismatchReason, Resource, RoutingMismatch};
pub use event::{Batch, Effect, Event, Recovered, Reply, Target, Write};
pub use ids::{
    ChainVersion, ClusterId, EntryId, Incarnation, InvalidNodeId, NodeId, RequestId, Revision, Seq, Slot, Ticket, slot_of,
};
pub use message::{Envelope, Heartbeat, HeartbeatAnswer, LogSummary, Message, NodeRecord, ReplicaState, Report};
pub use node::{Node, Reason};
pub use object::{Action, Command, Comparison, Condition, Metadata, Object};
pub use replica::ReplicaView;
pub use time::{Now, Time, WallTime};
