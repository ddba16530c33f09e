//! What a process lets others see of it beyond its own services: whether it can do its work, and which calls come to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tonic::Code;

/// Whether a process can do its work, for whoever sends it work or watches over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It has not begun, because of this: there is nobody yet who could be asked for more.
    Starting(&'static str),
    /// It runs, and cannot do its work, because of this.
    Unready(&'static str),
    /// It can.
    Ready,
}

/// A call that has been answered; of a stream, that it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// As in `Kv/Get`; `other` for one that there is not, so that nobody can make up names.
    pub method: &'static str,
    /// How.
    pub code: Code,
    /// How long that took.
    pub took: Duration,
}

/// Told of every call. Must not block.
pub type Observer = Arc<dyn Fn(Answered) + Send + Sync>;

/// What there is to be seen.
#[derive(Clone)]
pub struct Outlook {
    /// For `grpc.health.v1`.
    pub readiness: watch::Receiver<Readiness>,
    /// For figures.
    pub observer: Observer,
}

impl Default for Outlook {
    /// Always ready, and nobody counts.
    fn default() -> Self {
        Self { readiness: watch::channel(Readiness::Ready).1, observer: Arc::new(|_| {}) }
    }
}

impl fmt::Debug for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlook").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}
