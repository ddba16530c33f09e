//! One slot's replica on one node.
//!
//! Handlers (`write`, `read`, `link`, `change`) move watermarks; [`Replica::advance`] turns the gaps between them into
//! effects and is the only place that forwards, commits, acknowledges and replies. So a duplicate, a resend, a new
//! version or a restart is "set a watermark back", and there is one place to read for "when do we tell anybody anything".

mod change;
mod link;
mod pending;
mod read;
mod write;

use std::collections::VecDeque;

use crate::log::Log;
use crate::{
    Batch, CallError, Chain, ChainVersion, Effect, EntryId, Envelope, Message, MismatchReason, NodeConfig, NodeId, Now,
    Recovered, ReplicaState, Report, Role, RoutingMismatch, Seq, Slot, Target, Ticket, Time, Write,
};
use pending::Pending;

/// What a step of a replica works with besides the replica itself.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    /// Whether the node holds its lease (R1).
    pub(crate) leased: bool,
    pub(crate) me: &'a NodeId,
    pub(crate) config: &'a NodeConfig,
    /// What all replicas of the node have in flight.
    pub(crate) load: Load,
    pub(crate) last_ticket: &'a mut Ticket,
    /// Set when somebody is at a newer version: the coordinator has to be asked (C2).
    pub(crate) behind: &'a mut bool,
    pub(crate) out: &'a mut Vec<Effect>,
}

/// What is in flight (W10): calls or entries that wait for a commit, whichever are more, and the bytes of all entries in
/// memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) writes: usize,
    pub(crate) bytes: usize,
}

/// A replica.
#[derive(Debug)]
pub(crate) struct Replica {
    slot: Slot,
    /// The last version durably adopted (C2).
    chain: Option<Chain>,
    /// The version that is on its way to the disk. Until it is there the replica acts in none.
    adopting: Option<(Chain, Ticket)>,
    standing: ReplicaState,
    log: Log,
    /// Handed to the disk up to here.
    submitted: Seq,
    /// Synced on this replica's disk up to here.
    durable: Seq,
    /// Synced on every member before this one up to here; belongs to the version (W3).
    upstream_durable: Seq,
    /// Known to be synced on every member up to here; a fact, kept over versions (W3).
    committed: Seq,
    /// Handed to the disk to be applied up to here. The log's trim point is how far that is done.
    applying: Seq,
    /// Whether the log has been compared with the predecessor's in this version (C7).
    matched: bool,
    /// The last seq in the head's log when the head adopted this version (R2). Counts when matched.
    barrier: Seq,
    successor: Successor,
    /// The commit watermark last told to the predecessor in this version.
    acked: Seq,
    /// The end of the log when a gap was last reported, so that one gap is reported once.
    gap_at: Option<Seq>,
    promises: VecDeque<(Ticket, Promise)>,
    pending: Pending,
    /// When to ask a silent neighbour what it has.
    retry_at: Option<Time>,
    /// When to apply what is committed.
    apply_at: Option<Time>,
}

/// What the predecessor knows of its successor in this version.
#[derive(Debug, Default)]
struct Successor {
    /// It has compared its log with ours.
    matched: bool,
    /// Sent up to here.
    sent: Seq,
    /// The durability watermark last told.
    told: Seq,
}

/// What holds once a ticket is durable (C7: a sync counts only for what was appended before it and not cut since).
#[derive(Debug)]
enum Promise {
    Appended(Seq),
    Applied(Seq),
    Adopted(ChainVersion),
    Cut,
}

impl Replica {
    pub(crate) fn new(slot: Slot) -> Self {
        Self {
            slot,
            chain: None,
            adopting: None,
            standing: ReplicaState::Removed,
            log: Log::empty(),
            submitted: Seq(0),
            durable: Seq(0),
            upstream_durable: Seq(0),
            committed: Seq(0),
            applying: Seq(0),
            matched: false,
            barrier: Seq(0),
            successor: Successor::default(),
            acked: Seq(0),
            gap_at: None,
            promises: VecDeque::new(),
            pending: Pending::default(),
            retry_at: None,
            apply_at: None,
        }
    }

    /// A replica as its disk has it: it takes part again in a version newer than the one it knows (C10).
    pub(crate) fn recovered(mut recovered: Recovered, cx: &mut Context<'_>) -> Self {
        let chain = recovered.chain.take();
        let standing = match &chain {
            Some(chain) if chain.position(cx.me).is_some() => ReplicaState::Restarted,
            Some(_) | None => ReplicaState::Removed,
        };
        let slot = recovered.slot;
        let log = Log::recovered(recovered);
        let (trim, last) = (log.trim().seq, log.last().seq);
        let mut replica =
            Self { chain, standing, log, submitted: last, durable: last, committed: trim, applying: trim, ..Self::new(slot) };
        if let Some(chain) = replica.chain.clone().filter(|_| mutant!(ActAfterRestart)) {
            replica.adopt(chain, cx);
        }
        replica
    }

    /// Turns the gaps between watermarks into effects.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>) {
        self.persist(cx);
        if self.acting() {
            self.retry(cx);
            self.forward(cx);
            self.commit(cx.me);
            self.acknowledge(cx);
        }
        self.reply(cx);
        self.apply(cx);
        self.check(cx.me);
    }

    /// When [`Self::advance`] has something to do although nothing happened.
    pub(crate) fn deadline(&self) -> Option<Time> {
        [self.retry_at.filter(|_| self.acting()), self.apply_at].into_iter().flatten().min()
    }

    /// Whether it takes part in the adopted version.
    fn acting(&self) -> bool {
        self.standing == ReplicaState::Active && self.adopting.is_none()
    }

    fn version(&self) -> ChainVersion {
        self.chain.as_ref().map_or(ChainVersion(0), |chain| chain.version)
    }

    fn role(&self, me: &NodeId) -> Role {
        self.chain.as_ref().map_or(Role::None, |chain| chain.role(me))
    }

    fn last(&self) -> Seq {
        self.log.last().seq
    }

    /// What the coordinator may have to know.
    pub(crate) fn report(&self) -> Report {
        Report { slot: self.slot, version: self.version(), state: self.standing }
    }

    pub(crate) fn load(&self) -> Load {
        let uncommitted =
            usize::try_from(self.last().0.saturating_sub(self.committed.0)).expect("what is in memory is counted in usize");
        Load { writes: uncommitted.max(self.pending.len()), bytes: self.log.weight() }
    }

    /// The route of a call must fit: this version, in which this replica acts in the right role (C2, R1).
    fn admit_route(&self, target: Target, fits: fn(Role) -> bool, me: &NodeId) -> Result<(), CallError> {
        let role = self.role(me);
        let reason = if role == Role::None {
            MismatchReason::NoReplica
        } else if target.version != self.version() {
            MismatchReason::WrongVersion
        } else if !self.acting() {
            MismatchReason::Inactive
        } else if !fits(role) {
            MismatchReason::WrongRole
        } else {
            return Ok(());
        };
        let (slot, expected, current) = (target.slot, target.version, self.version());
        Err(CallError::Routing(RoutingMismatch { slot, expected, current, role, reason }))
    }

    /// Hands what was received and not yet submitted to the disk.
    fn persist(&mut self, cx: &mut Context<'_>) {
        if self.submitted < self.last() {
            let entries: Vec<_> = self.log.range(self.submitted, self.last()).cloned().collect();
            self.submitted = self.last();
            self.submit(Write::Append(entries), Promise::Appended(self.submitted), cx);
        }
        if mutant!(CountUnsynced) {
            self.durable = self.submitted;
        }
    }

    fn submit(&mut self, write: Write, promise: Promise, cx: &mut Context<'_>) -> Ticket {
        *cx.last_ticket = cx.last_ticket.next();
        let ticket = *cx.last_ticket;
        self.promises.push_back((ticket, promise));
        cx.out.push(Effect::Persist(Batch { ticket, slot: self.slot, writes: vec![write] }));
        ticket
    }

    /// The disk has everything up to `ticket`.
    pub(crate) fn on_durable(&mut self, ticket: Ticket, cx: &mut Context<'_>) {
        while let Some((_, promise)) = self.promises.pop_front_if(|(promised, _)| *promised <= ticket) {
            match promise {
                Promise::Appended(to) => self.durable = self.durable.max(to),
                Promise::Applied(to) => self.log.trim_to(to),
                Promise::Adopted(version) => self.on_version_durable(version, cx),
                Promise::Cut => {}
            }
        }
    }

    /// The tail commits what is synced on all members (W3).
    fn commit(&mut self, me: &NodeId) {
        if self.role(me).is_tail() && self.matched {
            self.committed = self.committed.max(self.durable_everywhere());
        }
    }

    /// Synced on this replica and all before it.
    fn durable_everywhere(&self) -> Seq {
        self.durable.min(self.upstream_durable)
    }

    /// Answers the calls whose entry, or the entry that they were judged on, is committed (W4, W5, W7).
    fn reply(&mut self, cx: &mut Context<'_>) {
        let mut to = self.committed;
        if mutant!(AnswerBeforeCommit) {
            to = self.durable;
        }
        while let Some((request, answer)) = self.pending.pop_up_to(to) {
            let result = match answer {
                pending::Answer::Done { entry, reply } => {
                    let now = self.log.id_at(entry.seq);
                    invariant!(now.is_none_or(|id| id == entry), "slot {}: a call waits for {entry}, not {now:?}", self.slot);
                    Ok(reply)
                }
                pending::Answer::Reveals(result) => self.may_reveal(cx).and(result),
            };
            cx.out.push(Effect::Reply { request, result });
        }
    }

    /// Hands committed entries to the disk to be applied: many at once, or those that have waited.
    fn apply(&mut self, cx: &mut Context<'_>) {
        let mut to = self.committed;
        if mutant!(TrimUncommitted) {
            to = self.submitted;
        }
        if to <= self.applying {
            self.apply_at = None;
            return;
        }
        let due = *self.apply_at.get_or_insert(cx.now.monotonic + cx.config.apply);
        let limits = &cx.config.limits;
        let many = to.0 - self.applying.0 >= limits.apply_entries as u64 || self.log.weight() * 4 >= limits.slot_bytes;
        if !many && cx.now.monotonic < due {
            return;
        }
        let entries: Vec<_> = self.log.range(self.applying, to).cloned().collect();
        self.applying = to;
        self.apply_at = None;
        self.submit(Write::Apply(entries), Promise::Applied(to), cx);
    }

    fn send(&self, to: &NodeId, message: Message, cx: &mut Context<'_>) {
        let envelope = Envelope { slot: self.slot, version: self.version(), message };
        cx.out.push(Effect::Send { to: to.clone(), envelope });
    }

    /// The invariants of a replica, after every step.
    fn check(&self, me: &NodeId) {
        let slot = self.slot;
        let chain = [self.log.trim().seq, self.applying, self.committed, self.durable, self.submitted, self.last()];
        invariant!(chain.is_sorted(), "slot {slot}: trim ≤ applying ≤ committed ≤ durable ≤ submitted ≤ last, not {chain:?}");
        invariant!(self.submitted == self.last(), "slot {slot}: everything received is on its way to the disk");
        if self.acting() {
            let sent = self.successor.sent;
            invariant!(sent <= self.last(), "slot {slot}: sent {sent} beyond the log's end {}", self.last());
            invariant!(self.successor.told <= self.durable, "slot {slot}: told more than is durable");
            invariant!(self.matched || !self.role(me).is_head(), "slot {slot}: a head is matched by being head");
            invariant!(self.matched || !self.successor.matched, "slot {slot}: spoke before it was matched");
            invariant!(self.acked <= self.committed, "slot {slot}: acknowledged more than is committed");
        }
    }

    /// Its watermarks, for checkers.
    pub(crate) fn view(&self, me: &NodeId) -> ReplicaView<'_> {
        ReplicaView {
            chain: self.chain.as_ref(),
            role: self.role(me),
            acting: self.acting(),
            matched: self.matched,
            barrier: self.barrier,
            trim: self.log.trim(),
            committed: self.committed,
            durable: self.durable,
            last: self.log.last(),
            replica: self,
        }
    }
}

/// A replica as checkers see it.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaView<'a> {
    /// The version it has durably adopted.
    pub chain: Option<&'a Chain>,
    /// Its part in it.
    pub role: Role,
    /// Whether it takes part in that version.
    pub acting: bool,
    /// Whether its log has been compared with its predecessor's in that version.
    pub matched: bool,
    /// What a tail must have committed before it reads.
    pub barrier: Seq,
    /// The last entry that the object state is known to have.
    pub trim: EntryId,
    /// The commit watermark.
    pub committed: Seq,
    /// Synced on its disk, by its own account.
    pub durable: Seq,
    /// The last entry received.
    pub last: EntryId,
    replica: &'a Replica,
}

impl<'a> ReplicaView<'a> {
    /// The entries in memory: those after `trim`.
    pub fn entries(&self) -> impl Iterator<Item = &'a crate::Entry> + use<'a> {
        self.replica.log.range(self.trim.seq, self.last.seq)
    }
}
