//! A coordinator and its nodes as processes, and how they are, as an operator sees it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::Command;
use tokio::time::sleep;

use super::fault::{NODES, PROXIED, SMALL};
use super::host::Means;
use super::machine::{Machine, clear};
use super::network::{Host, Network, run};
use super::proxy::Proxy;
use super::{Campaign, Trouble, stuck};

/// Copies of every key.
pub(super) const REPLICAS: usize = 3;
/// Chains.
pub(super) const SLOTS: u32 = 4;
/// How much of the small disk is kept free, and how large it is, in MiB.
const RESERVE: u64 = 32;
const SMALL_DISK: u64 = 256;
/// Between two looks at the cluster.
const LOOK: Duration = Duration::from_millis(50);
/// Longer than the silence of a dead node.
const STEADY: Duration = Duration::from_secs(1);
/// How long a wiped node waits for its old incarnation to be taken for dead.
const DYING: Duration = Duration::from_secs(10);

/// Running processes with their data.
#[derive(Debug)]
pub(super) struct Cluster<'a> {
    pub(super) network: &'a mut Network,
    pub(super) proxy: Proxy,
    binary: PathBuf,
    /// Data and logs.
    pub(super) directory: PathBuf,
    pub(super) coordinator: Machine,
    /// Those named n1 and so on, from 0 on.
    nodes: Vec<Machine>,
    /// Nodes with an empty disk that have not been started since.
    wiped: Vec<usize>,
    small_disk: bool,
    /// How long chains may take to be whole again after the last fault.
    healing: Duration,
}

impl<'a> Cluster<'a> {
    /// One in `directory`, that nobody has started yet.
    pub(super) fn new(campaign: &Campaign, directory: &Path, network: &'a mut Network, means: &Means) -> Result<Self, Trouble> {
        let (binary, healing) = (campaign.binary.clone(), campaign.healing);
        let shown = directory.display();
        let failed = |error| Trouble::Here(format!("cannot use {shown} ({error}): give a directory that can be written"));
        let directory = std::path::absolute(directory).map_err(failed)?;
        fs::create_dir_all(&directory).map_err(failed)?;
        if fs::read_dir(&directory).map_err(failed)?.next().is_some() {
            return Err(Trouble::Here(format!("{shown} has files of another cluster: remove it, or give another directory")));
        }
        for host in Host::all() {
            fs::create_dir_all(directory.join(host.to_string())).map_err(failed)?;
        }
        let small_disk = means.no_disk.is_none();
        let (front, target) = (network.address(Host::Clients), network.address(Host::Node(PROXIED)));
        let proxy = Proxy::start(front, target).map_err(|error| Trouble::Here(format!("no proxy at {front}: {error}")))?;
        let machine = |host: Host| {
            let command = command(&binary, &directory, network, host, small_disk);
            Machine::new(host.to_string(), command, directory.join(format!("{host}.log")), campaign.mutant)
        };
        let coordinator = machine(Host::Coordinator);
        let nodes = (1..=NODES).map(|node| machine(Host::Node(node))).collect();
        if small_disk {
            mount(&directory.join(Host::Node(SMALL).to_string()))?;
        }
        Ok(Self { network, proxy, binary, directory, coordinator, nodes, wiped: Vec::new(), small_disk, healing })
    }

    /// Ends it, and keeps what would go with it.
    pub(super) async fn save(&mut self) {
        self.kill_all().await;
        if self.small_disk {
            let small = self.directory.join(Host::Node(SMALL).to_string());
            // As much as there is: the failure itself is told all the same.
            let _ = run("cp", &format!("-a {} {}-saved", small.display(), small.display())).await;
        }
    }

    /// A node, from 1 on.
    pub(super) fn node(&mut self, number: usize) -> &mut Machine {
        &mut self.nodes[number - 1]
    }

    /// All processes.
    pub(super) fn machines(&mut self) -> impl Iterator<Item = &mut Machine> {
        std::iter::once(&mut self.coordinator).chain(&mut self.nodes)
    }

    /// Where a process's data is.
    pub(super) fn data(&self, host: Host) -> PathBuf {
        self.directory.join(host.to_string()).join("data")
    }

    /// Where clients ask for the way.
    pub(super) fn endpoint(&self) -> String {
        self.network.address(Host::Coordinator).to_string()
    }

    /// Kills all processes.
    pub(super) async fn kill_all(&mut self) {
        for machine in self.machines() {
            machine.kill().await;
        }
    }

    /// Undoes everything that was done to it.
    pub(super) async fn heal(&mut self) -> Result<(), Trouble> {
        self.network.mend_all().await?;
        self.proxy.delay(Duration::ZERO);
        self.fill_disk(None)?;
        self.coordinator.start()?;
        for node in 1..=NODES {
            self.bring_back(node).await?;
        }
        Ok(())
    }

    /// Whether a node's disk may be lost: of each of its chains there is another copy that takes part.
    pub(super) async fn may_lose(&self, node: usize) -> bool {
        let name = Value::from(Host::Node(node).to_string());
        let Some(status) = self.status().await else { return false };
        let members = |chain: &Value| chain["members"].as_array().cloned().unwrap_or_default();
        status["chains"].as_array().into_iter().flatten().all(|chain| {
            let members = members(chain);
            !members.contains(&name) || members.len() > 1
        })
    }

    /// Kills a node, and loses its disk.
    pub(super) async fn wipe(&mut self, node: usize) -> Result<(), Trouble> {
        self.node(node).kill().await;
        self.wiped.push(node);
        clear(&self.directory.join(Host::Node(node).to_string()))
    }

    /// Starts a node, or lets it go on. One without its disk is another incarnation, let in once the old one is taken for dead.
    pub(super) async fn bring_back(&mut self, node: usize) -> Result<(), Trouble> {
        self.node(node).is_up()?;
        if let Some(index) = self.wiped.iter().position(|wiped| *wiped == node) {
            let name = Host::Node(node).to_string();
            let end = Instant::now() + DYING;
            while Instant::now() < end && self.status().await.is_none_or(|status| health(&status, &name) != "dead") {
                sleep(LOOK).await;
            }
            self.wiped.swap_remove(index);
        }
        self.node(node).start()
    }

    /// Leaves so many bytes free on the small disk; `None`: all that there are.
    pub(super) fn fill_disk(&mut self, leave: Option<u64>) -> Result<(), Trouble> {
        if !self.small_disk {
            return Ok(());
        }
        let ballast = self.directory.join(Host::Node(SMALL).to_string()).join("ballast");
        let failed = |error: std::io::Error| Trouble::Here(format!("cannot fill {}: {error}", ballast.display()));
        let Some(leave) = leave else {
            return match fs::remove_file(&ballast) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
                Ok(()) | Err(_) => Ok(()),
            };
        };
        let disk = rustix::fs::statvfs(ballast.with_file_name("")).map_err(|error| failed(error.into()))?;
        let free = disk.f_bavail * disk.f_frsize;
        let file = fs::File::create(&ballast).map_err(failed)?;
        // The node writes meanwhile: there may be less by now, and then all of it is taken.
        let wanted = free.saturating_sub(leave).max(1);
        let mode = rustix::fs::FallocateFlags::empty();
        let halves = std::iter::successors(Some(wanted), |wanted| (*wanted > 1).then_some(wanted / 2));
        let taken = halves.map(|wanted| rustix::fs::fallocate(&file, mode, 0, wanted)).find(Result::is_ok);
        taken.unwrap_or(Err(rustix::io::Errno::NOSPC)).map_err(|error| failed(error.into()))
    }

    /// Fills the small disk up to where puts are refused.
    pub(super) fn fill_to_reserve(&mut self) -> Result<(), Trouble> {
        self.fill_disk(Some((RESERVE / 2) << 20))
    }

    /// What `catena status -o json` says; `None`: nobody answers, or not in time.
    pub(super) async fn status(&self) -> Option<Value> {
        let mut command = Command::new(&self.binary);
        command.args(["status", "-o", "json", "--timeout", "2s", "--endpoints", &self.endpoint()]);
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.ok()?;
        output.status.success().then(|| serde_json::from_slice(&output.stdout).ok()).flatten()
    }

    /// Waits until every chain has all its copies and every node is healthy, and stays so for a while: who has just fallen silent is
    /// healthy still. How long it took.
    pub(super) async fn await_whole(&mut self) -> Result<Duration, Trouble> {
        let begun = Instant::now();
        let (mut last, mut since) = (None, None);
        loop {
            let status = self.status().await;
            let whole = status.as_ref().is_some_and(is_whole);
            last = status.or(last);
            for machine in self.machines() {
                // One whose disk was full may have taken its time to end.
                if !machine.is_up()? {
                    machine.start()?;
                }
            }
            let (now, first) = (begun.elapsed(), since.filter(|_| whole).unwrap_or(begun.elapsed()));
            since = whole.then_some(first);
            if whole && now >= first + STEADY {
                return Ok(first);
            }
            if first >= self.healing {
                let status = last.map_or("nobody says how it is".to_owned(), |status| status.to_string());
                return Err(stuck(format!("{:?} after the last fault the cluster is not whole: {status}", self.healing)));
            }
            sleep(LOOK).await;
        }
    }

    /// Demands that nobody has ended without being asked.
    pub(super) fn look(&mut self) -> Result<(), Trouble> {
        self.machines().try_for_each(|machine| machine.is_up().map(drop))
    }

    /// Demands that every node runs.
    pub(super) fn look_at_nodes(&mut self) -> Result<(), Trouble> {
        for node in &mut self.nodes {
            if !node.is_up()? {
                return Err(stuck(format!("{} does not run", node.name)));
            }
        }
        Ok(())
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        if self.small_disk {
            // What is left of a mount goes with our namespace.
            let _ = std::process::Command::new("umount")
                .arg("--lazy")
                .arg(self.directory.join(Host::Node(SMALL).to_string()))
                .status();
        }
    }
}

/// Mounts the small disk.
fn mount(place: &Path) -> Result<(), Trouble> {
    let mut mount = std::process::Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", &format!("size={SMALL_DISK}m"), "none"]).arg(place);
    let failed = |why: &str| Trouble::Here(format!("cannot mount a small disk at {}: {why}", place.display()));
    let output = mount.output().map_err(|error| failed(&error.to_string()))?;
    if output.status.success() { Ok(()) } else { Err(failed(String::from_utf8_lossy(&output.stderr).trim())) }
}

/// What starts a process.
fn command(binary: &Path, directory: &Path, network: &Network, host: Host, small_disk: bool) -> Vec<OsString> {
    let mut command = network.prefix(host);
    let mut add = |word: &str| command.push(word.into());
    add(&binary.display().to_string());
    let data = directory.join(host.to_string()).join("data").display().to_string();
    let (listen, coordinator) = (network.address(host).to_string(), network.address(Host::Coordinator).to_string());
    match host {
        Host::Coordinator => {
            // Faults come one after the other here, faster than an operator would: the detector is not held back.
            let judgement = "--founders 4 --flap-threshold 0 --restraint-percent 100";
            let cluster = format!("coordinator --slots {SLOTS} --replicas {REPLICAS} {judgement}");
            cluster.split(' ').for_each(&mut add);
        }
        Host::Node(node) => {
            ["node", "--id", &host.to_string(), "--coordinator", &coordinator].into_iter().for_each(&mut add);
            if node == PROXIED {
                ["--advertise", &network.address(Host::Clients).to_string()].into_iter().for_each(&mut add);
            }
            let reserve = if node == SMALL && small_disk { RESERVE } else { 1 };
            ["--disk-reserve", &format!("{reserve}MiB")].into_iter().for_each(&mut add);
        }
        Host::Clients => unreachable!("clients are in this process"),
    }
    ["--listen", &listen, "--data-dir", &data, "--log-format", "text", "--stop-with-stdin"].into_iter().for_each(&mut add);
    command
}

fn health(status: &Value, node: &str) -> String {
    let nodes = status["nodes"].as_array().into_iter().flatten();
    nodes.filter(|found| found["id"] == node).filter_map(|found| found["health"].as_str()).collect()
}

/// Whether every chain has all its copies, nothing is under way, and every node is healthy.
fn is_whole(status: &Value) -> bool {
    let list = |name: &str| status[name].as_array().cloned().unwrap_or_default();
    let settled = |chain: &Value| {
        chain["tail_ready"] == true
            && chain["joining"].is_null()
            && chain["wait"].is_null()
            && chain["members"].as_array().is_some_and(|members| members.len() == REPLICAS)
    };
    let (nodes, chains) = (list("nodes"), list("chains"));
    nodes.len() == NODES
        && nodes.iter().all(|node| node["health"] == "healthy")
        && chains.len() == SLOTS as usize
        && chains.iter().all(settled)
}
