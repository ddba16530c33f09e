//! What a cluster does with more than it can take: values for a tail that stands still, and ten times the calls it can answer.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use catena_benches::{Cluster, Error, Load, Place, Setup, Verdict, Writers, main as program};
use catena_core::{CallError, NodeId, Slot};
use catena_net::Refusal;
use catena_net::client::{Client, ClientError, Options as Calls};
use clap::Parser;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::task::JoinSet;

/// Prints what memory every process takes, and what callers are told, while 256 clients write values of 1 MiB to chains whose
/// tail's process stands still, and how soon they are served again; then how many writes a second a slow cluster acknowledges
/// within a second, under more and more callers and calls, and under ten times as many calls as it has acknowledged of any.
/// Reads back all that was acknowledged.
#[derive(Parser)]
#[command(after_help = "Example: overload --rounds 5 --data-dir /var/tmp")]
struct Options {
    /// Clients that write to chains whose tail stands still.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// For how long it does; 0: not at all.
    #[arg(long, default_value_t = 60)]
    pause_s: u64,
    /// What each of their writes may take. Those in front of a new one may have 256 MiB.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    deadline_s: u64,
    /// Rounds of peak and overload; 0: none.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// For how much of the time the processes of the slow cluster run, in percent: callers must be able to make ten times the
    /// calls that it can take.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs_percent: u32,
    /// Clients of the slow cluster, and callers that call one after the other through them; then ten times as many callers.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    callers: u32,
    /// Of each measurement in a round.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    #[command(flatten)]
    place: Place,
}

const PORT: u16 = 7760;
/// A third of them has the same tail: enough for the limit of a node to be reached before those of its slots.
const SLOTS: u32 = 24;
const MIB: usize = 1 << 20;
/// Of a node, as it is by default: 25 MiB, 200 of its store's, 256 of writes, twice 80 on their way to its neighbours; and
/// beside those the values that are just being read from so many clients.
const NODE_MIB: u64 = 25 + 200 + 256 + 2 * 80;
const COORDINATOR_MIB: u64 = 64;
const TIMES: u32 = 10;
/// Few callers, many, more calls than those make, and far too many.
const CASES: usize = 4;
/// Of the calls that are too many.
const DEADLINE: Duration = Duration::from_secs(1);
/// What must be left of the peak, in percent.
const GOODPUT: f64 = 90.0;
/// Calls that wait for an answer, of those that are offered at a rate.
const UNANSWERED: usize = 50_000;

#[expect(clippy::cast_precision_loss, reason = "a count of calls")]
fn a_second(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds
}

fn main() -> ExitCode {
    program("overload", run(Options::parse()))
}

async fn run(options: Options) -> Result<Verdict, Error> {
    let bounded = options.pause_s == 0 || tail_stands_still(&options).await?;
    let good = options.rounds == 0 || too_many_calls(&options).await?;
    Ok(if bounded && good { Verdict::Good } else { Verdict::Bad })
}

/// Whether memory was bounded, all was served again, and nothing was lost.
async fn tail_stands_still(options: &Options) -> Result<bool, Error> {
    // The coordinator would take the tail out of its chains.
    let for_long = (options.pause_s * 1000 + 60_000).to_string();
    let settings = vec![("CATENA_DEAD_MS", for_long.clone()), ("CATENA_SILENCE_MS", for_long)];
    let cluster = Cluster::start(Setup { settings, ..options.place.setup(PORT, SLOTS)? }).await?;
    let tail = NodeId::new("n3").expect("a letter and a number");
    let chains = cluster.await_whole().await?.chains;
    let slots: Vec<Slot> = chains.iter().filter(|chain| chain.tail().node == tail).map(|chain| chain.slot).collect();
    let writers = options.clients.div_ceil(u32::try_from(slots.len()).expect("a few slots")).max(1);
    let work = Writers {
        writers,
        value_bytes: MIB,
        call_timeout: Duration::from_secs(options.deadline_s),
        slots: Some(slots.clone()),
        ..Writers::default()
    };
    let clients = u64::from(writers) * slots.len() as u64;
    let mut load = Load::start(cluster.endpoints(), work).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = load.take().len();
    let mut peaks = vec![("before", cluster.peaks()?)];
    load.failures();
    cluster.pause(&tail)?;
    for quarter in ["first quarter", "second", "third", "last"] {
        tokio::time::sleep(Duration::from_secs(options.pause_s) / 4).await;
        peaks.push((quarter, cluster.peaks()?));
    }
    let (during, reasons) = (load.take().len(), kinds(load.failures()));
    let resumed = Instant::now();
    cluster.resume(&tail)?;
    let mut waiting = slots.clone();
    while !waiting.is_empty() {
        let done = tokio::time::timeout(Load::PATIENCE, load.next()).await;
        let done = done.map_err(|_| Error::InVain(format!("writes to slots {waiting:?}")))?;
        waiting.retain(|slot| *slot != done.slot);
    }
    let served = resumed.elapsed();
    tokio::time::sleep(Duration::from_secs(3)).await;
    peaks.push(("3 s after", cluster.peaks()?));
    let (later, told_later) = (load.take().len(), kinds(load.failures()));
    let (lost, keys) = load.stop().await?;

    println!(
        "{clients} clients write 1 MiB values to {} slots whose tail stands still for {} s; peak memory in MiB\n",
        slots.len(),
        options.pause_s
    );
    let names: Vec<&str> = peaks[0].1.iter().map(|(who, _)| who.as_str()).collect();
    println!("| | {} |\n|---{}|", names.join(" | "), "|---".repeat(names.len()));
    for (when, peaks) in &peaks {
        let figures: Vec<String> = peaks.iter().map(|(_, kib)| kib.div_ceil(1024).to_string()).collect();
        println!("| {when} | {} |", figures.join(" | "));
    }
    println!(
        "\nacknowledged: {before} before, {during} meanwhile, {later} after; all slots again after {} ms",
        served.as_millis()
    );
    println!("told meanwhile: {}\ntold after: {}", said(&reasons), said(&told_later));
    println!("{keys} keys read back, {} lost\n", lost.len());
    for lost in &lost {
        println!("  LOST {}: found {}", lost.key, lost.found);
    }
    let limit = |who: &str| if who == "coordinator" { COORDINATOR_MIB } else { NODE_MIB + 2 * clients };
    let (_, highest) = peaks.last().expect("there are some");
    let bounded = highest.iter().all(|(who, kib)| kib / 1024 <= limit(who));
    if !bounded {
        println!("UNBOUNDED: more than {} MiB of a node or {COORDINATOR_MIB} MiB of the coordinator", limit("n1"));
    }
    Ok(bounded && lost.is_empty())
}

/// Whether nothing was lost and goodput stayed up.
async fn too_many_calls(options: &Options) -> Result<bool, Error> {
    // As if callers were elsewhere: they have one processor, the cluster has the others.
    let all = sched_getaffinity(None).map_err(|error| Error::InVain(format!("the processors: {error}")))?;
    let mine = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).expect("this runs on one");
    let (mut here, mut there) = (CpuSet::new(), all);
    here.set(mine);
    if all.count() > 1 {
        there.unset(mine);
    }
    let run_on = |set: &CpuSet| sched_setaffinity(None, set).map_err(|error| Error::InVain(format!("a processor: {error}")));
    run_on(&there)?;
    let cluster = Cluster::start(options.place.setup(PORT, 16)?).await?;
    run_on(&here)?;
    let throttle = cluster.throttle(options.runs_percent);
    let (mut rounds, mut lost) = (Vec::new(), 0);
    let mut told: [BTreeMap<String, usize>; CASES] = Default::default();
    for round in 0..=options.rounds {
        let few = closed(&cluster, options, options.callers, &format!("few-{round}")).await?;
        let many = closed(&cluster, options, options.callers * TIMES, &format!("many-{round}")).await?;
        let twice = open(&cluster, options, few.rate.max(many.rate) * 2.0, &format!("twice-{round}")).await?;
        let peak = few.rate.max(many.rate).max(twice.rate);
        let over = open(&cluster, options, peak * f64::from(TIMES), &format!("over-{round}")).await?;
        let taken = [few, many, twice, over];
        lost += taken.iter().map(|sample| sample.lost).sum::<usize>();
        if round > 0 {
            // The first only warms up.
            for (sum, taken) in told.iter_mut().zip(&taken) {
                taken.told.iter().for_each(|(kind, count)| *sum.entry(kind.clone()).or_default() += count);
            }
            rounds.push(Round { peak, taken });
        }
        eprint!("\rround {round} of {}", options.rounds);
    }
    eprintln!();
    drop(throttle);
    println!(
        "{} rounds of {} s each, a cluster that runs {} % of the time, values of 256 bytes, calls that may take 1 s; medians over \
         rounds (lowest – highest)\n",
        options.rounds, options.seconds, options.runs_percent
    );
    println!(
        "| | offered a second | acknowledged a second | of the peak, the best of the first three | told otherwise |\n|---|---|---|---|---|"
    );
    let names = [
        format!("{} callers", options.callers),
        format!("{} callers", options.callers * TIMES),
        "twice the better one's calls, waiting for none".to_owned(),
        format!("{TIMES} times the peak's"),
    ];
    let mut good = lost == 0;
    for (case, name) in names.iter().enumerate() {
        let over = |figure: &dyn Fn(&Round) -> f64| spread(rounds.iter().map(figure).collect());
        let share = over(&|round| round.taken[case].rate / round.peak * 100.0);
        let [offered, rate] = [over(&|round| round.taken[case].offered), over(&|round| round.taken[case].rate)];
        println!("| {name} | {} | {} | {} % | {} |", shown(offered), shown(rate), shown(share), said(&told[case]));
        good &= case < CASES - 1 || share[1] >= GOODPUT;
    }
    println!("\n{lost} acknowledged writes lost");
    Ok(good)
}

struct Round {
    /// Acknowledged a second, at the best of all cases but the last.
    peak: f64,
    taken: [Sample; CASES],
}

struct Sample {
    offered: f64,
    rate: f64,
    told: BTreeMap<String, usize>,
    lost: usize,
}

/// How many calls are due by now.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of calls")]
fn due(since: Duration, rate: f64) -> usize {
    (since.as_secs_f64() * rate) as usize
}

/// What became of a call: its number, and when.
type Outcome = (usize, Instant, Result<(), ClientError>);

/// What became of calls, and what of it counts.
struct Tally {
    warm: Instant,
    until: Instant,
    acknowledged: Vec<usize>,
    in_time: usize,
    failed: Vec<ClientError>,
}

impl Tally {
    fn new(options: &Options) -> Self {
        /// Until all have their sessions.
        const WARM: Duration = Duration::from_secs(8);
        let warm = Instant::now() + WARM;
        let until = warm + Duration::from_secs(options.seconds);
        Self { warm, until, acknowledged: Vec::new(), in_time: 0, failed: Vec::new() }
    }

    fn take(&mut self, (number, at, result): Outcome) {
        let counts = (self.warm..self.until).contains(&at);
        match result {
            Ok(()) => {
                self.acknowledged.push(number);
                self.in_time += usize::from(counts);
            }
            Err(error) if counts => self.failed.push(error),
            Err(_) => {}
        }
    }

    /// `offered` while it counted.
    async fn sample(self, offered: usize, clients: &[Client], keys: &str) -> Result<Sample, Error> {
        let seconds = (self.until - self.warm).as_secs_f64();
        let (offered, rate) = (a_second(offered, seconds), a_second(self.in_time, seconds));
        let lost = missing(clients, keys, self.acknowledged).await?;
        Ok(Sample { offered, rate, told: kinds(self.failed), lost })
    }
}

async fn connect(cluster: &Cluster, options: &Options) -> Result<Vec<Client>, Error> {
    let mut clients = Vec::new();
    for _ in 0..options.callers {
        let client = Client::connect(cluster.endpoints(), Calls { call_timeout: Load::PATIENCE }).await?;
        clients.push(client.with_options(Calls { call_timeout: DEADLINE }));
    }
    Ok(clients)
}

async fn put(client: Client, keys: String, number: usize) -> Outcome {
    let result = client.put(key(&keys, number), Bytes::from_static(&[b'v'; 256]), Vec::new()).await;
    (number, Instant::now(), result.map(drop))
}

/// So many callers, one call after the other each.
async fn closed(cluster: &Cluster, options: &Options, callers: u32, keys: &str) -> Result<Sample, Error> {
    let clients = connect(cluster, options).await?;
    let mut tally = Tally::new(options);
    let call = |number: usize| put(clients[number % clients.len()].clone(), keys.to_owned(), number);
    let mut number = callers as usize;
    let mut calls: JoinSet<_> = (0..number).map(call).collect();
    while let Some(outcome) = calls.join_next().await {
        tally.take(outcome.expect("a call does not panic"));
        if Instant::now() < tally.until {
            calls.spawn(call(number));
            number += 1;
        }
    }
    let offered = tally.in_time + tally.failed.len();
    tally.sample(offered, &clients, keys).await
}

/// So many calls a second, whatever becomes of those before.
async fn open(cluster: &Cluster, options: &Options, rate: f64, keys: &str) -> Result<Sample, Error> {
    const TICK: Duration = Duration::from_millis(2);
    let clients = connect(cluster, options).await?;
    let mut tally = Tally::new(options);
    let (mut calls, mut number, mut sent, mut refused) = (JoinSet::new(), 0_usize, 0_usize, 0_usize);
    let began = Instant::now();
    let mut ticks = tokio::time::interval(TICK);
    while Instant::now() < tally.until {
        ticks.tick().await;
        let due = due(began.elapsed(), rate);
        for this in number..due {
            sent += usize::from(Instant::now() >= tally.warm);
            if calls.len() >= UNANSWERED {
                refused += 1;
                continue;
            }
            calls.spawn(put(clients[this % clients.len()].clone(), keys.to_owned(), this));
        }
        number = number.max(due);
        while let Some(outcome) = calls.try_join_next() {
            tally.take(outcome.expect("a call does not panic"));
        }
    }
    while let Some(outcome) = calls.join_next().await {
        tally.take(outcome.expect("a call does not panic"));
    }
    let mut sample = tally.sample(sent, &clients, keys).await?;
    if refused > 0 {
        sample.told.insert(format!("not even called: {UNANSWERED} wait"), refused);
    }
    Ok(sample)
}

fn key(keys: &str, number: usize) -> String {
    format!("{keys}-{number}")
}

/// How many of these are not there.
async fn missing(clients: &[Client], keys: &str, numbers: Vec<usize>) -> Result<usize, Error> {
    let (share, mut reads) = (numbers.len().div_ceil(clients.len()).max(1), JoinSet::new());
    for (client, numbers) in clients.iter().zip(numbers.chunks(share)) {
        let client = client.clone().with_options(Calls { call_timeout: Load::PATIENCE });
        let (keys, numbers) = (keys.to_owned(), numbers.to_vec());
        reads.spawn(async move {
            let mut missing = 0;
            for number in numbers {
                missing += usize::from(client.get(key(&keys, number)).await?.object.is_none());
            }
            Ok::<_, ClientError>(missing)
        });
    }
    let mut missing = 0;
    while let Some(read) = reads.join_next().await {
        missing += read.expect("a read does not panic")?;
    }
    Ok(missing)
}

fn kinds(errors: Vec<ClientError>) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for error in errors {
        *kinds.entry(kind(&error)).or_default() += 1;
    }
    kinds
}

fn kind(error: &ClientError) -> String {
    match error {
        ClientError::Refused(Refusal::Call(CallError::Backpressure { resource, .. })) => format!("backpressure ({resource})"),
        ClientError::Refused(Refusal::TimedOut { .. }) | ClientError::TimedOut { .. } => "timed out".to_owned(),
        ClientError::NoTurn { .. } => "no turn in time".to_owned(),
        ClientError::TooManyCalls { .. } => "too many calls".to_owned(),
        ClientError::Unsure { last } => format!("unsure, {}", kind(last)),
        other => other.to_string(),
    }
}

fn said(kinds: &BTreeMap<String, usize>) -> String {
    let all: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

/// Lowest, median, highest.
fn spread(mut figures: Vec<f64>) -> [f64; 3] {
    figures.sort_by(f64::total_cmp);
    [figures[0], figures[figures.len() / 2], figures[figures.len() - 1]]
}

fn shown([lowest, median, highest]: [f64; 3]) -> String {
    format!("{median:.0} ({lowest:.0} – {highest:.0})")
}
