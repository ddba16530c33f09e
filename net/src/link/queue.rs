//! The sending half of a link: a bounded queue, and the stream of frames that drains it.
//!
//! Nothing stands between the driver and the connection but the queue: tonic polls [`Outgoing`] itself whenever it has
//! room to send, and gets all that is queued by then in one frame. So batches grow with the load, and a message on an
//! idle link waits for nothing.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use catena_core::{Envelope, Identity, Message};
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;

use crate::proto;
use crate::proto::frame::Content;

/// What a frame holds at most, unless one envelope is larger; and the size of a fragment. In bytes.
pub const FRAME_BYTES: usize = 256 << 10;

/// What waits for a neighbour at most. Beyond it messages are dropped: the core sends them again.
pub const QUEUE_MESSAGES: usize = 8192;

/// The same in bytes. A single message may be larger.
pub const QUEUE_BYTES: usize = 64 << 20;

/// A fresh stream to a neighbour. Give it to [`Links::attach`](super::Links::attach).
#[derive(Debug)]
pub struct Link {
    peer: Identity,
    queue: mpsc::Sender<Envelope>,
    bytes: Arc<AtomicUsize>,
    _open: oneshot::Sender<Infallible>,
}

/// The queue was full, or the link is gone.
#[derive(Debug)]
pub(super) struct Dropped;

impl Link {
    /// Who is at the other end.
    pub fn peer(&self) -> &Identity {
        &self.peer
    }

    /// Queues a message; never waits.
    pub(super) fn send(&self, envelope: Envelope) -> Result<(), Dropped> {
        let weight = weight(&envelope);
        let queued = self.bytes.load(Ordering::Relaxed);
        if queued > 0 && queued + weight > QUEUE_BYTES {
            return Err(Dropped);
        }
        // Counted first: the other side may take it, and count it off, at once.
        self.bytes.fetch_add(weight, Ordering::Relaxed);
        self.queue.try_send(envelope).map_err(|_| {
            self.bytes.fetch_sub(weight, Ordering::Relaxed);
            Dropped
        })
    }
}

/// What an envelope weighs in the queue and in a frame, in bytes: about its encoded length.
fn weight(envelope: &Envelope) -> usize {
    const FRAME: usize = 32;
    const RUN: usize = 24;
    match &envelope.message {
        Message::Append { entries, .. } if !entries.is_empty() => entries.iter().map(catena_core::Entry::weight).sum(),
        Message::Probe { log, .. } => FRAME + RUN * log.runs.len(),
        Message::Append { .. }
        | Message::Hello
        | Message::Have { .. }
        | Message::Poke { .. }
        | Message::Ack { .. }
        | Message::Stale { .. } => FRAME,
    }
}

/// Makes the sending half of a link. The first frame out is `hello`.
///
/// The third part resolves when the [`Link`] is dropped.
pub(super) fn outgoing(hello: proto::Hello) -> (Queue, Outgoing, oneshot::Receiver<Infallible>) {
    let (sender, messages) = mpsc::channel(QUEUE_MESSAGES);
    let (open, closed) = oneshot::channel();
    let bytes = Arc::new(AtomicUsize::new(0));
    let outgoing = Outgoing { hello: Some(hello), messages, bytes: bytes.clone(), held: None, large: Bytes::new() };
    (Queue { messages: sender, bytes, open }, outgoing, closed)
}

/// A link whose other end is not known yet.
pub(super) struct Queue {
    messages: mpsc::Sender<Envelope>,
    bytes: Arc<AtomicUsize>,
    open: oneshot::Sender<Infallible>,
}

impl Queue {
    /// The link, now that it is known.
    pub(super) fn to(self, peer: Identity) -> Link {
        Link { peer, queue: self.messages, bytes: self.bytes, _open: self.open }
    }
}

/// The frames that go out. Ends when the [`Link`] is dropped and the queue is empty.
pub(super) struct Outgoing {
    hello: Option<proto::Hello>,
    messages: mpsc::Receiver<Envelope>,
    bytes: Arc<AtomicUsize>,
    /// An envelope that did not fit into the frame before.
    held: Option<(usize, Envelope)>,
    /// The rest of an encoded envelope that goes out in fragments.
    large: Bytes,
}

impl Outgoing {
    fn poll_envelope(&mut self, context: &mut Context<'_>) -> Poll<Option<(usize, Envelope)>> {
        if let Some(held) = self.held.take() {
            return Poll::Ready(Some(held));
        }
        self.messages.poll_recv(context).map(|next| {
            next.map(|envelope| {
                let weight = weight(&envelope);
                self.bytes.fetch_sub(weight, Ordering::Relaxed);
                (weight, envelope)
            })
        })
    }

    fn fragment(&mut self) -> Content {
        let data = self.large.split_to(self.large.len().min(FRAME_BYTES));
        Content::Fragment(proto::Fragment { data, last: self.large.is_empty() })
    }

    fn poll_content(&mut self, context: &mut Context<'_>) -> Poll<Option<Content>> {
        if let Some(hello) = self.hello.take() {
            return Poll::Ready(Some(Content::Hello(hello)));
        }
        if !self.large.is_empty() {
            return Poll::Ready(Some(self.fragment()));
        }
        let mut room = FRAME_BYTES;
        let mut envelopes = Vec::new();
        while room > 0 {
            match self.poll_envelope(context) {
                Poll::Ready(Some((weight, envelope))) if weight <= room => {
                    room -= weight;
                    envelopes.push(envelope.into());
                }
                Poll::Ready(Some((_, envelope))) if envelopes.is_empty() => {
                    self.large = proto::Envelope::from(envelope).encode_to_vec().into();
                    return Poll::Ready(Some(self.fragment()));
                }
                Poll::Ready(Some(next)) => {
                    self.held = Some(next);
                    break;
                }
                Poll::Ready(None) if envelopes.is_empty() => return Poll::Ready(None),
                Poll::Pending if envelopes.is_empty() => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Poll::Ready(Some(Content::Batch(proto::Batch { envelopes })))
    }
}

impl Stream for Outgoing {
    type Item = proto::Frame;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<proto::Frame>> {
        self.poll_content(context).map(|content| content.map(|content| proto::Frame { content: Some(content) }))
    }
}
