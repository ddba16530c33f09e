//! What a world leaves behind: a hash of everything that happened, and, for a replay, a line for each transition.

use std::io::Write as _;

use catena_core::{Action, CallError, Effect, EntryId, Envelope, Event, HeartbeatAnswer, Message, Reply, Time, Write};

use crate::check::histories::Watermarks;

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
}

impl Trace {
    pub(crate) fn new(printing: Printing) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, printing }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn printing(&self) -> bool {
        self.printing == Printing::On
    }

    /// Prints a line, if anybody looks.
    pub(crate) fn line(&self, now: Time, text: impl FnOnce() -> String) {
        if self.printing() {
            // A reader that has seen enough (`| head`) closes the pipe: the world goes on to its verdict.
            let _ = writeln!(std::io::stdout(), "{:>12.6} {}", std::time::Duration::from_nanos(now.0).as_secs_f64(), text());
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
            Event::Write { request, target, command, stored } => {
                let action = match &command.action {
                    Action::Put { value } => 1 + value.len() as u64,
                    Action::Delete => 0,
                };
                let stored = stored.map_or(0, |metadata| metadata.version.0);
                self.add_all([1, request.0, target.version.0, action, command.conditions.len() as u64, stored]);
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
                self.add_all([
                    7,
                    answer.sequence,
                    answer.revision.0,
                    answer.chains.len() as u64,
                    u64::from(answer.lease.is_some()),
                ]);
            }
            Event::Wake => self.add(8),
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
            Message::Ack { committed } => self.add_all([6, committed.0]),
            Message::Stale { current } => self.add_all([7, current.0]),
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
                        Write::Apply(entries) => self.add_all([4, entries.len() as u64]),
                    }
                }
            }
            Effect::Reply { request, result } => {
                self.add_all([13, request.0]);
                match result {
                    Ok(Reply::Written { entry, object: _ }) => self.add_entry(entry.unwrap_or_default()),
                    Ok(Reply::Read { version, object }) => {
                        self.add_all([version.0, object.as_ref().map_or(0, |object| object.metadata.updated_at.0)]);
                    }
                    Err(error) => self.add(error_number(error)),
                }
            }
            Effect::Heartbeat(heartbeat) => {
                self.add_all([14, heartbeat.sequence, heartbeat.applied.0, heartbeat.reports.len() as u64]);
            }
        }
    }
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
    }
}

/// An event in a few words.
pub(crate) fn describe(event: &Event) -> String {
    match event {
        Event::Write { request, .. } => format!("write, request {request}"),
        Event::Read { request, .. } => format!("read, request {request}"),
        Event::Message { from, envelope } => format!("{from}: {}", describe_message(envelope)),
        Event::LinkUp { peer } => format!("link to {peer} is up"),
        Event::Durable { ticket } => format!("durable up to ticket {ticket}"),
        Event::CoordinatorUp => "registered with the coordinator".to_owned(),
        Event::Answer(answer) => describe_answer(answer),
        Event::Wake => "wake".to_owned(),
    }
}

fn describe_answer(answer: &HeartbeatAnswer) -> String {
    let chains: Vec<String> = answer.chains.iter().map(|chain| format!("slot {} v{}", chain.slot, chain.version)).collect();
    let lease = if answer.lease.is_some() { "lease" } else { "no lease" };
    format!("answer to heartbeat {}: {lease}, up to revision {} {}", answer.sequence, answer.revision, chains.join(", "))
}

fn describe_message(envelope: &Envelope) -> String {
    let message = match &envelope.message {
        Message::Hello => "hello".to_owned(),
        Message::Probe { log, barrier } => format!("probe, log {}..{}, barrier {barrier}", log.trim, log.last()),
        Message::Have { last } => format!("have {last}"),
        Message::Append { entries, durable } => match (entries.first(), entries.last()) {
            (Some(first), Some(last)) => format!("append {}..{}, durable {durable}", first.id, last.id),
            (None, _) | (_, None) => format!("durable {durable}"),
        },
        Message::Poke { last, durable } => format!("poke {last}, durable {durable}"),
        Message::Ack { committed } => format!("ack {committed}"),
        Message::Stale { current } => format!("stale, current is {current}"),
    };
    format!("v{} {message}", envelope.version)
}

/// What a step changed in a replica.
pub(crate) fn describe_change(before: &Watermarks, after: &Watermarks) -> String {
    let standing = |marks: &Watermarks| match (marks.acting, marks.matched) {
        (false, _) => "inactive",
        (true, false) => "unmatched",
        (true, true) => "matched",
    };
    let mut parts = vec![format!("v{} {}", after.version, standing(after))];
    if (before.version, standing(before)) != (after.version, standing(after)) {
        parts[0] = format!("v{} {} → {}", before.version, standing(before), parts[0]);
    }
    let numbers = [
        ("trim", before.trim.seq, after.trim.seq),
        ("committed", before.committed, after.committed),
        ("durable", before.durable, after.durable),
    ];
    for (name, before, after) in numbers {
        if before != after {
            parts.push(format!("{name} {before} → {after}"));
        }
    }
    if before.last != after.last {
        parts.push(format!("last {} → {}", before.last, after.last));
    }
    parts.join(", ")
}
