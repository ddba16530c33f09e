//! Writes at the head: admission, conditions, ordering (W1, W2, W7, W10).

use std::time::Duration;

use super::sessions::{Known, outcome_result};
use super::{Answer, Context, Replica};
use crate::{
    Action, CallError, Command, Effect, Entry, EntryId, Limits, Metadata, MismatchReason, Operation, Origin, Outcome, Refusal,
    RequestId, Resource, Role, Seq, Target, WallTime,
};

impl Replica {
    /// A client's write. It is refused here or becomes an entry; the answer follows when that is committed.
    pub(crate) fn on_write(
        &mut self,
        request: RequestId,
        target: Target,
        command: Command,
        origin: Option<Origin>,
        stored: Option<Metadata>,
        cx: &mut Context<'_>,
    ) {
        if let Err(error) = self.admit_route(target, Role::is_head, cx.me).and_then(|()| admit_size(&command, &cx.config.limits))
        {
            cx.out.push(Effect::Reply { request, result: Err(error) });
            return;
        }
        match origin.map_or(Known::New, |origin| self.known(origin, cx)) {
            Known::New => {}
            Known::Answered(answered) => return self.answer_again(request, answered, cx),
            Known::NoSession => {
                let session = origin.expect("only a session's write has none").session;
                return self.answer_expired(request, session, cx);
            }
            Known::Refused(error) => return cx.out.push(Effect::Reply { request, result: Err(error) }),
        }
        let admitted = match command.action {
            Action::Put { .. } if self.disk_full(cx) => {
                reached!(DiskFullRefused);
                Err(CallError::DiskFull { slot: self.slot })
            }
            Action::Put { .. } | Action::Delete => self.admit_load(cx),
        };
        match admitted {
            Ok(()) => self.judge(request, command, origin, stored, cx),
            Err(error) => cx.out.push(Effect::Reply { request, result: Err(error) }),
        }
    }

    /// Orders a write, or refuses it by its conditions (W7).
    fn judge(
        &mut self,
        request: RequestId,
        command: Command,
        origin: Option<Origin>,
        stored: Option<Metadata>,
        cx: &mut Context<'_>,
    ) {
        let (judged_on, object) = self.latest_ordered(&command, stored);
        let at = self.log.next_at(cx.now.wall);
        let refused =
            (!command.conditions.iter().all(|condition| condition.holds(object.as_ref()))).then_some(Refusal { object });
        let operation = match (refused, command.action) {
            (None, Action::Put { value }) => {
                Operation::Put { key: command.key, value, created_at: object.map_or(at, |object| object.created_at) }
            }
            (None, Action::Delete) if object.is_some() => Operation::Delete { key: command.key },
            (refused, Action::Put { .. } | Action::Delete) => Operation::Nothing { refused },
        };
        let outcome = match &operation {
            Operation::Nothing { refused } => refused.map_or(Outcome::Absent, Outcome::Refused),
            _ => Outcome::Written(None),
        };
        // Without a session what changes nothing is no entry; with one it is, so that a late duplicate finds it (W8).
        let reveals = outcome != Outcome::Written(None) && (origin.is_none() || mutant!(RefusalNotAnEntry));
        if reveals {
            let result = outcome_result(EntryId::default(), outcome);
            if mutant!(RefuseBeforeCommit) {
                return cx.out.push(Effect::Reply { request, result });
            }
            return self.pending.push(judged_on, request, Answer::Reveals(result));
        }
        reached!(RefusalOrdered if outcome != Outcome::Written(None));
        reached!(OrderedWithoutLease if !cx.leased);
        let entry = self.order(operation, origin, cx.now.wall);
        let written = self.log.range(Seq(entry.seq.0 - 1), entry.seq).next().and_then(Entry::metadata);
        let outcome = if outcome == Outcome::Written(None) { Outcome::Written(written) } else { outcome };
        self.pending.push(entry.seq, request, Answer::Done { entry, result: outcome_result(entry, outcome) });
    }

    /// The object in the latest ordered state, and the seq it stands at: in-flight entries count, so that concurrent
    /// compare-and-sets pipeline and exactly one wins (W7). Without an entry in flight it is the stored, committed one.
    fn latest_ordered(&self, command: &Command, stored: Option<Metadata>) -> (Seq, Option<Metadata>) {
        let mut to = self.last();
        if mutant!(JudgeCommittedOnly) {
            to = self.committed;
        }
        match self.log.latest(&command.key, to) {
            Some(entry) => {
                reached!(JudgedInFlight if entry.id.seq > self.committed);
                (entry.id.seq, entry.metadata())
            }
            None => (self.log.trim().seq, stored),
        }
    }

    /// Gives an operation the next seq (W1, W2).
    pub(super) fn order(&mut self, operation: Operation, origin: Option<Origin>, now: WallTime) -> EntryId {
        reached!(Ordered);
        reached!(TimeHeldBack if self.log.next_at(now) > now);
        reached!(OrderedWhileJoining if self.chain.as_ref().is_some_and(|chain| chain.joining.is_some()));
        let last = self.log.last();
        let id = EntryId { version: self.version(), seq: last.seq.next() };
        self.push(Entry { id, previous: last.version, at: self.log.next_at(now), origin, operation });
        id
    }

    /// W10: what is refused here costs nothing downstream.
    pub(super) fn admit_load(&self, cx: &Context<'_>) -> Result<(), CallError> {
        let (limits, own) = (&cx.config.limits, self.load());
        let over = |resource, current: usize, limit: usize| {
            let (current, reached) = (current as u64, current >= limit);
            reached.then(|| self.busy(resource, current, limit as u64, cx))
        };
        let refusal = over(Resource::SlotWrites, own.writes, limits.slot_writes)
            .or_else(|| over(Resource::SlotBytes, own.bytes, limits.slot_bytes))
            .or_else(|| over(Resource::NodeWrites, cx.load.writes, limits.node_writes))
            .or_else(|| over(Resource::NodeBytes, cx.load.bytes, limits.node_bytes));
        refusal.map_or(Ok(()), Err)
    }

    /// The refusal of a write where something is in too much supply.
    pub(super) fn busy(&self, resource: Resource, current: u64, limit: u64, cx: &Context<'_>) -> CallError {
        reached!(TooHeavy if matches!(resource, Resource::SlotBytes | Resource::NodeBytes));
        reached!(PushedBack if !matches!(resource, Resource::SlotBytes | Resource::NodeBytes));
        CallError::Backpressure { slot: self.slot, resource, current, limit, retry_after: self.retry_after(cx.now.wall) }
    }

    /// As long as the oldest write in flight has been on its way: the chain needs about that for what is in front of a new one.
    /// Bounded, since wall time may jump.
    fn retry_after(&self, now: WallTime) -> Duration {
        const LEAST: Duration = Duration::from_millis(10);
        const MOST: Duration = Duration::from_secs(1);
        let oldest = self.log.range(self.committed, self.last()).next();
        let age = oldest.map_or(0, |entry| now.0.saturating_sub(entry.at.0));
        Duration::from_nanos(age).clamp(LEAST, MOST)
    }

    /// Whether the head may show state: it must be able to read (R1), and still be head.
    pub(super) fn may_reveal(&self, cx: &Context<'_>) -> Result<(), CallError> {
        let role = self.role(cx.me);
        if !self.serving() || !role.is_head() {
            return Err(self.mismatch(self.version(), role, MismatchReason::Inactive));
        }
        if !cx.leased {
            return Err(CallError::NoLease { slot: self.slot });
        }
        Ok(())
    }
}

/// Sizes that every replica and every message can carry.
fn admit_size(command: &Command, limits: &Limits) -> Result<(), CallError> {
    limits.admit_key(&command.key)?;
    match &command.action {
        Action::Put { value } if value.len() > limits.value_bytes && !mutant!(SizeAtMiddle) => {
            Err(CallError::ValueTooLarge { len: value.len(), limit: limits.value_bytes })
        }
        Action::Put { .. } | Action::Delete => Ok(()),
    }
}
