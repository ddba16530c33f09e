//! The coordinator's store on a thread of its own, so that a sync holds up no heartbeat.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use catena_core::{Change, Ticket};
use catena_node::ConfigStorage;
use catena_store::{ConfigError, ConfigStore, StoreError};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::error::ProcessError;

type Commit = (Ticket, Vec<Change>);

/// Loads the store and starts its thread, which ends with the queue or on the first error.
pub(super) fn spawn(mut store: impl ConfigStore + 'static) -> Result<ConfigStorage, ProcessError> {
    let stored = store.load()?;
    let (queue, commits) = mpsc::channel();
    let (sender, synced) = unbounded_channel();
    let thread = thread::Builder::new()
        .name("catena-config".to_owned())
        .spawn(move || run(store, &commits, &sender))
        .map_err(ProcessError::Thread)?;
    let queue = Queue { commits: Some(queue), thread: Some(thread) };
    Ok(ConfigStorage { stored, submit: Box::new(move |ticket, changes| queue.submit((ticket, changes))), synced })
}

fn run(mut store: impl ConfigStore, commits: &Receiver<Commit>, synced: &UnboundedSender<Result<Ticket, ConfigError>>) {
    while let Ok((ticket, changes)) = commits.recv() {
        let result = store.commit(&changes).map(|()| ticket);
        let failed = result.is_err();
        // With the driver gone, nobody waits for the ticket.
        let _ = synced.send(result);
        if failed {
            return;
        }
    }
}

/// The sending end. Dropped, it waits until what was submitted is stored.
struct Queue {
    commits: Option<Sender<Commit>>,
    thread: Option<JoinHandle<()>>,
}

impl Queue {
    fn submit(&self, commit: Commit) -> Result<(), ConfigError> {
        let commits = self.commits.as_ref().expect("the queue is there until it is dropped");
        commits.send(commit).map_err(|_| StoreError::Stopped.into())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.commits = None;
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed; the process ends anyway.
            let _ = thread.join();
        }
    }
}
