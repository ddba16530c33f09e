//! Tasks that end with their owner.

use tokio::task::JoinHandle;

/// A task that is aborted when this is dropped.
#[derive(Debug)]
pub(crate) struct Owned<T>(JoinHandle<T>);

impl<T: Send + 'static> Owned<T> {
    pub(crate) fn spawn(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }

    /// Waits for its end. Safe to cancel.
    ///
    /// # Panics
    /// When the task has panicked: its own message is printed already.
    pub(crate) async fn join(&mut self) -> T {
        (&mut self.0).await.expect("a task that this one depends on does not panic, and nobody else cancels it")
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
