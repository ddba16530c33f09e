//! An entry of a slot's history, as it travels down the chain and lies on disk.

use bytes::Bytes;

use crate::{ChainVersion, EntryId, Metadata, Origin, Seq, WallTime};

/// One ordered operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who it is: never rewritten.
    pub id: EntryId,
    /// The version of the entry at `seq - 1` (0 at seq 1), so that a log can be checked link by link.
    pub previous: ChainVersion,
    /// When the head ordered it; strictly increasing within a slot (W2).
    pub at: WallTime,
    /// The session's write that it is; `None`: of a call without a session, or of the chain itself (W8).
    pub origin: Option<Origin>,
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
    /// No object changes: a session's write that was refused, or had nothing to delete. An entry all the same, else a
    /// late duplicate could run after the condition has flipped (W8).
    Nothing {
        /// The refusal: a condition failed on this object. `None`: there was nothing to delete.
        refused: Option<Refusal>,
    },
    /// A session opens, named by this entry's seq (W8).
    OpenSession,
    /// These sessions have been idle for too long, in the judgement of the head that ordered this (W8).
    Expire {
        /// Their names.
        sessions: Vec<Seq>,
    },
}

/// A condition that did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The object it was judged on; `None`: there was none.
    pub object: Option<Metadata>,
}

impl Operation {
    /// The key it is about; `None`: it changes no object.
    pub fn key(&self) -> Option<&Bytes> {
        match self {
            Operation::Put { key, .. } | Operation::Delete { key } => Some(key),
            Operation::Nothing { .. } | Operation::OpenSession | Operation::Expire { .. } => None,
        }
    }

    /// Its key and its value.
    pub(crate) fn bytes_mut(&mut self) -> (Option<&mut Bytes>, Option<&mut Bytes>) {
        match self {
            Operation::Put { key, value, .. } => (Some(key), Some(value)),
            Operation::Delete { key } => (Some(key), None),
            Operation::Nothing { .. } | Operation::OpenSession | Operation::Expire { .. } => (None, None),
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
            Operation::Delete { .. } | Operation::Nothing { .. } | Operation::OpenSession | Operation::Expire { .. } => None,
        }
    }

    /// What the entry weighs in memory, on the wire and in the log: payload and a constant, in bytes (W10's envelope).
    pub fn weight(&self) -> usize {
        const FRAME: usize = 64;
        FRAME
            + match &self.operation {
                Operation::Put { key, value, .. } => key.len() + value.len(),
                Operation::Delete { key } => key.len(),
                Operation::Nothing { .. } | Operation::OpenSession => 0,
                Operation::Expire { sessions } => sessions.len() * size_of::<Seq>(),
            }
    }
}
