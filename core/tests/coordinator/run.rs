//! How time passes on the bench: what is due arrives, machines and nodes take their turns.

use std::time::Duration;

use catena_core::{CoordinatorEffect, CoordinatorEvent, Decisions, HeartbeatAnswer, NodeId};

use crate::audit::Audit;
use crate::bench::{Bench, Seat, TICK, ms};
use crate::node::{Conversation, Node};

/// What a coordinator's driver gets.
pub(crate) enum Inbound {
    Event(CoordinatorEvent),
    /// Of which conversation, and when it was sent.
    FromNode(u64, Duration, CoordinatorEvent),
}

/// What is under way.
pub(crate) enum Mail {
    ToSeat(usize, u64, Inbound),
    Registered(NodeId, u64),
    Answer(NodeId, u64, HeartbeatAnswer),
    Decide(NodeId, u64, Decisions),
    ToStore(usize, u64, CoordinatorEffect),
}

/// What keeps its order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stream {
    OfNode(u64),
    OfStore(usize),
}

impl Bench {
    pub(crate) fn run(&mut self, millis: u64) {
        let end = self.now + ms(millis);
        while self.now < end {
            self.now += TICK;
            self.turn();
        }
    }

    pub(crate) fn until(&mut self, what: &str, reached: impl Fn(&Bench) -> bool) {
        let end = self.now + ms(120_000);
        while !reached(self) {
            let (shapes, waits): (Vec<String>, _) =
                (self.store.chains.keys().map(|slot| self.shape(slot.0)).collect(), self.leading().map(|_| self.status().waits));
            assert!(self.now < end, "never {what}: {shapes:?}, waiting for {waits:?}");
            self.run(5);
        }
    }

    fn turn(&mut self) {
        for seat in 0..self.seats.len() {
            let Seat { up, paused, coordinator, .. } = &self.seats[seat];
            if *up && !*paused && coordinator.deadline() <= self.seats[seat].time(self.now).monotonic {
                self.step(seat, CoordinatorEvent::Wake);
            }
        }
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        for id in ids {
            self.turn_node(&id);
        }
        self.deliver();
        Audit::serving(&self.nodes, &self.store, self.now);
    }

    fn turn_node(&mut self, id: &NodeId) {
        let now = self.now;
        if !self.nodes[id].paused {
            self.held.remove(id).into_iter().flatten().for_each(|mail| self.open(mail));
        }
        let mut node = self.nodes.remove(id).unwrap();
        if node.up && !node.paused {
            if node.forsaken(now) {
                (node.stream, node.seat, node.dial_at) = (None, (node.seat + 1) % self.seats.len(), now);
            }
            if node.stream.is_none() && now >= node.dial_at {
                self.count += 1;
                node.stream = Some(Conversation { number: self.count, registered: false });
                node.hear(now);
                self.send_up(&node, CoordinatorEvent::Register(node.record.clone()));
            }
            node.progress(now, |other, slot, version| {
                !self.apart.contains(&(id.clone(), other.clone()))
                    && self.nodes.get(other).is_some_and(|other| other.acts(slot, version))
            });
            while let Some(heartbeat) = node.heartbeat(now) {
                let (from, incarnation) = (id.clone(), node.record.incarnation);
                self.send_up(&node, CoordinatorEvent::Heartbeat { from, incarnation, heartbeat });
            }
        }
        self.nodes.insert(id.clone(), node);
    }

    fn send_up(&mut self, node: &Node, event: CoordinatorEvent) {
        let (seat, stream) = (node.seat, node.stream.unwrap());
        if !node.cut && self.seats[seat].up {
            let process = self.seats[seat].process;
            self.post(Mail::ToSeat(seat, process, Inbound::FromNode(stream.number, self.now, event)));
        }
    }

    fn post(&mut self, mail: Mail) {
        let (delay, stream) = match &mail {
            Mail::ToStore(seat, ..) => (self.store.delay, (Stream::OfStore(*seat), true)),
            Mail::ToSeat(seat, _, Inbound::Event(_)) => (self.store.delay, (Stream::OfStore(*seat), false)),
            Mail::ToSeat(_, _, Inbound::FromNode(number, ..)) => ((self.delay)(), (Stream::OfNode(*number), true)),
            Mail::Registered(_, number) | Mail::Answer(_, number, _) | Mail::Decide(_, number, _) => {
                ((self.delay)(), (Stream::OfNode(*number), false))
            }
        };
        let last = self.arrivals.entry(stream).or_default();
        *last = (self.now + delay).max(*last);
        self.count += 1;
        self.mail.insert((*last, self.count), mail);
    }

    fn deliver(&mut self) {
        for seat in 0..self.seats.len() {
            if self.store.out_of_order || self.seats[seat].storeless {
                continue;
            }
            self.stuck.remove(&seat).into_iter().flatten().for_each(|mail| self.open(mail));
        }
        loop {
            while self.mail.first_key_value().is_some_and(|((due, _), _)| *due <= self.now) {
                let (_, mail) = self.mail.pop_first().unwrap();
                self.open(mail);
            }
            let mut stepped = false;
            for seat in 0..self.seats.len() {
                while !self.seats[seat].paused
                    && let Some(inbound) = self.seats[seat].inbox.pop_front()
                {
                    self.take(seat, inbound);
                    stepped = true;
                }
            }
            if !stepped {
                return;
            }
        }
    }

    fn open(&mut self, mail: Mail) {
        let now = self.now;
        if let Mail::Registered(to, _) | Mail::Answer(to, ..) | Mail::Decide(to, ..) = &mail
            && self.nodes[to].paused
        {
            self.held.entry(to.clone()).or_default().push_back(mail);
            return;
        }
        match mail {
            Mail::ToSeat(seat, process, inbound) => {
                if self.seats[seat].process == process {
                    self.seats[seat].inbox.push_back(inbound);
                }
            }
            Mail::Registered(to, number) => self.give_node(&to, number, |node| node.registered(number, now)),
            Mail::Answer(to, number, answer) => self.give_node(&to, number, |node| node.answered(answer, now)),
            Mail::Decide(to, number, decisions) => self.give_node(&to, number, |node| {
                if !node.deaf {
                    node.decided(decisions);
                }
            }),
            Mail::ToStore(seat, process, effect) if self.store.out_of_order || self.seats[seat].storeless => {
                self.stuck.entry(seat).or_default().push_back(Mail::ToStore(seat, process, effect));
            }
            Mail::ToStore(seat, process, effect) => {
                let (event, changes) = self.store.run(effect);
                self.audit.stored(&changes, &self.nodes, now);
                self.post(Mail::ToSeat(seat, process, Inbound::Event(event)));
            }
        }
    }

    fn give_node(&mut self, to: &NodeId, number: u64, act: impl FnOnce(&mut Node)) {
        let node = self.nodes.get_mut(to).unwrap();
        if node.up && !node.cut && node.stream.is_some_and(|stream| stream.number == number) {
            act(node);
        }
    }

    /// What the driver does with what comes in: only the newest stream of a node counts, once it is let in.
    fn take(&mut self, seat: usize, inbound: Inbound) {
        match inbound {
            Inbound::Event(event) => self.step(seat, event),
            Inbound::FromNode(number, _, CoordinatorEvent::Register(record)) => {
                let newest = self.seats[seat].streams.get(&record.node).map_or(0, |stream| stream.number);
                if number > newest {
                    let stream = Conversation { number, registered: false };
                    let before = self.seats[seat].streams.insert(record.node.clone(), stream);
                    self.seats[seat].replaced = before;
                    self.step(seat, CoordinatorEvent::Register(record));
                }
            }
            Inbound::FromNode(number, sent_at, event) => {
                let CoordinatorEvent::Heartbeat { from, incarnation, .. } = &event else { unreachable!("nodes send no other") };
                if self.seats[seat].streams.get(from) == Some(&Conversation { number, registered: true }) {
                    self.audit.heard(seat, from, *incarnation, sent_at);
                    self.step(seat, event);
                }
            }
        }
    }

    pub(crate) fn step(&mut self, seat: usize, event: CoordinatorEvent) {
        let mut out = Vec::new();
        let now = self.seats[seat].time(self.now);
        self.seats[seat].coordinator.step(now, event, &mut out);
        let process = self.seats[seat].process;
        for effect in out {
            let number = |node: &NodeId| self.seats[seat].streams.get(node).map_or(0, |stream| stream.number);
            match effect {
                effect @ (CoordinatorEffect::Observe
                | CoordinatorEffect::Lead { .. }
                | CoordinatorEffect::Renew(_)
                | CoordinatorEffect::Store { .. }) => {
                    if let CoordinatorEffect::Store { changes, .. } = &effect {
                        self.audit.decided(seat, changes);
                    }
                    self.post(Mail::ToStore(seat, process, effect));
                }
                CoordinatorEffect::Registered { node } => {
                    self.admitted.push(node.clone());
                    if let Some(stream) = self.seats[seat].streams.get_mut(&node) {
                        stream.registered = true;
                        let number = stream.number;
                        self.post(Mail::Registered(node, number));
                    }
                }
                CoordinatorEffect::Refused { node, reason } => {
                    let (number, now) = (number(&node), self.now);
                    // Who is refused takes nobody's place.
                    if let Some(before) = self.seats[seat].replaced.take() {
                        self.seats[seat].streams.insert(node.clone(), before);
                    }
                    let seats = self.seats.len();
                    self.refused.push(reason);
                    if let Some(node) = self.nodes.get_mut(&node).filter(|node| node.stream.is_some_and(|s| s.number == number)) {
                        (node.stream, node.dial_at, node.seat) = (None, now + ms(50), (node.seat + 1) % seats);
                    }
                }
                CoordinatorEffect::Answer { to, answer } => self.post(Mail::Answer(to.clone(), number(&to), answer)),
                CoordinatorEffect::Decide { to, decisions } => {
                    self.audit.told(seat, &to, &decisions, self.now);
                    self.post(Mail::Decide(to.clone(), number(&to), decisions));
                }
                CoordinatorEffect::Done { request, result } => {
                    let before = self.done.insert(request, result);
                    assert_eq!(before, None, "an order is answered once");
                }
                CoordinatorEffect::RouteChanged { .. } => {}
                CoordinatorEffect::Note(note) => self.notes.push(note),
            }
        }
    }
}
