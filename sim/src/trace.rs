//! What a world leaves behind: a hash of everything that happened, and, for a replay, a line for each transition.

use std::io::Write as _;

use catena_core::{
    Action, CallError, Chunk, CoordinatorEffect, CoordinatorEvent, Decisions, Effect, EntryId, Envelope, Event, Incarnation,
    Message, Reply, Time, Write,
};

use crate::chronicle::{About, Arrival, Chronicle, Kind, Note, Sent, State, Way};
use crate::plan::Place;

/// Whether a world prints as it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Printing {
    /// One line for each transition, on standard output.
    On,
    /// Silent.
    Off,
}

/// The trace of one world.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    printing: Printing,
    chronicle: Option<Chronicle>,
    /// How many things have happened, with the one that is happening.
    step: u64,
}

impl Trace {
    pub(crate) fn new(printing: Printing) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, printing, chronicle: None, step: 0 }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    fn printing(&self) -> bool {
        self.printing == Printing::On
    }

    /// Whether anybody looks.
    pub(crate) fn watched(&self) -> bool {
        self.printing() || self.chronicle.is_some()
    }

    /// From now on what happens is kept for a picture.
    pub(crate) fn keep(&mut self) {
        self.chronicle = Some(Chronicle::default());
    }

    /// What was kept.
    pub(crate) fn chronicle(&mut self) -> Option<Chronicle> {
        self.chronicle.take()
    }

    /// The next thing happens.
    pub(crate) fn step_to(&mut self, step: u64) {
        self.step = step;
    }

    /// Something worth a line happens at a place.
    pub(crate) fn note(&mut self, now: Time, at: Place, kind: Kind, about: About, text: impl FnOnce() -> String) {
        if self.watched() {
            self.keep_note(now, at, kind, about, None, text());
        }
    }

    /// The same; and it is the beginning of something that lasts.
    pub(crate) fn begins(&mut self, now: Time, at: Place, kind: Kind, about: About, what: impl FnOnce() -> (State, String)) {
        if self.watched() {
            let (state, text) = what();
            self.keep_note(now, at, kind, about, Some(state), text);
        }
    }

    fn keep_note(&mut self, now: Time, at: Place, kind: Kind, about: About, state: Option<State>, text: String) {
        // Of a state that something begins with, only pictures are told.
        if kind.is_printed() && !text.is_empty() {
            self.line(now, || match at {
                Place::World => text.clone(),
                at => format!("{at} {text}"),
            });
        }
        if let Some(chronicle) = &mut self.chronicle {
            chronicle.note(Note { step: self.step, t: now.0, at: at.to_string(), kind, about, text, state });
        }
    }

    /// A message is sent. Only pictures have messages.
    pub(crate) fn sent(&mut self, now: Time, way: Way, message: impl FnOnce() -> Sent) {
        if let Some(chronicle) = &mut self.chronicle {
            chronicle.sent(self.step, now, message(), way);
        }
    }

    /// A message arrives, or would have.
    pub(crate) fn arrived(&mut self, arrival: Arrival, lost: Option<&'static str>) {
        if let Some(chronicle) = &mut self.chronicle {
            chronicle.arrived(self.step, arrival, lost);
        }
    }

    /// Prints a line with the time and the number of the step, if anybody looks.
    pub(crate) fn line(&self, now: Time, text: impl FnOnce() -> String) {
        if self.printing() {
            // A reader that has seen enough (`| head`) closes the pipe: the world goes on to its verdict.
            let _ = writeln!(
                std::io::stdout(),
                "{:>12.6} {:>7} {}",
                std::time::Duration::from_nanos(now.0).as_secs_f64(),
                self.step,
                text()
            );
        }
    }

    /// Adds a number to the hash. Multiply and rotate, as in `FxHash`: fast, and any change spreads.
    pub(crate) fn add(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn add_all<const N: usize>(&mut self, words: [u64; N]) {
        for word in words {
            self.add(word);
        }
    }

    fn add_entry(&mut self, id: EntryId) {
        self.add_all([id.version.0, id.seq.0]);
    }

    pub(crate) fn event(&mut self, now: Time, node: usize, event: &Event) {
        self.add_all([now.0, node as u64]);
        match event {
            Event::Write { request, target, command, origin, stored } => {
                let action = match &command.action {
                    Action::Put { value } => 1 + value.len() as u64,
                    Action::Delete => 0,
                };
                let stored = stored.map_or(0, |metadata| metadata.version.0);
                self.add_all([1, request.0, target.version.0, action, command.conditions.len() as u64, stored]);
                self.add(origin.map_or(0, |origin| origin.session.0 * 1_000 + origin.number));
            }
            Event::Read { request, target, key, stored } => {
                let stored = stored.as_ref().map_or(0, |object| object.metadata.version.0);
                self.add_all([2, request.0, target.version.0, key.len() as u64, stored]);
            }
            Event::Message { from: _, envelope } => {
                self.add(3);
                self.envelope(envelope);
            }
            Event::LinkUp { peer } => self.add_all([4, peer.as_str().len() as u64]),
            Event::Durable { ticket } => self.add_all([5, ticket.0]),
            Event::CoordinatorUp => self.add(6),
            Event::Answer(answer) => {
                self.add_all([7, answer.sequence, answer.revision.0, u64::from(answer.lease.is_some())]);
                self.decisions(&answer.decisions);
            }
            Event::Wake => self.add(8),
            Event::OpenSession { request, target } => self.add_all([9, request.0, target.version.0]),
            Event::Decided(decisions) => {
                self.add(10);
                self.decisions(decisions);
            }
            Event::ChunkRead { slot, at, after: _, objects, end } => {
                self.add_all([20, u64::from(slot.0), objects.len() as u64, u64::from(end.is_some())]);
                self.add_entry(*at);
            }
            Event::Scan { request, target, after, bytes, stored } => {
                let after = after.as_ref().map_or(0, |key| 1 + key.len() as u64);
                self.add_all([24, request.0, target.version.0, after, *bytes as u64, stored.objects.len() as u64]);
            }
            Event::SpilledRead { slot, entries } => self.add_all([23, u64::from(slot.0), entries.len() as u64]),
            Event::Stop => self.add(21),
            Event::DiskFull { full } => self.add_all([25, u64::from(*full)]),
            Event::Damaged { slot, request } => {
                self.add_all([22, u64::from(slot.0), request.map_or(0, |request| request.0)]);
            }
        }
    }

    fn decisions(&mut self, decisions: &Decisions) {
        self.add(decisions.epoch.0);
        for chain in &decisions.chains {
            self.add_all([u64::from(chain.slot.0), chain.version.0]);
        }
        for (slot, version) in decisions.fences.iter().chain(&decisions.drops) {
            self.add_all([u64::from(slot.0), version.0]);
        }
    }

    /// Something happens to a coordinator.
    pub(crate) fn coordinator_event(&mut self, now: Time, seat: usize, event: &CoordinatorEvent) {
        self.add_all([now.0, 1_000 + seat as u64]);
        match event {
            CoordinatorEvent::Register(record) => self.add_all([1, fold(record.incarnation)]),
            CoordinatorEvent::Heartbeat { from: _, incarnation, heartbeat } => {
                let reports = heartbeat.reports.len() as u64;
                self.add_all([2, fold(*incarnation), heartbeat.sequence, heartbeat.applied.0, reports]);
            }
            CoordinatorEvent::Stored { ticket } => self.add_all([3, ticket.0]),
            CoordinatorEvent::Deposed => self.add(4),
            CoordinatorEvent::Observed(leadership) => self.add_all([5, leadership.epoch.0, leadership.beat]),
            CoordinatorEvent::Elected { leadership, stored } => self.add_all([6, leadership.epoch.0, stored.len() as u64]),
            CoordinatorEvent::Renewed(leadership) => self.add_all([7, leadership.epoch.0, leadership.beat]),
            CoordinatorEvent::Order { request, order: _ } => self.add_all([8, request.0]),
            CoordinatorEvent::Wake => self.add(9),
        }
    }

    pub(crate) fn coordinator_effect(&mut self, effect: &CoordinatorEffect) {
        match effect {
            CoordinatorEffect::Observe => self.add(31),
            CoordinatorEffect::Lead { over } => self.add_all([32, over.epoch.0, over.beat]),
            CoordinatorEffect::Renew(leadership) => self.add_all([33, leadership.epoch.0, leadership.beat]),
            CoordinatorEffect::Store { ticket, epoch, changes } => self.add_all([34, ticket.0, epoch.0, changes.len() as u64]),
            CoordinatorEffect::Registered { node: _ } => self.add(35),
            CoordinatorEffect::Refused { .. } => self.add(36),
            CoordinatorEffect::Answer { to: _, answer } => {
                self.add_all([37, answer.sequence, answer.revision.0, u64::from(answer.lease.is_some())]);
                self.decisions(&answer.decisions);
            }
            CoordinatorEffect::Decide { to: _, decisions } => {
                self.add(38);
                self.decisions(decisions);
            }
            CoordinatorEffect::Done { request, result } => self.add_all([39, request.0, u64::from(result.is_ok())]),
            CoordinatorEffect::RouteChanged { slots } => self.add_all([40, slots.len() as u64]),
            CoordinatorEffect::Note(_) => self.add(41),
        }
    }

    fn envelope(&mut self, envelope: &Envelope) {
        self.add_all([u64::from(envelope.slot.0), envelope.version.0]);
        match &envelope.message {
            Message::Hello => self.add(1),
            Message::Probe { log, barrier } => {
                self.add_all([2, barrier.0, log.runs.len() as u64]);
                self.add_entry(log.last());
            }
            Message::Have { last } => self.add_all([3, last.0]),
            Message::Append { entries, durable } => {
                self.add_all([4, durable.0, entries.len() as u64]);
                for entry in entries {
                    self.add_entry(entry.id);
                }
            }
            Message::Poke { last, durable } => {
                self.add_all([5, durable.0]);
                self.add_entry(*last);
            }
            Message::Ack { committed, disk_full } => self.add_all([6, committed.0, u64::from(*disk_full)]),
            Message::Newer { chain } => self.add_all([7, chain.version.0]),
            Message::Fetch { pin, after } => {
                self.add_all([8, after.as_ref().map_or(0, |key| 1 + key.len() as u64)]);
                self.add_entry(pin.as_ref().map_or(EntryId::default(), |pin| pin.at));
            }
            Message::Chunk(Chunk { pin, after: _, objects, end, checksum }) => {
                self.add_all([9, objects.len() as u64, u64::from(end.is_some()), u64::from(*checksum)]);
                self.add_entry(pin.at);
            }
        }
    }

    pub(crate) fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Send { to, envelope } => {
                self.add_all([11, to.as_str().bytes().fold(0, |sum, byte| sum * 31 + u64::from(byte))]);
                self.envelope(envelope);
            }
            Effect::Persist(batch) => {
                self.add_all([12, batch.ticket.0, u64::from(batch.slot.0)]);
                for write in &batch.writes {
                    match write {
                        Write::Chain(chain) => self.add_all([1, chain.version.0]),
                        Write::Append(entries) => self.add_all([2, entries.len() as u64]),
                        Write::Truncate { last } => self.add_all([3, last.0]),
                        Write::Apply { entries, sessions } => self.add_all([4, entries.len() as u64, sessions.len() as u64]),
                        Write::Stage { pin, objects } => {
                            self.add_all([5, objects.len() as u64]);
                            self.add_entry(pin.at);
                        }
                        Write::Install { pin, end } => {
                            self.add_all([6, end.sessions.len() as u64]);
                            self.add_entry(pin.at);
                        }
                        Write::Clear => self.add(7),
                        Write::Quarantine => self.add(8),
                        Write::Spill(entries) => self.add_all([9, entries.len() as u64]),
                        Write::DropSpill => self.add(10),
                    }
                }
            }
            Effect::Reply { request, result } => {
                self.add_all([13, request.0]);
                match result {
                    Ok(Reply::Written { entry, object: _ }) => self.add_entry(entry.unwrap_or_default()),
                    Ok(Reply::Opened { session }) => self.add_all([1, session.0]),
                    Ok(Reply::Scanned { version, page }) => self.add_all([2, version.0, page.objects.len() as u64]),
                    Ok(Reply::Read { version, object }) => {
                        self.add_all([version.0, object.as_ref().map_or(0, |object| object.metadata.updated_at.0)]);
                    }
                    Err(error) => self.add(error_number(error)),
                }
            }
            Effect::Heartbeat(heartbeat) => {
                self.add_all([14, heartbeat.sequence, heartbeat.applied.0, heartbeat.reports.len() as u64]);
            }
            Effect::Pin { slot } => self.add_all([15, u64::from(slot.0)]),
            Effect::Unpin { slot } => self.add_all([16, u64::from(slot.0)]),
            Effect::ReadChunk { slot, after, bytes } => {
                let after = after.as_ref().map_or(0, |key| 1 + key.len() as u64);
                self.add_all([17, u64::from(slot.0), after, *bytes as u64]);
            }
            Effect::ReadSpilled { slot, after, bytes } => self.add_all([18, u64::from(slot.0), after.0, *bytes as u64]),
        }
    }
}

fn fold(incarnation: Incarnation) -> u64 {
    u64::try_from(incarnation.0 % u128::from(u64::MAX)).expect("a remainder is smaller")
}

fn error_number(error: &CallError) -> u64 {
    match error {
        CallError::KeyEmpty => 1,
        CallError::KeyTooLong { .. } => 2,
        CallError::ValueTooLarge { .. } => 3,
        CallError::UnknownSlot { .. } => 4,
        CallError::Routing(_) => 5,
        CallError::NoLease { .. } => 6,
        CallError::NotCaughtUp { .. } => 7,
        CallError::ConditionFailed { .. } => 8,
        CallError::Backpressure { .. } => 9,
        CallError::OutcomeUnknown { .. } => 10,
        CallError::SessionExpired { .. } => 11,
        CallError::AlreadyAnswered { .. } => 12,
        CallError::DiskFull { .. } => 13,
    }
}
