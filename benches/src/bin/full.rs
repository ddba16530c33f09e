//! A disk that becomes full, and what deletes give back of it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use catena_benches::{Cluster, Error, Place, Setup, Verdict, main as program};
use catena_core::CallError;
use catena_net::Refusal;
use catena_net::client::{Client, ClientError, Options as Calls};
use clap::Parser;
use tokio::task::JoinSet;

/// Writes objects until puts are refused, since the disk has reached its reserve, deletes all but one of so many, and prints
/// how long it takes until a put is taken again. Meant for a small file system; three nodes share it.
#[derive(Parser)]
#[command(after_help = "Example: mount -t tmpfs -o size=900m tmpfs /mnt/small && full --data-dir /mnt/small --reserve 192MiB")]
struct Options {
    /// Bytes a value.
    #[arg(long, default_value_t = 900)]
    value_bytes: usize,
    /// Of so many objects one stays.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    stays: u64,
    /// What the nodes keep free: all three on the same file system.
    #[arg(long, default_value = "192MiB")]
    reserve: String,
    /// How long to wait for room.
    #[arg(long, default_value_t = 120)]
    patience_s: u64,
    #[command(flatten)]
    place: Place,
}

const PORT: u16 = 7800;
/// Calls under way.
const CALLERS: u64 = 64;

fn main() -> ExitCode {
    program("full", run(Options::parse()))
}

async fn run(options: Options) -> Result<Verdict, Error> {
    let settings = vec![("CATENA_DISK_RESERVE", options.reserve.clone())];
    let cluster = Cluster::start(Setup { settings, ..options.place.setup(PORT, 6)? }).await?;
    let client = Client::connect(cluster.endpoints(), Calls { call_timeout: Duration::from_secs(30) }).await?;
    let value = Bytes::from(vec![b'v'; options.value_bytes]);
    let began = Instant::now();
    let written = each(|caller| fill(client.clone(), caller, value.clone())).await?;
    println!("full after {:.1} s and {} objects", began.elapsed().as_secs_f64(), written.iter().sum::<u64>());
    let began = Instant::now();
    let stays = options.stays;
    let deleted = each(|caller| delete(client.clone(), caller, written[usize::try_from(caller).expect("small")], stays)).await?;
    println!("{} of them deleted in {:.1} s", deleted.iter().sum::<u64>(), began.elapsed().as_secs_f64());
    let began = Instant::now();
    let patience = Duration::from_secs(options.patience_s);
    loop {
        match client.put("again", value.clone(), Vec::new()).await {
            Ok(_) => break println!("a put is taken {:.1} s later", began.elapsed().as_secs_f64()),
            Err(error) if !is_full(&error) => return Err(error.into()),
            Err(_) if began.elapsed() > patience => {
                println!("no put is taken within {} s", options.patience_s);
                return Ok(Verdict::Bad);
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    let again = each(|caller| fill(client.clone(), caller + CALLERS, value.clone())).await?;
    println!("and {} more are, until it is full again", again.iter().sum::<u64>());
    let mut lost = 0;
    for (caller, written) in (0..).zip(&written) {
        for number in (0..*written).step_by(usize::try_from(stays).expect("small")) {
            lost += u64::from(client.get(key(caller, number)).await?.object.is_none());
        }
    }
    println!("{lost} of those that stay lost");
    Ok(if lost == 0 { Verdict::Good } else { Verdict::Bad })
}

fn key(caller: u64, number: u64) -> String {
    format!("full-{caller}-{number}")
}

fn is_full(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused(Refusal::Call(CallError::DiskFull { .. })))
}

/// Runs all callers; what they return, in their order.
async fn each<F>(work: impl Fn(u64) -> F) -> Result<Vec<u64>, Error>
where
    F: Future<Output = Result<u64, ClientError>> + Send + 'static,
{
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let work = work(caller);
        callers.spawn(async move { (caller, work.await) });
    }
    let mut results = callers.join_all().await;
    results.sort_unstable_by_key(|(caller, _)| *caller);
    Ok(results.into_iter().map(|(_, result)| result).collect::<Result<_, _>>()?)
}

/// Writes until there is no room; says how many it has written.
async fn fill(client: Client, caller: u64, value: Bytes) -> Result<u64, ClientError> {
    for number in 0.. {
        match client.put(key(caller, number), value.clone(), Vec::new()).await {
            Ok(_) => {}
            Err(error) if is_full(&error) => return Ok(number),
            Err(error) => return Err(error),
        }
    }
    unreachable!("every disk becomes full")
}

async fn delete(client: Client, caller: u64, written: u64, stays: u64) -> Result<u64, ClientError> {
    let mut deleted = 0;
    for number in (0..written).filter(|number| number % stays != 0) {
        client.delete(key(caller, number), Vec::new()).await?;
        deleted += 1;
    }
    Ok(deleted)
}
