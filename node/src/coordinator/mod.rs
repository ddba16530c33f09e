//! The coordinator's process: one task owns core's `Coordinator`; nodes and clients reach it through the server, its
//! decisions go to the store and come back before anybody hears of them.

mod driver;
mod error;

use std::fmt;
use std::future::Future;

use catena_core::{Change, ClusterConfig, Coordinator, Limits, Ticket};
use catena_net::server::{CoordinatorServer, Listener};
use catena_store::ConfigError;
use tokio::sync::mpsc;
use tracing::info;

use self::driver::Driver;
pub use self::error::CoordinatorError;
use crate::Clock;
use crate::task::Owned;

/// Registrations, heartbeats and questions that may wait for the driver; beyond it their senders wait.
const INPUTS: usize = 1024;

/// The coordinator's durable state as its driver sees it. Whoever made it stores what is submitted, in order.
pub struct ConfigStorage {
    /// What it held when it was opened.
    pub stored: Vec<Change>,
    /// Queues a commit; in a real process it never blocks. Dropping it ends the store.
    pub submit: Box<dyn FnMut(Ticket, Vec<Change>) -> Result<(), ConfigError> + Send>,
    /// The last ticket that is synced, after each commit; or the error that ended the store.
    pub synced: mpsc::UnboundedReceiver<Result<Ticket, ConfigError>>,
}

impl fmt::Debug for ConfigStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigStorage").field("stored", &self.stored.len()).finish_non_exhaustive()
    }
}

/// Runs the coordinator until `shutdown` ends, then stops within the server's bound. `config` is what the store was
/// established with.
///
/// # Errors
/// When its store or its server fails. The process is then to end.
pub async fn run_coordinator(
    config: ClusterConfig,
    listener: Listener,
    clock: Clock,
    mut storage: ConfigStorage,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), CoordinatorError> {
    let (inputs_sender, inputs) = mpsc::channel(INPUTS);
    let server = CoordinatorServer::new(&config, &Limits::default(), inputs_sender);
    let (cluster, slots, replicas) = (config.cluster, config.slots, config.replicas);
    info!(component = "coordinator", %cluster, slots, replicas, nodes = config.nodes.len(), "serving");
    let coordinator = Coordinator::new(config, std::mem::take(&mut storage.stored));
    let driver = Driver::new(coordinator, clock, storage);
    let mut server = Owned::spawn(server.serve(listener, shutdown));
    tokio::select! {
        error = driver.run(inputs) => Err(error),
        ended = server.join() => ended.map_err(CoordinatorError::Serve),
    }
}
