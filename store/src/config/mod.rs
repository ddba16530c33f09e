//! The coordinator's durable state: the cluster's parameters, one record a node, one a slot.

#[cfg(not(madsim))]
mod disk;
mod memory;
#[cfg(not(madsim))]
mod record;

use std::collections::BTreeMap;

use catena_core::{ChainVersion, Change, ClusterConfig, Epoch, Leadership, Record, Slot};

#[cfg(not(madsim))]
pub use self::disk::FjallConfigStore;
pub use self::memory::MemoryConfigStore;
#[cfg(not(madsim))]
pub(crate) use self::record::check_any as check_any_record;
use crate::StoreError;

/// Where coordinators keep who leads and what is decided. Everything it returns is synced; so is what it stores, when it
/// returns. Several may use one store, where it can be shared: each call is one step for all of them.
pub trait ConfigStore: Send {
    /// The cluster's parameters; `None` before they are established.
    ///
    /// # Errors
    /// [`ConfigError::Store`] when they cannot be read.
    fn cluster(&mut self) -> Result<Option<ClusterConfig>, ConfigError>;

    /// Stores the parameters of a new cluster; on an existing one, checks that they are the same. The founders are those first
    /// given: they matter for the first placement only.
    ///
    /// # Errors
    /// [`ConfigError::Changed`] names the first that differs; [`ConfigError::Store`] when they cannot be stored.
    fn establish(&mut self, given: &ClusterConfig) -> Result<(), ConfigError>;

    /// Who leads; epoch 0: nobody ever has.
    ///
    /// # Errors
    /// [`ConfigError::Store`] when it cannot be read.
    fn observe(&mut self) -> Result<Leadership, ConfigError>;

    /// Takes the leadership if `over` is what is stored: compare-and-set (C1). Returns it, under the next epoch, with the last
    /// record of every node and slot, in the order in which they were decided. `None`: another has been faster, nothing
    /// has changed.
    ///
    /// # Errors
    /// [`ConfigError::Store`]: the outcome is unknown, end the process.
    fn lead(&mut self, over: Leadership) -> Result<Option<(Leadership, Vec<Change>)>, ConfigError>;

    /// Counts a beat if `current` is what is stored. `None`: another leads, nothing has changed.
    ///
    /// # Errors
    /// [`ConfigError::Store`]: the outcome is unknown, end the process.
    fn renew(&mut self, current: Leadership) -> Result<Option<Leadership>, ConfigError>;

    /// Stores all of `changes`, in order, or none. `epoch` must lead. A chain must carry the version after the stored one
    /// (1 where there is none): compare-and-set (C1).
    ///
    /// # Errors
    /// [`ConfigError::Deposed`] and [`ConfigError::Conflict`]: nothing has changed. [`ConfigError::Store`]: the outcome is
    /// unknown, end the process.
    fn commit(&mut self, epoch: Epoch, changes: &[Change]) -> Result<(), ConfigError>;
}

/// Why the coordinator's store refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Another leads than the one who decided.
    #[error("coordinator epoch {given} does not lead, epoch {stored} does: follow it")]
    Deposed {
        /// Who decided.
        given: Epoch,
        /// Who leads; 0: nobody ever has.
        stored: Epoch,
    },
    /// A chain was decided on an outdated state.
    #[error(
        "slot {slot}: chain version {given} does not follow the stored version {stored}: another coordinator has decided; load again"
    )]
    Conflict {
        /// Which slot.
        slot: Slot,
        /// The version in the store; 0 for none.
        stored: ChainVersion,
        /// The version to be stored.
        given: ChainVersion,
    },
    /// The cluster was created with other parameters.
    #[error(
        "this cluster was created with {parameter} {stored}, not {given}: start with {stored}, or create a new cluster in an empty directory"
    )]
    Changed {
        /// Which parameter.
        parameter: &'static str,
        /// Its value in the store.
        stored: String,
        /// The value given now.
        given: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Compares parameters one by one.
fn require_unchanged(stored: &ClusterConfig, given: &ClusterConfig) -> Result<(), ConfigError> {
    let lease = |config: &ClusterConfig| format!("{:?}", config.lease);
    let parameters = [
        ("cluster id", stored.cluster.to_string(), given.cluster.to_string()),
        ("slots", stored.slots.to_string(), given.slots.to_string()),
        ("replicas", stored.replicas.to_string(), given.replicas.to_string()),
        ("lease", lease(stored), lease(given)),
    ];
    match parameters.into_iter().find(|(_, stored, given)| stored != given) {
        Some((parameter, stored, given)) => Err(ConfigError::Changed { parameter, stored, given }),
        None => Ok(()),
    }
}

/// Checks that a decision was made by who leads. Epoch 0 is nobody, so it never does.
fn require_leader(stored: Epoch, given: Epoch) -> Result<(), ConfigError> {
    if given == stored && given != Epoch(0) { Ok(()) } else { Err(ConfigError::Deposed { given, stored }) }
}

/// The leadership after `over`.
fn next_epoch(over: Leadership) -> Leadership {
    Leadership { epoch: over.epoch.next(), beat: 0 }
}

/// The beat after `current`.
fn next_beat(current: Leadership) -> Leadership {
    Leadership { beat: current.beat + 1, ..current }
}

/// Checks that every chain follows on the one before it, among `changes` and in the store.
fn require_succession(
    changes: &[Change],
    mut stored: impl FnMut(Slot) -> Result<ChainVersion, StoreError>,
) -> Result<(), ConfigError> {
    let mut versions = BTreeMap::new();
    for change in changes {
        let Record::Chain(chain) = &change.record else { continue };
        let before = match versions.get(&chain.slot) {
            Some(&version) => version,
            None => stored(chain.slot)?,
        };
        if chain.version != before.next() {
            return Err(ConfigError::Conflict { slot: chain.slot, stored: before, given: chain.version });
        }
        versions.insert(chain.slot, chain.version);
    }
    Ok(())
}
