//! A node's durable state as its driver sees it: read at once, written through a queue.

use std::fmt;

use catena_core::{Batch, Recovered, Ticket};
use catena_store::StoreError;
use tokio::sync::{mpsc, watch};

/// An open store. Whoever made it syncs what is submitted, in groups: a thread of its own in a real process, a task in a
/// simulated one.
pub struct Storage<R> {
    /// Looks objects up.
    pub reader: R,
    /// What it held when it was opened.
    pub recovered: Vec<Recovered>,
    /// Queues a batch; never blocks. Dropping it ends the store.
    pub submit: Box<dyn FnMut(Batch) -> Result<(), StoreError> + Send>,
    /// The last durable ticket, after each sync; or the error that ended the store.
    pub durable: mpsc::UnboundedReceiver<Result<Ticket, StoreError>>,
    /// Whether the disk has reached its reserve (D3); false at first.
    pub full: watch::Receiver<bool>,
}

impl<R> fmt::Debug for Storage<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").field("recovered", &self.recovered.len()).finish_non_exhaustive()
    }
}
