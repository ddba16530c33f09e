//! The services `Coordination` and `Admin`: nodes that join, clients that ask for the route, operators.

mod admin;
mod join;
mod watch;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use catena_core::{
    ClusterConfig, ClusterId, Heartbeat, Incarnation, Limits, NodeId, NodeRecord, Order, OrderError, RegisterError, Route, Status,
};
use tokio::sync::{mpsc, oneshot};
use tonic::{Request, Response, Streaming};

pub use join::{Session, ToNode};
pub use watch::{WATCHED_CHANGES, Watcher, Watchers};

use super::Outlook;
use crate::convert::RouteAnswer;
use crate::proto::admin_server::AdminServer;
use crate::proto::coordination_server::{Coordination, CoordinationServer};
use crate::transport::{self, Listener, MESSAGE_BYTES, ServeError};
use crate::{Refusal, WIRE_VERSION, proto};

/// What happens to a coordinator through the network.
#[derive(Debug)]
pub enum CoordinatorInput {
    /// A node of this cluster, or of none yet, dials in.
    Joined {
        /// Its stream.
        session: Session,
        /// Who and where it is.
        node: NodeRecord,
        /// What it is told. An error is the last. When this is dropped the stream ends, and the node joins anew.
        outgoing: mpsc::Sender<Result<ToNode, RegisterError>>,
    },
    /// A node is there.
    Heartbeat {
        /// Its stream.
        session: Session,
        /// Who.
        from: NodeId,
        /// The directory that it registered on this stream.
        incarnation: Incarnation,
        /// What it says.
        heartbeat: Heartbeat,
    },
    /// A stream is gone. The node may have another by now.
    Left {
        /// Which stream.
        session: Session,
        /// Whose.
        node: NodeId,
    },
    /// Somebody asks where everything is.
    Route {
        /// For the answer; `None`: this coordinator does not lead.
        reply: oneshot::Sender<Option<Route>>,
    },
    /// Somebody wants to know where everything is, and what changes of it: give it to [`Watchers::add`].
    Watch(Watcher),
    /// An operator wants something.
    Order {
        /// What.
        order: Order,
        /// For the outcome. Dropping it tells the operator that it is unknown.
        reply: oneshot::Sender<Result<(), OrderError>>,
    },
    /// An operator looks.
    Status {
        /// For the answer; `None`: this coordinator does not lead.
        reply: oneshot::Sender<Option<Status>>,
    },
}

/// What a coordinator answers on its address.
#[derive(Debug)]
pub struct CoordinatorServer {
    service: Arc<Service>,
    outlook: Outlook,
}

#[derive(Debug)]
struct Service {
    cluster: ClusterId,
    slots: u32,
    limits: Limits,
    inputs: mpsc::Sender<CoordinatorInput>,
    sessions: AtomicU64,
}

impl CoordinatorServer {
    /// A server for the coordinator of this cluster that hands all it gets to `inputs`. The limits of keys and values
    /// are told to clients.
    pub fn new(config: &ClusterConfig, limits: &Limits, inputs: mpsc::Sender<CoordinatorInput>) -> Self {
        let (cluster, slots, limits) = (config.cluster, config.slots, limits.clone());
        let service = Arc::new(Service { cluster, slots, limits, inputs, sessions: AtomicU64::new(0) });
        Self { service, outlook: Outlook::default() }
    }

    /// Has others see this of the coordinator.
    #[must_use]
    pub fn seen(self, outlook: Outlook) -> Self {
        Self { outlook, ..self }
    }

    /// Serves until `shutdown`, and then for [`STOP_TIMEOUT`](transport::STOP_TIMEOUT) at most.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: Listener, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let Outlook { readiness, observer } = self.outlook;
        let coordination = CoordinationServer::from_arc(self.service.clone()).max_decoding_message_size(MESSAGE_BYTES);
        let router = transport::server()
            .add_service(transport::counted(coordination, &observer))
            .add_service(transport::counted(AdminServer::from_arc(self.service), &observer));
        transport::run(router, &["catena.v1.Coordination", "catena.v1.Admin"], readiness, listener, shutdown).await
    }
}

impl Service {
    fn check_cluster(&self, given: Option<ClusterId>) -> Result<(), Refusal> {
        match given {
            Some(given) if given != self.cluster => Err(Refusal::WrongCluster { given, here: self.cluster }),
            Some(_) | None => Ok(()),
        }
    }

    /// Checks the cluster that a request names, if it names one.
    fn check_request(&self, field: &'static str, cluster: &[u8]) -> Result<(), Refusal> {
        self.check_cluster(crate::convert::optional_cluster_id(field, cluster)?)
    }

    async fn tell(&self, input: CoordinatorInput) -> Result<(), Refusal> {
        self.inputs.send(input).await.map_err(|_| Refusal::Stopping)
    }

    /// Asks for what only a leader knows.
    async fn ask<A>(&self, input: impl FnOnce(oneshot::Sender<Option<A>>) -> CoordinatorInput) -> Result<A, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.tell(input(reply)).await?;
        answer.await.map_err(|_| Refusal::Stopping)?.ok_or(Refusal::NotLeading)
    }
}

/// The route, or a change of it, as it goes over the wire.
fn to_wire(limits: &Limits, route: Route) -> proto::Route {
    let Limits { key_bytes, value_bytes, .. } = *limits;
    RouteAnswer { route, wire_version: WIRE_VERSION, key_bytes, value_bytes }.into()
}

#[tonic::async_trait]
impl Coordination for Service {
    type JoinStream = join::Answers;
    type WatchRouteStream = watch::Changes;

    async fn join(&self, request: Request<Streaming<proto::NodeMessage>>) -> Result<Response<join::Answers>, tonic::Status> {
        Ok(Response::new(join::join(self, request.into_inner()).await?))
    }

    async fn get_route(&self, request: Request<proto::GetRouteRequest>) -> Result<Response<proto::Route>, tonic::Status> {
        self.check_request("get_route.cluster", &request.into_inner().cluster)?;
        let route = self.ask(|reply| CoordinatorInput::Route { reply }).await?;
        Ok(Response::new(to_wire(&self.limits, route)))
    }

    async fn watch_route(&self, request: Request<proto::GetRouteRequest>) -> Result<Response<watch::Changes>, tonic::Status> {
        self.check_request("watch_route.cluster", &request.into_inner().cluster)?;
        Ok(Response::new(watch::watch(self).await?))
    }
}
