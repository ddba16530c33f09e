//! What a driver shows of itself, and to whom.
//!
//! ```text
//!   Monitor, the driver's own                        Window, anybody's
//!     readiness ───────────── watch ───────────────▶   readiness
//!     metrics   ───────────── atomics ─────────────▶   measures
//!     events, state ◀─ questions, a bounded channel ─  state
//! ```
//!
//! The driver alone owns its state, and waits for nobody: it answers a question when its turn comes, between two steps.
//! Whoever asks waits for as long as it likes. Without a window nobody asks.

mod calls;
mod counters;
mod events;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use catena_net::server::{Outlook, Readiness};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use self::calls::Calls;
pub(crate) use self::counters::{Each, Gauges, histogram, number, size};
pub use self::events::Happened;
pub(crate) use self::events::{Events, Happening};

/// Questions that may wait for the driver; beyond it those who ask wait. One asker has one at a time.
const QUESTIONS: usize = 4;
/// How long a driver may take to answer. Chosen here: many times a turn of a busy one.
const PATIENCE: Duration = Duration::from_secs(1);

/// The figures of one kind of driver.
pub trait Metrics: Clone + Default {
    /// Names and describes all of them.
    fn register(&self, registry: &mut Registry);
}

/// The driver's end.
pub struct Monitor<M, S> {
    pub(crate) metrics: M,
    calls: Calls,
    readiness: watch::Sender<Readiness>,
    questions: mpsc::Receiver<Question<S>>,
}

/// What a driver is asked.
pub(crate) enum Question<S> {
    /// To bring those figures up to date that are not counted as things happen.
    Measure(oneshot::Sender<()>),
    /// How everything is.
    State(oneshot::Sender<S>),
}

/// The other end.
pub struct Window<S> {
    registry: Arc<Registry>,
    readiness: watch::Receiver<Readiness>,
    questions: mpsc::Sender<Question<S>>,
}

/// Why there is no state to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoState {
    /// There is no driver yet.
    #[error("{0}")]
    Starting(&'static str),
    /// The driver is busy, or has ended.
    #[error("it does not answer within {} ms", PATIENCE.as_millis())]
    Silent,
}

impl<M: Metrics, S> Monitor<M, S> {
    /// Both ends.
    pub fn new() -> (Self, Window<S>) {
        let metrics = M::default();
        let calls = Calls::default();
        let mut registry = Registry::with_prefix("catena");
        registry.register("build", "The program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        metrics.register(&mut registry);
        calls.register(registry.sub_registry_with_prefix("grpc"));
        let (sender, readiness) = watch::channel(Readiness::Starting("it has just been started"));
        let (asking, questions) = mpsc::channel(QUESTIONS);
        let window = Window { registry: Arc::new(registry), readiness, questions: asking };
        (Self { metrics, calls, readiness: sender, questions }, window)
    }

    /// Of a process that nobody looks at.
    pub fn unseen() -> Self {
        Self::new().0
    }

    /// Says whether the process can do its work.
    pub fn set_readiness(&self, readiness: Readiness) {
        self.readiness.send_if_modified(|last| std::mem::replace(last, readiness) != readiness);
    }

    /// What the gRPC server shows of the process, and tells it.
    pub(crate) fn outlook(&self) -> Outlook {
        Outlook { readiness: self.readiness.subscribe(), observer: self.calls.observer() }
    }

    /// The next question; `None` when nobody can ask any more. Safe to cancel.
    pub(crate) async fn asked(&mut self) -> Option<Question<S>> {
        self.questions.recv().await
    }
}

impl<S> Window<S> {
    /// Whether the process can do its work.
    pub fn readiness(&self) -> Readiness {
        *self.readiness.borrow()
    }

    /// All figures, as `OpenMetrics` text. Of a driver that does not answer, those that it counts as things happen are of now,
    /// and the others are of when it last did.
    pub async fn metrics(&self) -> String {
        let _: Result<(), _> = self.ask(Question::Measure).await;
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to memory does not fail");
        text
    }

    /// How everything is.
    ///
    /// # Errors
    /// When there is no driver, or it does not answer.
    pub async fn state(&self) -> Result<S, NoState> {
        self.ask(Question::State).await
    }

    async fn ask<A>(&self, question: impl FnOnce(oneshot::Sender<A>) -> Question<S>) -> Result<A, NoState> {
        if let Readiness::Starting(why) = self.readiness() {
            return Err(NoState::Starting(why));
        }
        let asked = async {
            let (reply, answer) = oneshot::channel();
            self.questions.send(question(reply)).await.ok()?;
            answer.await.ok()
        };
        timeout(PATIENCE, asked).await.ok().flatten().ok_or(NoState::Silent)
    }
}

impl<M, S> fmt::Debug for Monitor<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Window<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").finish_non_exhaustive()
    }
}
