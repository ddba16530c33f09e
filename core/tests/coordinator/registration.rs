//! Who is let in, and when the first chains are placed.

use catena_core::{CoordinatorEffect, CoordinatorEvent, Health, Incarnation, NodeRecord, Order, RegisterError};

use crate::bench::{Bench, config, id, ms, record};

#[test]
fn a_new_node_is_let_in_once_it_is_stored() {
    let mut bench = Bench::new(config(1, 1, 1));
    bench.store.delay = ms(20);
    bench.until("leading", |bench| bench.leading().is_some());
    bench.add("a", &[]);
    bench.run(15);
    assert!(bench.admitted.is_empty() && bench.store.nodes.is_empty());
    bench.run(50);
    assert_eq!(bench.admitted, [id("a")]);
    assert!(bench.store.nodes.contains_key(&id("a")));
}

#[test]
fn a_node_is_ready_only_after_its_first_heartbeat() {
    let mut bench = Bench::new(config(1, 1, 1));
    bench.add("a", &[]);
    bench.node("a").mute = true;
    bench.run(300);
    assert_eq!((bench.health("a"), bench.shape(0).as_str()), (Health::Unheard, ""));
    bench.node("a").mute = false;
    bench.run(50);
    assert_eq!((bench.health("a"), bench.shape(0).as_str()), (Health::Healthy, "a"));
}

#[test]
fn a_node_that_never_sends_a_heartbeat_dies() {
    let mut bench = Bench::new(config(1, 1, 1));
    bench.add("a", &[]);
    bench.add("b", &[]);
    bench.node("a").mute = true;
    bench.until("dead", |bench| bench.leading().is_some() && bench.status().nodes.iter().any(|node| node.health == Health::Dead));
    assert!(bench.now < ms(1000), "{:?} {:?}", bench.now, bench.notes);
}

#[test]
fn registering_again_changes_nothing() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    let before = bench.store.nodes.clone();
    let now = bench.now;
    let node = bench.node("a");
    (node.stream, node.dial_at) = (None, now);
    bench.run(300);
    assert_eq!(bench.store.nodes, before);
    assert_eq!(bench.admitted.iter().filter(|node| **node == id("a")).count(), 2);
    assert!(bench.refused.is_empty() && bench.shapes(0).is_empty());
}

#[test]
fn another_directory_is_refused_while_the_first_is_alive() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.kill("a");
    bench.node("a").wipe();
    bench.start("a");
    bench.run(100);
    assert!(matches!(&bench.refused[0], RegisterError::Elsewhere { node, incarnation: Incarnation(1), .. } if *node == id("a")));
    bench.until("let in", |bench| bench.nodes[&id("a")].answer.is_some());
    assert!(bench.now > ms(600), "its lease has run out");
}

#[test]
fn another_directory_takes_the_place_of_a_dead_one_and_joins_as_a_new_replica() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.kill("b");
    bench.node("b").wipe();
    bench.run(2000);
    assert_eq!(bench.shape(0), "a c");
    bench.start("b");
    bench.until("whole", |bench| bench.shape(0) == "a c b");
    let chain = bench.store.chain(catena_core::Slot(0)).unwrap().clone();
    assert_eq!(chain.tail().incarnation, bench.nodes[&id("b")].record.incarnation);
    assert_eq!(bench.nodes[&id("b")].copies, 1);
}

#[test]
fn a_wiped_member_is_no_member_even_before_it_counts_as_dead() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.kill("c");
    bench.node("c").wipe();
    bench.run(600);
    bench.start("c");
    bench.until("let in", |bench| bench.nodes[&id("c")].answer.is_some());
    bench.run(100);
    assert!(!bench.shapes(0).is_empty(), "at once");
    bench.until("whole", |bench| bench.shape(0) == "a b c" && bench.shapes(0).len() > 1);
    assert_eq!(bench.shapes(0)[0], "a b");
}

#[test]
fn another_address_is_refused_while_the_node_is_alive_and_recorded_once_it_is_not() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.kill("a");
    bench.node("a").record.address = "a:7001".to_owned();
    bench.start("a");
    bench.until("refused", |bench| !bench.refused.is_empty());
    assert!(matches!(&bench.refused[0], RegisterError::Elsewhere { address, .. } if address == "a:7000"));
    bench.until("moved", |bench| bench.nodes[&id("a")].answer.is_some());
    bench.run(300);
    let told = bench.nodes[&id("b")].answer.clone().unwrap();
    assert!(told.nodes.is_empty(), "what has been applied is not repeated");
    let known = &bench.seats[0].coordinator.route().unwrap().nodes[0];
    assert_eq!(known.address, "a:7001");
}

#[test]
fn an_address_at_which_another_node_is_alive_is_refused_and_given_once_it_is_not() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.add("d", &[]);
    bench.node("d").record.address = "b:7000".to_owned();
    bench.until("refused", |bench| !bench.refused.is_empty());
    let refused = bench.refused[0].to_string();
    assert!(refused.contains("b:7000 is where node b is alive"), "{refused}");
    bench.run(1_000);
    assert!(!bench.store.nodes.contains_key(&id("d")), "nothing changes");
    bench.kill("b");
    let killed = bench.now;
    bench.until("let in", |bench| bench.store.nodes.contains_key(&id("d")));
    assert!(bench.since(killed) >= ms(200), "not while it may hold a lease");
}

#[test]
fn other_labels_under_the_same_directory_are_refused_by_name() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.kill("a");
    bench.node("a").record = record("a", 1, &[("rack", "r9")]);
    bench.run(1000);
    bench.start("a");
    bench.run(100);
    let refused = bench.refused[0].to_string();
    assert!(refused.contains("labels none") && refused.contains("rack=r9"), "{refused}");
}

#[test]
fn of_those_who_cannot_both_be_there_one_is_let_in_also_while_neither_is_stored() {
    let mut bench = Bench::new(config(1, 1, 1));
    bench.until("leading", |bench| bench.leading().is_some());
    bench.store.delay = ms(50);
    let mut out = Vec::new();
    let now = bench.seats[0].time(bench.now);
    let coordinator = &mut bench.seats[0].coordinator;
    coordinator.step(now, CoordinatorEvent::Register(record("a", 1, &[])), &mut out);
    out.clear();
    coordinator.step(now, CoordinatorEvent::Register(record("a", 2, &[])), &mut out);
    assert!(matches!(&out[0], CoordinatorEffect::Refused { reason: RegisterError::Elsewhere { .. }, .. }));
    out.clear();
    let beside = NodeRecord { address: "a:7000".to_owned(), ..record("b", 3, &[]) };
    coordinator.step(now, CoordinatorEvent::Register(beside), &mut out);
    assert!(matches!(&out[0], CoordinatorEffect::Refused { reason: RegisterError::AddressTaken { .. }, .. }));
    out.clear();
    coordinator.step(now, CoordinatorEvent::Register(record("a", 1, &[])), &mut out);
    assert!(!out.iter().any(|effect| matches!(effect, CoordinatorEffect::Refused { .. })), "{out:?}");
}

#[test]
fn what_a_node_has_reported_survives_every_change_of_its_record_but_a_registration() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c", "d"]);
    let admitted = bench.admitted.len();
    bench.obeyed(Order::Drain(id("a")));
    bench.obeyed(Order::Readmit(id("a")));
    bench.run(2000);
    assert_eq!(bench.admitted.len(), admitted, "an order lets nobody in");
}

#[test]
fn one_that_is_refused_for_its_labels_again_and_again_dies_all_the_same() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.kill("c");
    bench.restart_coordinator(0);
    bench.node("c").record.labels.insert("rack".to_owned(), "other".to_owned());
    bench.start("c");
    for _ in 0..100 {
        let now = bench.now;
        let node = bench.node("c");
        (node.stream, node.dial_at) = (None, now);
        bench.run(50);
    }
    assert!(bench.refused.iter().any(|reason| matches!(reason, RegisterError::OtherLabels { .. })));
    assert_eq!(bench.shape(0), "a b");
}
