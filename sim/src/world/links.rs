//! Links between nodes: connections, and what travels over them.

use std::time::Duration;

use catena_core::{Envelope, Event, Message, NodeId};

use super::hosts::{Input, Process, Running};
use super::{Happening, World};
use crate::check::{Violation, durable};
use crate::faults::Fault;
use crate::network::{Connection, Fate, Frequency};

impl World {
    pub(super) fn send(&mut self, from: usize, to: &NodeId, envelope: Envelope) -> Result<(), Violation> {
        let host = &self.hosts[from];
        durable::acted(envelope.slot, envelope.version, host.name(), host.disk.synced(envelope.slot))?;
        let to = self.node_of(to);
        let frequency = match envelope.message {
            Message::Append { .. } | Message::Ack { .. } | Message::Poke { .. } => Frequency::Common,
            Message::Hello
            | Message::Probe { .. }
            | Message::Have { .. }
            | Message::Newer { .. }
            | Message::Fetch { .. }
            | Message::Chunk(_) => Frequency::Rare,
        };
        match self.network.send(from, to, frequency, self.now, &self.options) {
            Fate::Arrives(arrivals) => {
                arrivals.faults.iter().for_each(|fault| self.count(*fault));
                let connection = arrivals.connection;
                if let Some(again) = arrivals.again {
                    self.queue.push(again, Happening::Frame { from, to, connection, envelope: envelope.clone() });
                }
                self.queue.push(arrivals.first, Happening::Frame { from, to, connection, envelope });
            }
            Fate::Lost(Fault::Drop) => self.count(Fault::Drop),
            Fate::Lost(_) | Fate::Unconnected => {} // by a fault that is counted as one
        }
        Ok(())
    }

    pub(super) fn frame(&mut self, from: usize, to: usize, connection: Connection, envelope: Envelope) -> Result<(), Violation> {
        if !self.network.arrives(from, to, connection) {
            return Ok(());
        }
        let from = self.hosts[from].identity.node.clone();
        self.input_any(to, Input::Event(Event::Message { from, envelope }))
    }

    pub(super) fn link_up(&mut self, node: usize, peer: usize, connection: Connection) -> Result<(), Violation> {
        if !self.network.arrives(node, peer, connection) {
            return Ok(());
        }
        let peer = self.hosts[peer].identity.node.clone();
        self.input_any(node, Input::Event(Event::LinkUp { peer }))
    }

    /// Two nodes connect, as soon as both are there and awake, nothing is cut, and the one that dials knows where.
    pub(super) fn connect(&mut self, a: usize, b: usize) {
        if self.hosts[a].process.is_none() || self.hosts[b].process.is_none() {
            return; // the one that starts will try
        }
        let (dials, peer) = (a.min(b), a.max(b));
        let accepts = &self.hosts[peer].identity.node;
        let awake = |process: &Process| matches!(process.running, Running::Yes);
        let ready = [dials, peer].into_iter().all(|node| self.hosts[node].process.as_ref().is_some_and(awake))
            && self.hosts[dials].process.as_ref().is_some_and(|process| process.addresses.contains(accepts));
        let connected = if ready { self.network.connect(a, b, self.now, &self.options) } else { None };
        match connected {
            Some((connection, [at_a, at_b])) => {
                self.queue.push(at_a, Happening::LinkUp { node: a, peer: b, connection });
                self.queue.push(at_b, Happening::LinkUp { node: b, peer: a, connection });
            }
            None if self.network.connected(a, b) => {}
            None => {
                let delay = self.rng.duration(Duration::from_millis(5), Duration::from_millis(100));
                self.queue.push(self.now + delay, Happening::Connect { a, b });
            }
        }
    }

    /// Breaks a connection, and has it dialled again. Whether there was one.
    pub(super) fn reset_link(&mut self, a: usize, b: usize) -> bool {
        let was = self.network.reset(a, b);
        if was {
            let delay = self.rng.duration(Duration::from_millis(1), Duration::from_millis(50));
            self.queue.push(self.now + delay, Happening::Connect { a, b });
        }
        was
    }
}
