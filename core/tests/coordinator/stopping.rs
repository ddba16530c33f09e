//! Nodes that leave in order and come back.

use catena_core::{Health, Order, Record, Slot, Wait};

use crate::bench::{Bench, config, id, ms};

fn four() -> Bench {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.add("d", &[]);
    bench.run(200);
    bench
}

#[test]
fn a_node_that_stops_in_order_leaves_at_once_without_a_flap() {
    let mut bench = four();
    bench.stop("b");
    assert_eq!(bench.shape(0), "a c", "within 200 ms");
    bench.run(5000);
    assert_eq!(bench.health("b"), Health::Stopped);
    match &bench.store.nodes[&id("b")].record {
        Record::Node(node) => assert!(node.flaps.is_empty()),
        Record::Chain(_) => unreachable!("a node's record"),
    }
}

#[test]
fn while_it_is_awaited_no_data_moves_and_it_comes_back_with_what_it_has() {
    let mut bench = four();
    bench.stop("b");
    bench.run(30_000);
    assert_eq!(bench.shape(0), "a c");
    assert_eq!(bench.status().waits[&Slot(0)], Wait::Absence);
    bench.start("b");
    bench.until("whole", |bench| bench.shape(0) == "a c b");
    assert_eq!(bench.shapes(0), ["a c", "a c +b", "a c b?", "a c b"]);
    assert!(bench.nodes.values().all(|node| node.copies == 0));
}

#[test]
fn it_is_awaited_also_between_its_registration_and_its_first_heartbeat() {
    let mut bench = four();
    bench.stop("b");
    bench.run(5000);
    bench.start("b");
    bench.node("b").mute = true;
    bench.run(300);
    assert_eq!(bench.shape(0), "a c");
    bench.node("b").mute = false;
    bench.until("whole", |bench| bench.shape(0) == "a c b");
}

#[test]
fn a_node_that_stays_away_too_long_is_replaced() {
    let mut bench = four();
    bench.stop("b");
    let start = bench.now;
    bench.until("whole", |bench| bench.shape(0) == "a c d");
    assert!(bench.since(start) > ms(59_000));
}

#[test]
fn a_cluster_that_is_stopped_and_started_as_a_whole_moves_no_data() {
    let mut bench = Bench::placed(config(10, 3, 5), &["a", "b", "c", "d", "e"]);
    for name in ["a", "b", "c", "d", "e"] {
        bench.node(name).presence = catena_core::Presence::Leaving;
        bench.run(50);
    }
    bench.run(200);
    for name in ["a", "b", "c", "d", "e"] {
        bench.kill(name);
    }
    bench.stop_coordinator(0);
    bench.run(10_000);
    bench.start_coordinator(0);
    for name in ["c", "a", "e", "b", "d"] {
        bench.start(name);
        bench.run(60);
    }
    bench.until("whole", |bench| {
        (0..10).all(|slot| bench.shape(slot).split(' ').filter(|n| !n.contains(['+', '?'])).count() == 3)
    });
    bench.run(3000);
    let copies: u32 = bench.nodes.values().map(|node| node.copies).sum();
    assert_eq!(copies, 0);
    assert!(["a", "b", "c", "d", "e"].iter().all(|name| bench.standing(name) == catena_core::Standing::Member));
}

#[test]
fn nodes_that_are_stopped_and_started_under_a_coordinator_that_goes_on_move_no_data() {
    let mut bench = Bench::new(config(8, 3, 4));
    for (name, rack) in [("a", "r1"), ("b", "r2"), ("c", "r3"), ("d", "r1")] {
        bench.add(name, &[("rack", rack)]);
    }
    let members = |bench: &Bench, slot| bench.shape(slot).split(' ').filter(|n| !n.contains(['+', '?'])).count();
    let whole = move |bench: &Bench| (0..8).all(|slot| members(bench, slot) == 3);
    bench.until("whole", whole);
    bench.run(3_000);
    for name in ["d", "b", "a", "c"] {
        bench.stop(name);
        bench.run(1_000);
    }
    for name in ["c", "a", "b", "d"] {
        bench.start(name);
        bench.run(1_000);
    }
    bench.until("whole", whole);
    bench.run(3_000);
    let histories: Vec<_> = (0..8).map(|slot| bench.shapes(slot)).collect();
    assert!(bench.nodes.values().all(|node| node.copies == 0), "{histories:#?}");
}

/// Between two looks at how evenly replicas are spread, its joins are being stored: it counts for nothing yet.
#[test]
fn whoever_comes_back_while_the_store_is_slow_is_given_no_more_than_it_had() {
    let mut bench = Bench::placed(config(6, 2, 3), &["a", "b", "c"]);
    bench.run(3_000);
    let copies = |bench: &Bench| {
        let members = |slot| bench.shape(slot).split(' ').map(|name| name.trim_matches(['+', '?']).to_owned()).collect();
        (0..6).map(members).collect::<Vec<std::collections::BTreeSet<String>>>()
    };
    let before = copies(&bench);
    bench.stop("b");
    bench.run(2_000);
    bench.store.delay = ms(120);
    bench.start("b");
    bench.run(5_000);
    assert_eq!(copies(&bench), before);
    assert!(bench.nodes.values().all(|node| node.copies == 0));
}

#[test]
fn one_that_is_evicted_meanwhile_is_awaited_no_more() {
    let mut bench = four();
    bench.stop("b");
    bench.run(2_000);
    assert_eq!(bench.shape(0), "a c");
    bench.obeyed(Order::Evict(id("b")));
    bench.run(2_000);
    assert_eq!(bench.shape(0), "a c d");
}
