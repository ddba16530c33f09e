//! Coordinators, their store and nodes, on an ideal network and a clock of 5 ms; every chain is audited as it comes into
//! effect.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use catena_core::{
    Chain, ClusterConfig, ClusterId, Coordinator, CoordinatorConfig, CoordinatorEvent, Health, Incarnation, NodeId, NodeRecord,
    Note, Now, Order, OrderError, Presence, Record, RegisterError, RequestId, Slot, Standing, Status, Time, WallTime,
};

use crate::audit::Audit;
use crate::node::{Conversation, Node, Pace};
use crate::run::{Inbound, Mail, Stream};
use crate::store::Store;

pub(crate) const TICK: Duration = Duration::from_millis(5);

pub(crate) fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A coordinator's process.
pub(crate) struct Seat {
    pub(crate) coordinator: Coordinator,
    pub(crate) up: bool,
    /// Runs, and does nothing; what comes in waits.
    pub(crate) paused: bool,
    /// It does not reach the store.
    pub(crate) storeless: bool,
    pub(crate) pace: Pace,
    pub(crate) process: u64,
    pub(crate) inbox: VecDeque<Inbound>,
    pub(crate) streams: BTreeMap<NodeId, Conversation>,
    /// The conversation that the one which is being judged takes the place of.
    pub(crate) replaced: Option<Conversation>,
}

/// How long a message takes, from what is given: by default none.
pub(crate) type Delay = Box<dyn FnMut() -> Duration>;

/// Everything there is.
pub(crate) struct Bench {
    /// Since the beginning, in truth.
    pub(crate) now: Duration,
    pub(crate) config: CoordinatorConfig,
    pub(crate) seats: Vec<Seat>,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) store: Store,
    pub(crate) audit: Audit,
    pub(crate) notes: Vec<Note>,
    pub(crate) done: BTreeMap<RequestId, Result<(), OrderError>>,
    pub(crate) refused: Vec<RegisterError>,
    pub(crate) admitted: Vec<NodeId>,
    pub(crate) delay: Delay,
    /// Pairs of nodes that do not reach each other.
    pub(crate) apart: BTreeSet<(NodeId, NodeId)>,
    pub(crate) mail: BTreeMap<(Duration, u64), Mail>,
    /// What is for the store, of coordinators that do not reach it.
    pub(crate) stuck: BTreeMap<usize, VecDeque<Mail>>,
    /// What came for nodes that are paused.
    pub(crate) held: BTreeMap<NodeId, VecDeque<Mail>>,
    /// When the last message of a stream arrives, up and down: they do not overtake each other.
    pub(crate) arrivals: BTreeMap<(Stream, bool), Duration>,
    pub(crate) count: u64,
}

/// The starting values, for so many slots and replicas.
pub(crate) fn config(slots: u32, replicas: u32, founders: u32) -> CoordinatorConfig {
    let cluster = ClusterConfig { cluster: ClusterId(1), slots, replicas, founders, lease: ms(600) };
    CoordinatorConfig::new(cluster)
}

impl Bench {
    /// A coordinator and no nodes.
    pub(crate) fn new(config: CoordinatorConfig) -> Self {
        let mut bench = Self {
            now: Duration::ZERO,
            config,
            seats: Vec::new(),
            nodes: BTreeMap::new(),
            store: Store::default(),
            audit: Audit::default(),
            notes: Vec::new(),
            done: BTreeMap::new(),
            refused: Vec::new(),
            admitted: Vec::new(),
            delay: Box::new(|| Duration::ZERO),
            apart: BTreeSet::new(),
            mail: BTreeMap::new(),
            stuck: BTreeMap::new(),
            held: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            count: 0,
        };
        bench.add_seat();
        bench
    }

    /// A cluster whose nodes have registered and whose chains are placed.
    pub(crate) fn placed(config: CoordinatorConfig, nodes: &[&str]) -> Self {
        let mut bench = Self::new(config);
        bench.until("leading", |bench| bench.leading().is_some());
        for name in nodes {
            bench.add(name, &[]);
        }
        bench.until("placed", |bench| bench.store.chains.len() == bench.config.cluster.slots as usize);
        bench.run(200);
        bench
    }

    pub(crate) fn add_seat(&mut self) {
        let mut seat = Seat {
            coordinator: Coordinator::new(self.config.clone(), Now::default()),
            up: true,
            paused: false,
            storeless: false,
            pace: Pace::default(),
            process: 0,
            inbox: VecDeque::new(),
            streams: BTreeMap::new(),
            replaced: None,
        };
        seat.coordinator = Coordinator::new(self.config.clone(), seat.time(self.now));
        self.seats.push(seat);
    }

    /// A new node, running.
    pub(crate) fn add(&mut self, name: &str, labels: &[(&str, &str)]) {
        let record = record(name, self.nodes.len() as u128 + 1, labels);
        let mut node = Node::new(record);
        node.start(self.now);
        self.nodes.insert(id(name), node);
    }

    pub(crate) fn node(&mut self, name: &str) -> &mut Node {
        self.nodes.get_mut(&id(name)).unwrap()
    }

    /// Crashes a node; its disk stays.
    pub(crate) fn kill(&mut self, name: &str) {
        self.node(name).kill();
    }

    pub(crate) fn start(&mut self, name: &str) {
        let now = self.now;
        self.node(name).start(now);
    }

    /// A node leaves in order: it says so, and ends.
    pub(crate) fn stop(&mut self, name: &str) {
        let node = self.node(name);
        node.presence = Presence::Leaving;
        self.run(200);
        self.kill(name);
    }

    /// The coordinator's process ends and a new one starts on the same store.
    pub(crate) fn restart_coordinator(&mut self, seat: usize) {
        self.stop_coordinator(seat);
        self.start_coordinator(seat);
    }

    /// What it has asked of a store that it does not reach never gets there.
    pub(crate) fn stop_coordinator(&mut self, seat: usize) {
        let storeless = self.seats[seat].storeless;
        if storeless {
            self.stuck.remove(&seat);
        }
        let seat = &mut self.seats[seat];
        seat.up = false;
        seat.inbox.clear();
        seat.streams.clear();
        seat.process += 1;
    }

    pub(crate) fn start_coordinator(&mut self, seat: usize) {
        let (config, now) = (self.config.clone(), self.now);
        let seat = &mut self.seats[seat];
        seat.coordinator = Coordinator::new(config, seat.time(now));
        (seat.up, seat.paused) = (true, false);
    }

    /// Two nodes reach each other no more, though both reach everybody else.
    pub(crate) fn part(&mut self, a: &str, b: &str) {
        self.apart.extend([(id(a), id(b)), (id(b), id(a))]);
    }

    /// Gives an order to whoever leads.
    pub(crate) fn order(&mut self, order: Order) -> RequestId {
        self.count += 1;
        let request = RequestId(self.count);
        let seat = self.leading().unwrap_or(0);
        let event = CoordinatorEvent::Order { request, order };
        if self.seats[seat].paused {
            self.seats[seat].inbox.push_back(Inbound::Event(event));
        } else {
            self.step(seat, event);
        }
        request
    }

    /// Gives an order that is carried out.
    pub(crate) fn obeyed(&mut self, order: Order) {
        let request = self.order(order);
        self.until("obeyed", |bench| bench.done.contains_key(&request));
        assert_eq!(self.done[&request], Ok(()));
    }

    /// Gives an order that is refused.
    pub(crate) fn refusal(&mut self, order: Order) -> OrderError {
        let (request, before) = (self.order(order), self.store.everything());
        self.run(50);
        assert_eq!(self.store.everything(), before, "a refused order changes nothing");
        self.done[&request].clone().unwrap_err()
    }

    /// How long ago that was.
    pub(crate) fn since(&self, earlier: Duration) -> Duration {
        self.now.saturating_sub(earlier)
    }

    pub(crate) fn leading(&self) -> Option<usize> {
        let leading = |seat: &Seat| seat.up && seat.coordinator.epoch() == Some(self.store.leadership.epoch);
        self.seats.iter().position(leading)
    }

    pub(crate) fn status(&self) -> Status {
        let seat = self.leading().expect("somebody leads");
        self.seats[seat].coordinator.status().unwrap()
    }

    pub(crate) fn health(&self, name: &str) -> Health {
        self.status().nodes.iter().find(|node| node.stored.record.node == id(name)).unwrap().health
    }

    pub(crate) fn standing(&self, name: &str) -> Standing {
        match &self.store.nodes[&id(name)].record {
            Record::Node(node) => node.standing,
            Record::Chain(_) => unreachable!("nodes' records are nodes"),
        }
    }

    /// Members head first; `?` behind a tail that is not ready, and `+` before a replica that joins.
    pub(crate) fn shape(&self, slot: u32) -> String {
        self.store.chain(Slot(slot)).map_or_else(String::new, shape)
    }

    /// The shapes that a chain has had, from the second version on.
    pub(crate) fn shapes(&self, slot: u32) -> Vec<String> {
        self.audit.history[&Slot(slot)].iter().skip(1).map(shape).collect()
    }
}

impl Seat {
    pub(crate) fn time(&self, now: Duration) -> Now {
        let wall = WallTime(1_700_000_000_000_000_000 + u64::try_from(now.as_nanos()).unwrap());
        Now { monotonic: Time(1_000_000_000) + self.pace.clock(now), wall }
    }
}

pub(crate) fn record(name: &str, incarnation: u128, labels: &[(&str, &str)]) -> NodeRecord {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    NodeRecord { node: id(name), incarnation: Incarnation(incarnation), address: format!("{name}:7000"), labels }
}

pub(crate) fn shape(chain: &Chain) -> String {
    let members: Vec<&str> = chain.members.iter().map(|member| member.node.as_str()).collect();
    let unready = if chain.tail_ready { "" } else { "?" };
    let joining = chain.joining.as_ref().map_or(String::new(), |joining| format!(" +{}", joining.node));
    format!("{}{unready}{joining}", members.join(" "))
}
