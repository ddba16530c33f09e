//! The service `Kv`: calls of clients.

use bytes::Bytes;
use catena_core::{CallError, ClusterId, Origin, Reply, Slot, Target};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tonic::{Request, Response, Status, Streaming};

use super::answers::{Answers, Caller, Room, Share, Try, Verdict};
use super::{CALL_TIMEOUT, NodeInput, session};
use crate::convert::{
    OpenCall, ReadCall, ScanCall, WriteCall, delete_response, get_response, open_session_response, put_response, scan_response,
};
use crate::proto;
use crate::proto::kv_server::Kv;
use crate::proto::session_request::Call;
use crate::proto::session_response::Outcome;
use crate::{Refusal, transport};

#[derive(Clone, Debug)]
pub(super) struct Service {
    cluster: ClusterId,
    inputs: mpsc::Sender<NodeInput>,
    /// The largest message that is read.
    pub(super) message_bytes: usize,
    pub(super) answers: Answers,
    /// Its other end is dropped when the server is told to stop.
    pub(super) stopping: watch::Receiver<()>,
}

/// A call that the node has, or is about to have.
#[derive(Debug)]
pub(super) struct Asked {
    what: What,
    slot: Slot,
    verdict: oneshot::Receiver<Verdict>,
    pub(super) deadline: Instant,
}

/// An answer, and the room that it takes.
pub(super) type Answered = (Outcome, Option<Share>);

/// How a reply is put; and what was asked, where it may have to be asked again.
#[derive(Debug)]
enum What {
    Get { target: Target, key: Bytes },
    Scan { target: Target, after: Option<Bytes>, bytes: usize },
    Put(Option<Origin>),
    Delete(Option<Origin>),
    OpenSession,
}

impl Service {
    pub(super) fn new(
        cluster: ClusterId,
        inputs: mpsc::Sender<NodeInput>,
        message_bytes: usize,
        answer_bytes: usize,
        stopping: watch::Receiver<()>,
    ) -> Self {
        Self { cluster, inputs, message_bytes, answers: Answers::new(answer_bytes), stopping }
    }

    /// Checks a call, and makes it the node's input. Its time runs from here.
    pub(super) fn prepare(&self, call: Call) -> Result<(NodeInput, Asked), Refusal> {
        let (cluster, target, what, (input, verdict)) = match call {
            Call::Get(request) => {
                let ReadCall { cluster, target, key } = request.try_into()?;
                let what = What::Get { target, key };
                let asking = self.read(&what, None, Try::first());
                (cluster, target, what, asking)
            }
            Call::Scan(request) => {
                let ScanCall { cluster, target, after, bytes } = request.try_into()?;
                let what = What::Scan { target, after, bytes };
                let asking = self.read(&what, None, Try::first());
                (cluster, target, what, asking)
            }
            Call::Put(request) => {
                let WriteCall { cluster, target, command, origin } = request.try_into()?;
                let (reply, verdict) = Caller::new(None);
                (cluster, target, What::Put(origin), (NodeInput::Write { target, command, origin, reply }, verdict))
            }
            Call::Delete(request) => {
                let WriteCall { cluster, target, command, origin } = request.try_into()?;
                let (reply, verdict) = Caller::new(None);
                (cluster, target, What::Delete(origin), (NodeInput::Write { target, command, origin, reply }, verdict))
            }
            Call::OpenSession(request) => {
                let OpenCall { cluster, target } = request.try_into()?;
                let (reply, verdict) = Caller::new(None);
                (cluster, target, What::OpenSession, (NodeInput::OpenSession { target, reply }, verdict))
            }
        };
        match cluster {
            Some(given) if given != self.cluster => Err(Refusal::WrongCluster { given, here: self.cluster }),
            Some(_) | None => Ok((input, Asked { what, slot: target.slot, verdict, deadline: Instant::now() + CALL_TIMEOUT })),
        }
    }

    /// A read as the node's input, with the room that it has.
    fn read(&self, what: &What, share: Option<Share>, tries: Try) -> (NodeInput, oneshot::Receiver<Verdict>) {
        let caller = |slot| Caller::new(Some(Room { answers: self.answers.clone(), slot, share, tries }));
        match what {
            What::Get { target, key } => {
                let (reply, verdict) = caller(target.slot);
                (NodeInput::Read { target: *target, key: key.clone(), reply }, verdict)
            }
            What::Scan { target, after, bytes } => {
                let (reply, verdict) = caller(target.slot);
                (NodeInput::Scan { target: *target, after: after.clone(), bytes: *bytes, reply }, verdict)
            }
            What::Put(_) | What::Delete(_) | What::OpenSession => panic!("only reads wait for room: {what:?}"),
        }
    }

    /// Room for an input of the node. Safe to cancel.
    pub(super) async fn room(&self, deadline: Instant) -> Result<mpsc::Permit<'_, NodeInput>, Refusal> {
        until(deadline, self.inputs.reserve()).await?.map_err(|_| Refusal::Stopping)
    }

    async fn ask(&self, call: Call) -> Result<Answered, Refusal> {
        let (input, asked) = self.prepare(call)?;
        self.room(asked.deadline).await?.send(input);
        self.answer(asked).await
    }

    /// What comes of it.
    pub(super) async fn answer(&self, asked: Asked) -> Result<Answered, Refusal> {
        let Asked { what, slot, mut verdict, deadline } = asked;
        loop {
            match until(deadline, &mut verdict).await?.map_err(|_| Refusal::Abandoned)? {
                Verdict::Answer(result, share) => return Ok((what.outcome(slot, result.map_err(Refusal::Call)?)?, share)),
                Verdict::PutOff { bytes, until } => {
                    let share = self.answers.wait(bytes, until).await;
                    // Without it the node has the last word: there may be room by now, or the answer may be another one.
                    let tries = if share.is_some() { Try::Until(until) } else { Try::Last };
                    let (input, next) = self.read(&what, share, tries);
                    self.room(deadline).await?.send(input);
                    verdict = next;
                }
            }
        }
    }
}

impl What {
    fn outcome(self, slot: Slot, reply: Reply) -> Result<Outcome, Refusal> {
        let of_another = |origin| of_another(slot, origin, &reply);
        Ok(match self {
            What::Put(origin) => Outcome::Put(put_response(slot, &reply).ok_or_else(|| of_another(origin))?),
            What::Delete(origin) => Outcome::Delete(delete_response(slot, &reply).ok_or_else(|| of_another(origin))?),
            What::OpenSession => Outcome::OpenSession(open_session_response(slot, &reply)),
            What::Get { .. } => Outcome::Get(get_response(slot, reply)),
            What::Scan { .. } => Outcome::Scan(scan_response(slot, reply)),
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

/// A response that gives back its room once its connection has sent it, or has ended.
fn laden<T>(message: T, share: Option<Share>) -> Response<T> {
    let Some(share) = share else { return Response::new(message) };
    let aboard = transport::Aboard::default();
    aboard.put(share);
    aboard.laden(message)
}

/// A unary call: of the outcomes, it has that of its own name.
macro_rules! unary {
    ($service:expr, $call:ident, $request:expr) => {
        match $service.ask(Call::$call($request.into_inner())).await? {
            (Outcome::$call(response), share) => Ok(laden(response, share)),
            (other, _) => panic!("{} was answered by {other:?}", stringify!($call)),
        }
    };
}

#[tonic::async_trait]
impl Kv for Service {
    type SessionStream = session::Responses;

    async fn get(&self, request: Request<proto::GetRequest>) -> Result<Response<proto::GetResponse>, Status> {
        match self.ask(Call::Get(request.into_inner())).await? {
            (Outcome::Get(response), Some(share)) => Ok(transport::found(response, share)),
            (other, _) => panic!("Get was answered by {other:?}"),
        }
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
        Ok(session::responses(self.clone(), requests.into_inner()))
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
        let service = Service::new(ClusterId(1), inputs, 1 << 20, 1 << 20, watch::channel(()).1);
        let started = Instant::now();
        let key = Bytes::from_static(b"key");
        let call = service.ask(Call::Get(proto::GetRequest { key, chain_version: 1, ..proto::GetRequest::default() }));
        let (answer, _held) = tokio::join!(call, driver.recv());
        let answer = answer.map(|(outcome, _)| outcome);
        assert_eq!(answer, Err(Refusal::TimedOut { waited_ms: 5000 }));
        assert_eq!(started.elapsed(), CALL_TIMEOUT);
        assert_eq!(answer.map_err(|refusal| refusal.kind()), Err(Kind::Unknown));
    }
}
