//! A new chain version: made durable, adopted, matched with the predecessor (C2, C6–C11).

use super::{Answer, Context, Damage, Promise, Replica, Standing, Successor};
use crate::{
    CallError, Chain, ChainVersion, Effect, LogSummary, Member, Message, MismatchReason, Role, Seq, Sessions, Write, log::Log,
};

impl Replica {
    /// The coordinator has decided on a chain, or a neighbour relays what it decided. It is made durable before it is acted
    /// in; until then the replica acts in none (C2). An older one, or the same again, changes nothing (C1).
    pub(crate) fn configure(&mut self, chain: Chain, cx: &mut Context<'_>) {
        let known = self.known_version();
        reached!(OlderVersion if chain.version < known);
        if chain.version <= known && !(mutant!(OlderChain) && chain.version != known) {
            return;
        }
        let ticket = self.submit(vec![Write::Chain(chain.clone())], Promise::Adopted(chain.version), cx);
        self.adopting = Some((chain, ticket));
        if mutant!(ActBeforeDurable) {
            self.on_version_durable(self.known_version(), cx);
        }
    }

    /// The newest version that it has heard of.
    pub(super) fn known_version(&self) -> ChainVersion {
        self.adopting.as_ref().map_or(self.version(), |(chain, _)| chain.version)
    }

    #[cfg(feature = "mutants")]
    pub(crate) fn lift_fence(&mut self) {
        self.fence = ChainVersion(0);
    }

    /// Stop serving in this version, for good (C4).
    pub(crate) fn fence(&mut self, version: ChainVersion) {
        reached!(Fenced if self.fence < version);
        self.fence = self.fence.max(version);
    }

    /// The chain is whole without this replica: its data may go, if it still is at that version and no part of it.
    pub(crate) fn drop_data(&mut self, version: ChainVersion, cx: &mut Context<'_>) {
        let asked_for = self.standing == Standing::Removed && self.adopting.is_none() && self.version() == version;
        let under_way = self.promises.iter().any(|(_, promise)| matches!(promise, Promise::Cleared));
        if asked_for && !under_way {
            self.clear(cx);
        }
    }

    /// Everything but the chain goes.
    fn clear(&mut self, cx: &mut Context<'_>) {
        self.damage = Damage::None;
        self.log = Log::empty();
        (self.sessions, self.stored_sessions) = (Sessions::default(), Sessions::default());
        for watermark in [&mut self.submitted, &mut self.durable, &mut self.committed, &mut self.applying] {
            *watermark = Seq(0);
        }
        // What was promised before it counts for nothing.
        for (_, promise) in &mut self.promises {
            *promise = Promise::Cut;
        }
        (self.receiving, self.staged, self.spill) = (None, None, None);
        self.submit(vec![Write::Clear], Promise::Cleared, cx);
    }

    pub(super) fn on_version_durable(&mut self, version: ChainVersion, cx: &mut Context<'_>) {
        if let Some((chain, _)) = self.adopting.take_if(|(chain, _)| chain.version == version) {
            self.adopt(chain, cx);
        }
    }

    /// Begins to act in a version. What belongs to a version starts anew; the log and what is known to be committed
    /// stay.
    pub(super) fn adopt(&mut self, chain: Chain, cx: &mut Context<'_>) {
        let role = chain.role(cx.me);
        let filled = filled_by(self.chain.as_ref(), cx);
        reached!(HeadGoesOn if self.begins_as(role, Role::is_head, cx) && self.committed < self.last());
        reached!(TailGoesOn if self.begins_as(role, Role::is_tail, cx) && self.committed < self.last());
        reached!(TookPartAgain if self.standing == Standing::Restarted && !matches!(role, Role::Joining | Role::None));
        let stood = self.standing;
        self.standing = match role {
            Role::Joining => Standing::Joining,
            _ if self.damage == Damage::All && role != Role::None => Standing::Astray,
            Role::None if self.standing == Standing::Dropped => Standing::Dropped,
            Role::None => Standing::Removed,
            Role::Head | Role::Middle | Role::Tail | Role::Only => Standing::Member,
        };
        self.keep_for(filled.as_ref(), filled_by(Some(&chain), cx).as_ref(), cx);
        self.chain = Some(chain);
        self.successor = Successor::default();
        (self.acked, self.told_full) = (Seq(0), false);
        self.gap_at = None;
        (self.matched, self.probed) = (role.is_head(), Seq(0));
        self.caught_up = false;
        self.quiet.regroup();
        if role != Role::Joining {
            self.receiving = None;
        }
        // Nobody is above a head to wait for.
        if !mutant!(KeepWatermark) {
            self.upstream_durable = Seq(0);
        }
        if role.is_head() {
            self.upstream_durable = Seq(u64::MAX);
        }
        self.retry_at = Some(cx.now.monotonic);
        if self.damage != Damage::None && matches!(role, Role::Joining | Role::None) {
            self.clear(cx); // another copy has taken its place: it may begin anew (D2)
        } else if role == Role::Joining && self.committed < self.last() && !mutant!(TrimPointNotCompared) {
            reached!(JoinerCut);
            self.cut(self.committed, cx); // C11: what it knows committed, and nothing else
        }
        if mutant!(NewTailCuts) && role.is_tail() && self.committed < self.last() {
            self.cut(self.committed, cx);
        }
        self.barrier = self.last();
        if mutant!(SkipMatching) {
            self.matched = true;
        }
        if mutant!(MatchRestartedOnly) && stood != Standing::Restarted {
            self.matched = true;
        }
        if !role.is_head() {
            self.end_waiting(Seq(0), cx);
        }
    }

    /// Whether a member is given a role that it has not had.
    #[cfg(feature = "mutants")]
    fn begins_as(&self, role: Role, fits: fn(Role) -> bool, cx: &Context<'_>) -> bool {
        let before = self.role(cx.me);
        fits(role) && !fits(before) && !matches!(before, Role::Joining | Role::None)
    }

    /// The predecessor shows its log: cut what differs, and go on behind it (C7). Once in a version: from then on the
    /// predecessor's log begins with this one.
    pub(super) fn on_probe(&mut self, log: &LogSummary, barrier: Seq, cx: &mut Context<'_>) {
        // A late one must not match anew what was left behind since: what it says held before this log went on.
        if log.trim.seq < self.probed {
            return;
        }
        self.probed = log.trim.seq;
        // The predecessor had to give up what it kept for this replica.
        let left_behind = self.matched && log.trim.seq > self.last();
        if (!self.matched || left_behind) && !self.match_with(log, cx) {
            return;
        }
        if !self.matched {
            self.matched = true;
            self.receiving = None;
            self.barrier = barrier;
            self.retry_at = Some(cx.now.monotonic); // the successor's turn, at once
        }
        let Some(predecessor) = self.predecessor(cx.me) else { return };
        self.send(&predecessor, Message::Have { last: self.last() }, cx);
    }

    /// Whether the logs meet. Where they do not, nothing is cut or assumed.
    fn match_with(&mut self, log: &LogSummary, cx: &mut Context<'_>) -> bool {
        if self.installing() {
            return false; // the log is about to be replaced
        }
        let mut common = self.log.common_prefix(log);
        if mutant!(CompareLastSeq) {
            common = Ok(self.last().min(log.last().seq));
        }
        if mutant!(TrimPointNotCompared) && common.is_err() && log.trim.seq <= self.last() {
            common = Ok(log.trim.seq.max(self.log.trim().seq));
        }
        let Ok(common) = common else {
            self.on_apart(log, cx);
            return false;
        };
        invariant!(common >= self.committed, "slot {}: {} is committed, and would be cut to {common}", self.slot, self.committed);
        if common < self.last() {
            reached!(Cut);
            self.cut(common, cx);
        }
        true
    }

    /// The logs do not meet: a joining replica takes a snapshot, a tail that is not ready says so and is taken out.
    fn on_apart(&mut self, log: &LogSummary, cx: &mut Context<'_>) {
        reached!(Apart);
        self.matched = false;
        self.caught_up = false;
        let ready = self.chain.as_ref().is_none_or(|chain| chain.tail_ready);
        match self.role(cx.me) {
            Role::Joining => self.begin_receiving(cx),
            Role::Tail if !ready => self.standing = Standing::Astray,
            // A ready member has everything that is committed, so its log meets its neighbours'. One that does not has
            // lost data behind our back: it stops rather than guess.
            role => {
                panic!("slot {}: {role:?}'s log {:?} does not meet the predecessor's {log:?} (C7)", self.slot, self.log.summary())
            }
        }
    }

    /// Removes what the predecessor does not have. It was never visible (W4).
    fn cut(&mut self, last: Seq, cx: &mut Context<'_>) {
        self.log.cut(last);
        self.submitted = self.submitted.min(last);
        if !mutant!(DurableBySeq) {
            self.durable = self.durable.min(last);
        }
        self.recount_sessions();
        // A version is durable when it is adopted, and tickets are in order: whatever was appended before is synced.
        let unsynced = self.promises.iter().any(|(_, promise)| matches!(promise, Promise::Appended(_)));
        invariant!(!unsynced, "slot {}: a sync of entries that are cut is under way", self.slot);
        self.submit(vec![Write::Truncate { last }], Promise::Cut, cx);
        self.end_waiting(last, cx);
    }

    /// Calls that wait for an entry after `last` will not see it committed here.
    fn end_waiting(&mut self, last: Seq, cx: &mut Context<'_>) {
        if mutant!(WaitingSurvives) {
            return;
        }
        for (request, answer) in self.pending.cut(last) {
            let error = match answer {
                // Whoever answers it now finds it in the table, or does not.
                Answer::Done { .. } | Answer::Expired(_) if !mutant!(CutIsNotExecuted) => {
                    reached!(EndedUnknown);
                    CallError::OutcomeUnknown { slot: self.slot }
                }
                Answer::Done { .. } | Answer::Expired(_) | Answer::Reveals(_) => {
                    self.mismatch(self.version(), self.role(cx.me), MismatchReason::Inactive)
                }
            };
            cx.out.push(Effect::Reply { request, result: Err(error) });
        }
    }

    /// Shows the successor this log, so that it can be matched. Said only once this replica itself is (W3).
    pub(super) fn probe(&mut self, cx: &mut Context<'_>) {
        if !self.matched && !mutant!(SpeakUnmatched) {
            return;
        }
        let Some(successor) = self.successor(cx.me) else { return };
        if mutant!(TrustEarlyWatermark) {
            self.send(&successor, Message::Append { entries: Vec::new(), durable: self.durable_everywhere() }, cx);
        }
        self.send(&successor, Message::Probe { log: self.log.summary(), barrier: self.barrier }, cx);
    }
}

/// The successor that is being filled: one that joins, or a tail that is not ready. Entries are kept for it (W6).
fn filled_by(chain: Option<&Chain>, cx: &Context<'_>) -> Option<Member> {
    let chain = chain?;
    let me = chain.replicas().position(|replica| replica.is(cx.me))?;
    let successor = chain.replicas().nth(me + 1)?;
    let joining = chain.joining.as_ref() == Some(successor);
    let filling = joining || (!chain.tail_ready && chain.tail() == successor);
    filling.then(|| Member { activated: ChainVersion(0), ..successor.clone() })
}
