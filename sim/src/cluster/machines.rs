//! The machines of a simulated cluster: a coordinator, storage nodes with disks that outlive them, and what can happen
//! to them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use catena_core::{
    Chain, ClusterConfig, ClusterId, CoordinatorConfig, Incarnation, Limits, Member, NodeConfig, NodeId, Order, Slot,
};
use catena_net::admin::AdminClient;
use catena_net::server::Listener;
use catena_node::{
    ConfigRequest, ConfigStorage, CoordinatorMonitor, NodeOptions, Storage, run_coordinator, run_node, tokio_clock,
};
use catena_store::{ConfigStore, MemoryConfigStore, MemoryDisk, Store, StoreError, Swept, commit_group};
use madsim::net::NetSim;
use madsim::runtime::{Handle, NodeHandle};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::recorder::Recorder;
use crate::check::state::Stored;
use crate::rng::{Odds, Rng};

const PORT: u16 = 7400;
/// The lease of the protocol's starting values.
const LEASE: Duration = Duration::from_millis(600);
/// How long a sync takes at least; it grows with chance.
const SYNC: Duration = Duration::from_millis(1);

/// A cluster of real processes' code on simulated machines.
pub(super) struct Machines {
    nodes: Vec<Machine>,
    coordinator: NodeHandle,
    client: NodeHandle,
    rng: Rng,
}

struct Machine {
    name: NodeId,
    handle: NodeHandle,
    data: Arc<Mutex<Directory>>,
    up: Up,
    process: Arc<Mutex<Option<Process>>>,
}

/// A data directory.
#[derive(Clone, Debug)]
struct Directory {
    incarnation: Incarnation,
    disk: MemoryDisk,
}

/// What a process in order is told, and what it tells.
struct Process {
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Up {
    Running,
    Killed,
}

/// How a machine goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    /// Its process is killed: peers see their connections reset, the page cache survives.
    Kill,
    /// Its power fails, and nobody hears of it: connections stay open and silent; unsynced writes are lost in part.
    Silent,
    /// Its process is told to stop, and ends by itself in time.
    Stop,
}

/// What does not pass for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Anything from one node to another; the way back stays open.
    OneWay,
    /// Anything between two nodes.
    BothWays,
    /// Anything between the first of two nodes and the coordinator.
    Coordinator,
    /// The same, and anything between the clients and the coordinator: they keep their route.
    CoordinatorAndClients,
}

/// How long a process may take that is told to stop.
const STOPPING: Duration = Duration::from_secs(4);

fn address(host: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), PORT)
}

/// The coordinator's machine is the first host, nodes follow, the clients' is far behind.
const COORDINATOR: u8 = 1;
const CLIENTS: u8 = 200;

fn node_host(index: usize) -> u8 {
    COORDINATOR + 1 + u8::try_from(index).expect("a handful of nodes")
}

impl Machines {
    /// Starts a coordinator and `count` nodes, of which each chain has `replicas`.
    pub(super) fn start(count: usize, replicas: u32, slots: u32, mut rng: Rng, recorder: &Recorder) -> Self {
        let names: Vec<NodeId> = (1..=count).map(|number| NodeId::new(&format!("n{number}")).expect("a legal name")).collect();
        let config = ClusterConfig {
            cluster: ClusterId(7),
            slots,
            replicas,
            founders: u32::try_from(count).expect("a handful of nodes"),
            lease: LEASE,
        };
        let coordinator = start_coordinator(config);
        let nodes =
            names.into_iter().enumerate().map(|(index, name)| start_node(index, name, rng.fork(), recorder.clone())).collect();
        let client = Handle::current().create_node().name("clients").ip(address(CLIENTS).ip()).build();
        Self { nodes, coordinator, client, rng }
    }

    /// Kills everybody, so that the tasks do not hold their runtime, and one another, for ever.
    pub(super) async fn end(self) {
        let machines = self.nodes.iter().map(|node| node.handle.id()).chain([self.coordinator.id(), self.client.id()]);
        machines.for_each(|id| Handle::current().kill(id));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Where clients ask for the route.
    pub(super) fn endpoints() -> Vec<String> {
        vec![address(COORDINATOR).to_string()]
    }

    /// Runs a client on a machine of its own.
    pub(super) fn spawn<F>(&self, client: F) -> madsim::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.client.spawn(client)
    }

    pub(super) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// A node goes down, if it is up.
    pub(super) async fn down(&mut self, index: usize, death: Death) {
        let machine = &mut self.nodes[index];
        if machine.up == Up::Killed {
            return;
        }
        machine.up = Up::Killed;
        let (handle, id) = (Handle::current(), machine.handle.id());
        match death {
            Death::Kill => handle.kill(id),
            Death::Silent => {
                // Cut off first, so that nobody gets the reset; dead for good once all have had to find out.
                NetSim::current().clog_node(id);
                handle.pause(id);
                tokio::time::sleep(Duration::from_secs(2)).await;
                handle.kill(id);
                NetSim::current().unclog_node(id);
                let lose = Odds::percent(50);
                machine.directory().disk.crash(|| self.rng.chance(lose));
            }
            Death::Stop => {
                let process = machine.process.lock().expect("nobody panics with it").take().expect("it is up");
                process.stop.send(()).expect("it runs");
                timeout(STOPPING, process.stopped).await.expect("it stops in time").expect("it says so");
                handle.kill(id);
            }
        }
    }

    /// A node loses its process and its disk, and starts again with an empty one (K7); only while the chains are whole, for
    /// else it may have the last copy.
    pub(super) async fn wipe(&mut self, index: usize, replicas: u32) {
        if self.await_whole(replicas, Duration::from_secs(5)).await.is_some() {
            self.down(index, Death::Kill).await;
            let mut directory = self.nodes[index].data.lock().expect("nobody panics with it");
            let Incarnation(before) = directory.incarnation;
            // Unlike those of other nodes, which are counted from one.
            *directory = Directory { incarnation: Incarnation(before + 100), disk: MemoryDisk::default() };
        }
    }

    /// What is on the disks is part of the committed history (W11, J1).
    pub(super) fn look_at_disks(&self, slots: u32, recorder: &Recorder) {
        for machine in &self.nodes {
            for slot in (0..slots).map(Slot) {
                recorder.look(&machine.name, slot, &machine.stored(slot));
            }
        }
    }

    /// A node that is down starts again on its disk.
    pub(super) fn up(&mut self, index: usize) {
        let machine = &mut self.nodes[index];
        if machine.up == Up::Killed {
            machine.up = Up::Running;
            Handle::current().restart(machine.handle.id());
        }
    }

    /// A rolling restart: one node after the other, whether or not the one before is caught up again.
    pub(super) async fn roll(&mut self, death: Death, pause: Duration) {
        for index in 0..self.count() {
            self.down(index, death).await;
            self.up(index);
            tokio::time::sleep(pause).await;
        }
    }

    /// The coordinator's process is killed and starts again on its disk after `pause`.
    pub(super) async fn restart_coordinator(&self, pause: Duration) {
        Handle::current().kill(self.coordinator.id());
        tokio::time::sleep(pause).await;
        Handle::current().restart(self.coordinator.id());
    }

    /// Something does not pass for `duration`.
    pub(super) async fn cut(&self, cut: Cut, from: usize, to: usize, duration: Duration) {
        let (from, to) = (self.nodes[from].handle.id(), self.nodes[to].handle.id());
        let (coordinator, client) = (self.coordinator.id(), self.client.id());
        let ways = match cut {
            Cut::OneWay => vec![(from, to)],
            Cut::BothWays => vec![(from, to), (to, from)],
            Cut::Coordinator => vec![(from, coordinator), (coordinator, from)],
            Cut::CoordinatorAndClients => {
                vec![(from, coordinator), (coordinator, from), (client, coordinator), (coordinator, client)]
            }
        };
        ways.iter().for_each(|(from, to)| NetSim::current().clog_link(*from, *to));
        tokio::time::sleep(duration).await;
        ways.iter().for_each(|(from, to)| NetSim::current().unclog_link(*from, *to));
    }

    /// An operator takes a node out, and takes it in again after `pause`. What is refused is refused.
    pub(super) async fn take_out(&self, order: fn(NodeId) -> Order, index: usize, pause: Duration) {
        let node = self.nodes[index].name.clone();
        let orders = async move {
            let operator = AdminClient::new(Self::endpoints(), None);
            let taken = operator.order(&order(node.clone())).await.is_ok();
            tokio::time::sleep(pause).await;
            if taken {
                operator.order(&Order::Readmit(node)).await.expect("it is out, and the coordinator is there");
            }
        };
        self.spawn(orders).await.expect("an operator does not panic");
    }

    /// The chains, once all are whole and nothing is waited for; `None`: not within `time`.
    pub(super) async fn await_whole(&self, replicas: u32, time: Duration) -> Option<Vec<Chain>> {
        let whole = async move {
            loop {
                if let Ok(status) = AdminClient::new(Self::endpoints(), None).status().await {
                    let full =
                        |chain: &Chain| chain.members.len() == replicas as usize && chain.joining.is_none() && chain.tail_ready;
                    if status.waits.is_empty() && status.chains.iter().all(full) {
                        return status.chains;
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        self.spawn(async move { timeout(time, whole).await.ok() }).await.expect("an operator does not panic")
    }

    /// The members of a chain have the same on their disks, and nobody else has anything.
    pub(super) fn compare_disks(&self, chain: &Chain) -> Result<(), String> {
        let slot = chain.slot;
        let of = |member: &Member| self.nodes.iter().find(|machine| machine.name == member.node).expect("a node");
        let tail = of(chain.tail()).stored(slot);
        for machine in &self.nodes {
            let found = machine.stored(slot);
            if chain.position(&machine.name).is_some() {
                if found != tail {
                    return Err(format!("slot {slot}: {} differs from {}: {chain:?}", machine.name, chain.tail().node));
                }
            } else if !found.objects.is_empty() || !found.sessions.is_empty() {
                return Err(format!("slot {slot}: {} has kept its data", machine.name));
            }
        }
        Ok(())
    }

    /// A node neither hears nor says anything for `duration`, while it goes on.
    pub(super) async fn isolate(&self, index: usize, duration: Duration) {
        let id = self.nodes[index].handle.id();
        NetSim::current().clog_node(id);
        tokio::time::sleep(duration).await;
        NetSim::current().unclog_node(id);
    }
}

impl Machine {
    fn directory(&self) -> Directory {
        self.data.lock().expect("nobody panics with it").clone()
    }

    /// What its disk has of a slot, synced.
    fn stored(&self, slot: Slot) -> Stored {
        let disk = self.directory().disk;
        let (at, objects) = disk.objects(slot);
        Stored { at, objects, sessions: disk.sessions(slot) }
    }
}

fn start_coordinator(config: ClusterConfig) -> NodeHandle {
    let disk = MemoryConfigStore::new();
    let runtime = Handle::current();
    let machine = runtime.create_node().name("coordinator").ip(address(COORDINATOR).ip());
    machine
        .init(move || {
            let (mut store, config) = (disk.clone(), config.clone());
            async move {
                store.establish(&config).expect("the same cluster as before");
                let (sender, told) = mpsc::unbounded_channel();
                let ask = Box::new(move |request: ConfigRequest| {
                    // A driver that has gone does not want to know.
                    let _ = sender.send(request.run(&mut store));
                    Ok(())
                });
                let storage = ConfigStorage { ask, told };
                let listener = Listener::bind(address(COORDINATOR)).await.expect("a free address");
                // Faults come one after the other here, faster than an operator would: the detector is not held back.
                let config = CoordinatorConfig { restraint_percent: 100, flap_threshold: 0, ..CoordinatorConfig::new(config) };
                let ended = run_coordinator(
                    config,
                    &Limits::default(),
                    listener,
                    tokio_clock(),
                    storage,
                    std::future::pending(),
                    CoordinatorMonitor::unseen(),
                )
                .await;
                panic!("the coordinator ended by itself: {ended:?}");
            }
        })
        .build()
}

fn start_node(index: usize, name: NodeId, rng: Rng, recorder: Recorder) -> Machine {
    let directory = Directory { incarnation: Incarnation(1 + index as u128), disk: MemoryDisk::default() };
    let data = Arc::new(Mutex::new(directory));
    let (content, rng) = (data.clone(), Arc::new(Mutex::new(rng)));
    let process: Arc<Mutex<Option<Process>>> = Arc::default();
    let (node, started) = (name.clone(), process.clone());
    let runtime = Handle::current();
    let machine = runtime.create_node().name(name.as_str()).ip(address(node_host(index)).ip());
    let handle = machine
        .init(move || {
            let Directory { incarnation, disk } = content.lock().expect("nobody panics with it").clone();
            let (name, recorder) = (name.clone(), recorder.clone());
            let rng = rng.lock().expect("drawing a number does not panic").fork();
            let (stop, told) = oneshot::channel();
            let (has_stopped, stopped) = oneshot::channel();
            *started.lock().expect("nobody panics with it") = Some(Process { stop, stopped });
            async move {
                let address = address(node_host(index));
                let options = NodeOptions {
                    node: name,
                    incarnation,
                    cluster: None,
                    address: address.to_string(),
                    labels: BTreeMap::new(),
                    coordinators: Machines::endpoints(),
                    config: NodeConfig::new(0),
                };
                let listener = Listener::bind(address).await.expect("a free address");
                let node = options.node.clone();
                let open = move |_| std::future::ready(open(&disk, rng, node, recorder));
                let stops = Arc::new(AtomicBool::new(false));
                let noted = stops.clone();
                let shutdown = async move {
                    if told.await.is_err() {
                        std::future::pending::<()>().await; // nobody can tell it any more
                    }
                    noted.store(true, Ordering::Relaxed);
                };
                let ended = run_node(options, listener, tokio_clock(), open, shutdown).await;
                assert!(ended.is_ok() && stops.load(Ordering::Relaxed), "a node ended by itself: {ended:?}");
                // Whoever has told it to waits for this.
                let _ = has_stopped.send(());
            }
        })
        .build();
    Machine { name: node, handle, data, up: Up::Running, process }
}

/// A disk, and a task in place of the storage thread, whose syncs take simulated time.
fn open(
    disk: &MemoryDisk,
    mut rng: Rng,
    node: NodeId,
    recorder: Recorder,
) -> Result<Storage<catena_store::MemoryReader>, StoreError> {
    let mut store = disk.open();
    let recovered = store.recover()?;
    let reader = store.reader();
    let (queue, mut batches) = mpsc::unbounded_channel();
    let (report, durable) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(first) = batches.recv().await {
            tokio::time::sleep(rng.heavy_tail(SYNC)).await;
            let synced = commit_group(&mut store, first, || batches.try_recv().ok());
            if report.send(synced).is_err() {
                return;
            }
            while store.sweep().expect("a disk in memory does not fail") == Swept::Partly {}
        }
    });
    let submit = Box::new(move |batch| {
        recorder.observe(&node, &batch);
        queue.send(batch).map_err(|_| StoreError::Stopped)
    });
    Ok(Storage { reader, recovered, submit, durable, full: watch::channel(false).1 })
}
