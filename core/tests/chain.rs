//! A chain of three on an ideal network: what a client sees, and what the disks have by then.

#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use catena_core::{
    Action, CallError, ChainVersion, ClusterConfig, ClusterId, Command, Condition, Coordinator, CoordinatorEffect,
    CoordinatorEvent, Effect, Envelope, Event, Heartbeat, HeartbeatAnswer, Identity, Incarnation, Message, Metadata, Node,
    NodeConfig, NodeId, NodeRecord, Now, Recovered, Reply, RequestId, Revision, Slot, Target, Ticket, Time, WallTime, Write,
};

/// Nodes, a coordinator and disks that sync at once. Everything is delivered in order.
struct Bench {
    now: Now,
    coordinator: Coordinator,
    nodes: BTreeMap<NodeId, (Node, Disk)>,
    replies: BTreeMap<RequestId, Result<Reply, CallError>>,
    next_request: u64,
    queue: VecDeque<(NodeId, Event)>,
    /// How many messages that carry nothing but a watermark are lost from now on.
    lost_watermarks: u32,
}

/// What a node has synced of the only slot.
#[derive(Clone)]
struct Disk {
    state: Recovered,
    objects: BTreeMap<Bytes, (Bytes, Metadata)>,
    sync: Sync,
}

#[derive(Clone, Copy, PartialEq)]
enum Sync {
    AtOnce,
    Never,
}

fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn record(name: &str) -> NodeRecord {
    NodeRecord { node: id(name), incarnation: Incarnation(7), address: format!("{name}:1") }
}

const CLUSTER: ClusterId = ClusterId(1);

fn config() -> ClusterConfig {
    let nodes = ["n1", "n2", "n3"].map(id).to_vec();
    ClusterConfig { cluster: CLUSTER, slots: 1, replicas: 3, nodes, lease: Duration::from_millis(600) }
}

impl Disk {
    fn new() -> Self {
        let state = Recovered {
            slot: Slot(0),
            chain: None,
            trim: catena_core::EntryId::default(),
            trim_at: WallTime(0),
            log: Vec::new(),
        };
        Self { state, objects: BTreeMap::new(), sync: Sync::AtOnce }
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Chain(chain) => self.state.chain = Some(chain),
            Write::Append(entries) => self.state.log.extend(entries),
            Write::Truncate { last } => self.state.log.retain(|entry| entry.id.seq <= last),
            Write::Apply(entries) => {
                for entry in entries {
                    self.state.log.retain(|logged| logged.id.seq > entry.id.seq);
                    (self.state.trim, self.state.trim_at) = (entry.id, entry.at);
                    let key = entry.operation.key().clone();
                    match (&entry.operation, entry.metadata()) {
                        (catena_core::Operation::Put { value, .. }, Some(metadata)) => {
                            self.objects.insert(key, (value.clone(), metadata))
                        }
                        _ => self.objects.remove(&key),
                    };
                }
            }
        }
    }
}

impl Bench {
    fn new() -> Self {
        let names = ["n1", "n2", "n3"];
        let mut bench = Self {
            now: Now { monotonic: Time(1), wall: WallTime(1_000) },
            coordinator: Coordinator::new(config(), Vec::new()),
            nodes: BTreeMap::new(),
            replies: BTreeMap::new(),
            next_request: 0,
            queue: VecDeque::new(),
            lost_watermarks: 0,
        };
        for name in names {
            bench.coordinate(CoordinatorEvent::Register(record(name)));
            bench.start(name, Disk::new());
        }
        bench.wait(500);
        bench
    }

    fn start(&mut self, name: &str, disk: Disk) {
        let identity = Identity { cluster: CLUSTER, node: id(name), incarnation: Incarnation(7) };
        let recovered = if disk.state.chain.is_some() { vec![disk.state.clone()] } else { Vec::new() };
        self.nodes.insert(id(name), (Node::new(NodeConfig::new(1), identity, recovered, self.now), disk));
        self.queue.push_back((id(name), Event::CoordinatorUp));
    }

    /// Kills a node: what was on its way to it or to its disk is lost.
    fn kill(&mut self, name: &str) -> Disk {
        self.queue.retain(|(to, _)| *to != id(name));
        self.nodes.remove(&id(name)).unwrap().1
    }

    fn disk(&mut self, name: &str) -> &mut Disk {
        &mut self.nodes.get_mut(&id(name)).unwrap().1
    }

    fn coordinate(&mut self, event: CoordinatorEvent) {
        let mut out = Vec::new();
        self.coordinator.step(self.now, event, &mut out);
        for effect in out {
            match effect {
                CoordinatorEffect::Store { ticket, .. } => self.coordinate(CoordinatorEvent::Stored { ticket }),
                CoordinatorEffect::Answer { to, answer } => self.queue.push_back((to, Event::Answer(answer))),
                CoordinatorEffect::Refused { reason, .. } => panic!("{reason}"),
                CoordinatorEffect::Registered { .. } | CoordinatorEffect::RouteChanged => {}
            }
        }
    }

    fn deliver(&mut self, to: &NodeId, event: Event) {
        let Some((node, disk)) = self.nodes.get_mut(to) else { return };
        let mut out = Vec::new();
        node.step(self.now, event, &mut out);
        let mut heartbeats: Vec<Heartbeat> = Vec::new();
        for effect in out {
            match effect {
                Effect::Send { envelope: Envelope { message: Message::Append { entries, .. }, .. }, .. }
                    if entries.is_empty() && self.lost_watermarks > 0 =>
                {
                    self.lost_watermarks -= 1;
                }
                Effect::Send { to: peer, envelope } => {
                    self.queue.push_back((peer, Event::Message { from: to.clone(), envelope }));
                }
                Effect::Persist(batch) if disk.sync == Sync::AtOnce => {
                    batch.writes.into_iter().for_each(|write| disk.write(write));
                    self.queue.push_back((to.clone(), Event::Durable { ticket: batch.ticket }));
                }
                Effect::Persist(_) => {}
                Effect::Reply { request, result } => {
                    assert!(self.replies.insert(request, result).is_none(), "{request} was answered twice");
                }
                Effect::Heartbeat(heartbeat) => heartbeats.push(heartbeat),
            }
        }
        for heartbeat in heartbeats {
            self.coordinate(CoordinatorEvent::Heartbeat { from: to.clone(), heartbeat });
        }
    }

    /// Lets virtual time pass, a millisecond at a time.
    fn wait(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now.monotonic = self.now.monotonic + Duration::from_millis(1);
            self.now.wall.0 += 1_000_000;
            self.queue.extend(self.nodes.keys().map(|node| (node.clone(), Event::Wake)));
            while let Some((to, event)) = self.queue.pop_front() {
                self.deliver(&to, event);
            }
        }
    }

    fn target(&self) -> Target {
        Target { slot: Slot(0), version: self.coordinator.route().chains[0].version }
    }

    /// Sends a write to the head; its answer, if any, is in `replies` after a `wait`.
    fn write(&mut self, key: &str, action: Action, conditions: Vec<Condition>) -> RequestId {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        let head = self.coordinator.route().chains[0].head().node.clone();
        let stored = self.nodes[&head].1.objects.get(key.as_bytes()).map(|(_, metadata)| *metadata);
        let command = Command { key: Bytes::copy_from_slice(key.as_bytes()), action, conditions };
        let target = self.target();
        self.queue.push_back((head, Event::Write { request, target, command, stored }));
        request
    }

    fn put(&mut self, key: &str, value: &'static str) -> RequestId {
        self.write(key, Action::Put { value: value.into() }, Vec::new())
    }

    fn get(&mut self, key: &str) -> Result<Option<Bytes>, CallError> {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        let tail = self.coordinator.route().chains[0].tail().node.clone();
        let stored = self.nodes[&tail].1.objects.get(key.as_bytes()).cloned();
        let stored = stored.map(|(value, metadata)| catena_core::Object { value, metadata });
        let (target, key) = (self.target(), Bytes::copy_from_slice(key.as_bytes()));
        self.deliver(&tail, Event::Read { request, target, key, stored });
        match self.replies.remove(&request).expect("reads are answered at once") {
            Ok(Reply::Read { object, .. }) => Ok(object.map(|object| object.value)),
            Ok(Reply::Written { .. }) => panic!("a read was answered as a write"),
            Err(error) => Err(error),
        }
    }
}

#[test]
fn a_write_is_answered_once_all_three_disks_have_it_and_is_read_at_the_tail() {
    let mut bench = Bench::new();
    let put = bench.put("k", "v");
    bench.wait(1);
    assert!(matches!(bench.replies[&put], Ok(Reply::Written { entry: Some(_), .. })), "{:?}", bench.replies[&put]);
    for name in ["n1", "n2", "n3"] {
        assert_eq!(bench.disk(name).state.log.len(), 1, "{name} has it");
    }
    assert_eq!(bench.get("k"), Ok(Some("v".into())));
}

#[test]
fn a_write_that_one_disk_lacks_is_neither_answered_nor_read() {
    for lacking in ["n1", "n2", "n3"] {
        let mut bench = Bench::new();
        bench.disk(lacking).sync = Sync::Never;
        let put = bench.put("k", "v");
        bench.wait(100);
        assert!(!bench.replies.contains_key(&put), "without {lacking}'s sync");
        assert_eq!(bench.get("k"), Ok(None));
    }
}

#[test]
fn concurrent_compare_and_sets_pipeline_and_exactly_one_wins() {
    let mut bench = Bench::new();
    let calls: Vec<RequestId> =
        (0..5).map(|_| bench.write("k", Action::Put { value: "v".into() }, vec![Condition::Exists(false)])).collect();
    bench.wait(1);
    let won = calls.iter().filter(|call| bench.replies[call].is_ok()).count();
    assert_eq!(won, 1);
    let lost = calls.iter().filter(|call| matches!(bench.replies[call], Err(CallError::ConditionFailed { object: Some(_) })));
    assert_eq!(lost.count(), 4);
}

#[test]
fn versions_and_times_go_on_after_delete_and_recreate() {
    let mut bench = Bench::new();
    let first = bench.put("k", "1");
    let deleted = bench.write("k", Action::Delete, Vec::new());
    let second = bench.put("k", "2");
    let absent = bench.write("other", Action::Delete, Vec::new());
    bench.wait(1);
    let metadata = |request| match &bench.replies[&request] {
        Ok(Reply::Written { object: Some(object), .. }) => *object,
        other => panic!("{other:?}"),
    };
    assert!(metadata(second).version > metadata(first).version);
    assert!(metadata(second).created_at > metadata(first).updated_at);
    assert!(matches!(bench.replies[&deleted], Ok(Reply::Written { entry: Some(_), object: None })));
    assert!(matches!(bench.replies[&absent], Ok(Reply::Written { entry: None, object: None })));
}

#[test]
fn each_member_restarts_in_place_and_everything_goes_on_in_a_new_version() {
    for name in ["n1", "n2", "n3"] {
        let mut bench = Bench::new();
        bench.put("k", "1");
        bench.wait(100);
        let disk = bench.kill(name);
        bench.start(name, disk);
        bench.wait(500);
        assert_eq!(bench.target().version, ChainVersion(2), "{name}");
        assert_eq!(bench.get("k"), Ok(Some("1".into())), "{name}");
        let put = bench.put("k", "2");
        bench.wait(1);
        assert!(bench.replies[&put].is_ok(), "{name}: {:?}", bench.replies[&put]);
        assert_eq!(bench.get("k"), Ok(Some("2".into())));
    }
}

#[test]
fn a_restarted_tail_that_lost_the_watermark_reads_again_without_a_write() {
    let mut bench = Bench::new();
    bench.put("k", "1");
    bench.wait(10); // committed, and not yet applied: the tail will not know
    let disk = bench.kill("n3");
    bench.start("n3", disk);
    bench.lost_watermarks = 1;
    bench.wait(500);
    assert_eq!(bench.lost_watermarks, 0);
    assert_eq!(bench.get("k"), Ok(Some("1".into())));
}

#[test]
fn a_head_that_lost_an_unsynced_entry_has_the_others_cut_it() {
    let mut bench = Bench::new();
    bench.put("k", "1");
    bench.wait(500); // until it is applied
    bench.disk("n1").sync = Sync::Never;
    let lost = bench.put("k", "lost");
    bench.wait(10);
    assert_eq!(bench.disk("n3").state.log.len(), 1, "the tail has it");
    assert!(!bench.replies.contains_key(&lost));
    let disk = bench.kill("n1");
    bench.start("n1", Disk { sync: Sync::AtOnce, ..disk });
    bench.wait(500);
    assert_eq!(bench.get("k"), Ok(Some("1".into())));
    let put = bench.put("k", "2");
    bench.wait(100);
    assert!(bench.replies[&put].is_ok());
    assert_eq!(bench.get("k"), Ok(Some("2".into())));
}

#[test]
fn reads_end_with_the_lease_while_writes_go_on() {
    let mut bench = Bench::new();
    bench.coordinator = Coordinator::new(
        config(),
        Vec::new(), // knows nobody, so it answers no heartbeat
    );
    let (head, tail) = (id("n1"), id("n3"));
    let target = Target { slot: Slot(0), version: ChainVersion(1) };
    bench.wait(700);
    let read = Event::Read { request: RequestId(50), target, key: "k".into(), stored: None };
    bench.deliver(&tail, read);
    assert_eq!(bench.replies[&RequestId(50)], Err(CallError::NoLease { slot: Slot(0) }));
    let command = Command { key: "k".into(), action: Action::Put { value: "v".into() }, conditions: Vec::new() };
    bench.queue.push_back((head, Event::Write { request: RequestId(51), target, command, stored: None }));
    bench.wait(1);
    assert!(bench.replies[&RequestId(51)].is_ok());
}

#[test]
fn an_early_ticket_does_not_vouch_for_a_later_batch() {
    let mut bench = Bench::new();
    bench.disk("n1").sync = Sync::Never;
    let first = bench.put("a", "1");
    let second = bench.put("b", "2");
    bench.wait(1);
    // The head has handed over one ticket for its chain and one for each write; only the first write's is synced.
    bench.deliver(&id("n1"), Event::Durable { ticket: Ticket(2) });
    bench.wait(1);
    assert!(bench.replies.contains_key(&first));
    assert!(!bench.replies.contains_key(&second));
}

#[test]
fn a_coordinator_that_died_before_it_placed_the_chains_places_them_when_it_is_back() {
    let names = ["n1", "n2", "n3"];
    let stored = (1..).zip(names).map(|(revision, name)| catena_core::Change {
        revision: Revision(revision),
        record: catena_core::Record::Node(record(name)),
    });
    let mut coordinator = Coordinator::new(config(), stored.collect());
    let mut out = Vec::new();
    coordinator.step(Now::default(), CoordinatorEvent::Register(record("n2")), &mut out);
    let commits = out.iter().filter(|effect| matches!(effect, CoordinatorEffect::Store { .. }));
    assert_eq!(commits.count(), 1, "{out:?}");
}

#[test]
fn an_answer_to_the_process_before_teaches_a_restarted_node_nothing() {
    let mut bench = Bench::new();
    let disk = bench.kill("n3");
    let identity = Identity { cluster: CLUSTER, node: id("n3"), incarnation: Incarnation(7) };
    let mut node = Node::new(NodeConfig::new(1), identity, vec![disk.state], bench.now);
    let mut heartbeat = |event, ms| {
        let mut out = Vec::new();
        let now = Now { monotonic: bench.now.monotonic + Duration::from_millis(ms), ..bench.now };
        node.step(now, event, &mut out);
        out.into_iter().find_map(|effect| match effect {
            Effect::Heartbeat(heartbeat) => Some((heartbeat.applied, heartbeat.reports.len())),
            _ => None,
        })
    };
    let needs_everything = Some((Revision(0), 1));
    assert_eq!(heartbeat(Event::CoordinatorUp, 0), needs_everything);
    let (chains, nodes) = (Vec::new(), Vec::new());
    let lease = Some(Duration::from_millis(600));
    heartbeat(Event::Answer(HeartbeatAnswer { sequence: 5000, lease, revision: Revision(99), chains, nodes }), 1);
    assert_eq!(heartbeat(Event::Wake, 200), needs_everything);
}

#[test]
fn a_heartbeat_of_the_process_before_is_not_answered_to_the_one_that_registers() {
    let mut coordinator = Coordinator::new(config(), Vec::new());
    let mut step = |event| {
        let mut out = Vec::new();
        coordinator.step(Now::default(), event, &mut out);
        out
    };
    for (ticket, name) in (1..).zip(["n1", "n2", "n3"]) {
        step(CoordinatorEvent::Register(record(name)));
        step(CoordinatorEvent::Stored { ticket: Ticket(ticket) });
    }
    // The chains are being stored, so the answer waits; meanwhile the node restarts.
    let heartbeat = Heartbeat { sequence: 5000, applied: Revision(0), reports: Vec::new() };
    assert_eq!(step(CoordinatorEvent::Heartbeat { from: id("n1"), heartbeat }), []);
    step(CoordinatorEvent::Register(record("n1")));
    let out = step(CoordinatorEvent::Stored { ticket: Ticket(4) });
    assert_eq!(out, [CoordinatorEffect::RouteChanged]);
}
