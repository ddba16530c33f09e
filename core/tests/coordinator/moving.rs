//! Draining, evicting, readmitting, balancing.

use catena_core::{Eviction, Order, OrderError, Slot, Standing};

use crate::bench::{Bench, config, id, ms};

fn with_spares(nodes: &[&str]) -> Bench {
    let mut config = config(1, 3, 3);
    config.restraint_percent = 100;
    let mut bench = Bench::placed(config, &["a", "b", "c"]);
    for name in nodes {
        bench.add(name, &[]);
    }
    bench.run(200);
    bench
}

fn replicas(bench: &Bench, name: &str) -> u32 {
    bench.status().nodes.iter().find(|node| node.stored.record.node == id(name)).unwrap().replicas
}

#[test]
fn a_drained_member_goes_once_another_copy_is_ready() {
    for (drained, left) in [("a", "b c d"), ("b", "a c d"), ("c", "a b d")] {
        let mut bench = with_spares(&["d"]);
        bench.obeyed(Order::Drain(id(drained)));
        bench.until("drained", |bench| bench.shape(0) == left);
        assert_eq!(bench.shapes(0), ["a b c +d", "a b c d?", "a b c d", left]);
        bench.until("forgotten", |bench| !bench.nodes[&id(drained)].replicas[&Slot(0)].has_data);
        bench.run(5000);
        assert_eq!(bench.shape(0), left);
    }
}

#[test]
fn a_member_that_is_drained_is_fenced_before_it_is_cut() {
    let mut bench = with_spares(&["d"]);
    bench.obeyed(Order::Drain(id("a")));
    bench.until("ready", |bench| bench.shape(0) == "a b c d");
    bench.node("a").cut = true;
    bench.run(300);
    assert_eq!(bench.shape(0), "a b c d", "a has not acknowledged its fence, and may have a lease");
    bench.until("cut", |bench| bench.shape(0) == "b c d");
    assert!(!bench.nodes[&id("a")].leased(bench.now));
}

#[test]
fn two_members_of_a_chain_are_drained_at_once() {
    let mut bench = with_spares(&["d", "e"]);
    bench.obeyed(Order::Drain(id("a")));
    bench.obeyed(Order::Drain(id("c")));
    bench.until("drained", |bench| bench.shape(0) == "b d e");
    assert!(bench.shapes(0).iter().all(|shape| shape.split(' ').filter(|name| !name.contains(['+', '?'])).count() >= 3));
}

#[test]
fn a_drain_without_room_is_refused() {
    let mut bench = with_spares(&[]);
    let error = bench.refusal(Order::Drain(id("a")));
    assert_eq!(error, OrderError::NoRoom { slot: Slot(0), node: id("a"), replicas: 3, possible: 2 });
}

#[test]
fn an_order_about_an_unknown_node_is_refused() {
    let mut bench = with_spares(&[]);
    for order in [Order::Drain(id("x")), Order::Evict(id("x")), Order::Readmit(id("x"))] {
        let error = bench.refusal(order);
        assert_eq!(error, OrderError::UnknownNode { node: id("x"), known: "a, b, c".to_owned() });
    }
}

#[test]
fn an_order_that_is_carried_out_already_changes_nothing() {
    let mut bench = with_spares(&["d"]);
    assert_eq!(bench.refusal(Order::Readmit(id("a"))), OrderError::NotOut { node: id("a") });
    bench.obeyed(Order::Drain(id("a")));
    bench.run(2000);
    let before = bench.store.everything();
    bench.obeyed(Order::Drain(id("a")));
    assert_eq!(bench.store.everything(), before);
}

#[test]
fn an_evicted_member_goes_at_once_and_the_chain_is_repaired() {
    for (evicted, left) in [("a", "b c"), ("b", "a c"), ("c", "a b")] {
        let mut bench = with_spares(&["d"]);
        let start = bench.now;
        bench.obeyed(Order::Evict(id(evicted)));
        bench.until("cut", |bench| bench.shape(0).starts_with(left));
        assert!(bench.since(start) < ms(100), "fenced, not waited for");
        bench.until("whole", |bench| bench.shape(0) == format!("{left} d"));
        assert!(matches!(bench.standing(evicted), Standing::Evicted { reason: Eviction::Ordered, .. }));
    }
}

#[test]
fn the_last_copy_is_not_evicted() {
    let mut bench = with_spares(&[]);
    bench.kill("b");
    bench.kill("c");
    bench.until("alone", |bench| bench.shape(0) == "a");
    assert_eq!(bench.refusal(Order::Evict(id("a"))), OrderError::LastCopy { slot: Slot(0), node: id("a") });
}

#[test]
fn when_all_members_are_evicted_the_last_serves_until_others_have_its_data() {
    let mut bench = with_spares(&["d", "e", "f"]);
    let requests = ["a", "b", "c"].map(|name| bench.order(Order::Evict(id(name))));
    bench.until("obeyed", |bench| requests.iter().all(|request| bench.done.contains_key(request)));
    bench.until("moved", |bench| {
        let members = bench.shape(0);
        members.len() == 5 && !members.contains(['a', 'b', 'c'])
    });
}

#[test]
fn an_evicted_last_copy_that_restarts_goes_on_serving() {
    let mut bench = with_spares(&[]);
    let requests = ["a", "b", "c"].map(|name| bench.order(Order::Evict(id(name))));
    bench.until("obeyed", |bench| requests.iter().all(|request| bench.done.contains_key(request)));
    bench.until("alone", |bench| bench.shape(0).len() == 1);
    let last = bench.shape(0);
    bench.run(1000);
    assert!(bench.nodes[&id(&last)].serves(Slot(0), bench.now), "a last copy is not fenced");
    bench.kill(&last);
    bench.run(100);
    bench.start(&last);
    bench.run(1000);
    assert!(bench.nodes[&id(&last)].serves(Slot(0), bench.now));
}

#[test]
fn a_readmitted_node_takes_part_again() {
    let mut bench = with_spares(&["d"]);
    bench.obeyed(Order::Evict(id("a")));
    bench.until("whole", |bench| bench.shape(0) == "b c d");
    bench.obeyed(Order::Readmit(id("a")));
    bench.kill("c");
    bench.until("whole", |bench| bench.shape(0) == "b d a");
}

#[test]
fn a_drain_that_is_taken_back_leaves_the_member() {
    let mut bench = with_spares(&["d"]);
    bench.node("d").stalled = true;
    bench.obeyed(Order::Drain(id("a")));
    bench.until("joining", |bench| bench.shape(0) == "a b c +d");
    bench.obeyed(Order::Readmit(id("a")));
    bench.node("d").stalled = false;
    bench.run(5000);
    assert_eq!(bench.shape(0).split(' ').count(), 3);
}

/// Found by seed 20009 of the simulated world, once it looked at racks.
#[test]
fn a_chain_that_is_left_with_two_of_one_rack_is_spread_again() {
    let mut config = config(1, 3, 3);
    config.restraint_percent = 100;
    let mut bench = Bench::new(config);
    bench.until("leading", |bench| bench.leading().is_some());
    for (name, rack) in [("a", "1"), ("b", "2"), ("c", "3"), ("d", "1")] {
        bench.add(name, &[("rack", rack)]);
    }
    bench.until("placed", |bench| bench.shape(0).split(' ').count() == 3);
    let of_rack = |bench: &Bench| bench.shape(0).split(' ').filter(|name| ["a", "d", "+a", "+d"].contains(name)).count();
    let (drained, joins) = if bench.shape(0).contains('a') { ("a", "d") } else { ("d", "a") };
    bench.node(joins).stalled = true;
    bench.obeyed(Order::Drain(id(drained)));
    bench.until("joining", |bench| bench.shape(0).contains('+'));
    bench.obeyed(Order::Readmit(id(drained)));
    bench.kill("b");
    bench.until("cut", |bench| !bench.shape(0).contains('b'));
    bench.node(joins).stalled = false;
    bench.run(3_000);
    assert_eq!(of_rack(&bench), 2, "{}", bench.shape(0));
    bench.start("b");
    bench.until("spread", |bench| of_rack(bench) == 1 && bench.shape(0).split(' ').count() == 3);
}

#[test]
fn a_new_node_gets_its_share_and_balancing_stops() {
    let mut bench = Bench::placed(config(24, 2, 2), &["a", "b"]);
    bench.add("c", &[]);
    bench.add("d", &[]);
    bench.until("balanced", |bench| ["a", "b", "c", "d"].iter().all(|name| replicas(bench, name) == 12));
    bench.run(2000);
    let versions: usize = (0..24).map(|slot| bench.shapes(slot).len()).sum();
    bench.run(20_000);
    assert_eq!((0..24).map(|slot| bench.shapes(slot).len()).sum::<usize>(), versions, "it stops");
    assert!((0..24).all(|slot| bench.shape(slot).split(' ').count() == 2));
}

#[test]
fn balancing_reaches_a_spread_of_one() {
    let mut bench = Bench::placed(config(20, 3, 3), &["a", "b", "c"]);
    for name in ["d", "e", "f", "g"] {
        bench.add(name, &[]);
    }
    let spread = |bench: &Bench| {
        let counts: Vec<u32> = bench.status().nodes.iter().map(|node| node.replicas).collect();
        (counts.iter().sum::<u32>(), counts.iter().max().unwrap() - counts.iter().min().unwrap())
    };
    bench.until("balanced", |bench| spread(bench) == (60, 1));
    bench.run(5000);
    assert_eq!(spread(&bench), (60, 1));
}

#[test]
fn so_many_slots_are_balanced_at_a_time() {
    let mut config = config(40, 2, 2);
    config.changing_slots = 3;
    let mut bench = Bench::placed(config, &["a", "b"]);
    bench.add("c", &[]);
    bench.node("c").stalled = true;
    bench.run(3000);
    assert_eq!((0..40).filter(|slot| bench.shape(*slot).contains('+')).count(), 3);
}

#[test]
fn of_two_drains_for_which_there_is_no_room_together_the_second_is_refused() {
    let mut bench = with_spares(&["d"]);
    bench.store.delay = ms(50);
    let requests = [bench.order(Order::Drain(id("a"))), bench.order(Order::Drain(id("b")))];
    bench.until("judged", |bench| requests.iter().all(|request| bench.done.contains_key(request)));
    assert_eq!(bench.done[&requests[0]], Ok(()));
    assert!(matches!(bench.done[&requests[1]], Err(OrderError::NoRoom { .. })), "{:?}", bench.done);
    bench.until("drained", |bench| bench.shape(0) == "b c d");
}

#[test]
fn where_chains_are_short_for_want_of_racks_a_node_can_still_be_drained() {
    let mut config = config(1, 3, 3);
    config.restraint_percent = 100;
    let mut bench = Bench::new(config);
    bench.until("leading", |bench| bench.leading().is_some());
    for (name, rack) in [("a", "1"), ("b", "2"), ("c", "2")] {
        bench.add(name, &[("rack", rack)]);
    }
    bench.until("placed", |bench| !bench.shape(0).is_empty());
    let drained = bench.shape(0).split(' ').find(|name| *name != "a").unwrap().to_owned();
    bench.obeyed(Order::Drain(id(&drained)));
    let other = if drained == "b" { "c" } else { "b" };
    bench.until("drained", |bench| bench.shape(0).contains(other) && !bench.shape(0).contains(&drained));
}

#[test]
fn evicting_a_member_whose_other_copies_are_dead_is_refused() {
    let mut config = config(1, 3, 3);
    config.restraint_percent = 1;
    let mut bench = Bench::placed(config, &["a", "b", "c"]);
    bench.kill("c");
    bench.until("cut", |bench| bench.shape(0) == "a b");
    bench.kill("b");
    bench.run(3_000);
    assert_eq!(bench.shape(0), "a b", "the failure detector holds back");
    assert_eq!(bench.refusal(Order::Evict(id("a"))), OrderError::LastCopy { slot: Slot(0), node: id("a") });
}

#[test]
fn a_chain_that_cannot_be_whole_does_not_keep_others_from_being_balanced() {
    let mut config = config(12, 1, 2);
    config.restraint_percent = 100;
    let mut bench = Bench::placed(config, &["a", "b"]);
    bench.kill("b");
    bench.run(3_000);
    bench.add("c", &[]);
    bench.until("balanced", |bench| replicas(bench, "a") == 3 && replicas(bench, "c") == 3);
}
