//! The coordinator's process: one task owns core's `Coordinator`; nodes and clients reach it through the server, its
//! decisions go to the store and come back before anybody hears of them.

mod driver;
mod error;
mod metrics;
mod notes;
mod state;
mod storage;

use std::future::Future;

use catena_core::{ClusterConfig, Coordinator, CoordinatorConfig, Limits};
use catena_net::server::{CoordinatorServer, Listener};
use tokio::sync::mpsc;
use tracing::info;

use self::driver::Driver;
pub use self::error::CoordinatorError;
pub use self::metrics::CoordinatorMetrics;
pub use self::state::CoordinatorState;
pub use self::storage::{ConfigRequest, ConfigStorage};
use crate::Clock;
use crate::monitor::Monitor;
use crate::task::Owned;

/// What a coordinator shows of itself.
pub type CoordinatorMonitor = Monitor<CoordinatorMetrics, CoordinatorState>;

/// Registrations, heartbeats and questions that may wait for the driver; beyond it their senders wait.
const INPUTS: usize = 1024;

/// Runs the coordinator until `shutdown` ends, then stops within the server's bound. `config.cluster` is what the store was
/// established with. Of the limits, clients are told those of keys and values.
///
/// # Errors
/// When its store or its server fails. The process is then to end.
pub async fn run_coordinator(
    config: CoordinatorConfig,
    limits: &Limits,
    listener: Listener,
    mut clock: Clock,
    storage: ConfigStorage,
    shutdown: impl Future<Output = ()> + Send + 'static,
    monitor: CoordinatorMonitor,
) -> Result<(), CoordinatorError> {
    let (inputs_sender, inputs) = mpsc::channel(INPUTS);
    let server = CoordinatorServer::new(&config.cluster, limits, inputs_sender).seen(monitor.outlook());
    let ClusterConfig { cluster, slots, replicas, founders, .. } = config.cluster;
    info!(component = "coordinator", %cluster, slots, replicas, founders, "serving");
    let coordinator = Coordinator::new(config, clock());
    let driver = Driver::new(coordinator, clock, storage, monitor);
    let mut server = Owned::spawn(server.serve(listener, shutdown));
    tokio::select! {
        biased;
        error = driver.run(inputs) => Err(error),
        ended = server.join() => ended.map_err(CoordinatorError::Serve),
    }
}
