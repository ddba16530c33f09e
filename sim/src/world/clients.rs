//! Clients: they route by what they were told, refresh it, retry what was surely not executed, and never what may
//! have been.

use std::rc::Rc;
use std::time::Duration;

use catena_core::{CallError, Chain, Kind, Reply, RequestId, Route, Slot, Target, Time, slot_of};

use super::hosts::{Asked, Input};
use super::{Happening, Phase, World};
use crate::faults::Fault;
use crate::history::{CallId, Deed, Outcome, Wish};
use crate::workload::Knowledge;

/// How long a call goes on trying.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a try waits for its answer.
const TIMEOUT: Duration = Duration::from_millis(1_500);

/// A client with at most one call at a time.
#[derive(Debug, Default)]
pub(super) struct Client {
    route: Option<Rc<Route>>,
    /// The route before it.
    older: Option<Rc<Route>>,
    known: Knowledge,
    current: Option<Current>,
    /// Of a client that shows after healing that its slot serves.
    pub(super) proof: Proof,
}

/// What a client of the healing phase has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Proof {
    #[default]
    Nothing,
    /// Reads are answered before anybody writes again: nobody needs a write to come to rest.
    Read,
    Written,
    ReadBack,
}

/// A call under way.
#[derive(Clone, Copy, Debug)]
struct Current {
    call: CallId,
    until: Time,
    /// The try that waits for an answer.
    request: Option<RequestId>,
}

/// What a client hears from outside.
#[derive(Debug)]
pub(super) enum Heard {
    Route(Rc<Route>),
    Answer { request: RequestId, answer: Answer },
}

/// How a try ends.
#[derive(Debug)]
pub(super) enum Answer {
    Result(Result<Reply, CallError>),
    /// Nobody listens there: surely not executed.
    NoConnection,
    /// The connection broke after the request was sent.
    Broken,
}

/// What a client tells itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Prompt {
    /// Begin a call.
    Next,
    /// Try a call (again).
    Try { call: CallId },
    /// A try has waited long enough.
    Timeout { request: RequestId },
    /// A request arrives where it was sent.
    Arrive { request: RequestId, call: CallId, node: usize, target: Target },
}

impl World {
    pub(super) fn prompt(&mut self, client: usize, prompt: Prompt) {
        match prompt {
            Prompt::Next => self.next_call(client),
            Prompt::Try { call } => self.attempt(client, call),
            Prompt::Timeout { request } => self.ended(client, request, Answer::Broken),
            Prompt::Arrive { request, call, node, target } => self.arrive(client, request, call, node, target),
        }
    }

    pub(super) fn hear(&mut self, client: usize, heard: Heard) {
        match heard {
            Heard::Route(route) => {
                let client = &mut self.clients[client];
                client.older = client.route.replace(route);
            }
            Heard::Answer { request, answer } => self.ended(client, request, answer),
        }
    }

    /// Begins the client's next call, or waits for the next burst.
    fn next_call(&mut self, client: usize) {
        if self.clients[client].current.is_some() {
            return;
        }
        let wish = match self.phase {
            Phase::Healing { .. } => match self.proof(client) {
                Some(wish) => wish,
                None => return,
            },
            Phase::Faults => {
                let begun = self.bursts.partition_point(|start| *start <= self.now);
                if self.issued >= self.options.scale.operations * begun / self.bursts.len() {
                    if let Some(start) = self.bursts.get(begun).copied() {
                        let at = start + self.rng.duration(Duration::ZERO, self.options.think);
                        self.queue.push(at, Happening::Prompt { client, prompt: Prompt::Next });
                    }
                    return;
                }
                self.issued += 1;
                self.workload.wish(self.history.next_call(), &self.clients[client].known)
            }
        };
        let slot = slot_of(&wish.key, self.options.slots);
        self.trace.line(self.now, || format!("client {client}: {:?} {wish:?}, slot {slot}", self.history.next_call()));
        let call = self.history.invoke(slot, wish);
        self.clients[client].current = Some(Current { call, until: self.now + PATIENCE, request: None });
        self.attempt(client, call);
    }

    /// What a client of the healing phase has still to show: that its slot takes a write, and reads it.
    fn proof(&mut self, client: usize) -> Option<Wish> {
        let slot = Slot(u32::try_from(client.checked_sub(self.options.clients)?).expect("a few slots"));
        let key =
            (0_u32..10_000).map(|index| format!("proof-{index}")).find(|key| slot_of(key.as_bytes(), self.options.slots) == slot);
        let key = key.expect("of so many keys one falls into every slot").into();
        let deed = match self.clients[client].proof {
            Proof::Read => self.workload.put(self.history.next_call()),
            Proof::Nothing | Proof::Written => Deed::Get,
            Proof::ReadBack => return None,
        };
        Some(Wish { key, deed, conditions: Vec::new() })
    }

    /// Sends the call where the route says, or asks for a route first.
    fn attempt(&mut self, client: usize, call: CallId) {
        let Some(current) = self.clients[client].current.filter(|current| current.call == call) else { return };
        if self.now >= current.until {
            return self.finish(client, Outcome::NotExecuted);
        }
        let (slot, deed) = (self.history.call(call).slot, &self.history.call(call).wish.deed);
        let reads = *deed == Deed::Get;
        let Some((node, target)) = self.destination(client, slot, reads) else {
            self.refresh(client);
            return self.retry(client, call);
        };
        self.last_request.0 += 1;
        let request = self.last_request;
        self.clients[client].current = Some(Current { request: Some(request), ..current });
        if !self.strikes(Fault::LostRequest) {
            let delay = self.latency();
            let prompt = Prompt::Arrive { request, call, node, target };
            self.queue.push(self.now + delay, Happening::Prompt { client, prompt });
        }
        self.queue.push(self.now + TIMEOUT, Happening::Prompt { client, prompt: Prompt::Timeout { request } });
    }

    /// Where to send a call by the client's route.
    fn destination(&mut self, client: usize, slot: Slot, reads: bool) -> Option<(usize, Target)> {
        let stale = self.clients[client].older.is_some() && self.strikes(Fault::StaleRoute);
        let client = &self.clients[client];
        let route = if stale { client.older.as_ref() } else { client.route.as_ref() };
        let chain = route?.chains.iter().find(|chain| chain.slot == slot)?.clone();
        let target = Target { slot, version: chain.version };
        if self.strikes(Fault::Misroute) {
            return Some((self.rng.index(self.hosts.len()), target));
        }
        let member = if reads { Chain::tail(&chain) } else { Chain::head(&chain) };
        let node = self.hosts.iter().position(|host| host.identity.node == member.node);
        Some((node.expect("members are nodes"), target))
    }

    /// A request arrives at a node; where nobody listens, the client learns that.
    fn arrive(&mut self, client: usize, request: RequestId, call: CallId, node: usize, target: Target) {
        match &self.hosts[node].process {
            None => {
                let delay = self.latency();
                let heard = Heard::Answer { request, answer: Answer::NoConnection };
                self.queue.push(self.now + delay, Happening::Client { client, heard });
            }
            Some(process) => {
                let wish = self.history.call(call).wish.clone();
                let input = Input::Request { asked: Asked { client, call }, request, target, wish };
                let life = process.life;
                self.queue.push(self.now, Happening::Input { node, life, input });
            }
        }
    }

    /// A try has ended, unless it had before.
    fn ended(&mut self, client: usize, request: RequestId, answer: Answer) {
        let Some(current) = self.clients[client].current.filter(|current| current.request == Some(request)) else { return };
        self.clients[client].current = Some(Current { request: None, ..current });
        let call = current.call;
        let kind = match answer {
            Answer::Result(Ok(reply)) => return self.finish(client, outcome(reply)),
            Answer::Result(Err(CallError::ConditionFailed { object })) => return self.finish(client, Outcome::Refused(object)),
            Answer::Result(Err(error)) => error.kind(),
            Answer::NoConnection => Kind::NotExecuted,
            Answer::Broken => Kind::Unknown,
        };
        let reads = self.history.call(call).wish.deed == Deed::Get;
        match kind {
            Kind::Unknown if !reads => self.finish(client, Outcome::Unknown),
            Kind::Unknown | Kind::NotExecuted => {
                self.refresh(client);
                self.retry(client, call);
            }
        }
    }

    fn refresh(&mut self, client: usize) {
        if !self.strikes(Fault::LostRequest) {
            let delay = self.latency();
            self.queue.push(self.now + delay, Happening::AskRoute { client });
        }
    }

    fn retry(&mut self, client: usize, call: CallId) {
        let delay = self.rng.duration(Duration::from_millis(2), Duration::from_millis(60));
        self.queue.push(self.now + delay, Happening::Prompt { client, prompt: Prompt::Try { call } });
    }

    fn finish(&mut self, client: usize, outcome: Outcome) {
        let current = self.clients[client].current.take().expect("a call is under way");
        self.trace.line(self.now, || format!("client {client}: {:?} ends: {outcome:?}", current.call));
        self.learn(client, current.call, &outcome);
        self.history.respond(current.call, outcome);
        let think = self.rng.duration(Duration::ZERO, self.options.think);
        self.queue.push(self.now + think, Happening::Prompt { client, prompt: Prompt::Next });
    }

    /// What the client now knows of the object.
    fn learn(&mut self, client: usize, call: CallId, outcome: &Outcome) {
        let key = self.history.call(call).wish.key.clone();
        let client = &mut self.clients[client];
        let seen = match outcome {
            Outcome::Read(object) => object.as_ref().map(|object| object.metadata),
            Outcome::Written { entry: _, object } | Outcome::Refused(object) => *object,
            Outcome::NothingToDo => None,
            Outcome::Pending | Outcome::NotExecuted | Outcome::Unknown => return,
        };
        client.proof = match (client.proof, outcome) {
            (Proof::Nothing, Outcome::Read(_)) => Proof::Read,
            (Proof::Read, Outcome::Written { .. }) => Proof::Written,
            (Proof::Written, Outcome::Read(_)) => Proof::ReadBack,
            (proof, _) => proof,
        };
        client.known.insert(key, seen);
    }

    /// Clients whose call is under way.
    pub(super) fn busy(&self) -> impl Iterator<Item = usize> + '_ {
        self.clients.iter().enumerate().filter(|(_, client)| client.current.is_some()).map(|(index, _)| index)
    }
}

fn outcome(reply: Reply) -> Outcome {
    match reply {
        Reply::Written { entry: Some(entry), object } => Outcome::Written { entry, object },
        Reply::Written { entry: None, object: _ } => Outcome::NothingToDo,
        Reply::Read { version: _, object } => Outcome::Read(object),
    }
}
