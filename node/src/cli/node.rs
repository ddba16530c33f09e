//! `catena node`: the address, the directory, the signals and the storage thread around [`run_node`].

use catena_core::{ClusterId, Incarnation};
use catena_net::server::Listener;
use catena_node::{NodeError, NodeOptions, Storage, run_node};
use catena_store::{Directory, FjallReader, FjallStore, Opened, Owner, StorageThread, Store, StoreError};
use tokio::sync::mpsc;

use super::arguments::NodeArguments;
use super::clock::system_clock;
use super::error::{ProcessError, random_id};
use super::stop;

/// Runs a node until it is told to stop.
pub(super) async fn run(arguments: NodeArguments) -> Result<(), ProcessError> {
    let stop = stop::requested(arguments.stop_with_stdin.into()).map_err(ProcessError::Signals)?;
    // The address first: without it, nothing is created on the disk.
    let listener = Listener::bind(arguments.listen).await?;
    let address = match arguments.advertise {
        Some(address) => address,
        None if listener.address().ip().is_unspecified() => return Err(ProcessError::NoAddress(arguments.listen)),
        None => listener.address().to_string(),
    };
    let (mut directory, opened) = Directory::open(&arguments.data_dir, &Owner::Node(arguments.id.clone()))?;
    let identity = match opened {
        Opened::Existing(identity) => identity,
        Opened::Fresh => directory.initialise(Incarnation(random_id()?))?,
    };
    let options = NodeOptions {
        node: arguments.id,
        incarnation: identity.incarnation,
        cluster: identity.cluster,
        address,
        coordinators: arguments.coordinator,
    };
    let open = move |cluster| open_storage(directory, cluster);
    let ended = run_node(options, listener, system_clock(), open, stop).await;
    ended.map_err(|source| match identity.cluster {
        // It has never been let in, and is bound to this id all the same.
        None if matches!(source, NodeError::Refused { .. }) => {
            ProcessError::RefusedAtFirst { directory: arguments.data_dir, source: Box::new(source) }
        }
        None | Some(_) => source.into(),
    })
}

fn open_storage(mut directory: Directory, cluster: ClusterId) -> Result<Storage<FjallReader>, StoreError> {
    directory.join(cluster)?;
    let mut store = FjallStore::open(&mut directory)?;
    let recovered = store.recover()?;
    let reader = store.reader();
    let (sender, durable) = mpsc::unbounded_channel();
    let thread = StorageThread::spawn(store, move |ticket| {
        // With the driver gone, nobody waits for the ticket.
        let _ = sender.send(ticket);
    })?;
    // The thread goes with the queue: dropping it syncs what was submitted.
    Ok(Storage { reader, recovered, submit: Box::new(move |batch| thread.submit(batch)), durable })
}
