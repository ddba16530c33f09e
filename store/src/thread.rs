//! A store on a thread of its own, so that a sync blocks nobody else.

use std::panic::resume_unwind;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::{self, JoinHandle};

use catena_core::{Batch, Ticket};

use crate::{Store, StoreError, Swept, commit_group};

/// Hands batches to a store that runs on its own thread, with group commit across slots; while none waits, the store sweeps.
/// The queue has no bound of its own: the
/// core bounds what is in flight (W10).
///
/// Dropping it is a clean stop too: what was submitted is synced and reported before `drop` returns.
#[derive(Debug)]
pub struct StorageThread<S> {
    queue: Option<Sender<Batch>>,
    thread: Option<JoinHandle<S>>,
}

impl<S: Store + 'static> StorageThread<S> {
    /// Starts the thread. `store` has been recovered.
    ///
    /// `on_durable` is called on that thread: after each sync with the last durable ticket, or once with the error that
    /// ended it. It must not block for long: it delays the next group.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the system gives no thread.
    pub fn spawn(store: S, on_durable: impl FnMut(Result<Ticket, StoreError>) + Send + 'static) -> Result<Self, StoreError> {
        let (queue, batches) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("catena-storage".to_owned())
            .spawn(move || run(store, batches, on_durable))
            .map_err(|error| StoreError::failed("start the storage thread", error))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues a batch. Never blocks; the ticket is reported when it is durable.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] once the thread has ended.
    pub fn submit(&self, batch: Batch) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().expect("the queue is there until the thread is stopped");
        queue.send(batch).map_err(|_| StoreError::Stopped)
    }

    /// Flushes what was submitted, reports it, ends the thread and returns the store.
    ///
    /// # Panics
    /// With the thread's panic, if it had one.
    pub fn stop(mut self) -> S {
        self.queue = None;
        let thread = self.thread.take().expect("the thread is there until it is stopped");
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl<S> Drop for StorageThread<S> {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic over there has been reported by `Report`; a second one here would hide it.
            let _ = thread.join();
        }
    }
}

/// The thread: ends when the queue is closed and empty, or on the first error.
fn run<S: Store>(mut store: S, queue: Receiver<Batch>, on_durable: impl FnMut(Result<Ticket, StoreError>)) -> S {
    let mut report = Report(on_durable);
    // Dropped before the report is: who hears no more can submit no more.
    let batches = queue;
    loop {
        let outcome = match next(&mut store, &batches) {
            Ok(Some(first)) => commit_group(&mut store, first, || batches.try_recv().ok()),
            Ok(None) => return store,
            Err(error) => Err(error),
        };
        let failed = outcome.is_err();
        (report.0)(outcome);
        if failed {
            return store;
        }
    }
}

/// The next batch; until there is one, the store sweeps. `None`: the queue is closed and empty.
fn next<S: Store>(store: &mut S, batches: &Receiver<Batch>) -> Result<Option<Batch>, StoreError> {
    loop {
        match batches.try_recv() {
            Ok(batch) => return Ok(Some(batch)),
            Err(TryRecvError::Disconnected) => return Ok(None),
            Err(TryRecvError::Empty) => {}
        }
        match store.sweep()? {
            Swept::All => return Ok(batches.recv().ok()),
            Swept::Partly => {}
        }
    }
}

/// Tells the owner of a panic as well: else it would wait for a ticket for ever.
struct Report<F: FnMut(Result<Ticket, StoreError>)>(F);

impl<F: FnMut(Result<Ticket, StoreError>)> Drop for Report<F> {
    fn drop(&mut self) {
        if thread::panicking() {
            (self.0)(Err(StoreError::Stopped));
        }
    }
}
