//! The clusters under test: `catena dev` as a user starts it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use catena_net::client::{Client, Options};
use tempfile::TempDir;

use crate::{Error, io};

/// A running cluster; stopped when dropped.
pub(crate) struct Cluster {
    process: Child,
    _dir: TempDir,
    pub(crate) client: Client,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Its children see that it is gone and stop.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Cluster {
    /// Starts a cluster of `nodes`, each slot on all of them, and waits until it takes writes.
    pub(crate) async fn start(catena: &Path, parent: &Path, nodes: u16, port: u16) -> Result<Self, Error> {
        let dir = tempfile::Builder::new()
            .prefix("catena-latency-")
            .tempdir_in(parent)
            .map_err(io(format!("a directory in {}", parent.display())))?;
        let nodes = nodes.to_string();
        let mut process = Command::new(catena)
            .args(["dev", "--nodes", &nodes, "--replicas", &nodes, "--port", &port.to_string(), "--data-dir"])
            .arg(dir.path().join("cluster"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(io(format!("starting {}: build it first with cargo build --release", catena.display())))?;
        let deadline = Instant::now() + Duration::from_secs(20);
        let client = loop {
            if let Some(status) = process.try_wait().map_err(io("waiting for catena dev"))? {
                return Err(Error::NotReady(status));
            }
            let ready = async {
                let client = Client::connect(vec![format!("127.0.0.1:{port}")], Options::default()).await?;
                client.put("ready", "yes", Vec::new()).await?;
                Ok::<_, Error>(client)
            };
            match ready.await {
                Ok(client) => break client,
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        Ok(Self { process, _dir: dir, client })
    }
}
