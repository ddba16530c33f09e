//! Coordinators: machines of their own, each with a clock, process lives and pauses, over one store.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use catena_core::{
    Coordinator, CoordinatorEffect, CoordinatorEvent, Epoch, Health, Incarnation, NodeId, Note, Order, OrderError, Record,
    RequestId, Route, Slot, Status, Time,
};

use super::realm::Deed;
use super::streams::{Down, Up};
use super::{Happening, Life, World};
use crate::check::Violation;
use crate::check::flaps::Caller;
use crate::check::silence::{Ear, Heard};
use crate::chronicle::{About, Kind, State};
use crate::clock::Clock;
use crate::describe;
use crate::plan::Place;

/// How long an operator's order may be on its way to the store, at most.
const ORDERED: Duration = Duration::from_secs(10);

/// A coordinator's machine.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) clock: Clock,
    process: Option<Process>,
    /// It does not reach the store until then.
    pub(super) store_cut_until: Time,
}

#[derive(Debug)]
struct Process {
    life: Life,
    machine: Coordinator,
    /// What waits while the process stands still.
    paused: Option<VecDeque<Summons>>,
    ear: Ear,
    /// Operations for the store, the first one on its way.
    deeds: VecDeque<Deed>,
    wake_at: Option<Time>,
    /// Since when it has led, and under which epoch, for all that it knows; `None`: it follows.
    led: Option<(Time, Epoch)>,
    /// By node: its newest stream here.
    guests: Vec<Option<Guest>>,
    /// Replicas that have last said to be damaged.
    damaged: Vec<(usize, Slot, Incarnation)>,
}

/// A node at the other end of a stream.
#[derive(Clone, Copy, Debug)]
struct Guest {
    stream: u64,
    incarnation: Incarnation,
    standing: Registration,
    /// When its last heartbeat was read.
    heard: Option<Heard>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registration {
    Pending,
    Done,
}

/// What goes into a coordinator's process.
#[derive(Debug)]
pub(super) enum Summons {
    Up { node: usize, stream: u64, up: Up },
    Event(CoordinatorEvent),
}

impl Seat {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, process: None, store_cut_until: Time(0) }
    }

    pub(super) fn alive(&self) -> bool {
        self.process.is_some()
    }

    /// The run of its process.
    pub(super) fn life(&self) -> Option<Life> {
        self.process.as_ref().map(|process| process.life)
    }

    /// Whether it has let the node in, on its newest stream.
    pub(super) fn has_let_in(&self, node: usize) -> bool {
        let guest = self.process.as_ref().and_then(|process| process.guests[node]);
        guest.is_some_and(|guest| guest.standing == Registration::Done)
    }

    /// Whether this replica has last told it that it is damaged.
    pub(super) fn knows_damaged(&self, node: usize, slot: Slot, incarnation: Incarnation) -> bool {
        self.process.as_ref().is_some_and(|process| process.damaged.contains(&(node, slot, incarnation)))
    }

    /// Whether it answers just now.
    pub(super) fn answers(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.paused.is_none())
    }

    /// Where everything is, if it leads.
    pub(super) fn route(&self) -> Option<Rc<Route>> {
        self.running()?.machine.route().map(Rc::new)
    }

    /// The cluster, if it leads.
    pub(super) fn status(&self) -> Option<Status> {
        self.running()?.machine.status()
    }

    /// Whether it takes a node for dead, and leaves it where it is (K4).
    pub(super) fn spares(&self, node: &NodeId) -> bool {
        let overview = self.running().and_then(|process| process.machine.overview());
        overview.is_some_and(|overview| overview.nodes.iter().any(|account| account.node == node && account.spared))
    }

    fn running(&self) -> Option<&Process> {
        self.process.as_ref().filter(|process| process.paused.is_none())
    }

    /// Whether nothing waits for the store but what is on its way.
    pub(super) fn has_sent_all(&self) -> bool {
        self.process.as_ref().is_none_or(|process| process.deeds.len() <= 1)
    }

    /// Stands still. Whether it went before.
    pub(super) fn pause(&mut self, now: Time) -> bool {
        let Some(process) = self.process.as_mut().filter(|process| process.paused.is_none()) else { return false };
        process.paused = Some(VecDeque::new());
        process.ear.sleeps(now);
        true
    }
}

impl World {
    /// The coordinator that leads, as far as anybody can tell: it says so, and answers.
    pub(super) fn leader(&self) -> Option<usize> {
        (0..self.seats.len()).find(|seat| self.seats[*seat].route().is_some())
    }

    /// Starts a coordinator, if it is down.
    pub(super) fn start_coordinator(&mut self, seat: usize) {
        if self.seats[seat].alive() {
            return;
        }
        let life = self.next_life();
        let now = self.seats[seat].clock.now(self.now);
        let machine = Coordinator::new(self.options.coordinator.clone(), now);
        let guests = vec![None; self.hosts.len()];
        self.seats[seat].process = Some(Process {
            life,
            machine,
            paused: None,
            ear: Ear::default(),
            deeds: VecDeque::new(),
            wake_at: None,
            led: None,
            guests,
            damaged: Vec::new(),
        });
        self.trace.begins(self.now, Place::Seat(seat), Kind::Process, About::default(), || (State::Up, "starts".to_owned()));
        self.schedule_coordinator(seat);
    }

    /// A coordinator dies. Whether it was alive.
    pub(super) fn kill_coordinator(&mut self, seat: usize) -> Result<bool, Violation> {
        self.end_subscriptions(seat);
        let Some(process) = self.seats[seat].process.take() else { return Ok(false) };
        self.trace.begins(self.now, Place::Seat(seat), Kind::Process, About::default(), || (State::Down, "goes down".to_owned()));
        self.orphan_errands(seat, process.life)?;
        for node in 0..self.hosts.len() {
            if self.lines.seat_of(node) == Some(seat) {
                self.break_stream(node);
            }
        }
        Ok(true)
    }

    /// A coordinator goes on: with its timers, and with all that has arrived meanwhile.
    pub(super) fn resume_coordinator(&mut self, seat: usize) -> Result<(), Violation> {
        let Some(process) = &mut self.seats[seat].process else { return Ok(()) };
        let Some(waiting) = process.paused.take() else { return Ok(()) };
        process.ear.wakes(self.now);
        self.trace.begins(self.now, Place::Seat(seat), Kind::Process, About::default(), || (State::Up, "goes on".to_owned()));
        waiting.into_iter().try_for_each(|summons| self.summon(seat, summons))
    }

    /// Hands something to a coordinator, now or when it goes on. Lost, where there is no process.
    pub(super) fn summon(&mut self, seat: usize, summons: Summons) -> Result<(), Violation> {
        let Some(process) = &mut self.seats[seat].process else { return Ok(()) };
        if let Some(waiting) = &mut process.paused {
            waiting.push_back(summons);
            return Ok(());
        }
        match summons {
            Summons::Event(event) => self.coordinate(seat, event),
            Summons::Up { node, stream, up } => self.hear_node(seat, node, stream, up),
        }
    }

    /// Something comes in on a stream. Only what is on a node's newest one counts, and only once it was let in.
    fn hear_node(&mut self, seat: usize, node: usize, stream: u64, up: Up) -> Result<(), Violation> {
        let process = self.seats[seat].process.as_mut().expect("the caller has looked");
        let guests = &mut process.guests;
        match (up, guests[node]) {
            (Up::Register(record), guest) if guest.is_none_or(|guest| guest.stream < stream) => {
                guests[node] =
                    Some(Guest { stream, incarnation: record.incarnation, standing: Registration::Pending, heard: None });
                self.coordinate(seat, CoordinatorEvent::Register(record))
            }
            (Up::Heartbeat(heartbeat), Some(guest)) if guest.stream == stream && guest.standing == Registration::Done => {
                guests[node] = Some(Guest { heard: Some(process.ear.hears(self.now)), ..guest });
                for report in &heartbeat.reports {
                    let damaged = report.damaged;
                    process.damaged.retain(|(other, slot, _)| (*other, *slot) != (node, report.slot));
                    process.damaged.extend(damaged.then_some((node, report.slot, guest.incarnation)));
                }
                let (from, incarnation) = (self.hosts[node].identity.node.clone(), guest.incarnation);
                self.coordinate(seat, CoordinatorEvent::Heartbeat { from, incarnation, heartbeat })
            }
            (Up::Register(_) | Up::Heartbeat(_), _) => Ok(()),
        }
    }

    /// One step of a coordinator.
    fn coordinate(&mut self, seat: usize, event: CoordinatorEvent) -> Result<(), Violation> {
        self.trace.coordinator_event(self.now, seat, &event);
        let Seat { clock, process, .. } = &mut self.seats[seat];
        let process = process.as_mut().expect("only processes are stepped");
        let mut effects = std::mem::take(&mut self.decisions);
        process.machine.step(clock.now(self.now), event, &mut effects);
        self.judge_suspicions(seat, &effects)?;
        for effect in effects.drain(..) {
            self.trace.coordinator_effect(&effect);
            if self.trace.watched()
                && let Some(text) = describe::effect(&effect)
            {
                self.note_effect(seat, &effect, text);
            }
            self.run_coordinator_effect(seat, effect)?;
        }
        self.decisions = effects;
        self.note_stored(seat);
        self.schedule_coordinator(seat);
        Ok(())
    }

    /// Whom a leader calls suspect too often, it evicts in the same step (K3).
    fn judge_suspicions(&mut self, seat: usize, effects: &[CoordinatorEffect]) -> Result<(), Violation> {
        let Seat { clock, process: Some(process), .. } = &mut self.seats[seat] else { return Ok(()) };
        let wall = clock.now(self.now).wall;
        let notes = || {
            effects.iter().filter_map(|effect| match effect {
                CoordinatorEffect::Note(note) => Some(note),
                _ => None,
            })
        };
        for note in notes() {
            match note {
                Note::Leads(epoch) => process.led = Some((self.now, *epoch)),
                Note::Follows => process.led = None,
                Note::Health { node, health: Health::Suspect } => {
                    // Of one that another has followed, nothing is stored any more, nor does it know what the other counts.
                    let Some((since, epoch)) = process.led.filter(|(_, epoch)| self.realm.leads(*epoch)) else { continue };
                    let by = Caller { epoch, wall, led: self.now.since(since) };
                    let out = |note: &Note| matches!(note, Note::Evicted { node: evicted, .. } if evicted == node);
                    let all = self.realm.all_are_members();
                    self.flaps.suspected(node, by, notes().any(out), all, self.now, &self.options.coordinator)?;
                }
                Note::Health { .. } | Note::Evicted { .. } | Note::Restrained { .. } | Note::Chain(_) => {}
            }
        }
        Ok(())
    }

    /// A leader that waits for nothing from the store, and that nobody has followed, has had stored whatever it counts.
    fn note_stored(&mut self, seat: usize) {
        let Some(process) = &self.seats[seat].process else { return };
        let Some((_, epoch)) = process.led.filter(|_| process.deeds.is_empty()) else { return };
        if self.flaps.owes(epoch) && self.realm.leads(epoch) {
            self.flaps.stored(epoch);
        }
    }

    fn note_effect(&mut self, seat: usize, effect: &CoordinatorEffect, text: String) {
        let (now, at, about) = (self.now, Place::Seat(seat), About::default());
        match effect {
            CoordinatorEffect::Note(Note::Leads(_)) => {
                self.trace.begins(now, at, Kind::Coordinator, about, || (State::Leads, text));
            }
            CoordinatorEffect::Note(Note::Follows) => {
                self.trace.begins(now, at, Kind::Coordinator, about, || (State::Follows, text));
            }
            _ => self.trace.note(now, at, Kind::Coordinator, about, || text),
        }
    }

    fn run_coordinator_effect(&mut self, seat: usize, effect: CoordinatorEffect) -> Result<(), Violation> {
        match effect {
            CoordinatorEffect::Observe => self.ask_store(seat, Deed::Observe),
            CoordinatorEffect::Lead { over } => self.ask_store(seat, Deed::Lead { over }),
            CoordinatorEffect::Renew(leadership) => self.ask_store(seat, Deed::Renew(leadership)),
            CoordinatorEffect::Store { ticket, epoch, changes } => {
                for change in &changes {
                    if let Record::Chain(chain) = &change.record {
                        self.judge_proposed(seat, chain)?;
                    }
                }
                self.ask_store(seat, Deed::Store { ticket, epoch, changes });
            }
            CoordinatorEffect::Registered { node } => {
                let node = self.node_of(&node);
                if let Some(guest) = self.guest(seat, node) {
                    guest.standing = Registration::Done;
                    let stream = guest.stream;
                    self.down(seat, node, stream, Down::Registered);
                }
            }
            CoordinatorEffect::Refused { node, reason } => {
                let node = self.node_of(&node);
                self.judge_refusal(node, &reason)?;
                if let Some(stream) = self.guest(seat, node).map(|guest| guest.stream) {
                    self.down(seat, node, stream, Down::Refused);
                }
            }
            CoordinatorEffect::Answer { to, answer } => {
                let node = self.node_of(&to);
                if let Some(stream) = self.welcome(seat, node) {
                    self.answer(seat, node, stream, answer);
                }
            }
            CoordinatorEffect::Decide { to, decisions } => {
                let node = self.node_of(&to);
                if let Some(stream) = self.welcome(seat, node) {
                    self.push(seat, node, stream, decisions);
                }
            }
            CoordinatorEffect::Done { request, result } => self.order_done(request, result),
            CoordinatorEffect::RouteChanged { slots } => self.route_changed(seat, &slots)?,
            CoordinatorEffect::Note(Note::Follows) => self.end_subscriptions(seat),
            CoordinatorEffect::Note(Note::Health { node, health }) => {
                let index = self.node_of(&node);
                let process = self.seats[seat].process.as_ref().expect("it was stepped");
                let heard = process.guests[index].and_then(|guest| guest.heard);
                process.ear.judged(&node, health, heard, self.now, &self.options.coordinator, self.options.scale.drift)?;
            }
            CoordinatorEffect::Note(_) => {}
        }
        Ok(())
    }

    fn guest(&mut self, seat: usize, node: usize) -> Option<&mut Guest> {
        self.seats[seat].process.as_mut().expect("it was stepped").guests[node].as_mut()
    }

    /// The stream of a node that was let in.
    fn welcome(&mut self, seat: usize, node: usize) -> Option<u64> {
        self.guest(seat, node).filter(|guest| guest.standing == Registration::Done).map(|guest| guest.stream)
    }

    /// One operation after the other.
    fn ask_store(&mut self, seat: usize, deed: Deed) {
        let process = self.seats[seat].process.as_mut().expect("it was stepped");
        process.deeds.push_back(deed);
        if let [deed] = process.deeds.make_contiguous() {
            let (life, deed) = (process.life, deed.clone());
            self.send_errand(seat, life, deed);
        }
    }

    /// The store reports to the process that asked.
    pub(super) fn errand_done(&mut self, seat: usize, life: Life, outcome: CoordinatorEvent) -> Result<(), Violation> {
        let Some(process) = self.seats[seat].process.as_mut().filter(|process| process.life == life) else { return Ok(()) };
        process.deeds.pop_front();
        if let Some(deed) = process.deeds.front().cloned() {
            self.send_errand(seat, life, deed);
        }
        self.summon(seat, Summons::Event(outcome))
    }

    fn schedule_coordinator(&mut self, seat: usize) {
        let late = Duration::from_nanos(self.rng.below(50_000));
        let Seat { clock, process: Some(process), .. } = &mut self.seats[seat] else { return };
        let due = clock.world_at(process.machine.deadline()).max(self.now) + late;
        if process.wake_at.is_none_or(|at| at > due) {
            process.wake_at = Some(due);
            self.queue.push(due, Happening::WakeCoordinator { seat, life: process.life, at: due });
        }
    }

    pub(super) fn wake_coordinator(&mut self, seat: usize, life: Life, at: Time) -> Result<(), Violation> {
        let process = self.seats[seat].process.as_mut().filter(|process| process.life == life && process.wake_at == Some(at));
        let Some(process) = process else { return Ok(()) };
        process.wake_at = None;
        self.summon(seat, Summons::Event(CoordinatorEvent::Wake))
    }

    /// An operator asks whoever leads; where nobody does, nothing comes of it. Whether somebody was asked.
    pub(super) fn order(&mut self, order: Order) -> Result<bool, Violation> {
        let Some(seat) = self.leader() else { return Ok(false) };
        self.flaps.ordered(self.now + ORDERED);
        self.last_request.0 += 1;
        let request = self.last_request;
        self.trace.note(self.now, Place::Seat(seat), Kind::Operator, About::default(), || {
            format!("is ordered by an operator: {order:?}, order {request}")
        });
        self.summon(seat, Summons::Event(CoordinatorEvent::Order { request, order }))?;
        Ok(true)
    }

    fn order_done(&mut self, request: RequestId, result: Result<(), OrderError>) {
        self.trace.add(request.0 * 2 + u64::from(result.is_ok()));
        self.verdicts.push(result);
    }
}

pub(super) fn name(seat: usize) -> String {
    format!("c{}", seat + 1)
}
