//! `catena coordinator`: the address, the directory, the signals and the storage thread around [`run_coordinator`].

use std::collections::BTreeSet;
use std::time::Duration;

use catena_core::{ClusterConfig, ClusterId, Incarnation};
use catena_net::server::Listener;
use catena_node::run_coordinator;
use catena_store::{ConfigStore, Directory, FjallConfigStore, Opened, Owner};

use super::arguments::CoordinatorArguments;
use super::clock::system_clock;
use super::error::{ProcessError, random_id};
use super::{config_thread, stop};

/// The lease that a heartbeat renews (R1).
const LEASE: Duration = Duration::from_millis(600);

/// Runs a coordinator until it is told to stop.
pub(super) async fn run(arguments: CoordinatorArguments) -> Result<(), ProcessError> {
    let stop = stop::requested(arguments.stop_with_stdin.into()).map_err(ProcessError::Signals)?;
    check_nodes(&arguments)?;
    // The address first: without it, nothing is created on the disk.
    let listener = Listener::bind(arguments.listen).await?;
    let (mut directory, opened) = Directory::open(&arguments.data_dir, &Owner::Coordinator)?;
    let identity = match opened {
        Opened::Existing(identity) => identity,
        Opened::Fresh => directory.initialise(Incarnation(random_id()?))?,
    };
    let cluster = match identity.cluster {
        Some(cluster) => cluster,
        None => ClusterId(random_id()?),
    };
    directory.join(cluster)?;
    let config =
        ClusterConfig { cluster, slots: arguments.slots, replicas: arguments.replicas, nodes: arguments.nodes, lease: LEASE };
    let mut store = FjallConfigStore::open(&mut directory)?;
    store.establish(&config)?;
    let storage = config_thread::spawn(store)?;
    Ok(run_coordinator(config, listener, system_clock(), storage, stop).await?)
}

fn check_nodes(arguments: &CoordinatorArguments) -> Result<(), ProcessError> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = arguments.nodes.iter().find(|node| !seen.insert(*node)) {
        return Err(ProcessError::NodeTwice(twice.clone()));
    }
    let (nodes, replicas) = (arguments.nodes.len(), arguments.replicas);
    if (nodes as u64) < u64::from(replicas) {
        return Err(ProcessError::TooFewNodes { nodes, replicas });
    }
    Ok(())
}
