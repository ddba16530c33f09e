//! The figures of a coordinator; `docs/operations.md` says what each is good for.

use std::time::Duration;

use catena_core::{Chain, Coordinator, CoordinatorConfig, Eviction, Health, Note, Order, OrderError, RegisterError, Status};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::state::unavailable;
use crate::monitor::{Each, Gauges, Metrics, histogram, number};
use crate::words;

const COMMANDS: [&str; 4] = ["register", "drain", "evict", "readmit"];
const EVICTIONS: [&str; 2] = ["flapping", "ordered"];
const CHANGES: [&str; 6] = ["placed", "join-began", "join-done", "join-given-up", "member-left", "other"];
const STANDINGS: [&str; 4] = ["member", "draining", "evicted-flapping", "evicted-ordered"];

/// Counted by the driver.
#[derive(Clone, Debug)]
pub struct CoordinatorMetrics {
    commands: Each,
    refused: Each,
    commits: Counter,
    commit_duration: Histogram,
    dispatches: Counter,
    dispatch_duration: Histogram,
    heartbeats: Counter,
    evaluations: Counter,
    deaths: Counter,
    flaps: Counter,
    evictions: Each,
    restraints: Counter,
    changes: Each,
    elections: Counter,
    now: Present,
}

/// What is read off the machine when somebody looks.
#[derive(Clone, Debug)]
struct Present {
    leading: Gauge,
    epoch: Gauge,
    nodes: Gauges,
    standings: Gauges,
    connected: Gauge,
    watchers: Gauge,
    chains: Gauge,
    short: Gauge,
    waiting: Gauges,
    pending_commits: Gauge,
    pending_orders: Gauge,
    unavailable: Gauge,
}

/// As much of a chain as tells one kind of change from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ChainShape {
    members: usize,
    joining: bool,
}

impl From<&Chain> for ChainShape {
    fn from(chain: &Chain) -> Self {
        Self { members: chain.members.len(), joining: chain.joining.is_some() }
    }
}

impl Default for CoordinatorMetrics {
    fn default() -> Self {
        Self {
            commands: Each::new("command", &COMMANDS),
            refused: Each::new("command", &COMMANDS),
            commits: Counter::default(),
            commit_duration: histogram(),
            dispatches: Counter::default(),
            dispatch_duration: histogram(),
            heartbeats: Counter::default(),
            evaluations: Counter::default(),
            deaths: Counter::default(),
            flaps: Counter::default(),
            evictions: Each::new("reason", &EVICTIONS),
            restraints: Counter::default(),
            changes: Each::new("change", &CHANGES),
            elections: Counter::default(),
            now: Present {
                leading: Gauge::default(),
                epoch: Gauge::default(),
                nodes: Gauges::new("health", &words::HEALTHS),
                standings: Gauges::new("standing", &STANDINGS),
                connected: Gauge::default(),
                watchers: Gauge::default(),
                chains: Gauge::default(),
                short: Gauge::default(),
                waiting: Gauges::new("reason", &words::WAITS),
                pending_commits: Gauge::default(),
                pending_orders: Gauge::default(),
                unavailable: Gauge::default(),
            },
        }
    }
}

impl CoordinatorMetrics {
    pub(super) fn ordered(&self, order: &Order, result: &Result<(), OrderError>) {
        let command = command(order);
        self.commands.of(command).inc();
        if result.is_err() {
            self.refused.of(command).inc();
        }
    }

    /// One that does not lead is asked by every node again and again: that counts for nothing.
    pub(super) fn registered(&self, result: Result<(), &RegisterError>) {
        if result == Err(&RegisterError::NotLeading) {
            return;
        }
        self.commands.of("register").inc();
        if result.is_err() {
            self.refused.of("register").inc();
        }
    }

    /// The store has a commit, so long after it was asked for it.
    pub(super) fn committed(&self, took: Duration) {
        self.commits.inc();
        self.commit_duration.observe(took.as_secs_f64());
    }

    pub(super) fn dispatched(&self) {
        self.dispatches.inc();
    }

    /// A node has durably adopted everything that was decided so long ago.
    pub(super) fn acknowledged(&self, took: Duration) {
        self.dispatch_duration.observe(took.as_secs_f64());
    }

    pub(super) fn heard(&self) {
        self.heartbeats.inc();
    }

    /// `before`: the chain's shape before a change of it.
    pub(super) fn noted(&self, note: &Note, before: Option<ChainShape>) {
        match note {
            Note::Leads(_) => drop(self.elections.inc()),
            Note::Health { health: Health::Dead, .. } => drop(self.deaths.inc()),
            Note::Health { health: Health::Suspect, .. } => drop(self.flaps.inc()),
            Note::Health { .. } | Note::Follows => {}
            Note::Evicted { reason, .. } => drop(self.evictions.of(eviction(*reason)).inc()),
            Note::Restrained { .. } => drop(self.restraints.inc()),
            Note::Chain(chain) => drop(self.changes.of(change(before, chain.into())).inc()),
        }
    }

    /// Reads off what is not counted as it happens.
    pub(super) fn measure(&self, coordinator: &Coordinator, connected: usize, watchers: usize) {
        let (now, config) = (&self.now, coordinator.config());
        now.leading.set(coordinator.epoch().is_some().into());
        now.epoch.set(coordinator.epoch().map_or(0, |epoch| i64::try_from(epoch.0).unwrap_or(i64::MAX)));
        now.connected.set(number(connected));
        now.watchers.set(number(watchers));
        let overview = coordinator.overview();
        now.pending_commits.set(number(overview.as_ref().map_or(0, |overview| overview.commits)));
        now.pending_orders.set(number(overview.as_ref().map_or(0, |overview| overview.orders)));
        let status = coordinator.status().unwrap_or_else(nothing);
        let missing = overview.map_or(0, |overview| unavailable(&status, &overview).count());
        now.unavailable.set(number(missing));
        now.count(&status, config);
    }

    /// The machine has looked at its nodes so often since it was last asked.
    pub(super) fn evaluated(&self, times: u64) {
        self.evaluations.inc_by(times);
    }
}

impl Present {
    fn count(&self, status: &Status, config: &CoordinatorConfig) {
        self.nodes.count(status.nodes.iter().map(|node| words::health(node.health)));
        self.standings.count(status.nodes.iter().map(|node| words::standing(node.stored.standing)));
        self.chains.set(number(status.chains.len()));
        let short = |chain: &&Chain| chain.copies().len() < config.cluster.replicas as usize;
        self.short.set(number(status.chains.iter().filter(short).count()));
        self.waiting.count(status.waits.values().map(|wait| words::wait(*wait)));
    }
}

/// What one that does not lead knows.
fn nothing() -> Status {
    Status { epoch: catena_core::Epoch(0), nodes: Vec::new(), chains: Vec::new(), waits: std::collections::BTreeMap::new() }
}

pub(super) fn command(order: &Order) -> &'static str {
    match order {
        Order::Drain(_) => "drain",
        Order::Evict(_) => "evict",
        Order::Readmit(_) => "readmit",
    }
}

pub(super) fn eviction(reason: Eviction) -> &'static str {
    match reason {
        Eviction::Flapping => "flapping",
        Eviction::Ordered => "ordered",
    }
}

pub(super) fn change(before: Option<ChainShape>, after: ChainShape) -> &'static str {
    let Some(before) = before else { return "placed" };
    match (before.joining, after.joining) {
        (true, false) if after.members > before.members => "join-done",
        (true, false) => "join-given-up",
        (_, _) if after.members < before.members => "member-left",
        (false, true) => "join-began",
        (_, _) => "other",
    }
}

impl Metrics for CoordinatorMetrics {
    fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("coordinator");
        self.register_decisions(registry);
        self.register_liveness(registry);
        self.now.register(registry);
    }
}

impl CoordinatorMetrics {
    fn register_decisions(&self, registry: &mut Registry) {
        self.commands.register(registry, "commands", "Registrations and orders, refused ones included");
        self.refused.register(registry, "refused_commands", "Registrations and orders that were refused");
        registry.register("commits", "Commits of decisions to the store", self.commits.clone());
        let duration = self.commit_duration.clone();
        registry.register_with_unit("commit_duration", "From a decision until it is stored", Unit::Seconds, duration);
        registry.register("dispatches", "Decisions pushed to nodes", self.dispatches.clone());
        let duration = self.dispatch_duration.clone();
        let help = "From pushing a decision to a node until the node says that it has adopted it durably";
        registry.register_with_unit("dispatch_duration", help, Unit::Seconds, duration);
        self.changes.register(registry, "chain_changes", "Changes of chains, by what was changed");
        registry.register("elections", "Leaderships begun", self.elections.clone());
    }

    fn register_liveness(&self, registry: &mut Registry) {
        registry.register("heartbeats", "Heartbeats heard", self.heartbeats.clone());
        registry.register("liveness_evaluations", "Looks at whether every node is there", self.evaluations.clone());
        registry.register("dead_nodes", "Nodes that became dead", self.deaths.clone());
        registry.register("flaps", "Nodes that became suspect", self.flaps.clone());
        self.evictions.register(registry, "evictions", "Nodes evicted, by why");
        registry.register(
            "restraints",
            "Dead nodes that were left in their chains, for too many went at once",
            self.restraints.clone(),
        );
    }
}

impl Present {
    fn register(&self, registry: &mut Registry) {
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge("leading", "1 while this coordinator leads, and /readyz is 200", &self.leading);
        gauge("epoch", "The leadership; 0 while it follows", &self.epoch);
        gauge("connected_nodes", "Nodes that there is a stream from", &self.connected);
        gauge("watchers", "Clients that follow the route", &self.watchers);
        gauge("chains", "Chains that are laid", &self.chains);
        gauge("short_chains", "Chains with fewer copies than are wanted", &self.short);
        gauge("pending_commits", "Commits that the store has not confirmed", &self.pending_commits);
        gauge("pending_orders", "Orders that are being stored", &self.pending_orders);
        gauge("unavailable_replicas", "Replicas of chains that cannot take part just now", &self.unavailable);
        self.nodes.register(registry, "nodes", "Nodes, by how they are");
        self.standings.register(registry, "nodes_by_standing", "Nodes, by whether they may hold replicas");
        self.waiting.register(registry, "waiting_chains", "Chains that are not as they should be, by what they wait for");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_counts_as_a_loss_and_a_join() {
        let shape = |members, joining| ChainShape { members, joining };
        assert_eq!(change(None, shape(3, false)), "placed");
        assert_eq!(change(Some(shape(3, false)), shape(2, false)), "member-left");
        assert_eq!(change(Some(shape(2, false)), shape(2, true)), "join-began");
        assert_eq!(change(Some(shape(2, true)), shape(3, false)), "join-done");
        assert_eq!(change(Some(shape(2, true)), shape(2, false)), "join-given-up");
        assert_eq!(change(Some(shape(3, false)), shape(3, false)), "other");
    }
}
