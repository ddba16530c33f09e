//! Bad requests on the wire, past the Rust client's own checks: each is refused with a reason, surely not executed, and
//! nothing is stored.

use catena_core::{CallError, Kind, Limits, Slot};
use catena_net::proto::kv_client::KvClient;
use catena_net::proto::{GetRequest, PutRequest};
use catena_net::{Client, Options, Refusal};
use rustix::process::Signal;
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::support::{Dev, PATIENCE, block_on, signal};

/// One node, one slot: every key is there.
struct Wire {
    _directory: TempDir,
    cluster: Dev,
    client: Client,
    node: KvClient<Channel>,
}

impl Wire {
    async fn connect() -> Self {
        let directory = TempDir::new().expect("a directory");
        let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "1"]);
        let options = Options { call_timeout: PATIENCE };
        let client = Client::connect(vec![cluster.endpoint()], options).await.expect("the cluster is ready");
        let address = format!("http://{}", client.route().nodes[0].address);
        let node = KvClient::connect(address).await.expect("the node is there").max_encoding_message_size(64 << 20);
        Self { _directory: directory, cluster, client, node }
    }

    fn put(&self, key: impl Into<Vec<u8>>, value: Vec<u8>) -> PutRequest {
        let chain_version = self.client.route().chains[0].version.0;
        PutRequest { slot: 0, chain_version, key: key.into().into(), value: value.into(), ..PutRequest::default() }
    }

    /// Sends a request that must be refused with a reason that says: surely not executed.
    async fn refused(&mut self, request: PutRequest) -> Refusal {
        let status = self.node.put(request).await.expect_err("a bad request is refused");
        let refusal = Refusal::from_status(&status).expect("a reason");
        assert_eq!(refusal.kind(), Kind::NotExecuted, "{refusal}");
        refusal
    }
}

#[test]
fn each_is_refused_by_name_and_stores_nothing() {
    block_on(async {
        let mut wire = Wire::connect().await;
        let Limits { key_bytes, value_bytes, .. } = Limits::default();
        let request = wire.put("", vec![]);
        assert_eq!(wire.refused(request).await, CallError::KeyEmpty.into());
        let request = wire.put("k".repeat(key_bytes + 1), vec![]);
        assert_eq!(wire.refused(request).await, CallError::KeyTooLong { len: key_bytes + 1, limit: key_bytes }.into());
        // The store's engine has a limit of its own, at 64 KiB.
        let request = wire.put("k".repeat(70_000), vec![]);
        assert_eq!(wire.refused(request).await, CallError::KeyTooLong { len: 70_000, limit: key_bytes }.into());
        let request = wire.put("large", vec![0; value_bytes + 1]);
        let refusal = CallError::ValueTooLarge { len: value_bytes + 1, limit: value_bytes };
        assert_eq!(wire.refused(request).await, refusal.into());
        let request = PutRequest { slot: 7, ..wire.put("k", vec![]) };
        assert_eq!(wire.refused(request).await, CallError::UnknownSlot { slot: Slot(7), slots: 1 }.into());
        let request = PutRequest { cluster: vec![7; 16].into(), ..wire.put("k", vec![]) };
        let refusal = wire.refused(request).await;
        assert!(matches!(refusal, Refusal::WrongCluster { here, .. } if here == wire.client.route().cluster), "{refusal}");
        let request = PutRequest { chain_version: 99, ..wire.put("k", vec![]) };
        assert!(matches!(wire.refused(request).await, Refusal::Call(CallError::Routing(_))));
        for key in ["k", "large"] {
            assert_eq!(wire.client.get(key).await.expect("a read").object, None, "{key} is not stored");
        }
        let accepted = wire.node.put(wire.put("k", vec![1])).await.expect("a good request is done").into_inner();
        assert_eq!(accepted.seq, 1, "nothing was ordered before");
    });
}

#[test]
fn reads_end_with_the_lease_and_come_back_with_it() {
    block_on(async {
        let mut wire = Wire::connect().await;
        wire.client.put("k", "v", vec![]).await.expect("acknowledged");
        signal(wire.cluster.pid_of("coordinator"), Signal::STOP);
        let request = || GetRequest { key: "k".into(), chain_version: 1, ..GetRequest::default() };
        let deadline = std::time::Instant::now() + PATIENCE;
        let refusal = loop {
            match wire.node.get(request()).await {
                Ok(_) => assert!(std::time::Instant::now() < deadline, "the lease does not end"),
                Err(status) => break Refusal::from_status(&status),
            }
        };
        assert_eq!(refusal, Some(CallError::NoLease { slot: Slot(0) }.into()));
        wire.client.put("k", "w", vec![]).await.expect("writes go on without a coordinator");
        signal(wire.cluster.pid_of("coordinator"), Signal::CONT);
        assert_eq!(wire.client.get("k").await.expect("a read").object.expect("stored").value, "w");
    });
}
