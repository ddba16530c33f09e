//! The shipped loops of `catena-node` and the shipped networking of `catena-net`, under madsim's simulated time and
//! network. What the event-queue world cannot reach is tried here: reconnects, deadlines, tasks that leak or stop, retries
//! of the client. Run with `cargo sim --release`; `SEEDS=0..5000 cargo sim --release` tries these seeds.

mod machines;
mod recorder;

use std::ops::Range;
use std::time::Duration;

use catena_core::mutants::{self, Assertions, Mutant};
use catena_core::{Entry, Order};
use catena_net::client::{Client, Options};
use madsim::Config;
use madsim::runtime::Runtime;
use tokio::time::{Instant, sleep};

use self::machines::{Cut, Death, Machines};
use self::recorder::Recorder;
use crate::history::{Call, CallId, Deed, Outcome, Wish};
use crate::mutation::{Watcher, noticed_by};
use crate::rng::{Odds, Rng};
use crate::workload::{Knowledge, Workload};

const SLOTS: u32 = 4;
const NODES: usize = 4;
const REPLICAS: u32 = 3;
const CLIENTS: usize = 4;
const CALLS_EACH: usize = 60;
const KEYS: usize = 6;
/// Seeds that `cargo sim` tries unless `SEEDS` names others.
const SEEDS: Range<u64> = 0..200;
/// Seeds that are enough for bugs that show in most clusters to which anything happens.
const SOON: Range<u64> = 0..10;
/// Longer than committed entries wait to be applied.
const APPLIED: Duration = Duration::from_secs(1);
/// How long chains may take to be whole again.
const HEALING: Duration = Duration::from_secs(10);

#[test]
fn a_cluster_under_faults_stays_linearizable_and_heals() {
    let seeds = seeds();
    let (mut calls, mut answered) = (0, 0);
    for seed in seeds {
        let run = in_simulation(seed, None)
            .unwrap_or_else(|_| panic!("seed {seed} failed, see above; replay: SEEDS={seed}..{} cargo sim --release", seed + 1));
        calls += run.calls.len();
        answered += run.answered;
    }
    println!("{calls} calls, {answered} answered");
    assert!(answered * 10 >= calls * 6, "only {answered} of {calls} calls had an answer: too little was tried");
}

#[test]
fn seeds_that_have_failed_are_clean() {
    // A wiped node that had waited for its coordinator for 5 s gave up at the first refusal.
    for seed in [25189] {
        in_simulation(seed, None).unwrap_or_else(|_| panic!("seed {seed} failed again, see above"));
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let round = || seeds().take(16).map(|seed| in_simulation(seed, None).expect("these seeds are clean"));
    let first: Vec<Run> = round().collect();
    for (seed, (first, second)) in seeds().zip(first.iter().zip(round())) {
        assert!(!first.committed.is_empty());
        assert!(*first == second, "seed {seed} went differently the second time");
    }
}

#[test]
fn planted_bugs_are_found() {
    println!("the panics that follow are planted");
    for mutant in [
        Mutant::JudgeCommittedOnly,
        Mutant::AnswerBeforeCommit,
        Mutant::ReadBeforeBarrier,
        Mutant::ReadyAtOnce,
        Mutant::SkipMatching,
        Mutant::NewTailCuts,
        Mutant::ReadWithoutLease,
        Mutant::WipedDiskAccepted,
        Mutant::AnswerOfAnotherSession,
        Mutant::SessionsLeftOut,
        Mutant::KeepStaleKeys,
    ] {
        let mut seeds = SEEDS;
        let caught = seeds.position(|seed| in_simulation(seed, Some(mutant)).is_err());
        println!("{}: caught by seed {caught:?}", mutant.name());
        assert!(caught.is_some(), "{} is not noticed", mutant.name());
    }
}

/// The event-queue world does not run what they are in.
#[test]
fn bugs_planted_around_the_machines_are_found_soon() {
    println!("the panics that follow are planted");
    let mut missed = Vec::new();
    for mutant in noticed_by(Watcher::Cluster) {
        let mut seeds = SOON;
        let caught = seeds.position(|seed| in_simulation(seed, Some(*mutant)).is_err());
        println!("{}: caught by seed {caught:?}", mutant.name());
        missed.extend(caught.is_none().then_some(mutant.name()));
    }
    assert!(missed.is_empty(), "none of the seeds {SOON:?} notices {missed:?}");
}

/// Those that `SEEDS` names: `A..B`, as `catena-sim run --seeds` takes it.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("SEEDS") else { return SEEDS };
    let range = text.split_once("..").and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
    range.filter(|range| !range.is_empty()).unwrap_or_else(|| panic!("SEEDS is {text:?}: give a range such as 200..4200"))
}

/// What a run left.
#[derive(PartialEq)]
struct Run {
    committed: Vec<Entry>,
    calls: Vec<Call>,
    /// Simulated, from start to end.
    took: Duration,
    answered: usize,
}

/// Runs one seed on a thread of its own, as madsim wants it. `Err`: it panicked.
fn in_simulation(seed: u64, mutant: Option<Mutant>) -> std::thread::Result<Run> {
    let simulation = move || {
        mutants::set(mutant);
        mutants::set_assertions(if mutant.is_some() { Assertions::Off } else { Assertions::On });
        let mut runtime = Runtime::with_seed_and_config(seed, Config::default());
        runtime.set_time_limit(Duration::from_secs(300));
        runtime.block_on(run(seed))
    };
    std::thread::spawn(simulation).join()
}

async fn run(seed: u64) -> Run {
    let began = Instant::now();
    let mut rng = Rng::new(seed);
    let recorder = Recorder::new(SLOTS);
    let mut machines = Machines::start(NODES, REPLICAS, SLOTS, rng.fork(), &recorder);
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| machines.spawn(client(recorder.clone(), Workload::new(KEYS, rng.fork()), rng.fork()))).collect();
    break_things(&mut machines, &mut rng, &recorder).await;
    for client in clients {
        client.await.expect("a client does not panic");
    }
    let last = machines.spawn(last_look(recorder.clone()));
    last.await.expect("the cluster has healed");
    rest(&machines).await.unwrap_or_else(|reason| panic!("seed {seed}: {HEALING:?} after the last fault {reason}"));
    machines.look_at_disks(SLOTS, &recorder);
    machines.end().await;
    recorder.check().unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
    Run { committed: recorder.committed(), calls: recorder.calls(), took: began.elapsed(), answered: recorder.answered() }
}

/// Waits until the chains are whole, what is committed is applied, and the disks have that and nothing else: also those of
/// nodes that have just come back, and are told what to forget. If not in time: what is missing.
async fn rest(machines: &Machines) -> Result<(), String> {
    let end = Instant::now() + HEALING;
    loop {
        let chains = machines.await_whole(REPLICAS, end.saturating_duration_since(Instant::now())).await;
        let chains = chains.ok_or_else(|| "the chains are not whole".to_owned())?;
        sleep(APPLIED).await;
        match chains.iter().try_for_each(|chain| machines.compare_disks(chain)) {
            Err(difference) if Instant::now() >= end => return Err(difference),
            Err(_) => {}
            Ok(()) => return Ok(()),
        }
    }
}

/// A client's calls, one after the other.
async fn client(recorder: Recorder, mut workload: Workload, mut rng: Rng) {
    let options = Options { call_timeout: Duration::from_secs(3) };
    let client = Client::connect(Machines::endpoints(), options).await.expect("a coordinator is there");
    let mut known = Knowledge::new();
    for _ in 0..CALLS_EACH {
        let wish = |id: CallId| {
            let wish = workload.wish(id, &known);
            // Nothing in a delete's entry says whose it is: without conditions it may be anybody's who wanted one.
            if wish.deed == Deed::Delete { Wish { conditions: Vec::new(), ..wish } } else { wish }
        };
        match recorder.call(&client, wish).await {
            (key, Outcome::Read(object)) => drop(known.insert(key, object.map(|object| object.metadata))),
            (key, Outcome::Written { object, .. } | Outcome::Refused(object)) => drop(known.insert(key, object)),
            (key, Outcome::NothingToDo) => drop(known.insert(key, None)),
            (_, Outcome::Pending | Outcome::NotExecuted | Outcome::Unknown) => {}
        }
        sleep(rng.heavy_tail(Duration::from_millis(2))).await;
    }
}

/// Faults, one after the other, of which the shorter ones only hurt and the longer ones change chains. Nodes that are down
/// come back, sooner or later.
async fn break_things(machines: &mut Machines, rng: &mut Rng, recorder: &Recorder) {
    sleep(Duration::from_secs(1)).await;
    for _ in 0..rng.between(2, 6) {
        let node = rng.index(machines.count());
        let other = (node + 1 + rng.index(machines.count() - 1)) % machines.count();
        let time = rng.duration(Duration::from_millis(50), Duration::from_millis(2500));
        match rng.below(15) {
            0 => machines.down(node, Death::Kill).await,
            1 => machines.down(node, Death::Silent).await,
            2 => machines.down(node, Death::Stop).await,
            3 => machines.cut(Cut::OneWay, node, other, time).await,
            4 => machines.cut(Cut::BothWays, node, other, time).await,
            5 => machines.cut(Cut::Coordinator, node, other, time).await,
            6 => machines.isolate(node, time).await,
            7 => machines.restart_coordinator(time).await,
            8 => machines.take_out(Order::Drain, node, time).await,
            9 => machines.take_out(Order::Evict, node, time).await,
            10 => machines.wipe(node, REPLICAS).await,
            11 => machines.cut(Cut::CoordinatorAndClients, node, other, time).await,
            12 => machines.roll(Death::Stop, time).await,
            13 => machines.roll(Death::Kill, time).await,
            _ => {
                machines.down(node, Death::Kill).await;
                if rng.chance(Odds::percent(50)) {
                    machines.down(other, Death::Kill).await;
                }
            }
        }
        sleep(rng.duration(Duration::from_millis(10), Duration::from_millis(2000))).await;
        machines.look_at_disks(SLOTS, recorder);
        (0..machines.count()).for_each(|node| machines.up(node));
    }
}

/// After the last fault every key can be written and read within ten seconds.
async fn last_look(recorder: Recorder) {
    let options = Options { call_timeout: Duration::from_secs(10) };
    let client = Client::connect(Machines::endpoints(), options).await.expect("a coordinator is there");
    let mut workload = Workload::new(KEYS, Rng::new(0));
    for key in (0..KEYS).map(Workload::key) {
        let put = |id| Wish { key: key.clone(), deed: workload.put(id), conditions: Vec::new() };
        let (_, outcome) = recorder.call(&client, put).await;
        assert!(matches!(outcome, Outcome::Written { .. }), "{key:?} cannot be written after healing: {outcome:?}");
        let get = |_| Wish { key: key.clone(), deed: Deed::Get, conditions: Vec::new() };
        let (_, outcome) = recorder.call(&client, get).await;
        assert!(matches!(outcome, Outcome::Read(Some(_))), "{key:?} cannot be read after healing: {outcome:?}");
    }
}
