//! One slot's replica on one node.
//!
//! Handlers (`write`, `read`, `link`, `change`, `transfer`) move watermarks; [`Replica::advance`] turns the gaps between them
//! into effects and is the only place that forwards, commits, acknowledges and replies. So a duplicate, a resend, a new
//! version or a restart is "set a watermark back", and there is one place to read for "when do we tell anybody anything".

mod change;
mod disk;
mod link;
mod pending;
mod read;
mod recovery;
mod retry;
mod sessions;
mod spill;
mod transfer;
mod view;
mod write;

use std::collections::VecDeque;

use crate::log::Log;
use crate::{
    CallError, Chain, ChainVersion, Effect, Entry, Envelope, Identity, Message, MismatchReason, NodeConfig, NodeId, Now,
    ReplicaState, Report, Role, RoutingMismatch, Seq, Sessions, Slot, Target, Ticket, Time,
};
use disk::Promise;
use pending::{Answer, Pending};
use retry::Quiet;
use spill::Spill;
use transfer::{Receiving, Sending, Staged};
pub use view::{Copying, ReplicaView};

/// What a step of a replica works with besides the replica itself.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    /// Whether the node holds its lease (R1).
    pub(crate) leased: bool,
    pub(crate) me: &'a Identity,
    pub(crate) config: &'a NodeConfig,
    /// What all replicas of the node have in flight.
    pub(crate) load: Load,
    /// Whether the node's disk has reached its reserve (D3).
    pub(crate) disk_full: bool,
    pub(crate) last_ticket: &'a mut Ticket,
    /// When the node may ask for the next part of a snapshot, over all slots (J1).
    pub(crate) copy_at: &'a mut Time,
    /// Set when somebody is at a newer version: the coordinator has to be asked (C2).
    pub(crate) behind: &'a mut bool,
    pub(crate) out: &'a mut Vec<Effect>,
}

/// What is in flight (W10): calls or entries that wait for a commit, whichever are more, and bytes of entries in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) writes: usize,
    /// Of entries that are not applied.
    pub(crate) bytes: usize,
    /// Of entries that are, and kept for a successor that is being filled.
    pub(crate) retained: usize,
    /// How many replicas keep some.
    pub(crate) retaining: usize,
}

/// A replica.
#[derive(Debug)]
pub(crate) struct Replica {
    slot: Slot,
    /// The last version durably adopted (C2).
    chain: Option<Chain>,
    /// The version that is on its way to the disk. Until it is there the replica acts in none.
    adopting: Option<(Chain, Ticket)>,
    standing: Standing,
    damage: Damage,
    /// Serves in no version up to this one any more (C4).
    fence: ChainVersion,
    log: Log,
    /// The sessions as of the log's end (W8).
    sessions: Sessions,
    /// The sessions as of `applying`: what the others are reckoned from after a cut.
    stored_sessions: Sessions,
    /// Handed to the disk up to here.
    submitted: Seq,
    /// Synced on this replica's disk up to here.
    durable: Seq,
    /// Synced on every member before this one up to here; belongs to the version (W3).
    upstream_durable: Seq,
    /// Known to be synced on every member up to here; a fact, kept over versions (W3).
    committed: Seq,
    /// Handed to the disk to be applied up to here.
    applying: Seq,
    /// Whether the log has been compared with the predecessor's in this version (C7).
    matched: bool,
    /// Whether it has had all but the latest entries, in this version.
    caught_up: bool,
    /// The last seq in the head's log when the head adopted this version (R2). Counts when matched.
    barrier: Seq,
    successor: Successor,
    /// Entries after this one are kept: the successor is being filled and may lack them (W6).
    keep: Option<Seq>,
    /// What of them is on the disk.
    spill: Option<Spill>,
    /// The commit watermark last told to the predecessor in this version.
    acked: Seq,
    /// Whether the predecessor was told, with that, that there is no room for more (D3).
    told_full: bool,
    /// The end of the log when a gap was last reported, so that one gap is reported once.
    gap_at: Option<Seq>,
    promises: VecDeque<(Ticket, Promise)>,
    pending: Pending,
    /// The snapshot that the successor gets.
    sending: Option<Sending>,
    /// How far it is with copying a snapshot.
    receiving: Option<Receiving>,
    /// Where the predecessor's log began in the newest probe of this version: it only moves forward.
    probed: Seq,
    /// Parts of one that its disk has.
    staged: Option<Staged>,
    /// When to ask a silent neighbour what it has.
    retry_at: Option<Time>,
    quiet: Quiet,
    /// When to apply what is committed.
    apply_at: Option<Time>,
    /// When to look for sessions that have been idle.
    expire_at: Option<Time>,
}

/// What this node is to the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// In the commit path.
    Member,
    /// Behind the tail, being filled.
    Joining,
    /// A member that has restarted in this version (C10).
    Restarted,
    /// A tail that was not ready, and whose log does not meet its predecessor's (C7); or a member that has lost everything (D2).
    Astray,
    /// Nothing; the data is kept.
    Removed,
    /// Nothing, and the data is gone.
    Dropped,
}

/// What of its data the disk cannot give back, as far as it is known (D2). It ends with the data: nothing is repaired in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Damage {
    None,
    /// Records of objects. The log is whole, so it takes part until another has taken its place.
    Objects,
    /// The log, or what it is reckoned from: it takes no part.
    All,
}

/// What this replica knows of its successor in this version.
#[derive(Debug, Default)]
struct Successor {
    /// It has compared its log with ours.
    matched: bool,
    /// Sent up to here.
    sent: Seq,
    /// The durability watermark last told.
    told: Seq,
    /// It has synced, and knows to be committed, up to here.
    acked: Seq,
    /// Its disk, or that of a member behind it, has room for no more puts (D3).
    disk_full: bool,
}

impl Replica {
    pub(crate) fn new(slot: Slot) -> Self {
        Self {
            slot,
            chain: None,
            adopting: None,
            standing: Standing::Dropped,
            damage: Damage::None,
            fence: ChainVersion(0),
            log: Log::empty(),
            sessions: Sessions::default(),
            stored_sessions: Sessions::default(),
            submitted: Seq(0),
            durable: Seq(0),
            upstream_durable: Seq(0),
            committed: Seq(0),
            applying: Seq(0),
            matched: false,
            caught_up: false,
            barrier: Seq(0),
            successor: Successor::default(),
            keep: None,
            spill: None,
            acked: Seq(0),
            told_full: false,
            gap_at: None,
            promises: VecDeque::new(),
            pending: Pending::default(),
            sending: None,
            receiving: None,
            probed: Seq(0),
            staged: None,
            retry_at: None,
            quiet: Quiet::default(),
            apply_at: None,
            expire_at: None,
        }
    }

    /// Turns the gaps between watermarks into effects.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>) {
        self.expire(cx);
        self.persist(cx);
        if self.acting() {
            self.retry(cx);
            self.forward(cx);
            self.commit(cx);
            self.acknowledge(cx);
        }
        self.reply(cx);
        self.apply(cx);
        self.trim(cx);
        self.check(cx.me);
    }

    /// When [`Self::advance`] has something to do although nothing happened.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let acting = |at: Option<Time>| at.filter(|_| self.acting());
        [acting(self.retry_at), self.apply_at, acting(self.expire_at)].into_iter().flatten().min()
    }

    /// Whether it takes part in the adopted version.
    fn acting(&self) -> bool {
        matches!(self.standing, Standing::Member | Standing::Joining) && self.adopting.is_none()
    }

    /// Whether it may show state: a member that is not fenced (C4).
    fn serving(&self) -> bool {
        let fenced = self.fenced() && !mutant!(FenceIgnored);
        let member = self.standing == Standing::Member || (mutant!(JoinerServes) && self.standing == Standing::Joining);
        self.acting() && member && !fenced
    }

    fn fenced(&self) -> bool {
        self.fence >= self.version() && self.fence > ChainVersion(0)
    }

    fn version(&self) -> ChainVersion {
        self.chain.as_ref().map_or(ChainVersion(0), |chain| chain.version)
    }

    fn role(&self, me: &Identity) -> Role {
        self.chain.as_ref().map_or(Role::None, |chain| chain.role(me))
    }

    fn last(&self) -> Seq {
        self.log.last().seq
    }

    /// The replica that this one sends to.
    fn successor(&self, me: &Identity) -> Option<NodeId> {
        self.chain.as_ref()?.successor(&me.node).cloned()
    }

    /// The replica that this one gets entries from.
    fn predecessor(&self, me: &Identity) -> Option<NodeId> {
        self.chain.as_ref()?.predecessor(&me.node).cloned()
    }

    /// What the coordinator may have to know.
    pub(crate) fn report(&self) -> Report {
        let (state, fenced, damaged) = (self.state(), self.fenced(), self.damage != Damage::None);
        Report { slot: self.slot, version: self.version(), state, fenced, damaged, silent: self.quiet.silent().cloned() }
    }

    fn state(&self) -> ReplicaState {
        match self.standing {
            Standing::Member | Standing::Joining if self.caught_up => ReplicaState::CaughtUp,
            Standing::Member | Standing::Joining => ReplicaState::Active,
            Standing::Restarted => ReplicaState::Restarted,
            Standing::Astray => ReplicaState::Astray,
            Standing::Removed => ReplicaState::Removed,
            Standing::Dropped => ReplicaState::Dropped,
        }
    }

    pub(crate) fn load(&self) -> Load {
        let uncommitted =
            usize::try_from(self.last().0.saturating_sub(self.committed.0)).expect("what is in memory is counted in usize");
        let (bytes, retained) = (self.log.weight(), self.log.retained());
        Load { writes: uncommitted.max(self.pending.len()), bytes, retained, retaining: usize::from(retained > 0) }
    }

    /// The route of a call must fit: not newer than this version, in which this replica acts in the right role (C2, R1).
    fn admit_route(&self, target: Target, fits: fn(Role) -> bool, me: &Identity) -> Result<(), CallError> {
        let mut role = self.role(me);
        if mutant!(JoinerServes) && role == Role::Joining {
            role = Role::Only;
        }
        let reason = if role == Role::None {
            MismatchReason::NoReplica
        } else if target.version > self.version() {
            MismatchReason::WrongVersion
        } else if !self.acting() {
            MismatchReason::Inactive
        } else if !fits(role) {
            MismatchReason::WrongRole
        } else {
            return Ok(());
        };
        Err(self.mismatch(target.version, role, reason))
    }

    fn mismatch(&self, expected: ChainVersion, role: Role, reason: MismatchReason) -> CallError {
        CallError::Routing(RoutingMismatch { slot: self.slot, expected, current: self.version(), role, reason })
    }

    /// Adds an entry to the log's end.
    fn push(&mut self, entry: Entry) {
        self.sessions.apply(&entry);
        self.log.push(entry);
    }

    /// The tail commits what is synced on all members (W3); a joining replica knows committed what the tail has committed.
    fn commit(&mut self, cx: &Context<'_>) {
        let (role, slack) = (self.role(cx.me), cx.config.slack);
        if !self.matched || !(role.is_tail() || role == Role::Joining) {
            return;
        }
        let mut everywhere = self.durable_everywhere();
        if mutant!(PrefixUncommitted) && self.log.id_at(everywhere).is_some_and(|id| id.version < self.version()) {
            everywhere = self.committed;
        }
        reached!(HeldByUpstream if role.is_tail() && self.upstream_durable < self.durable);
        self.committed = self.committed.max(everywhere);
        let heard = self.upstream_durable >= self.barrier;
        self.caught_up |= match role {
            Role::Joining => heard && self.upstream_durable.0 - self.committed.0.min(self.upstream_durable.0) <= slack,
            _ => self.committed >= self.barrier && self.chain.as_ref().is_some_and(|chain| !chain.tail_ready),
        };
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
                Answer::Done { entry, result } => {
                    let now = self.log.id_at(entry.seq);
                    invariant!(now.is_none_or(|id| id == entry), "slot {}: a call waits for {entry}, not {now:?}", self.slot);
                    reached!(AnsweredOnCommit);
                    result
                }
                Answer::Expired(error) => {
                    reached!(SessionGone);
                    Err(error)
                }
                Answer::Reveals(result) => {
                    reached!(RefusalRevealed);
                    self.may_reveal(cx).and(result)
                }
            };
            cx.out.push(Effect::Reply { request, result });
        }
    }

    fn send(&self, to: &NodeId, message: Message, cx: &mut Context<'_>) {
        let envelope = Envelope { slot: self.slot, version: self.version(), message };
        cx.out.push(Effect::Send { to: to.clone(), envelope });
    }

    /// The invariants of a replica, after every step.
    fn check(&self, me: &Identity) {
        let slot = self.slot;
        let chain =
            [self.log.trim().seq, self.log.applied(), self.applying, self.committed, self.durable, self.submitted, self.last()];
        invariant!(
            chain.is_sorted(),
            "slot {slot}: trim ≤ applied ≤ applying ≤ committed ≤ durable ≤ submitted ≤ last, not {chain:?}"
        );
        invariant!(self.submitted == self.last(), "slot {slot}: everything received is on its way to the disk");
        if self.acting() {
            let sent = self.successor.sent;
            invariant!(sent <= self.last(), "slot {slot}: sent {sent} beyond the log's end {}", self.last());
            invariant!(self.successor.told <= self.durable, "slot {slot}: told more than is durable");
            invariant!(self.matched || !self.role(me).is_head(), "slot {slot}: a head is matched by being head");
            invariant!(self.matched || !self.successor.matched, "slot {slot}: spoke before it was matched");
            invariant!(self.acked <= self.committed, "slot {slot}: acknowledged more than is committed");
            invariant!(!self.matched || self.receiving.is_none(), "slot {slot}: matched, and copying a snapshot");
        }
    }
}
