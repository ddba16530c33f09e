//! A node's stream to its coordinator.

use std::time::Duration;

use catena_core::{Decisions, Heartbeat, HeartbeatAnswer};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

pub use crate::convert::{Register, Registered};

use crate::convert::ConvertError;
use crate::proto::coordination_client::CoordinationClient;
use crate::proto::{coordinator_message, node_message};
use crate::transport::{MESSAGE_BYTES, peer_endpoint};
use crate::{Refusal, proto};

/// How long a coordinator may take to let a node in: it stores the registration first.
const JOIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Heartbeats that wait for the stream at most: beyond it they are of no use.
const WAITING_HEARTBEATS: usize = 16;

/// A stream to the coordinator, open and let in.
#[derive(Debug)]
pub struct Joined {
    /// What the node was told.
    pub registered: Registered,
    /// What it says from here on. The stream ends when this is dropped.
    pub heartbeats: Heartbeats,
    /// What it is told.
    pub answers: Answers,
}

/// Why a node is not let in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The coordinator says no: another try ends the same.
    #[error("coordinator {endpoint} does not let this node in: {refusal}")]
    Refused {
        /// Which coordinator.
        endpoint: String,
        /// Why.
        refusal: Refusal,
    },
    /// No coordinator lets it in, and none says that it will not: try again.
    #[error("coordinator {endpoint} is not joined ({reason}): check that one leads, and is reached from here")]
    Unreachable {
        /// The last that was tried.
        endpoint: String,
        /// What happened.
        reason: Unreachable,
    },
    /// There is nobody to ask.
    #[error("no coordinator is given: name at least one endpoint, host:port")]
    NoEndpoint,
}

/// What happened to a stream that did not come about.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// No connection, or the address is none.
    #[error("{}", crate::transport::root_cause(.0))]
    Connect(#[from] tonic::transport::Error),
    /// The connection is lost.
    #[error("{}", crate::transport::said(.0))]
    Lost(#[from] Status),
    /// It does not say yes or no.
    #[error("no answer in {} s", JOIN_TIMEOUT.as_secs())]
    TimedOut,
    /// It speaks gibberish.
    #[error("malformed answer: {0}")]
    Malformed(#[from] ConvertError),
}

/// The stream to the coordinator is gone: join again.
#[derive(Debug, thiserror::Error)]
#[error("the stream to the coordinator is lost ({reason}): joining again")]
pub struct StreamLost {
    reason: Unreachable,
}

/// Asks each coordinator in turn, once, to let the node in. Does not retry: back off, and call it again.
///
/// # Errors
/// When one refused, why; else that none answers, or none leads.
pub async fn join(endpoints: &[String], register: &Register) -> Result<Joined, JoinError> {
    let mut failure = JoinError::NoEndpoint;
    for endpoint in endpoints {
        let joined = tokio::time::timeout(JOIN_TIMEOUT, join_one(endpoint, register.clone())).await;
        let reason = match joined.unwrap_or(Err(Unreachable::TimedOut)) {
            Ok(joined) => return Ok(joined),
            Err(reason) => reason,
        };
        match refusal(&reason) {
            Some(refusal) => failure = JoinError::Refused { endpoint: endpoint.clone(), refusal },
            None if matches!(failure, JoinError::Refused { .. }) => {}
            None => failure = JoinError::Unreachable { endpoint: endpoint.clone(), reason },
        }
    }
    Err(failure)
}

/// A no that stays a no. One that is stopping, or does not lead, is as good as gone.
fn refusal(reason: &Unreachable) -> Option<Refusal> {
    let Unreachable::Lost(status) = reason else { return None };
    Refusal::from_status(status).filter(|refusal| !matches!(refusal, Refusal::Stopping | Refusal::NotLeading))
}

async fn join_one(address: &str, register: Register) -> Result<Joined, Unreachable> {
    let channel = peer_endpoint(address)?.connect().await?;
    let (heartbeats, beats) = mpsc::channel(WAITING_HEARTBEATS);
    let first = message(node_message::Content::Register(register.into()));
    let beats = ReceiverStream::new(beats).map(|beat: Heartbeat| message(node_message::Content::Heartbeat(beat.into())));
    let messages = tokio_stream::once(first).chain(beats);
    let mut client = CoordinationClient::new(channel).max_decoding_message_size(MESSAGE_BYTES);
    let mut answers = client.join(messages).await?.into_inner();
    match next(&mut answers).await? {
        coordinator_message::Content::Registered(registered) => Ok(Joined {
            registered: registered.try_into()?,
            heartbeats: Heartbeats { beats: heartbeats },
            answers: Answers { answers },
        }),
        coordinator_message::Content::Answer(_) | coordinator_message::Content::Decided(_) => {
            Err(ConvertError::Missing { field: "coordinator_message.registered" }.into())
        }
    }
}

fn message(content: node_message::Content) -> proto::NodeMessage {
    proto::NodeMessage { content: Some(content) }
}

async fn next(answers: &mut Streaming<proto::CoordinatorMessage>) -> Result<coordinator_message::Content, Unreachable> {
    let message = answers.message().await?.ok_or_else(|| Status::unavailable("the coordinator closed the stream"))?;
    Ok(message.content.ok_or(ConvertError::Missing { field: "coordinator_message.content" })?)
}

/// The sending half of the stream to the coordinator.
#[derive(Debug)]
pub struct Heartbeats {
    beats: mpsc::Sender<Heartbeat>,
}

impl Heartbeats {
    /// Sends a heartbeat; never waits. Where the stream is stuck or lost it is dropped, as the network might have.
    pub fn send(&self, heartbeat: Heartbeat) {
        if self.beats.try_send(heartbeat).is_err() {
            tracing::debug!(component = "node", "a heartbeat is dropped: the stream to the coordinator is stuck or lost");
        }
    }
}

/// What a coordinator says to a node that it has let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromCoordinator {
    /// The answer to a heartbeat.
    Answer(HeartbeatAnswer),
    /// What its next answer will say too.
    Decided(Decisions),
}

/// The receiving half of the stream to the coordinator.
#[derive(Debug)]
pub struct Answers {
    answers: Streaming<proto::CoordinatorMessage>,
}

impl Answers {
    /// What the coordinator says next. Safe to cancel.
    ///
    /// # Errors
    /// When the stream is lost.
    pub async fn next(&mut self) -> Result<FromCoordinator, StreamLost> {
        self.said().await.map_err(|reason| StreamLost { reason })
    }

    async fn said(&mut self) -> Result<FromCoordinator, Unreachable> {
        match next(&mut self.answers).await? {
            coordinator_message::Content::Answer(answer) => Ok(FromCoordinator::Answer(answer.try_into()?)),
            coordinator_message::Content::Decided(decisions) => Ok(FromCoordinator::Decided(decisions.try_into()?)),
            coordinator_message::Content::Registered(_) => {
                Err(ConvertError::Order { field: "coordinator_message.registered", index: 1 }.into())
            }
        }
    }
}
