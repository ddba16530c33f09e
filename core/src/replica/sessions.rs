//! Sessions at the head: a retried write finds its first answer, an idle session ends by an entry (W8).

use std::time::Duration;

use super::{Answer, Context, Replica};
use crate::{
    Answered, CallError, Effect, Entry, EntryId, Operation, Origin, Outcome, Reply, RequestId, Resource, Role, Seq, Target,
    WallTime,
};

/// What the table says of a session's write.
pub(super) enum Known {
    /// It is to be run.
    New,
    /// It was ordered before.
    Answered(Answered),
    /// It may not run.
    Refused(CallError),
    /// There is no such session.
    NoSession,
}

impl Replica {
    /// A client opens a session.
    pub(crate) fn on_open_session(&mut self, request: RequestId, target: Target, cx: &mut Context<'_>) {
        let (current, limit) = (self.sessions.len() as u64, cx.config.limits.slot_sessions as u64);
        let full = (current >= limit).then(|| self.busy(Resource::SlotSessions, current, limit, cx));
        let admitted = self.admit_route(target, Role::is_head, cx.me).and_then(|()| self.admit_load(cx));
        if let Err(error) = admitted.and(full.map_or(Ok(()), Err)) {
            cx.out.push(Effect::Reply { request, result: Err(error) });
            return;
        }
        let entry = self.order(Operation::OpenSession, None, cx.now.wall);
        let result = Ok(Reply::Opened { session: entry.seq });
        self.pending.push(entry.seq, request, Answer::Done { entry, result });
    }

    /// What is known of a session's write, in-flight entries included.
    pub(super) fn known(&self, origin: Origin, cx: &Context<'_>) -> Known {
        let Origin { session: name, number, answered_below } = origin;
        let slot = self.slot;
        let Some(session) = self.sessions.get(name) else {
            return if mutant!(RunUnknownSession) { Known::New } else { Known::NoSession };
        };
        let answered = if mutant!(AnswerOfAnotherSession) {
            self.sessions.iter().find_map(|(_, session)| session.answers.get(&number))
        } else {
            session.answers.get(&number)
        };
        if let Some(answered) = answered {
            return Known::Answered(*answered);
        }
        if number < session.answered_below.max(answered_below) && !mutant!(RunBelowAnswered) {
            reached!(AnswerForgotten);
            return Known::Refused(CallError::AlreadyAnswered { slot, session: name, number });
        }
        let kept = session.answers.range(answered_below..).count();
        let limit = cx.config.limits.session_writes;
        if kept >= limit {
            return Known::Refused(self.busy(Resource::SessionWrites, kept as u64, limit as u64, cx));
        }
        Known::New
    }

    /// A write that was ordered before gets the first answer, once that is committed.
    pub(super) fn answer_again(&mut self, request: RequestId, answered: Answered, cx: &mut Context<'_>) {
        reached!(AnsweredAgain);
        let Answered { entry, outcome } = answered;
        let result = outcome_result(entry, outcome);
        if mutant!(AnswerRetryBeforeCommit) {
            cx.out.push(Effect::Reply { request, result });
            return;
        }
        self.pending.push(entry.seq, request, Answer::Done { entry, result });
    }

    /// A write under a session that is not there: never run. Said only from committed state past the session's seq.
    pub(super) fn answer_expired(&mut self, request: RequestId, session: Seq, cx: &mut Context<'_>) {
        if session > self.last() {
            // Not opened here, as far as this log goes: no fact to be told.
            cx.out.push(Effect::Reply { request, result: Err(CallError::NotCaughtUp { slot: self.slot }) });
            return;
        }
        let error = CallError::SessionExpired { slot: self.slot, session };
        self.pending.push(self.last(), request, Answer::Expired(error));
    }

    /// Reckons the table at the log's end anew, after a cut.
    pub(super) fn recount_sessions(&mut self) {
        self.sessions = self.stored_sessions.clone();
        for entry in self.log.range(self.applying, self.log.last().seq) {
            self.sessions.apply(entry);
        }
    }

    /// The head proposes to end sessions that have been idle, by their entries' times.
    pub(super) fn expire(&mut self, cx: &Context<'_>) {
        let proposes = self.acting() && self.role(cx.me).is_head();
        if self.sessions.is_empty() || !(proposes || mutant!(ExpireByClock)) {
            self.expire_at = None;
            return;
        }
        let interval = (cx.config.session_idle / 4).max(Duration::from_millis(1));
        let due = *self.expire_at.get_or_insert(cx.now.monotonic + interval);
        if cx.now.monotonic < due {
            return;
        }
        self.expire_at = Some(cx.now.monotonic + interval);
        let idle_ns = u64::try_from(cx.config.session_idle.as_nanos()).unwrap_or(u64::MAX);
        let now = self.log.next_at(cx.now.wall);
        let idle = |used_at: WallTime| used_at.0.saturating_add(idle_ns) < now.0;
        let sessions: Vec<Seq> =
            self.sessions.iter().filter(|(_, session)| idle(session.used_at)).map(|(name, _)| name).collect();
        if sessions.is_empty() || self.admit_load(cx).is_err() {
            return; // what is refused now is proposed again soon
        }
        if mutant!(ExpireByClock) {
            let last = self.log.last();
            let (id, previous, at) = (EntryId { seq: last.seq.next(), ..last }, last.version, now);
            self.sessions.apply(&Entry { id, previous, at, origin: None, operation: Operation::Expire { sessions } });
            return;
        }
        reached!(SessionEnded);
        self.order(Operation::Expire { sessions }, None, cx.now.wall);
    }
}

/// What a session's write is answered.
pub(super) fn outcome_result(entry: EntryId, outcome: Outcome) -> Result<Reply, CallError> {
    match outcome {
        Outcome::Written(object) => Ok(Reply::Written { entry: Some(entry), object }),
        Outcome::Absent => Ok(Reply::Written { entry: None, object: None }),
        Outcome::Refused(refusal) => Err(CallError::ConditionFailed { object: refusal.object }),
    }
}
