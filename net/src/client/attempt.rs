//! One try: a request to a node, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catena_core::client::{AttemptId, Body, ClientEvent, Failure};
use catena_core::{Action, CallError, Command, Kind, NodeId, Reply, Target};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};
use tonic::transport::Channel;
use tonic::{Response, Status};

use super::ClientError;
use crate::convert::{ConvertError, Found, Opened, Scanned, Written, delete_request, get_request, put_request, scan_request};
use crate::proto::OpenSessionRequest;
use crate::proto::kv_client::KvClient;
use crate::transport::{CONNECT_TIMEOUT, MESSAGE_BYTES, endpoint, never_left, root_cause};
use crate::{Refusal, kind_of};

/// A node and the connection to it.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) node: NodeId,
    pub(super) address: Arc<str>,
    connected: OnceCell<KvClient<Channel>>,
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
        Self { node, address, connected: OnceCell::new() }
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
        send(node, cluster, target, body).await.unwrap_or_else(|trouble| trouble.at(&remote))
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

async fn send(mut node: KvClient<Channel>, cluster: Bytes, target: Target, body: Body) -> Result<Tried, Trouble> {
    let reply = match body {
        Body::Read { key } => {
            let found: Found = read(node.get(get_request(cluster, target, key)).await)?;
            Reply::Read { version: found.version, object: found.object }
        }
        Body::Scan { after, bytes } => {
            let scanned: Scanned = read(node.scan(scan_request(cluster, target, after, bytes)).await)?;
            Reply::Scanned { version: scanned.version, page: scanned.page }
        }
        Body::Write { command: Command { key, action: Action::Put { value }, conditions }, origin } => {
            let request = put_request(cluster, target, key, value, conditions, origin);
            let written: Written = read(node.put(request).await)?;
            Reply::Written { entry: written.entry, object: written.object }
        }
        Body::Write { command: Command { key, action: Action::Delete, conditions }, origin } => {
            let request = delete_request(cluster, target, key, conditions, origin);
            let written: Written = read(node.delete(request).await)?;
            Reply::Written { entry: written.entry, object: written.object }
        }
        Body::OpenSession => {
            let request = OpenSessionRequest { cluster, slot: target.slot.0, chain_version: target.version.0 };
            let opened: Opened = read(node.open_session(request).await)?;
            Reply::Opened { session: opened.session }
        }
    };
    Ok(Tried::Answered(Ok(reply)))
}

fn read<W, R: TryFrom<W>>(answer: Result<Response<W>, Status>) -> Result<R, Trouble>
where
    ConvertError: From<R::Error>,
{
    R::try_from(answer?.into_inner()).map_err(|error| Trouble::Malformed(error.into()))
}

/// What comes instead of an answer.
enum Trouble {
    Status(Box<Status>),
    Malformed(ConvertError),
}

impl From<Status> for Trouble {
    fn from(status: Status) -> Self {
        Trouble::Status(Box::new(status))
    }
}

impl Trouble {
    fn at(self, remote: &Remote) -> Tried {
        let node = || remote.node.clone();
        let status = match self {
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
