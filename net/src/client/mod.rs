//! The Rust client: finds the node, calls it, and retries where nothing was done.

mod directory;
mod error;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catena_core::{CallError, Condition, Kind, Route, Slot, Target, slot_of};
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;
use tonic::{Response, Status};

pub use crate::convert::{Found, Written};
pub use error::ClientError;

use crate::Refusal;
use crate::convert::{ConvertError, delete_request, get_request, put_request};
use crate::proto::kv_client::KvClient;
use directory::{Directory, Place, Remote, Table};

/// The wait before a second try under an unchanged route. It doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(2);

/// The longest wait between two tries: about how soon a change of the chain is noticed.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

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

/// A client of one cluster. Cheap to clone; clones share route and connections.
#[derive(Clone, Debug)]
pub struct Client {
    directory: Directory,
    options: Options,
}

/// Which end of a chain answers.
#[derive(Clone, Copy)]
enum End {
    /// Writes.
    Head,
    /// Reads.
    Tail,
}

impl Client {
    /// A client of the cluster whose coordinators are at `endpoints` (`host:port`). Fetches the route, trying for one
    /// call's time. Call it within a runtime.
    ///
    /// # Errors
    /// When no coordinator gives the route.
    pub async fn connect(endpoints: Vec<String>, options: Options) -> Result<Self, ClientError> {
        let client = Self { directory: Directory::start(endpoints), options };
        let deadline = client.deadline();
        let mut wait = FIRST_WAIT;
        loop {
            match client.refresh(deadline).await {
                Err(error) if error.passes() && Instant::now() + wait < deadline => {
                    sleep(wait).await;
                    wait = (2 * wait).min(LONGEST_WAIT);
                }
                fetched => return fetched.map(|()| client),
            }
        }
    }

    /// This client, with other options: it shares route and connections with the first.
    #[must_use]
    pub fn with_options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// Reads an object, linearizably.
    ///
    /// # Errors
    /// When no tail answers in time; see [`ClientError`].
    pub async fn get(&self, key: impl Into<Bytes>) -> Result<Found, ClientError> {
        let key = key.into();
        self.check(&key, &Bytes::new())?;
        let call = |mut node: KvClient<Channel>, cluster, target| {
            let request = get_request(cluster, target, key.clone());
            async move { node.get(request).await }
        };
        self.run(&key, End::Tail, call).await
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
        let (key, value) = (key.into(), value.into());
        self.check(&key, &value)?;
        let call = |mut node: KvClient<Channel>, cluster, target| {
            let request = put_request(cluster, target, key.clone(), value.clone(), conditions.clone());
            async move { node.put(request).await }
        };
        self.run(&key, End::Head, call).await
    }

    /// Removes an object, if all `conditions` hold. Of an absent one, succeeds without an entry.
    ///
    /// # Errors
    /// When it was refused, or the outcome is unknown; see [`ClientError::kind`].
    pub async fn delete(&self, key: impl Into<Bytes>, conditions: Vec<Condition>) -> Result<Written, ClientError> {
        let key = key.into();
        self.check(&key, &Bytes::new())?;
        let call = |mut node: KvClient<Channel>, cluster, target| {
            let request = delete_request(cluster, target, key.clone(), conditions.clone());
            async move { node.delete(request).await }
        };
        self.run(&key, End::Head, call).await
    }

    /// The route as it was last fetched.
    pub fn route(&self) -> Route {
        self.table().answer.route.clone()
    }

    fn table(&self) -> Arc<Table> {
        self.directory.table().expect("the route was fetched when the client connected")
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.options.call_timeout
    }

    /// Refuses what the node would, before it costs a transfer.
    fn check(&self, key: &Bytes, value: &Bytes) -> Result<(), Refusal> {
        let table = self.table();
        let (key_bytes, value_bytes) = (table.answer.key_bytes, table.answer.value_bytes);
        if key.is_empty() {
            return Err(CallError::KeyEmpty.into());
        }
        if key.len() > key_bytes {
            return Err(CallError::KeyTooLong { len: key.len(), limit: key_bytes }.into());
        }
        if value.len() > value_bytes {
            return Err(CallError::ValueTooLarge { len: value.len(), limit: value_bytes }.into());
        }
        Ok(())
    }

    async fn refresh(&self, deadline: Instant) -> Result<(), ClientError> {
        let late = || ClientError::NoRoute { endpoint: "all".to_owned(), reason: "no answer in time".to_owned() };
        timeout(left(deadline), self.directory.refresh()).await.unwrap_or_else(|_| Err(late()))
    }

    async fn connected(&self, remote: &Remote, deadline: Instant) -> Result<KvClient<Channel>, ClientError> {
        if let Some(node) = remote.if_connected() {
            return Ok(node);
        }
        timeout(left(deadline), remote.connected()).await.unwrap_or_else(|_| Err(remote.unreachable("no connection in time")))
    }

    /// Tries until it succeeds, an error does not pass by itself, or the time is over.
    async fn run<F, T, W, R>(&self, key: &[u8], end: End, call: F) -> Result<R, ClientError>
    where
        F: Fn(KvClient<Channel>, Bytes, Target) -> T,
        T: Future<Output = Result<Response<W>, Status>>,
        R: TryFrom<W>,
        ConvertError: From<R::Error>,
    {
        let deadline = self.deadline();
        let mut wait = FIRST_WAIT;
        let mut worst: Option<ClientError> = None;
        loop {
            let table = self.table();
            let slot = slot_of(key, table.answer.route.slots);
            let place = table.place(slot);
            let error = match self.try_once(&table, slot, place, end, &call, deadline).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => error,
            };
            // Repeating a read does no harm; repeating a write that may have been done does.
            let again = error.passes() || (matches!(end, End::Tail) && error.kind() == Kind::Unknown);
            if !again || Instant::now() + wait >= deadline {
                return Err(worse(worst, error));
            }
            worst = Some(worse(worst, error));
            let refreshed = self.refresh(deadline).await;
            if refreshed.is_err() || !moved(place, self.table().place(slot)) {
                sleep(wait).await;
                wait = (2 * wait).min(LONGEST_WAIT);
            }
        }
    }

    async fn try_once<F, T, W, R>(
        &self,
        table: &Table,
        slot: Slot,
        place: Option<&Place>,
        end: End,
        call: &F,
        deadline: Instant,
    ) -> Result<R, ClientError>
    where
        F: Fn(KvClient<Channel>, Bytes, Target) -> T,
        T: Future<Output = Result<Response<W>, Status>>,
        R: TryFrom<W>,
        ConvertError: From<R::Error>,
    {
        let place = place.ok_or(ClientError::NoChain { slot })?;
        let remote: &Remote = match end {
            End::Head => &place.head,
            End::Tail => &place.tail,
        };
        // Connected first: what fails up to here was never sent (W9).
        let node = self.connected(remote, deadline).await?;
        let target = Target { slot, version: place.version };
        match timeout(left(deadline), call(node, table.cluster.clone(), target)).await {
            Ok(Ok(response)) => R::try_from(response.into_inner())
                .map_err(|problem| ClientError::Malformed { node: remote.node().clone(), problem: problem.into() }),
            Ok(Err(status)) => Err(ClientError::from_status(remote.node(), remote.address(), &status)),
            Err(_) => Err(ClientError::TimedOut { node: remote.node().clone(), limit: self.options.call_timeout }),
        }
    }
}

/// The time until a deadline.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Whether the route has changed for a slot.
fn moved(before: Option<&Place>, after: Option<&Place>) -> bool {
    before.map(|place| place.version) != after.map(|place| place.version)
        || before.is_none_or(|before| {
            after.is_none_or(|after| !Arc::ptr_eq(&before.head, &after.head) || !Arc::ptr_eq(&before.tail, &after.tail))
        })
}

/// A call is `NotExecuted` only if each of its tries was (W9).
fn worse(before: Option<ClientError>, now: ClientError) -> ClientError {
    match before {
        Some(before) if before.kind() == Kind::Unknown && now.kind() == Kind::NotExecuted => before,
        Some(_) | None => now,
    }
}
