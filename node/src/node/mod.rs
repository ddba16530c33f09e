//! A storage node: joins its cluster, opens its data, serves until it is told to stop.

mod calls;
mod departure;
mod driver;
mod error;
mod metrics;
mod notes;
mod pins;
mod state;
mod storage;
mod uplink;
mod watching;

use std::collections::BTreeMap;
use std::future::Future;

use catena_core::{ClusterId, Identity, Incarnation, Node, NodeConfig, NodeId, NodeRecord, Process};
use catena_net::coordination::Register;
use catena_net::link::Links;
use catena_net::server::{Listener, NodeServer, Readiness};
use catena_store::{Reader, StoreError};
use tokio::sync::{mpsc, oneshot};
use tracing::info;

use self::departure::Departure;
pub use self::departure::Stop;
use self::driver::{Driver, check_slots};
pub use self::error::NodeError;
pub use self::metrics::NodeMetrics;
use self::notes::Notes;
pub use self::state::NodeState;
pub use self::storage::Storage;
use self::uplink::Uplink;
use crate::Clock;
use crate::monitor::Monitor;
use crate::task::Owned;

/// What a node shows of itself.
pub type NodeMonitor = Monitor<NodeMetrics, NodeState>;

/// Requests and messages that may wait for the driver; beyond it their senders wait. Chosen here: a few turns of the driver.
const INPUTS: usize = 1024;

/// What a node is told when it starts.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Its name.
    pub node: NodeId,
    /// Its data directory's identity, which is durable already.
    pub incarnation: Incarnation,
    /// The cluster that its directory belongs to; `None` on its very first start.
    pub cluster: Option<ClusterId>,
    /// Where neighbours and clients reach it: `host:port`.
    pub address: String,
    /// Its failure domains, such as `rack` → `r1`.
    pub labels: BTreeMap<String, String>,
    /// The coordinators' addresses: `host:port`.
    pub coordinators: Vec<String>,
    /// What it is to keep to. How many slots there are the coordinator says.
    pub config: NodeConfig,
}

/// Runs a node until `shutdown` ends; as [`run_node_until`] does, when the node alone is told to stop.
///
/// # Errors
/// As [`run_node_until`].
pub async fn run_node<R: Reader, O>(
    options: NodeOptions,
    listener: Listener,
    clock: Clock,
    open: impl FnOnce(ClusterId) -> O,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), NodeError>
where
    O: Future<Output = Result<Storage<R>, StoreError>>,
{
    let told = async {
        shutdown.await;
        Stop::Node
    };
    run_node_until(options, listener, clock, open, told, NodeMonitor::unseen()).await
}

/// Runs a node until it is `told` to stop, and then until it has left its chains or is overdue: within 4 s.
///
/// `open` is called once, with the cluster that the coordinator named: it makes the directory one of that cluster and opens
/// the data in it, which may take long.
///
/// # Errors
/// When the coordinator refuses the node, or its disk fails (D1). The process is then to end.
pub async fn run_node_until<R: Reader, O>(
    options: NodeOptions,
    listener: Listener,
    mut clock: Clock,
    open: impl FnOnce(ClusterId) -> O,
    told: impl Future<Output = Stop> + Send + 'static,
    monitor: NodeMonitor,
) -> Result<(), NodeError>
where
    O: Future<Output = Result<Storage<R>, StoreError>>,
{
    let mut told = Box::pin(told);
    monitor.set_readiness(Readiness::Starting("no coordinator has let it in yet"));
    let register = Register { cluster: options.cluster, node: options.record() };
    let (uplink, registered) = tokio::select! {
        biased;
        joined = Uplink::join(options.coordinators.clone(), register) => joined?,
        _ = &mut told => return Ok(()),
    };
    monitor.set_readiness(Readiness::Starting("it is opening its data"));
    let mut storage = tokio::select! {
        biased;
        opened = open(registered.cluster) => {
            opened.map_err(|source| NodeError::Storage { node: options.node.clone(), source })?
        }
        _ = &mut told => return Ok(()),
    };
    let identity = options.identity(registered.cluster);
    let config = NodeConfig { slots: registered.slots, ..options.config.clone() };
    let (inputs_sender, inputs) = mpsc::channel(INPUTS);
    let (links, acceptor) = Links::new(identity.clone(), inputs_sender.clone());
    let server = NodeServer::new(identity.clone(), &config.limits, inputs_sender, acceptor).seen(monitor.outlook());
    let (left, has_left) = oneshot::channel();
    let mut departure = Departure::new(identity.clone(), told, left);
    let recovered = std::mem::take(&mut storage.recovered);
    check_slots(&options.node, config.slots, recovered.iter().map(|replica| replica.slot))?;
    for chain in recovered.iter().filter_map(|replica| replica.chain.as_ref()) {
        departure.chain(chain);
    }
    let mut notes = Notes::new(options.node.clone());
    for (slot, damage) in recovered.iter().filter_map(|replica| Some((replica.slot, replica.damaged.as_ref()?))) {
        notes.damaged(slot, damage);
    }
    info!(component = "node", node_id = %options.node, cluster = %identity.cluster, slots = recovered.len(), "serving");
    let node = Node::new(config, identity, recovered, clock());
    let driver = Driver::new(node, clock, storage, (links, server.answers()), departure, notes, monitor);
    // A driver that is gone has ended the node already.
    let until_left = async { drop(has_left.await) };
    let mut server = Owned::spawn(server.serve(listener, until_left));
    tokio::select! {
        biased;
        error = driver.run(inputs, uplink) => Err(error),
        ended = server.join() => {
            ended.map_err(|source| NodeError::Serve { node: options.node.clone(), source })
        }
    }
}

impl NodeOptions {
    fn record(&self) -> NodeRecord {
        let Self { node, incarnation, address, labels, .. } = self.clone();
        NodeRecord { node, incarnation, address, labels }
    }

    fn identity(&self, cluster: ClusterId) -> Identity {
        let process = Process(getrandom::u64().expect("the system gives random numbers"));
        Identity { cluster, node: self.node.clone(), incarnation: self.incarnation, process }
    }
}
