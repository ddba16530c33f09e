//! Nodes that come and go, and a failure detector that holds back (K3, K4).

use std::collections::BTreeSet;

use catena_core::{Eviction, Health, Note, Order, Record, Rejoin, Slot, Standing, Wait};

use crate::bench::{Bench, config, id, ms};

/// Silent for long enough to be suspect, and back before it is dead.
fn flap(bench: &mut Bench, name: &str) {
    bench.node(name).cut = true;
    bench.until("suspect", |bench| bench.leading().is_some() && bench.health(name) == Health::Suspect);
    bench.node(name).cut = false;
    bench.until("healthy", |bench| bench.health(name) == Health::Healthy);
}

fn flaps(bench: &Bench, name: &str) -> usize {
    match &bench.store.nodes[&id(name)].record {
        Record::Node(node) => node.flaps.len(),
        Record::Chain(_) => unreachable!("a node's record"),
    }
}

fn evicted(bench: &Bench, name: &str) -> bool {
    matches!(bench.standing(name), Standing::Evicted { reason: Eviction::Flapping, .. })
}

fn four() -> Bench {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.add("d", &[]);
    bench.run(200);
    bench
}

#[test]
fn suspect_changes_no_route() {
    let mut bench = four();
    flap(&mut bench, "b");
    bench.run(1000);
    assert_eq!(bench.shapes(0), [""; 0]);
    assert_eq!(flaps(&bench, "b"), 1);
}

#[test]
fn a_node_that_stays_suspect_flaps_once() {
    let mut bench = four();
    bench.node("b").cut = true;
    bench.run(5000);
    assert_eq!(flaps(&bench, "b"), 1);
}

#[test]
fn the_third_flap_within_the_window_evicts_head_or_tail_and_the_chain_is_repaired() {
    for (flapping, whole) in [("a", "b c d"), ("c", "a b d")] {
        let mut bench = four();
        for _ in 0..3 {
            flap(&mut bench, flapping);
        }
        assert!(evicted(&bench, flapping));
        bench.until("whole", |bench| bench.shape(0) == whole);
        bench.run(60_000);
        assert!(evicted(&bench, flapping), "it comes back only when somebody says so");
    }
}

#[test]
fn flaps_age_out() {
    let mut bench = four();
    for _ in 0..5 {
        flap(&mut bench, "a");
        bench.run(16_000);
    }
    assert_eq!(bench.standing("a"), Standing::Member);
}

#[test]
fn a_threshold_or_window_of_zero_turns_flapping_off() {
    for (threshold, window) in [(0, 30_000), (3, 0)] {
        let mut config = config(1, 3, 3);
        (config.flap_threshold, config.flap_window) = (threshold, ms(window));
        let mut bench = Bench::placed(config, &["a", "b", "c"]);
        for _ in 0..6 {
            flap(&mut bench, "a");
        }
        assert_eq!(bench.standing("a"), Standing::Member);
    }
}

#[test]
fn flaps_are_remembered_when_the_coordinator_restarts() {
    let mut bench = four();
    flap(&mut bench, "a");
    flap(&mut bench, "a");
    bench.restart_coordinator(0);
    bench.run(2000);
    assert_eq!(bench.standing("a"), Standing::Member);
    flap(&mut bench, "a");
    assert!(evicted(&bench, "a"));
}

#[test]
fn a_flapping_node_comes_back_by_itself_after_a_time_that_doubles() {
    let mut config = config(1, 3, 3);
    config.rejoin = Rejoin::Auto(ms(5_000));
    config.restraint_percent = 100;
    let mut bench = Bench::placed(config, &["a", "b", "c"]);
    for expected in [5_000, 10_000, 20_000] {
        for _ in 0..3 {
            flap(&mut bench, "a");
        }
        assert!(evicted(&bench, "a"));
        let since = bench.now;
        bench.until("back", |bench| bench.standing("a") == Standing::Member);
        let took = bench.since(since);
        assert!(took > ms(expected - 500) && took < ms(expected + 500), "{took:?}, not {expected} ms");
        bench.until("whole", |bench| bench.shape(0) == "b c a");
    }
}

#[test]
fn an_evicted_last_copy_serves_until_a_spare_has_its_data() {
    let mut config = config(1, 1, 1);
    config.restraint_percent = 100;
    let mut bench = Bench::placed(config, &["a"]);
    for _ in 0..3 {
        flap(&mut bench, "a");
    }
    assert!(evicted(&bench, "a"));
    bench.run(3000);
    assert!(bench.nodes[&id("a")].serves(Slot(0), bench.now));
    assert_eq!(bench.status().waits[&Slot(0)], Wait::LastCopy);
    bench.add("b", &[]);
    bench.until("moved", |bench| bench.shape(0) == "b");
}

#[test]
fn the_failure_detector_holds_back_when_too_many_die() {
    let mut bench = Bench::placed(config(10, 3, 5), &["a", "b", "c", "d", "e"]);
    for name in ["a", "b", "c", "d"] {
        bench.node(name).cut = true;
    }
    bench.run(10_000);
    assert!(["a", "b", "c", "d"].iter().all(|name| bench.health(name) == Health::Dead));
    let restrained = bench.notes.iter().filter(|note| matches!(note, Note::Restrained { .. })).count();
    assert_eq!(restrained, 2, "of five, 34 % rounded up may go");
    assert!(bench.status().waits.values().any(|wait| *wait == Wait::Restrained));
    for name in ["a", "b", "c", "d"] {
        bench.node(name).cut = false;
    }
    bench.until("whole", |bench| (0..10).all(|slot| bench.shape(slot).split(' ').count() == 3));
}

#[test]
fn an_operator_takes_out_what_the_failure_detector_does_not() {
    let mut config = config(1, 3, 3);
    config.restraint_percent = 1;
    let mut bench = Bench::placed(config, &["a", "b", "c"]);
    bench.kill("a");
    bench.until("cut", |bench| bench.shape(0) == "b c");
    bench.kill("b");
    bench.run(5000);
    assert_eq!(bench.shape(0), "b c");
    bench.obeyed(Order::Evict(id("b")));
    bench.until("cut", |bench| bench.shape(0) == "c");
}

#[test]
fn whom_the_failure_detector_has_spared_it_does_not_take_out_later() {
    let mut config = config(10, 3, 5);
    config.restraint_window = ms(5_000);
    let mut bench = Bench::placed(config, &["a", "b", "c", "d", "e"]);
    for name in ["a", "b", "c", "d"] {
        bench.node(name).cut = true;
    }
    bench.run(3_000);
    let taken_out = |bench: &Bench| (0..10).flat_map(|slot| bench.audit.taken_out(Slot(slot))).collect::<BTreeSet<_>>().len();
    assert_eq!(taken_out(&bench), 2, "of five, 34 % rounded up");
    bench.run(20_000);
    assert_eq!(taken_out(&bench), 2, "time alone is no reason");
    // Nor is a coordinator that has not seen it.
    bench.restart_coordinator(0);
    bench.run(4_000);
    assert_eq!(taken_out(&bench), 2);
}

#[test]
fn a_new_leader_evicts_nobody_for_flapping_before_it_has_listened() {
    let mut config = config(1, 3, 3);
    config.restraint_percent = 100;
    let mut bench = Bench::placed(config, &["a", "b", "c"]);
    flap(&mut bench, "a");
    flap(&mut bench, "a");
    bench.restart_coordinator(0);
    let now = bench.now;
    let node = bench.node("a");
    (node.stream, node.dial_at) = (None, now);
    bench.until("heard", |bench| bench.leading().is_some() && bench.health("a") == Health::Healthy);
    bench.node("a").cut = true;
    bench.until("suspect", |bench| bench.health("a") == Health::Suspect);
    assert_eq!(bench.standing("a"), Standing::Member);
}
