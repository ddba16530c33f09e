//! The figures of a storage node; `docs/operations.md` says what each is good for.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use catena_core::{CallError, Envelope, Kind, Message, ReplicaView, Reply, Write};
use catena_net::server::Readiness;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::state::Sight;
use super::watching::readiness;
use crate::monitor::{Each, Gauges, Metrics, histogram, number, size};
use crate::words;

/// How a copy ended, as the replica that was filled saw it.
const ENDS: [&str; 2] = ["done", "given-up"];

/// Counted by the driver.
#[derive(Clone, Debug)]
pub struct NodeMetrics {
    reads: Each,
    writes: Each,
    scans: Each,
    sessions: Each,
    ambiguous: Counter,
    condition_failures: Counter,
    backpressure: Each,
    write_wait: Histogram,
    forwarded: Counter,
    committed: Counter,
    sync_wait: Histogram,
    catch_ups: Each,
    catch_up: Histogram,
    snapshot_bytes: Counter,
    pub(super) heartbeats: Counter,
    /// Brought up to date when somebody looks.
    pub(super) now: Present,
}

/// What is read off the machine when somebody looks.
#[derive(Clone, Debug)]
pub(super) struct Present {
    ready: Gauge,
    lease: Gauge,
    coordinator: Gauge,
    replicas: Gauges,
    damaged: Gauge,
    calls: Gauge,
    writes: Gauge,
    entry_bytes: Gauge,
    retained_bytes: Gauge,
    answer_bytes: Gauge,
    links: Gauge,
    neighbours: Gauge,
    queue_bytes: Gauge,
    dropped: Counter,
    batches: Gauge,
    oldest_batch: Gauge<f64, AtomicU64>,
    disk_full: Gauge,
    catching_up: Gauge,
    copying_out: Gauge,
}

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Read,
    Write,
    Scan,
    Session,
}

impl Default for NodeMetrics {
    fn default() -> Self {
        let results = || Each::new("result", &words::RESULTS);
        Self {
            reads: results(),
            writes: results(),
            scans: results(),
            sessions: results(),
            ambiguous: Counter::default(),
            condition_failures: Counter::default(),
            backpressure: Each::new("resource", &words::RESOURCES),
            write_wait: histogram(),
            forwarded: Counter::default(),
            committed: Counter::default(),
            sync_wait: histogram(),
            catch_ups: Each::new("result", &ENDS),
            catch_up: Histogram::new([0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0]),
            snapshot_bytes: Counter::default(),
            heartbeats: Counter::default(),
            now: Present {
                ready: Gauge::default(),
                lease: Gauge::default(),
                coordinator: Gauge::default(),
                replicas: Gauges::new("role", &words::ROLES),
                damaged: Gauge::default(),
                calls: Gauge::default(),
                writes: Gauge::default(),
                entry_bytes: Gauge::default(),
                retained_bytes: Gauge::default(),
                answer_bytes: Gauge::default(),
                links: Gauge::default(),
                neighbours: Gauge::default(),
                queue_bytes: Gauge::default(),
                dropped: Counter::default(),
                batches: Gauge::default(),
                oldest_batch: Gauge::default(),
                disk_full: Gauge::default(),
                catching_up: Gauge::default(),
                copying_out: Gauge::default(),
            },
        }
    }
}

impl NodeMetrics {
    /// A call has its result, `waited` after it was taken up. `heard`: whether its caller still wants to know.
    pub(super) fn answered(&self, asked: Asked, result: &Result<Reply, CallError>, waited: Duration, heard: Heard) {
        let results = match asked {
            Asked::Read => &self.reads,
            Asked::Write => &self.writes,
            Asked::Scan => &self.scans,
            Asked::Session => &self.sessions,
        };
        results.of(words::result(result)).inc();
        if let Err(CallError::Backpressure { resource, .. }) = result {
            self.backpressure.of(words::resource(*resource)).inc();
        }
        if asked != Asked::Write {
            return;
        }
        if result.is_ok() {
            self.write_wait.observe(waited.as_secs_f64());
        }
        if matches!(result, Err(CallError::ConditionFailed { .. })) {
            self.condition_failures.inc();
        }
        if heard == Heard::No || matches!(result, Err(error) if error.kind() == Kind::Unknown) {
            self.ambiguous.inc();
        }
    }

    /// Something goes to a neighbour.
    pub(super) fn sent(&self, envelope: &Envelope) {
        match &envelope.message {
            Message::Append { entries, .. } if !entries.is_empty() => drop(self.forwarded.inc_by(size(entries.len()))),
            Message::Chunk(chunk) => {
                let bytes: usize = chunk.objects.iter().map(|(key, object)| key.len() + object.value.len()).sum();
                self.snapshot_bytes.inc_by(size(bytes));
            }
            Message::Append { .. }
            | Message::Hello
            | Message::Probe { .. }
            | Message::Have { .. }
            | Message::Poke { .. }
            | Message::Ack { .. }
            | Message::Newer { .. }
            | Message::Fetch { .. } => {}
        }
    }

    /// Something goes to the disk.
    pub(super) fn persisted(&self, writes: &[Write]) {
        for write in writes {
            if let Write::Apply { entries, .. } = write {
                self.committed.inc_by(size(entries.len()));
            }
        }
    }

    /// A batch is synced, `waited` after it was handed to the disk.
    pub(super) fn synced(&self, waited: Duration) {
        self.sync_wait.observe(waited.as_secs_f64());
    }

    /// A replica here has been filled.
    pub(super) fn caught_up(&self, took: Duration) {
        self.catch_ups.of("done").inc();
        self.catch_up.observe(took.as_secs_f64());
    }

    /// A replica here was to be filled, and is so no more.
    pub(super) fn gave_up(&self) {
        self.catch_ups.of("given-up").inc();
    }
}

/// Whether a caller still waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Yes,
    No,
}

impl Metrics for NodeMetrics {
    fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("storage");
        self.register_calls(registry);
        self.register_replication(registry);
        self.now.register(registry);
    }
}

impl NodeMetrics {
    fn register_calls(&self, registry: &mut Registry) {
        self.reads.register(registry, "reads", "Reads, by how they ended");
        self.writes.register(registry, "writes", "Puts and deletes, by how they ended");
        self.scans.register(registry, "scans", "Pages of scans, by how they ended");
        self.sessions.register(registry, "sessions", "Sessions to be opened, by how that ended");
        let (ambiguous, failures) = (self.ambiguous.clone(), self.condition_failures.clone());
        registry.register("ambiguous_writes", "Writes whose caller was not told whether they took effect", ambiguous);
        registry.register("condition_failures", "Writes whose condition did not hold", failures);
        self.backpressure.register(registry, "backpressure", "Calls refused, by what there was too much of");
        let wait = self.write_wait.clone();
        registry.register_with_unit("write_wait", "From taking up a write to its answer, of those done", Unit::Seconds, wait);
    }

    fn register_replication(&self, registry: &mut Registry) {
        registry.register("forwards", "Entries sent to successors, repetitions included", self.forwarded.clone());
        registry.register("commits", "Entries committed, counted when they go to be applied", self.committed.clone());
        let sync = self.sync_wait.clone();
        registry.register_with_unit("sync_wait", "From handing a batch to the disk until it is synced", Unit::Seconds, sync);
        self.catch_ups.register(registry, "catch_ups", "Replicas here that were to be filled, by how that ended");
        let catch_up = self.catch_up.clone();
        registry.register_with_unit(
            "catch_up_duration",
            "How long filling a replica took, of those done",
            Unit::Seconds,
            catch_up,
        );
        let bytes = self.snapshot_bytes.clone();
        registry.register_with_unit("snapshot_sent", "Keys and values sent to fill replicas elsewhere", Unit::Bytes, bytes);
        registry.register("heartbeats", "Heartbeats made for the coordinator", self.heartbeats.clone());
    }
}

impl Present {
    /// Reads all of it off.
    pub(super) fn measure(&self, sight: Sight<'_>) {
        let Sight { node, now, links, connected, calls, answer_bytes, filling, pins, disk_full } = sight;
        let overview = node.overview(now);
        self.ready.set((readiness(&overview) == Readiness::Ready).into());
        self.lease.set(overview.lease.is_some().into());
        self.coordinator.set(connected.into());
        self.calls.set(number(calls));
        self.writes.set(number(overview.writes));
        self.entry_bytes.set(number(overview.bytes));
        self.retained_bytes.set(number(overview.retained));
        self.answer_bytes.set(number(answer_bytes));
        self.batches.set(number(overview.writing));
        self.oldest_batch.set(overview.oldest_write.as_secs_f64());
        self.disk_full.set(disk_full.into());
        self.catching_up.set(number(filling));
        self.copying_out.set(number(pins));
        let views = || node.replicas().filter_map(|slot| node.view(slot));
        self.replicas.count(views().map(|view| words::role(view.role)));
        self.damaged.set(number(views().filter(ReplicaView::damaged).count()));
        let queues = || links.peers().map(|(_, _, queued)| queued);
        self.neighbours.set(number(queues().count()));
        self.links.set(number(queues().flatten().count()));
        self.queue_bytes.set(number(queues().flatten().sum()));
        self.dropped.inc_by(links.dropped().saturating_sub(self.dropped.get()));
    }

    fn register(&self, registry: &mut Registry) {
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge("ready", "1 while /readyz is 200", &self.ready);
        gauge("lease_held", "1 while reads may be answered", &self.lease);
        gauge("coordinator_connected", "1 while there is a stream to a coordinator", &self.coordinator);
        gauge("damaged_replicas", "Replicas of which something cannot be read", &self.damaged);
        gauge("calls_in_flight", "Calls that have no answer yet", &self.calls);
        gauge("writes_in_flight", "Writes and entries that wait for their commit", &self.writes);
        gauge("links", "Neighbours that there is a link to", &self.links);
        gauge("neighbours", "Nodes known by their records", &self.neighbours);
        gauge("disk_batches", "Batches on their way to the disk", &self.batches);
        gauge("disk_full", "1 while the disk is at its reserve, and puts are refused", &self.disk_full);
        gauge("active_catch_ups", "Replicas here that are being filled", &self.catching_up);
        gauge("active_copies_out", "Replicas here that others are being filled from", &self.copying_out);
        let mut bytes =
            |name: &str, help: &str, gauge: &Gauge| registry.register_with_unit(name, help, Unit::Bytes, gauge.clone());
        bytes("buffered", "Entries in memory that are not applied", &self.entry_bytes);
        bytes(
            "retained",
            "Entries in memory that are applied, and kept for a replica that is being filled",
            &self.retained_bytes,
        );
        bytes("answer", "Answers to reads that clients have not taken", &self.answer_bytes);
        bytes("link_queue", "What waits to be sent to neighbours", &self.queue_bytes);
        self.replicas.register(registry, "replicas", "Replicas, by their part in their chain");
        registry.register(
            "dropped_messages",
            "Messages to neighbours dropped for want of a link or of room",
            self.dropped.clone(),
        );
        let oldest = self.oldest_batch.clone();
        registry.register_with_unit("disk_oldest_batch", "How long the disk has been at its oldest batch", Unit::Seconds, oldest);
    }
}
