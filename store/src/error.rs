//! Why the store could not do as asked.

use std::error::Error;
use std::path::PathBuf;

use crate::DirectoryError;

/// Why a store failed. All but `Corrupt` in a read mean that the process must end.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A write or a sync failed earlier (D1).
    #[error("the store stopped after a failed write or sync: check the disk, then restart the process")]
    Poisoned,
    /// The engine or the disk under it failed.
    #[error("the disk failed to {action} ({source}): check the disk and its free space, then restart the process")]
    Failed {
        /// What was being done.
        action: &'static str,
        /// What the engine says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A record is damaged (D2).
    #[error(
        "record {key} of keyspace {keyspace} is corrupt ({reason}): check the disk, then let this replica be filled anew from its neighbours"
    )]
    Corrupt {
        /// Which keyspace.
        keyspace: &'static str,
        /// Which record, readable.
        key: String,
        /// What is wrong with it.
        reason: Damage,
    },
    /// A journal lacks something that was synced (D2).
    #[error(
        "journal {path} is damaged from byte {at} on: check the disk; of a node, move the data directory away and start it as a new one; of a coordinator, see docs/operations.md",
        path = .path.display()
    )]
    JournalDamaged {
        /// Which one.
        path: PathBuf,
        /// In bytes: what lies before is whole.
        at: u64,
    },
    /// The directory is not fit for use.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The storage thread has ended, on an error that it reported, or by being stopped.
    #[error("the storage thread has ended: look for its error above, then restart the process")]
    Stopped,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The bytes are not those written.
    #[error("its checksum does not match")]
    Checksum,
    /// Written by a later version of the record format, or not a record.
    #[error("its format is {0}, this build reads 3")]
    Format(u8),
    /// The checksum holds, the content makes no sense.
    #[error("its {0} is malformed")]
    Malformed(&'static str),
    /// Another record refers to it.
    #[error("it is missing, and another record refers to it")]
    Missing,
}

impl StoreError {
    /// Wraps an error of the engine.
    pub(crate) fn failed(action: &'static str, source: impl Error + Send + Sync + 'static) -> Self {
        Self::Failed { action, source: Box::new(source) }
    }
}
