//! Links between nodes: one bounded, reconnecting stream per pair of nodes that know each other's address, for all slots.
//!
//! The node with the smaller id dials, the other accepts. There are two lanes: parts of snapshots (`Chunk`) go in one, and
//! are sent only when nothing else waits; everything else goes in the other. What is delivered of a lane is in order. What
//! was sent on a link that broke may be lost, as may what finds its lane full: the core sends again what matters (W6),
//! and fetches chunks again (J3), which is why every fresh link is told to it. A silent end is found by HTTP/2 pings (see
//! [`transport`](crate::transport)).
//!
//! A node is known by its record: another directory under the same id is another node. A link to the old one is closed
//! as soon as the record says so, and one to the new one is not taken before.

mod accept;
mod dial;
mod handshake;
mod incoming;
mod queue;

use std::collections::BTreeMap;

use catena_core::{Envelope, Identity, NodeId, NodeRecord};
use tokio::sync::{mpsc, watch};

pub use accept::LinkAcceptor;
pub use handshake::HANDSHAKE_TIMEOUT;
pub use incoming::ENVELOPE_BYTES;
pub use queue::{BULK_BYTES, BULK_MESSAGES, FRAME_BYTES, Link, LinkEnd, QUEUE_BYTES, QUEUE_MESSAGES};

use crate::server::NodeInput;

/// The links of one node. Owned by its driver; when dropped, all links end.
#[derive(Debug)]
pub struct Links {
    identity: Identity,
    inputs: mpsc::Sender<NodeInput>,
    peers: BTreeMap<NodeId, Peer>,
    dropped: u64,
}

#[derive(Debug, Default)]
struct Peer {
    record: Option<NodeRecord>,
    link: Option<Link>,
    dialling: Option<watch::Sender<NodeRecord>>,
}

impl Links {
    /// No links yet, and the end at which neighbours arrive. What they say goes to `inputs`.
    pub fn new(identity: Identity, inputs: mpsc::Sender<NodeInput>) -> (Links, LinkAcceptor) {
        let acceptor = LinkAcceptor { identity: identity.clone(), inputs: inputs.clone() };
        (Links { identity, inputs, peers: BTreeMap::new(), dropped: 0 }, acceptor)
    }

    /// Takes note of where a node is, and dials it if that is this node's part. May be repeated; this node's own
    /// record is ignored. Call it within a runtime.
    pub fn set_peer(&mut self, record: &NodeRecord) {
        if record.node == self.identity.node {
            return;
        }
        let peer = self.peers.entry(record.node.clone()).or_default();
        let same = |known: &NodeRecord| known.incarnation == record.incarnation && known.address == record.address;
        if peer.record.as_ref().is_some_and(same) {
            return;
        }
        peer.record = Some(record.clone());
        peer.link.take_if(|link| link.peer().incarnation != record.incarnation);
        if let Some(dialling) = &peer.dialling {
            dialling.send_replace(record.clone());
        } else if self.identity.node < record.node {
            let (dialling, wanted) = watch::channel(record.clone());
            peer.dialling = Some(dialling);
            tokio::spawn(dial::keep(self.identity.clone(), self.inputs.clone(), wanted));
        }
    }

    /// Takes a fresh link into use in place of the one before, whose queue is lost. Returns whom it leads to: tell the
    /// core. `None` if it leads to another data directory than the coordinator knows under that id; it is closed.
    pub fn attach(&mut self, link: Link) -> Option<NodeId> {
        let node = link.peer().node.clone();
        let peer = self.peers.entry(node.clone()).or_default();
        if peer.record.as_ref().is_some_and(|record| record.incarnation != link.peer().incarnation) {
            return None;
        }
        peer.link = Some(link);
        Some(node)
    }

    /// Lets go of a link that has ended, and returns whom it led to; `None` if another has taken its place.
    pub fn detach(&mut self, end: &LinkEnd) -> Option<NodeId> {
        let peer = self.peers.get_mut(end.peer())?;
        peer.link.take_if(|link| link.is_of(end)).map(|link| link.peer().node.clone())
    }

    /// Ends all links, for a node that has nothing more to say: an open one would hold up the server that accepted it.
    pub fn close(&mut self) {
        self.peers.clear();
    }

    /// Every neighbour known by now, where it is as far as that is known, and what waits for it in bytes if there is a link.
    pub fn peers(&self) -> impl Iterator<Item = (&NodeId, Option<&str>, Option<usize>)> {
        self.peers.iter().map(|(node, peer)| {
            let address = peer.record.as_ref().map(|record| record.address.as_str());
            (node, address, peer.link.as_ref().map(Link::queued))
        })
    }

    /// Queues a message; never waits. It is dropped, and counted, when there is no link or too much is queued.
    pub fn send(&mut self, to: &NodeId, envelope: Envelope) {
        let link = self.peers.get(to).and_then(|peer| peer.link.as_ref());
        if link.is_none_or(|link| link.send(envelope).is_err()) {
            self.dropped += 1;
        }
    }

    /// How many messages were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
