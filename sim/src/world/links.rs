//! Links between nodes: connections, and what travels over them.

use std::time::Duration;

use catena_core::{Entry, Envelope, Event, Message, NodeId, Time};

use super::hosts::{Input, Process, Running};
use super::{Happening, World};
use crate::check::{Violation, durable};
use crate::chronicle::{About, Arrival, Sent, Traffic, Way};
use crate::describe;
use crate::faults::Fault;
use crate::history::Author;
use crate::network::{Arrivals, Connection, Fate, Frequency};
use crate::plan::Place;

/// Where a message between nodes arrives.
fn landing(from: usize, to: usize, at: Time, connection: Connection) -> Arrival {
    Arrival { to: Place::Node(to), at, tag: connection.0 << 8 | from as u64 }
}

/// What the first entries do that are sent.
fn operations(envelope: &Envelope) -> String {
    let Message::Append { entries, .. } = &envelope.message else { return String::new() };
    let first = entries.iter().take(3).map(describe::operation);
    let more = (entries.len() > 3).then(|| format!("{} more", entries.len() - 3));
    let all: Vec<String> = first.chain(more).collect();
    if all.is_empty() { String::new() } else { format!(": {}", all.join("; ")) }
}

impl World {
    pub(super) fn send(&mut self, from: usize, to: &NodeId, envelope: Envelope) -> Result<(), Violation> {
        let host = &self.hosts[from];
        durable::acted(envelope.slot, envelope.version, host.name(), host.disk.synced(envelope.slot))?;
        if let Some(process) = &mut self.hosts[from].process {
            process.questions[envelope.slot.0 as usize].says(to);
        }
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
        let fate = self.network.send(from, to, frequency, self.now, &self.options);
        self.note_sent(from, to, &fate, &envelope);
        match fate {
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

    /// For a picture.
    fn note_sent(&mut self, from: usize, to: usize, fate: &Fate, envelope: &Envelope) {
        if !self.trace.watched() {
            return;
        }
        let ways = match fate {
            Fate::Arrives(Arrivals { connection, first, again, faults: _ }) => {
                let way = |at: Time| Way::Arrives(at, landing(from, to, at, *connection).tag);
                std::iter::once(way(*first)).chain(again.map(way)).collect()
            }
            Fate::Lost(Fault::Drop) => vec![Way::Lost("dropped")],
            Fate::Lost(_) => vec![Way::Lost("the link is cut")],
            Fate::Unconnected => vec![Way::Lost("there is no connection")],
        };
        let kind = match envelope.message {
            Message::Fetch { .. } | Message::Chunk(_) => Traffic::Snapshot,
            Message::Append { .. } | Message::Ack { .. } => Traffic::Replication,
            Message::Hello | Message::Probe { .. } | Message::Have { .. } | Message::Poke { .. } | Message::Newer { .. } => {
                Traffic::Matching
            }
        };
        for (nth, way) in ways.into_iter().enumerate() {
            let about = self.about_entries(envelope);
            let again = if nth > 0 { " (again)" } else { "" };
            let text = format!("slot {} {}{again}{}", envelope.slot, describe::message(envelope), operations(envelope));
            let (from, to) = (Place::Node(from), Place::Node(to));
            self.trace.sent(self.now, way, || Sent { from, to, kind, about, text });
        }
    }

    /// The keys and calls of the entries that are sent.
    fn about_entries(&self, envelope: &Envelope) -> About {
        let mut about = About::slot(envelope.slot);
        if let Message::Append { entries, .. } = &envelope.message {
            let author = |entry: &Entry| match self.history.author(envelope.slot, entry.id) {
                Some(Author::Call(by)) => Some(by.call.0),
                Some(Author::Chain | Author::Unseen) | None => None,
            };
            about.calls = entries.iter().filter_map(author).collect();
            about.keys = entries.iter().filter_map(|entry| entry.operation.key()).map(describe::key_text).collect();
        }
        about
    }

    pub(super) fn frame(&mut self, from: usize, to: usize, connection: Connection, envelope: Envelope) -> Result<(), Violation> {
        let arrives = self.network.arrives(from, to, connection);
        let lost = match &self.hosts[to].process {
            Some(_) if arrives => None,
            Some(_) => Some("its connection broke"),
            None => Some("nobody is there"),
        };
        self.trace.arrived(landing(from, to, self.now, connection), lost);
        if !arrives {
            return Ok(());
        }
        let from = self.hosts[from].identity.node.clone();
        self.input_any(to, Input::Event(Event::Message { from, envelope }))
    }

    /// A message reaches a process that is awake. One that acts in its version owes an answer to a neighbour that shows its log.
    pub(super) fn note_asked(&mut self, node: usize, from: &NodeId, envelope: &Envelope) -> Result<(), Violation> {
        let Message::Probe { log, .. } = &envelope.message else { return Ok(()) };
        let (slot, version) = (envelope.slot, envelope.version);
        let process = self.hosts[node].process.as_mut().expect("it is awake");
        let marks = &process.marks[slot.0 as usize];
        if !marks.acting || marks.version != version {
            return Ok(());
        }
        process.questions[slot.0 as usize].asks((slot, version), from, log.trim.seq, self.now, &self.options.node)
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
