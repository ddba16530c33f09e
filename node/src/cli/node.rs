//! `catena node`: the address, the directory, the signals and the storage thread around [`run_node_until`].

use std::panic::resume_unwind;
use std::path::PathBuf;

use catena_core::{ClusterId, Incarnation};
use catena_net::server::{Listener, Readiness};
use catena_store::{Directory, FjallReader, FjallStore, Opened, Owner, StorageThread, Store, StoreError};
use tokio::sync::{mpsc, watch};

use super::admin::{Admin, Process};
use super::arguments::ServeArguments;
use super::clock::system_clock;
use super::error::{ProcessError, random_id};
use super::output::say;
use super::{settings, space, stop};
use crate::{NodeError, NodeMetrics, NodeOptions, NodeState, Storage, run_node_until};

/// Said once the data is open, if that is to be said.
const OPEN: &str = "open";

/// Runs a node until it is told to stop.
pub(super) async fn run(arguments: ServeArguments) -> Result<(), ProcessError> {
    let stop = stop::requested("node", arguments.stop_with_stdin.into()).map_err(ProcessError::Signals)?;
    let mut stop = Box::pin(stop);
    let labels = settings::labels(&arguments.label)?;
    let config = settings::node(&arguments.limits, &arguments.timings)?;
    // The address first: without it, nothing is created on the disk.
    let listener = Listener::bind(arguments.listen).await?;
    let address = match arguments.advertise {
        Some(address) => address,
        None if listener.address().ip().is_unspecified() => return Err(ProcessError::NoAddress(arguments.listen)),
        None => listener.address().to_string(),
    };
    let admin = Admin::<NodeMetrics, NodeState>::bind(arguments.admin, arguments.listen).await?;
    let (mut directory, opened) = Directory::open(&arguments.data_dir, &Owner::Node(arguments.id.clone()))?;
    let identity = match opened {
        Opened::Existing(identity) => identity,
        Opened::Fresh => directory.initialise(Incarnation(random_id()?))?,
    };
    let path = arguments.data_dir.clone();
    let full = space::watch(path.clone(), arguments.limits.disk_reserve.0).map_err(ProcessError::Thread)?;
    let space = Space { path, full };
    let monitor = admin.serve(Process::Node);
    monitor.set_readiness(Readiness::Starting("it is opening its data"));
    let data = match identity.cluster {
        None => Data::Unopened(directory),
        // Before the coordinator hears of it: from then on its silence counts.
        Some(cluster) => tokio::select! {
            opened = open_aside(directory, cluster, space.clone()) => Data::Open(opened?),
            _ = &mut stop => return Ok(()),
        },
    };
    if arguments.say_when_open {
        say(OPEN);
    }
    let options = NodeOptions {
        node: arguments.id,
        incarnation: identity.incarnation,
        cluster: identity.cluster,
        address,
        labels,
        coordinators: arguments.coordinator,
        config,
    };
    let open = move |cluster| async move {
        match data {
            Data::Unopened(directory) => open_aside(directory, cluster, space).await,
            Data::Open(storage) => Ok(storage),
        }
    };
    let ended = run_node_until(options, listener, system_clock(), open, stop, monitor).await;
    ended.map_err(|source| match identity.cluster {
        // It has never been let in, and is bound to this id all the same.
        None if matches!(source, NodeError::Refused { .. }) => {
            ProcessError::RefusedAtFirst { directory: arguments.data_dir, source: Box::new(source) }
        }
        None | Some(_) => source.into(),
    })
}

/// Where its data lies, and whether that is full.
#[derive(Clone)]
struct Space {
    path: PathBuf,
    full: watch::Receiver<bool>,
}

/// A node's data, before it has joined.
enum Data {
    /// There is none yet: the directory is in no cluster.
    Unopened(Directory),
    Open(Storage<FjallReader>),
}

/// Opens the data on a thread for blocking work: a long recovery must not hold up the signals.
async fn open_aside(directory: Directory, cluster: ClusterId, space: Space) -> Result<Storage<FjallReader>, StoreError> {
    let opened = tokio::task::spawn_blocking(move || open_storage(directory, cluster, space));
    opened.await.unwrap_or_else(|panic| resume_unwind(panic.into_panic()))
}

fn open_storage(
    mut directory: Directory,
    cluster: ClusterId,
    Space { path, full }: Space,
) -> Result<Storage<FjallReader>, StoreError> {
    directory.join(cluster)?;
    let mut store = FjallStore::open(&mut directory)?;
    let recovered = store.recover()?;
    let reader = store.reader();
    let no_thread = |error| StoreError::Failed { action: "start the thread that makes room", source: Box::new(error) };
    space::reclaim(path, full.clone(), store.reclaimer()).map_err(no_thread)?;
    let (sender, durable) = mpsc::unbounded_channel();
    let thread = StorageThread::spawn(store, move |ticket| {
        // With the driver gone, nobody waits for the ticket.
        let _ = sender.send(ticket);
    })?;
    // The thread goes with the queue: dropping it syncs what was submitted.
    Ok(Storage { reader, recovered, submit: Box::new(move |batch| thread.submit(batch)), durable, full })
}
