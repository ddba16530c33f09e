//! Streams between nodes and coordinators. A node dials one coordinator after the other until one lets it in, and again when
//! it has heard nothing for a while.

use std::time::Duration;

use catena_core::{Decisions, Event, Heartbeat, HeartbeatAnswer, NodeId, NodeRecord, RegisterError, Time};

use super::hosts::{Input, Running};
use super::realm::broken;
use super::seats::{self, Summons};
use super::{Happening, Life, World};
use crate::check::Violation;
use crate::chronicle::{About, Arrival, Kind, Sent, Traffic, Way as Fate};
use crate::describe;
use crate::faults::Fault;
use crate::plan::Place;
use crate::rng::{Odds, Rng};

/// A stream on which nothing has come down for so long is given up.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a node waits for an answer to its registration, which may have to wait for the store.
const REGISTRATION: Duration = Duration::from_millis(1_500);

/// Tags of what arrives over a stream, besides its name.
const UP: u64 = 1 << 40;
const DOWN: u64 = 1 << 41;

/// All lines from nodes to coordinators.
#[derive(Debug)]
pub(super) struct Lines {
    seats: usize,
    /// By node.
    nodes: Vec<Line>,
    /// By node and coordinator, `node * seats + seat`: by how many faults each direction is cut.
    cuts: Vec<Cuts>,
    opened: u64,
}

/// A node's side.
#[derive(Clone, Debug, Default)]
struct Line {
    open: Option<Open>,
    /// The coordinator to dial next.
    next: usize,
    /// Nothing arrives before these: each direction is in order.
    last_up: Time,
    last_down: Time,
}

/// A stream; a new one gets a new name.
#[derive(Clone, Copy, Debug)]
struct Open {
    name: u64,
    seat: usize,
    standing: Standing,
    heard: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Dialled,
    LetIn,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cuts {
    up: u32,
    down: u32,
}

/// Which way a cut goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

/// From a node.
#[derive(Debug)]
pub(super) enum Up {
    Register(NodeRecord),
    Heartbeat(Heartbeat),
}

/// To a node.
#[derive(Debug)]
pub(super) enum Down {
    Registered,
    Refused,
    Answer(HeartbeatAnswer),
    Decided(Decisions),
}

impl Lines {
    pub(super) fn new(nodes: usize, seats: usize) -> Self {
        Self { seats, nodes: vec![Line::default(); nodes], cuts: vec![Cuts::default(); nodes * seats], opened: 0 }
    }

    /// The coordinator at the other end of a node's stream.
    pub(super) fn seat_of(&self, node: usize) -> Option<usize> {
        self.nodes[node].open.map(|open| open.seat)
    }

    fn named(&mut self, node: usize, name: u64) -> Option<&mut Open> {
        self.nodes[node].open.as_mut().filter(|open| open.name == name)
    }

    /// A node's stream ends. Whether there was one.
    pub(super) fn hang_up(&mut self, node: usize) -> bool {
        self.nodes[node].open.take().is_some()
    }

    fn cuts(&mut self, node: usize, seat: usize) -> &mut Cuts {
        &mut self.cuts[node * self.seats + seat]
    }

    fn direction(&mut self, node: usize, seat: usize, way: Way) -> &mut u32 {
        let cuts = self.cuts(node, seat);
        match way {
            Way::Up => &mut cuts.up,
            Way::Down => &mut cuts.down,
        }
    }

    pub(super) fn cut(&mut self, node: usize, seat: usize, way: Way) {
        *self.direction(node, seat, way) += 1;
    }

    pub(super) fn mend(&mut self, node: usize, seat: usize, way: Way) {
        *self.direction(node, seat, way) -= 1;
    }

    pub(super) fn mend_all(&mut self) {
        self.cuts.fill(Cuts::default());
    }
}

impl World {
    /// A node's stream breaks; its process notices, and dials again.
    /// Whether there was one.
    pub(super) fn break_stream(&mut self, node: usize) -> bool {
        let broken = self.lines.hang_up(node);
        if broken && let Some(process) = &self.hosts[node].process {
            self.redial(node, process.life, Duration::from_millis(100));
        }
        broken
    }

    fn redial(&mut self, node: usize, life: Life, within: Duration) {
        let delay = self.rng.duration(within / 20, within);
        self.queue.push(self.now + delay, Happening::OpenStream { node, life });
    }

    pub(super) fn open_stream(&mut self, node: usize, life: Life) {
        let Some(process) = self.hosts[node].alive(life) else { return };
        let stands_still = matches!(process.running, Running::Paused(_));
        if self.lines.nodes[node].open.is_some() {
            return;
        }
        if stands_still {
            return self.redial(node, life, Duration::from_millis(100)); // it dials when it goes on
        }
        let seats = self.seats.len();
        let next = &mut self.lines.nodes[node].next;
        let seat = *next;
        *next = (seat + 1) % seats;
        let cuts = *self.lines.cuts(node, seat);
        if cuts.up + cuts.down > 0 {
            return self.redial(node, life, Duration::from_millis(400)); // nobody answers
        }
        if !self.seats[seat].alive() {
            return self.redial(node, life, Duration::from_millis(40)); // refused
        }
        self.lines.opened += 1;
        let name = self.lines.opened;
        let open = Open { name, seat, standing: Standing::Dialled, heard: self.now };
        self.lines.nodes[node] = Line { open: Some(open), next: seat, ..Line::default() };
        self.up(node, open, Up::Register(self.hosts[node].record()));
    }

    fn up(&mut self, node: usize, open: Open, up: Up) {
        let at = self.now + self.latency();
        if self.lines.cuts(node, open.seat).up > 0 {
            return self.note_up(node, open.seat, &up, Fate::Lost("the line is cut"));
        }
        let Some(life) = self.seats[open.seat].life() else {
            return self.note_up(node, open.seat, &up, Fate::Lost("nobody is there"));
        };
        let last = &mut self.lines.nodes[node].last_up;
        *last = at.max(*last);
        let due = *last;
        self.note_up(node, open.seat, &up, Fate::Arrives(due, UP + open.name));
        let last = &self.lines.nodes[node].last_up;
        self.queue.push(*last, Happening::ToCoordinator { node, seat: open.seat, life, stream: open.name, up });
    }

    /// For a picture.
    fn note_up(&mut self, node: usize, seat: usize, up: &Up, way: Fate) {
        let (from, to) = (Place::Node(node), Place::Seat(seat));
        self.trace.sent(self.now, way, || {
            let (kind, text) = match up {
                Up::Register(_) => (Traffic::Decision, "registers".to_owned()),
                Up::Heartbeat(heartbeat) => (Traffic::Heartbeat, describe::heartbeat(heartbeat)),
            };
            Sent { from, to, kind, about: About::default(), text }
        });
    }

    /// For a picture.
    fn note_down(&mut self, seat: usize, node: usize, down: &Down, way: Fate) {
        let (from, to) = (Place::Seat(seat), Place::Node(node));
        let way = match way {
            Fate::Arrives(at, stream) => Fate::Arrives(at, DOWN + stream),
            lost @ Fate::Lost(_) => lost,
        };
        self.trace.sent(self.now, way, || {
            let (kind, text) = match down {
                Down::Registered => (Traffic::Decision, "is let in".to_owned()),
                Down::Refused => (Traffic::Decision, "is refused".to_owned()),
                Down::Answer(answer) if answer.decisions.chains.is_empty() && answer.decisions.fences.is_empty() => {
                    (Traffic::Answer, describe::heartbeat_answer(answer))
                }
                Down::Answer(answer) => (Traffic::Decision, describe::heartbeat_answer(answer)),
                Down::Decided(decisions) => (Traffic::Decision, describe::decisions(decisions)),
            };
            Sent { from, to, kind, about: About::default(), text }
        });
    }

    /// A node has a heartbeat to send, if a coordinator has let it in.
    pub(super) fn heartbeat(&mut self, node: usize, heartbeat: Heartbeat) {
        let Some(open) = self.lines.nodes[node].open else { return };
        let patience = match open.standing {
            Standing::Dialled => REGISTRATION,
            Standing::LetIn => PATIENCE,
        };
        if self.now.since(open.heard) > patience {
            self.trace.note(self.now, Place::Node(node), Kind::Process, About::default(), || {
                format!("gives {} up", seats::name(open.seat))
            });
            self.lines.nodes[node].next = (open.seat + 1) % self.seats.len();
            self.break_stream(node);
            return;
        }
        if open.standing == Standing::Dialled {
            return;
        }
        if self.strikes(Fault::LostHeartbeat, Place::Line(node, open.seat)) {
            return self.note_up(node, open.seat, &Up::Heartbeat(heartbeat), Fate::Lost("lost"));
        }
        self.up(node, open, Up::Heartbeat(heartbeat));
    }

    /// What a node sent arrives, even if the node has gone meanwhile, in most cases.
    pub(super) fn arrive_at_coordinator(
        &mut self,
        node: usize,
        seat: usize,
        life: Life,
        stream: u64,
        up: Up,
    ) -> Result<(), Violation> {
        let gone = self.lines.named(node, stream).is_none();
        let lost = self.seats[seat].life() != Some(life) || (gone && self.rng.below(4) == 0);
        let arrival = Arrival { to: Place::Seat(seat), at: self.now, tag: UP + stream };
        self.trace.arrived(arrival, lost.then_some("its stream has ended"));
        if lost {
            return Ok(());
        }
        self.summon(seat, Summons::Up { node, stream, up })
    }

    pub(super) fn answer(&mut self, seat: usize, node: usize, stream: u64, answer: HeartbeatAnswer) {
        if self.lines.named(node, stream).is_some() {
            self.note_grant(node, &answer);
        }
        let place = Place::Line(node, seat);
        if self.strikes(Fault::LostAnswer, place) {
            return self.note_down(seat, node, &Down::Answer(answer), Fate::Lost("lost"));
        }
        // What carries a decision is repeated often: a repeated heartbeat without news is soon nothing.
        let news = self.options.on(Fault::RepeatedAnswer) && !answer.decisions.chains.is_empty();
        let late = if news { self.strikes_at(Odds::percent(25), Fault::RepeatedAnswer, place, Rng::lateness) } else { None };
        if let Some(late) = late.or_else(|| self.strikes_as(Fault::RepeatedAnswer, place, Rng::lateness)) {
            let again = Down::Answer(answer.clone());
            self.note_down(seat, node, &again, Fate::Arrives(self.now + late, stream));
            self.queue.push(self.now + late, Happening::FromCoordinator { node, stream, down: again });
        }
        self.down(seat, node, stream, Down::Answer(answer));
    }

    /// What a coordinator tells a node by itself.
    pub(super) fn push(&mut self, seat: usize, node: usize, stream: u64, decisions: Decisions) {
        if self.strikes(Fault::LostPush, Place::Line(node, seat)) {
            return self.note_down(seat, node, &Down::Decided(decisions), Fate::Lost("lost"));
        }
        self.down(seat, node, stream, Down::Decided(decisions));
    }

    pub(super) fn down(&mut self, seat: usize, node: usize, stream: u64, down: Down) {
        let mut delay = self.latency();
        if matches!(down, Down::Answer(_)) {
            let longer = |rng: &mut Rng| rng.heavy_tail(Duration::from_millis(2));
            delay += self.strikes_as(Fault::DelayedAnswer, Place::Line(node, seat), longer).unwrap_or_default();
        }
        if self.lines.named(node, stream).is_none() {
            return self.note_down(seat, node, &down, Fate::Lost("its stream has ended"));
        }
        if self.lines.cuts(node, seat).down > 0 {
            return self.note_down(seat, node, &down, Fate::Lost("the line is cut"));
        }
        let last = &mut self.lines.nodes[node].last_down;
        *last = (self.now + delay).max(*last);
        let due = *last;
        self.note_down(seat, node, &down, Fate::Arrives(due, stream));
        let last = &self.lines.nodes[node].last_down;
        self.queue.push(*last, Happening::FromCoordinator { node, stream, down });
    }

    pub(super) fn arrive_from_coordinator(&mut self, node: usize, stream: u64, down: Down) -> Result<(), Violation> {
        let now = self.now;
        let there = self.hosts[node].process.is_some();
        let arrival = Arrival { to: Place::Node(node), at: now, tag: DOWN + stream };
        let Some(open) = self.lines.named(node, stream) else {
            self.trace.arrived(arrival, Some("its stream has ended"));
            return Ok(());
        };
        self.trace.arrived(arrival, (!there).then_some("nobody is there"));
        open.heard = now;
        let event = match down {
            Down::Registered => {
                open.standing = Standing::LetIn;
                Event::CoordinatorUp
            }
            Down::Refused => {
                let next = (open.seat + 1) % self.seats.len();
                self.lines.nodes[node].next = next;
                self.break_stream(node);
                return Ok(());
            }
            Down::Answer(answer) => Event::Answer(answer),
            Down::Decided(decisions) => Event::Decided(decisions),
        };
        self.input_any(node, Input::Event(event))
    }

    /// A node is refused. It is right to be where another leads, and where its data was wiped while the lease of the process
    /// before may hold; never else.
    pub(super) fn judge_refusal(&self, node: usize, reason: &RegisterError) -> Result<(), Violation> {
        match reason {
            RegisterError::NotLeading => Ok(()),
            RegisterError::Elsewhere { .. } if self.hosts[node].wiped.is_some() => Ok(()),
            RegisterError::Elsewhere { .. } | RegisterError::AddressTaken { .. } | RegisterError::OtherLabels { .. } => {
                Err(broken("C1", format!("{} is refused: {reason}", self.hosts[node].name())))
            }
        }
    }

    pub(super) fn node_of(&self, id: &NodeId) -> usize {
        self.hosts.iter().position(|host| host.identity.node == *id).expect("there are no others")
    }
}
