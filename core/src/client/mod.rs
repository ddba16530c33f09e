//! The client as a pure state machine: finds the node, calls it, and retries where that is safe (W8, W9).
//!
//! ```text
//!   Call ──▶ Ready ──▶ Queued ──▶ Underway ──▶ Done
//!              ▲   (a session's     │
//!              │     number)        │ no answer, or a no that passes
//!              └───── Waiting ◀─────┘     a timer, another route, or the node's return ends the wait
//! ```
//!
//! * A try whose outcome is unknown is followed by another only where that does no harm: a read, or a write under the same
//!   session and number. So a call ends `NotExecuted` only if each of its tries was, or if the session's answer says so.
//! * Whatever cannot be routed asks for the route; those who ask at once share one question. A new route ends the waits of
//!   its slots, and the tries that it shows to be at the wrong node.
//! * A node that does not answer is spared: one call in a while looks whether it is back.
//!
//! `jobs.rs` says what a call is and what a node's no means, `progress.rs` and `outcome.rs` move it, `sessions.rs` numbers writes,
//! as many as `window.rs` allows, and where one is too many, in turns (`lane.rs`); `routes.rs` knows where to go, `inquiry.rs`
//! asks, `endpoints.rs` spares.

mod backoff;
mod endpoints;
mod error;
mod event;
mod inquiry;
mod jobs;
mod lane;
mod outcome;
mod progress;
mod routes;
mod sessions;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use error::{ClientError, Obstacle};
pub use event::{AttemptId, Body, CallId, ClientConfig, ClientEffect, ClientEvent, ClientRequest, Delivery, Failure};

use backoff::Backoff;
use endpoints::Endpoints;
use inquiry::{Inquiry, Worth};
use jobs::{Attempt, Job, JobId, Stage};
use routes::{News, Routes};
use sessions::SlotSessions;

use crate::{ClusterId, Now, Route, Slot, Time};

/// A client of one cluster.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    backoff: Backoff,
    routes: Routes,
    inquiry: Inquiry,
    endpoints: Endpoints,
    sessions: SlotSessions,
    jobs: BTreeMap<JobId, Job>,
    /// How many jobs are calls.
    calls: usize,
    attempts: BTreeMap<AttemptId, Attempt>,
    last_attempt: AttemptId,
    /// Each is either relevant or without effect.
    alarms: BTreeSet<(Time, Alarm)>,
}

/// What is due at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    /// A call's time is over.
    End(CallId),
    /// A job has waited long enough.
    Retry(JobId),
    /// A try has taken too long.
    Attempt(AttemptId),
}

/// What a handler works with besides the client.
struct Context<'a> {
    now: Time,
    out: &'a mut Vec<ClientEffect>,
}

impl Client {
    /// A client that knows nothing yet. Its first deadline is `now`: it asks for the route.
    pub fn new(config: ClientConfig, now: Now) -> Self {
        let config = config.bounded();
        Self {
            backoff: Backoff::new(config.first_wait, config.longest_wait, config.seed),
            routes: Routes::new(config.cluster),
            inquiry: Inquiry::new(config.coordinators, config.route_timeout, now.monotonic),
            endpoints: Endpoints::default(),
            sessions: SlotSessions::new(config.session_idle, config.session_writes),
            jobs: BTreeMap::new(),
            calls: 0,
            attempts: BTreeMap::new(),
            last_attempt: AttemptId(0),
            alarms: BTreeSet::new(),
            config,
        }
    }

    /// Feeds one event. `out` must be empty: the effects of the step before have been run.
    pub fn step(&mut self, now: Now, event: ClientEvent, out: &mut Vec<ClientEffect>) {
        debug_assert!(out.is_empty(), "the effects of the step before have been run");
        let cx = &mut Context { now: now.monotonic, out };
        match event {
            ClientEvent::Call { call, request } => self.begin(call, request, cx),
            ClientEvent::Cancel { call } => self.cancel(call, cx),
            ClientEvent::Route(route) => self.on_route(route, cx),
            ClientEvent::RouteChanged(change) => self.on_change(change, cx),
            ClientEvent::RouteFailed { coordinator } => self.inquiry.failed(coordinator, cx.now, &mut self.backoff),
            ClientEvent::Answered { attempt, result } => self.answered(attempt, result, cx),
            ClientEvent::Failed { attempt, failure } => self.failed(attempt, failure, cx),
            ClientEvent::Wake => {}
        }
        self.run_alarms(cx);
        while let Some(slot) = self.sessions.next_slow(cx.now) {
            self.pump(slot, cx);
        }
        self.inquiry.run(cx.now, &mut self.backoff, cx.out);
    }

    /// When the machine next has something to do although nothing happened: send [`ClientEvent::Wake`] then.
    pub fn deadline(&self) -> Option<Time> {
        let alarm = self.alarms.first().map(|(at, _)| *at);
        alarm.into_iter().chain(self.sessions.deadline()).chain(self.inquiry.deadline()).min()
    }

    /// The route as far as it is known; `None`: not yet.
    pub fn route(&self) -> Option<Route> {
        self.routes.route()
    }

    /// The cluster that is meant; `None`: not yet known.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.routes.cluster()
    }

    /// The slot of a key; `None` before the first route.
    pub fn slot(&self, key: &[u8]) -> Option<Slot> {
        self.routes.slot(key)
    }

    /// How long calls may take that begin from now on.
    pub fn set_call_timeout(&mut self, call_timeout: Duration) {
        self.config.call_timeout = call_timeout.min(ClientConfig::FOREVER);
    }

    /// Calls that have not ended.
    pub fn calls(&self) -> usize {
        self.calls
    }

    fn on_route(&mut self, route: Route, cx: &mut Context<'_>) {
        let (slots, worth) = match self.routes.learn(route) {
            News::Foreign => return self.inquiry.useless(cx.now, &mut self.backoff),
            News::First => (None, Worth::News),
            News::Slots(slots) if slots.is_empty() => (Some(slots), Worth::Nothing),
            News::Slots(slots) => (Some(slots), Worth::News),
        };
        self.inquiry.answered(worth, cx.now, &mut self.backoff);
        match slots {
            Some(slots) => self.rerouted(&slots, cx),
            None => self.end_waits(cx, |_, _| true),
        }
    }

    fn on_change(&mut self, change: Route, cx: &mut Context<'_>) {
        match self.routes.learn_change(change) {
            News::Slots(slots) if slots.is_empty() => {}
            News::Slots(slots) => {
                self.inquiry.told();
                self.rerouted(&slots, cx);
            }
            News::First | News::Foreign => {}
        }
    }

    /// The calls of these slots may go elsewhere now: those that wait do so at once, and those that are at a node which has
    /// no say any more, if trying again does no harm.
    fn rerouted(&mut self, slots: &BTreeSet<Slot>, cx: &mut Context<'_>) {
        if slots.is_empty() {
            return;
        }
        for slot in slots {
            self.sessions.chain_changed(*slot);
            self.pump(*slot, cx);
        }
        self.leave_old_places(slots, cx);
        self.end_waits(cx, |_, slot| slot.is_some_and(|slot| slots.contains(&slot)));
    }

    /// Tries those who wait and are meant.
    fn end_waits(&mut self, cx: &mut Context<'_>, meant: impl Fn(&Job, Option<Slot>) -> bool) {
        let waits = |job: &Job| match job.stage {
            Stage::Waiting { slot, until: _ } => meant(job, slot),
            Stage::Ready | Stage::Queued(_) | Stage::Underway(_) => false,
        };
        let jobs: Vec<JobId> = self.jobs.iter().filter(|(_, job)| waits(job)).map(|(id, _)| *id).collect();
        for id in jobs {
            // What made it wait longer and longer was the route before.
            if let Some(job) = self.jobs.get_mut(&id) {
                job.wait_anew();
            }
            self.proceed(id, cx);
        }
    }

    fn run_alarms(&mut self, cx: &mut Context<'_>) {
        while let Some((at, alarm)) = self.alarms.first().copied()
            && at <= cx.now
        {
            self.alarms.pop_first();
            match alarm {
                Alarm::End(call) => self.out_of_time(call, cx),
                Alarm::Retry(job) => self.proceed(job, cx),
                Alarm::Attempt(attempt) => self.timed_out(attempt, cx),
            }
        }
    }
}
