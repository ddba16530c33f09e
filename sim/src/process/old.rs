//! Planted: disks that have lost what was synced. A copy of all of them, made while nobody runs, and put back later, which
//! no cluster can survive.

use std::path::PathBuf;

use super::Trouble;
use super::cluster::Cluster;
use super::machine::clear;
use super::network::{Host, run};

/// Copies of all data.
#[derive(Debug)]
pub(super) struct OldDisks(PathBuf);

impl OldDisks {
    pub(super) async fn copy(cluster: &mut Cluster<'_>) -> Result<Self, Trouble> {
        cluster.kill_all().await;
        let copies = cluster.directory.join("old");
        run("mkdir", &format!("-p {}", copies.display())).await?;
        for host in Host::all().filter(|host| *host != Host::Clients) {
            let (data, copy) = (cluster.data(host), copies.join(host.to_string()));
            run("rm", &format!("-rf {}", copy.display())).await?;
            run("cp", &format!("-a {} {}", data.display(), copy.display())).await?;
        }
        cluster.heal().await?;
        cluster.await_whole().await?;
        Ok(Self(copies))
    }

    pub(super) async fn restore(&self, cluster: &Cluster<'_>) -> Result<(), Trouble> {
        for host in Host::all().filter(|host| *host != Host::Clients) {
            let (data, copy) = (cluster.data(host), self.0.join(host.to_string()));
            clear(&data)?;
            run("cp", &format!("-aT {} {}", copy.display(), data.display())).await?;
        }
        Ok(())
    }
}
