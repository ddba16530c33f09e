//! The coordinator's store on a thread of its own, so that a sync holds up no heartbeat.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use catena_core::CoordinatorEvent;
use catena_store::{ConfigError, ConfigStore, StoreError};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::error::ProcessError;
use crate::{ConfigRequest, ConfigStorage};

/// Starts the store's thread, which ends with the queue or on the first error.
pub(super) fn spawn(store: impl ConfigStore + 'static) -> Result<ConfigStorage, ProcessError> {
    let (queue, requests) = mpsc::channel();
    let (sender, told) = unbounded_channel();
    let thread = thread::Builder::new()
        .name("catena-config".to_owned())
        .spawn(move || run(store, &requests, &sender))
        .map_err(ProcessError::Thread)?;
    let queue = Queue { requests: Some(queue), thread: Some(thread) };
    Ok(ConfigStorage { ask: Box::new(move |request| queue.ask(request)), told })
}

fn run(
    mut store: impl ConfigStore,
    requests: &Receiver<ConfigRequest>,
    told: &UnboundedSender<Result<CoordinatorEvent, ConfigError>>,
) {
    while let Ok(request) = requests.recv() {
        let event = request.run(&mut store);
        let failed = event.is_err();
        // With the driver gone, nobody waits for it.
        let _ = told.send(event);
        if failed {
            return;
        }
    }
}

/// The sending end. Dropped, it waits until what was submitted is stored.
struct Queue {
    requests: Option<Sender<ConfigRequest>>,
    thread: Option<JoinHandle<()>>,
}

impl Queue {
    fn ask(&self, request: ConfigRequest) -> Result<(), ConfigError> {
        let requests = self.requests.as_ref().expect("the queue is there until it is dropped");
        requests.send(request).map_err(|_| StoreError::Stopped.into())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed; the process ends anyway.
            let _ = thread.join();
        }
    }
}
