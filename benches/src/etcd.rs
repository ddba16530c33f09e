//! The reference that most users have: three members of etcd, each a process, as its package installs them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::{Error, io};

/// Generated from `proto/etcd.proto`.
mod proto {
    #![allow(missing_docs, unreachable_pub, unused_qualifications, dead_code, reason = "generated")]
    #![allow(clippy::all, clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated")]
    tonic::include_proto!("etcdserverpb");
}

use proto::kv_client::KvClient;
use proto::maintenance_client::MaintenanceClient;
use proto::{PutRequest, StatusRequest};

const MEMBERS: u16 = 3;
/// As many as Catena's client has to three nodes.
const CONNECTIONS: usize = 3;

/// A running cluster; killed when dropped.
pub(crate) struct Etcd {
    members: Vec<Child>,
    _dir: TempDir,
    leader: Vec<KvClient<Channel>>,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for member in &mut self.members {
            // It may have ended already; nothing is left to do then.
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

impl Etcd {
    /// Starts three members at its default settings, and waits until they have a leader.
    pub(crate) async fn start(etcd: &Path, parent: &Path, port: u16) -> Result<Self, Error> {
        let dir = tempfile::Builder::new()
            .prefix("catena-latency-etcd-")
            .tempdir_in(parent)
            .map_err(io(format!("a directory in {}", parent.display())))?;
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let (client, peer) = (|member| url(port + member), |member| url(port + MEMBERS + member));
        let all: Vec<String> = (0..MEMBERS).map(|member| format!("m{member}={}", peer(member))).collect();
        let start = |member: u16| {
            let mut command = Command::new(etcd);
            command.args(["--name", &format!("m{member}"), "--log-level", "error", "--initial-cluster", &all.join(",")]);
            command.args(["--listen-client-urls", &client(member), "--advertise-client-urls", &client(member)]);
            command.args(["--listen-peer-urls", &peer(member), "--initial-advertise-peer-urls", &peer(member)]);
            command.arg("--data-dir").arg(dir.path().join(format!("m{member}"))).stdin(Stdio::null()).stdout(Stdio::null());
            command.spawn().map_err(io(format!("starting {}: install it, or leave --etcd out", etcd.display())))
        };
        let members = (0..MEMBERS).map(start).collect::<Result<_, _>>()?;
        let mut cluster = Self { members, _dir: dir, leader: Vec::new() };
        let deadline = Instant::now() + Duration::from_secs(20);
        while cluster.leader.is_empty() {
            for member in 0..MEMBERS {
                match lead(client(member)).await {
                    Ok(leader) => cluster.leader.extend(leader),
                    Err(error) if Instant::now() > deadline => return Err(error),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        }
        Ok(cluster)
    }

    /// A connection to the leader: several callers share one.
    pub(crate) fn caller(&self, caller: u32) -> KvClient<Channel> {
        self.leader[caller as usize % self.leader.len()].clone()
    }
}

/// Connections to a member, if it leads.
async fn lead(url: String) -> Result<Vec<KvClient<Channel>>, Error> {
    let endpoint = Endpoint::from_shared(url)?.tcp_nodelay(true);
    let status = MaintenanceClient::new(endpoint.connect().await?).status(StatusRequest {}).await?.into_inner();
    let leads = status.leader != 0 && status.header.is_some_and(|header| header.member_id == status.leader);
    let mut connections = Vec::new();
    for _ in 0..if leads { CONNECTIONS } else { 0 } {
        connections.push(KvClient::new(endpoint.connect().await?));
    }
    Ok(connections)
}

/// One write.
pub(crate) async fn put(caller: &mut KvClient<Channel>, key: Bytes, value: Bytes) -> Result<(), Error> {
    caller.put(PutRequest { key, value }).await?;
    Ok(())
}
