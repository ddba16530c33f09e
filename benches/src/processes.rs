//! The cluster under test: a coordinator and nodes, each a process that can be killed and started again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use catena_core::{Health, NodeId, Status};
use catena_net::admin::AdminClient;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::Error;

/// Reached only by a cluster that does not do what it should.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// What a cluster is.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The binary under test.
    pub catena: PathBuf,
    /// Where its data lies.
    pub parent: PathBuf,
    /// The coordinator's port on loopback; nodes take the ones after it.
    pub port: u16,
    /// Nodes at the start.
    pub nodes: u16,
    /// Members of a chain.
    pub replicas: u32,
    /// Chains.
    pub slots: u32,
    /// What is not as it is by default, in every process: a setting's variable and its value.
    pub settings: Vec<(&'static str, String)>,
}

/// A running cluster; killed when dropped.
#[derive(Debug)]
pub struct Cluster {
    setup: Setup,
    directory: TempDir,
    coordinator: Process,
    nodes: BTreeMap<NodeId, Process>,
    /// Looks at it.
    pub admin: AdminClient,
}

#[derive(Debug)]
struct Process(Child);

/// While there is one, its cluster is slow. To be dropped before that.
#[derive(Debug)]
pub struct Throttle {
    _end: mpsc::Sender<()>,
    _thread: JoinHandle<()>,
}

/// What a process has and has used.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Memory, in KiB.
    pub resident_kib: u64,
    /// Processor time since its start.
    pub processor: Duration,
}

impl Process {
    fn signal(&self, signal: Signal) -> std::io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.0), signal)?)
    }

    /// A line of the kernel's account of it, in KiB.
    fn memory(&self, line: &str) -> Result<u64, Error> {
        let path = format!("/proc/{}/status", self.0.id());
        let status = fs::read_to_string(&path).map_err(Error::io(&path))?;
        let value = status.lines().find_map(|text| text.strip_prefix(line)?.split_whitespace().next()?.parse().ok());
        value.ok_or_else(|| Error::InVain(format!("{line} in {path}")))
    }

    /// Of all its threads: the kernel's ticks of 10 ms are too coarse for a process that does next to nothing.
    fn processor(&self) -> Result<Duration, Error> {
        let path = format!("/proc/{}/task", self.0.id());
        let mut nanoseconds = 0;
        for thread in fs::read_dir(&path).map_err(Error::io(&path))? {
            let account = thread.map_err(Error::io(&path))?.path().join("schedstat");
            // A thread may have ended since.
            let account = fs::read_to_string(account).unwrap_or_default();
            nanoseconds += account.split_whitespace().next().and_then(|run| run.parse().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The binary under test: the one given, or the `catena` beside this program.
///
/// # Errors
/// When there is none.
pub(crate) fn binary(given: Option<&Path>) -> Result<PathBuf, Error> {
    let path = match given {
        Some(given) => given.to_owned(),
        None => std::env::current_exe().map_err(Error::io("the path of this program"))?.with_file_name("catena"),
    };
    if path.exists() { Ok(path) } else { Err(Error::NoBinary(path)) }
}

impl Cluster {
    /// Starts one at the default settings, but for those given and the limits on how often nodes may die, and waits until
    /// every chain is whole.
    ///
    /// # Errors
    /// When a process does not start, or the chains do not come about.
    pub async fn start(setup: Setup) -> Result<Self, Error> {
        let parent = setup.parent.display();
        let directory = tempfile::Builder::new()
            .prefix("catena-bench-")
            .tempdir_in(&setup.parent)
            .map_err(Error::io(format!("a directory in {parent}")))?;
        let listen = format!("127.0.0.1:{}", setup.port);
        let [founders, replicas, slots] = [u32::from(setup.nodes), setup.replicas, setup.slots].map(|n| n.to_string());
        let mut command = Command::new(&setup.catena);
        command.args(["coordinator", "--listen", &listen, "--founders", &founders, "--replicas", &replicas, "--slots", &slots]);
        // Nodes die here more often than any cluster can bear unattended; times are left as they are.
        command.args(["--flap-threshold", "0", "--restraint-percent", "100"]);
        command.envs(setup.settings.iter().cloned());
        let coordinator = spawn(&mut command, &directory.path().join("coordinator"))?;
        let admin = AdminClient::new(vec![listen], None);
        let nodes = setup.nodes;
        let mut cluster = Self { setup, directory, coordinator, nodes: BTreeMap::new(), admin };
        for number in 1..=nodes {
            cluster.start_node(number)?;
        }
        cluster.await_whole().await?;
        Ok(cluster)
    }

    /// Where clients begin.
    pub fn endpoints(&self) -> Vec<String> {
        vec![format!("127.0.0.1:{}", self.setup.port)]
    }

    /// Starts the node of this number: `n1` is the first.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_node(&mut self, number: u16) -> Result<(), Error> {
        let id = format!("n{number}");
        let listen = format!("127.0.0.1:{}", self.setup.port + number);
        let mut command = Command::new(&self.setup.catena);
        command.args(["node", "--id", &id, "--listen", &listen, "--coordinator", &self.endpoints()[0]]);
        command.envs(self.setup.settings.iter().cloned());
        let process = spawn(&mut command, &self.directory.path().join(&id))?;
        self.nodes.insert(NodeId::new(&id).expect("a letter and a number"), process);
        Ok(())
    }

    /// Starts a node that was killed, on its old data.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&mut self, node: &NodeId) -> Result<(), Error> {
        let number = node.as_str().strip_prefix('n').and_then(|number| number.parse().ok());
        self.start_node(number.ok_or_else(|| Error::Stranger(node.clone()))?)
    }

    /// `kill -9`. The moment at which it was gone.
    ///
    /// # Errors
    /// When it is not one of this cluster's, or cannot be killed.
    pub fn kill(&mut self, node: &NodeId) -> Result<Instant, Error> {
        let mut process = self.nodes.remove(node).ok_or_else(|| Error::Stranger(node.clone()))?;
        process.0.kill().map_err(Error::io(format!("killing {node}")))?;
        process.0.wait().map_err(Error::io(format!("waiting for the end of {node}")))?;
        Ok(Instant::now())
    }

    /// SIGTERM, and its end.
    ///
    /// # Errors
    /// When it is not one of this cluster's, or ends with an error.
    pub async fn stop(&mut self, node: &NodeId) -> Result<(), Error> {
        let mut process = self.nodes.remove(node).ok_or_else(|| Error::Stranger(node.clone()))?;
        process.signal(Signal::TERM).map_err(Error::io(format!("stopping {node}")))?;
        // Not `wait`: callers that are measured live on this thread too.
        let status = loop {
            match process.0.try_wait().map_err(Error::io(format!("waiting for the end of {node}")))? {
                Some(status) => break status,
                None => tokio::time::sleep(PAUSE).await,
            }
        };
        if status.success() { Ok(()) } else { Err(Error::InVain(format!("an orderly end of {node}; {status}"))) }
    }

    /// SIGSTOP: it stands still, and its connections stay.
    ///
    /// # Errors
    /// When it is not one of this cluster's.
    pub fn pause(&self, node: &NodeId) -> Result<(), Error> {
        let process = self.nodes.get(node).ok_or_else(|| Error::Stranger(node.clone()))?;
        process.signal(Signal::STOP).map_err(Error::io(format!("pausing {node}")))
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it is not one of this cluster's.
    pub fn resume(&self, node: &NodeId) -> Result<(), Error> {
        let process = self.nodes.get(node).ok_or_else(|| Error::Stranger(node.clone()))?;
        process.signal(Signal::CONT).map_err(Error::io(format!("resuming {node}")))
    }

    /// Lets all its processes run for so much of the time, and stand still for the rest, in turns of 20 ms: a cluster whose
    /// machines are slow, and whose callers are not.
    pub fn throttle(&self, percent: u32) -> Throttle {
        const TURN: Duration = Duration::from_millis(20);
        let pids: Vec<Pid> = self.processes().map(|(_, process)| Pid::from_child(&process.0)).collect();
        let (runs, stands) = (TURN * percent / 100, TURN * 100_u32.saturating_sub(percent) / 100);
        let (end, ended) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let signal = |signal| {
                for pid in &pids {
                    // One that has ended needs none.
                    let _ = kill_process(*pid, signal);
                }
            };
            while ended.recv_timeout(runs) == Err(RecvTimeoutError::Timeout) {
                if !stands.is_zero() {
                    signal(Signal::STOP);
                    std::thread::sleep(stands);
                    signal(Signal::CONT);
                }
            }
        });
        Throttle { _end: end, _thread: thread }
    }

    /// Waits for a status that fits.
    ///
    /// # Errors
    /// When there is none for two minutes.
    pub async fn await_status(&self, what: &str, fits: impl Fn(&Status) -> bool) -> Result<Status, Error> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = String::new();
        while Instant::now() < deadline {
            match self.admin.status().await {
                Ok(status) if fits(&status) => return Ok(status),
                Ok(status) => last = format!("{status:?}"),
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(Error::InVain(format!("{what}; last: {last}")))
    }

    /// Waits until every chain has all its members, and all of those are well.
    ///
    /// # Errors
    /// When that does not come about.
    pub async fn await_whole(&self) -> Result<Status, Error> {
        let (replicas, slots) = (self.setup.replicas as usize, self.setup.slots as usize);
        let whole = |status: &Status| {
            let chains = &status.chains;
            let well = |node: &NodeId| {
                status.nodes.iter().any(|status| status.stored.record.node == *node && status.health == Health::Healthy)
            };
            chains.len() == slots
                && status.waits.is_empty()
                && chains.iter().all(|chain| chain.members.len() == replicas && chain.tail_ready && chain.joining.is_none())
                && chains.iter().flat_map(|chain| &chain.members).all(|member| well(&member.node))
        };
        self.await_status("a whole cluster", whole).await
    }

    /// Forgets the peaks of memory so far.
    pub fn reset_peaks(&self) {
        for (_, process) in self.processes() {
            // Where the kernel does not let us, peaks are those since the start.
            let _ = fs::write(format!("/proc/{}/clear_refs", process.0.id()), "5");
        }
    }

    /// By process, the most memory that it has had, in KiB.
    ///
    /// # Errors
    /// When a process is gone.
    pub fn peaks(&self) -> Result<Vec<(String, u64)>, Error> {
        self.processes().map(|(who, process)| Ok((who, process.memory("VmHWM:")?))).collect()
    }

    /// By process, what it has now and what it has used up to now.
    ///
    /// # Errors
    /// When a process is gone.
    pub fn usages(&self) -> Result<Vec<(String, Usage)>, Error> {
        self.processes()
            .map(|(who, process)| Ok((who, Usage { resident_kib: process.memory("VmRSS:")?, processor: process.processor()? })))
            .collect()
    }

    fn processes(&self) -> impl Iterator<Item = (String, &Process)> {
        let nodes = self.nodes.iter().map(|(node, process)| (node.to_string(), process));
        std::iter::once(("coordinator".to_owned(), &self.coordinator)).chain(nodes)
    }
}

fn spawn(command: &mut Command, directory: &Path) -> Result<Process, Error> {
    let program = command.get_program().display().to_string();
    let log = std::env::var("CATENA_LOG").unwrap_or_else(|_| "off".to_owned());
    command.arg("--data-dir").arg(directory).env("CATENA_LOG", log).stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().map(Process).map_err(Error::io(format!("starting {program}")))
}
