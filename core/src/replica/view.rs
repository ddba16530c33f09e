//! A replica as checkers and operators see it.

use super::{Damage, Replica};
use crate::{Chain, Entry, EntryId, Identity, ReplicaState, Role, Seq, Sessions};

/// A replica's watermarks and standing.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaView<'a> {
    /// The version it has durably adopted.
    pub chain: Option<&'a Chain>,
    /// Its part in it.
    pub role: Role,
    /// How it stands there, as the coordinator is told.
    pub state: ReplicaState,
    /// Whether it takes part in that version.
    pub acting: bool,
    /// Whether its log has been compared with its predecessor's in that version.
    pub matched: bool,
    /// Whether it has stopped serving in that version (C4).
    pub fenced: bool,
    /// What a tail must have committed before it reads.
    pub barrier: Seq,
    /// The last entry that is not in memory any more.
    pub trim: EntryId,
    /// The object state has everything up to here.
    pub applied: Seq,
    /// The commit watermark.
    pub committed: Seq,
    /// Synced on its disk, by its own account.
    pub durable: Seq,
    /// The last entry received.
    pub last: EntryId,
    /// The sessions as of `last`.
    pub sessions: &'a Sessions,
    replica: &'a Replica,
}

/// A snapshot on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copying {
    /// There is none.
    None,
    /// From the predecessor.
    In,
    /// To the successor.
    Out,
}

impl Replica {
    /// Its watermarks.
    pub(crate) fn view(&self, me: &Identity) -> ReplicaView<'_> {
        ReplicaView {
            chain: self.chain.as_ref(),
            role: self.role(me),
            state: self.state(),
            acting: self.acting(),
            matched: self.matched,
            fenced: self.fenced(),
            barrier: self.barrier,
            trim: self.log.trim(),
            applied: self.log.applied(),
            committed: self.committed,
            durable: self.durable,
            last: self.log.last(),
            sessions: &self.sessions,
            replica: self,
        }
    }
}

impl<'a> ReplicaView<'a> {
    /// Whether some of its data cannot be read (D2).
    pub fn damaged(&self) -> bool {
        self.replica.damage != Damage::None
    }

    /// Whether a snapshot is on its way to it, or from it.
    pub fn copying(&self) -> Copying {
        match (&self.replica.receiving, &self.replica.sending) {
            (Some(_), _) => Copying::In,
            (None, Some(_)) => Copying::Out,
            (None, None) => Copying::None,
        }
    }

    /// Calls that wait for a commit.
    pub fn waiting(&self) -> usize {
        self.replica.pending.len()
    }

    /// The entries in memory: those after `trim`.
    pub fn entries(&self) -> impl Iterator<Item = &'a Entry> + use<'a> {
        self.replica.log.range(self.trim.seq, self.last.seq)
    }
}
