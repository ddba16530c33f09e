//! Reads by unary calls, past the Rust client: as clients of other make do it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use catena_core::{NodeId, Route, slot_of};
use catena_net::proto::GetRequest;
use catena_net::proto::kv_client::KvClient;
use tonic::transport::{Channel, Endpoint};

use crate::Error;

/// Connections to all nodes of a route that does not change.
#[derive(Clone)]
pub(crate) struct Unary {
    route: Arc<Route>,
    nodes: Arc<BTreeMap<NodeId, KvClient<Channel>>>,
}

impl Unary {
    pub(crate) async fn connect(route: Route) -> Result<Self, Error> {
        let mut nodes = BTreeMap::new();
        for record in &route.nodes {
            let endpoint = Endpoint::from_shared(format!("http://{}", record.address))?.tcp_nodelay(true);
            nodes.insert(record.node.clone(), KvClient::new(endpoint.connect().await?));
        }
        Ok(Self { route: Arc::new(route), nodes: Arc::new(nodes) })
    }

    /// One object from its tail.
    pub(crate) async fn get(&self, key: Bytes) -> Result<(), Error> {
        let slot = slot_of(&key, self.route.slots);
        let chain = self.route.chains.iter().find(|chain| chain.slot == slot).expect("every slot has a chain");
        let mut tail = self.nodes[&chain.tail().node].clone();
        tail.get(GetRequest { slot: slot.0, chain_version: chain.version.0, key, ..GetRequest::default() }).await?;
        Ok(())
    }
}
