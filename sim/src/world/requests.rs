//! What travels between clients and nodes: requests, which may be lost, come late or come twice, and what is answered.

use std::time::Duration;

use catena_core::client::{AttemptId, Body, ClientEvent, Failure};
use catena_core::{CallError, Reply, Target};

use super::clients::{Prompt, about_call};
use super::hosts::{Asked, Input, Silence};
use super::{Happening, World};
use crate::chronicle::{About, Arrival as Landing, Sent, Traffic, Way};
use crate::describe;
use crate::faults::Fault;
use crate::history::CallId;
use crate::plan::Place;
use crate::rng::Rng;

/// A request on its way.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) attempt: AttemptId,
    pub(super) nth: Nth,
    pub(super) call: Option<CallId>,
    pub(super) node: usize,
    pub(super) target: Target,
    pub(super) body: Body,
}

/// A request may arrive twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nth {
    First,
    /// Nobody hears its answer.
    Second,
}

impl Arrival {
    /// The try, the call that it is of, and the node that it goes to.
    pub(super) fn errand(&self) -> (AttemptId, Option<CallId>, usize) {
        (self.attempt, self.call, self.node)
    }
}

/// Tags of what arrives at a node or a client, besides the number of its try.
const AGAIN: u64 = 1 << 50;
pub(super) const ROUTE: u64 = 1 << 51;

/// The tag of a client's request.
fn tag(client: usize, attempt: AttemptId) -> u64 {
    (client as u64) << 32 | attempt.0
}

impl World {
    /// A request leaves: it arrives, late, twice or never.
    pub(super) fn send_request(&mut self, client: usize, arrival: Arrival) {
        let mut delay = self.latency();
        let place = Place::Client(client);
        if let Some(late) = self.strikes_as(Fault::DuplicateRequest, place, Rng::lateness) {
            self.send_again(client, Arrival { nth: Nth::Second, ..arrival.clone() }, delay + late);
        } else if self.options.on(Fault::DuplicateElsewhere) {
            let hosts = self.hosts.len();
            let elsewhere = self.strikes_as(Fault::DuplicateElsewhere, place, |rng| (rng.lateness(), rng.index(hosts)));
            if let Some((late, node)) = elsewhere {
                self.send_again(client, Arrival { nth: Nth::Second, node, ..arrival.clone() }, delay + late);
            }
        }
        if self.strikes(Fault::LostRequest, place) {
            return self.note_request(client, &arrival, Way::Lost("lost"));
        }
        if let Some(late) = self.strikes_as(Fault::LateRequest, place, Rng::lateness) {
            delay += late;
        }
        self.note_request(client, &arrival, Way::Arrives(self.now + delay, tag(client, arrival.attempt)));
        self.queue.push(self.now + delay, Happening::Prompt { client, prompt: Prompt::Arrive(arrival) });
    }

    fn send_again(&mut self, client: usize, again: Arrival, after: Duration) {
        let at = self.now + after;
        self.note_request(client, &again, Way::Arrives(at, AGAIN + tag(client, again.attempt)));
        self.queue.push(at, Happening::Prompt { client, prompt: Prompt::Arrive(again) });
    }

    /// A request arrives at a node; where nobody listens, the client learns that.
    pub(super) fn arrive(&mut self, client: usize, arrival: Arrival) {
        let Arrival { attempt, nth, call, node, target, body } = arrival;
        let tag = if nth == Nth::Second { AGAIN + tag(client, attempt) } else { tag(client, attempt) };
        let there = self.hosts[node].process.is_some();
        self.trace.arrived(Landing { to: Place::Node(node), at: self.now, tag }, (!there).then_some("nobody listens"));
        if nth == Nth::Second && !self.may_be_repeated(call, &body) {
            return;
        }
        let Some(process) = &self.hosts[node].process else {
            // A machine that is gone as a whole says nothing.
            if (nth, self.hosts[node].silence) == (Nth::First, Silence::Refusing) {
                let delay = self.latency();
                let event = ClientEvent::Failed { attempt, failure: Failure::NotConnected };
                self.note_reply(client, node, call, Way::Arrives(self.now + delay, attempt.0), || "nobody listens".to_owned());
                self.queue.push(self.now + delay, Happening::Client { client, event });
            }
            return;
        };
        let life = process.life;
        self.last_request.0 += 1;
        let request = self.last_request;
        let asked = Asked { heard_by: (nth == Nth::First).then_some((client, attempt)), call };
        self.queue.push(self.now, Happening::Input { node, life, input: Input::Request { asked, request, target, body } });
    }

    /// No transport repeats a request that was refused, or one without a session: nothing could be said of such a call. What
    /// comes again is what was taken in.
    fn may_be_repeated(&self, call: Option<CallId>, body: &Body) -> bool {
        match (body, call) {
            (Body::Write { origin: Some(_), .. }, Some(call)) => self.history.may_be_executed(call),
            (Body::Write { .. }, _) => false,
            (Body::Read { .. } | Body::Scan { .. } | Body::OpenSession, _) => true,
        }
    }

    /// A try is answered, if anybody hears it.
    pub(super) fn reply_to(&mut self, node: usize, asked: Asked, result: Result<Reply, CallError>) {
        let Some((client, attempt)) = asked.heard_by else { return };
        let text = || describe::answer(&result);
        if self.strikes(Fault::LostReply, Place::Client(client)) {
            return self.note_reply(client, node, asked.call, Way::Lost("lost"), text);
        }
        let delay = self.latency();
        self.note_reply(client, node, asked.call, Way::Arrives(self.now + delay, attempt.0), text);
        self.queue.push(self.now + delay, Happening::Client { client, event: ClientEvent::Answered { attempt, result } });
    }

    /// A connection broke while a try was waiting.
    pub(super) fn connection_lost(&mut self, node: usize, asked: Asked) {
        let Some((client, attempt)) = asked.heard_by else { return };
        let delay = self.latency();
        let way = Way::Arrives(self.now + delay, attempt.0);
        self.note_reply(client, node, asked.call, way, || describe::failure(Failure::Lost));
        let event = ClientEvent::Failed { attempt, failure: Failure::Lost };
        self.queue.push(self.now + delay, Happening::Client { client, event });
    }

    /// For a picture.
    fn note_request(&mut self, client: usize, arrival: &Arrival, way: Way) {
        let Arrival { nth, call, node, target, body, .. } = arrival;
        self.trace.sent(self.now, way, || {
            let again = if *nth == Nth::Second { " (again)" } else { "" };
            Sent {
                from: Place::Client(client),
                to: Place::Node(*node),
                kind: Traffic::Request,
                about: About {
                    slot: Some(target.slot.0),
                    keys: describe::body_key(body),
                    calls: call.iter().map(|call| call.0).collect(),
                },
                text: format!("{}{again} (slot {} v{})", describe::body(body), target.slot, target.version),
            }
        });
    }

    /// For a picture.
    fn note_reply(&mut self, client: usize, node: usize, call: Option<CallId>, way: Way, text: impl FnOnce() -> String) {
        let made = call.map(|call| self.history.call(call));
        self.trace.sent(self.now, way, || Sent {
            from: Place::Node(node),
            to: Place::Client(client),
            kind: Traffic::Reply,
            about: match (made, call) {
                (Some(made), Some(call)) => about_call(made.slot, &made.wish, call),
                (_, _) => About::default(),
            },
            text: text(),
        });
    }

    /// Something arrives at a client.
    pub(super) fn note_heard(&mut self, client: usize, event: &ClientEvent) {
        let tag = match event {
            ClientEvent::Answered { attempt, .. } | ClientEvent::Failed { attempt, .. } => attempt.0,
            _ => ROUTE,
        };
        self.trace.arrived(Landing { to: Place::Client(client), at: self.now, tag }, None);
    }
}
