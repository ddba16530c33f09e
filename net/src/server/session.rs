//! `Kv.Session`: many calls over one stream, handed to the node in their order, answered as they are done.
//!
//! One stream of responses drives it all: tonic polls it whenever the caller takes more, and so requests are read only while
//! responses flow.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, unfold};
use prost::Message;
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Response, Status, Streaming};

use super::NodeInput;
use super::answers::Share;
use super::kv::{Asked, Service};
use crate::convert::ConvertError;
use crate::proto::session_response::Outcome;
use crate::proto::{SessionRequest, SessionResponse};
use crate::transport::Aboard;
use crate::{Refusal, SESSION_BYTES, SESSION_CALLS};

/// What goes back to the caller.
pub(super) type Responses = Pin<Box<dyn Stream<Item = Result<SessionResponse, Status>> + Send>>;

/// Answers all that comes, until the caller ends the stream or the server is told to stop.
pub(super) fn responses(service: Service, requests: Streaming<SessionRequest>) -> Response<Responses> {
    let stopping = service.stopping.clone();
    let arrivals = Arrivals { service: Arc::new(service), requests, waiting: None };
    let aboard = Aboard::default();
    let (open, shares) = (FuturesUnordered::new(), aboard.clone());
    let session = Session { arrivals, stopping, open, bytes: 0, shares, reading: true, last: None };
    let responses = unfold(session, async |mut session| session.next().await.map(|response| (response, session)));
    aboard.laden(Box::pin(responses))
}

struct Session {
    arrivals: Arrivals,
    stopping: watch::Receiver<()>,
    /// Calls that the node has.
    open: FuturesUnordered<Pin<Box<dyn Future<Output = Answered> + Send>>>,
    /// What their requests weigh.
    bytes: usize,
    /// Of answers on their way.
    shares: Aboard,
    reading: bool,
    /// What the stream ends with; `None`: that all is well.
    last: Option<Status>,
}

/// A response, what its request weighed, and the room that it takes.
type Answered = (SessionResponse, usize, Option<Share>);

impl Session {
    /// The next response, or the last word.
    async fn next(&mut self) -> Option<Result<SessionResponse, Status>> {
        loop {
            let room = self.open.len() < SESSION_CALLS && self.bytes < SESSION_BYTES;
            tokio::select! {
                biased;
                _ = self.stopping.changed(), if self.reading => self.end(Some(Refusal::Stopping.into())),
                arrival = self.arrivals.next(), if self.reading && room => match arrival {
                    Ok(Some(Arrival { id, bytes, taken: Ok(asked) })) => {
                        self.bytes += bytes;
                        let service = self.arrivals.service.clone();
                        self.open.push(Box::pin(async move {
                            let (outcome, share) = match service.answer(asked).await {
                                Ok((outcome, share)) => (Ok(outcome), share),
                                Err(refusal) => (Err(refusal), None),
                            };
                            (response(id, outcome), bytes, share)
                        }));
                    }
                    Ok(Some(Arrival { id, bytes: _, taken: Err(refusal) })) => return Some(Ok(response(id, Err(refusal)))),
                    Ok(None) => self.end(None),
                    Err(status) => self.end(Some(status)),
                },
                Some((response, bytes, share)) = self.open.next() => {
                    self.bytes -= bytes;
                    if let Some(share) = share {
                        self.shares.put(share);
                    }
                    return Some(Ok(response));
                }
                else => return self.last.take().map(Err),
            }
        }
    }

    /// Nothing more is read; what the node has is answered first.
    fn end(&mut self, last: Option<Status>) {
        (self.reading, self.last) = (false, last);
    }
}

fn response(id: u64, outcome: Result<Outcome, Refusal>) -> SessionResponse {
    let outcome = outcome.unwrap_or_else(|refusal| Outcome::Refused(refusal.into()));
    SessionResponse { id, outcome: Some(outcome) }
}

/// Requests on their way to the node.
struct Arrivals {
    service: Arc<Service>,
    requests: Streaming<SessionRequest>,
    /// The next one, which waits for room.
    waiting: Option<Waiting>,
}

struct Waiting {
    id: u64,
    bytes: usize,
    input: NodeInput,
    asked: Asked,
}

/// A request that the node has taken up, or that is refused.
struct Arrival {
    id: u64,
    bytes: usize,
    taken: Result<Asked, Refusal>,
}

impl Arrivals {
    /// The next one. `None`: there are no more. An error: what the stream is to end with. Safe to cancel.
    async fn next(&mut self) -> Result<Option<Arrival>, Status> {
        let deadline = if let Some(waiting) = &self.waiting {
            waiting.asked.deadline
        } else {
            let arrived = self.requests.message().await.map_err(|status| self.explained(status))?;
            let Some(request) = arrived else { return Ok(None) };
            let (id, bytes) = (request.id, request.encoded_len());
            let missing = ConvertError::Missing { field: "session_request.call" };
            match request.call.ok_or(missing.into()).and_then(|call| self.service.prepare(call)) {
                Err(refusal) => return Ok(Some(Arrival { id, bytes, taken: Err(refusal) })),
                Ok((input, asked)) => self.waiting.insert(Waiting { id, bytes, input, asked }).asked.deadline,
            }
        };
        let room = self.service.room(deadline).await;
        let Waiting { id, bytes, input, asked } = self.waiting.take().expect("it was there before");
        let taken = room.map(|room| {
            room.send(input);
            asked
        });
        Ok(Some(Arrival { id, bytes, taken }))
    }

    /// tonic refuses a request over its size limit by itself, with a code and without details; nothing else in here gives
    /// that code.
    fn explained(&self, status: Status) -> Status {
        if status.code() != Code::OutOfRange {
            return status;
        }
        Refusal::MessageTooLarge { limit: self.service.message_bytes as u64 }.into()
    }
}
