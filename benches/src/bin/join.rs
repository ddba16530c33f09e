//! What it costs to fill a replica: a slot of some size, a new node, and writes that go on.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use catena_benches::{Cluster, Distribution, Done, Error, Load, Place, Verdict, Writers, main as program, milliseconds};
use catena_core::NodeId;
use catena_net::client::{Client, Options as Calls};
use clap::Parser;
use tokio::task::JoinSet;

/// Fills the only slot of a cluster, kills one of its three members, starts a new, empty node under load, and prints what
/// writes noticed of its being filled, how long that took, and the most memory that any process had meanwhile.
#[derive(Parser)]
#[command(after_help = "Example: join --mib 1024 --data-dir /var/tmp")]
struct Options {
    /// What the slot holds.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    mib: u32,
    /// Bytes a value of those that fill it.
    #[arg(long, default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    fill_bytes: u32,
    /// Writers during the join.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    writers: u32,
    /// Bytes a value of those.
    #[arg(long, default_value_t = 256)]
    value_bytes: usize,
    #[command(flatten)]
    place: Place,
}

const PORT: u16 = 7740;
/// Writes in flight while the slot is filled.
const FILLERS: u32 = 16;
/// What is measured before the join, to compare with.
const BEFORE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    program("join", run(Options::parse()))
}

async fn run(options: Options) -> Result<Verdict, Error> {
    let mut cluster = Cluster::start(options.place.setup(PORT, 1)?).await?;
    let began = Instant::now();
    fill(&cluster, &options).await?;
    println!("filled with {} MiB in {:.1} s", options.mib, began.elapsed().as_secs_f64());
    let gone = NodeId::new("n3").expect("a letter and a number");
    cluster.kill(&gone)?;
    cluster.await_status("a chain of two", |status| status.chains[0].members.len() == 2).await?;
    let (writers, value_bytes) = (options.writers, options.value_bytes);
    let mut load = Load::start(cluster.endpoints(), Writers { writers, value_bytes, ..Writers::default() }).await?;
    load.forget();
    let began = Instant::now();
    tokio::time::sleep(BEFORE).await;
    let (before, joining) = (load.take(), Instant::now());
    cluster.reset_peaks();
    cluster.start_node(4)?;
    cluster.await_whole().await?;
    let (during, joined) = (load.take(), Instant::now());
    let peaks = cluster.peaks()?;
    let (lost, keys) = load.stop().await?;
    println!("joined in {:.1} s\n", (joined - joining).as_secs_f64());
    println!("{:<8} {:>8} {:>12} {:>12} {:>12} {:>14}", "writes", "count", "median", "p99", "worst", "longest gap");
    line("before", &before, began, joining);
    line("during", &during, joining, joined);
    println!("\npeak memory from the join on:");
    for (who, kib) in peaks {
        println!("  {who:<12} {:>6} MiB", kib.div_ceil(1024));
    }
    println!("\n{keys} keys read back, {} lost", lost.len());
    for lost in &lost {
        println!("  LOST {}: found {}", lost.key, lost.found);
    }
    Ok(if lost.is_empty() { Verdict::Good } else { Verdict::Bad })
}

async fn fill(cluster: &Cluster, options: &Options) -> Result<(), Error> {
    let calls = Calls { call_timeout: Duration::from_secs(30) };
    let client = Client::connect(cluster.endpoints(), calls).await?;
    let values = (u64::from(options.mib) << 20).div_ceil(u64::from(options.fill_bytes));
    let value = Bytes::from(vec![b'f'; options.fill_bytes as usize]);
    let mut fillers = JoinSet::new();
    for filler in 0..u64::from(FILLERS) {
        let (client, value) = (client.clone(), value.clone());
        fillers.spawn(async move {
            for number in (filler..values).step_by(FILLERS as usize) {
                client.put(format!("fill-{number:09}"), value.clone(), Vec::new()).await?;
            }
            Ok::<_, Error>(())
        });
    }
    while let Some(filler) = fillers.join_next().await {
        filler.expect("a filler does not panic")?;
    }
    Ok(())
}

fn line(when: &str, done: &[Done], from: Instant, until: Instant) {
    let latencies: Distribution = done.iter().map(|done| done.at - done.sent).collect();
    let [median, p99, worst] = [500, 990, 1000].map(|per_mille| milliseconds(latencies.quantile(per_mille)));
    let mut times: Vec<Instant> = done.iter().map(|done| done.at).collect();
    times.extend([from, until]);
    times.sort_unstable();
    let gap = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    println!("{when:<8} {:>8} {median:>12} {p99:>12} {worst:>12} {:>14}", done.len(), milliseconds(gap));
}
