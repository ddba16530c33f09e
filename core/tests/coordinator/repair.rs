//! Members that restart, die, or are the last.

use catena_core::{Health, Order, Slot, Wait};

use crate::bench::{Bench, config, id, ms};
use crate::node::Damage;

fn three(spares: &[&str]) -> Bench {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    for name in spares {
        bench.add(name, &[]);
    }
    bench.run(200);
    assert_eq!(bench.shape(0), "a b c");
    bench
}

#[test]
fn a_member_that_restarts_in_place_gets_a_newer_version_of_the_same_chain() {
    let mut bench = three(&[]);
    bench.kill("b");
    bench.run(100);
    bench.start("b");
    bench.run(100);
    assert_eq!(bench.shapes(0), ["a b c"]);
    assert!(bench.nodes[&id("b")].serves(Slot(0), bench.now));
    bench.run(2000);
    assert_eq!(bench.shapes(0).len(), 1);
}

#[test]
fn all_members_that_restart_at_once_go_on_with_the_same_chain() {
    let mut bench = three(&["d"]);
    for name in ["a", "b", "c"] {
        bench.kill(name);
    }
    bench.run(100);
    for name in ["a", "b", "c"] {
        bench.start(name);
    }
    bench.run(2000);
    assert_eq!(bench.shape(0), "a b c");
    assert!(bench.shapes(0).iter().all(|shape| shape == "a b c"));
    assert!(["a", "b", "c"].iter().all(|name| bench.nodes[&id(name)].serves(Slot(0), bench.now)));
}

#[test]
fn a_member_that_dies_is_replaced_by_a_spare() {
    for (dead, left) in [("a", "b c"), ("b", "a c"), ("c", "a b")] {
        let mut bench = three(&["d"]);
        let start = bench.now;
        bench.kill(dead);
        bench.until("cut", |bench| bench.shapes(0).first().is_some_and(|shape| shape == left));
        let took = bench.since(start);
        assert!(took > ms(550) && took < ms(900), "{dead} was cut after {took:?}");
        bench.run(2000);
        let joined = [left.to_owned(), format!("{left} +d"), format!("{left} d?"), format!("{left} d")];
        assert_eq!(bench.shapes(0), joined);
    }
}

#[test]
fn without_a_spare_the_chain_stays_short_until_the_dead_comes_back() {
    for (dead, left) in [("a", "b c"), ("b", "a c"), ("c", "a b")] {
        let mut bench = three(&[]);
        bench.kill(dead);
        bench.run(5000);
        assert_eq!(bench.shapes(0), [left]);
        assert_eq!(bench.status().waits[&Slot(0)], Wait::NoCandidate);
        bench.start(dead);
        bench.run(2000);
        assert_eq!(bench.shape(0), format!("{left} {dead}"));
        assert_eq!(bench.nodes[&id(dead)].copies, 0, "it had the data");
    }
}

#[test]
fn a_node_that_comes_back_is_preferred_to_one_without_the_data() {
    let mut bench = three(&[]);
    bench.kill("a");
    bench.run(2000);
    bench.add("d", &[]);
    let now = bench.now;
    bench.node("d").dial_at = now + ms(5);
    bench.start("a");
    bench.run(2000);
    assert_eq!(bench.shape(0), "b c a");
}

#[test]
fn a_member_that_is_cut_off_from_the_coordinator_leaves_once_its_lease_has_run_out() {
    let mut bench = three(&[]);
    bench.node("c").cut = true;
    bench.until("cut", |bench| bench.shape(0) == "a b");
    assert!(!bench.nodes[&id("c")].leased(bench.now));
    bench.run(2000);
    bench.node("c").cut = false;
    bench.until("back", |bench| bench.shape(0) == "a b c");
}

#[test]
fn a_member_that_is_paused_longer_than_everything_serves_nobody_when_it_wakes() {
    let mut bench = three(&[]);
    bench.node("c").paused = true;
    bench.run(5000);
    assert_eq!(bench.shape(0), "a b");
    bench.node("c").paused = false;
    bench.until("back", |bench| bench.shape(0) == "a b c");
}

#[test]
fn a_member_that_says_that_it_is_damaged_is_filled_anew() {
    for (damaged, left) in [("a", "b c"), ("b", "a c"), ("c", "a b")] {
        for damage in [Damage::Log, Damage::Object] {
            let mut bench = three(&[]);
            bench.node(damaged).damage(Slot(0), damage);
            bench.run(2000);
            let again =
                [left.to_owned(), format!("{left} +{damaged}"), format!("{left} {damaged}?"), format!("{left} {damaged}")];
            assert_eq!(bench.shapes(0), again);
            assert_eq!(bench.nodes[&id(damaged)].copies, 1, "nothing is left of what it had");
        }
    }
}

#[test]
fn damaged_copies_do_not_count_for_each_other() {
    for damage in [Damage::Log, Damage::Object] {
        let mut bench = three(&[]);
        for name in ["a", "b", "c"] {
            bench.node(name).damage(Slot(0), damage);
        }
        bench.run(2000);
        assert_eq!(bench.shape(0), "a b c");
        assert_eq!(bench.status().waits[&Slot(0)], Wait::LastCopy);
    }
}

#[test]
fn that_a_copy_was_damaged_in_the_version_before_is_not_forgotten() {
    let mut bench = three(&["d"]);
    bench.node("b").damage(Slot(0), Damage::Log);
    bench.kill("c");
    bench.kill("a");
    bench.run(3000);
    assert!(bench.shape(0).starts_with("a b c"), "{}: b alone has nothing", bench.shape(0));
    bench.start("a");
    bench.until("healed", |bench| !bench.shape(0).contains('+') && bench.shape(0).starts_with("a ") && bench.shape(0).len() > 3);
}

#[test]
fn the_last_copy_is_kept_however_dead_it_looks() {
    let mut bench = Bench::placed(config(1, 1, 1), &["a"]);
    bench.add("b", &[]);
    bench.kill("a");
    bench.run(5000);
    assert_eq!(bench.health("a"), Health::Dead);
    assert!(bench.shapes(0).is_empty());
    assert_eq!(bench.status().waits[&Slot(0)], Wait::LastCopy);
    bench.start("a");
    bench.run(1000);
    assert_eq!(bench.shape(0), "a");
    assert!(bench.nodes[&id("a")].serves(Slot(0), bench.now));
}

#[test]
fn when_all_die_at_once_the_first_that_comes_back_is_kept() {
    for (first, second) in [("a", "b"), ("b", "c"), ("c", "a")] {
        let mut config = config(1, 3, 3);
        config.restraint_percent = 100;
        let mut bench = Bench::placed(config, &["a", "b", "c"]);
        for name in ["a", "b", "c"] {
            bench.kill(name);
        }
        bench.run(5000);
        assert!(bench.shapes(0).is_empty(), "{:?}", bench.shapes(0));
        bench.start(first);
        bench.run(3000);
        assert_eq!(bench.shape(0), first);
        assert!(bench.nodes[&id(first)].serves(Slot(0), bench.now));
        bench.start(second);
        bench.run(3000);
        assert_eq!(bench.shape(0), format!("{first} {second}"));
    }
}

#[test]
fn copies_that_come_back_one_after_the_other_are_all_used() {
    let mut config = config(1, 3, 3);
    config.restraint_percent = 100;
    let mut bench = Bench::placed(config, &["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        bench.kill(name);
        bench.run(1500);
    }
    assert_eq!(bench.shape(0), "c");
    bench.start("a");
    bench.run(3000);
    assert_eq!(bench.shape(0), "c", "a has not got what c has");
    bench.start("c");
    bench.until("repaired", |bench| bench.shape(0) == "c a");
    bench.start("b");
    bench.until("whole", |bench| bench.shape(0) == "c a b");
}

#[test]
fn a_second_member_that_dies_during_the_repair_is_cut_too() {
    for second in ["a", "b"] {
        let mut bench = three(&["d", "e"]);
        bench.kill("c");
        bench.until("joining", |bench| bench.shape(0) == "a b +d");
        bench.kill(second);
        let left = if second == "a" { "b" } else { "a" };
        bench.until("whole", |bench| bench.shape(0) == format!("{left} d e"));
    }
}

#[test]
fn a_tail_that_is_not_ready_and_dies_is_cut_like_a_member() {
    let mut bench = three(&["d"]);
    bench.kill("c");
    bench.until("activated", |bench| bench.shape(0) == "a b d?");
    bench.kill("d");
    bench.until("cut", |bench| bench.shape(0) == "a b");
    bench.start("d");
    bench.until("whole", |bench| bench.shape(0) == "a b d");
}

#[test]
fn a_chain_whose_only_ready_copy_dies_waits_for_it() {
    let mut bench = Bench::placed(config(1, 2, 2), &["a", "b"]);
    bench.kill("b");
    bench.until("cut", |bench| bench.shape(0) == "a");
    bench.start("b");
    bench.until("activated", |bench| bench.shape(0) == "a b?");
    bench.kill("a");
    bench.run(5000);
    assert_eq!(bench.shape(0), "a b?", "b may lack what a has");
    bench.start("a");
    bench.until("ready", |bench| bench.shape(0) == "a b");
}

#[test]
fn two_neighbours_that_do_not_reach_each_other_are_parted() {
    let mut bench = three(&["d"]);
    bench.part("b", "c");
    bench.until("parted", |bench| bench.shape(0) == "a b d");
    bench.run(20_000);
    assert_eq!(bench.shape(0), "a b d");
}

#[test]
fn a_node_that_no_other_reaches_goes_whichever_neighbour_misses_it_first() {
    for (lonely, rest) in [("a", ["b", "c", "d", "e"]), ("b", ["a", "c", "d", "e"]), ("c", ["a", "b", "d", "e"])] {
        let mut bench = three(&["d", "e"]);
        for other in rest {
            bench.part(lonely, other);
        }
        bench.until("whole without it", |bench| bench.shape(0).len() == 5 && !bench.shape(0).contains(lonely));
        bench.run(5_000);
        assert!(!bench.shape(0).contains(lonely), "{lonely}: {:?}", bench.shapes(0));
    }
}

#[test]
fn when_no_node_reaches_another_few_are_taken_out_and_the_rest_wait() {
    let mut bench = three(&["d", "e"]);
    let names = ["a", "b", "c", "d", "e"];
    for a in names {
        for b in names.iter().filter(|b| **b > a) {
            bench.part(a, b);
        }
    }
    bench.run(10_000);
    assert_eq!(bench.audit.taken_out(Slot(0)).len(), 2, "of five, 34 % rounded up: {:?}", bench.shapes(0));
}

#[test]
fn a_silent_neighbour_that_nobody_knows_is_no_reason_for_anything() {
    let mut bench = three(&["d"]);
    bench.node("a").accuse(Slot(0), id("nobody"));
    bench.run(2_000);
    assert_eq!(bench.shape(0), "a b c");
}

#[test]
fn a_heartbeat_that_was_on_its_way_when_a_removal_was_planned_says_nothing_of_the_copy() {
    let mut bench = three(&[]);
    // Every heartbeat takes longer than a fence takes to be acknowledged.
    bench.delay = Box::new(|| ms(60));
    bench.run(500);
    bench.kill("b");
    bench.obeyed(Order::Evict(id("c")));
    bench.until("cut", |bench| bench.shape(0) == "a b" || bench.shape(0) == "a c" || bench.shape(0) == "a");
}
