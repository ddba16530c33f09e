//! Nodes on an ideal network, with a coordinator that does what the test says and disks that one can look at.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use catena_core::{
    Action, Batch, CallError, Chain, ChainVersion, ClusterId, Command, Condition, Decisions, Effect, Entry, EntryId, Envelope,
    Epoch, Event, HeartbeatAnswer, Identity, Incarnation, Member, Message, Node, NodeConfig, NodeId, Now, Object, Operation,
    Origin, Page, Presence, Process, Recovered, ReplicaState, ReplicaView, Reply, Report, RequestId, Revision, Seq, Session,
    Slot, SnapshotEnd, Target, Time, WallTime, Write,
};

pub(crate) const SLOT: Slot = Slot(0);
const LEASE: Duration = Duration::from_millis(600);

pub(crate) fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

pub(crate) fn identity(name: &str) -> Identity {
    Identity { cluster: ClusterId(1), node: id(name), incarnation: Incarnation(7), process: Process(1) }
}

pub(crate) fn member(name: &str) -> Member {
    Member { node: id(name), incarnation: Incarnation(7), activated: ChainVersion(1) }
}

/// A set of nodes. Everything is delivered in order.
pub(crate) struct Bench {
    pub(crate) now: Now,
    pub(crate) config: NodeConfig,
    pub(crate) nodes: BTreeMap<NodeId, (Node, Disk)>,
    pub(crate) replies: BTreeMap<RequestId, Result<Reply, CallError>>,
    /// What each node last reported.
    pub(crate) reports: BTreeMap<NodeId, Report>,
    pub(crate) leaving: Vec<NodeId>,
    /// How many each node has sent.
    pub(crate) heartbeats: BTreeMap<NodeId, usize>,
    pub(crate) chain: Chain,
    pub(crate) fences: Vec<NodeId>,
    pub(crate) drops: Vec<NodeId>,
    pub(crate) granting: bool,
    /// Messages for which this says so are lost.
    pub(crate) lose: fn(&NodeId, &NodeId, &Envelope) -> bool,
    pub(crate) queue: VecDeque<(NodeId, Event)>,
    next_request: u64,
    /// How many messages that carry nothing but a watermark are lost from now on.
    pub(crate) lost_watermarks: u32,
    /// Parts of snapshots that were sent.
    pub(crate) chunks: usize,
    /// The most bytes of entries kept in memory beyond what is applied.
    pub(crate) most_kept: usize,
}

/// What a node has synced of the only slot.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) state: State,
    pub(crate) chain: Option<Chain>,
    pub(crate) log: Vec<Entry>,
    pub(crate) staged: Option<(catena_core::Pin, BTreeMap<Bytes, Object>)>,
    pub(crate) pin: Option<State>,
    pub(crate) spilled: Vec<Entry>,
    /// The log does not read.
    pub(crate) torn: bool,
    /// It is known to be damaged.
    pub(crate) quarantined: bool,
    /// So many parts of snapshots do not.
    pub(crate) unreadable: usize,
    /// And so many of spilled entries.
    pub(crate) unreadable_spill: usize,
    pub(crate) sync: Sync,
    pub(crate) held: Vec<Batch>,
}

/// Objects, sessions, and where they stand.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct State {
    pub(crate) trim: EntryId,
    pub(crate) trim_at: WallTime,
    pub(crate) objects: BTreeMap<Bytes, Object>,
    pub(crate) sessions: BTreeMap<Seq, Session>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Sync {
    AtOnce,
    /// When the test says so.
    Later,
    Never,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self {
            state: State::default(),
            chain: None,
            log: Vec::new(),
            staged: None,
            pin: None,
            spilled: Vec::new(),
            torn: false,
            quarantined: false,
            unreadable: 0,
            unreadable_spill: 0,
            sync: Sync::AtOnce,
            held: Vec::new(),
        }
    }

    fn recovered(&self) -> Vec<Recovered> {
        if self.torn {
            let (chain, damaged) = (self.chain.clone(), Some("planted".to_owned()));
            return vec![Recovered { chain, damaged, ..Recovered::empty(SLOT) }];
        }
        let staged = self.staged.as_ref();
        self.chain
            .iter()
            .map(|chain| Recovered {
                slot: SLOT,
                chain: Some(chain.clone()),
                trim: self.state.trim,
                trim_at: self.state.trim_at,
                sessions: self.state.sessions.clone().into_iter().collect(),
                log: self.log.clone(),
                staged: staged.map(|(pin, objects)| (pin.clone(), objects.keys().next_back().cloned())),
                quarantined: self.quarantined,
                damaged: None,
            })
            .collect()
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Chain(chain) => self.chain = Some(chain),
            Write::Append(entries) => self.log.extend(entries),
            Write::Truncate { last } => self.log.retain(|entry| entry.id.seq <= last),
            Write::Apply { entries, sessions } => {
                for entry in entries {
                    self.apply(entry);
                }
                for (name, session) in sessions {
                    match session {
                        Some(session) => drop(self.state.sessions.insert(name, session)),
                        None => drop(self.state.sessions.remove(&name)),
                    }
                }
            }
            Write::Spill(entries) => self.spilled.extend(entries),
            Write::DropSpill => self.spilled.clear(),
            Write::Stage { pin, objects } => {
                let staged = self.staged.take_if(|(staged, _)| *staged == pin);
                self.staged.insert(staged.unwrap_or((pin, BTreeMap::new()))).1.extend(objects);
            }
            Write::Install { pin, end } => {
                let (staged, objects) = self.staged.take().unwrap();
                assert_eq!(staged, pin);
                let sessions = end.sessions.into_iter().collect();
                self.state = State { trim: pin.at, trim_at: end.at_time, objects, sessions };
                self.quarantined = false;
                (self.log, self.spilled) = (Vec::new(), Vec::new());
            }
            Write::Clear => {
                (self.torn, self.quarantined) = (false, false);
                (self.log, self.spilled) = (Vec::new(), Vec::new());
                (self.state, self.staged) = (State::default(), None);
            }
            Write::Quarantine => self.quarantined = true,
        }
    }

    fn apply(&mut self, entry: Entry) {
        assert_eq!(entry.previous_id(), self.state.trim);
        self.log.retain(|logged| logged.id.seq > entry.id.seq);
        (self.state.trim, self.state.trim_at) = (entry.id, entry.at);
        match (entry.metadata(), entry.operation) {
            (Some(metadata), Operation::Put { key, value, .. }) => {
                drop(self.state.objects.insert(key, Object { value, metadata }));
            }
            (_, Operation::Delete { key }) => drop(self.state.objects.remove(&key)),
            _ => {}
        }
    }

    fn page(&self, after: Option<&Bytes>, bytes: usize) -> Page {
        let now = Disk { pin: Some(self.state.clone()), ..self.clone() };
        let (_, objects, end) = now.read(after, bytes);
        let next = if end.is_some() { None } else { objects.last().map(|(key, _)| key.clone()) };
        Page { objects, next }
    }

    fn read(&self, after: Option<&Bytes>, bytes: usize) -> (EntryId, Vec<(Bytes, Object)>, Option<SnapshotEnd>) {
        let pin = self.pin.as_ref().expect("it is read before it is let go");
        let mut weight = 0;
        let rest: Vec<_> = pin.objects.iter().filter(|(key, _)| after.is_none_or(|after| *key > after)).collect();
        let part: Vec<(Bytes, Object)> = rest
            .iter()
            .take_while(|(key, object)| {
                let fits = weight == 0 || weight < bytes;
                weight += key.len() + object.value.len();
                fits
            })
            .map(|(key, object)| ((*key).clone(), (*object).clone()))
            .collect();
        let end = (part.len() == rest.len())
            .then(|| SnapshotEnd { at_time: pin.trim_at, sessions: pin.sessions.clone().into_iter().collect() });
        (pin.trim, part, end)
    }
}

impl Bench {
    /// A chain of n1, n2, n3, at rest; and n4, which is a spare.
    pub(crate) fn new() -> Self {
        Self::with(NodeConfig::new(1))
    }

    pub(crate) fn with(config: NodeConfig) -> Self {
        let members = ["n1", "n2", "n3"].map(member).to_vec();
        let chain = Chain { slot: SLOT, version: ChainVersion(1), epoch: Epoch(1), members, tail_ready: true, joining: None };
        let mut bench = Self {
            now: Now { monotonic: Time(1), wall: WallTime(1_000) },
            config,
            nodes: BTreeMap::new(),
            replies: BTreeMap::new(),
            reports: BTreeMap::new(),
            leaving: Vec::new(),
            heartbeats: BTreeMap::new(),
            chain,
            fences: Vec::new(),
            drops: Vec::new(),
            granting: true,
            lose: |_, _, _| false,
            queue: VecDeque::new(),
            next_request: 0,
            lost_watermarks: 0,
            chunks: 0,
            most_kept: 0,
        };
        for name in ["n1", "n2", "n3", "n4"] {
            bench.start(name, Disk::new());
        }
        bench.wait(500);
        bench
    }

    pub(crate) fn start(&mut self, name: &str, disk: Disk) {
        let node = Node::new(self.config.clone(), identity(name), disk.recovered(), self.now);
        self.nodes.insert(id(name), (node, disk));
        self.queue.push_back((id(name), Event::CoordinatorUp));
    }

    /// Kills a node: what was on its way to it or to its disk is lost.
    pub(crate) fn kill(&mut self, name: &str) -> Disk {
        self.queue.retain(|(to, _)| *to != id(name));
        self.reports.remove(&id(name));
        Disk { pin: None, spilled: Vec::new(), ..self.nodes.remove(&id(name)).unwrap().1 }
    }

    /// The disk does what it was handed meanwhile, and from now on everything at once.
    pub(crate) fn release(&mut self, name: &str) {
        let disk = self.disk(name);
        disk.sync = Sync::AtOnce;
        for batch in std::mem::take(&mut disk.held) {
            batch.writes.into_iter().for_each(|write| self.disk(name).write(write));
            self.queue.push_back((id(name), Event::Durable { ticket: batch.ticket }));
        }
    }

    pub(crate) fn restart(&mut self, name: &str) {
        let disk = self.kill(name);
        self.start(name, disk);
    }

    pub(crate) fn disk(&mut self, name: &str) -> &mut Disk {
        &mut self.nodes.get_mut(&id(name)).unwrap().1
    }

    /// The next version: these members, and whoever joins.
    pub(crate) fn decide(&mut self, members: &[&str], joining: Option<&str>) {
        self.chain = Chain {
            version: self.chain.version.next(),
            members: members.iter().map(|name| member(name)).collect(),
            joining: joining.map(member),
            ..self.chain.clone()
        };
        self.fences.clear();
        self.drops.clear();
    }

    /// Tells everybody of what is decided, without waiting for heartbeats.
    pub(crate) fn tell(&mut self) {
        for node in self.nodes.keys().cloned().collect::<Vec<_>>() {
            let decisions = self.decisions(&node);
            self.deliver(&node, Event::Decided(decisions));
        }
    }

    fn decisions(&self, to: &NodeId) -> Decisions {
        let version = self.chain.version;
        let wanted = |list: &[NodeId]| list.iter().filter(|node| *node == to).map(|_| (SLOT, version)).collect();
        let chains = vec![self.chain.clone()];
        Decisions { chains, fences: wanted(&self.fences), drops: wanted(&self.drops), ..Decisions::none(Epoch(1)) }
    }

    pub(crate) fn deliver(&mut self, to: &NodeId, event: Event) {
        let decisions = self.decisions(to);
        let Some((node, disk)) = self.nodes.get_mut(to) else { return };
        let mut out = Vec::new();
        node.step(self.now, event, &mut out);
        for effect in out {
            match effect {
                Effect::Send { envelope: Envelope { message: Message::Append { entries, .. }, .. }, .. }
                    if entries.is_empty() && self.lost_watermarks > 0 =>
                {
                    self.lost_watermarks -= 1;
                }
                Effect::Send { to: peer, envelope } => {
                    self.chunks += usize::from(matches!(envelope.message, Message::Chunk(_)));
                    if !(self.lose)(to, &peer, &envelope) {
                        self.queue.push_back((peer, Event::Message { from: to.clone(), envelope }));
                    }
                }
                Effect::Persist(batch) if disk.sync == Sync::AtOnce => {
                    batch.writes.into_iter().for_each(|write| disk.write(write));
                    self.queue.push_back((to.clone(), Event::Durable { ticket: batch.ticket }));
                }
                Effect::Persist(batch) => disk.held.extend(Some(batch).filter(|_| disk.sync == Sync::Later)),
                Effect::Reply { request, result } => {
                    assert!(self.replies.insert(request, result).is_none(), "{request} was answered twice");
                }
                Effect::Heartbeat(heartbeat) => {
                    *self.heartbeats.entry(to.clone()).or_default() += 1;
                    self.reports.extend(heartbeat.reports.iter().map(|report| (to.clone(), report.clone())));
                    if heartbeat.presence == Presence::Leaving {
                        self.leaving.push(to.clone());
                    }
                    let answer = HeartbeatAnswer {
                        sequence: heartbeat.sequence,
                        lease: Some(LEASE).filter(|_| self.granting),
                        revision: Revision(self.chain.version.0),
                        decisions: decisions.clone(),
                        nodes: Vec::new(),
                    };
                    self.queue.push_back((to.clone(), Event::Answer(answer)));
                }
                Effect::Pin { .. } => disk.pin = Some(disk.state.clone()),
                Effect::Unpin { .. } => disk.pin = None,
                Effect::ReadChunk { slot, .. } if disk.unreadable > 0 => {
                    disk.unreadable -= 1;
                    self.queue.push_back((to.clone(), Event::Damaged { slot, request: None }));
                }
                Effect::ReadChunk { slot, after, bytes } => {
                    let (at, objects, end) = disk.read(after.as_ref(), bytes);
                    self.queue.push_back((to.clone(), Event::ChunkRead { slot, at, after, objects, end }));
                }
                Effect::ReadSpilled { slot, .. } if disk.unreadable_spill > 0 => {
                    disk.unreadable_spill -= 1;
                    self.queue.push_back((to.clone(), Event::Damaged { slot, request: None }));
                }
                Effect::ReadSpilled { slot, after, bytes } => {
                    let rest = disk.spilled.iter().filter(|entry| entry.id.seq > after);
                    let entries = rest.take((bytes / 100).max(1)).cloned().collect();
                    self.queue.push_back((to.clone(), Event::SpilledRead { slot, entries }));
                }
            }
        }
        let view = self.nodes[to].0.view(SLOT);
        let kept = view.map_or(0, |view| view.entries().filter(|entry| entry.id.seq <= view.applied).map(Entry::weight).sum());
        self.most_kept = self.most_kept.max(kept);
    }

    /// Lets virtual time pass, a millisecond at a time.
    pub(crate) fn wait(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now.monotonic = self.now.monotonic + Duration::from_millis(1);
            self.now.wall.0 += 1_000_000;
            self.queue.extend(self.nodes.keys().map(|node| (node.clone(), Event::Wake)));
            while let Some((to, event)) = self.queue.pop_front() {
                self.deliver(&to, event);
            }
        }
    }

    pub(crate) fn target(&self) -> Target {
        Target { slot: SLOT, version: self.chain.version }
    }

    fn next_request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    /// Sends a write to the head; its answer, if any, is in `replies` after a `wait`.
    pub(crate) fn write(&mut self, key: &str, action: Action, conditions: Vec<Condition>, origin: Option<Origin>) -> RequestId {
        let request = self.next_request();
        let head = self.chain.head().node.clone();
        let stored = self.nodes[&head].1.state.objects.get(key.as_bytes()).map(|object| object.metadata);
        let command = Command { key: Bytes::copy_from_slice(key.as_bytes()), action, conditions };
        let target = self.target();
        self.queue.push_back((head, Event::Write { request, target, command, origin, stored }));
        request
    }

    pub(crate) fn put(&mut self, key: &str, value: &'static str) -> RequestId {
        self.write(key, Action::Put { value: value.into() }, Vec::new(), None)
    }

    /// Asks the head for a session; its answer, if any, is in `replies` after a `wait`.
    pub(crate) fn ask_session(&mut self) -> RequestId {
        let request = self.next_request();
        let (head, target) = (self.chain.head().node.clone(), self.target());
        self.queue.push_back((head, Event::OpenSession { request, target }));
        request
    }

    /// Opens a session.
    pub(crate) fn open(&mut self) -> Seq {
        let request = self.ask_session();
        self.wait(2);
        match self.replies[&request] {
            Ok(Reply::Opened { session }) => session,
            ref other => panic!("{other:?}"),
        }
    }

    pub(crate) fn get(&mut self, key: &str) -> Result<Option<Bytes>, CallError> {
        let tail = self.chain.tail().node.clone();
        self.get_at(&tail, key)
    }

    pub(crate) fn get_at(&mut self, node: &NodeId, key: &str) -> Result<Option<Bytes>, CallError> {
        let request = self.next_request();
        let stored = self.nodes[node].1.state.objects.get(key.as_bytes()).cloned();
        let (target, key) = (self.target(), Bytes::copy_from_slice(key.as_bytes()));
        self.deliver(node, Event::Read { request, target, key, stored });
        match self.replies.remove(&request).expect("reads are answered at once") {
            Ok(Reply::Read { object, .. }) => Ok(object.map(|object| object.value)),
            Ok(other) => panic!("a read was answered {other:?}"),
            Err(error) => Err(error),
        }
    }

    /// All that the tail has, in pages of about so many bytes; and how many there were.
    pub(crate) fn scan(&mut self, bytes: usize) -> (Vec<(Bytes, Bytes)>, usize) {
        let (tail, target) = (self.chain.tail().node.clone(), self.target());
        let (mut found, mut pages, mut after) = (Vec::new(), 0, None);
        loop {
            let request = self.next_request();
            let stored = self.nodes[&tail].1.page(after.as_ref(), bytes);
            self.deliver(&tail, Event::Scan { request, target, after, bytes, stored });
            match self.replies.remove(&request).expect("reads are answered at once") {
                Ok(Reply::Scanned { page, .. }) => {
                    pages += 1;
                    assert!(page.objects.is_sorted_by(|(one, _), (other, _)| one < other));
                    found.extend(page.objects.into_iter().map(|(key, object)| (key, object.value)));
                    after = page.next;
                }
                other => panic!("a scan was answered {other:?}"),
            }
            if after.is_none() {
                return (found, pages);
            }
        }
    }

    /// A node's replica.
    pub(crate) fn view(&self, name: &str) -> ReplicaView<'_> {
        self.nodes[&id(name)].0.view(SLOT).unwrap()
    }

    /// How a node last reported to stand.
    pub(crate) fn state(&self, name: &str) -> Option<ReplicaState> {
        self.reports.get(&id(name)).filter(|report| report.version == self.chain.version).map(|report| report.state)
    }
}
