//! Where everything is: one task fetches the route, all calls of a client look at it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catena_core::{Chain, ChainVersion, NodeId, NodeRecord, Slot};
use tokio::sync::{OnceCell, mpsc, oneshot, watch};
use tokio::time::timeout;
use tonic::Status;
use tonic::transport::Channel;

use super::ClientError;
use crate::convert::{ConvertError, RouteAnswer, cluster_bytes};
use crate::proto::coordination_client::CoordinationClient;
use crate::proto::kv_client::KvClient;
use crate::transport::{endpoint, root_cause};
use crate::{Refusal, WIRE_VERSION, proto};

/// How long one coordinator may take to give the route.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(1);

/// The largest answers that are read: a route of many slots, a value with room to spare.
const MESSAGE_BYTES: usize = 64 << 20;

/// A route, ready for use.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) answer: RouteAnswer,
    /// The cluster's id as every request carries it.
    pub(super) cluster: Bytes,
    /// By name, as in the route.
    nodes: Vec<Arc<Remote>>,
    /// By slot.
    places: Vec<Place>,
}

/// Where the calls of one slot go.
#[derive(Clone, Debug)]
pub(super) struct Place {
    slot: Slot,
    pub(super) version: ChainVersion,
    pub(super) head: Arc<Remote>,
    pub(super) tail: Arc<Remote>,
}

/// A node and the connection to it.
#[derive(Debug)]
pub(super) struct Remote {
    record: NodeRecord,
    connected: OnceCell<KvClient<Channel>>,
}

impl Table {
    fn new(answer: RouteAnswer, before: Option<&Table>) -> Self {
        let known = before.map_or(&[][..], |table| &table.nodes);
        // A node that is where it was keeps its connection.
        let remote = |record: &NodeRecord| match known.iter().find(|remote| remote.record == *record) {
            Some(remote) => remote.clone(),
            None => Arc::new(Remote { record: record.clone(), connected: OnceCell::new() }),
        };
        let nodes: Vec<Arc<Remote>> = answer.route.nodes.iter().map(remote).collect();
        let find = |node: &NodeId| nodes.iter().find(|remote| remote.record.node == *node).cloned();
        let place = |chain: &Chain| {
            let (head, tail) = (find(&chain.head().node)?, find(&chain.tail().node)?);
            Some(Place { slot: chain.slot, version: chain.version, head, tail })
        };
        let places = answer.route.chains.iter().filter_map(place).collect();
        Self { cluster: cluster_bytes(answer.route.cluster), answer, nodes, places }
    }

    /// Where the calls of a slot go; `None` while it has no chain, or a chain of unknown nodes.
    pub(super) fn place(&self, slot: Slot) -> Option<&Place> {
        let index = self.places.binary_search_by_key(&slot, |place| place.slot).ok()?;
        Some(&self.places[index])
    }
}

impl Remote {
    pub(super) fn node(&self) -> &NodeId {
        &self.record.node
    }

    pub(super) fn address(&self) -> &str {
        &self.record.address
    }

    /// The connection, if it has come about before.
    pub(super) fn if_connected(&self) -> Option<KvClient<Channel>> {
        self.connected.get().cloned()
    }

    /// A connection that has come about: from here on, a call may reach the node. One that is lost later is dialled
    /// again by the first call that finds it so.
    pub(super) async fn connected(&self) -> Result<KvClient<Channel>, ClientError> {
        let connect = || async {
            let channel = endpoint(self.address())?.connect().await?;
            Ok(KvClient::new(channel).max_decoding_message_size(MESSAGE_BYTES))
        };
        let failed = |error: tonic::transport::Error| self.unreachable(&root_cause(&error));
        self.connected.get_or_try_init(connect).await.cloned().map_err(failed)
    }

    /// The error for a connection that did not come about.
    pub(super) fn unreachable(&self, reason: &str) -> ClientError {
        let (node, address) = (self.node().clone(), self.address().to_owned());
        ClientError::Unreachable { node, address, reason: reason.to_owned() }
    }
}

type Fetched = Result<(), ClientError>;

/// The route as it was last fetched, and a way to have it fetched again.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    fetch: mpsc::Sender<oneshot::Sender<Fetched>>,
    table: watch::Receiver<Option<Arc<Table>>>,
}

impl Directory {
    /// Starts the task; it ends with the last clone of this.
    pub(super) fn start(endpoints: Vec<String>) -> Self {
        let (fetch, wanted) = mpsc::channel(64);
        let (publish, table) = watch::channel(None);
        tokio::spawn(Fetcher { endpoints, next: 0, connected: None }.run(wanted, publish));
        Self { fetch, table }
    }

    /// The route, if it was ever fetched.
    pub(super) fn table(&self) -> Option<Arc<Table>> {
        self.table.borrow().clone()
    }

    /// Fetches the route. Calls that ask at once share one answer.
    pub(super) async fn refresh(&self) -> Fetched {
        let gone = || ClientError::NoRoute {
            endpoint: "all".to_owned(),
            reason: "the runtime in which the client was made has ended".to_owned(),
        };
        let (reply, fetched) = oneshot::channel();
        self.fetch.send(reply).await.map_err(|_| gone())?;
        fetched.await.map_err(|_| gone())?
    }
}

struct Fetcher {
    endpoints: Vec<String>,
    /// The coordinator to ask.
    next: usize,
    connected: Option<CoordinationClient<Channel>>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{}", root_cause(.0))]
    Connect(#[from] tonic::transport::Error),
    #[error("{}", .0.message())]
    Call(#[from] Status),
    #[error("malformed answer: {0}")]
    Malformed(#[from] ConvertError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("no answer in {} s", ROUTE_TIMEOUT.as_secs())]
    TimedOut,
}

impl Failure {
    fn at(self, endpoint: &str) -> ClientError {
        let typed = match &self {
            Failure::Call(status) => Refusal::from_status(status).filter(|refusal| *refusal != Refusal::Stopping),
            Failure::Refused(refusal) => Some(refusal.clone()),
            Failure::Connect(_) | Failure::Malformed(_) | Failure::TimedOut => None,
        };
        match typed {
            Some(refusal) => ClientError::Refused(refusal),
            None => ClientError::NoRoute { endpoint: endpoint.to_owned(), reason: self.to_string() },
        }
    }
}

impl Fetcher {
    async fn run(mut self, mut wanted: mpsc::Receiver<oneshot::Sender<Fetched>>, publish: watch::Sender<Option<Arc<Table>>>) {
        let mut waiting = Vec::new();
        while wanted.recv_many(&mut waiting, usize::MAX).await > 0 {
            let before = publish.borrow().clone();
            let fetched = self.fetch(before.as_deref()).await.map(|answer| {
                let newer = before.as_ref().is_none_or(|table| table.answer.route.revision < answer.route.revision);
                if newer {
                    publish.send_replace(Some(Arc::new(Table::new(answer, before.as_deref()))));
                }
            });
            for reply in waiting.drain(..) {
                // A call that has given up does not mind.
                let _: Result<(), Fetched> = reply.send(fetched.clone());
            }
        }
    }

    /// Asks each coordinator, beginning with the one that answered last.
    async fn fetch(&mut self, before: Option<&Table>) -> Result<RouteAnswer, ClientError> {
        let cluster = before.map(|table| table.cluster.clone()).unwrap_or_default();
        let mut failure = ClientError::NoEndpoint;
        for _ in 0..self.endpoints.len() {
            let asked = timeout(ROUTE_TIMEOUT, self.ask(cluster.clone())).await;
            match asked.unwrap_or(Err(Failure::TimedOut)) {
                Ok(answer) => return Ok(answer),
                Err(error) => failure = error.at(&self.endpoints[self.next]),
            }
            self.connected = None;
            self.next = (self.next + 1) % self.endpoints.len();
        }
        Err(failure)
    }

    async fn ask(&mut self, cluster: Bytes) -> Result<RouteAnswer, Failure> {
        if self.connected.is_none() {
            let channel = endpoint(&self.endpoints[self.next])?.connect().await?;
            self.connected = Some(CoordinationClient::new(channel).max_decoding_message_size(MESSAGE_BYTES));
        }
        let coordinator = self.connected.as_mut().expect("just connected");
        let answer = coordinator.get_route(proto::GetRouteRequest { cluster }).await?.into_inner();
        if answer.wire_version != WIRE_VERSION {
            return Err(Refusal::WrongWireVersion { given: answer.wire_version, here: WIRE_VERSION }.into());
        }
        Ok(answer.try_into()?)
    }
}
