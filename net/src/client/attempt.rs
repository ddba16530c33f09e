//! One try: a request to a node, and what came of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use catena_core::client::{AttemptId, Body, ClientEvent, Failure};
use catena_core::{Action, CallError, Command, Kind, NodeId, Reply, Target, mutant};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};
use tonic::Status;
use tonic::transport::Channel;

use super::ClientError;
use super::pipe::{Pipe, Sent};
use crate::convert::{ConvertError, Found, Opened, Scanned, Written, delete_request, get_request, put_request, scan_request};
use crate::proto::OpenSessionRequest;
use crate::proto::kv_client::KvClient;
use crate::proto::session_request::Call;
use crate::proto::session_response::Outcome;
use crate::transport::{CONNECT_TIMEOUT, MESSAGE_BYTES, endpoint, never_left, root_cause};
use crate::{Refusal, kind_of};

/// A node and the connection to it.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) node: NodeId,
    pub(super) address: Arc<str>,
    connected: OnceCell<KvClient<Channel>>,
    /// The stream of calls over it, once there was a call.
    pipe: Mutex<Option<Pipe>>,
}

/// What is to be sent, and where.
#[derive(Debug)]
pub(super) struct Try {
    pub(super) attempt: AttemptId,
    pub(super) remote: Arc<Remote>,
    /// The cluster that is meant, as bytes.
    pub(super) cluster: Bytes,
    pub(super) target: Target,
    pub(super) body: Body,
    pub(super) deadline: Instant,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Tried {
    /// The node's machine has answered.
    Answered(Result<Reply, CallError>),
    /// It has not; with all that is known of it.
    Failed(Failure, ClientError),
}

impl Tried {
    /// As the machine is told.
    pub(super) fn event(self, attempt: AttemptId) -> (ClientEvent, Option<ClientError>) {
        match self {
            Tried::Answered(result) => (ClientEvent::Answered { attempt, result }, None),
            Tried::Failed(failure, error) => (ClientEvent::Failed { attempt, failure }, Some(error)),
        }
    }
}

impl Remote {
    pub(super) fn new(node: NodeId, address: Arc<str>) -> Self {
        Self { node, address, connected: OnceCell::new(), pipe: Mutex::default() }
    }

    /// A connection that has come about: from here on, a call may reach the node. One that is lost later is dialled
    /// again by the first call that finds it so.
    async fn connected(&self) -> Result<KvClient<Channel>, ClientError> {
        let connect = || async {
            let channel = endpoint(&self.address)?.connect().await?;
            Ok(KvClient::new(channel).max_decoding_message_size(MESSAGE_BYTES))
        };
        let failed = |error: tonic::transport::Error| self.unreachable(root_cause(&error));
        self.connected.get_or_try_init(connect).await.cloned().map_err(failed)
    }

    /// Sends a call down the stream, or by itself where that is better for all.
    async fn outcome(&self, node: KvClient<Channel>, call: Call) -> Result<Outcome, Trouble> {
        match self.pipe(&node, call) {
            Ok(sent) => sent.outcome().await,
            Err(call) => unary(node, *call).await,
        }
    }

    /// Sends a call down the stream, if there is room for it. Whoever finds the stream ended opens another.
    fn pipe(&self, node: &KvClient<Channel>, call: Call) -> Result<Sent, Box<Call>> {
        let mut pipe = self.pipe.lock().expect("nobody panics while holding it");
        if pipe.as_ref().is_some_and(Pipe::is_broken) {
            *pipe = None;
        }
        let pipe = pipe.get_or_insert_with(|| Pipe::open(node.clone()));
        if pipe.has_room_for(&call) { Ok(pipe.send(call)) } else { Err(Box::new(call)) }
    }

    /// The error for a connection that did not come about.
    pub(super) fn unreachable(&self, reason: String) -> ClientError {
        ClientError::Unreachable { node: self.node.clone(), address: self.address.to_string(), reason }
    }
}

impl Try {
    /// Sends the request and waits for what comes of it. Whoever drops this does not wait any more.
    pub(super) async fn run(self) -> Tried {
        let node = match self.connect().await {
            Ok(node) => node,
            Err(error) => return Tried::Failed(Failure::NotConnected, error),
        };
        let Try { attempt: _, remote, cluster, target, body, deadline: _ } = self;
        match send(&remote, node, cluster, target, body).await {
            Ok(reply) => Tried::Answered(Ok(reply)),
            Err(trouble) => trouble.at(&remote),
        }
    }

    /// Connects first: what fails up to here was never sent (W9).
    async fn connect(&self) -> Result<KvClient<Channel>, ClientError> {
        if let Some(node) = self.remote.connected.get() {
            return Ok(node.clone());
        }
        // A little before the try's own end, so that it is known then that nothing was sent.
        let left = self.deadline.saturating_duration_since(Instant::now());
        let late = |_| Err(self.remote.unreachable("no connection in time".to_owned()));
        timeout(CONNECT_TIMEOUT.min(left * 9 / 10).max(Duration::from_millis(1)), self.remote.connected())
            .await
            .unwrap_or_else(late)
    }
}

async fn send(remote: &Remote, node: KvClient<Channel>, cluster: Bytes, target: Target, body: Body) -> Result<Reply, Trouble> {
    match body {
        Body::Read { key } => match remote.outcome(node, Call::Get(get_request(cluster, target, key))).await? {
            Outcome::Get(response) => {
                let Found { slot: _, version, object } = response.try_into()?;
                Ok(Reply::Read { version, object })
            }
            other => Err(Trouble::instead_of("session_response.get", other)),
        },
        Body::Scan { after, bytes } => match remote.outcome(node, Call::Scan(scan_request(cluster, target, after, bytes))).await?
        {
            Outcome::Scan(response) => {
                let Scanned { slot: _, version, page } = response.try_into()?;
                Ok(Reply::Scanned { version, page })
            }
            other => Err(Trouble::instead_of("session_response.scan", other)),
        },
        Body::Write { command: Command { key, action: Action::Put { value }, conditions }, origin } => {
            let request = put_request(cluster, target, key, value, conditions, origin);
            match remote.outcome(node, Call::Put(request)).await? {
                Outcome::Put(response) => Ok(written(response.try_into()?)),
                other => Err(Trouble::instead_of("session_response.put", other)),
            }
        }
        Body::Write { command: Command { key, action: Action::Delete, conditions }, origin } => {
            let request = delete_request(cluster, target, key, conditions, origin);
            match remote.outcome(node, Call::Delete(request)).await? {
                Outcome::Delete(response) => Ok(written(response.into())),
                other => Err(Trouble::instead_of("session_response.delete", other)),
            }
        }
        Body::OpenSession => {
            let request = OpenSessionRequest { cluster, slot: target.slot.0, chain_version: target.version.0 };
            match remote.outcome(node, Call::OpenSession(request)).await? {
                Outcome::OpenSession(response) => {
                    let Opened { slot: _, session } = response.try_into()?;
                    Ok(Reply::Opened { session })
                }
                other => Err(Trouble::instead_of("session_response.open_session", other)),
            }
        }
    }
}

fn written(written: Written) -> Reply {
    Reply::Written { entry: written.entry, object: written.object }
}

/// A call by itself.
async fn unary(mut node: KvClient<Channel>, call: Call) -> Result<Outcome, Trouble> {
    Ok(match call {
        Call::Get(request) => Outcome::Get(node.get(request).await?.into_inner()),
        Call::Scan(request) => Outcome::Scan(node.scan(request).await?.into_inner()),
        Call::Put(request) => Outcome::Put(node.put(request).await?.into_inner()),
        Call::Delete(request) => Outcome::Delete(node.delete(request).await?.into_inner()),
        Call::OpenSession(request) => Outcome::OpenSession(node.open_session(request).await?.into_inner()),
    })
}

/// What comes instead of an answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The stream has ended before the call was sent.
    NotSent(String),
    Status(Box<Status>),
    Malformed(ConvertError),
}

impl From<Status> for Trouble {
    fn from(status: Status) -> Self {
        Trouble::Status(Box::new(status))
    }
}

impl From<ConvertError> for Trouble {
    fn from(error: ConvertError) -> Self {
        Trouble::Malformed(error)
    }
}

impl Trouble {
    /// An outcome that is not that of the call: a refusal, if it makes sense.
    fn instead_of(field: &'static str, outcome: Outcome) -> Self {
        match outcome {
            Outcome::Refused(refused) => Status::from(refused).into(),
            Outcome::Get(_) | Outcome::Scan(_) | Outcome::Put(_) | Outcome::Delete(_) | Outcome::OpenSession(_) => {
                ConvertError::Missing { field }.into()
            }
        }
    }

    fn at(self, remote: &Remote) -> Tried {
        let node = || remote.node.clone();
        let status = match self {
            Trouble::NotSent(reason) => return Tried::Failed(Failure::NotConnected, remote.unreachable(reason)),
            Trouble::Malformed(problem) => return Tried::Failed(Failure::Lost, ClientError::Malformed { node: node(), problem }),
            Trouble::Status(status) => status,
        };
        if let Some(refusal) = Refusal::from_status(&status) {
            return refused(refusal);
        }
        let message = status.message().to_owned();
        if never_left(&status) {
            return Tried::Failed(Failure::NotConnected, remote.unreachable(message));
        }
        let kind = kind_of(&status);
        let failure = match kind {
            Kind::NotExecuted => Failure::Rejected,
            Kind::Unknown if mutant!(LostIsRefused) => Failure::Rejected,
            Kind::Unknown => Failure::Lost,
        };
        Tried::Failed(failure, ClientError::Failed { node: node(), code: status.code(), message, kind })
    }
}

/// What a typed no means for the try.
fn refused(refusal: Refusal) -> Tried {
    let failure = match &refusal {
        Refusal::Call(error) => return Tried::Answered(Err(error.clone())),
        Refusal::Stopping | Refusal::NotLeading | Refusal::TooSlow => Failure::NotConnected,
        Refusal::TimedOut { .. } => Failure::TimedOut,
        Refusal::Abandoned => Failure::Lost,
        Refusal::Register(_)
        | Refusal::Order(_)
        | Refusal::WrongCluster { .. }
        | Refusal::WrongWireVersion { .. }
        | Refusal::WrongNode { .. }
        | Refusal::MessageTooLarge { .. }
        | Refusal::Malformed { .. } => Failure::Rejected,
    };
    Tried::Failed(failure, ClientError::Refused(refusal))
}
