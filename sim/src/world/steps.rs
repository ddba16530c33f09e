//! Steps of storage nodes: checkers look on from all sides, and what comes out is carried out.

use std::time::Duration;

use catena_core::{CallError, Chain, Effect, Entry, EntryId, Event, Member, Operation, Reply, RequestId, Slot, Time};

use super::hosts::{Host, Stopping};
use super::{Happening, World};
use crate::check::configurations::{Reigns, Server};
use crate::check::histories::{self, Log, Watermarks};
use crate::check::{Violation, durable};
use crate::chronicle::{About, Kind, Marks, State};
use crate::describe;
use crate::history::{Author, Try};
use crate::plan::Place;

fn seconds(time: Time) -> f64 {
    Duration::from_nanos(time.0).as_secs_f64()
}

impl World {
    /// One step of a node, looked at from all sides. `by`: the call whose request it is.
    pub(super) fn step(&mut self, node: usize, event: Event, by: Option<Try>) -> Result<(), Violation> {
        self.trace.event(self.now, node, &event);
        let cause = if self.trace.watched() { describe::event(&event) } else { String::new() };
        if describe::is_notable(&event) {
            self.trace.note(self.now, Place::Node(node), Kind::Replica, About::default(), || format!("| {cause}"));
        }
        let host = &mut self.hosts[node];
        let process = host.process.as_mut().expect("only processes are stepped");
        let now = host.clock.now(self.now);
        match &event {
            Event::Answer(answer) => {
                let before = process.lease.until();
                process.lease.answered(answer);
                let until = process.lease.until();
                if until > before {
                    self.trace.begins(self.now, Place::Node(node), Kind::Lease, About::default(), || {
                        let until = host.clock.world_at(until);
                        (State::Leased { until: until.0 }, format!("has a lease until {:.6} s", seconds(until)))
                    });
                }
                process.addresses.extend(answer.nodes.iter().map(|record| record.node.clone()));
            }
            Event::Decided(decisions) => drop(process.lease.heard(decisions)),
            _ => {} // says nothing of leases
        }
        let damaged = match event {
            Event::Damaged { slot, .. } if !host.disk.is_quarantined(slot) => Some(slot),
            _ => None,
        };
        let mut effects = std::mem::take(&mut self.effects);
        process.node.step(now, event, &mut effects);
        for slot in (0..self.options.slots).map(Slot) {
            self.observe(node, slot, by, &cause)?;
        }
        for effect in effects.drain(..) {
            self.run_effect(node, effect)?;
        }
        self.effects = effects;
        self.schedule_wake(node);
        if let Some(slot) = damaged {
            self.aim_at_copies(node, slot);
        }
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
    fn observe(&mut self, node: usize, slot: Slot, by: Option<Try>, cause: &str) -> Result<(), Violation> {
        let host = &self.hosts[node];
        let process = host.process.as_ref().expect("it was stepped");
        let before = process.marks[slot.0 as usize];
        let marks = process.node.view(slot).as_ref().map_or(Watermarks::NONE, Watermarks::of);
        if marks == before {
            return self.one_serves(node, slot);
        }
        self.note_replica(node, slot, Some(&marks), || format!("slot {slot} | {cause} | {}", describe::change(&before, &marks)));
        let host = &self.hosts[node];
        let view = host.process.as_ref().and_then(|process| process.node.view(slot));
        histories::step(slot, host.name(), &before, &marks)?;
        if marks.version != before.version {
            self.judge_adopted(node, slot)?;
        }
        self.cuts += u64::from(marks.last.seq < before.last.seq);
        if let Some(view) = view {
            let skip = |seq: catena_core::Seq| usize::try_from(seq.0.saturating_sub(view.trim.seq.0)).expect("a log in memory");
            if marks.role.is_head() && before.version == marks.version && marks.last.seq > before.last.seq {
                let ordered: Vec<Entry> = view.entries().skip(skip(before.last.seq)).cloned().collect();
                self.ordered(node, slot, &ordered, by)?;
            }
            if marks.committed > before.committed {
                self.committed(node, slot, &before, &marks)?;
                self.others_serve(node, slot)?;
            }
            if marks.committed != before.committed || marks.last != before.last {
                self.compare_sessions(node, slot, &marks)?;
            }
        }
        let host = &mut self.hosts[node];
        if marks.acting {
            let acted = &mut host.acted[slot.0 as usize];
            *acted = (*acted).max(marks.version);
        }
        host.process.as_mut().expect("it was stepped").marks[slot.0 as usize] = marks;
        self.compare_with_neighbours(node, slot)?;
        self.one_serves(node, slot)
    }

    /// A replica as it is now, for whoever looks; `marks`: if they are not yet those that are known.
    pub(super) fn note_replica(&mut self, node: usize, slot: Slot, marks: Option<&Watermarks>, text: impl FnOnce() -> String) {
        self.note_marks(Kind::Replica, node, slot, marks, text);
    }

    /// A disk has synced more of a slot.
    pub(super) fn note_synced(&mut self, node: usize, slot: Slot, last: EntryId) {
        self.note_marks(Kind::Disk, node, slot, None, || format!("slot {slot}: synced up to {last}"));
    }

    fn note_marks(&mut self, kind: Kind, node: usize, slot: Slot, marks: Option<&Watermarks>, text: impl FnOnce() -> String) {
        let host = &self.hosts[node];
        let known = host.process.as_ref().map(|process| &process.marks[slot.0 as usize]);
        let (Some(marks), synced) = (marks.or(known), host.disk.synced(slot)) else { return };
        let seen = || Marks {
            version: marks.version.0,
            role: format!("{:?}", marks.role).to_lowercase(),
            matched: marks.matched,
            acting: marks.acting,
            fenced: marks.fenced,
            applied: marks.applied.0,
            committed: marks.committed.0,
            durable: marks.durable.0,
            synced: synced.last().to_string(),
            last: marks.last.to_string(),
        };
        let about = About::slot(slot);
        self.trace.begins(self.now, Place::Node(node), kind, about, || (State::Replica(seen()), text()));
    }

    /// A head has given these entries their places.
    fn ordered(&mut self, node: usize, slot: Slot, entries: &[Entry], by: Option<Try>) -> Result<(), Violation> {
        for entry in entries {
            let author = match (&entry.operation, by) {
                (Operation::OpenSession | Operation::Expire { .. }, _) => Some(Author::Chain),
                (Operation::Put { .. } | Operation::Delete { .. } | Operation::Nothing { .. }, by) => by.map(Author::Call),
            };
            let name = self.hosts[node].name();
            demand!(
                author.is_some(),
                Histories,
                "W1",
                "slot {slot}: {name} orders {entry:?}, which nobody has asked for just now"
            );
            let Some(author) = author else { continue };
            let twice = self.history.order(slot, entry.id, author);
            demand!(
                twice.is_none(),
                Histories,
                "W1, C10",
                "slot {slot}: {} orders {} for {author:?}, it was ordered for {twice:?} before",
                self.hosts[node].name(),
                entry.id
            );
        }
        Ok(())
    }

    /// A replica's commit watermark has moved: what is behind it is one history, synced wherever it has to be.
    fn committed(&mut self, node: usize, slot: Slot, before: &Watermarks, marks: &Watermarks) -> Result<(), Violation> {
        let Self { hosts, ledger, realm, reigns, .. } = self;
        let mut owing = Vec::new();
        let host = &hosts[node];
        let view = host.process.as_ref().and_then(|process| process.node.view(slot)).expect("it was stepped");
        let skip = usize::try_from(before.committed.0.saturating_sub(view.trim.seq.0)).expect("a log in memory");
        for entry in view.entries().skip(skip).take_while(|entry| entry.id.seq <= marks.committed) {
            if !ledger.commit(slot, entry, host.name())? {
                continue;
            }
            durable::declares(slot, entry.id, marks.role, host.name())?;
            reigns.committed(slot, marks.version, entry.id, host.name());
            let acting = view.chain.into_iter().flat_map(|chain| &chain.members);
            let decided = realm.chain(slot).into_iter().flat_map(Chain::copies);
            let directory = |member: &Member| hosts.iter().find(|host| member.is(&host.identity));
            // A member of this version may have gone on to one that it is not in, and have dropped what it had synced.
            let there = acting.clone().filter_map(directory).filter(|host| host.disk.synced(slot).chain <= marks.version);
            for member in there.chain(decided.filter_map(directory)) {
                durable::committed(slot, entry.id, member.name(), member.disk.synced(slot))?;
            }
            owing = acting.cloned().collect();
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
        // Who has been left out meanwhile comes back with less, if at all (C11).
        let stays = |host: &&mut Host| {
            let member = |member: &Member| member.is(&host.identity);
            owing.iter().any(member) && realm.chain(slot).is_some_and(|chain| chain.members.iter().any(member))
        };
        for host in hosts.iter_mut().filter(stays) {
            host.owed[slot.0 as usize] = known.seq;
        }
        Ok(())
    }

    /// A replica's history includes its successor's, and is included in its predecessor's.
    fn compare_with_neighbours(&self, node: usize, slot: Slot) -> Result<(), Violation> {
        let view = |node: usize| self.hosts[node].process.as_ref().and_then(|process| process.node.view(slot));
        let Some(chain) = view(node).and_then(|view| view.chain) else { return Ok(()) };
        let me = &self.hosts[node].identity.node;
        let neighbour = |id: Option<&catena_core::NodeId>| id.map(|id| self.node_of(id));
        let here = Some(node);
        for (above, below) in [(neighbour(chain.predecessor(me)), here), (here, neighbour(chain.successor(me)))] {
            let (Some(above), Some(below)) = (above, below) else { continue };
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

    /// The replica that would answer a read at this instant, if this one would.
    fn server(&self, node: usize, slot: Slot) -> Option<Server<'_>> {
        let host = &self.hosts[node];
        let process = host.process.as_ref().filter(|process| process.stopping == Stopping::No)?;
        let marks = &process.marks[slot.0 as usize];
        let leased = marks.reads() && host.clock.now(self.now).monotonic < process.lease.until();
        leased.then(|| Server { node: host.name(), version: marks.version })
    }

    /// Nobody else would answer a read where this node would.
    fn one_serves(&self, node: usize, slot: Slot) -> Result<(), Violation> {
        let Some(one) = self.server(node, slot) else { return Ok(()) };
        self.reigns.serves(slot, one)?;
        let others = (0..self.hosts.len()).filter(|other| *other != node).filter_map(|other| self.server(other, slot));
        others.into_iter().try_for_each(|other| Reigns::both(slot, one, other))
    }

    /// Nobody serves in a version before one that has just committed.
    fn others_serve(&self, node: usize, slot: Slot) -> Result<(), Violation> {
        let others = (0..self.hosts.len()).filter(|other| *other != node).filter_map(|other| self.server(other, slot));
        others.into_iter().try_for_each(|other| self.reigns.serves(slot, other))
    }

    fn run_effect(&mut self, node: usize, effect: Effect) -> Result<(), Violation> {
        self.trace.effect(&effect);
        match effect {
            Effect::Send { to, envelope } => return self.send(node, &to, envelope),
            Effect::Persist(batch) => return self.persist(node, batch),
            Effect::Reply { request, result } => return self.reply(node, request, result),
            Effect::Heartbeat(heartbeat) => {
                let host = &mut self.hosts[node];
                let now = host.clock.now(self.now).monotonic;
                host.process.as_mut().expect("it was stepped").lease.sent(&heartbeat, now);
                if !heartbeat.reports.is_empty() {
                    let (now, about) = (self.now, About::default());
                    self.trace.note(now, Place::Node(node), Kind::Replica, about, || describe::heartbeat(&heartbeat));
                }
                self.heartbeat(node, heartbeat);
            }
            Effect::Pin { slot } => self.pin(node, slot),
            Effect::Unpin { slot } => self.unpin(node, slot),
            Effect::ReadChunk { slot, after, bytes } => self.read_chunk(node, slot, after, bytes),
            Effect::ReadSpilled { slot, after, bytes } => self.read_spilled(node, slot, after, bytes),
        }
        Ok(())
    }

    /// A process answers a client.
    fn reply(&mut self, node: usize, request: RequestId, result: Result<Reply, CallError>) -> Result<(), Violation> {
        let host = &mut self.hosts[node];
        let call = host.process.as_mut().expect("it was stepped").calls.remove(&request);
        let name = host.name();
        demand!(call.is_some(), Exposure, "W5", "{name} answers request {request}, which does not wait for an answer");
        let Some(call) = call else { return Ok(()) };
        self.call = call.asked.call;
        self.judge_reply(node, &call, &result)?;
        self.reply_to(node, call.asked, result);
        Ok(())
    }
}
