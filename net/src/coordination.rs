//! A node's stream to its coordinator.

use std::time::Duration;

use catena_core::{Heartbeat, HeartbeatAnswer};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

pub use crate::convert::{Register, Registered};

use crate::convert::ConvertError;
use crate::proto::coordination_client::CoordinationClient;
use crate::proto::{coordinator_message, node_message};
use crate::transport::peer_endpoint;
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
    /// What it is answered.
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
    /// No coordinator answers: try again.
    #[error("coordinator {endpoint} does not answer ({reason}): check that it runs and is reached from here")]
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
    #[error("{}", .0.message())]
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
/// When one refused, why; else that none answers.
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

/// A no that stays a no. One that is merely stopping is as good as gone.
fn refusal(reason: &Unreachable) -> Option<Refusal> {
    let Unreachable::Lost(status) = reason else { return None };
    Refusal::from_status(status).filter(|refusal| *refusal != Refusal::Stopping)
}

async fn join_one(address: &str, register: Register) -> Result<Joined, Unreachable> {
    let channel = peer_endpoint(address)?.connect().await?;
    let (heartbeats, beats) = mpsc::channel(WAITING_HEARTBEATS);
    let first = message(node_message::Content::Register(register.into()));
    let beats = ReceiverStream::new(beats).map(|beat: Heartbeat| message(node_message::Content::Heartbeat(beat.into())));
    let messages = tokio_stream::once(first).chain(beats);
    let mut answers = CoordinationClient::new(channel).join(messages).await?.into_inner();
    match next(&mut answers).await? {
        coordinator_message::Content::Registered(registered) => Ok(Joined {
            registered: registered.try_into()?,
            heartbeats: Heartbeats { beats: heartbeats },
            answers: Answers { answers },
        }),
        coordinator_message::Content::Answer(_) => Err(ConvertError::Missing { field: "coordinator_message.registered" }.into()),
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
            tracing::debug!("a heartbeat is dropped: the stream to the coordinator is stuck or lost");
        }
    }
}

/// The receiving half of the stream to the coordinator.
#[derive(Debug)]
pub struct Answers {
    answers: Streaming<proto::CoordinatorMessage>,
}

impl Answers {
    /// The next answer. Safe to cancel.
    ///
    /// # Errors
    /// When the stream is lost.
    pub async fn next(&mut self) -> Result<HeartbeatAnswer, StreamLost> {
        let lost = |reason: Unreachable| StreamLost { reason };
        match next(&mut self.answers).await.map_err(lost)? {
            coordinator_message::Content::Answer(answer) => {
                answer.try_into().map_err(|error| lost(Unreachable::Malformed(error)))
            }
            coordinator_message::Content::Registered(_) => {
                let error = ConvertError::Order { field: "coordinator_message.registered", index: 1 };
                Err(lost(error.into()))
            }
        }
    }
}
