//! A new chain version: made durable, adopted, matched with the predecessor (C2, C7, C10).

use super::{Context, Promise, Replica, Successor};
use crate::{CallError, Chain, ChainVersion, Effect, LogSummary, Message, ReplicaState, Seq, Write};

impl Replica {
    /// The coordinator has decided on a chain. It is made durable before it is acted in; until then the replica acts
    /// in none (C2). An older one, or the same again, changes nothing (C1).
    pub(crate) fn configure(&mut self, chain: Chain, cx: &mut Context<'_>) {
        let known = self.adopting.as_ref().map_or(self.version(), |(chain, _)| chain.version);
        if chain.version <= known && !(mutant!(OlderChain) && chain.version != known) {
            return;
        }
        let ticket = self.submit(Write::Chain(chain.clone()), Promise::Adopted(chain.version), cx);
        self.adopting = Some((chain, ticket));
        if mutant!(ActBeforeDurable) {
            self.on_version_durable(self.adopting.as_ref().map_or(ChainVersion(0), |(chain, _)| chain.version), cx);
        }
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
        self.standing = if chain.position(cx.me).is_some() { ReplicaState::Active } else { ReplicaState::Removed };
        self.chain = Some(chain);
        self.successor = Successor::default();
        self.acked = Seq(0);
        self.gap_at = None;
        self.matched = role.is_head();
        self.barrier = self.last();
        // Nobody is above a head to wait for.
        self.upstream_durable = if role.is_head() { Seq(u64::MAX) } else { Seq(0) };
        self.retry_at = Some(cx.now.monotonic);
        if mutant!(SkipMatching) {
            self.matched = true;
        }
        if self.standing == ReplicaState::Removed {
            self.end_waiting(Seq(0), cx);
        }
    }

    /// The predecessor shows its log: cut what differs, and go on behind it (C7). Only once in a version: from then on
    /// the predecessor's log begins with this one.
    pub(super) fn on_probe(&mut self, log: &LogSummary, barrier: Seq, cx: &mut Context<'_>) {
        if !self.matched {
            self.match_with(log, cx);
            self.matched = true;
            self.barrier = barrier;
            self.retry_at = Some(cx.now.monotonic); // the successor's turn, at once
        }
        let Some(predecessor) = self.chain.as_ref().and_then(|chain| chain.predecessor(cx.me)).cloned() else { return };
        self.send(&predecessor, Message::Have { last: self.last() }, cx);
    }

    fn match_with(&mut self, log: &LogSummary, cx: &mut Context<'_>) {
        let mut common = self.log.common_prefix(log);
        if mutant!(CompareLastSeq) {
            common = Ok(self.last().min(log.last().seq));
        }
        let common = common.unwrap_or_else(|_| {
            // A member has everything that is committed, so its log meets its neighbours'. One that does not has lost
            // data behind our back: it stops rather than guess.
            panic!("slot {}: log {:?} does not meet the predecessor's {log:?} (C7)", self.slot, self.log.summary())
        });
        invariant!(common >= self.committed, "slot {}: {} is committed, and would be cut to {common}", self.slot, self.committed);
        if common < self.last() {
            self.cut(common, cx);
        }
    }

    /// Removes what the predecessor does not have. It was never visible (W4).
    fn cut(&mut self, last: Seq, cx: &mut Context<'_>) {
        self.log.cut(last);
        self.submitted = self.submitted.min(last);
        self.durable = self.durable.min(last);
        // A version is durable when it is adopted, and tickets are in order: whatever was appended before is synced.
        let unsynced = self.promises.iter().any(|(_, promise)| matches!(promise, Promise::Appended(_)));
        invariant!(!unsynced, "slot {}: a sync of entries that are cut is under way", self.slot);
        self.submit(Write::Truncate { last }, Promise::Cut, cx);
        self.end_waiting(last, cx);
    }

    /// Calls that wait for an entry after `last` will not see it committed here.
    fn end_waiting(&mut self, last: Seq, cx: &mut Context<'_>) {
        for request in self.pending.cut(last) {
            cx.out.push(Effect::Reply { request, result: Err(CallError::OutcomeUnknown { slot: self.slot }) });
        }
    }

    /// Shows the successor this log, so that it can be matched. Said only once this replica itself is (W3).
    pub(super) fn probe(&mut self, cx: &mut Context<'_>) {
        if !self.matched {
            return;
        }
        let Some(successor) = self.chain.as_ref().and_then(|chain| chain.successor(cx.me)).cloned() else { return };
        self.send(&successor, Message::Probe { log: self.log.summary(), barrier: self.barrier }, cx);
    }
}
