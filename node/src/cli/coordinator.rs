//! `catena coordinator`: the address, the directory, the signals and the storage thread around [`run_coordinator`].

use catena_core::{ClusterId, Incarnation};
use catena_net::server::Listener;
use catena_store::{ConfigStore, Directory, FjallConfigStore, Opened, Owner};

use super::admin::{Admin, Process};
use super::arguments::CoordinatorArguments;
use super::clock::system_clock;
use super::error::{ProcessError, random_id};
use super::{config_thread, settings, stop};
use crate::{CoordinatorMetrics, CoordinatorState, Stop, run_coordinator};

/// Runs a coordinator until it is told to stop.
pub(super) async fn run(arguments: CoordinatorArguments) -> Result<(), ProcessError> {
    let stop = stop::requested("coordinator", arguments.stop_with_stdin.into()).map_err(ProcessError::Signals)?;
    // Of a new directory everything is known, and nothing is created for a cluster that cannot be.
    if !arguments.data_dir.exists() {
        settings::coordinator(&arguments.judgement, settings::cluster(&arguments.cluster, ClusterId(0), None))?;
    }
    // The address first: without it, nothing is created on the disk.
    let listener = Listener::bind(arguments.listen).await?;
    let admin = Admin::<CoordinatorMetrics, CoordinatorState>::bind(arguments.admin, arguments.listen).await?;
    let (mut directory, opened) = Directory::open(&arguments.data_dir, &Owner::Coordinator)?;
    let identity = match opened {
        Opened::Existing(identity) => identity,
        Opened::Fresh => directory.initialise(Incarnation(random_id()?))?,
    };
    let id = match identity.cluster {
        Some(cluster) => cluster,
        None => ClusterId(random_id()?),
    };
    directory.join(id)?;
    let monitor = admin.serve(Process::Coordinator);
    let mut store = FjallConfigStore::open(&mut directory)?;
    let cluster = settings::cluster(&arguments.cluster, id, store.cluster()?.as_ref());
    let config = settings::coordinator(&arguments.judgement, cluster)?;
    store.establish(&config.cluster)?;
    let storage = config_thread::spawn(store)?;
    let stop = async {
        let _: Stop = stop.await;
    };
    let limits = settings::sizes(&arguments.sizes);
    Ok(run_coordinator(config, &limits, listener, system_clock(), storage, stop, monitor).await?)
}
