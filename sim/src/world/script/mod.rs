//! A world that follows a script: nothing is left to chance, and whatever a reader would want to know is noted.

mod act;
mod ask;
mod notice;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use catena_core::client::{AttemptId, Body, ClientEvent, Failure};
use catena_core::{
    CallError, Chain, ChainVersion, Chunk, Decisions, Entry, Epoch, Health, Kind, Message, NodeId, OrderError, Origin, Pin,
    Reply, Seq, Slot, Standing, Time,
};

use super::clients::Prompt;
use super::hosts::{Asked, Input};
use super::streams::Down;
use super::{Happening, Life, World};
use crate::check::Violation;
use crate::clock::Clock;
use crate::history::{CallId, Outcome};
use crate::options::Options;
use crate::trace::Printing;
use notice::Known;

pub(crate) use act::Curtain;
pub(crate) use ask::ProcessState;

/// Tries with such names and higher ones are the script's own, not those of a client's machine.
const SCRIPTED: u64 = 1 << 63;

/// No story that can be read has as many events.
const HAPPENINGS: u64 = 3_000_000;

/// A stage, and what was seen on it.
pub(crate) struct Stage {
    world: World,
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
    copying: BTreeMap<(usize, Slot), Copying>,
    /// By coordinator and node: what the one tells the other to do is kept back.
    holding: BTreeSet<(usize, usize)>,
    /// What was, and for whom.
    held: Vec<(usize, Decisions)>,
}

/// A copy of a slot that is under way.
#[derive(Clone, Debug)]
struct Copying {
    /// The process that it is known to go on in.
    life: Life,
    pin: Pin,
    /// A process after that has got the first part, up to this key: the next one shows whether it goes on from there.
    opened: Option<Bytes>,
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
    /// A replica has got parts of a snapshot before, and gets more: from behind this key on, or from the beginning.
    Copies(usize, Slot, Pin, Option<Bytes>),
    /// A snapshot has become a replica's state.
    Installed(usize, Slot, Seq),
    /// A slot's data is gone from a node that has no part in it.
    Dropped(usize, Slot),
    /// What a node was to be told long ago reaches it now.
    Late(usize, Decisions),
    /// The store refuses chains that a coordinator decided on under an epoch that is over.
    StoreRefuses(usize, Epoch, Vec<Chain>),
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
            known: Known::default(),
            seen: Vec::new(),
            cut_off: BTreeSet::new(),
            again: BTreeMap::new(),
            asked: BTreeMap::new(),
            copying: BTreeMap::new(),
            without_store: BTreeSet::new(),
            holding: BTreeSet::new(),
            held: Vec::new(),
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
        self.world.happenings += 1;
        self.world.trace.step_to(self.world.happenings);
        self.world.judge_length(HAPPENINGS)?;
        if let Some(happening) = self.watch(happening) {
            let errand = if let Happening::StoreActs { errand } = happening { Some(errand) } else { None };
            self.world.happen(happening)?;
            let refused = errand.and_then(|errand| self.world.realm.refused(errand));
            if let Some((seat, epoch, chains)) = refused.filter(|(_, _, chains)| !chains.is_empty()) {
                self.see(Seen::StoreRefuses(seat, epoch, chains));
            }
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
            Happening::FromCoordinator { node, down, .. } => {
                if let Some((seat, decisions)) = self.world.lines.seat_of(*node).zip(told(down))
                    && self.holding.contains(&(seat, *node))
                {
                    self.held.push((*node, decisions.clone()));
                    return None;
                }
            }
            Happening::Frame { from, to, connection, envelope } if self.world.network.arrives(*from, *to, *connection) => {
                if let Message::Chunk(chunk) = &envelope.message {
                    self.watch_copy(*to, envelope.slot, chunk);
                }
            }
            _ => {} // of no interest, or seen in what comes of it
        }
        Some(happening)
    }

    /// A part of a snapshot arrives. That a copy begins and goes on is nothing to tell; that it begins again, or survives its
    /// process, is.
    fn watch_copy(&mut self, node: usize, slot: Slot, chunk: &Chunk) {
        let Some(life) = self.world.hosts[node].process.as_ref().map(|process| process.life) else { return };
        let (pin, after) = (chunk.pin.clone(), chunk.after.clone());
        let begun = Copying { life, pin: pin.clone(), opened: None };
        let Some(known) = self.copying.get_mut(&(node, slot)) else {
            self.copying.insert((node, slot), begun);
            return;
        };
        if known.pin != pin {
            *known = begun;
            self.see(Seen::Copies(node, slot, pin, None));
        } else if known.life != life && after.is_none() {
            known.opened = chunk.objects.last().map(|(key, _)| key.clone());
        } else if known.life != life {
            let goes_on = known.opened != after;
            *known = begun;
            self.see(Seen::Copies(node, slot, pin, after.filter(|_| goes_on)));
        }
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
            Ending::Answer(Ok(Reply::Written { entry: None, .. } | Reply::Opened { .. } | Reply::Scanned { .. })) => {
                Outcome::NothingToDo
            }
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

/// What a node is told to do, if it is anything.
fn told(down: &Down) -> Option<&Decisions> {
    let decisions = match down {
        Down::Decided(decisions) => decisions,
        Down::Answer(answer) => &answer.decisions,
        Down::Registered | Down::Refused => return None,
    };
    let Decisions { epoch: _, roll_call: _, chains, fences, drops } = decisions;
    let nothing = chains.is_empty() && fences.is_empty() && drops.is_empty();
    (!nothing).then_some(decisions)
}

fn outcome_of(kind: Kind) -> Outcome {
    match kind {
        Kind::NotExecuted => Outcome::NotExecuted,
        Kind::Unknown => Outcome::Unknown,
    }
}
