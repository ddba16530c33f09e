//! Processes in miniature: each has a runtime of its own, so that killing it closes its sockets like a crash does.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use catena_core::{
    Chain, ChainVersion, Chunk, ClusterConfig, ClusterId, Entry, EntryId, Envelope, Epoch, Identity, Incarnation, Limits, Member,
    Message, Metadata, NodeId, NodeRecord, Object, Operation, Pin, Process as Run, Reply, Revision, Route, Seq, Slot, Target,
    WallTime,
};
use catena_net::link::Links;
use catena_net::server::{CoordinatorInput, CoordinatorServer, Listener, NodeInput, NodeServer, ServeError, Watchers};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub(crate) const CLUSTER: ClusterId = ClusterId(0xc1);
pub(crate) const OTHER_CLUSTER: ClusterId = ClusterId(0xc2);

/// Far above what anything here takes on a busy machine: reached only when something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what must come.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

pub(crate) fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub(crate) fn node_id(name: &str) -> NodeId {
    NodeId::new(name).expect("a legal name")
}

/// A data directory for each name.
pub(crate) fn incarnation(name: &str) -> Incarnation {
    Incarnation(name.bytes().fold(1, |sum, byte| sum * 256 + u128::from(byte)))
}

pub(crate) fn identity(name: &str) -> Identity {
    Identity { cluster: CLUSTER, node: node_id(name), incarnation: incarnation(name), process: Run(7) }
}

pub(crate) fn record(name: &str, address: SocketAddr) -> NodeRecord {
    let labels = BTreeMap::from([("rack".to_owned(), "r1".to_owned())]);
    NodeRecord { node: node_id(name), incarnation: incarnation(name), address: address.to_string(), labels }
}

/// A runtime with a thread of its own.
pub(crate) struct Process(Option<Runtime>);

impl Process {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Self(Some(runtime.expect("a runtime")))
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("killed only when dropped")
    }

    pub(crate) async fn run<F>(&self, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        soon("a task", self.runtime().spawn(future)).await.expect("the task does not panic")
    }
}

impl Drop for Process {
    /// All tasks are gone and all sockets closed when this returns.
    fn drop(&mut self) {
        let runtime = self.0.take();
        std::thread::spawn(move || drop(runtime)).join().expect("a runtime stops");
    }
}

/// A storage node whose driver is the test.
pub(crate) struct TestNode {
    pub(crate) record: NodeRecord,
    pub(crate) links: Links,
    pub(crate) inputs: mpsc::Receiver<NodeInput>,
    pub(crate) process: Process,
}

impl TestNode {
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_at(identity(name), local(0), 1024).await
    }

    /// Again, on the address where it was.
    pub(crate) async fn restart(name: &str, address: &str) -> Self {
        Self::start_at(identity(name), address.parse().expect("an address"), 1024).await
    }

    pub(crate) async fn start_at(identity: Identity, address: SocketAddr, room: usize) -> Self {
        let process = Process::start();
        let listener = process.run(Listener::bind(address)).await.expect("a free port");
        let address = listener.address().to_string();
        let (sender, inputs) = mpsc::channel(room);
        let (links, acceptor) = Links::new(identity.clone(), sender.clone());
        let (node, incarnation) = (identity.node.clone(), identity.incarnation);
        let record = NodeRecord { node, incarnation, address, labels: BTreeMap::new() };
        let server = NodeServer::new(identity, &Limits::default(), sender, acceptor);
        process.runtime().spawn(async { server.serve(listener, std::future::pending()).await.expect("serves") });
        Self { record, links, inputs, process }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.record.address.parse().expect("an address")
    }

    pub(crate) fn set_peer(&mut self, record: &NodeRecord) {
        let _runtime = self.process.runtime().enter();
        self.links.set_peer(record);
    }

    /// The next input but for links that end, which are let go of.
    pub(crate) async fn next(&mut self) -> NodeInput {
        loop {
            match soon("an input", self.inputs.recv()).await.expect("the server runs") {
                NodeInput::LinkDown(end) => drop(self.links.detach(&end)),
                input => return input,
            }
        }
    }

    /// Whether nothing has come but that links end.
    pub(crate) fn is_left_alone(&mut self) -> bool {
        while let Ok(input) = self.inputs.try_recv() {
            match input {
                NodeInput::LinkDown(end) => drop(self.links.detach(&end)),
                _ => return false,
            }
        }
        true
    }

    /// The next input, which is a fresh link.
    pub(crate) async fn linked(&mut self) -> NodeId {
        match self.next().await {
            NodeInput::LinkUp(link) => self.links.attach(link).expect("a link to the directory that is known"),
            other => panic!("expected a link, got {other:?}"),
        }
    }

    /// The next message, from whom and what.
    pub(crate) async fn message(&mut self) -> (NodeId, Envelope) {
        match self.next().await {
            NodeInput::Message { from, envelope } => (from, envelope),
            other => panic!("expected a message, got {other:?}"),
        }
    }

    /// The number in the next message, which is an [`ack`].
    pub(crate) async fn number(&mut self) -> u64 {
        match self.message().await.1.message {
            Message::Ack { committed, .. } => committed.0,
            other => panic!("expected a number, got {other:?}"),
        }
    }
}

/// A node's server that can be told to stop, by dropping `stop`.
pub(crate) struct Stoppable {
    pub(crate) address: SocketAddr,
    pub(crate) inputs: mpsc::Receiver<NodeInput>,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) serving: JoinHandle<Result<(), ServeError>>,
    pub(crate) links: Links,
}

impl Stoppable {
    pub(crate) async fn start() -> Self {
        let listener = Listener::bind(local(0)).await.expect("a free port");
        let address = listener.address();
        let (sender, inputs) = mpsc::channel(8);
        let (links, acceptor) = Links::new(identity("a"), sender.clone());
        let server = NodeServer::new(identity("a"), &Limits::default(), sender, acceptor);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(listener, async { drop(stopped.await) }));
        Self { address, inputs, stop, serving, links }
    }
}

/// Two nodes that know each other, linked; the first dials.
pub(crate) async fn linked_pair() -> (TestNode, TestNode) {
    let (mut a, mut b) = (TestNode::start("a").await, TestNode::start("b").await);
    a.set_peer(&b.record);
    b.set_peer(&a.record);
    assert_eq!((a.linked().await, b.linked().await), (node_id("b"), node_id("a")));
    (a, b)
}

/// A message with a number in it.
pub(crate) fn ack(number: u64) -> Envelope {
    Envelope { slot: Slot(3), version: ChainVersion(1), message: Message::Ack { committed: Seq(number), disk_full: false } }
}

/// A message with an entry of so many bytes, no two of which in a row are alike.
pub(crate) fn append(seq: u64, bytes: usize) -> Envelope {
    let value: Vec<u8> = (0..bytes).map(|index| u8::try_from((index + index / 251) % 256).expect("a byte")).collect();
    let operation = Operation::Put { key: Bytes::from_static(b"key"), value: value.into(), created_at: WallTime(seq) };
    let id = EntryId { version: ChainVersion(1), seq: Seq(seq) };
    let entries = vec![Entry { id, previous: ChainVersion(1), at: WallTime(seq), origin: None, operation }];
    Envelope { slot: Slot(3), version: ChainVersion(1), message: Message::Append { entries, durable: Seq(0) } }
}

/// A part of a snapshot with one object of so many bytes, and a number in its checksum.
pub(crate) fn chunk(number: u32, bytes: usize) -> Envelope {
    let pin = Pin { source: node_id("a"), process: Run(7), at: EntryId { version: ChainVersion(1), seq: Seq(9) } };
    let object = Object { value: vec![7; bytes].into(), metadata: metadata(3) };
    let objects = vec![(Bytes::from_static(b"key"), object)];
    let message = Message::Chunk(Chunk { pin, after: None, objects, end: None, checksum: number });
    Envelope { slot: Slot(3), version: ChainVersion(1), message }
}

pub(crate) fn metadata(version: u64) -> Metadata {
    Metadata { version: Seq(version), created_at: WallTime(5), updated_at: WallTime(6) }
}

/// What a put at `seq` is answered with.
pub(crate) fn written(target: Target, seq: u64) -> Reply {
    let entry = EntryId { version: target.version, seq: Seq(seq) };
    Reply::Written { entry: Some(entry), object: Some(metadata(seq)) }
}

/// What a get is answered with.
pub(crate) fn found(target: Target, value: &'static str) -> Reply {
    let object = Object { value: Bytes::from_static(value.as_bytes()), metadata: metadata(9) };
    Reply::Read { version: target.version, object: Some(object) }
}

/// The chain of slot 0.
pub(crate) fn chain(version: u64, members: Vec<Member>) -> Chain {
    let (slot, version, epoch) = (Slot(0), ChainVersion(version), Epoch(1));
    Chain { slot, version, epoch, members, tail_ready: true, joining: None }
}

/// A route of one slot whose chain are the given nodes, head first.
pub(crate) fn route(revision: u64, version: u64, nodes: &[&NodeRecord]) -> Route {
    let member =
        |record: &&NodeRecord| Member { node: record.node.clone(), incarnation: record.incarnation, activated: ChainVersion(1) };
    let members = nodes.iter().map(member).collect();
    Route {
        cluster: CLUSTER,
        revision: Revision(revision),
        slots: 1,
        chains: vec![chain(version, members)],
        nodes: nodes.iter().map(|record| (*record).clone()).collect(),
    }
}

/// A coordinator whose driver is the test.
pub(crate) struct TestCoordinator {
    pub(crate) address: String,
    pub(crate) inputs: mpsc::Receiver<CoordinatorInput>,
    pub(crate) process: Process,
}

impl TestCoordinator {
    pub(crate) async fn start() -> Self {
        let process = Process::start();
        let listener = process.run(Listener::bind(local(0))).await.expect("a free port");
        let address = listener.address().to_string();
        let (sender, inputs) = mpsc::channel(64);
        let config = ClusterConfig { cluster: CLUSTER, slots: 16, replicas: 1, founders: 1, lease: Duration::from_millis(600) };
        let server = CoordinatorServer::new(&config, &Limits::default(), sender);
        process.runtime().spawn(async { server.serve(listener, std::future::pending()).await.expect("serves") });
        Self { address, inputs, process }
    }

    /// Answers everybody who asks with the route of the moment, and tells those who watch what changes.
    pub(crate) fn give(self, mut route: tokio::sync::watch::Receiver<Route>) -> (String, Process) {
        let Self { address, mut inputs, process } = self;
        process.runtime().spawn(async move {
            let mut watchers = Watchers::new();
            loop {
                tokio::select! {
                    input = inputs.recv() => match input {
                        Some(CoordinatorInput::Route { reply }) => {
                            let _: Result<(), Option<Route>> = reply.send(Some(route.borrow().clone()));
                        }
                        Some(CoordinatorInput::Watch(watcher)) => {
                            let now = route.borrow_and_update().clone();
                            watchers.add(watcher, Some(now));
                        }
                        Some(_) => {}
                        None => break,
                    },
                    Ok(()) = route.changed() => {
                        let now = route.borrow_and_update().clone();
                        watchers.changed(&(0..now.slots).map(Slot).collect::<Vec<_>>(), || Some(now));
                    }
                }
            }
        });
        (address, process)
    }

    pub(crate) async fn next(&mut self) -> CoordinatorInput {
        soon("an input", self.inputs.recv()).await.expect("the server runs")
    }
}
