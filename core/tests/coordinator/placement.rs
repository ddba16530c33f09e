//! Who gets which replica (K5).

use std::collections::BTreeMap;

use catena_core::{Chain, Slot, Wait};

use crate::bench::{Bench, config, id};

fn chains(bench: &Bench) -> Vec<Vec<String>> {
    let names = |chain: &Chain| chain.members.iter().map(|member| member.node.to_string()).collect();
    bench.store.chains.keys().map(|slot| names(bench.store.chain(*slot).unwrap())).collect()
}

fn place(order: &[&str], labels: fn(&str) -> &'static str, slots: u32) -> Bench {
    let founders = u32::try_from(order.len()).unwrap();
    let mut bench = Bench::new(config(slots, 3, founders));
    bench.until("leading", |bench| bench.leading().is_some());
    for name in order {
        match labels(name) {
            "" => bench.add(name, &[]),
            rack => bench.add(name, &[("rack", rack)]),
        }
        bench.run(35);
    }
    bench.until("placed", |bench| bench.store.chains.len() == slots as usize);
    bench
}

/// The most and the fewest of heads, tails and replicas that nodes have.
fn spreads(bench: &Bench) -> [u32; 3] {
    let nodes = bench.status().nodes;
    let spread = |counts: Vec<u32>| counts.iter().max().unwrap() - counts.iter().min().unwrap();
    [
        spread(nodes.iter().map(|node| node.heads).collect()),
        spread(nodes.iter().map(|node| node.tails).collect()),
        spread(nodes.iter().map(|node| node.replicas).collect()),
    ]
}

#[test]
fn nothing_is_placed_before_all_founders_are_there() {
    let mut bench = Bench::new(config(4, 2, 3));
    bench.add("a", &[]);
    bench.add("b", &[]);
    bench.run(2000);
    assert!(bench.store.chains.is_empty());
    bench.add("c", &[]);
    bench.run(300);
    assert_eq!(bench.store.chains.len(), 4);
}

#[test]
fn heads_tails_and_replicas_are_spread_evenly() {
    let bench = place(&["a", "b", "c", "d", "e"], |_| "", 50);
    let [heads, tails, replicas] = spreads(&bench);
    assert!(replicas <= 1 && heads <= 2 && tails <= 2, "heads {heads}, tails {tails}, replicas {replicas}");
}

#[test]
fn the_order_of_registration_does_not_matter() {
    let one = place(&["a", "b", "c", "d", "e"], |_| "", 20);
    let other = place(&["d", "a", "e", "c", "b"], |_| "", 20);
    assert_eq!(chains(&one), chains(&other));
}

#[test]
fn replicas_of_a_chain_are_in_different_failure_domains() {
    let rack = |name: &str| match name {
        "a" | "b" => "r1",
        "c" | "d" => "r2",
        _ => "r3",
    };
    let bench = place(&["a", "b", "c", "d", "e", "f"], rack, 24);
    for chain in chains(&bench) {
        let mut racks: Vec<&str> = chain.iter().map(|name| rack(name)).collect();
        racks.sort_unstable();
        assert_eq!(racks, ["r1", "r2", "r3"], "{chain:?}");
    }
    assert!(spreads(&bench)[2] <= 1);
}

#[test]
fn a_chain_is_shorter_where_no_legal_placement_exists_and_heals_when_one_does() {
    let mut bench = place(&["a", "b", "c"], |name| if name == "c" { "r2" } else { "r1" }, 2);
    bench.run(500);
    assert!(chains(&bench).iter().all(|chain| chain.len() == 2));
    assert_eq!(bench.status().waits, BTreeMap::from([(Slot(0), Wait::NoCandidate), (Slot(1), Wait::NoCandidate)]));
    bench.add("d", &[("rack", "r3")]);
    bench.until("whole", |bench| chains(bench).iter().all(|chain| chain.len() == 3 && chain[2] == "d"));
    bench.run(500);
    assert!(bench.status().waits.is_empty());
}

#[test]
fn a_spare_in_the_wrong_failure_domain_is_not_used() {
    let rack = |name: &str| match name {
        "a" | "d" => "r1",
        "b" => "r2",
        _ => "r3",
    };
    let mut bench = place(&["a", "b", "c"], rack, 1);
    bench.add("d", &[("rack", "r1")]);
    bench.run(200);
    let head = chains(&bench)[0][0].clone();
    assert_eq!(head, "a");
    bench.kill("c");
    bench.run(3000);
    assert_eq!(bench.shape(0), "a b");
    assert_eq!(bench.status().waits[&Slot(0)], Wait::NoCandidate);
    bench.kill("a");
    bench.until("repaired", |bench| bench.shape(0) == "b d");
    bench.start("c");
    bench.until("whole", |bench| bench.shape(0) == "b d c");
    assert!(bench.nodes.contains_key(&id("d")));
}

#[test]
fn nodes_that_go_together_are_found_also_where_the_first_ones_do_not() {
    let mut bench = Bench::new(config(4, 2, 3));
    bench.until("leading", |bench| bench.leading().is_some());
    bench.add("a", &[("rack", "1"), ("zone", "1")]);
    bench.add("b", &[("rack", "1")]);
    bench.add("c", &[("zone", "1")]);
    bench.until("placed", |bench| bench.store.chains.len() == 4);
    assert!(chains(&bench).iter().all(|chain| chain.len() == 2), "{:?}", chains(&bench));
}
