//! The service `Kv`: calls of clients.

use catena_core::{CallError, ClusterId, Origin, Reply, Slot};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tonic::{Request, Response, Status, Streaming};

use super::{CALL_TIMEOUT, NodeInput, session};
use crate::Refusal;
use crate::convert::{
    OpenCall, ReadCall, ScanCall, WriteCall, delete_response, get_response, open_session_response, put_response, scan_response,
};
use crate::proto;
use crate::proto::kv_server::Kv;
use crate::proto::session_request::Call;
use crate::proto::session_response::Outcome;

#[derive(Clone, Debug)]
pub(super) struct Service {
    cluster: ClusterId,
    inputs: mpsc::Sender<NodeInput>,
    /// The largest message that is read.
    pub(super) message_bytes: usize,
    /// Its other end is dropped when the server is told to stop.
    pub(super) stopping: watch::Receiver<()>,
}

/// A call that the node has, or is about to have.
#[derive(Debug)]
pub(super) struct Asked {
    what: What,
    slot: Slot,
    reply: oneshot::Receiver<Result<Reply, CallError>>,
    pub(super) deadline: Instant,
}

/// How a reply is put.
#[derive(Clone, Copy, Debug)]
enum What {
    Get,
    Scan,
    Put(Option<Origin>),
    Delete(Option<Origin>),
    OpenSession,
}

impl Service {
    pub(super) fn new(
        cluster: ClusterId,
        inputs: mpsc::Sender<NodeInput>,
        message_bytes: usize,
        stopping: watch::Receiver<()>,
    ) -> Self {
        Self { cluster, inputs, message_bytes, stopping }
    }

    /// Checks a call, and makes it the node's input. Its time runs from here.
    pub(super) fn prepare(&self, call: Call) -> Result<(NodeInput, Asked), Refusal> {
        let (sender, reply) = oneshot::channel();
        let (cluster, target, what, input) = match call {
            Call::Get(request) => {
                let ReadCall { cluster, target, key } = request.try_into()?;
                (cluster, target, What::Get, NodeInput::Read { target, key, reply: sender })
            }
            Call::Scan(request) => {
                let ScanCall { cluster, target, after, bytes } = request.try_into()?;
                (cluster, target, What::Scan, NodeInput::Scan { target, after, bytes, reply: sender })
            }
            Call::Put(request) => {
                let WriteCall { cluster, target, command, origin } = request.try_into()?;
                (cluster, target, What::Put(origin), NodeInput::Write { target, command, origin, reply: sender })
            }
            Call::Delete(request) => {
                let WriteCall { cluster, target, command, origin } = request.try_into()?;
                (cluster, target, What::Delete(origin), NodeInput::Write { target, command, origin, reply: sender })
            }
            Call::OpenSession(request) => {
                let OpenCall { cluster, target } = request.try_into()?;
                (cluster, target, What::OpenSession, NodeInput::OpenSession { target, reply: sender })
            }
        };
        match cluster {
            Some(given) if given != self.cluster => Err(Refusal::WrongCluster { given, here: self.cluster }),
            Some(_) | None => Ok((input, Asked { what, slot: target.slot, reply, deadline: Instant::now() + CALL_TIMEOUT })),
        }
    }

    /// Room for an input of the node. Safe to cancel.
    pub(super) async fn room(&self, deadline: Instant) -> Result<mpsc::Permit<'_, NodeInput>, Refusal> {
        until(deadline, self.inputs.reserve()).await?.map_err(|_| Refusal::Stopping)
    }

    async fn ask(&self, call: Call) -> Result<Outcome, Refusal> {
        let (input, asked) = self.prepare(call)?;
        self.room(asked.deadline).await?.send(input);
        asked.outcome().await
    }
}

impl Asked {
    /// What comes of it.
    pub(super) async fn outcome(self) -> Result<Outcome, Refusal> {
        let Self { what, slot, reply, deadline } = self;
        let reply = until(deadline, reply).await?.map_err(|_| Refusal::Abandoned)?.map_err(Refusal::Call)?;
        let of_another = |origin| of_another(slot, origin, &reply);
        Ok(match what {
            What::Put(origin) => Outcome::Put(put_response(slot, &reply).ok_or_else(|| of_another(origin))?),
            What::Delete(origin) => Outcome::Delete(delete_response(slot, &reply).ok_or_else(|| of_another(origin))?),
            What::OpenSession => Outcome::OpenSession(open_session_response(slot, &reply)),
            What::Get => Outcome::Get(get_response(slot, reply)),
            What::Scan => Outcome::Scan(scan_response(slot, reply)),
        })
    }
}

/// Waits for as long as the call has.
async fn until<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Refusal> {
    let timed_out = |_| Refusal::TimedOut { waited_ms: u64::try_from(CALL_TIMEOUT.as_millis()).expect("seconds") };
    timeout(deadline.saturating_duration_since(Instant::now()), future).await.map_err(timed_out)
}

/// The refusal where a put is answered as a delete, or the other way round: a session's number was given to another
/// operation before, whose answer this is. Without a session, the node has answered another question than was asked.
fn of_another(slot: Slot, origin: Option<Origin>, reply: &Reply) -> Refusal {
    let Some(Origin { session, number, .. }) = origin else { panic!("a write was answered by {reply:?}") };
    CallError::AlreadyAnswered { slot, session, number }.into()
}

/// A unary call: of the outcomes, it has that of its own name.
macro_rules! unary {
    ($service:expr, $call:ident, $request:expr) => {
        match $service.ask(Call::$call($request.into_inner())).await? {
            Outcome::$call(response) => Ok(Response::new(response)),
            other => panic!("{} was answered by {other:?}", stringify!($call)),
        }
    };
}

#[tonic::async_trait]
impl Kv for Service {
    type SessionStream = session::Responses;

    async fn get(&self, request: Request<proto::GetRequest>) -> Result<Response<proto::GetResponse>, Status> {
        unary!(self, Get, request)
    }

    async fn scan(&self, request: Request<proto::ScanRequest>) -> Result<Response<proto::ScanResponse>, Status> {
        unary!(self, Scan, request)
    }

    async fn put(&self, request: Request<proto::PutRequest>) -> Result<Response<proto::PutResponse>, Status> {
        unary!(self, Put, request)
    }

    async fn delete(&self, request: Request<proto::DeleteRequest>) -> Result<Response<proto::DeleteResponse>, Status> {
        unary!(self, Delete, request)
    }

    async fn open_session(
        &self,
        request: Request<proto::OpenSessionRequest>,
    ) -> Result<Response<proto::OpenSessionResponse>, Status> {
        unary!(self, OpenSession, request)
    }

    async fn session(&self, requests: Request<Streaming<proto::SessionRequest>>) -> Result<Response<session::Responses>, Status> {
        Ok(Response::new(session::responses(self.clone(), requests.into_inner())))
    }
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use bytes::Bytes;
    use catena_core::Kind;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_the_node_keeps_for_too_long_has_an_unknown_outcome() {
        let (inputs, mut driver) = mpsc::channel(1);
        let service = Service::new(ClusterId(1), inputs, 1 << 20, watch::channel(()).1);
        let started = Instant::now();
        let key = Bytes::from_static(b"key");
        let call = service.ask(Call::Get(proto::GetRequest { key, chain_version: 1, ..proto::GetRequest::default() }));
        let (answer, _held) = tokio::join!(call, driver.recv());
        assert_eq!(answer, Err(Refusal::TimedOut { waited_ms: 5000 }));
        assert_eq!(started.elapsed(), CALL_TIMEOUT);
        assert_eq!(answer.map_err(|refusal| refusal.kind()), Err(Kind::Unknown));
    }
}
