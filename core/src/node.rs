//! A storage node: its replicas, its lease, its conversation with the coordinator.

mod overview;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub use self::overview::NodeOverview;
use crate::lease::Lease;
use crate::replica::{Context, Load, Replica, ReplicaView};
use crate::{
    CallError, ChainVersion, Decisions, Effect, Epoch, Event, Heartbeat, HeartbeatAnswer, Identity, MismatchReason, NodeConfig,
    Now, Presence, Recovered, Revision, Role, RollCall, RoutingMismatch, Slot, Target, Ticket, Time, slot_of,
};

/// A heartbeat sent out of turn, to fetch a newer version (C2), follows the last one no sooner than this. Chosen here:
/// a tenth of the interval.
const HURRY: Duration = Duration::from_millis(10);

/// Why the machine wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The next heartbeat is due.
    Heartbeat,
    /// A replica has to ask a silent neighbour, or to apply what is committed.
    Replica(Slot),
}

/// The machine of one storage node.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    identity: Identity,
    now: Now,
    /// By slot; `None` where this node has no replica.
    replicas: Vec<Option<Box<Replica>>>,
    lease: Lease,
    presence: Presence,
    /// The newest leadership heard of.
    epoch: Epoch,
    /// The latest roll call of it.
    roll_call: RollCall,
    /// Joining replicas that a restart has interrupted; they go on with the first step.
    rejoining: Vec<Slot>,
    /// When the next part of a snapshot may be asked for, over all slots.
    copy_at: Time,
    load: Load,
    last_ticket: Ticket,
    /// Batches on their way to the disk, by ticket: whose they are, and since when.
    writing: VecDeque<(Ticket, Slot, Time)>,
    /// Replicas' deadlines, earliest first, so that a step costs no walk over all replicas.
    timers: BTreeSet<(Time, Slot)>,
    next_heartbeat: Time,
    last_heartbeat: Time,
    sequence: u64,
    /// Decisions up to here are durably adopted.
    applied: Revision,
    /// Decisions that will be once a ticket is durable.
    applying: VecDeque<(Ticket, Revision)>,
    /// Replicas whose state the coordinator may not know, and the first heartbeat that told it.
    unreported: BTreeMap<Slot, Option<u64>>,
    /// Whether the disk has reached its reserve (D3).
    disk_full: bool,
}

impl Node {
    /// A node with what its disk holds. It takes part in nothing until the coordinator has answered it.
    ///
    /// Slots, here and in chains that the coordinator sends, are below `config.slots`: the driver checks that where it
    /// reads them.
    pub fn new(config: NodeConfig, identity: Identity, recovered: Vec<Recovered>, now: Now) -> Self {
        let replicas = std::iter::repeat_with(|| None).take(config.slots as usize).collect();
        let mut node = Self {
            config,
            identity,
            now,
            replicas,
            lease: Lease::default(),
            presence: Presence::Staying,
            epoch: Epoch(0),
            roll_call: RollCall(0),
            rejoining: Vec::new(),
            copy_at: now.monotonic,
            load: Load::default(),
            last_ticket: Ticket(0),
            writing: VecDeque::new(),
            timers: BTreeSet::new(),
            next_heartbeat: now.monotonic,
            last_heartbeat: now.monotonic,
            sequence: 0,
            applied: Revision(0),
            applying: VecDeque::new(),
            unreported: BTreeMap::new(),
            disk_full: false,
        };
        for recovered in recovered {
            let slot = recovered.slot;
            node.epoch = recovered.chain.as_ref().map_or(node.epoch, |chain| chain.epoch.max(node.epoch));
            node.rejoining.push(slot);
            let replica = node.with_context(&mut Vec::new(), |cx| Replica::recovered(recovered, cx));
            node.keep(slot, Load::default(), None, Box::new(replica));
            node.unreported.insert(slot, None);
        }
        node
    }

    /// Feeds one event. `out` must be empty: the effects of the step before have been run, in order.
    pub fn step(&mut self, now: Now, event: Event, out: &mut Vec<Effect>) {
        assert!(out.is_empty(), "effects of the previous step were not run");
        assert!(now.monotonic >= self.now.monotonic, "time ran backwards");
        self.now = now;
        for slot in std::mem::take(&mut self.rejoining) {
            self.with_replica(slot, out, Replica::rejoin);
        }
        match event {
            Event::Write { request, target, command, origin, stored } => match self.admit(target, &command.key) {
                Ok(()) => self.with_replica(target.slot, out, |replica, cx| {
                    replica.on_write(request, target, command, origin, stored, cx);
                }),
                Err(error) => out.push(Effect::Reply { request, result: Err(error) }),
            },
            Event::Read { request, target, key, stored } => match self.admit(target, &key) {
                Ok(()) => self.with_replica(target.slot, out, |replica, cx| {
                    replica.on_read(request, target, &key, stored, cx);
                }),
                Err(error) => out.push(Effect::Reply { request, result: Err(error) }),
            },
            Event::Scan { request, target, after, bytes, stored } => match self.admit_slot(target) {
                Ok(()) => self.with_replica(target.slot, out, |replica, cx| {
                    replica.on_scan(request, target, after.as_ref(), bytes, stored, cx);
                }),
                Err(error) => out.push(Effect::Reply { request, result: Err(error) }),
            },
            Event::OpenSession { request, target } => match self.admit_slot(target) {
                Ok(()) => self.with_replica(target.slot, out, |replica, cx| replica.on_open_session(request, target, cx)),
                Err(error) => out.push(Effect::Reply { request, result: Err(error) }),
            },
            Event::Message { from, envelope } => {
                if self.replica(envelope.slot).is_some() {
                    self.with_replica(envelope.slot, out, |replica, cx| replica.on_message(&from, envelope, cx));
                } else if envelope.slot.0 < self.config.slots {
                    self.hurry(); // it knows of a chain that this node has not heard of
                }
            }
            Event::LinkUp { peer } => {
                for slot in self.slots() {
                    self.with_replica(slot, out, |replica, cx| replica.on_link_up(&peer, cx));
                }
            }
            Event::Durable { ticket } => self.on_durable(ticket, out),
            Event::CoordinatorUp => {
                self.unreported = self.slots().into_iter().map(|slot| (slot, None)).collect();
                self.next_heartbeat = now.monotonic;
            }
            Event::Answer(answer) => self.on_answer(answer, out),
            Event::Decided(decisions) => {
                if decisions.epoch >= self.epoch || mutant!(EpochIgnored) {
                    self.take(decisions, out);
                    self.hurry(); // the coordinator waits for what this node says to it
                }
            }
            Event::ChunkRead { slot, at, after, objects, end } => {
                self.with_replica(slot, out, |replica, cx| replica.on_chunk_read(at, after, objects, end, cx));
            }
            Event::SpilledRead { slot, entries } => {
                self.with_replica(slot, out, |replica, cx| replica.on_spilled_read(entries, cx));
            }
            Event::Damaged { slot, request } => {
                self.with_replica(slot, out, |replica, cx| replica.on_damaged(request, cx));
            }
            Event::DiskFull { full } => {
                self.disk_full = full;
                for slot in self.slots() {
                    self.with_replica(slot, out, |_, _| {});
                }
            }
            Event::Stop => {
                self.presence = Presence::Leaving;
                self.next_heartbeat = now.monotonic;
            }
            Event::Wake => {}
        }
        self.run_timers(out);
        self.heartbeat(out);
    }

    /// When the machine next has something to do although nothing happened: send [`Event::Wake`] then.
    pub fn deadline(&self) -> (Time, Reason) {
        match self.timers.first() {
            Some((at, slot)) if *at < self.next_heartbeat => (*at, Reason::Replica(*slot)),
            Some(_) | None => (self.next_heartbeat, Reason::Heartbeat),
        }
    }

    /// What the node was told when it was made.
    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// A replica's watermarks, for checkers and operators.
    pub fn view(&self, slot: Slot) -> Option<ReplicaView<'_>> {
        Some(self.replica(slot)?.view(&self.identity))
    }

    /// The call must name the key's slot, and this node must have a replica of it.
    fn admit(&self, target: Target, key: &[u8]) -> Result<(), CallError> {
        let (slot, slots) = (target.slot, self.config.slots);
        if key.is_empty() {
            return Err(CallError::KeyEmpty);
        }
        if slot_of(key, slots) != slot {
            return Err(CallError::UnknownSlot { slot, slots });
        }
        self.admit_slot(target)
    }

    fn admit_slot(&self, target: Target) -> Result<(), CallError> {
        let (slot, slots) = (target.slot, self.config.slots);
        if slot.0 >= slots {
            return Err(CallError::UnknownSlot { slot, slots });
        }
        if self.replica(slot).is_none() {
            return Err(CallError::Routing(RoutingMismatch {
                slot,
                expected: target.version,
                current: ChainVersion(0),
                role: Role::None,
                reason: MismatchReason::NoReplica,
            }));
        }
        Ok(())
    }

    fn on_durable(&mut self, ticket: Ticket, out: &mut Vec<Effect>) {
        while let Some((_, slot, _)) = self.writing.pop_front_if(|(written, _, _)| *written <= ticket) {
            self.with_replica(slot, out, |replica, cx| replica.on_durable(ticket, cx));
        }
        while let Some((_, revision)) = self.applying.pop_front_if(|(applying, _)| *applying <= ticket) {
            self.applied = self.applied.max(revision);
        }
    }

    /// Every decision that the answer carries is applied before its lease counts (R1): from here on the replicas
    /// concerned act in no older version.
    fn on_answer(&mut self, answer: HeartbeatAnswer, out: &mut Vec<Effect>) {
        if !self.lease.awaits(answer.sequence) {
            return; // a repetition, or meant for the process before this one: its `applied` is not ours
        }
        if answer.decisions.epoch < self.epoch && !mutant!(EpochIgnored) {
            return; // of a leader that has been followed by another (C1)
        }
        if mutant!(LeaseApart) {
            self.lease.answered(answer.sequence, answer.lease, self.now.monotonic);
            return;
        }
        #[cfg(feature = "mutants")]
        if mutant!(FenceLifted) {
            self.replicas.iter_mut().flatten().for_each(|replica| replica.lift_fence());
        }
        reached!(DecisionsBeforeLease if answer.lease.is_some() && !answer.decisions.chains.is_empty());
        self.take(answer.decisions, out);
        if self.applying.back().is_none_or(|(_, revision)| *revision < answer.revision) && answer.revision > self.applied {
            self.applying.push_back((self.last_ticket, answer.revision));
        }
        if self.writing.is_empty() {
            self.on_durable(self.last_ticket, out);
        }
        self.lease.answered(answer.sequence, answer.lease, self.now.monotonic);
        self.unreported.retain(|_, told| told.is_none_or(|told| told > answer.sequence));
    }

    fn take(&mut self, decisions: Decisions, out: &mut Vec<Effect>) {
        let Decisions { epoch, roll_call, chains, fences, drops } = decisions;
        (self.epoch, self.roll_call) = (self.epoch, self.roll_call).max((epoch, roll_call));
        for chain in chains {
            let slot = chain.slot;
            self.replicas[slot.0 as usize].get_or_insert_with(|| Box::new(Replica::new(slot)));
            self.with_replica(slot, out, |replica, cx| replica.configure(chain, cx));
        }
        for (slot, version) in fences {
            if self.replica(slot).is_some() {
                self.with_replica(slot, out, |replica, _| replica.fence(version));
            }
        }
        for (slot, version) in drops {
            if self.replica(slot).is_some() {
                self.with_replica(slot, out, |replica, cx| replica.drop_data(version, cx));
            }
        }
    }

    fn run_timers(&mut self, out: &mut Vec<Effect>) {
        while let Some((at, slot)) = self.timers.first().copied() {
            if at > self.now.monotonic {
                return;
            }
            self.with_replica(slot, out, |_, _| {});
            assert!(!self.timers.contains(&(at, slot)), "slot {slot}: a deadline that passed is still there");
        }
    }

    fn heartbeat(&mut self, out: &mut Vec<Effect>) {
        let now = self.now.monotonic;
        if now < self.next_heartbeat {
            return;
        }
        if self.stalled() && self.presence == Presence::Staying && !mutant!(StallUnnoticed) {
            reached!(SilentByStall);
            self.next_heartbeat = now + HURRY;
            return;
        }
        self.sequence += 1;
        let mut reports = Vec::with_capacity(self.unreported.len());
        for (slot, told) in &mut self.unreported {
            told.get_or_insert(self.sequence);
            let replica = self.replicas[slot.0 as usize].as_ref().expect("only replicas are reported");
            reports.push(replica.report());
        }
        self.lease.sent(self.sequence, now);
        self.last_heartbeat = now;
        self.next_heartbeat = now + self.config.heartbeat;
        out.push(Effect::Heartbeat(Heartbeat {
            sequence: self.sequence,
            applied: self.applied,
            reports,
            presence: self.presence,
            epoch: self.epoch,
            roll_call: self.roll_call,
        }));
    }

    /// Whether the disk has been at something for so long that this node is of no use to its chains: it says nothing, and is
    /// dealt with as one that is dead, until the disk goes on (K2).
    fn stalled(&self) -> bool {
        self.writing.front().is_some_and(|(_, _, since)| self.now.monotonic.since(*since) >= self.config.stall)
    }

    /// Somebody acts in a version that this node does not know: ask for it out of turn.
    fn hurry(&mut self) {
        self.next_heartbeat = self.next_heartbeat.min(self.last_heartbeat + HURRY);
    }

    /// Runs `act` on a replica, then advances it, and keeps the node's sums, timers and reports in step with it.
    fn with_replica(&mut self, slot: Slot, out: &mut Vec<Effect>, act: impl FnOnce(&mut Replica, &mut Context<'_>)) {
        let mut replica = self.replicas[slot.0 as usize].take().expect("the caller has looked it up");
        let (load, deadline, report) = (replica.load(), replica.deadline(), replica.report());
        let first = out.len();
        self.with_context(out, |cx| {
            act(&mut replica, cx);
            replica.advance(cx);
        });
        for effect in &out[first..] {
            if let Effect::Persist(batch) = effect {
                self.writing.push_back((batch.ticket, slot, self.now.monotonic));
            }
        }
        if replica.report() != report {
            self.unreported.insert(slot, None);
            self.hurry();
        }
        self.keep(slot, load, deadline, replica);
    }

    fn with_context<T>(&mut self, out: &mut Vec<Effect>, act: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let mut behind = false;
        let result = act(&mut Context {
            now: self.now,
            leased: self.lease.held(self.now.monotonic) && self.presence == Presence::Staying,
            me: &self.identity,
            config: &self.config,
            load: self.load,
            disk_full: self.disk_full,
            last_ticket: &mut self.last_ticket,
            copy_at: &mut self.copy_at,
            behind: &mut behind,
            out,
        });
        if behind {
            self.hurry();
        }
        result
    }

    fn keep(&mut self, slot: Slot, load: Load, deadline: Option<Time>, replica: Box<Replica>) {
        let new = replica.load();
        self.load.writes = self.load.writes - load.writes + new.writes;
        self.load.bytes = self.load.bytes - load.bytes + new.bytes;
        self.load.retained = self.load.retained - load.retained + new.retained;
        self.load.retaining = self.load.retaining - load.retaining + new.retaining;
        if deadline != replica.deadline() {
            self.timers.extend(replica.deadline().map(|at| (at, slot)));
            if let Some(at) = deadline {
                self.timers.remove(&(at, slot));
            }
        }
        self.replicas[slot.0 as usize] = Some(replica);
    }

    fn replica(&self, slot: Slot) -> Option<&Replica> {
        self.replicas.get(slot.0 as usize)?.as_deref()
    }

    /// The slots of which this node has a replica.
    fn slots(&self) -> Vec<Slot> {
        self.replicas.iter().flatten().map(|replica| replica.report().slot).collect()
    }
}
