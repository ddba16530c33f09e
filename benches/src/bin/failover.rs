//! How long writes stand still when a process is killed: kill -9 of head, middle and tail in turn, under load.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use catena_benches::{Cluster, Distribution, Done, Error, Load, Pressure, Verdict, main as program, milliseconds};
use catena_core::{NodeId, Slot, Status};
use clap::Parser;

/// Kills the head, the middle and the tail of chains with kill -9, each so many times, under load and at default settings,
/// and prints for how long no write of the worst slot succeeded. Each node starts again before the next is killed.
#[derive(Parser)]
#[command(after_help = "Example: failover --rounds 50 --data-dir /var/tmp")]
struct Options {
    /// How often each position dies.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    #[command(flatten)]
    pressure: Pressure,
}

const PORT: u16 = 7720;
/// Before each death, so that it hits writes in full flow.
const FLOW: Duration = Duration::from_millis(500);
/// After the last slot has healed: a second gap would count too.
const AFTERWARDS: Duration = Duration::from_secs(1);
const POSITIONS: [&str; 3] = ["head", "middle", "tail"];

fn main() -> ExitCode {
    program("failover", run(Options::parse()))
}

async fn run(options: Options) -> Result<Verdict, Error> {
    let mut cluster = Cluster::start(options.pressure.setup(PORT)?).await?;
    let mut load = options.pressure.load(&cluster, Load::PATIENCE).await?;
    let mut gaps: BTreeMap<usize, Distribution> = BTreeMap::new();
    let mut writes = 0;
    for round in 0..options.rounds {
        for position in 0..POSITIONS.len() {
            // Another slot each time, so that every node dies at every position.
            let slot = Slot((round * 3 + u32::try_from(position).expect("three")) % options.pressure.slots);
            let (gap, done) = kill_one(&mut cluster, &mut load, slot, position).await?;
            gaps.entry(position).or_default().add(gap);
            writes += done;
        }
        eprint!("\rround {} of {}", round + 1, options.rounds);
    }
    eprintln!();
    let (lost, keys) = load.stop().await?;
    print_gaps(&gaps);
    println!("\n{writes} writes acknowledged around the deaths, {keys} keys read back, {} lost", lost.len());
    for lost in &lost {
        println!("  LOST {}: found {}", lost.key, lost.found);
    }
    Ok(if lost.is_empty() { Verdict::Good } else { Verdict::Bad })
}

/// Kills the node at `position` of the slot's chain; how long the worst slot stood still of those that it was at that position
/// of, and how many writes there were.
async fn kill_one(cluster: &mut Cluster, load: &mut Load, slot: Slot, position: usize) -> Result<(Duration, usize), Error> {
    let status = cluster.await_whole().await?;
    tokio::time::sleep(FLOW).await;
    let victim = member(&status, slot, position).clone();
    let hit: Vec<Slot> =
        status.chains.iter().filter(|chain| chain.members[position].node == victim).map(|chain| chain.slot).collect();
    load.forget();
    let before = Instant::now();
    let died = cluster.kill(&victim)?;
    let mut done = Vec::new();
    let mut ill: Vec<Slot> = status.chains.iter().map(|chain| chain.slot).collect();
    // A write that was answered before the death may be told after it.
    while !ill.is_empty() {
        let one = load.next().await;
        if one.sent > died {
            ill.retain(|slot| *slot != one.slot);
        }
        done.push(one);
    }
    tokio::time::sleep(AFTERWARDS).await;
    done.extend(load.take());
    let until = Instant::now();
    cluster.start_again(&victim)?;
    let worst = hit.iter().map(|slot| longest_gap(&done, *slot, before, until)).max();
    Ok((worst.expect("the victim is at that position of a slot"), done.len()))
}

fn member(status: &Status, slot: Slot, position: usize) -> &NodeId {
    let chain = status.chains.iter().find(|chain| chain.slot == slot).expect("a whole cluster has a chain for every slot");
    &chain.members[position].node
}

fn longest_gap(done: &[Done], slot: Slot, from: Instant, until: Instant) -> Duration {
    let mut times: Vec<Instant> = done.iter().filter(|done| done.slot == slot).map(|done| done.at).collect();
    times.extend([from, until]);
    times.sort_unstable();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

fn print_gaps(gaps: &BTreeMap<usize, Distribution>) {
    println!("longest gap between successful writes of the worst slot, after kill -9:\n");
    println!("{:<8} {:>6} {:>12} {:>12} {:>12}", "", "deaths", "median", "p99", "worst");
    for (position, gaps) in gaps {
        let [median, p99, worst] = [500, 990, 1000].map(|per_mille| milliseconds(gaps.quantile(per_mille)));
        println!("{:<8} {:>6} {median:>12} {p99:>12} {worst:>12}", POSITIONS[*position], gaps.len());
    }
}
