//! Names of things: slots, positions, versions, nodes. Two numbers that mean different things have different types.

use std::fmt;
use std::sync::Arc;

/// Defines a newtype over an unsigned integer.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number after this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// One of a fixed number of hash buckets; every slot has one chain.
    Slot(u32)
}
number! {
    /// A position in a slot's history: 1, 2, 3 …, no gaps. 0 is the empty history.
    Seq(u64)
}
number! {
    /// The number of a slot's configuration. The first is 1; 0 is "none".
    ChainVersion(u64)
}
number! {
    /// The number of a coordinator leadership; one leader per epoch. The first is 1; 0 is "none".
    Epoch(u64)
}
number! {
    /// Counts a leadership's questions of who is there; a node says the latest that it has heard back (C3). 0 is "none".
    RollCall(u64)
}
number! {
    /// Counts the coordinator's decisions over all slots and nodes; a node reports up to which one it has applied them.
    Revision(u64)
}
number! {
    /// Names a client's call within one node process. Given by the driver, never reused by it.
    RequestId(u64)
}
number! {
    /// Names a batch handed to the disk. Given by the machine, increasing; a ticket that is durable vouches for all before it.
    Ticket(u64)
}

/// An entry's identity: the version it was created in and its position. Never rewritten, however often it is offered again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The chain version whose head ordered the entry.
    pub version: ChainVersion,
    /// Its position in the slot's history.
    pub seq: Seq,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.version, self.seq)
    }
}

/// A storage node's name: 1 to 64 of letters, digits, `.`, `_`, `-`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Parses a name.
    ///
    /// # Errors
    /// When `name` is empty, too long, or has another character.
    pub fn new(name: &str) -> Result<Self, InvalidNodeId> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > Self::MAX_LEN || !name.bytes().all(legal) {
            return Err(InvalidNodeId { name: name.chars().take(80).collect() });
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that is no [`NodeId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no node id: use 1 to 64 letters, digits, '.', '_' or '-'")]
pub struct InvalidNodeId {
    name: String,
}

/// Names one run of a node's process: random, given by the driver. A snapshot in transfer belongs to one (J3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process(pub u64);

/// The random identity of a data directory: (node id, incarnation) names a replica's history.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u128);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The random identity of a cluster, given when its coordinator's directory is created.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The slot of a key: CRC-32 (IEEE) of the key modulo `slots`. Chosen because every language has it.
pub fn slot_of(key: &[u8], slots: u32) -> Slot {
    assert!(slots > 0, "a cluster has at least one slot");
    Slot(crc32fast::hash(key) % slots)
}
