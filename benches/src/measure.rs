//! The rounds: every measurement in turn, over and over, so that a slow spell of the machine hits all of them.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;

use crate::cluster::Cluster;
use crate::echo::{self, Floor};
use crate::etcd::{self, Etcd};
use crate::unary::Unary;
use crate::{Error, Options, io};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    EmptyCall,
    BidiEcho,
    Sync,
    ThreeSyncs,
    Get1,
    Get3,
    /// By a call of its own, as clients of other make do it.
    UnaryGet3,
    Put1,
    Put3,
    EtcdPut,
}

/// How many ask at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callers {
    One,
    Many,
}

/// The measurements of a round, in their order.
const CASES: [(What, Callers); 17] = [
    (What::EmptyCall, Callers::One),
    (What::BidiEcho, Callers::One),
    (What::Sync, Callers::One),
    (What::ThreeSyncs, Callers::One),
    (What::Get1, Callers::One),
    (What::Get3, Callers::One),
    (What::UnaryGet3, Callers::One),
    (What::Put1, Callers::One),
    (What::Put3, Callers::One),
    (What::EtcdPut, Callers::One),
    (What::EmptyCall, Callers::Many),
    (What::Get1, Callers::Many),
    (What::Get3, Callers::Many),
    (What::UnaryGet3, Callers::Many),
    (What::Put1, Callers::Many),
    (What::Put3, Callers::Many),
    (What::EtcdPut, Callers::Many),
];

/// One measurement of one round.
pub(crate) struct Sample {
    /// Nanoseconds an operation.
    pub(crate) latency: Histogram<u64>,
    /// Operations a second, over all callers.
    pub(crate) rate: f64,
}

/// By round, then as `cases`.
pub(crate) struct Rounds {
    pub(crate) clients: u32,
    pub(crate) value_bytes: usize,
    pub(crate) cases: Vec<(What, Callers)>,
    pub(crate) samples: Vec<Vec<Sample>>,
}

/// Where the processes listen: far from the default ports, so that a running `catena dev` is not disturbed.
const ECHO_PORT: u16 = 7690;
const ONE_PORT: u16 = 7700;
const THREE_PORT: u16 = 7710;
const ETCD_PORT: u16 = 7670;

struct Subject {
    floor: Floor,
    one: Cluster,
    three: Cluster,
    etcd: Option<Etcd>,
    files: Vec<File>,
    value: Bytes,
}

/// Runs everything.
pub(crate) async fn run(options: &Options) -> Result<Rounds, Error> {
    let beside = std::env::current_exe().map_err(io("the path of this binary"))?.with_file_name("catena");
    let catena = options.catena.clone().unwrap_or(beside);
    let dir = tempfile::tempdir_in(&options.data_dir).map_err(io(format!("a directory in {}", options.data_dir.display())))?;
    let mut subject = Subject {
        floor: Floor::start(ECHO_PORT).await?,
        one: Cluster::start(&catena, &options.data_dir, 1, ONE_PORT).await?,
        three: Cluster::start(&catena, &options.data_dir, 3, THREE_PORT).await?,
        etcd: match &options.etcd {
            Some(etcd) => Some(Etcd::start(etcd, &options.data_dir, ETCD_PORT).await?),
            None => None,
        },
        files: (0..3).map(|i| synced_file(dir.path(), i)).collect::<Result<_, _>>()?,
        value: Bytes::from(vec![b'v'; options.value_bytes]),
    };
    let cases: Vec<_> = CASES.into_iter().filter(|(what, _)| *what != What::EtcdPut || subject.etcd.is_some()).collect();
    let mut samples = Vec::new();
    for round in 0..=options.rounds {
        let mut row = Vec::new();
        for (what, callers) in &cases {
            row.push(subject.measure(*what, *callers, options).await?);
        }
        if round > 0 {
            samples.push(row); // the first only warms up
        }
        eprint!("\rround {round} of {}", options.rounds);
    }
    eprintln!();
    Ok(Rounds { clients: options.clients, value_bytes: options.value_bytes, cases, samples })
}

fn synced_file(dir: &Path, number: u32) -> Result<File, Error> {
    let path = dir.join(format!("synced-{number}"));
    File::create(&path).map_err(io(path.display().to_string()))
}

impl Subject {
    async fn measure(&mut self, what: What, callers: Callers, options: &Options) -> Result<Sample, Error> {
        let (ops, callers) = match callers {
            Callers::One => (options.ops, 1),
            Callers::Many => (options.ops, options.clients),
        };
        let value = self.value.clone();
        match what {
            What::EmptyCall => self.empty_calls(ops, callers).await,
            What::BidiEcho => {
                let mut clock = Clock::start();
                for _ in 0..ops {
                    clock.time(self.floor.bidi(value.clone())).await?;
                }
                Ok(clock.stop())
            }
            What::Sync => self.syncs(ops, 1, &value),
            What::ThreeSyncs => self.syncs(ops, 3, &value),
            What::Get1 => gets(&self.one, ops, callers).await,
            What::Get3 => gets(&self.three, ops, callers).await,
            What::UnaryGet3 => unary_gets(&self.three, ops, callers).await,
            What::Put1 => puts(&self.one, ops, callers, &value).await,
            What::Put3 => puts(&self.three, ops, callers, &value).await,
            What::EtcdPut => etcd_puts(self.etcd.as_ref().expect("it is among the cases"), ops, callers, &value).await,
        }
    }

    async fn empty_calls(&self, ops: u32, callers: u32) -> Result<Sample, Error> {
        let value = self.value.clone();
        at_once(callers, |_| {
            let (mut caller, value) = (self.floor.caller(), value.clone());
            async move {
                let mut clock = Clock::start();
                for _ in 0..ops {
                    clock.time(echo::unary(&mut caller, value.clone())).await?;
                }
                Ok(clock.stop())
            }
        })
        .await
    }

    /// Appends a value to `files` files at once and syncs each: until the slowest is done.
    fn syncs(&self, ops: u32, files: usize, value: &Bytes) -> Result<Sample, Error> {
        let barrier = Arc::new(Barrier::new(files));
        let threads: Vec<_> = self.files[..files]
            .iter()
            .map(|file| {
                let (mut file, value, barrier) = (file.try_clone().map_err(io("a file"))?, value.clone(), Arc::clone(&barrier));
                Ok(std::thread::spawn(move || -> std::io::Result<Vec<(Instant, Instant)>> {
                    (0..ops)
                        .map(|_| {
                            barrier.wait();
                            let started = Instant::now();
                            file.write_all(&value)?;
                            file.sync_data()?;
                            Ok((started, Instant::now()))
                        })
                        .collect()
                }))
            })
            .collect::<Result<_, Error>>()?;
        let started = Instant::now();
        let times: Vec<Vec<(Instant, Instant)>> = threads
            .into_iter()
            .map(|thread| thread.join().expect("a thread that only writes does not panic").map_err(io("fdatasync")))
            .collect::<Result<_, Error>>()?;
        let mut clock = Clock { started, latency: histogram() };
        for op in 0..ops as usize {
            let first = times.iter().map(|thread| thread[op].0).min();
            let last = times.iter().map(|thread| thread[op].1).max();
            if let (Some(first), Some(last)) = (first, last) {
                clock.record(last - first);
            }
        }
        Ok(clock.stop())
    }
}

async fn puts(cluster: &Cluster, ops: u32, callers: u32, value: &Bytes) -> Result<Sample, Error> {
    at_once(callers, |caller| {
        let (client, value) = (cluster.client.clone(), value.clone());
        async move {
            let mut clock = Clock::start();
            for op in 0..ops {
                clock.time(client.put(key(caller, op), value.clone(), Vec::new())).await?;
            }
            Ok(clock.stop())
        }
    })
    .await
}

async fn etcd_puts(etcd: &Etcd, ops: u32, callers: u32, value: &Bytes) -> Result<Sample, Error> {
    at_once(callers, |caller| {
        let (mut client, value) = (etcd.caller(caller), value.clone());
        async move {
            let mut clock = Clock::start();
            for op in 0..ops {
                clock.time(etcd::put(&mut client, key(caller, op), value.clone())).await?;
            }
            Ok(clock.stop())
        }
    })
    .await
}

async fn gets(cluster: &Cluster, ops: u32, callers: u32) -> Result<Sample, Error> {
    at_once(callers, |caller| {
        let client = cluster.client.clone();
        async move {
            let mut clock = Clock::start();
            for op in 0..ops {
                clock.time(client.get(key(caller, op))).await?;
            }
            Ok(clock.stop())
        }
    })
    .await
}

async fn unary_gets(cluster: &Cluster, ops: u32, callers: u32) -> Result<Sample, Error> {
    let unary = Unary::connect(cluster.client.route()).await?;
    at_once(callers, |caller| {
        let unary = unary.clone();
        async move {
            let mut clock = Clock::start();
            for op in 0..ops {
                clock.time(unary.get(key(caller, op))).await?;
            }
            Ok(clock.stop())
        }
    })
    .await
}

/// A thousand keys a caller, spread over all slots.
fn key(caller: u32, op: u32) -> Bytes {
    Bytes::from(format!("key-{caller}-{}", op % 1000))
}

/// Runs `callers` tasks at once and adds up what they measured.
async fn at_once<F>(callers: u32, work: impl Fn(u32) -> F) -> Result<Sample, Error>
where
    F: Future<Output = Result<Sample, Error>> + Send + 'static,
{
    let started = Instant::now();
    let tasks: Vec<_> = (0..callers).map(|caller| tokio::spawn(work(caller))).collect();
    let mut latency = histogram();
    for task in tasks {
        let sample = task.await.expect("a caller that only calls does not panic")?;
        latency.add(&sample.latency).expect("all histograms have the same bounds");
    }
    let rate = latency.len() as f64 / started.elapsed().as_secs_f64();
    Ok(Sample { latency, rate })
}

/// Collects latencies.
struct Clock {
    started: Instant,
    latency: Histogram<u64>,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(100, 60_000_000_000, 3).expect("the bounds are legal")
}

impl Clock {
    fn start() -> Self {
        Self { started: Instant::now(), latency: histogram() }
    }

    async fn time<T, E>(&mut self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let started = Instant::now();
        let result = call.await?;
        self.record(started.elapsed());
        Ok(result)
    }

    fn record(&mut self, latency: Duration) {
        self.latency.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    fn stop(self) -> Sample {
        Sample { rate: self.latency.len() as f64 / self.started.elapsed().as_secs_f64(), latency: self.latency }
    }
}
