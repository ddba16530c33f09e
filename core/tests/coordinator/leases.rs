//! Heartbeats' answers: leases, and what they must carry (R1, C4, C5).

use catena_core::{Health, Order, Presence, Slot};

use crate::bench::{Bench, config, id, ms};
use crate::node::Pace;

fn leased(bench: &Bench, name: &str) -> bool {
    bench.nodes[&id(name)].leased(bench.now)
}

#[test]
fn every_answer_carries_what_was_decided_since_even_if_the_pushes_are_lost() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.add("d", &[]);
    for name in ["a", "b", "c", "d"] {
        bench.node(name).deaf = true;
    }
    bench.run(200);
    bench.obeyed(Order::Drain(id("a")));
    bench.until("drained", |bench| bench.shape(0) == "b c d");
    bench.run(300);
    for name in ["a", "b", "c", "d"] {
        let node = &bench.nodes[&id(name)];
        assert_eq!(node.replicas[&Slot(0)].chain, *bench.store.chain(Slot(0)).unwrap());
    }
}

#[test]
fn an_answer_that_cannot_carry_everything_grants_no_lease() {
    let mut bench = Bench::placed(config(1200, 1, 1), &["a"]);
    bench.until("leased", |bench| leased(bench, "a"));
    bench.kill("a");
    bench.run(50);
    bench.start("a");
    bench.until("answered", |bench| bench.nodes[&id("a")].answer.is_some());
    let first = bench.nodes[&id("a")].answer.clone().unwrap();
    assert_eq!((first.lease, first.decisions.chains.len()), (None, 512));
    bench.until("leased", |bench| leased(bench, "a"));
    let node = &bench.nodes[&id("a")];
    assert!(node.replicas.values().all(|replica| replica.chain == *bench.store.chain(replica.chain.slot).unwrap()));
}

#[test]
fn an_answer_carries_nothing_that_has_been_applied() {
    let mut bench = Bench::placed(config(8, 3, 3), &["a", "b", "c"]);
    bench.run(500);
    let answer = bench.nodes[&id("a")].answer.clone().unwrap();
    assert_eq!(answer.lease, Some(ms(600)));
    assert!(answer.decisions.chains.is_empty() && answer.nodes.is_empty());
}

#[test]
fn nobody_whose_removal_is_being_stored_gets_a_lease() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.node("c").cut = true;
    // The removal is asked for, and takes long; meanwhile the node comes back.
    bench.store.delay = ms(700);
    bench.until("dead", |bench| bench.health("c") == Health::Dead);
    bench.run(100);
    bench.node("c").cut = false;
    bench.until("cut", |bench| bench.shape(0) == "a b");
    assert!(!leased(&bench, "c"));
    bench.store.delay = ms(0);
    bench.until("back", |bench| bench.shape(0) == "a b c" && leased(bench, "c"));
}

#[test]
fn a_node_that_is_leaving_gets_no_lease() {
    let mut bench = Bench::placed(config(1, 1, 1), &["a"]);
    bench.node("a").presence = Presence::Leaving;
    bench.run(300);
    assert_eq!(bench.nodes[&id("a")].answer.clone().unwrap().lease, None);
    assert_eq!(bench.health("a"), Health::Stopped);
}

#[test]
fn a_fence_whose_plan_is_gone_heals_by_a_newer_version() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.add("d", &[]);
    bench.run(200);
    bench.obeyed(Order::Drain(id("a")));
    bench.until("ready", |bench| bench.shape(0) == "a b c d");
    // The fence is acknowledged, but the coordinator ends before the version without a comes into being.
    bench.seats[0].storeless = true;
    bench.until("fenced", |bench| !bench.nodes[&id("a")].serves(Slot(0), bench.now));
    bench.stop_coordinator(0);
    bench.seats[0].storeless = false;
    bench.start_coordinator(0);
    bench.until("leading", |bench| bench.leading().is_some());
    bench.until("drained all the same", |bench| bench.shape(0) == "b c d");
}

#[test]
fn a_fence_heals_when_what_it_was_for_is_taken_back() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.add("d", &[]);
    bench.run(200);
    bench.obeyed(Order::Evict(id("c")));
    bench.seats[0].storeless = true;
    bench.run(50);
    bench.stop_coordinator(0);
    bench.seats[0].storeless = false;
    bench.start_coordinator(0);
    bench.until("leading", |bench| bench.leading().is_some());
    bench.obeyed(Order::Readmit(id("c")));
    bench.run(3000);
    assert_eq!(bench.shape(0).split(' ').count(), 3);
    let members = bench.store.chain(Slot(0)).unwrap().members.clone();
    assert!(members.iter().all(|member| bench.nodes[&member.node].serves(Slot(0), bench.now)));
}

#[test]
fn a_coordinator_that_pauses_longer_than_everything_kills_nobody() {
    let mut bench = Bench::placed(config(4, 3, 3), &["a", "b", "c"]);
    bench.add("d", &[]);
    bench.run(1000);
    bench.until("balanced", |bench| bench.status().nodes.iter().all(|node| node.replicas == 3));
    bench.run(1000);
    let before = bench.store.everything();
    for _ in 0..5 {
        bench.seats[0].paused = true;
        bench.run(10_000);
        bench.seats[0].paused = false;
        bench.run(1000);
    }
    assert_eq!(bench.store.everything(), before, "not even a flap is counted");
    assert!(["a", "b", "c", "d"].iter().all(|name| bench.health(name) == Health::Healthy));
}

#[test]
fn an_outage_of_the_store_evicts_nobody_and_leases_go_on() {
    let mut bench = Bench::placed(config(4, 3, 3), &["a", "b", "c"]);
    bench.run(1000);
    bench.store.out_of_order = true;
    for _ in 0..100 {
        bench.run(100);
        assert!(["a", "b", "c"].iter().all(|name| leased(&bench, name)));
    }
    bench.store.out_of_order = false;
    bench.run(3000);
    assert!((0..4).all(|slot| bench.shapes(slot).is_empty()));
}

#[test]
fn a_lease_is_waited_for_as_long_as_the_slowest_clock_may_count_it() {
    let mut config = config(1, 3, 3);
    (config.drift_ppm, config.dead_after) = (200_000, ms(1000));
    let mut bench = Bench::placed(config, &["a", "b", "c"]);
    let since = bench.now;
    bench.node("c").pace = Pace { since, fast_ppm: -150_000 };
    bench.run(1000);
    bench.node("c").cut = true;
    bench.obeyed(Order::Evict(id("c")));
    bench.run(600);
    assert!(leased(&bench, "c"));
    bench.until("cut", |bench| bench.shape(0) == "a b");
    assert!(!leased(&bench, "c"));
}

#[test]
fn the_route_names_only_what_is_stored() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.kill("c");
    bench.store.delay = ms(100);
    for _ in 0..60 {
        bench.run(20);
        let chains = bench.seats[0].coordinator.route().unwrap().chains;
        assert!(bench.audit.history[&Slot(0)].contains(&chains[0]));
    }
    assert_eq!(bench.shape(0), "a b");
}
