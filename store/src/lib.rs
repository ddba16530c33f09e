//! What a Catena process has on disk, behind contracts that the simulator can stand in for.
//!
//! * [`Store`], [`Reader`] and [`Pinned`]: a storage node's logs, objects and sessions. [`FjallStore`] on disk,
//!   [`MemoryStore`] for simulated nodes, which loses on a crash what was not synced.
//! * [`commit_group`]: one step of group commit; [`StorageThread`] runs it on a thread of its own.
//! * [`ConfigStore`]: the coordinator's chains and nodes, by compare-and-set. [`FjallConfigStore`] and
//!   [`MemoryConfigStore`].
//! * [`Directory`]: whose data a directory holds, and the lock against a second process.
//!
//! A storage node starts so:
//!
//! ```no_run
//! # #[cfg(not(madsim))] {
//! # use catena_store::*;
//! # use catena_core::*;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (node, incarnation, cluster) = (NodeId::new("n1")?, Incarnation(7), ClusterId(9));
//! let owner = Owner::Node(node);
//! let (mut directory, opened) = Directory::open("data/n1".as_ref(), &owner)?;
//! let identity = match opened {
//!     Opened::Existing(identity) => identity,
//!     Opened::Fresh => directory.initialise(incarnation)?,
//! };
//! // The incarnation is durable from here on: register with the coordinator under it, learn the cluster.
//! let identity = directory.join(cluster)?;
//! let mut store = FjallStore::open(&mut directory)?;
//! let recovered = store.recover()?; // for `Node::new`
//! let reader = store.reader(); // for `Event::Read { stored, .. }`
//! let storage = StorageThread::spawn(store, |durable| { /* send it to the driver loop */ })?;
//! # Ok(()) }
//! # }
//! ```
//!
//! The layout on disk, the records and their cost are described in `docs/storage.md`.
#![forbid(unsafe_code)]

mod config;
mod contract;
mod directory;
#[cfg(not(madsim))]
mod disk;
mod error;
mod group;
mod memory;
mod parts;
mod thread;

#[cfg(not(madsim))]
pub use config::FjallConfigStore;
pub use config::{ConfigError, ConfigStore, MemoryConfigStore};
pub use contract::{KEPT_PARTS, Lookup, Part, Pinned, Reader, Store, Swept};
pub use directory::{Directory, DirectoryError, DirectoryIdentity, Opened, Owner};
#[cfg(not(madsim))]
pub use disk::{FjallPinned, FjallReader, FjallReclaimer, FjallStore, Reclaimed, check_any_record};
pub use error::{Damage, StoreError};
pub use group::{GROUP_BYTES, commit_group};
pub use memory::{MemoryDisk, MemoryPinned, MemoryReader, MemoryStore};
pub use thread::StorageThread;
