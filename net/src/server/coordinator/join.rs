//! A node's stream.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use catena_core::{Decisions, Heartbeat, HeartbeatAnswer, Incarnation, NodeId, NodeRecord, RegisterError};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};
use tracing::{info, warn};

use super::{CoordinatorInput, Service};
use crate::convert::{ConvertError, Register, Registered};
use crate::proto::{coordinator_message, node_message};
use crate::{Refusal, WIRE_VERSION, proto};

/// What waits for a node at most. A node that does not read it must not hold up the others: use `try_send`.
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
    /// What the next answer will tell it too.
    Decided(Decisions),
}

/// What goes down a node's stream.
pub(super) type Answers = Pin<Box<dyn Stream<Item = Result<proto::CoordinatorMessage, Status>> + Send>>;

/// Announces the node at the other end, and hands on what it says until its stream ends.
pub(super) async fn join(service: &Service, mut messages: Streaming<proto::NodeMessage>) -> Result<Answers, Status> {
    let node = match registered(service, &mut messages).await {
        Ok(node) => node,
        Err(status) => {
            warn!(component = "coordinator", error = status.message(), "a node is refused");
            return Err(status);
        }
    };
    let session = Session(service.sessions.fetch_add(1, Ordering::Relaxed));
    let (outgoing, told) = mpsc::channel(WAITING_ANSWERS);
    let (inputs, from, incarnation) = (service.inputs.clone(), node.node.clone(), node.incarnation);
    info!(component = "coordinator", node_id = %from, "joined");
    service.tell(CoordinatorInput::Joined { session, node, outgoing }).await?;
    tokio::spawn(async move {
        let reason = listen(session, &from, incarnation, &mut messages, &inputs).await;
        info!(component = "coordinator", node_id = %from, error = %reason, "left");
        // A coordinator that is gone needs no telling.
        let _: Result<(), _> = inputs.send(CoordinatorInput::Left { session, node: from }).await;
    });
    Ok(answers(service, told))
}

/// The node's first message, checked.
async fn registered(service: &Service, messages: &mut Streaming<proto::NodeMessage>) -> Result<NodeRecord, Status> {
    let first = tokio::time::timeout(REGISTER_TIMEOUT, messages.message());
    let message = first.await.map_err(|_| Status::deadline_exceeded("no registration arrived"))??;
    let Some(node_message::Content::Register(register)) = message.and_then(|message| message.content) else {
        return Err(ConvertError::Missing { field: "node_message.register" }.into());
    };
    if register.wire_version != WIRE_VERSION {
        return Err(Refusal::WrongWireVersion { given: register.wire_version, here: WIRE_VERSION }.into());
    }
    let register = Register::try_from(register)?;
    service.check_cluster(register.cluster)?;
    Ok(register.node)
}

/// A node's messages as they go over the wire; the first error ends them.
fn answers(service: &Service, told: mpsc::Receiver<Result<ToNode, RegisterError>>) -> Answers {
    let registered = Registered { cluster: service.cluster, slots: service.slots };
    Box::pin(ReceiverStream::new(told).map(move |told| {
        let content = match told.map_err(Refusal::from)? {
            ToNode::Registered => coordinator_message::Content::Registered(registered.into()),
            ToNode::Answer(answer) => coordinator_message::Content::Answer(answer.into()),
            ToNode::Decided(decisions) => coordinator_message::Content::Decided(decisions.into()),
        };
        Ok(proto::CoordinatorMessage { content: Some(content) })
    }))
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
    incarnation: Incarnation,
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
                let input = CoordinatorInput::Heartbeat { session, from: from.clone(), incarnation, heartbeat };
                if inputs.send(input).await.is_err() {
                    return Left::Closed;
                }
            }
            Err(error) => return error.into(),
        }
    }
}
