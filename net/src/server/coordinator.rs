//! The service `Coordination`: nodes that join, clients that ask for the route.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use catena_core::{ClusterConfig, ClusterId, Heartbeat, HeartbeatAnswer, Limits, NodeId, NodeRecord, RegisterError, Route};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use tracing::{info, warn};

use crate::convert::{ConvertError, Register, Registered, RouteAnswer};
use crate::proto::coordination_server::{Coordination, CoordinationServer};
use crate::proto::{coordinator_message, node_message};
use crate::transport::{self, Listener, ServeError};
use crate::{Refusal, WIRE_VERSION, proto};

/// Answers that wait for a node at most. A node that does not read them must not hold up the others: use `try_send`.
const WAITING_ANSWERS: usize = 16;

/// How long a node that has connected may take to say who it is.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(2);

/// Names one stream of a node: never reused within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session(u64);

/// What the coordinator tells a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToNode {
    /// It is let in.
    Registered,
    /// The answer to one of its heartbeats.
    Answer(HeartbeatAnswer),
}

/// What happens to a coordinator through the network.
#[derive(Debug)]
pub enum CoordinatorInput {
    /// A node of this cluster, or of none yet, dials in.
    Joined {
        /// Its stream.
        session: Session,
        /// Who and where it is.
        node: NodeRecord,
        /// What it is told. An error is the last.
        outgoing: mpsc::Sender<Result<ToNode, RegisterError>>,
    },
    /// A node is there.
    Heartbeat {
        /// Its stream.
        session: Session,
        /// Who.
        from: NodeId,
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
        /// For the answer.
        reply: oneshot::Sender<Route>,
    },
}

/// What a coordinator answers on its address.
#[derive(Debug)]
pub struct CoordinatorServer {
    service: Service,
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
        Self { service: Service { cluster, slots, limits, inputs, sessions: AtomicU64::new(0) } }
    }

    /// Serves until `shutdown`, and then for [`STOP_TIMEOUT`](transport::STOP_TIMEOUT) at most.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: Listener, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let router = transport::server().add_service(CoordinationServer::new(self.service));
        transport::run(router, listener, shutdown).await
    }
}

impl Service {
    /// The node's first message, checked.
    async fn registered(&self, messages: &mut Streaming<proto::NodeMessage>) -> Result<NodeRecord, Status> {
        let first = tokio::time::timeout(REGISTER_TIMEOUT, messages.message());
        let message = first.await.map_err(|_| Status::deadline_exceeded("no registration arrived"))??;
        let Some(node_message::Content::Register(register)) = message.and_then(|message| message.content) else {
            return Err(ConvertError::Missing { field: "node_message.register" }.into());
        };
        if register.wire_version != WIRE_VERSION {
            return Err(Refusal::WrongWireVersion { given: register.wire_version, here: WIRE_VERSION }.into());
        }
        let register = Register::try_from(register)?;
        self.check_cluster(register.cluster)?;
        Ok(register.node)
    }

    fn check_cluster(&self, given: Option<ClusterId>) -> Result<(), Refusal> {
        match given {
            Some(given) if given != self.cluster => Err(Refusal::WrongCluster { given, here: self.cluster }),
            Some(_) | None => Ok(()),
        }
    }

    /// A node's messages as they go over the wire; the first error ends them.
    fn answers(&self, told: mpsc::Receiver<Result<ToNode, RegisterError>>) -> Answers {
        let registered = Registered { cluster: self.cluster, slots: self.slots };
        Box::pin(ReceiverStream::new(told).map(move |told| {
            let content = match told.map_err(Refusal::Register)? {
                ToNode::Registered => coordinator_message::Content::Registered(registered.into()),
                ToNode::Answer(answer) => coordinator_message::Content::Answer(answer.into()),
            };
            Ok(proto::CoordinatorMessage { content: Some(content) })
        }))
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<proto::CoordinatorMessage, Status>> + Send>>;

#[tonic::async_trait]
impl Coordination for Service {
    type JoinStream = Answers;

    async fn join(&self, request: Request<Streaming<proto::NodeMessage>>) -> Result<Response<Answers>, Status> {
        let mut messages = request.into_inner();
        let node = match self.registered(&mut messages).await {
            Ok(node) => node,
            Err(status) => {
                warn!("a node is refused: {}", status.message());
                return Err(status);
            }
        };
        let session = Session(self.sessions.fetch_add(1, Ordering::Relaxed));
        let (outgoing, told) = mpsc::channel(WAITING_ANSWERS);
        let (inputs, from) = (self.inputs.clone(), node.node.clone());
        info!(node = %from, "joined");
        inputs.send(CoordinatorInput::Joined { session, node, outgoing }).await.map_err(|_| Refusal::Stopping)?;
        tokio::spawn(async move {
            let reason = listen(session, &from, &mut messages, &inputs).await;
            info!(node = %from, "left: {reason}");
            // A coordinator that is gone needs no telling.
            let _: Result<(), _> = inputs.send(CoordinatorInput::Left { session, node: from }).await;
        });
        Ok(Response::new(self.answers(told)))
    }

    async fn get_route(&self, request: Request<proto::GetRouteRequest>) -> Result<Response<proto::Route>, Status> {
        let asked = crate::convert::optional_cluster_id("get_route.cluster", &request.into_inner().cluster)?;
        self.check_cluster(asked)?;
        let (reply, answer) = oneshot::channel();
        self.inputs.send(CoordinatorInput::Route { reply }).await.map_err(|_| Refusal::Stopping)?;
        let route = answer.await.map_err(|_| Refusal::Stopping)?;
        let Limits { key_bytes, value_bytes, .. } = self.limits;
        Ok(Response::new(RouteAnswer { route, wire_version: WIRE_VERSION, key_bytes, value_bytes }.into()))
    }
}

/// Why a node's stream ended.
#[derive(Debug, thiserror::Error)]
enum Left {
    #[error("closed")]
    Closed,
    #[error("lost: {0}")]
    Lost(#[from] Status),
    #[error("malformed: {0}")]
    Malformed(#[from] ConvertError),
}

/// Hands on a node's heartbeats until its stream ends.
async fn listen(
    session: Session,
    from: &NodeId,
    messages: &mut Streaming<proto::NodeMessage>,
    inputs: &mpsc::Sender<CoordinatorInput>,
) -> Left {
    loop {
        let message = match messages.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return Left::Closed,
            Err(status) => return status.into(),
        };
        let heartbeat = match message.content {
            Some(node_message::Content::Heartbeat(heartbeat)) => Heartbeat::try_from(heartbeat),
            Some(node_message::Content::Register(_)) => Err(ConvertError::Order { field: "node_message.register", index: 1 }),
            None => Err(ConvertError::Missing { field: "node_message.content" }),
        };
        match heartbeat {
            Ok(heartbeat) => {
                let input = CoordinatorInput::Heartbeat { session, from: from.clone(), heartbeat };
                if inputs.send(input).await.is_err() {
                    return Left::Closed;
                }
            }
            Err(error) => return error.into(),
        }
    }
}
