//! What can be done to a stage.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use catena_core::client::{AttemptId, Body, ClientEvent, Delivery, Failure};
use catena_core::{Action, Command, Event, Order, Origin, Slot, Target};

use super::{Direct, End, SCRIPTED, Seen, Stage};
use crate::check::Violation;
use crate::disk::Crash;
use crate::history::{CallId, Deed, Wish};
use crate::world::clients::Prompt;
use crate::world::hosts::{Asked, Input, Running, Silence};
use crate::world::recovery::Undo;
use crate::world::streams::Way;
use crate::world::{Happening, Summary};

impl Stage {
    pub(crate) fn start_node(&mut self, node: usize) -> Result<(), Violation> {
        self.world.start(node)
    }

    pub(crate) fn start_coordinator(&mut self, seat: usize) {
        self.world.start_coordinator(seat);
    }

    /// A process dies; who was connected learns of it.
    pub(crate) fn kill_node(&mut self, node: usize) {
        self.world.crash(node, Crash::Kill, Silence::Refusing);
    }

    /// A machine loses its power, and what it had not synced; nobody is told.
    pub(crate) fn power_off(&mut self, node: usize) {
        self.world.crash(node, Crash::PowerLoss, Silence::Total);
    }

    pub(crate) fn stop_node(&mut self, node: usize) -> Result<(), Violation> {
        self.world.stop(node).map(drop)
    }

    /// A node's directory is gone, with its process.
    pub(crate) fn wipe(&mut self, node: usize) {
        self.world.crash(node, Crash::PowerLoss, Silence::Refusing);
        let (slots, now) = (self.world.options.slots, self.world.now);
        self.world.hosts[node].wipe(slots, now);
    }

    pub(crate) fn pause_node(&mut self, node: usize) {
        if let Some(process) = &mut self.world.hosts[node].process
            && matches!(process.running, Running::Yes)
        {
            process.running = Running::Paused(VecDeque::new());
        }
    }

    pub(crate) fn resume_node(&mut self, node: usize) -> Result<(), Violation> {
        let Some(life) = self.world.hosts[node].process.as_ref().map(|process| process.life) else { return Ok(()) };
        self.world.undo(&Undo::Resume { node, life })
    }

    pub(crate) fn kill_coordinator(&mut self, seat: usize) -> Result<(), Violation> {
        self.world.kill_coordinator(seat).map(drop)
    }

    pub(crate) fn pause_coordinator(&mut self, seat: usize) {
        let now = self.world.now;
        self.world.seats[seat].pause(now);
    }

    pub(crate) fn resume_coordinator(&mut self, seat: usize) -> Result<(), Violation> {
        self.world.resume_coordinator(seat)
    }

    /// A disk does nothing for so long.
    pub(crate) fn stall(&mut self, node: usize, long: Duration) {
        self.world.hosts[node].stalled_until = self.world.now + long;
    }

    /// A slot's log does not read any more. Whether there is one.
    pub(crate) fn damage_log(&mut self, node: usize, slot: Slot) -> bool {
        self.world.hosts[node].disk.tear(slot)
    }

    /// An object's record does not. Whether there is one.
    pub(crate) fn damage_object(&mut self, node: usize, key: &Bytes) -> bool {
        let slot = self.slot_of(key);
        self.world.hosts[node].disk.spoil(slot, key)
    }

    /// A wall clock jumps, by so many nanoseconds.
    pub(crate) fn jump(&mut self, node: usize, by: i64) {
        self.world.hosts[node].clock.jump(by);
    }

    /// Cuts one direction of a link. Nobody notices but by silence.
    pub(crate) fn cut(&mut self, from: End, to: End) {
        match (from, to) {
            (End::Node(from), End::Node(to)) => self.world.network.cut(from, to),
            (End::Node(node), End::Coordinator(seat)) => self.world.lines.cut(node, seat, Way::Up),
            (End::Coordinator(seat), End::Node(node)) => self.world.lines.cut(node, seat, Way::Down),
            (End::Coordinator(_), End::Coordinator(_)) => unreachable!("coordinators meet in their store"),
        }
    }

    pub(crate) fn mend(&mut self, from: End, to: End) {
        match (from, to) {
            (End::Node(from), End::Node(to)) => self.world.network.mend(from, to),
            (End::Node(node), End::Coordinator(seat)) => self.world.lines.mend(node, seat, Way::Up),
            (End::Coordinator(seat), End::Node(node)) => self.world.lines.mend(node, seat, Way::Down),
            (End::Coordinator(_), End::Coordinator(_)) => unreachable!("coordinators meet in their store"),
        }
    }

    /// A client does not reach any coordinator, until it is mended.
    pub(crate) fn cut_off_client(&mut self, client: usize) {
        self.cut_off.insert(client);
    }

    /// Its streams end, so it asks anew.
    pub(crate) fn mend_client(&mut self, client: usize) {
        if self.cut_off.remove(&client) {
            for coordinator in 0..self.world.seats.len() {
                let event = ClientEvent::RouteFailed { coordinator };
                self.world.queue.push(self.world.now, Happening::Client { client, event });
            }
        }
    }

    /// A coordinator does not reach the store, until it is mended.
    pub(crate) fn cut_store(&mut self, seat: usize) {
        self.without_store.insert(seat);
        self.keep_store_cut();
    }

    pub(crate) fn mend_store(&mut self, seat: usize) {
        if self.without_store.remove(&seat) {
            self.world.seats[seat].store_cut_until = self.world.now;
        }
    }

    /// What waits for the store looks again and again whether the cut has ended.
    pub(super) fn keep_store_cut(&mut self) {
        for seat in &self.without_store {
            self.world.seats[*seat].store_cut_until = self.world.now + Duration::from_millis(10);
        }
    }

    pub(crate) fn mend_all(&mut self) {
        self.world.network.mend_all();
        self.world.lines.mend_all();
        for seat in 0..self.world.seats.len() {
            self.mend_store(seat);
        }
        for client in std::mem::take(&mut self.cut_off) {
            self.cut_off.insert(client);
            self.mend_client(client);
        }
    }

    /// From now on what these coordinators tell these nodes to do is kept back.
    pub(crate) fn hold(&mut self, lines: &[(usize, usize)]) {
        self.holding.extend(lines);
    }

    /// What was kept back arrives, over whatever path: it is the node's own machine that has to see that it is late.
    pub(crate) fn deliver(&mut self) -> Result<(), Violation> {
        self.holding.clear();
        for (node, decisions) in std::mem::take(&mut self.held) {
            self.see(Seen::Late(node, decisions.clone()));
            self.world.input_any(node, Input::Event(Event::Decided(decisions)))?;
        }
        Ok(())
    }

    /// An operator orders something. Whether anybody leads who could be told.
    pub(crate) fn order(&mut self, order: Order) -> Result<bool, Violation> {
        self.world.order(order)
    }

    /// A client's machine is told of a call.
    pub(crate) fn begin(&mut self, client: usize, wish: Wish, delivery: Delivery, again: Option<Duration>) -> CallId {
        let call = self.world.history.next_call();
        if let Some(later) = again {
            self.again.insert(call, later);
        }
        self.known.open.insert(call, self.world.now);
        self.world.begin_call(client, wish, delivery)
    }

    /// A call's caller waits so long, and no longer.
    pub(crate) fn give_up(&mut self, client: usize, call: CallId, deadline: Duration) {
        let at = self.world.now + deadline;
        self.world.queue.push(at, Happening::Prompt { client, prompt: Prompt::GiveUp { call } });
    }

    /// A request goes to one node, whatever routes say. It arrives after the usual time.
    pub(crate) fn begin_direct(&mut self, wish: Wish, direct: &Direct, again: Option<Duration>) -> CallId {
        let Direct { client, node, version, origin } = *direct;
        let slot = self.slot_of(&wish.key);
        let body = match &wish.deed {
            Deed::Get => Body::Read { key: wish.key.clone() },
            Deed::Put { value } => write(&wish, Action::Put { value: value.clone() }, origin),
            Deed::Delete => write(&wish, Action::Delete, origin),
        };
        let call = self.world.history.invoke(slot, wish);
        self.known.open.insert(call, self.world.now);
        if let Some(later) = again {
            self.again.insert(call, later);
        }
        let attempt = AttemptId(SCRIPTED + call.0 as u64);
        self.asked.insert((client, attempt), (node, Some(call)));
        let version = version.or_else(|| self.chain(slot).map(|chain| chain.version)).unwrap_or_default();
        let at = self.world.now + self.world.options.latency;
        let Some(process) = &self.world.hosts[node].process else {
            let event = ClientEvent::Failed { attempt, failure: Failure::NotConnected };
            self.world.queue.push(at, Happening::Client { client, event });
            return call;
        };
        let life = process.life;
        self.world.last_request.0 += 1;
        let (request, target) = (self.world.last_request, Target { slot, version });
        let asked = Asked { heard_by: Some((client, attempt)), call: Some(call) };
        self.world.queue.push(at, Happening::Input { node, life, input: Input::Request { asked, request, target, body } });
        call
    }

    /// The world ends: with its last checks; and if it is to heal, when it has come to rest.
    pub(crate) fn end(mut self, ending: Curtain) -> Result<Summary, Violation> {
        if ending == Curtain::Heals {
            self.mend_all();
            self.world.queue.push(self.world.now, Happening::Look);
            while let Some((at, happening)) = self.world.queue.pop() {
                self.world.now = at;
                self.world.happenings += 1;
                self.world.trace.step_to(self.world.happenings);
                let rests = matches!(happening, Happening::Look) && self.world.look()?;
                if rests {
                    break;
                }
                if let Some(happening) = self.watch(happening) {
                    self.world.happen(happening)?;
                }
            }
        }
        self.world.end()
    }
}

/// How a world ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curtain {
    /// Every fault ends, and everything has to come to rest.
    Heals,
    /// As it is.
    Falls,
}

fn write(wish: &Wish, action: Action, origin: Option<Origin>) -> Body {
    let command = Command { key: Bytes::clone(&wish.key), action, conditions: wish.conditions.clone() };
    Body::Write { command, origin }
}
