//! The sending half of a link: two bounded lanes, and the stream of frames that drains them.
//!
//! Nothing stands between the driver and the connection but the queue: tonic polls [`Outgoing`] itself whenever it has
//! room to send, and gets all that is queued by then in one frame. So batches grow with the load, and a message on an
//! idle link waits for nothing. Parts of snapshots have a lane of their own, from which a fragment is sent only when the
//! other is empty: so they hold up an entry or an acknowledgement by one fragment at most, besides what the connection
//! has taken.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use catena_core::{Chunk, Envelope, Identity, Message, NodeId};
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

/// Parts of snapshots that wait for a neighbour at most, besides. Beyond it they are dropped: the core fetches them again.
/// A slot has one under way at a time.
pub const BULK_MESSAGES: usize = 256;

/// The same in bytes. A single part may be larger.
pub const BULK_BYTES: usize = 16 << 20;

/// A fresh stream to a neighbour. Give it to [`Links::attach`](super::Links::attach).
#[derive(Debug)]
pub struct Link {
    peer: Identity,
    end: LinkEnd,
    first: LaneIn,
    bulk: LaneIn,
    _open: oneshot::Sender<Infallible>,
}

/// That a link has ended. Give it to [`Links::detach`](super::Links::detach).
#[derive(Clone, Debug)]
pub struct LinkEnd {
    peer: NodeId,
    /// Shared with the link that it is the end of.
    mark: Arc<()>,
}

impl LinkEnd {
    /// Who was at the other end.
    pub fn peer(&self) -> &NodeId {
        &self.peer
    }
}

/// The queue was full, or the link is gone.
#[derive(Debug)]
pub(super) struct Dropped;

impl Link {
    /// Who is at the other end.
    pub fn peer(&self) -> &Identity {
        &self.peer
    }

    /// What is to be told when it has ended.
    pub(super) fn end(&self) -> LinkEnd {
        self.end.clone()
    }

    /// Whether it is this link that has ended.
    pub(super) fn is_of(&self, end: &LinkEnd) -> bool {
        Arc::ptr_eq(&self.end.mark, &end.mark)
    }

    /// What waits in it, in bytes.
    pub(super) fn queued(&self) -> usize {
        [&self.first, &self.bulk].map(|lane| lane.bytes.load(Ordering::Relaxed)).iter().sum()
    }

    /// Queues a message; never waits.
    pub(super) fn send(&self, envelope: Envelope) -> Result<(), Dropped> {
        match envelope.message {
            Message::Chunk(_) => self.bulk.send(envelope),
            Message::Hello
            | Message::Probe { .. }
            | Message::Have { .. }
            | Message::Append { .. }
            | Message::Poke { .. }
            | Message::Ack { .. }
            | Message::Newer { .. }
            | Message::Fetch { .. } => self.first.send(envelope),
        }
    }
}

/// The end of a lane at which messages go in.
#[derive(Debug)]
struct LaneIn {
    messages: mpsc::Sender<Envelope>,
    bytes: Arc<AtomicUsize>,
    limit: usize,
}

/// The end at which they come out.
struct LaneOut {
    messages: mpsc::Receiver<Envelope>,
    bytes: Arc<AtomicUsize>,
}

/// A lane with room for so many messages and bytes.
fn lane(messages: usize, limit: usize) -> (LaneIn, LaneOut) {
    let (sender, receiver) = mpsc::channel(messages);
    let bytes = Arc::new(AtomicUsize::new(0));
    (LaneIn { messages: sender, bytes: bytes.clone(), limit }, LaneOut { messages: receiver, bytes })
}

impl LaneIn {
    fn send(&self, envelope: Envelope) -> Result<(), Dropped> {
        let weight = weight(&envelope);
        let queued = self.bytes.load(Ordering::Relaxed);
        if queued > 0 && queued + weight > self.limit {
            return Err(Dropped);
        }
        // Counted first: the other side may take it, and count it off, at once.
        self.bytes.fetch_add(weight, Ordering::Relaxed);
        self.messages.try_send(envelope).map_err(|_| {
            self.bytes.fetch_sub(weight, Ordering::Relaxed);
            Dropped
        })
    }
}

impl LaneOut {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<(usize, Envelope)>> {
        self.messages.poll_recv(context).map(|next| {
            next.map(|envelope| {
                let weight = weight(&envelope);
                self.bytes.fetch_sub(weight, Ordering::Relaxed);
                (weight, envelope)
            })
        })
    }
}

/// What an envelope weighs in the queue and in a frame, in bytes: about its encoded length.
fn weight(envelope: &Envelope) -> usize {
    const FRAME: usize = 32;
    const RUN: usize = 24;
    const MEMBER: usize = 96;
    match &envelope.message {
        Message::Append { entries, .. } if !entries.is_empty() => entries.iter().map(catena_core::Entry::weight).sum(),
        Message::Probe { log, .. } => FRAME + RUN * log.runs.len(),
        Message::Newer { chain } => FRAME + MEMBER * chain.replicas().count(),
        Message::Fetch { after, .. } => FRAME + MEMBER + after.as_ref().map_or(0, Bytes::len),
        Message::Chunk(chunk) => FRAME + chunk_weight(chunk),
        Message::Append { .. } | Message::Hello | Message::Have { .. } | Message::Poke { .. } | Message::Ack { .. } => FRAME,
    }
}

fn chunk_weight(chunk: &Chunk) -> usize {
    const OBJECT: usize = 48;
    const ANSWER: usize = 64;
    let objects = chunk.objects.iter().map(|(key, object)| OBJECT + key.len() + object.value.len());
    let sessions = chunk.end.iter().flat_map(|end| &end.sessions).map(|(_, session)| ANSWER * (1 + session.answers.len()));
    objects.chain(sessions).sum()
}

/// Makes the sending half of a link. The first frame out is `hello`.
///
/// The third part resolves when the [`Link`] is dropped.
pub(super) fn outgoing(hello: proto::Hello) -> (Queue, Outgoing, oneshot::Receiver<Infallible>) {
    let (first_in, first) = lane(QUEUE_MESSAGES, QUEUE_BYTES);
    let (bulk_in, bulk) = lane(BULK_MESSAGES, BULK_BYTES);
    let (open, closed) = oneshot::channel();
    let outgoing = Outgoing { hello: Some(hello), first, held: None, large: Bytes::new(), bulk, large_bulk: Bytes::new() };
    (Queue { first: first_in, bulk: bulk_in, open }, outgoing, closed)
}

/// A link whose other end is not known yet.
pub(super) struct Queue {
    first: LaneIn,
    bulk: LaneIn,
    open: oneshot::Sender<Infallible>,
}

impl Queue {
    /// The link, now that it is known.
    pub(super) fn to(self, peer: Identity) -> Link {
        let end = LinkEnd { peer: peer.node.clone(), mark: Arc::new(()) };
        Link { peer, end, first: self.first, bulk: self.bulk, _open: self.open }
    }
}

/// The frames that go out. Ends when the [`Link`] is dropped and all but parts of snapshots are sent.
pub(super) struct Outgoing {
    hello: Option<proto::Hello>,
    first: LaneOut,
    /// An envelope that did not fit into the frame before.
    held: Option<(usize, Envelope)>,
    /// The rest of an encoded envelope that goes out in fragments.
    large: Bytes,
    bulk: LaneOut,
    /// The same in the lane of snapshots.
    large_bulk: Bytes,
}

/// The next fragment of an encoded envelope.
fn fragment(rest: &mut Bytes) -> proto::Fragment {
    let data = rest.split_to(rest.len().min(FRAME_BYTES));
    proto::Fragment { data, last: rest.is_empty() }
}

fn encoded(envelope: Envelope) -> Bytes {
    proto::Envelope::from(envelope).encode_to_vec().into()
}

impl Outgoing {
    fn poll_content(&mut self, context: &mut Context<'_>) -> Poll<Option<Content>> {
        if let Some(hello) = self.hello.take() {
            return Poll::Ready(Some(Content::Hello(hello)));
        }
        match self.poll_first(context) {
            ready @ Poll::Ready(_) => ready,
            Poll::Pending => self.poll_bulk(context).map(Some),
        }
    }

    /// Everything but parts of snapshots.
    fn poll_first(&mut self, context: &mut Context<'_>) -> Poll<Option<Content>> {
        if !self.large.is_empty() {
            return Poll::Ready(Some(Content::Fragment(fragment(&mut self.large))));
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
                    self.large = encoded(envelope);
                    return Poll::Ready(Some(Content::Fragment(fragment(&mut self.large))));
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

    fn poll_envelope(&mut self, context: &mut Context<'_>) -> Poll<Option<(usize, Envelope)>> {
        match self.held.take() {
            Some(held) => Poll::Ready(Some(held)),
            None => self.first.poll(context),
        }
    }

    /// A piece of a part of a snapshot. Pending too once the link is dropped: the other lane says so.
    fn poll_bulk(&mut self, context: &mut Context<'_>) -> Poll<Content> {
        if self.large_bulk.is_empty() {
            let Some((_, envelope)) = ready!(self.bulk.poll(context)) else { return Poll::Pending };
            self.large_bulk = encoded(envelope);
        }
        Poll::Ready(Content::Bulk(fragment(&mut self.large_bulk)))
    }
}

impl Stream for Outgoing {
    type Item = proto::Frame;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<proto::Frame>> {
        self.poll_content(context).map(|content| content.map(|content| proto::Frame { content: Some(content) }))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use catena_core::{ChainVersion, ClusterId, EntryId, Incarnation, Metadata, NodeId, Object, Process, Seq, Slot, WallTime};

    use super::*;

    fn peer() -> Identity {
        let node = NodeId::new("b").expect("a legal name");
        Identity { cluster: ClusterId(1), node, incarnation: Incarnation(1), process: Process(1) }
    }

    fn envelope(message: Message) -> Envelope {
        Envelope { slot: Slot(1), version: ChainVersion(1), message }
    }

    fn chunk(bytes: usize) -> Envelope {
        let pin = catena_core::Pin { source: peer().node, process: Process(1), at: EntryId::default() };
        let metadata = Metadata { version: Seq(1), created_at: WallTime(1), updated_at: WallTime(1) };
        let objects = vec![(Bytes::from_static(b"key"), Object { value: vec![7; bytes].into(), metadata })];
        envelope(Message::Chunk(Chunk { pin, after: None, objects, end: None, checksum: 0 }))
    }

    fn next(outgoing: &mut Outgoing) -> Option<Content> {
        match outgoing.poll_content(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(content) => Some(content.expect("the link is there")),
            Poll::Pending => None,
        }
    }

    /// What comes while a part of a snapshot is under way waits for one of its fragments at most.
    #[test]
    fn a_message_goes_between_two_fragments_of_a_part_of_a_snapshot() {
        let (queue, mut outgoing, _closed) = outgoing(proto::Hello::default());
        let link = queue.to(peer());
        assert!(matches!(next(&mut outgoing), Some(Content::Hello(_))));
        assert_eq!(next(&mut outgoing), None);
        link.send(chunk(3 * FRAME_BYTES)).expect("room");
        assert!(matches!(next(&mut outgoing), Some(Content::Bulk(proto::Fragment { last: false, .. }))));
        link.send(envelope(Message::Ack { committed: Seq(1), disk_full: false })).expect("room");
        link.send(envelope(Message::Hello)).expect("room");
        let Some(Content::Batch(batch)) = next(&mut outgoing) else { panic!("the messages come first") };
        assert_eq!(batch.envelopes.len(), 2);
        let rest: Vec<_> = std::iter::from_fn(|| next(&mut outgoing)).collect();
        let ends = rest.iter().map(|content| matches!(content, Content::Bulk(proto::Fragment { last: true, .. })));
        assert_eq!(ends.collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn what_was_queued_before_a_link_is_dropped_still_goes_out_but_for_snapshots() {
        let (queue, mut outgoing, _closed) = outgoing(proto::Hello::default());
        let link = queue.to(peer());
        next(&mut outgoing);
        link.send(chunk(10)).expect("room");
        link.send(envelope(Message::Ack { committed: Seq(1), disk_full: false })).expect("room");
        drop(link);
        assert!(matches!(next(&mut outgoing), Some(Content::Batch(_))));
        assert!(matches!(outgoing.poll_content(&mut Context::from_waker(Waker::noop())), Poll::Ready(None)));
    }
}
