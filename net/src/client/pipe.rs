//! The stream of calls to a node, `Kv.Session`, which all calls there share: each waits for the response with its id.
//!
//! ```text
//!   calls ──▶ queue ────Requests, polled by tonic──▶ node
//!   calls ◀── waiting ◀──listen, a task─────────────  node
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::Stream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::attempt::Trouble;
use crate::convert::ConvertError;
use crate::proto::kv_client::KvClient;
use crate::proto::session_request::Call;
use crate::proto::session_response::Outcome;
use crate::proto::{SessionRequest, SessionResponse};
use crate::{SESSION_BYTES, SESSION_CALLS};

/// A larger request would hold up the others of the stream for long. In bytes.
const LARGE: usize = 256 << 10;

/// One stream to a node; ended when dropped.
#[derive(Debug)]
pub(super) struct Pipe {
    state: Shared,
    listener: JoinHandle<()>,
}

type Shared = Arc<Mutex<State>>;

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    /// What the connection has not taken yet, by id.
    queue: VecDeque<SessionRequest>,
    /// What has no response yet, by id. The node has such a call also when its caller has gone away since.
    waiting: BTreeMap<u64, Waiting>,
    /// What the requests of those weigh.
    bytes: usize,
    /// Of the sending half, when the queue is empty.
    waker: Option<Waker>,
    broken: bool,
}

#[derive(Debug)]
struct Waiting {
    bytes: usize,
    caller: oneshot::Sender<Result<Outcome, Trouble>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("nobody panics while holding it")
}

impl Pipe {
    /// Opens a stream, over a connection that is dialled again if it has been lost. Takes calls at once.
    pub(super) fn open(node: KvClient<Channel>) -> Self {
        let state = Shared::default();
        let ending = Ending { state: state.clone(), status: Status::cancelled("the client has gone away") };
        Self { state, listener: tokio::spawn(listen(node, ending)) }
    }

    /// Whether the stream has ended.
    pub(super) fn is_broken(&self) -> bool {
        lock(&self.state).broken
    }

    /// Whether a call would neither wait for others nor hold them up.
    pub(super) fn has_room_for(&self, call: &Call) -> bool {
        let state = lock(&self.state);
        call.encoded_len() <= LARGE && state.waiting.len() < SESSION_CALLS && state.bytes < SESSION_BYTES
    }

    /// Queues a call.
    pub(super) fn send(&self, call: Call) -> Sent {
        let mut state = lock(&self.state);
        state.last_id += 1;
        let (id, bytes) = (state.last_id, call.encoded_len());
        let (caller, outcome) = oneshot::channel();
        state.bytes += bytes;
        state.waiting.insert(id, Waiting { bytes, caller });
        state.queue.push_back(SessionRequest { id, call: Some(call) });
        if state.broken {
            // It has ended since the caller looked.
            state.end(&Status::unavailable("the stream has ended"));
        }
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        Sent { state: self.state.clone(), id, outcome }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl State {
    fn answer(&mut self, id: u64, result: Result<Outcome, Trouble>) {
        let Some(Waiting { bytes, caller }) = self.waiting.remove(&id) else { return };
        self.bytes -= bytes;
        // One who has gone away does not want to know.
        let _ = caller.send(result);
    }

    /// Nothing more is sent or answered. What the connection has not taken was surely not sent.
    fn end(&mut self, status: &Status) {
        self.broken = true;
        for request in std::mem::take(&mut self.queue) {
            self.answer(request.id, Err(Trouble::NotSent(status.message().to_owned())));
        }
        while let Some((id, _)) = self.waiting.first_key_value() {
            self.answer(*id, Err(status.clone().into()));
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A call on its way.
#[derive(Debug)]
pub(super) struct Sent {
    state: Shared,
    id: u64,
    outcome: oneshot::Receiver<Result<Outcome, Trouble>>,
}

impl Sent {
    /// What comes of it.
    pub(super) async fn outcome(mut self) -> Result<Outcome, Trouble> {
        (&mut self.outcome).await.expect("every call that waits is told")
    }
}

impl Drop for Sent {
    /// A caller that goes away takes along what was not sent.
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if let Ok(index) = state.queue.binary_search_by_key(&self.id, |request| request.id) {
            state.queue.remove(index);
            state.answer(self.id, Err(Trouble::NotSent(String::new())));
        }
    }
}

/// The half that sends.
struct Requests(Shared);

impl Stream for Requests {
    type Item = SessionRequest;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<SessionRequest>> {
        let mut state = lock(&self.0);
        if state.broken {
            return Poll::Ready(None);
        }
        let next = state.queue.pop_front();
        if next.is_none() {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(next)
    }
}

/// Ends the stream's calls with the task that listens, however that ends.
struct Ending {
    state: Shared,
    status: Status,
}

impl Drop for Ending {
    fn drop(&mut self) {
        lock(&self.state).end(&self.status);
    }
}

/// Hands out what is answered, until the stream ends.
async fn listen(mut node: KvClient<Channel>, mut ending: Ending) {
    ending.status = match node.session(Requests(ending.state.clone())).await {
        Ok(responses) => hand_out(&ending.state, responses.into_inner()).await,
        Err(status) => status,
    };
}

async fn hand_out(state: &Mutex<State>, mut responses: Streaming<SessionResponse>) -> Status {
    loop {
        match responses.message().await {
            Ok(Some(SessionResponse { id, outcome })) => {
                let missing = || ConvertError::Missing { field: "session_response.outcome" }.into();
                lock(state).answer(id, outcome.ok_or_else(missing));
            }
            Ok(None) => return Status::unavailable("the node has ended the stream"),
            Err(status) => return status,
        }
    }
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::proto::{GetRequest, GetResponse, PutRequest};

    /// A stream whose connection is the test.
    fn pipe() -> (Pipe, Requests) {
        let state = Shared::default();
        (Pipe { state: state.clone(), listener: tokio::spawn(std::future::pending()) }, Requests(state))
    }

    fn get() -> Call {
        Call::Get(GetRequest::default())
    }

    fn put(len: usize) -> Call {
        Call::Put(PutRequest { value: Bytes::from(vec![0; len]), ..PutRequest::default() })
    }

    /// What the connection takes, if there is anything.
    fn take(requests: &mut Requests) -> Option<u64> {
        match Pin::new(requests).poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(request) => request.map(|request| request.id),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn what_the_connection_has_not_taken_was_not_sent_and_the_rest_is_lost() {
        let (pipe, mut requests) = pipe();
        let (first, second) = (pipe.send(get()), pipe.send(get()));
        assert_eq!(take(&mut requests), Some(1));
        lock(&pipe.state).end(&Status::unavailable("broken pipe"));
        assert!(matches!(first.outcome().await, Err(Trouble::Status(_))));
        assert!(matches!(second.outcome().await, Err(Trouble::NotSent(_))));
        assert!(pipe.is_broken() && take(&mut requests).is_none());
        let late = pipe.send(get());
        assert!(matches!(late.outcome().await, Err(Trouble::NotSent(_))));
    }

    #[tokio::test]
    async fn one_who_goes_away_takes_along_what_was_not_sent_and_no_more() {
        let (pipe, mut requests) = pipe();
        let (sent, unsent, last) = (pipe.send(get()), pipe.send(get()), pipe.send(get()));
        assert_eq!(take(&mut requests), Some(1));
        drop((sent, unsent));
        assert_eq!((take(&mut requests), take(&mut requests)), (Some(3), None));
        let waiting = || lock(&pipe.state).waiting.keys().copied().collect::<Vec<_>>();
        assert_eq!(waiting(), [1, 3], "the node has the first, whoever waits for it");
        for id in [1, 3, 77] {
            lock(&pipe.state).answer(id, Ok(Outcome::Get(GetResponse::default())));
        }
        assert!(last.outcome().await.is_ok() && waiting().is_empty());
        assert_eq!(lock(&pipe.state).bytes, 0);
    }

    #[tokio::test]
    async fn there_is_room_for_so_many_calls_and_bytes_and_none_for_a_large_one() {
        let (pipe, _requests) = pipe();
        assert!(pipe.has_room_for(&put(LARGE - 100)) && !pipe.has_room_for(&put(LARGE)));
        let calls: Vec<Sent> = (0..SESSION_CALLS).map(|_| pipe.send(get())).collect();
        assert!(!pipe.has_room_for(&get()));
        drop(calls);
        let _calls: Vec<Sent> = (0..=SESSION_BYTES / LARGE).map(|_| pipe.send(put(LARGE - 100))).collect();
        assert!(!pipe.has_room_for(&get()));
    }
}
