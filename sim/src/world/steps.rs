//! Steps of storage nodes: checkers look on from all sides, and what comes out is carried out.

use std::time::Duration;

use catena_core::{Batch, CallError, Effect, Envelope, Event, Message, NodeId, Reply, RequestId, Slot, Write};

use super::clients::{Answer, Heard};
use super::hosts::Asked;
use super::{Happening, World};
use crate::check::histories::{self, Log, Watermarks};
use crate::check::{Violation, durable, ledger};
use crate::faults::Fault;
use crate::network::{Fate, Frequency};
use crate::trace::{describe, describe_change};

impl World {
    /// One step of a node, looked at from all sides.
    pub(super) fn step(&mut self, node: usize, event: Event) -> Result<(), Violation> {
        self.trace.event(self.now, node, &event);
        let cause = if self.trace.printing() { describe(&event) } else { String::new() };
        let host = &mut self.hosts[node];
        let process = host.process.as_mut().expect("only processes are stepped");
        let now = host.clock.now(self.now);
        if let Event::Answer(answer) = &event {
            process.lease.answered(answer);
            process.addresses.extend(answer.nodes.iter().map(|record| record.node.clone()));
        }
        let mut effects = std::mem::take(&mut self.effects);
        process.node.step(now, event, &mut effects);
        for slot in 0..self.options.slots {
            self.observe(node, Slot(slot), &cause)?;
        }
        for effect in effects.drain(..) {
            self.run_effect(node, effect)?;
        }
        self.effects = effects;
        self.schedule_wake(node);
        Ok(())
    }

    pub(super) fn schedule_wake(&mut self, node: usize) {
        // A timer is a little late, as timers are.
        let late = Duration::from_nanos(self.rng.below(50_000));
        let host = &mut self.hosts[node];
        let Some(process) = host.process.as_mut() else { return };
        let (deadline, _) = process.node.deadline();
        let due = host.clock.world_at(deadline).max(self.now);
        if process.wake_at.is_none_or(|at| at > due + late) {
            process.wake_at = Some(due + late);
            self.queue.push(due + late, Happening::Wake { node, life: process.life, at: due + late });
        }
    }

    /// Looks at a replica after a step, if anything has changed.
    fn observe(&mut self, node: usize, slot: Slot, cause: &str) -> Result<(), Violation> {
        let index = slot.0 as usize;
        let Self { hosts, ledger, trace, now, cuts, .. } = self;
        let host = &hosts[node];
        let process = host.process.as_ref().expect("it was stepped");
        let Some(view) = process.node.view(slot) else { return Ok(()) };
        let before = process.marks[index];
        let mut marks = Watermarks::of(&view, before.position);
        if marks == before {
            return Ok(());
        }
        marks.position = view.chain.and_then(|chain| chain.position(&host.identity.node));
        trace.line(*now, || format!("{} slot {slot} | {cause} | {}", host.name(), describe_change(&before, &marks)));
        histories::step(slot, host.name(), &before, &marks)?;
        *cuts += u64::from(marks.last.seq < before.last.seq);
        if marks.committed > before.committed {
            let skip = usize::try_from(before.committed.0.saturating_sub(view.trim.seq.0)).expect("a log in memory");
            for entry in view.entries().skip(skip).take_while(|entry| entry.id.seq <= marks.committed) {
                if ledger.commit(slot, entry, host.name())? {
                    let members = view.chain.into_iter().flat_map(|chain| &chain.members);
                    for member in members {
                        let member = hosts.iter().find(|host| host.identity.node == member.node).expect("members are nodes");
                        durable::committed(slot, entry.id, member.name(), member.disk.synced(slot))?;
                    }
                }
            }
            let known = ledger.last(slot);
            demand!(
                known.seq >= marks.committed,
                Histories,
                "W4, W11",
                "slot {slot}: {} has {} as committed, and trimmed entries behind {known} that nobody saw committed",
                host.name(),
                marks.committed
            );
        }
        let host = &mut hosts[node];
        if marks.acting {
            host.acted[index] = host.acted[index].max(marks.version);
        }
        host.process.as_mut().expect("it was stepped").marks[index] = marks;
        self.compare_with_neighbours(node, slot)
    }

    /// A replica's history includes its successor's, and is included in its predecessor's.
    fn compare_with_neighbours(&self, node: usize, slot: Slot) -> Result<(), Violation> {
        let view = |node: usize| self.hosts[node].process.as_ref().and_then(|process| process.node.view(slot));
        let Some(chain) = view(node).and_then(|view| view.chain) else { return Ok(()) };
        let Some(position) = chain.position(&self.hosts[node].identity.node) else { return Ok(()) };
        let member = |position: usize| {
            let member = chain.members.get(position)?;
            self.hosts.iter().position(|host| host.identity.node == member.node)
        };
        for (above, below) in [(position.checked_sub(1), Some(position)), (Some(position), position.checked_add(1))] {
            let (Some(above), Some(below)) = (above.and_then(member), below.and_then(member)) else { continue };
            let (Some(mine), Some(theirs)) = (view(above), view(below)) else { continue };
            let marks = |node: usize| &self.hosts[node].process.as_ref().expect("it has a view").marks[slot.0 as usize];
            histories::include(
                slot,
                Log { node: self.hosts[above].name(), watermarks: marks(above), entries: mine.entries().map(|entry| entry.id) },
                Log { node: self.hosts[below].name(), watermarks: marks(below), entries: theirs.entries().map(|entry| entry.id) },
            )?;
        }
        Ok(())
    }

    fn run_effect(&mut self, node: usize, effect: Effect) -> Result<(), Violation> {
        self.trace.effect(&effect);
        match effect {
            Effect::Send { to, envelope } => self.send(node, &to, envelope),
            Effect::Persist(batch) => self.persist(node, batch),
            Effect::Reply { request, result } => self.reply(node, request, result),
            Effect::Heartbeat(heartbeat) => {
                let host = &mut self.hosts[node];
                let now = host.clock.now(self.now).monotonic;
                host.process.as_mut().expect("it was stepped").lease.sent(&heartbeat, now);
                self.heartbeat(node, heartbeat);
                Ok(())
            }
        }
    }

    fn send(&mut self, from: usize, to: &NodeId, envelope: Envelope) -> Result<(), Violation> {
        let host = &self.hosts[from];
        durable::acted(envelope.slot, envelope.version, host.name(), host.disk.synced(envelope.slot))?;
        let to = self.hosts.iter().position(|host| host.identity.node == *to).expect("neighbours are nodes");
        let frequency = match envelope.message {
            Message::Append { .. } | Message::Ack { .. } | Message::Poke { .. } => Frequency::Common,
            Message::Hello | Message::Probe { .. } | Message::Have { .. } | Message::Stale { .. } => Frequency::Rare,
        };
        match self.network.send(from, to, frequency, self.now, &self.options) {
            Fate::Arrives(arrivals) => {
                arrivals.faults.iter().for_each(|fault| self.count(*fault));
                let connection = arrivals.connection;
                if let Some(again) = arrivals.again {
                    self.queue.push(again, Happening::Frame { from, to, connection, envelope: envelope.clone() });
                }
                self.queue.push(arrivals.first, Happening::Frame { from, to, connection, envelope });
            }
            Fate::Lost(Fault::Drop) => self.count(Fault::Drop),
            Fate::Lost(_) | Fate::Unconnected => {} // by a fault that is counted as one
        }
        Ok(())
    }

    fn persist(&mut self, node: usize, batch: Batch) -> Result<(), Violation> {
        let host = &mut self.hosts[node];
        for write in &batch.writes {
            if let Write::Truncate { last } = write {
                durable::truncated(batch.slot, &self.ledger, *last, host.name())?;
            }
        }
        let life = host.process.as_ref().expect("it was stepped").life;
        if batch.writes.iter().any(|write| matches!(write, Write::Append(_))) {
            self.aim(node);
        }
        if self.hosts[node].disk.submit(batch) {
            self.begin_sync(node, life);
        }
        Ok(())
    }

    /// A process answers a client. Nothing is shown that is not committed, nor without a lease.
    fn reply(&mut self, node: usize, request: RequestId, result: Result<Reply, CallError>) -> Result<(), Violation> {
        let host = &mut self.hosts[node];
        let now = host.clock.now(self.now).monotonic;
        let process = host.process.as_mut().expect("it was stepped");
        let asked = process.calls.remove(&request);
        let name = host.identity.node.as_str();
        demand!(asked.is_some(), Exposure, "W5", "{name} answers request {request}, which does not wait for an answer");
        let Asked { client, call } = asked.expect("just demanded");
        let call = self.history.call(call);
        let (slot, key) = (call.slot, &call.wish.key);
        match &result {
            Ok(Reply::Written { entry: Some(id), object }) => {
                self.ledger.acknowledge(slot, *id, name)?;
                let written = self.ledger.at(slot, id.seq).and_then(ledger::metadata);
                demand!(written == *object, Exposure, "W2", "slot {slot}: {name} answers {object:?}, committed is {written:?}");
            }
            Ok(Reply::Written { entry: None, object: _ }) => process.lease.shows(slot, name, now)?,
            Ok(Reply::Read { version, object }) => {
                process.lease.shows(slot, name, now)?;
                durable::acted(slot, *version, name, host.disk.synced(slot))?;
                if let Some(object) = object {
                    self.ledger.expose(slot, key, object, name)?;
                }
            }
            Err(CallError::ConditionFailed { object }) => {
                process.lease.shows(slot, name, now)?;
                if let Some(object) = object {
                    self.ledger.expose_metadata(slot, key, object, name)?;
                }
            }
            Err(_) => {}
        }
        if self.strikes(Fault::LostReply) {
            return Ok(());
        }
        let delay = self.latency();
        let heard = Heard::Answer { request, answer: Answer::Result(result) };
        self.queue.push(self.now + delay, Happening::Client { client, heard });
        Ok(())
    }
}
