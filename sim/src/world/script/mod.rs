//! A world that follows a script: nothing is left to chance, and whatever a reader would want to know is noted.

mod act;
mod ask;
mod notice;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use catena_core::client::{AttemptId, Body, ClientEvent, Failure};
use catena_core::{
    CallError, Chain, ChainVersion, Entry, Epoch, Health, Kind, Message, NodeId, OrderError, Origin, Reply, Seq, Slot, Standing,
    Time,
};

use super::clients::Prompt;
use super::hosts::{Asked, Input};
use super::{HAPPENINGS, Happening, World};
use crate::check::{Checker, Severity, Violation};
use crate::clock::Clock;
use crate::history::{CallId, Outcome};
use crate::options::Options;
use crate::trace::Printing;
use notice::Known;

pub(crate) use act::Curtain;
pub(crate) use ask::ProcessState;

/// Tries with such names and higher ones are the script's own, not those of a client's machine.
const SCRIPTED: u64 = 1 << 63;

/// A stage, and what was seen on it.
pub(crate) struct Stage {
    world: World,
    happenings: u64,
    known: Known,
    seen: Vec<(Time, Seen)>,
    /// Clients that no coordinator is heard by, nor hears.
    cut_off: BTreeSet<usize>,
    /// Calls whose first request is to arrive again, so much later.
    again: BTreeMap<CallId, Duration>,
    /// By try: where it went, and for which call.
    asked: BTreeMap<(usize, AttemptId), (usize, Option<CallId>)>,
    /// Coordinators that do not reach the store.
    without_store: BTreeSet<usize>,
    /// Replicas that have got a part of a snapshot, and not the whole.
    copying: BTreeSet<(usize, Slot)>,
}

/// Something that a reader would want to know.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// A chain is in effect.
    Chain(Chain),
    Committed(Slot, Entry),
    /// A request arrives at a node.
    Asked {
        node: usize,
        call: Option<CallId>,
        version: ChainVersion,
        body: Body,
    },
    /// A node's no arrives at a client.
    Refused {
        client: usize,
        node: usize,
        call: Option<CallId>,
        error: CallError,
    },
    /// A try ends without a node's word.
    Failed {
        client: usize,
        node: usize,
        call: Option<CallId>,
        failure: Failure,
    },
    Ended(CallId),
    Leads(usize, Epoch),
    Follows(usize),
    Health(NodeId, Health),
    Standing(NodeId, Standing),
    Fenced(usize, Slot, ChainVersion),
    /// A replica has cut its log back to here.
    Cut(usize, Slot, Seq),
    /// A snapshot has become a replica's state.
    Installed(usize, Slot, Seq),
    /// A slot's data is gone from a node that has no part in it.
    Dropped(usize, Slot),
    /// An operator's order is stored, or refused.
    Order(Result<(), OrderError>),
}

/// One end of a link that can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Node(usize),
    Coordinator(usize),
}

/// A scripted request to one node.
#[derive(Clone, Debug)]
pub(crate) struct Direct {
    pub(crate) client: usize,
    pub(crate) node: usize,
    pub(crate) version: Option<ChainVersion>,
    pub(crate) origin: Option<Origin>,
}

impl Stage {
    /// A world in which nothing has happened. `racks` and `drift` are by node.
    pub(crate) fn new(options: Options, racks: &[Option<usize>], drift: &[i64], printing: Printing) -> Result<Self, Violation> {
        let mut world = World::new(options, printing)?;
        for ((host, rack), drift) in world.hosts.iter_mut().zip(racks).zip(drift) {
            host.rack = *rack;
            host.clock = Clock::new(0, *drift, 0);
        }
        for client in 0..world.clients.len() {
            world.schedule_client(client);
        }
        Ok(Self {
            world,
            happenings: 0,
            known: Known::default(),
            seen: Vec::new(),
            cut_off: BTreeSet::new(),
            again: BTreeMap::new(),
            asked: BTreeMap::new(),
            copying: BTreeSet::new(),
            without_store: BTreeSet::new(),
        })
    }

    pub(crate) fn now(&self) -> Time {
        self.world.now
    }

    pub(crate) fn options(&self) -> &Options {
        &self.world.options
    }

    /// What was seen since this was last asked.
    pub(crate) fn take_seen(&mut self) -> Vec<(Time, Seen)> {
        std::mem::take(&mut self.seen)
    }

    /// Lets the next thing happen, if that is due until then. Else it is that time.
    pub(crate) fn step(&mut self, until: Time) -> Result<Step, Violation> {
        if self.world.queue.due().is_none_or(|due| due > until) {
            self.world.now = self.world.now.max(until);
            return Ok(Step::Nothing);
        }
        let (at, happening) = self.world.queue.pop().expect("just looked");
        self.world.now = at;
        self.keep_store_cut();
        self.happenings += 1;
        if self.happenings > HAPPENINGS {
            return Err(Violation {
                severity: Severity::Liveness,
                checker: Checker::Progress,
                rule: "W6",
                sentence: format!("the world goes in circles: {HAPPENINGS} events by {at:?}"),
            });
        }
        if let Some(happening) = self.watch(happening) {
            self.world.happen(happening)?;
        }
        self.notice();
        Ok(Step::Happened)
    }

    /// Looks at what is about to happen. `None`: it does not.
    fn watch(&mut self, happening: Happening) -> Option<Happening> {
        match &happening {
            Happening::AskRoute { client, .. } if self.cut_off.contains(client) => return None,
            Happening::Client {
                client,
                event: ClientEvent::Route(_) | ClientEvent::RouteChanged(_) | ClientEvent::RouteFailed { .. },
            } if self.cut_off.contains(client) => {
                return None;
            }
            Happening::Client { client, event } => {
                if let Some((attempt, ending)) = ending(event) {
                    self.hear(*client, attempt, &ending);
                    if attempt.0 >= SCRIPTED {
                        self.conclude(attempt, ending);
                        return None;
                    }
                }
            }
            Happening::Input { node, life, input: Input::Request { asked, target, body, .. } }
                if self.world.hosts[*node].process.as_ref().is_some_and(|process| process.life == *life) =>
            {
                if self.process(*node) == ProcessState::Runs {
                    self.see(Seen::Asked { node: *node, call: asked.call, version: target.version, body: body.clone() });
                }
                let again = asked.call.and_then(|call| self.again.remove(&call));
                if let Some(later) = again {
                    self.world.last_request.0 += 1;
                    let request = self.world.last_request;
                    let asked = Asked { heard_by: None, call: asked.call };
                    let input = Input::Request { asked, request, target: *target, body: body.clone() };
                    let at = self.world.now + later;
                    self.world.queue.push(at, Happening::Input { node: *node, life: *life, input });
                }
            }
            Happening::Prompt { client, prompt: Prompt::Arrive(arrival) } => {
                let (attempt, call, node) = arrival.errand();
                self.asked.insert((*client, attempt), (node, call));
            }
            Happening::Frame { to, envelope, .. } => {
                if let Message::Chunk(_) = envelope.message {
                    self.copying.insert((*to, envelope.slot));
                }
            }
            _ => {} // of no interest, or seen in what comes of it
        }
        Some(happening)
    }

    fn see(&mut self, seen: Seen) {
        self.seen.push((self.world.now, seen));
    }

    fn hear(&mut self, client: usize, attempt: AttemptId, ending: &Ending) {
        let Some((node, call)) = self.asked.remove(&(client, attempt)) else { return };
        match ending {
            Ending::Answer(Ok(_)) => {}
            Ending::Answer(Err(error)) => self.see(Seen::Refused { client, node, call, error: error.clone() }),
            Ending::Failure(failure) => self.see(Seen::Failed { client, node, call, failure: *failure }),
        }
    }

    /// A scripted request has ended.
    fn conclude(&mut self, attempt: AttemptId, ending: Ending) {
        let call = CallId(usize::try_from(attempt.0 - SCRIPTED).expect("a call's number"));
        let outcome = match ending {
            Ending::Answer(Ok(Reply::Read { object, .. })) => Outcome::Read(object),
            Ending::Answer(Ok(Reply::Written { entry: Some(entry), object })) => Outcome::Written { entry, object },
            Ending::Answer(Ok(Reply::Written { entry: None, .. } | Reply::Opened { .. })) => Outcome::NothingToDo,
            Ending::Answer(Err(CallError::ConditionFailed { object })) => Outcome::Refused(object),
            Ending::Answer(Err(error)) => outcome_of(error.kind()),
            Ending::Failure(failure) => outcome_of(failure.kind()),
        };
        self.world.history.respond(call, outcome);
    }
}

/// Whether anything happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Happened,
    /// It is later.
    Nothing,
}

/// How a try ends.
#[derive(Clone, Debug)]
enum Ending {
    Answer(Result<Reply, CallError>),
    Failure(Failure),
}

fn ending(event: &ClientEvent) -> Option<(AttemptId, Ending)> {
    match event {
        ClientEvent::Answered { attempt, result } => Some((*attempt, Ending::Answer(result.clone()))),
        ClientEvent::Failed { attempt, failure } => Some((*attempt, Ending::Failure(*failure))),
        ClientEvent::Call { .. }
        | ClientEvent::Cancel { .. }
        | ClientEvent::Route(_)
        | ClientEvent::RouteChanged(_)
        | ClientEvent::RouteFailed { .. }
        | ClientEvent::Wake => None,
    }
}

fn outcome_of(kind: Kind) -> Outcome {
    match kind {
        Kind::NotExecuted => Outcome::NotExecuted,
        Kind::Unknown => Outcome::Unknown,
    }
}
