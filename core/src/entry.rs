//! An entry of a slot's history, as it travels down the chain and lies on disk.

use bytes::Bytes;

use crate::{ChainVersion, EntryId, Metadata, Seq, WallTime};

/// One ordered operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who it is: never rewritten.
    pub id: EntryId,
    /// The version of the entry at `seq - 1` (0 at seq 1), so that a log can be checked link by link.
    pub previous: ChainVersion,
    /// When the head ordered it; strictly increasing within a slot (W2).
    pub at: WallTime,
    /// What it does.
    pub operation: Operation,
}

/// What an entry does to the slot's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The object at `key` becomes (`value`, version = the entry's seq, `created_at`, updated at the entry's time).
    Put {
        /// The object's key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
        /// When it came into being.
        created_at: WallTime,
    },
    /// The object at `key` is gone.
    Delete {
        /// The object's key.
        key: Bytes,
    },
}

impl Operation {
    /// The key it is about.
    pub fn key(&self) -> &Bytes {
        match self {
            Operation::Put { key, .. } | Operation::Delete { key } => key,
        }
    }
}

impl Entry {
    /// The identity of the entry before this one.
    pub fn previous_id(&self) -> EntryId {
        EntryId { version: self.previous, seq: Seq(self.id.seq.0 - 1) }
    }

    /// The object that it leaves behind; `None`: none (W2).
    pub fn metadata(&self) -> Option<Metadata> {
        match &self.operation {
            Operation::Put { created_at, .. } => {
                let mut version = self.id.seq;
                if mutant!(VersionRestarts) && *created_at == self.at {
                    version = Seq(1);
                }
                Some(Metadata { version, created_at: *created_at, updated_at: self.at })
            }
            Operation::Delete { .. } => None,
        }
    }

    /// What the entry weighs in memory, on the wire and in the log: payload and a constant, in bytes (W10's envelope).
    pub fn weight(&self) -> usize {
        const FRAME: usize = 64;
        FRAME
            + match &self.operation {
                Operation::Put { key, value, .. } => key.len() + value.len(),
                Operation::Delete { key } => key.len(),
            }
    }
}
