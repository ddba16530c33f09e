//! What an answer, or the lack of one, means for its call.

use super::endpoints::Before;
use super::jobs::{Attempt, Job, JobId, Repeat, Stage, Verdict, Work, verdict, worse};
use super::sessions::Pace;
use super::{Alarm, AttemptId, Client, ClientConfig, ClientEffect, ClientError, Context, Failure, Obstacle};
use crate::{CallError, Kind, Reply};

impl Client {
    pub(super) fn answered(&mut self, name: AttemptId, result: Result<Reply, CallError>, cx: &mut Context<'_>) {
        let Some(attempt) = self.end_attempt(name) else { return };
        let before = self.endpoints.answered(&attempt.address, cx.now);
        let node = (before == Before::Ailing).then(|| attempt.node.clone());
        match result {
            Ok(reply) => self.succeeded(&attempt, reply, cx),
            Err(error) => self.refused(&attempt, error, cx),
        }
        if let Some(node) = node {
            let at_node = |job: &Job| job.obstacle.as_ref().and_then(Obstacle::node) == Some(&node);
            self.end_waits(cx, |job, _| at_node(job));
        }
    }

    fn succeeded(&mut self, attempt: &Attempt, reply: Reply, cx: &mut Context<'_>) {
        let work = &self.jobs[&attempt.job].work;
        match (work, reply) {
            (Work::Open, Reply::Opened { session }) => {
                self.jobs.remove(&attempt.job);
                self.sessions.opened(attempt.slot, session, attempt.sent);
                self.pump(attempt.slot, cx);
            }
            (Work::Read { .. }, reply @ Reply::Read { .. })
            | (Work::Scan { .. }, reply @ Reply::Scanned { .. })
            | (Work::Write { .. }, reply @ Reply::Written { .. }) => {
                self.conclude(attempt.job, Ok(reply), cx);
            }
            (Work::Open | Work::Read { .. } | Work::Scan { .. } | Work::Write { .. }, _) => {
                self.passed(attempt, Failure::Lost, cx);
            }
        }
    }

    fn refused(&mut self, attempt: &Attempt, error: CallError, cx: &mut Context<'_>) {
        let job = self.jobs.get_mut(&attempt.job).expect("its try has just ended");
        let verdict = match verdict(&error) {
            // Neither makes sense of a session that is not there yet.
            Verdict::Settled | Verdict::Expired if matches!(job.work, Work::Open) => Verdict::Stale,
            verdict => verdict,
        };
        let before = job.kind;
        job.kind = worse(before, error.kind());
        let kind = job.kind;
        match verdict {
            Verdict::Final => self.conclude(attempt.job, Err(ClientError::Refused { error, kind }), cx),
            Verdict::Settled => {
                let kind = if job.numbered().is_some() { Kind::NotExecuted } else { kind };
                self.conclude(attempt.job, Err(ClientError::Refused { error, kind }), cx);
            }
            Verdict::Expired => {
                if let Some((slot, numbered)) = job.numbered() {
                    self.sessions.expired(slot, numbered);
                }
                self.conclude(attempt.job, Err(ClientError::Refused { error, kind }), cx);
            }
            Verdict::Stale => {
                if let CallError::Routing(mismatch) = &error
                    && self.routes.hint(attempt.slot, mismatch.current)
                {
                    self.inquiry.hinted(cx.now);
                }
                let kind = error.kind();
                job.obstacle = Some(Obstacle::Refusal(error));
                self.again(attempt, kind, cx);
            }
            Verdict::Busy { retry_after } => {
                job.obstacle = Some(Obstacle::Refusal(error));
                let until = cx.now + retry_after.min(ClientConfig::FOREVER) + self.backoff.wait(job.next_wait());
                if let Some((slot, write)) = job.numbered() {
                    self.sessions.judge(slot, write, Pace::Late);
                }
                self.wait(attempt.job, Some(attempt.slot), until, cx);
            }
        }
    }

    /// A try has ended without the node's word.
    pub(super) fn failed(&mut self, name: AttemptId, failure: Failure, cx: &mut Context<'_>) {
        if let Some(attempt) = self.end_attempt(name) {
            self.passed(&attempt, failure, cx);
        }
    }

    pub(super) fn timed_out(&mut self, name: AttemptId, cx: &mut Context<'_>) {
        if self.attempts.contains_key(&name) {
            cx.out.push(ClientEffect::Abandon { attempt: name });
            self.failed(name, Failure::TimedOut, cx);
        }
    }

    fn passed(&mut self, attempt: &Attempt, failure: Failure, cx: &mut Context<'_>) {
        self.endpoints.failed(&attempt.address, failure, attempt.sent, cx.now, &mut self.backoff);
        let job = self.jobs.get_mut(&attempt.job).expect("its try has just ended");
        let obstacle = Obstacle::Failure { node: attempt.node.clone(), failure };
        job.kind = worse(job.kind, failure.kind());
        match failure {
            Failure::Rejected => {
                let kind = job.kind;
                return self.conclude(attempt.job, Err(ClientError::Failed { obstacle, kind }), cx);
            }
            Failure::TimedOut => job.timeouts += 1,
            Failure::NotConnected | Failure::Lost => {}
        }
        job.obstacle = Some(obstacle);
        self.again(attempt, failure.kind(), cx);
    }

    /// Tries again, if that is safe: at once if there is a newer route already, else after a wait.
    fn again(&mut self, attempt: &Attempt, kind: Kind, cx: &mut Context<'_>) {
        let job = self.jobs.get_mut(&attempt.job).expect("its try has just ended");
        if kind == Kind::Unknown && job.repeat() == Repeat::Harmful {
            let obstacle = job.obstacle.clone().expect("what failed was noted");
            return self.conclude(attempt.job, Err(ClientError::last(obstacle, kind)), cx);
        }
        if self.routes.place(attempt.slot, job.end()).is_some_and(|place| place.version > attempt.version) {
            return self.proceed(attempt.job, cx);
        }
        self.inquiry.want(cx.now);
        let until = cx.now + self.backoff.wait(job.next_wait());
        self.wait(attempt.job, Some(attempt.slot), until, cx);
    }

    /// Ends a job.
    pub(super) fn conclude(&mut self, id: JobId, result: Result<Reply, ClientError>, cx: &mut Context<'_>) {
        match id {
            JobId::Call(call) => {
                let job = self.jobs.remove(&id).expect("it has not ended");
                self.calls -= 1;
                self.forget(id, &job, cx);
                let answered = match &result {
                    Ok(_) => true,
                    Err(error) => error.refusal().is_some_and(|error| verdict(error) == Verdict::Settled),
                };
                cx.out.push(ClientEffect::Done { call, result });
                let Some((slot, write)) = job.numbered() else { return };
                if answered {
                    self.sessions.answered(slot, write);
                    self.sessions.judge(slot, write, write.pace(cx.now));
                }
                self.sessions.release(slot, write);
                self.pump(slot, cx);
            }
            JobId::Open(slot) => {
                self.jobs.remove(&id);
                let Err(error) = result else { return };
                for call in self.sessions.not_opened(slot) {
                    let kind = self.jobs[&JobId::Call(call)].kind;
                    self.conclude(JobId::Call(call), Err(error.clone().with_kind(kind)), cx);
                }
            }
        }
    }

    /// Removes what waits for a call that has ended.
    fn forget(&mut self, id: JobId, job: &Job, cx: &mut Context<'_>) {
        let JobId::Call(call) = id else { return };
        if let Some(until) = job.until {
            self.alarms.remove(&(until, Alarm::End(call)));
        }
        match job.stage {
            Stage::Ready => {}
            Stage::Queued(slot) => self.sessions.dequeue(slot, call),
            Stage::Waiting { until, slot: _ } => {
                self.alarms.remove(&(until, Alarm::Retry(id)));
            }
            Stage::Underway(name) => {
                let attempt = self.attempts.remove(&name).expect("it is under way");
                self.alarms.remove(&(attempt.deadline, Alarm::Attempt(name)));
                cx.out.push(ClientEffect::Abandon { attempt: name });
            }
        }
    }
}
