//! Replicas that are filled (C9, C11, J3).

use catena_core::{Order, Slot, Wait};

use crate::bench::{Bench, config, id, ms};

/// {a, b}, behind which d joins.
fn joining(spares: &[&str]) -> Bench {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.add("d", &[]);
    for name in spares {
        bench.add(name, &[]);
    }
    bench.run(200);
    bench.node("d").stalled = true;
    bench.kill("c");
    bench.until("joining", |bench| bench.shape(0) == "a b +d");
    bench
}

#[test]
fn a_replica_is_activated_when_it_has_caught_up_and_counts_when_it_says_that_it_is_ready() {
    let mut bench = joining(&[]);
    bench.run(3000);
    assert_eq!(bench.shape(0), "a b +d");
    assert_eq!(bench.status().waits[&Slot(0)], Wait::Joining);
    bench.node("d").stalled = false;
    bench.until("activated", |bench| bench.shape(0) == "a b d?");
    bench.node("d").stalled = true;
    bench.run(3000);
    assert_eq!(bench.shape(0), "a b d?", "it has not said that it is ready");
    bench.node("d").stalled = false;
    bench.until("ready", |bench| bench.shape(0) == "a b d");
}

#[test]
fn nobody_joins_behind_a_tail_that_is_not_ready() {
    let mut bench = joining(&["e"]);
    bench.node("d").stalled = false;
    bench.until("activated", |bench| bench.shape(0) == "a b d?");
    bench.node("d").stalled = true;
    bench.kill("a");
    bench.run(3000);
    assert_eq!(bench.shape(0), "b d?");
    bench.node("d").stalled = false;
    bench.until("whole", |bench| bench.shape(0) == "b d e");
}

#[test]
fn a_joiner_that_dies_is_given_up_for_another() {
    let mut bench = joining(&["e"]);
    bench.kill("d");
    bench.until("whole", |bench| bench.shape(0) == "a b e");
    assert_eq!(bench.shapes(0)[2..], ["a b", "a b +e", "a b e?", "a b e"]);
}

#[test]
fn a_joiner_that_dies_and_comes_back_is_tried_again_when_there_is_no_other() {
    let mut bench = joining(&[]);
    bench.kill("d");
    bench.until("given up", |bench| bench.shape(0) == "a b");
    bench.start("d");
    bench.node("d").stalled = false;
    bench.until("whole", |bench| bench.shape(0) == "a b d");
}

#[test]
fn a_joiner_that_restarts_goes_on_in_the_same_version() {
    let mut bench = joining(&[]);
    let versions = bench.shapes(0).len();
    bench.kill("d");
    bench.run(100);
    bench.start("d");
    bench.node("d").stalled = false;
    bench.until("whole", |bench| bench.shape(0) == "a b d");
    assert_eq!(bench.shapes(0).len(), versions + 2);
}

#[test]
fn a_joiner_that_comes_back_with_an_empty_disk_begins_anew() {
    let mut bench = joining(&[]);
    bench.kill("d");
    bench.node("d").wipe();
    bench.run(600);
    bench.node("d").stalled = false;
    bench.start("d");
    bench.until("whole", |bench| bench.shape(0) == "a b d");
    assert_eq!(bench.store.chain(Slot(0)).unwrap().tail().incarnation, bench.nodes[&id("d")].record.incarnation);
}

#[test]
fn a_joiner_that_its_source_does_not_reach_is_given_up_for_another() {
    let mut bench = joining(&["e"]);
    bench.part("b", "d");
    bench.until("whole", |bench| bench.shape(0) == "a b e");
}

#[test]
fn without_another_a_joiner_that_its_source_did_not_reach_is_tried_again_every_quarter_of_the_patience() {
    let mut bench = joining(&[]);
    bench.part("b", "d");
    bench.until("given up", |bench| bench.shape(0) == "a b");
    assert_eq!(bench.status().waits[&Slot(0)], Wait::Turn, "there is somebody to wait for");
    let (given_up, start) = (bench.shapes(0).len(), bench.now);
    bench.run(11_000);
    let tries = bench.shapes(0)[given_up..].iter().filter(|shape| *shape == "a b +d").count();
    assert!((3..=4).contains(&tries), "{:?}", bench.shapes(0));
    bench.apart.clear();
    bench.node("d").stalled = false;
    bench.until("whole", |bench| bench.shape(0) == "a b d");
    assert!(bench.since(start) < ms(11_000 + 4_000));
}

#[test]
fn when_the_source_dies_the_join_goes_on_behind_the_next_tail() {
    let mut bench = joining(&["e"]);
    bench.kill("b");
    bench.until("cut", |bench| bench.shape(0) == "a +d");
    bench.node("d").stalled = false;
    bench.until("whole", |bench| bench.shape(0) == "a d e");
    assert_eq!(bench.shapes(0)[2..], ["a +d", "a d?", "a d", "a d +e", "a d e?", "a d e"]);
}

#[test]
fn a_joiner_that_is_drained_or_evicted_is_given_up() {
    for order in [Order::Drain(id("d")), Order::Evict(id("d"))] {
        let mut bench = joining(&["e"]);
        bench.obeyed(order);
        bench.until("whole", |bench| bench.shape(0) == "a b e");
    }
}

#[test]
fn a_node_takes_part_in_so_many_joins_at_a_time() {
    let mut config = config(12, 2, 2);
    config.joins_per_node = 2;
    let mut bench = Bench::placed(config, &["a", "b"]);
    bench.add("c", &[]);
    bench.node("c").stalled = true;
    bench.kill("b");
    bench.run(3000);
    let node =
        |name: &str, bench: &Bench| bench.status().nodes.iter().find(|n| n.stored.record.node == id(name)).unwrap().joining;
    assert_eq!(node("c", &bench), 2);
    assert!(bench.status().waits.values().any(|wait| *wait == Wait::Turn));
    bench.node("c").stalled = false;
    bench.until("whole", |bench| (0..12).all(|slot| bench.shape(slot) == "a c"));
}

#[test]
fn a_whole_chain_lets_nodes_forget_what_is_left_over() {
    let mut bench = joining(&[]);
    bench.node("d").stalled = false;
    bench.start("c");
    bench.until("whole", |bench| bench.shape(0) == "a b d");
    bench.until("forgotten", |bench| !bench.nodes[&id("c")].replicas[&Slot(0)].has_data);
    bench.run(1000);
    assert!(bench.nodes[&id("c")].answer.clone().unwrap().decisions.drops.is_empty());
    assert!(bench.nodes[&id("a")].replicas[&Slot(0)].has_data);
}

#[test]
fn nothing_is_forgotten_while_the_chain_is_short() {
    let mut bench = joining(&[]);
    bench.start("c");
    bench.run(3000);
    assert_eq!(bench.shape(0), "a b +d");
    assert!(bench.nodes[&id("c")].replicas[&Slot(0)].has_data);
    assert!(bench.now > ms(3000));
}
