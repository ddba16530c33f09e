//! What a cluster costs that nobody asks for anything: memory and processor time of each process, minute by minute.

#![expect(clippy::cast_precision_loss, reason = "figures are for people")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use catena_benches::{Cluster, Error, Place, Usage, Verdict, main as program};
use catena_core::{ChainVersion, Slot, Status};
use clap::Parser;

/// Starts a cluster, leaves it alone, and prints each minute what every process has of memory and used of the processor. At the
/// end: how fast memory grows, how the last minute's work compares with the first's, and whether any chain has changed.
#[derive(Parser)]
#[command(after_help = "Example: idle --minutes 15 --data-dir /var/tmp")]
struct Options {
    /// How long it is left alone, after a minute in which it settles.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(2..))]
    minutes: u32,
    /// Chains, of three members each, over three nodes.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    slots: u32,
    #[command(flatten)]
    place: Place,
}

const PORT: u16 = 7760;
const MINUTE: Duration = Duration::from_mins(1);

fn main() -> ExitCode {
    program("idle", run(Options::parse()))
}

async fn run(options: Options) -> Result<Verdict, Error> {
    let cluster = Cluster::start(options.place.setup(PORT, options.slots)?).await?;
    let versions = versions(&cluster.await_whole().await?);
    tokio::time::sleep(MINUTE).await;
    let mut histories: BTreeMap<String, Vec<Usage>> = BTreeMap::new();
    println!("{:<6} {:<12} {:>12} {:>16}", "minute", "process", "memory KiB", "processor ms");
    for minute in 0..=options.minutes {
        for (who, usage) in cluster.usages()? {
            let history = histories.entry(who.clone()).or_default();
            if let Some(before) = history.last() {
                let used = milliseconds(usage.processor.saturating_sub(before.processor));
                println!("{minute:<6} {who:<12} {:>12} {used:>16.1}", usage.resident_kib);
            }
            history.push(usage);
        }
        if minute < options.minutes {
            tokio::time::sleep(MINUTE).await;
        }
    }
    println!("\n{:<12} {:>16} {:>34}", "process", "memory MiB/h", "processor, last minute / first");
    for (who, history) in &histories {
        println!("{who:<12} {:>16.2} {:>34.2}", slope(history), minute(history, history.len() - 1) / minute(history, 1));
    }
    let unchanged = versions == self::versions(&cluster.await_whole().await?);
    println!("\n{}", if unchanged { "no chain has changed" } else { "CHAINS HAVE CHANGED" });
    Ok(if unchanged { Verdict::Good } else { Verdict::Bad })
}

fn versions(status: &Status) -> Vec<(Slot, ChainVersion)> {
    status.chains.iter().map(|chain| (chain.slot, chain.version)).collect()
}

/// Milliseconds of processor time in the minute that ends with this sample.
fn minute(history: &[Usage], at: usize) -> f64 {
    milliseconds(history[at].processor.saturating_sub(history[at - 1].processor))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Growth of memory in MiB an hour: the least squares' line through all samples.
fn slope(history: &[Usage]) -> f64 {
    let points =
        || history.iter().zip(0_u32..).map(|(usage, minute)| (f64::from(minute) / 60.0, usage.resident_kib as f64 / 1024.0));
    let count = points().map(|_| 1.0).sum::<f64>();
    let (hour, memory) = points().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
    let covariance: f64 = points().map(|point| (point.0 - hour) * (point.1 - memory)).sum();
    let variance: f64 = points().map(|point| (point.0 - hour).powi(2)).sum();
    covariance / variance
}
