//! Anything may happen in any order: the rules hold at every moment, and once everything is calm every chain is whole.

use std::time::Duration;

use catena_core::{Order, Presence, Record, Rejoin, ReplicaState, Slot, Standing, Succession};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::bench::{Bench, config, id, ms};
use crate::node::Pace;

const SLOTS: u32 = 4;
const NODES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// What happens. A node is one of `NODES`, a seat one of the coordinators.
#[derive(Clone, Debug)]
enum Happening {
    Time(u64),
    Kill(usize),
    Start(usize),
    Wipe(usize),
    Stop(usize),
    Cut(usize),
    Deafen(usize),
    Stall(usize),
    Pause(usize),
    /// Whatever is done to the node is over, but for its death.
    Mend(usize),
    Part(usize, usize),
    Join,
    Drain(usize),
    Evict(usize),
    Readmit(usize),
    PauseSeat(usize),
    WakeSeat(usize),
    RestartSeat(usize),
    SlowStore(u64),
    LoseStore(usize),
    FindStore(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    let node = || 0..NODES.len();
    let seat = || 0..2_usize;
    prop_oneof![
        12 => prop_oneof![5..200_u64, 200..1500_u64].prop_map(Happening::Time),
        3 => node().prop_map(Happening::Kill),
        4 => node().prop_map(Happening::Start),
        1 => node().prop_map(Happening::Wipe),
        1 => node().prop_map(Happening::Stop),
        2 => node().prop_map(Happening::Cut),
        1 => node().prop_map(Happening::Deafen),
        1 => node().prop_map(Happening::Stall),
        2 => node().prop_map(Happening::Pause),
        4 => node().prop_map(Happening::Mend),
        1 => (node(), node()).prop_map(|(a, b)| Happening::Part(a, b)),
        1 => Just(Happening::Join),
        2 => node().prop_map(Happening::Drain),
        2 => node().prop_map(Happening::Evict),
        2 => node().prop_map(Happening::Readmit),
        1 => seat().prop_map(Happening::PauseSeat),
        2 => seat().prop_map(Happening::WakeSeat),
        1 => seat().prop_map(Happening::RestartSeat),
        1 => (0..300_u64).prop_map(Happening::SlowStore),
        1 => seat().prop_map(Happening::LoseStore),
        2 => seat().prop_map(Happening::FindStore),
    ]
}

/// Everything that is fixed for a run.
#[derive(Clone, Debug)]
struct Circumstances {
    seats: usize,
    delay: u64,
    seed: u64,
    rejoin: bool,
    fast: Vec<i64>,
}

fn circumstances() -> impl Strategy<Value = Circumstances> {
    let fast = prop_oneof![Just(-4900_i64), Just(4900), -4900..4900_i64];
    (1..=2_usize, prop_oneof![Just(0_u64), 0..150_u64], any::<u64>(), any::<bool>(), prop::collection::vec(fast, 7))
        .prop_map(|(seats, delay, seed, rejoin, fast)| Circumstances { seats, delay, seed, rejoin, fast })
}

fn begin(circumstances: &Circumstances) -> Bench {
    let mut config = config(SLOTS, 3, 3);
    config.absence = ms(3000);
    config.join_patience = ms(2000);
    config.restraint_window = ms(5000);
    config.flap_window = ms(6000);
    if circumstances.rejoin {
        config.rejoin = Rejoin::Auto(ms(1000));
    }
    if circumstances.seats == 2 {
        config.succession = Succession::Shared { claim: ms(2000), renew: ms(250) };
    }
    let mut bench = Bench::placed(config, &NODES[..4]);
    (1..circumstances.seats).for_each(|_| bench.add_seat());
    let pace = |fast_ppm: &i64| Pace { since: bench.now, fast_ppm: *fast_ppm };
    let (nodes, seats) = circumstances.fast.split_at(5);
    bench.seats.iter_mut().zip(seats).for_each(|(seat, fast)| seat.pace = pace(fast));
    bench.nodes.values_mut().zip(nodes).for_each(|(node, fast)| node.pace = pace(fast));
    let mut random = circumstances.seed | 1;
    let most = circumstances.delay;
    bench.delay = Box::new(move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        ms(random % (most + 1))
    });
    bench
}

fn happen(bench: &mut Bench, what: &Happening, circumstances: &Circumstances) {
    let name = |node: &usize| NODES[*node];
    let there = |bench: &Bench, node: &usize| bench.nodes.contains_key(&id(name(node)));
    match what {
        Happening::Time(millis) => bench.run(*millis),
        Happening::Join => {
            if !bench.nodes.contains_key(&id("e")) {
                bench.add("e", &[]);
            }
        }
        Happening::Part(a, b) => bench.part(name(a), name(b)),
        Happening::Drain(node) => drop(bench.order(Order::Drain(id(name(node))))),
        Happening::Evict(node) => drop(bench.order(Order::Evict(id(name(node))))),
        Happening::Readmit(node) => drop(bench.order(Order::Readmit(id(name(node))))),
        Happening::PauseSeat(seat) => bench.seats[seat % circumstances.seats].paused = true,
        Happening::WakeSeat(seat) => bench.seats[seat % circumstances.seats].paused = false,
        Happening::RestartSeat(seat) => bench.restart_coordinator(seat % circumstances.seats),
        Happening::SlowStore(millis) => bench.store.delay = ms(*millis),
        Happening::LoseStore(seat) => bench.seats[seat % circumstances.seats].storeless = true,
        Happening::FindStore(seat) => bench.seats[seat % circumstances.seats].storeless = false,
        Happening::Kill(node) | Happening::Start(node) | Happening::Wipe(node) | Happening::Stop(node) if !there(bench, node) => {
        }
        Happening::Cut(node) | Happening::Deafen(node) | Happening::Stall(node) if !there(bench, node) => {}
        Happening::Pause(node) | Happening::Mend(node) if !there(bench, node) => {}
        Happening::Kill(node) => bench.kill(name(node)),
        Happening::Start(node) => {
            if !bench.node(name(node)).up {
                bench.start(name(node));
            }
        }
        Happening::Wipe(node) => {
            if !bench.node(name(node)).up && spare(bench, name(node)) {
                bench.node(name(node)).wipe();
            }
        }
        Happening::Stop(node) => {
            if bench.node(name(node)).up {
                bench.stop(name(node));
            }
        }
        Happening::Cut(node) => bench.node(name(node)).cut = true,
        Happening::Deafen(node) => bench.node(name(node)).deaf = true,
        Happening::Stall(node) => bench.node(name(node)).stalled = true,
        Happening::Pause(node) => bench.node(name(node)).paused = true,
        Happening::Mend(node) => {
            let node = bench.node(name(node));
            (node.cut, node.deaf, node.stalled, node.paused) = (false, false, false, false);
        }
    }
}

/// Whether every chain has its data without this node, even if one more member is cut by what is being stored: then its
/// disk may be lost.
fn spare(bench: &Bench, name: &str) -> bool {
    bench.store.chains.keys().all(|slot| {
        let others = bench.store.chain(*slot).unwrap().copies().iter().filter(|copy| {
            let node = &bench.nodes[&copy.node];
            copy.node != id(name) && node.up && node.record.incarnation == copy.incarnation
        });
        others.count() >= 2
    })
}

/// Everything is repaired, and everybody may take part again.
fn calm(bench: &mut Bench, circumstances: &Circumstances) {
    bench.store.delay = Duration::ZERO;
    bench.delay = Box::new(|| Duration::ZERO);
    bench.apart.clear();
    for seat in 0..circumstances.seats {
        (bench.seats[seat].paused, bench.seats[seat].storeless) = (false, false);
    }
    let names: Vec<String> = bench.nodes.keys().map(ToString::to_string).collect();
    for name in &names {
        let node = bench.node(name);
        (node.cut, node.deaf, node.stalled, node.paused) = (false, false, false, false);
        if !node.up {
            bench.start(name);
        }
    }
    bench.run(12_000); // flaps are over
    bench.until("leading", |bench| bench.leading().is_some());
    for name in &names {
        if bench.standing(name) != Standing::Member {
            bench.order(Order::Readmit(id(name)));
        }
    }
}

fn whole(bench: &Bench) -> bool {
    bench.store.chains.keys().all(|slot| {
        let chain = bench.store.chain(*slot).unwrap();
        let serving = chain.members.iter().all(|member| bench.nodes[&member.node].serves(*slot, bench.now));
        chain.members.len() == 3 && chain.tail_ready && chain.joining.is_none() && serving
    })
}

fn balanced(bench: &Bench) -> bool {
    let replicas: Vec<u32> = bench.status().nodes.iter().map(|node| node.replicas).collect();
    replicas.iter().max().unwrap() - replicas.iter().min().unwrap() <= 1
}

/// No data where no replica is.
fn tidy(bench: &Bench) -> bool {
    bench.nodes.values().all(|node| {
        node.replicas.iter().all(|(slot, replica)| {
            let member = bench.store.chain(*slot).unwrap().position(node.id()).is_some();
            member == replica.has_data && (member || replica.state == ReplicaState::Dropped)
        })
    })
}

fn converges(circumstances: &Circumstances, happenings: &[Happening]) -> TestCaseResult {
    let mut bench = begin(circumstances);
    for what in happenings {
        happen(&mut bench, what, circumstances);
    }
    calm(&mut bench, circumstances);
    bench.until("whole", whole);
    bench.until("balanced", |bench| whole(bench) && balanced(bench));
    bench.until("tidy", |bench| whole(bench) && balanced(bench) && tidy(bench));
    bench.run(3000);
    let before = bench.store.everything();
    bench.run(3000);
    prop_assert_eq!(bench.store.everything(), before, "it comes to rest");
    let standing = |change: &catena_core::Change| match &change.record {
        Record::Node(node) => node.standing == Standing::Member && bench.nodes[&node.record.node].presence == Presence::Staying,
        Record::Chain(_) => true,
    };
    prop_assert!(bench.store.everything().iter().all(standing));
    prop_assert!(bench.store.chain(Slot(SLOTS - 1)).is_some());
    Ok(())
}

/// As many as `PROPTEST_CASES` says; 48 take some seconds without optimisation.
fn cases() -> u32 {
    if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 48 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 600, ..ProptestConfig::default() })]

    #[test]
    fn chains_obey_the_rules_whatever_happens_and_become_whole(
        circumstances in circumstances(),
        happenings in prop::collection::vec(happening(), 5..60),
    ) {
        converges(&circumstances, &happenings)?;
    }
}
