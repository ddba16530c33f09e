//! How calls move on: to a number, to a try, to a wait.

use std::collections::BTreeSet;

use super::jobs::{Attempt, Job, JobId, Repeat, Stage, Work};
use super::sessions::{Pace, Turn};
use super::{Alarm, AttemptId, Body, CallId, Client, ClientEffect, ClientError, ClientRequest, Context, Failure, Obstacle};
use crate::{Kind, Slot, Target, Time};

impl Client {
    pub(super) fn begin(&mut self, call: CallId, request: ClientRequest, cx: &mut Context<'_>) {
        let refusal = if self.calls >= self.config.calls {
            Some(ClientError::TooManyCalls { limit: self.config.calls })
        } else if self.inquiry.nobody() && self.routes.cluster().is_none() {
            Some(ClientError::NoCoordinator)
        } else {
            None
        };
        if let Some(error) = refusal {
            cx.out.push(ClientEffect::Done { call, result: Err(error) });
            return;
        }
        let limit = self.config.call_timeout;
        let until = cx.now + limit;
        let before = self.jobs.insert(JobId::Call(call), Job::call(request, cx.now, limit));
        invariant!(before.is_none(), "{call:?} is under way already");
        self.calls += 1;
        self.alarms.insert((until, Alarm::End(call)));
        self.proceed(JobId::Call(call), cx);
    }

    /// Tries a job, or finds out what it has to wait for.
    pub(super) fn proceed(&mut self, id: JobId, cx: &mut Context<'_>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match job.stage {
            Stage::Ready => {}
            Stage::Waiting { until, slot: _ } => {
                self.alarms.remove(&(until, Alarm::Retry(id)));
                job.stage = Stage::Ready;
            }
            Stage::Queued(_) | Stage::Underway(_) => return,
        }
        if let JobId::Open(slot) = id
            && !self.sessions.waits(slot)
        {
            self.jobs.remove(&id);
            self.sessions.not_opened(slot);
            return;
        }
        let slot = match (&job.work, id) {
            (_, JobId::Open(slot)) => Some(slot),
            (Work::Read { key }, _) => self.routes.slot(key),
            (Work::Scan { slot, .. }, _) => Some(*slot),
            (Work::Write { command, .. }, _) => self.routes.slot(&command.key),
            (Work::Open, JobId::Call(_)) => None,
        };
        let Some(slot) = slot else { return self.unroutable(id, None, Obstacle::NoRoute, cx) };
        if job.wants_number()
            && let JobId::Call(call) = id
        {
            job.stage = Stage::Queued(slot);
            self.sessions.enqueue(slot, call, job.share());
            return self.pump(slot, cx);
        }
        let Some(place) = self.routes.place(slot, job.end()) else {
            return self.unroutable(id, Some(slot), Obstacle::NoChain { slot }, cx);
        };
        if let Err(until) = self.endpoints.admit(&place.address, cx.now, &mut self.backoff) {
            // What has happened to this call there says more.
            if job.obstacle.as_ref().and_then(Obstacle::node) != Some(&place.node) {
                job.obstacle = Some(Obstacle::Spared { node: place.node });
            }
            self.inquiry.want(cx.now);
            let until = until.max(cx.now + self.backoff.wait(job.next_wait()));
            return self.wait(id, Some(slot), until, cx);
        }
        let deadline = job.attempt_deadline(cx.now, &self.config);
        let (node, address, version) = (place.node, place.address, place.version);
        self.send(Attempt { job: id, slot, node, address, version, sent: cx.now, deadline }, cx);
    }

    fn send(&mut self, attempt: Attempt, cx: &mut Context<'_>) {
        self.last_attempt.0 += 1;
        let name = self.last_attempt;
        let job = self.jobs.get_mut(&attempt.job).expect("it is about to be tried");
        job.stage = Stage::Underway(name);
        let body = match &job.work {
            Work::Read { key } => Body::Read { key: key.clone() },
            Work::Scan { slot: _, after, bytes } => Body::Scan { after: after.clone(), bytes: *bytes },
            Work::Write { command, numbered, .. } => {
                let origin = numbered.map(|(slot, numbered)| self.sessions.origin(slot, numbered));
                Body::Write { command: command.clone(), origin }
            }
            Work::Open => Body::OpenSession,
        };
        if job.until != Some(attempt.deadline) {
            self.alarms.insert((attempt.deadline, Alarm::Attempt(name)));
        }
        cx.out.push(ClientEffect::Send {
            attempt: name,
            call: match attempt.job {
                JobId::Call(call) => Some(call),
                JobId::Open(_) => None,
            },
            node: attempt.node.clone(),
            address: attempt.address.clone(),
            target: Target { slot: attempt.slot, version: attempt.version },
            body,
            deadline: attempt.deadline,
        });
        self.attempts.insert(name, attempt);
    }

    /// Gives numbers to those who wait for them, and opens a session for them first.
    pub(super) fn pump(&mut self, slot: Slot, cx: &mut Context<'_>) {
        loop {
            match self.sessions.turn(slot, cx.now) {
                Turn::Nobody => return,
                Turn::Open => {
                    self.jobs.insert(JobId::Open(slot), Job::open());
                    self.proceed(JobId::Open(slot), cx);
                }
                Turn::Go(call, write) => {
                    let job = self.jobs.get_mut(&JobId::Call(call)).expect("who waits has not ended");
                    if let Work::Write { numbered, .. } = &mut job.work {
                        *numbered = Some((slot, write));
                    }
                    job.stage = Stage::Ready;
                    self.proceed(JobId::Call(call), cx);
                }
            }
        }
    }

    fn unroutable(&mut self, id: JobId, slot: Option<Slot>, obstacle: Obstacle, cx: &mut Context<'_>) {
        let job = self.jobs.get_mut(&id).expect("it is about to be tried");
        job.obstacle = Some(obstacle);
        self.inquiry.want(cx.now);
        let until = cx.now + self.backoff.wait(job.next_wait());
        self.wait(id, slot, until, cx);
    }

    /// Lets a job wait: until then, or for another route.
    pub(super) fn wait(&mut self, id: JobId, slot: Option<Slot>, until: Time, cx: &Context<'_>) {
        let until = until.max(Time(cx.now.0 + 1));
        self.jobs.get_mut(&id).expect("it is about to wait").stage = Stage::Waiting { slot, until };
        self.alarms.insert((until, Alarm::Retry(id)));
    }

    /// Removes a try. `None`: it has ended before.
    pub(super) fn end_attempt(&mut self, name: AttemptId) -> Option<Attempt> {
        let attempt = self.attempts.remove(&name)?;
        self.alarms.remove(&(attempt.deadline, Alarm::Attempt(name)));
        self.jobs.get_mut(&attempt.job).expect("a try under way is some job's").stage = Stage::Ready;
        Some(attempt)
    }

    /// Tries again those whose node has no say in these slots any more, where that does no harm.
    pub(super) fn leave_old_places(&mut self, slots: &BTreeSet<Slot>, cx: &mut Context<'_>) {
        let misplaced = |attempt: &Attempt| {
            let job = &self.jobs[&attempt.job];
            let place = slots.contains(&attempt.slot).then(|| self.routes.place(attempt.slot, job.end())).flatten();
            let elsewhere = place.is_some_and(|place| place.node != attempt.node || place.address != attempt.address);
            elsewhere && job.repeat() == Repeat::Safe
        };
        let misplaced: Vec<_> = self.attempts.iter().filter(|(_, attempt)| misplaced(attempt)).map(|(name, _)| *name).collect();
        for name in misplaced {
            let Some(attempt) = self.end_attempt(name) else { continue };
            cx.out.push(ClientEffect::Abandon { attempt: name });
            let job = self.jobs.get_mut(&attempt.job).expect("its try has just ended");
            job.kind = Kind::Unknown;
            job.obstacle = Some(Obstacle::Failure { node: attempt.node, failure: Failure::TimedOut });
            self.proceed(attempt.job, cx);
        }
    }

    /// The caller does not wait any more.
    pub(super) fn cancel(&mut self, call: CallId, cx: &mut Context<'_>) {
        if let Some(job) = self.jobs.get(&JobId::Call(call)) {
            let kind = job.kind_if_ended_now();
            self.conclude(JobId::Call(call), Err(ClientError::Cancelled { kind }), cx);
        }
    }

    pub(super) fn out_of_time(&mut self, call: CallId, cx: &mut Context<'_>) {
        let Some(job) = self.jobs.get(&JobId::Call(call)) else { return };
        let (kind, limit, mut obstacle) = (job.kind_if_ended_now(), job.limit, job.obstacle.clone());
        match job.stage {
            Stage::Underway(name) => {
                let attempt = &self.attempts[&name];
                let (node, failure) = (attempt.node.clone(), Failure::TimedOut);
                // What had little time to begin with says nothing of the node.
                if cx.now.since(attempt.sent) >= self.config.attempt_timeout {
                    self.endpoints.failed(&attempt.address, failure, attempt.sent, cx.now, &mut self.backoff);
                    self.inquiry.want(cx.now);
                }
                obstacle = Some(Obstacle::Failure { node, failure });
            }
            Stage::Queued(slot) => {
                let open = self.jobs.get(&JobId::Open(slot)).and_then(|open| open.obstacle.clone());
                obstacle = Some(open.unwrap_or(Obstacle::NoTurn { slot }));
            }
            Stage::Ready | Stage::Waiting { .. } => {}
        }
        // One that had no time says nothing of the cluster.
        if let Some((slot, write)) = job.numbered().filter(|(_, write)| write.pace(cx.now) == Pace::Late) {
            self.sessions.judge(slot, write, Pace::Late);
        }
        self.conclude(JobId::Call(call), Err(ClientError::OutOfTime { limit, obstacle, kind }), cx);
    }
}
