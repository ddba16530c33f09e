//! Coordinators, their store and nodes, on an ideal network and a clock of 5 ms; every chain is audited as it comes into
//! effect.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use catena_core::{
    Chain, ClusterConfig, ClusterId, Coordinator, CoordinatorConfig, CoordinatorEffect, CoordinatorEvent, Decisions, Health,
    HeartbeatAnswer, Incarnation, NodeId, NodeRecord, Note, Now, Order, OrderError, Presence, Record, RegisterError, RequestId,
    Slot, Standing, Status, Time, WallTime,
};

use crate::audit::Audit;
use crate::node::{Conversation, Node, Pace};
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
    process: u64,
    inbox: VecDeque<Inbound>,
    streams: BTreeMap<NodeId, Conversation>,
}

/// What a coordinator's driver gets.
enum Inbound {
    Event(CoordinatorEvent),
    FromNode(u64, CoordinatorEvent),
}

/// What is under way.
enum Mail {
    ToSeat(usize, u64, Inbound),
    Registered(NodeId, u64),
    Answer(NodeId, u64, HeartbeatAnswer),
    Decide(NodeId, u64, Decisions),
    ToStore(usize, u64, CoordinatorEffect),
}

/// What keeps its order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stream {
    OfNode(u64),
    OfStore(usize),
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
    mail: BTreeMap<(Duration, u64), Mail>,
    /// What is for the store, of coordinators that do not reach it.
    stuck: BTreeMap<usize, VecDeque<Mail>>,
    /// What came for nodes that are paused.
    held: BTreeMap<NodeId, VecDeque<Mail>>,
    /// When the last message of a stream arrives, up and down: they do not overtake each other.
    arrivals: BTreeMap<(Stream, bool), Duration>,
    count: u64,
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
        nodes.iter().for_each(|name| bench.add(name, &[]));
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

    pub(crate) fn run(&mut self, millis: u64) {
        let end = self.now + ms(millis);
        while self.now < end {
            self.now += TICK;
            self.turn();
        }
    }

    pub(crate) fn until(&mut self, what: &str, reached: impl Fn(&Bench) -> bool) {
        let end = self.now + ms(120_000);
        while !reached(self) {
            let (shapes, waits): (Vec<String>, _) =
                (self.store.chains.keys().map(|slot| self.shape(slot.0)).collect(), self.leading().map(|_| self.status().waits));
            assert!(self.now < end, "never {what}: {shapes:?}, waiting for {waits:?}");
            self.run(5);
        }
    }

    fn turn(&mut self) {
        for seat in 0..self.seats.len() {
            let Seat { up, paused, coordinator, .. } = &self.seats[seat];
            if *up && !*paused && coordinator.deadline() <= self.seats[seat].time(self.now).monotonic {
                self.step(seat, CoordinatorEvent::Wake);
            }
        }
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        for id in ids {
            self.turn_node(&id);
        }
        self.deliver();
        self.audit.serving(&self.nodes, &self.store, self.now);
    }

    fn turn_node(&mut self, id: &NodeId) {
        let now = self.now;
        if !self.nodes[id].paused {
            self.held.remove(id).into_iter().flatten().for_each(|mail| self.open(mail));
        }
        let mut node = self.nodes.remove(id).unwrap();
        if node.up && !node.paused {
            if node.forsaken(now) {
                (node.stream, node.seat, node.dial_at) = (None, (node.seat + 1) % self.seats.len(), now);
            }
            if node.stream.is_none() && now >= node.dial_at {
                self.count += 1;
                node.stream = Some(Conversation { number: self.count, registered: false });
                node.hear(now);
                self.send_up(&node, CoordinatorEvent::Register(node.record.clone()));
            }
            node.progress(now, |other, slot, version| {
                !self.apart.contains(&(id.clone(), other.clone()))
                    && self.nodes.get(other).is_some_and(|other| other.acts(slot, version))
            });
            while let Some(heartbeat) = node.heartbeat(now) {
                let (from, incarnation) = (id.clone(), node.record.incarnation);
                self.send_up(&node, CoordinatorEvent::Heartbeat { from, incarnation, heartbeat });
            }
        }
        self.nodes.insert(id.clone(), node);
    }

    fn send_up(&mut self, node: &Node, event: CoordinatorEvent) {
        let (seat, stream) = (node.seat, node.stream.unwrap());
        if !node.cut && self.seats[seat].up {
            let process = self.seats[seat].process;
            self.post(Mail::ToSeat(seat, process, Inbound::FromNode(stream.number, event)));
        }
    }

    fn post(&mut self, mail: Mail) {
        let (delay, stream) = match &mail {
            Mail::ToStore(seat, ..) => (self.store.delay, (Stream::OfStore(*seat), true)),
            Mail::ToSeat(seat, _, Inbound::Event(_)) => (self.store.delay, (Stream::OfStore(*seat), false)),
            Mail::ToSeat(_, _, Inbound::FromNode(number, _)) => ((self.delay)(), (Stream::OfNode(*number), true)),
            Mail::Registered(_, number) | Mail::Answer(_, number, _) | Mail::Decide(_, number, _) => {
                ((self.delay)(), (Stream::OfNode(*number), false))
            }
        };
        let last = self.arrivals.entry(stream).or_default();
        *last = (self.now + delay).max(*last);
        self.count += 1;
        self.mail.insert((*last, self.count), mail);
    }

    fn deliver(&mut self) {
        for seat in 0..self.seats.len() {
            if self.store.out_of_order || self.seats[seat].storeless {
                continue;
            }
            self.stuck.remove(&seat).into_iter().flatten().for_each(|mail| self.open(mail));
        }
        loop {
            while self.mail.first_key_value().is_some_and(|((due, _), _)| *due <= self.now) {
                let (_, mail) = self.mail.pop_first().unwrap();
                self.open(mail);
            }
            let mut stepped = false;
            for seat in 0..self.seats.len() {
                while !self.seats[seat].paused
                    && let Some(inbound) = self.seats[seat].inbox.pop_front()
                {
                    self.take(seat, inbound);
                    stepped = true;
                }
            }
            if !stepped {
                return;
            }
        }
    }

    fn open(&mut self, mail: Mail) {
        let now = self.now;
        if let Mail::Registered(to, _) | Mail::Answer(to, ..) | Mail::Decide(to, ..) = &mail
            && self.nodes[to].paused
        {
            self.held.entry(to.clone()).or_default().push_back(mail);
            return;
        }
        match mail {
            Mail::ToSeat(seat, process, inbound) => {
                if self.seats[seat].process == process {
                    self.seats[seat].inbox.push_back(inbound);
                }
            }
            Mail::Registered(to, number) => self.to_node(&to, number, |node| node.registered(number, now)),
            Mail::Answer(to, number, answer) => self.to_node(&to, number, |node| node.answered(answer, now)),
            Mail::Decide(to, number, decisions) => self.to_node(&to, number, |node| {
                if !node.deaf {
                    node.decided(decisions);
                }
            }),
            Mail::ToStore(seat, process, effect) if self.store.out_of_order || self.seats[seat].storeless => {
                self.stuck.entry(seat).or_default().push_back(Mail::ToStore(seat, process, effect));
            }
            Mail::ToStore(seat, process, effect) => {
                let (event, changes) = self.store.run(effect);
                self.audit.stored(&changes, &self.nodes, now);
                self.post(Mail::ToSeat(seat, process, Inbound::Event(event)));
            }
        }
    }

    fn to_node(&mut self, to: &NodeId, number: u64, act: impl FnOnce(&mut Node)) {
        let node = self.nodes.get_mut(to).unwrap();
        if node.up && !node.cut && node.stream.is_some_and(|stream| stream.number == number) {
            act(node);
        }
    }

    /// What the driver does with what comes in: only the newest stream of a node counts, once it is let in.
    fn take(&mut self, seat: usize, inbound: Inbound) {
        match inbound {
            Inbound::Event(event) => self.step(seat, event),
            Inbound::FromNode(number, CoordinatorEvent::Register(record)) => {
                let newest = self.seats[seat].streams.get(&record.node).map_or(0, |stream| stream.number);
                if number > newest {
                    let stream = Conversation { number, registered: false };
                    self.seats[seat].streams.insert(record.node.clone(), stream);
                    self.step(seat, CoordinatorEvent::Register(record));
                }
            }
            Inbound::FromNode(number, event) => {
                let CoordinatorEvent::Heartbeat { from, incarnation, .. } = &event else { unreachable!("nodes send no other") };
                if self.seats[seat].streams.get(from) == Some(&Conversation { number, registered: true }) {
                    self.audit.heard(seat, from, *incarnation, self.now);
                    self.step(seat, event);
                }
            }
        }
    }

    fn step(&mut self, seat: usize, event: CoordinatorEvent) {
        let mut out = Vec::new();
        let now = self.seats[seat].time(self.now);
        self.seats[seat].coordinator.step(now, event, &mut out);
        let process = self.seats[seat].process;
        for effect in out {
            let number = |node: &NodeId| self.seats[seat].streams.get(node).map_or(0, |stream| stream.number);
            match effect {
                effect @ (CoordinatorEffect::Observe
                | CoordinatorEffect::Lead { .. }
                | CoordinatorEffect::Renew(_)
                | CoordinatorEffect::Store { .. }) => {
                    if let CoordinatorEffect::Store { changes, .. } = &effect {
                        self.audit.decided(seat, changes, self.now);
                    }
                    self.post(Mail::ToStore(seat, process, effect));
                }
                CoordinatorEffect::Registered { node } => {
                    self.admitted.push(node.clone());
                    if let Some(stream) = self.seats[seat].streams.get_mut(&node) {
                        stream.registered = true;
                        let number = stream.number;
                        self.post(Mail::Registered(node, number));
                    }
                }
                CoordinatorEffect::Refused { node, reason } => {
                    let (number, now) = (number(&node), self.now);
                    let seats = self.seats.len();
                    self.refused.push(reason);
                    if let Some(node) = self.nodes.get_mut(&node).filter(|node| node.stream.is_some_and(|s| s.number == number)) {
                        (node.stream, node.dial_at, node.seat) = (None, now + ms(50), (node.seat + 1) % seats);
                    }
                }
                CoordinatorEffect::Answer { to, answer } => self.post(Mail::Answer(to.clone(), number(&to), answer)),
                CoordinatorEffect::Decide { to, decisions } => {
                    self.audit.told(seat, &to, &decisions, self.now);
                    self.post(Mail::Decide(to.clone(), number(&to), decisions));
                }
                CoordinatorEffect::Done { request, result } => {
                    let before = self.done.insert(request, result);
                    assert_eq!(before, None, "an order is answered once");
                }
                CoordinatorEffect::RouteChanged { .. } => {}
                CoordinatorEffect::Note(note) => self.notes.push(note),
            }
        }
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
