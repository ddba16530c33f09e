//! What callers notice of a rolling restart: every node is stopped in order, and starts again, one after the other, under load.

use std::process::ExitCode;
use std::time::Instant;

use catena_benches::{Cluster, Distribution, Error, Pressure, Verdict, main as program, milliseconds};
use catena_core::NodeId;
use catena_net::client::Options as ClientOptions;
use clap::Parser;

/// Stops every node with SIGTERM, starts it again and waits until all chains are whole, one node after the other, under load
/// and at default settings; prints every error that reaches a caller. Writes have the client's default deadline.
#[derive(Parser)]
#[command(after_help = "Example: rolling --rounds 5 --data-dir /var/tmp")]
struct Options {
    /// How often all nodes are restarted.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    #[command(flatten)]
    pressure: Pressure,
}

const PORT: u16 = 7780;

fn main() -> ExitCode {
    program("rolling", run(Options::parse()))
}

async fn run(options: Options) -> Result<Verdict, Error> {
    let mut cluster = Cluster::start(options.pressure.setup(PORT)?).await?;
    let deadline = ClientOptions::default().call_timeout;
    let mut load = options.pressure.load(&cluster, deadline).await?;
    let nodes: Vec<NodeId> = cluster.await_whole().await?.nodes.into_iter().map(|node| node.stored.record.node).collect();
    let (mut waits, mut stops, mut returns) = <(Distribution, Distribution, Distribution)>::default();
    for round in 0..options.rounds {
        for node in &nodes {
            let stopping = Instant::now();
            cluster.stop(node).await?;
            stops.add(stopping.elapsed());
            let starting = Instant::now();
            cluster.start_again(node)?;
            cluster.await_whole().await?;
            returns.add(starting.elapsed());
        }
        load.take().into_iter().for_each(|done| waits.add(done.at - done.sent));
        eprint!("\rround {} of {}", round + 1, options.rounds);
    }
    eprintln!();
    let failures = load.failures();
    let (lost, keys) = load.stop().await?;
    println!("{:<34} {:>8} {:>10} {:>10} {:>10}", "", "count", "median", "p99", "worst");
    for (what, times) in
        [("writes", &waits), ("from SIGTERM to a node's end", &stops), ("from its start to whole chains", &returns)]
    {
        let [median, p99, worst] = [500, 990, 1000].map(|per_mille| milliseconds(times.quantile(per_mille)));
        println!("{what:<34} {:>8} {median:>10} {p99:>10} {worst:>10}", times.len());
    }
    println!("\n{} errors reached a caller, {keys} keys read back, {} lost", failures.len(), lost.len());
    for error in &failures {
        println!("  ERROR {error}");
    }
    for lost in &lost {
        println!("  LOST {}: found {}", lost.key, lost.found);
    }
    Ok(if lost.is_empty() && failures.is_empty() { Verdict::Good } else { Verdict::Bad })
}
