//! Catena's core.
#![forbid(unsafe_code)]

mod chain;
mod config;
mod coordinator;
mod entry;
mod error;
mod event;
mod ids;
mod message;
mod object;
mod time;

pub use chain::{Chain, Member, Role};
pub use config::{ClusterConfig, Identity, Limits, NodeConfig};
pub use coordinator::{Change, CoordinatorEffect, CoordinatorEvent, Record, RegisterError};
pub use entry::{Entry, Operation};
pub use error::{CallError, Kind, MismatchReason, Resource, RoutingMismatch};
pub use event::{Batch, Effect, Event, Recovered, Reply, Target, Write};
pub use ids::{
    ChainVersion, ClusterId, EntryId, Incarnation, InvalidNodeId, NodeId, RequestId, Revision, Seq, Slot, Ticket, slot_of,
};
pub use message::{Envelope, Heartbeat, HeartbeatAnswer, LogSummary, Message, NodeRecord, ReplicaState, Report};
pub use object::{Action, Command, Comparison, Condition, Metadata, Object};
pub use time::{Now, Time, WallTime};
