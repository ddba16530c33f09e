//! Clients: the core's own machines, several calls at a time in each, with clocks of their own.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use catena_core::client::{self, ClientConfig, ClientEffect, ClientError, ClientEvent, ClientRequest, Delivery};
use catena_core::{Action, CallError, Command, Kind, Reply, Slot, Time, slot_of};

use super::requests::{Arrival, Nth};
use super::routes::Subscription;
use super::{Happening, Phase, World};
use crate::chronicle::{About, Kind as Sort, State};
use crate::clock::Clock;
use crate::describe;
use crate::faults::Fault;
use crate::history::{CallId, Deed, Outcome, Wish};
use crate::options::Options;
use crate::plan::{Key, Place, Step};
use crate::rng::{Odds, Rng};
use crate::workload::Knowledge;

/// A client's machine and what surrounds it.
#[derive(Debug)]
pub(super) struct Client {
    machine: client::Client,
    pub(super) clock: Clock,
    wake_at: Option<Time>,
    known: Knowledge,
    /// Calls under way.
    calls: BTreeSet<CallId>,
    /// How many it may have at a time.
    pub(super) lanes: usize,
    /// How long a call may take.
    pub(super) deadline: Duration,
    /// How likely a caller gives a call up.
    pub(super) impatience: Odds,
    pub(super) subscription: Subscription,
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
    /// So is a write of which there is no session: opening one is an entry, which might set right what waits for a write.
    WrittenOnce,
    Written,
    ReadBack,
}

/// What a client tells itself.
#[derive(Clone, Debug)]
pub(super) enum Prompt {
    /// Begin a call.
    Next,
    /// The caller gives a call up.
    GiveUp { call: CallId },
    /// The machine's timer.
    Wake { at: Time },
    /// A request arrives where it was sent.
    Arrive(Arrival),
}

impl Client {
    /// A client of the workload. No two are alike.
    pub(super) fn new(options: &Options, clock: Clock, rng: &mut Rng) -> Self {
        let ms = Duration::from_millis;
        let config = ClientConfig {
            call_timeout: if rng.chance(Odds::percent(75)) {
                ms(3_000)
            } else {
                *rng.pick(&[ms(100), Duration::from_micros(700)])
            },
            attempt_timeout: *rng.pick(&[ms(2_000), ms(500), ms(200)]),
            route_timeout: *rng.pick(&[ms(1_000), ms(200)]),
            session_idle: options.node.session_idle / 2,
            session_writes: *rng.pick(&[64, 64, 3, 1]).min(&options.node.limits.session_writes),
            cluster: Some(options.coordinator.cluster.cluster),
            ..ClientConfig::new(options.coordinators, rng.next())
        };
        let lanes = *rng.pick(&[1, 1, 2, 4, 16]);
        let impatience = *rng.pick(&[Odds::NEVER, Odds::NEVER, Odds::percent(5)]);
        Self::of(config, clock, lanes, impatience)
    }

    /// A client of the healing phase.
    pub(super) fn prover(options: &Options, clock: Clock, rng: &mut Rng) -> Self {
        let ms = Duration::from_millis;
        let config = ClientConfig {
            call_timeout: ms(3_000),
            attempt_timeout: ms(1_000),
            session_idle: options.node.session_idle / 2,
            ..ClientConfig::new(options.coordinators, rng.next())
        };
        Self::of(config, clock, 1, Odds::NEVER)
    }

    fn of(config: ClientConfig, clock: Clock, lanes: usize, impatience: Odds) -> Self {
        let deadline = config.call_timeout;
        let machine = client::Client::new(config, clock.now(Time(0)));
        Self {
            machine,
            clock,
            wake_at: None,
            known: Knowledge::new(),
            calls: BTreeSet::new(),
            lanes,
            deadline,
            impatience,
            subscription: Subscription::default(),
            proof: Proof::Nothing,
        }
    }
}

impl World {
    pub(super) fn prompt(&mut self, client: usize, prompt: Prompt) {
        match prompt {
            Prompt::Next => self.next_call(client),
            Prompt::GiveUp { call } => self.hear(client, ClientEvent::Cancel { call: name(call) }),
            Prompt::Wake { at } => {
                if self.clients[client].wake_at == Some(at) {
                    self.clients[client].wake_at = None;
                    self.hear(client, ClientEvent::Wake);
                }
            }
            Prompt::Arrive(arrival) => self.arrive(client, arrival),
        }
    }

    /// One step of a client's machine.
    pub(super) fn hear(&mut self, client: usize, event: ClientEvent) {
        self.open_frame(Key::Step(Step::Client, Place::Client(client)), None);
        self.step_client(client, event);
        self.close_frame();
    }

    fn step_client(&mut self, client: usize, event: ClientEvent) {
        let Client { machine, clock, .. } = &mut self.clients[client];
        let mut effects = Vec::new();
        machine.step(clock.now(self.now), event, &mut effects);
        for effect in effects {
            match effect {
                ClientEffect::Send { attempt, call, node, address: _, target, body, deadline: _ } => {
                    let call = call.map(|call| CallId(usize::try_from(call.0).expect("a call's number")));
                    let hosts = self.hosts.len();
                    let wrong = self.strikes_as(Fault::Misroute, Place::Client(client), |rng| rng.index(hosts));
                    let node = wrong.unwrap_or_else(|| self.node_of(&node));
                    self.send_request(client, Arrival { attempt, nth: Nth::First, call, node, target, body });
                }
                ClientEffect::Abandon { attempt: _ } => {} // it goes on its way
                ClientEffect::AskRoute { coordinator } => self.ask_route(client, coordinator),
                ClientEffect::Done { call, result } => {
                    self.finish(client, CallId(usize::try_from(call.0).expect("a call's number")), result);
                }
            }
        }
        self.schedule_client(client);
    }

    pub(super) fn schedule_client(&mut self, client: usize) {
        let late = Duration::from_nanos(self.rng.below(50_000));
        let Client { machine, clock, wake_at, .. } = &mut self.clients[client];
        let Some(deadline) = machine.deadline() else { return };
        let due = clock.world_at(deadline).max(self.now) + late;
        if wake_at.is_none_or(|at| at > due) {
            *wake_at = Some(due);
            self.queue.push(due, Happening::Prompt { client, prompt: Prompt::Wake { at: due } });
        }
    }

    /// Begins one of the client's calls, or waits for the next burst.
    fn next_call(&mut self, client: usize) {
        match self.phase {
            Phase::Healing { .. } => {
                if let Some((wish, delivery)) = self.proof(client) {
                    self.make_call(client, wish, delivery);
                }
            }
            Phase::Faults if self.is_planned() => {} // it comes when it is planned
            Phase::Faults => {
                let begun = self.bursts.partition_point(|start| *start <= self.now);
                if self.issued >= self.options.scale.operations * begun / self.bursts.len() {
                    if let Some(start) = self.bursts.get(begun).copied() {
                        let at = start + self.rng.duration(Duration::ZERO, self.options.think);
                        self.queue.push(at, Happening::Prompt { client, prompt: Prompt::Next });
                    }
                    return;
                }
                self.draw_call(client, None);
            }
        }
    }

    /// A call of the workload, with the choices that a plan has about it.
    pub(super) fn draw_call(&mut self, client: usize, planned: Option<&[u64]>) {
        self.open_frame(Key::Call(client), planned);
        self.issued += 1;
        let wish = self.workload.wish(self.history.next_call(), &self.clients[client].known);
        let delivery = self.workload.delivery();
        self.make_call(client, wish, delivery);
        self.close_frame();
    }

    fn make_call(&mut self, client: usize, wish: Wish, delivery: Delivery) {
        let call = self.begin_call(client, wish, delivery);
        if self.rng.chance(self.clients[client].impatience) {
            let after = self.rng.heavy_tail(Duration::from_micros(100));
            self.queue.push(self.now + after, Happening::Prompt { client, prompt: Prompt::GiveUp { call } });
        }
    }

    /// A client's caller wants something.
    pub(super) fn begin_call(&mut self, client: usize, wish: Wish, delivery: Delivery) -> CallId {
        let slot = slot_of(&wish.key, self.options.slots);
        let id = self.history.next_call();
        self.trace.begins(self.now, Place::Client(client), Sort::Call, about_call(slot, &wish, id), || {
            (State::Begins { call: id.0 }, format!("{id:?} {}, {delivery:?}, slot {slot}", describe::wish(&wish)))
        });
        let request = match wish.deed {
            // It may end before it comes there: so only where an answer is not demanded.
            Deed::Get if delivery == Delivery::AtMostOnce && self.rng.chance(self.options.scans) => self.scan(slot, &wish.key),
            Deed::Get | Deed::Put { .. } | Deed::Delete => request(&wish, delivery),
        };
        if delivery == Delivery::ExactlyOnce {
            self.pace.expect(self.history.next_call(), &wish, slot);
        }
        let call = self.history.invoke(slot, wish);
        self.clients[client].calls.insert(call);
        self.hear(client, ClientEvent::Call { call: name(call), request });
        call
    }

    /// A read of an object by a scan that may come across it.
    fn scan(&mut self, slot: Slot, key: &Bytes) -> ClientRequest {
        let before = key.slice(..self.rng.index(key.len()));
        let after = Some(before).filter(|before| !before.is_empty());
        ClientRequest::Scan { slot, after, bytes: *self.rng.pick(&[1, 500, 1 << 20]) }
    }

    /// What a client of the healing phase has still to show: that its slot takes a write, and reads it.
    fn proof(&mut self, client: usize) -> Option<(Wish, Delivery)> {
        let slot = Slot(u32::try_from(client.checked_sub(self.options.clients)?).expect("a few slots"));
        let key =
            (0_u32..10_000).map(|index| format!("proof-{index}")).find(|key| slot_of(key.as_bytes(), self.options.slots) == slot);
        let key = key.expect("of so many keys one falls into every slot").into();
        let (deed, delivery) = match self.clients[client].proof {
            Proof::Read => (self.workload.put(self.history.next_call()), Delivery::AtMostOnce),
            Proof::WrittenOnce => (self.workload.put(self.history.next_call()), Delivery::ExactlyOnce),
            Proof::Nothing | Proof::Written => (Deed::Get, Delivery::ExactlyOnce),
            Proof::ReadBack => return None,
        };
        Some((Wish { key, deed, conditions: Vec::new() }, delivery))
    }

    fn finish(&mut self, client: usize, call: CallId, result: Result<Reply, ClientError>) {
        let outcome = outcome(result, &self.history.call(call).wish.key);
        let made = self.history.call(call);
        self.trace.begins(self.now, Place::Client(client), Sort::Call, about_call(made.slot, &made.wish, call), || {
            (State::Ends { call: call.0 }, format!("{call:?} ends: {}", describe::outcome(&outcome)))
        });
        self.clients[client].calls.remove(&call);
        self.learn(client, call, &outcome);
        self.history.respond(call, outcome);
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
            (Proof::Read, Outcome::Written { .. }) => Proof::WrittenOnce,
            (Proof::WrittenOnce, Outcome::Written { .. }) => Proof::Written,
            (Proof::Written, Outcome::Read(_)) => Proof::ReadBack,
            (proof, _) => proof,
        };
        client.known.insert(key, seen);
    }

    /// Clients whose calls are under way.
    pub(super) fn busy(&self) -> impl Iterator<Item = usize> + '_ {
        self.clients.iter().enumerate().filter(|(_, client)| !client.calls.is_empty()).map(|(index, _)| index)
    }
}

pub(super) fn about_call(slot: Slot, wish: &Wish, call: CallId) -> About {
    About { keys: vec![describe::key_text(&wish.key)], calls: vec![call.0], ..About::slot(slot) }
}

/// The machine's name for a call.
fn name(call: CallId) -> client::CallId {
    client::CallId(call.0 as u64)
}

fn request(wish: &Wish, delivery: Delivery) -> ClientRequest {
    let Wish { key, deed, conditions } = wish.clone();
    let action = match deed {
        Deed::Get => return ClientRequest::Get { key },
        Deed::Put { value } => Action::Put { value },
        Deed::Delete => Action::Delete,
    };
    ClientRequest::Write { command: Command { key, action, conditions }, delivery }
}

/// What a call has come to that is about an object.
fn outcome(result: Result<Reply, ClientError>, key: &Bytes) -> Outcome {
    match result {
        Ok(Reply::Written { entry: Some(entry), object }) => Outcome::Written { entry, object },
        Ok(Reply::Written { entry: None, object: _ }) => Outcome::NothingToDo,
        Ok(Reply::Read { version: _, object }) => Outcome::Read(object),
        // Not executed: the page ends before the object's place.
        Ok(Reply::Scanned { version: _, page }) if page.next.as_ref().is_some_and(|next| next < key) => Outcome::NotExecuted,
        Ok(Reply::Scanned { version: _, page }) => {
            Outcome::Read(page.objects.into_iter().find(|(found, _)| found == key).map(|(_, object)| object))
        }
        Ok(Reply::Opened { session }) => panic!("a caller is told of session {session}, which it did not ask for"),
        Err(error) => match (error.kind(), error) {
            (Kind::NotExecuted, ClientError::Refused { error: CallError::ConditionFailed { object }, .. }) => {
                Outcome::Refused(object)
            }
            (Kind::NotExecuted, _) => Outcome::NotExecuted,
            (Kind::Unknown, _) => Outcome::Unknown,
        },
    }
}
