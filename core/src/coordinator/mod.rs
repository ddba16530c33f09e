//! The coordinator: places chains, watches nodes, repairs, grants leases.
//!
//! ```text
//!            Observe, Lead                     Deposed, a higher epoch
//!   follows ───────────────▶ leads (one epoch) ───────────────▶ follows
//!
//!   leads:   heartbeats ─▶ liveness ─┐
//!            reports ────────────────┼─▶ plan: the next change of each chain ─▶ Store ─▶ in effect ─▶ Decide, answers
//!            orders ─────────────────┘
//! ```
//!
//! Everything that it has decided is in its store before anybody hears of it (C1), and a leader is rebuilt from there. What it
//! wants to be done follows from what is stored and what nodes report, again and again (K1): so there is no list of commands
//! to lose, and one unreachable node holds up only itself.

mod answers;
mod event;
mod joins;
mod leader;
mod liveness;
mod orders;
mod overview;
mod placement;
mod plan;
mod registry;
mod status;

use std::time::Duration;

use crate::{CoordinatorConfig, Epoch, Now, Succession, Ticket, Time};
use leader::Leader;

pub use event::{
    Change, CoordinatorEffect, CoordinatorEvent, Eviction, Health, Leadership, NodeStatus, Note, Order, OrderError, Record,
    RegisterError, Route, Standing, Status, StoredNode, Wait,
};
pub use overview::{CoordinatorOverview, NodeAccount};

/// How often a leader looks at its nodes although nothing happens. Chosen here: half a heartbeat.
const TICK: Duration = Duration::from_millis(50);

/// The coordinator of one cluster.
#[derive(Debug)]
pub struct Coordinator {
    config: CoordinatorConfig,
    now: Now,
    /// The last that a leadership which is over has given.
    last_ticket: Ticket,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Following(Following),
    Leading(Box<Leader>),
}

/// Watches who leads.
#[derive(Debug)]
struct Following {
    /// What was last observed, and since when it has not changed.
    seen: Option<(Leadership, Time)>,
    /// When to look again.
    observe_at: Time,
}

impl Coordinator {
    /// A coordinator that follows, until it is elected.
    pub fn new(config: CoordinatorConfig, now: Now) -> Self {
        let cluster = &config.cluster;
        assert!(cluster.slots > 0, "a cluster has at least one slot");
        assert!(cluster.replicas > 0, "a chain has at least one member");
        assert!(cluster.founders >= cluster.replicas, "a chain's members are on different nodes");
        assert!(config.lease_bound() <= config.dead_after, "a dead node's lease must have run out (C4)");
        let stage = Stage::Following(Following { seen: None, observe_at: now.monotonic });
        Self { config, now, last_ticket: Ticket(0), stage }
    }

    /// Feeds one event. `out` must be empty: the effects of the step before have been run.
    pub fn step(&mut self, now: Now, event: CoordinatorEvent, out: &mut Vec<CoordinatorEffect>) {
        assert!(out.is_empty(), "effects of the previous step were not run");
        assert!(now.monotonic >= self.now.monotonic, "time ran backwards");
        self.now = now;
        if let Stage::Leading(leader) = &mut self.stage {
            leader.wake(now);
        }
        match event {
            CoordinatorEvent::Observed(leadership) => self.on_observed(leadership, out),
            CoordinatorEvent::Elected { leadership, stored } => {
                self.keep_tickets();
                let leader = Leader::new(&self.config, now, leadership, stored, self.last_ticket);
                self.stage = Stage::Leading(Box::new(leader));
                out.push(CoordinatorEffect::Note(Note::Leads(leadership.epoch)));
            }
            CoordinatorEvent::Deposed => self.follow(out),
            CoordinatorEvent::Renewed(leadership) => {
                if let Stage::Leading(leader) = &mut self.stage {
                    leader.renewed(leadership, &self.config);
                }
            }
            CoordinatorEvent::Register(record) => match &mut self.stage {
                Stage::Leading(leader) => leader.on_register(record, &self.config, now, out),
                Stage::Following(_) => {
                    out.push(CoordinatorEffect::Refused { node: record.node, reason: RegisterError::NotLeading });
                }
            },
            CoordinatorEvent::Order { request, order } => match &mut self.stage {
                Stage::Leading(leader) => leader.on_order(request, &order, &self.config, now, out),
                Stage::Following(_) => {
                    out.push(CoordinatorEffect::Done { request, result: Err(OrderError::NotLeading) });
                }
            },
            CoordinatorEvent::Heartbeat { from, incarnation, heartbeat } => {
                // The node has heard of a later leadership: this one is over (C1).
                let shared = self.config.succession != Succession::Exclusive;
                if shared && self.epoch().is_some_and(|epoch| epoch < heartbeat.epoch) {
                    self.follow(out);
                }
                if let Stage::Leading(leader) = &mut self.stage {
                    leader.on_heartbeat(&from, incarnation, heartbeat, &self.config, now, out);
                }
            }
            CoordinatorEvent::Stored { ticket } => {
                if let Stage::Leading(leader) = &mut self.stage {
                    leader.on_stored(ticket, out);
                }
            }
            CoordinatorEvent::Wake => {}
        }
        match &mut self.stage {
            Stage::Leading(leader) => leader.advance(&self.config, now, out),
            Stage::Following(following) => following.observe(&self.config, now, out),
        }
    }

    /// When the machine next has something to do although nothing happened: send [`CoordinatorEvent::Wake`] then.
    pub fn deadline(&self) -> Time {
        match &self.stage {
            Stage::Following(following) => following.observe_at,
            Stage::Leading(leader) => leader.deadline(),
        }
    }

    /// Where everything is; `None`: this coordinator does not lead.
    pub fn route(&self) -> Option<Route> {
        self.leader().map(|leader| leader.route(&self.config))
    }

    /// The cluster, as an operator sees it; `None`: this coordinator does not lead.
    pub fn status(&self) -> Option<Status> {
        self.leader().map(Leader::status)
    }

    /// The epoch that it leads; `None`: it follows.
    pub fn epoch(&self) -> Option<Epoch> {
        self.leader().map(|leader| leader.leadership.epoch)
    }

    /// What it was told when it was made.
    pub fn config(&self) -> &CoordinatorConfig {
        &self.config
    }

    fn leader(&self) -> Option<&Leader> {
        match &self.stage {
            Stage::Leading(leader) => Some(leader),
            Stage::Following(_) => None,
        }
    }

    fn keep_tickets(&mut self) {
        self.last_ticket = self.leader().map_or(self.last_ticket, |leader| leader.last_ticket);
    }

    fn follow(&mut self, out: &mut Vec<CoordinatorEffect>) {
        self.keep_tickets();
        if let Stage::Leading(leader) = &mut self.stage {
            reached!(Deposed);
            for request in leader.open_orders() {
                out.push(CoordinatorEffect::Done { request, result: Err(OrderError::NotLeading) });
            }
            self.stage = Stage::Following(Following { seen: None, observe_at: self.now.monotonic });
            out.push(CoordinatorEffect::Note(Note::Follows));
        }
    }

    fn on_observed(&mut self, leadership: Leadership, out: &mut Vec<CoordinatorEffect>) {
        if self.leader().is_some_and(|leader| leadership.epoch > leader.leadership.epoch) {
            self.follow(out);
        }
        let Stage::Following(following) = &mut self.stage else { return };
        let now = self.now.monotonic;
        let since = following.seen.filter(|(seen, _)| *seen == leadership).map_or(now, |(_, since)| since);
        following.seen = Some((leadership, since));
        let vacant = match self.config.succession {
            Succession::Exclusive => true,
            // A claim that has not been renewed for so long on this clock has run out on the clock of whoever made it (C5).
            Succession::Shared { claim, .. } => {
                leadership == Leadership::default() || now.since(since) > self.config.with_drift(claim)
            }
        };
        if vacant {
            out.push(CoordinatorEffect::Lead { over: leadership });
        }
    }
}

impl Following {
    fn observe(&mut self, config: &CoordinatorConfig, now: Now, out: &mut Vec<CoordinatorEffect>) {
        if now.monotonic < self.observe_at {
            return;
        }
        let interval = match config.succession {
            Succession::Exclusive => TICK * 20,
            Succession::Shared { renew, .. } => renew,
        };
        self.observe_at = now.monotonic + interval;
        out.push(CoordinatorEffect::Observe);
    }
}
