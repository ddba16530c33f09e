//! The coordinator's durable state as its driver sees it: asked through a queue, so that a sync holds up no heartbeat.

use std::fmt;

use catena_core::{Change, CoordinatorEvent, Epoch, Leadership, Ticket};
use catena_store::{ConfigError, ConfigStore};
use tokio::sync::mpsc;

/// An open store. Whoever made it does what it is asked, in order: a thread of its own in a real process, a task in a simulated
/// one. Each asks [`ConfigRequest::run`].
pub struct ConfigStorage {
    /// Queues a request; in a real process it never blocks. Dropping it ends the store.
    pub ask: Box<dyn FnMut(ConfigRequest) -> Result<(), ConfigError> + Send>,
    /// What became of each, in order; or the error that ended the store.
    pub told: mpsc::UnboundedReceiver<Result<CoordinatorEvent, ConfigError>>,
}

/// What a coordinator asks of its store.
#[derive(Debug)]
pub enum ConfigRequest {
    /// Who leads?
    Observe,
    /// Take the leadership, if this is still there.
    Lead {
        /// What was last observed.
        over: Leadership,
    },
    /// Renew the leadership, if this is still there.
    Renew(Leadership),
    /// Store these, if `epoch` still leads.
    Store {
        /// Names the commit.
        ticket: Ticket,
        /// Under which leadership.
        epoch: Epoch,
        /// In order.
        changes: Vec<Change>,
    },
}

impl ConfigRequest {
    /// Asks `store`, and says what the coordinator is to hear of it.
    ///
    /// # Errors
    /// When the store has failed: end the process.
    pub fn run(self, store: &mut impl ConfigStore) -> Result<CoordinatorEvent, ConfigError> {
        match self {
            ConfigRequest::Observe => Ok(CoordinatorEvent::Observed(store.observe()?)),
            ConfigRequest::Lead { over } => Ok(match store.lead(over)? {
                Some((leadership, stored)) => CoordinatorEvent::Elected { leadership, stored },
                None => CoordinatorEvent::Observed(store.observe()?),
            }),
            ConfigRequest::Renew(leadership) => {
                Ok(store.renew(leadership)?.map_or(CoordinatorEvent::Deposed, CoordinatorEvent::Renewed))
            }
            ConfigRequest::Store { ticket, epoch, changes } => match store.commit(epoch, &changes) {
                Ok(()) => Ok(CoordinatorEvent::Stored { ticket }),
                // Both say that another has decided.
                Err(ConfigError::Deposed { .. } | ConfigError::Conflict { .. }) => Ok(CoordinatorEvent::Deposed),
                Err(error @ (ConfigError::Changed { .. } | ConfigError::Store(_))) => Err(error),
            },
        }
    }
}

impl fmt::Debug for ConfigStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigStorage").finish_non_exhaustive()
    }
}
