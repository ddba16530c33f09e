//! Writes at the head: admission, conditions, ordering (W1, W2, W7, W10).

use super::pending::Answer;
use super::{Context, Replica};
use crate::{
    Action, CallError, Command, Effect, Entry, EntryId, Limits, Metadata, MismatchReason, Operation, Reply, RequestId, Resource,
    Role, RoutingMismatch, Seq, Target,
};

impl Replica {
    /// A client's write. It is refused here or becomes an entry; the answer follows when that is committed.
    pub(crate) fn on_write(
        &mut self,
        request: RequestId,
        target: Target,
        command: Command,
        stored: Option<Metadata>,
        cx: &mut Context<'_>,
    ) {
        if let Err(error) = self.admit_route(target, Role::is_head, cx.me).and_then(|()| self.admit_load(&command, cx)) {
            cx.out.push(Effect::Reply { request, result: Err(error) });
            return;
        }
        let (judged_on, object) = self.latest_ordered(&command, stored);
        let answer = if command.conditions.iter().all(|condition| condition.holds(object.as_ref())) {
            match self.order(command, object, cx) {
                Some((entry, reply)) => return self.pending.push(entry.seq, request, Answer::Done { entry, reply }),
                None => Ok(Reply::Written { entry: None, object: None }),
            }
        } else {
            Err(CallError::ConditionFailed { object })
        };
        if mutant!(RefuseBeforeCommit) {
            cx.out.push(Effect::Reply { request, result: answer });
            return;
        }
        self.pending.push(judged_on, request, Answer::Reveals(answer));
    }

    /// The object in the latest ordered state, and the seq it stands at: in-flight entries count, so that concurrent
    /// compare-and-sets pipeline and exactly one wins (W7). Without an entry in flight it is the stored, committed one.
    fn latest_ordered(&self, command: &Command, stored: Option<Metadata>) -> (Seq, Option<Metadata>) {
        let mut to = self.last();
        if mutant!(JudgeCommittedOnly) {
            to = self.committed;
        }
        match self.log.latest(&command.key, to) {
            Some(entry) => (entry.id.seq, entry.metadata()),
            None => (self.log.trim().seq, stored),
        }
    }

    /// Gives the command the next seq. `None`: the object to delete is not there, so there is nothing to do.
    fn order(&mut self, command: Command, object: Option<Metadata>, cx: &Context<'_>) -> Option<(EntryId, Reply)> {
        let Command { key, action, conditions: _ } = command;
        let at = self.log.next_at(cx.now.wall);
        let operation = match action {
            Action::Put { value } => Operation::Put { key, value, created_at: object.map_or(at, |object| object.created_at) },
            Action::Delete if object.is_none() => return None,
            Action::Delete => Operation::Delete { key },
        };
        let last = self.log.last();
        let entry =
            Entry { id: EntryId { version: self.version(), seq: last.seq.next() }, previous: last.version, at, operation };
        let result = (entry.id, Reply::Written { entry: Some(entry.id), object: entry.metadata() });
        self.log.push(entry);
        Some(result)
    }

    /// W10: what is refused here costs nothing downstream.
    fn admit_load(&self, command: &Command, cx: &Context<'_>) -> Result<(), CallError> {
        let (limits, own) = (&cx.config.limits, self.load());
        let over = |resource, current: usize, limit: usize| {
            (current >= limit).then_some(CallError::Backpressure {
                slot: self.slot,
                resource,
                current: current as u64,
                limit: limit as u64,
            })
        };
        let refusal = admit_size(command, limits)
            .err()
            .or_else(|| over(Resource::SlotWrites, own.writes, limits.slot_writes))
            .or_else(|| over(Resource::SlotBytes, own.bytes, limits.slot_bytes))
            .or_else(|| over(Resource::NodeWrites, cx.load.writes, limits.node_writes))
            .or_else(|| over(Resource::NodeBytes, cx.load.bytes, limits.node_bytes));
        refusal.map_or(Ok(()), Err)
    }

    /// Whether the head may show state: it must be able to read (R1), and still be head.
    pub(super) fn may_reveal(&self, cx: &Context<'_>) -> Result<(), CallError> {
        let role = self.role(cx.me);
        if !self.acting() || !role.is_head() {
            let (slot, current, reason) = (self.slot, self.version(), MismatchReason::Inactive);
            return Err(CallError::Routing(RoutingMismatch { slot, expected: current, current, role, reason }));
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
        Action::Put { value } if value.len() > limits.value_bytes => {
            Err(CallError::ValueTooLarge { len: value.len(), limit: limits.value_bytes })
        }
        Action::Put { .. } | Action::Delete => Ok(()),
    }
}
