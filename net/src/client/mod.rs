//! The Rust client: the machine of [`catena_core::client`], and the I/O that it asks for.
//!
//! ```text
//!   caller's task ──Call──▶ ┌─────────┐ ──Send──▶ the same task: one request, then Answered or Failed
//!                           │ machine │
//!   keeper ──Wake, Route──▶ └─────────┘ ──AskRoute, sessions──▶ keeper
//! ```

mod attempt;
mod error;
mod keeper;
mod pipe;
mod shared;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use catena_core::client::{self as machine, CallId, ClientConfig, ClientRequest, Delivery};
use catena_core::{Action, CallError, Command, Condition, Reply, Route, Slot, slot_of};
use tokio::sync::mpsc;
use tokio::time::timeout;

pub use crate::convert::{Found, Scanned, Written};
pub use error::ClientError;

use crate::Refusal;
use attempt::{Remote, Tried, Try};
use keeper::Keeper;
use shared::{Acquaintance, Order, Shared, Terms};

/// How a client behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long one call may take, with all its tries. Should exceed the time in which a chain heals, about a second,
    /// and how long a node holds a call, 5 s. 10 s.
    pub call_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { call_timeout: Duration::from_secs(10) }
    }
}

/// A client of one cluster. Cheap to clone; clones share route, connections and sessions.
///
/// A write takes effect exactly once: it is repeated under its session until its outcome is known. The first write to a slot
/// opens the session, which costs a round trip and a sync; for single writes see [`at_most_once`](Self::at_most_once).
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    options: Options,
    delivery: Delivery,
}

impl Client {
    /// A client of the cluster whose coordinators are at `endpoints` (`host:port`). Fetches the route, trying for one
    /// call's time. Call it within a runtime, which the client needs as long as it is used.
    ///
    /// # Errors
    /// When no coordinator gives the route.
    pub async fn connect(endpoints: Vec<String>, options: Options) -> Result<Self, ClientError> {
        if endpoints.is_empty() {
            return Err(ClientError::NoEndpoint);
        }
        let coordinators = endpoints.len();
        let (keeper, work) = mpsc::unbounded_channel();
        // Random, and under simulated time drawn from the seed.
        let seed = getrandom::u64().expect("the system gives random numbers");
        let shared = Arc::new(Shared::new(ClientConfig::new(coordinators, seed), keeper));
        tokio::spawn(Keeper::new(&shared, work, endpoints).run());
        let client = Self { shared, options, delivery: Delivery::ExactlyOnce };
        match timeout(client.options.call_timeout, client.acquainted(coordinators)).await {
            Ok(acquainted) => acquainted.map(|()| client),
            Err(_) => Err(client.shared.no_route()),
        }
    }

    /// This client, with other options.
    #[must_use]
    pub fn with_options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// This client, but its writes are not repeated once they may have been executed: their outcome may stay unknown. They
    /// need no session.
    #[must_use]
    pub fn at_most_once(self) -> Self {
        Self { delivery: Delivery::AtMostOnce, ..self }
    }

    /// Reads an object, linearizably.
    ///
    /// # Errors
    /// When no tail answers in time; see [`ClientError`].
    pub async fn get(&self, key: impl Into<Bytes>) -> Result<Found, ClientError> {
        let key = key.into();
        let Terms { slots, .. } = self.admit(&key, &Bytes::new())?;
        let slot = slot_of(&key, slots);
        match self.call(ClientRequest::Get { key }).await? {
            Reply::Read { version, object } => Ok(Found { slot, version, object }),
            reply => panic!("a read was answered by {reply:?}"),
        }
    }

    /// Reads the objects of a slot from behind `after` on, in key order and all as of one moment: about `bytes` of them, and at
    /// most 1 MiB unless a single one is larger. A page may be empty and yet not be the last.
    ///
    /// # Errors
    /// When no tail answers in time; see [`ClientError`].
    pub async fn scan(&self, slot: Slot, after: Option<Bytes>, bytes: usize) -> Result<Scanned, ClientError> {
        let slots = self.route().slots;
        if slot.0 >= slots {
            return Err(Refusal::Call(CallError::UnknownSlot { slot, slots }).into());
        }
        match self.call(ClientRequest::Scan { slot, after, bytes }).await? {
            Reply::Scanned { version, page } => Ok(Scanned { slot, version, page }),
            reply => panic!("a scan was answered by {reply:?}"),
        }
    }

    /// Creates or replaces an object, if all `conditions` hold. Answered once it is synced on every member of its
    /// chain.
    ///
    /// # Errors
    /// When it was refused, or the outcome is unknown; see [`ClientError::kind`].
    pub async fn put(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        conditions: Vec<Condition>,
    ) -> Result<Written, ClientError> {
        self.write(key.into(), Action::Put { value: value.into() }, conditions).await
    }

    /// Removes an object, if all `conditions` hold. Of an absent one, succeeds without an effect.
    ///
    /// # Errors
    /// When it was refused, or the outcome is unknown; see [`ClientError::kind`].
    pub async fn delete(&self, key: impl Into<Bytes>, conditions: Vec<Condition>) -> Result<Written, ClientError> {
        self.write(key.into(), Action::Delete, conditions).await
    }

    /// The route as far as it is known.
    pub fn route(&self) -> Route {
        self.shared.route().expect("the route was fetched when the client connected")
    }

    async fn write(&self, key: Bytes, action: Action, conditions: Vec<Condition>) -> Result<Written, ClientError> {
        let nothing = Bytes::new();
        let value = match &action {
            Action::Put { value } => value,
            Action::Delete => &nothing,
        };
        let Terms { slots, .. } = self.admit(&key, value)?;
        let slot = slot_of(&key, slots);
        let command = Command { key, action, conditions };
        match self.call(ClientRequest::Write { command, delivery: self.delivery }).await? {
            Reply::Written { entry, object } => Ok(Written { slot, entry, object }),
            reply => panic!("a write was answered by {reply:?}"),
        }
    }

    /// Waits until the cluster is known, or all coordinators have been asked and the last has said why not.
    async fn acquainted(&self, coordinators: usize) -> Result<(), ClientError> {
        let mut acquaintance = self.shared.acquainted.subscribe();
        let known = acquaintance.wait_for(|acquaintance| match acquaintance {
            Acquaintance::Made(_) => true,
            Acquaintance::Sought { last: Some(ClientError::Refused(_)), failures } => *failures >= coordinators,
            Acquaintance::Sought { .. } => false,
        });
        match &*known.await.expect("the sender is this client's") {
            Acquaintance::Made(_) => Ok(()),
            Acquaintance::Sought { last, .. } => Err(last.clone().expect("just seen")),
        }
    }

    /// Refuses what the node would, before it costs a transfer.
    fn admit(&self, key: &Bytes, value: &Bytes) -> Result<Terms, Refusal> {
        let Acquaintance::Made(terms) = *self.shared.acquainted.borrow() else {
            panic!("a client is handed out once it knows its cluster")
        };
        if key.is_empty() {
            return Err(CallError::KeyEmpty.into());
        }
        if key.len() > terms.key_bytes {
            return Err(CallError::KeyTooLong { len: key.len(), limit: terms.key_bytes }.into());
        }
        if value.len() > terms.value_bytes {
            return Err(CallError::ValueTooLarge { len: value.len(), limit: terms.value_bytes }.into());
        }
        Ok(terms)
    }

    /// Does what the machine says until the call has ended.
    async fn call(&self, request: ClientRequest) -> Result<Reply, ClientError> {
        let call = Call { shared: &self.shared, name: self.shared.begin(request, self.options.call_timeout) };
        let mut detail = None;
        let mut running = pin!(None);
        loop {
            match poll_fn(|context| call.poll_next(&mut running, context)).await {
                Next::Order(Order::Try(this)) => running.set(Some(run(this))),
                Next::Order(Order::End(result)) => return result.map_err(|error| self.explain(error, detail)),
                Next::Tried { attempt, remote, tried } => {
                    running.set(None);
                    let (event, error) = tried.event(attempt);
                    self.shared.note(&remote.node, error.as_ref());
                    detail = error.or(detail);
                    self.shared.step(event);
                }
            }
        }
    }

    /// The machine's error in a caller's words, and of the same kind; `detail`: of the last try that failed without the
    /// node's word.
    fn explain(&self, error: machine::ClientError, detail: Option<ClientError>) -> ClientError {
        let kind = error.kind();
        let explained = match error {
            machine::ClientError::Refused { error, kind: _ } => ClientError::Refused(error.into()),
            machine::ClientError::Failed { obstacle, kind: _ } => {
                let explain = || self.shared.explain(Some(obstacle), self.options.call_timeout, None);
                detail.unwrap_or_else(explain)
            }
            machine::ClientError::OutOfTime { limit, obstacle, kind: _ } => self.shared.explain(obstacle, limit, detail),
            machine::ClientError::Cancelled { kind: _ } => panic!("only a call whose caller has gone away is given up"),
            machine::ClientError::TooManyCalls { limit } => ClientError::TooManyCalls { limit },
            machine::ClientError::NoCoordinator => ClientError::NoEndpoint,
        };
        explained.of(kind)
    }
}

/// A call under way; given up when dropped.
struct Call<'a> {
    shared: &'a Shared,
    name: CallId,
}

/// What happens next to a call.
enum Next {
    Order(Order),
    Tried { attempt: machine::AttemptId, remote: Arc<Remote>, tried: Tried },
}

impl Call<'_> {
    fn poll_next(&self, running: &mut Pin<&mut Option<impl Future<Output = Next>>>, context: &mut Context<'_>) -> Poll<Next> {
        if let Poll::Ready(order) = self.shared.poll_order(self.name, context) {
            return Poll::Ready(Next::Order(order));
        }
        running.as_mut().as_pin_mut().map_or(Poll::Pending, |running| running.poll(context))
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.shared.give_up(self.name);
    }
}

async fn run(this: Try) -> Next {
    let (attempt, remote) = (this.attempt, this.remote.clone());
    Next::Tried { attempt, remote, tried: this.run().await }
}
