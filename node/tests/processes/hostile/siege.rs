//! A cluster under siege: a client that behaves goes on all the time, and nothing may come of what the others do.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use catena_net::{Client, Options};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use crate::support::{Dev, PATIENT, alive, block_on, eventually};

/// What the good client gives every call: what the Rust client gives it by default.
const DEADLINE: Duration = Duration::from_secs(10);

/// A development cluster of a coordinator and three nodes, and somebody who needs it.
pub(crate) struct Siege {
    _directory: TempDir,
    pub(crate) cluster: Dev,
    good: Good,
}

impl Siege {
    pub(crate) fn begin() -> Self {
        Self::of("")
    }

    /// Of a cluster that holds no node for dead because other tests keep the machine busy.
    pub(crate) fn of_the_patient() -> Self {
        Self::of(PATIENT)
    }

    fn of(settings: &str) -> Self {
        many_descriptors();
        let directory = TempDir::new().expect("a directory");
        let cluster = Dev::configured(directory.path(), settings, &["--slots", "6"]);
        let good = Good::begin(cluster.endpoint());
        good.await_more(10);
        Self { _directory: directory, cluster, good }
    }

    pub(crate) fn coordinator(&self) -> SocketAddr {
        self.port(0)
    }

    /// The first node: head of some chains, tail of others.
    pub(crate) fn node(&self) -> SocketAddr {
        self.port(1)
    }

    /// The two kinds of port that there are.
    pub(crate) fn ports(&self) -> [SocketAddr; 2] {
        [self.coordinator(), self.node()]
    }

    fn port(&self, offset: u16) -> SocketAddr {
        (std::net::Ipv4Addr::LOCALHOST, self.cluster.port + offset).into()
    }

    /// Demands that the service goes on: the good client is served, now, by the processes that were there from the start, none
    /// of which has panicked or ever held more than `peak_mib`.
    pub(crate) fn holds(&self, what: &str, peak_mib: u64) {
        self.good.await_more(10);
        for line in self.cluster.process.stderr.try_iter() {
            assert!(!line.contains("panicked"), "{what}: {line}");
            println!("{what}: {line}");
        }
        for row in &self.cluster.rows {
            assert!(alive(row.pid), "{what}: {row:?} has ended");
            let peak = peak_mib_of(row.pid);
            println!("{what}: {} has held {peak} MiB", row.who);
            assert!(peak <= peak_mib, "{what}: {} has held {peak} MiB", row.who);
        }
    }

    /// The last look, and the good client's word: how long its slowest call took.
    pub(crate) fn end(self, what: &str, peak_mib: u64) -> Duration {
        self.holds(what, peak_mib);
        let (calls, slowest) = self.good.end();
        println!("{what}: {calls} calls of the good client, the slowest took {slowest:?}");
        slowest
    }
}

/// What a process has held in memory at most.
fn peak_mib_of(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts it");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") >> 10
}

/// Lets this process, and those that it starts, have as many open files as the system lets them.
fn many_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the maximum anybody may go");
}

/// A client that writes and reads all the time, in all slots; every call must succeed within its deadline.
struct Good {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    thread: Option<JoinHandle<Duration>>,
}

impl Good {
    fn begin(endpoint: String) -> Self {
        let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (told, count) = (stop.clone(), calls.clone());
        let thread = Some(thread::spawn(move || block_on(put_and_get(&endpoint, &told, &count))));
        Self { stop, calls, thread }
    }

    /// Waits for so many more calls that have succeeded.
    fn await_more(&self, more: u64) {
        let enough = self.calls.load(Ordering::Relaxed) + more;
        let ended = || self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        eventually("calls of the good client", || {
            assert!(!ended(), "a call of the good client has failed");
            (self.calls.load(Ordering::Relaxed) >= enough).then_some(())
        });
    }

    /// How many calls there were, and how long the slowest took.
    fn end(mut self) -> (u64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let slowest = self.thread.take().expect("ended once").join().expect("every call succeeds");
        (self.calls.load(Ordering::Relaxed), slowest)
    }
}

impl Drop for Good {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

async fn put_and_get(endpoint: &str, stop: &AtomicBool, calls: &AtomicU64) -> Duration {
    let options = Options { call_timeout: DEADLINE };
    let client = Client::connect(vec![endpoint.to_owned()], options).await.expect("the cluster is ready");
    let mut slowest = Duration::ZERO;
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (key, value) = (format!("good-{}", number % 64), number.to_string());
        let began = Instant::now();
        client.put(key.clone(), value.clone(), vec![]).await.expect("a put succeeds");
        let written = began.elapsed();
        let found = client.get(key).await.expect("a get succeeds").object.expect("it was put");
        assert_eq!(found.value, value.as_bytes(), "what was put is there");
        slowest = slowest.max(written).max(began.elapsed().saturating_sub(written));
        calls.fetch_add(2, Ordering::Relaxed);
    }
    slowest
}
