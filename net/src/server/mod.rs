//! gRPC services that feed the channels of a driver loop.

mod answers;
mod coordinator;
mod kv;
mod outlook;
mod session;

use std::time::Duration;

use bytes::Bytes;
use catena_core::{Command, Envelope, Identity, Limits, NodeId, Origin, Target};
use tokio::sync::{mpsc, watch};

pub(crate) use answers::Share;
pub use answers::{Answers, Caller, Gone, NoRoom, PutOff};
pub use coordinator::{CoordinatorInput, CoordinatorServer, Session, ToNode, WATCHED_CHANGES, Watcher, Watchers};
pub use outlook::{Answered, Observer, Outlook, Readiness};

use crate::link::{Link, LinkAcceptor, LinkEnd};
use crate::proto::kv_server::KvServer;
use crate::proto::replication_server::ReplicationServer;
use crate::transport;
pub use crate::transport::{Listener, STOP_TIMEOUT, ServeError};

/// How long a node may have a call before its caller is told that the outcome is unknown. Must exceed what a chain
/// needs to heal after a failure. Chosen here.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// What happens to a node through the network.
#[derive(Debug)]
pub enum NodeInput {
    /// A client writes. Dropping `reply` tells it that the outcome is unknown.
    Write {
        /// Where its route sent it.
        target: Target,
        /// What to do.
        command: Command,
        /// Under which session, if any.
        origin: Option<Origin>,
        /// For the answer; closed when nobody waits for it any more.
        reply: Caller,
    },
    /// A client opens a session. Dropping `reply` tells it that the outcome is unknown.
    OpenSession {
        /// Where its route sent it.
        target: Target,
        /// For the answer; closed when nobody waits for it any more.
        reply: Caller,
    },
    /// A client reads. Dropping `reply` tells it that the outcome is unknown.
    Read {
        /// Where its route sent it.
        target: Target,
        /// Which object.
        key: Bytes,
        /// For the answer; closed when nobody waits for it any more.
        reply: Caller,
    },
    /// A client goes through a slot's objects. Dropping `reply` tells it that the outcome is unknown.
    Scan {
        /// Where its route sent it.
        target: Target,
        /// From behind this key on.
        after: Option<Bytes>,
        /// About how much the answer may hold.
        bytes: usize,
        /// For the answer; closed when nobody waits for it any more.
        reply: Caller,
    },
    /// A neighbour says something.
    Message {
        /// Who.
        from: NodeId,
        /// What.
        envelope: Envelope,
    },
    /// There is a fresh link to a neighbour: give it to [`Links::attach`](crate::link::Links::attach).
    LinkUp(Link),
    /// A link has ended: give it to [`Links::detach`](crate::link::Links::detach).
    LinkDown(LinkEnd),
}

/// What a storage node answers on one address: clients and neighbours.
#[derive(Debug)]
pub struct NodeServer {
    identity: Identity,
    kv: kv::Service,
    /// Dropped to end the streams of calls.
    stop: watch::Sender<()>,
    acceptor: LinkAcceptor,
    outlook: Outlook,
}

/// What a request may weigh beyond the largest key and value, before it is refused unread: so much room that a value
/// over the limit is still refused by the node itself, with its limit.
const SLACK_BYTES: usize = 16 << 20;

impl NodeServer {
    /// A server for the node `identity` that hands all it gets to `inputs`.
    pub fn new(identity: Identity, limits: &Limits, inputs: mpsc::Sender<NodeInput>, acceptor: LinkAcceptor) -> Self {
        let message_bytes = limits.key_bytes + limits.value_bytes + SLACK_BYTES;
        let (stop, stopping) = watch::channel(());
        let kv = kv::Service::new(identity.cluster, inputs, message_bytes, limits.answer_bytes, stopping);
        Self { identity, kv, stop, acceptor, outlook: Outlook::default() }
    }

    /// The room for answers to reads.
    pub fn answers(&self) -> Answers {
        self.kv.answers.clone()
    }

    /// Has others see this of the node.
    #[must_use]
    pub fn seen(self, outlook: Outlook) -> Self {
        Self { outlook, ..self }
    }

    /// Serves until `shutdown`, and then for [`STOP_TIMEOUT`] at most.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: Listener, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        tracing::info!(component = "node", node_id = %self.identity.node, address = %listener.address(), "serving");
        let (message_bytes, stop) = (self.kv.message_bytes, self.stop);
        let Outlook { readiness, observer } = self.outlook;
        let kv = KvServer::new(self.kv).max_decoding_message_size(message_bytes);
        let router = transport::server()
            .add_service(transport::counted(transport::typed(kv, message_bytes), &observer))
            .add_service(transport::counted(ReplicationServer::new(self.acceptor), &observer));
        let shutdown = async {
            shutdown.await;
            drop(stop);
        };
        transport::run(router, &["catena.v1.Kv", "catena.v1.Replication"], readiness, listener, shutdown).await
    }
}
