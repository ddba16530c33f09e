//! Coordinators that follow each other (C1, C5).

use catena_core::{
    CoordinatorEffect, CoordinatorEvent, Epoch, Health, Heartbeat, Order, OrderError, Presence, RollCall, Slot, Succession,
};

use crate::bench::{Bench, config, id, ms};

fn shared() -> Bench {
    let mut config = config(1, 3, 3);
    config.succession = Succession::Shared { claim: ms(2000), renew: ms(250) };
    let mut bench = Bench::placed(config, &["a", "b", "c"]);
    bench.add_seat();
    bench.add("d", &[]);
    bench.run(1000);
    assert_eq!((bench.leading(), bench.seats[1].coordinator.epoch()), (Some(0), None));
    bench
}

fn unchanged(bench: &Bench) -> bool {
    bench.shapes(0).is_empty()
}

#[test]
fn a_leader_that_dies_is_followed_and_nobody_is_evicted_for_it() {
    let mut bench = shared();
    let epoch = bench.store.leadership.epoch;
    bench.stop_coordinator(0);
    bench.until("followed", |bench| bench.leading() == Some(1));
    assert!(bench.store.leadership.epoch > epoch);
    bench.run(3000);
    assert!(unchanged(&bench));
    assert!(["a", "b", "c", "d"].iter().all(|name| bench.health(name) == Health::Healthy));
    bench.kill("a");
    bench.until("repaired", |bench| bench.shape(0) == "b c d");
}

#[test]
fn a_leader_that_renews_is_not_followed() {
    let mut bench = shared();
    let epoch = bench.store.leadership.epoch;
    bench.run(30_000);
    assert_eq!((bench.store.leadership.epoch, bench.leading()), (epoch, Some(0)));
}

#[test]
fn a_leader_that_does_not_reach_the_store_grants_nothing_once_its_claim_may_have_run_out() {
    let mut bench = shared();
    let start = bench.now;
    bench.seats[0].storeless = true;
    bench.until("followed", |bench| bench.leading() == Some(1));
    assert!(bench.nodes.values().all(|node| node.lease_until < Some(start + ms(2000 + 600))));
    bench.until("leased", |bench| bench.nodes[&id("a")].leased(bench.now));
    bench.run(3000);
    assert!(unchanged(&bench));
}

#[test]
fn a_leader_that_was_followed_while_it_paused_follows_when_it_wakes() {
    let mut bench = shared();
    bench.seats[0].paused = true;
    bench.until("followed", |bench| bench.leading() == Some(1));
    bench.run(1000);
    let before = bench.store.everything();
    bench.seats[0].paused = false;
    bench.run(1000);
    assert_eq!(bench.seats[0].coordinator.epoch(), None);
    assert_eq!(bench.store.everything(), before);
}

#[test]
fn a_new_leader_waits_for_leases_that_the_one_before_may_have_granted() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.run(500);
    bench.kill("c");
    bench.restart_coordinator(0);
    bench.until("leading", |bench| bench.leading().is_some());
    let start = bench.now;
    bench.until("cut", |bench| bench.shape(0) == "a b");
    let took = bench.since(start);
    assert!(took >= ms(750) && took < ms(1000), "after {took:?}");
}

#[test]
fn a_new_leader_takes_a_member_that_it_cannot_fence_to_have_been_granted_a_lease_just_before() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.run(500);
    bench.node("c").cut = true;
    bench.restart_coordinator(0);
    bench.until("leading", |bench| bench.leading().is_some());
    bench.obeyed(Order::Evict(id("c")));
    bench.run(300);
    assert!(bench.nodes[&id("c")].leased(bench.now) && bench.shape(0) == "a b c");
    bench.until("cut", |bench| bench.shape(0) == "a b");
}

#[test]
fn a_member_that_was_cut_without_hearing_of_it_hears_of_it_from_the_next_leader() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.run(500);
    bench.node("c").cut = true;
    bench.until("cut", |bench| bench.shape(0) == "a b");
    bench.restart_coordinator(0);
    bench.run(2000);
    bench.node("c").cut = false;
    bench.until("back", |bench| bench.shape(0) == "a b c");
}

#[test]
fn who_follows_refuses_orders_and_registrations() {
    let mut bench = shared();
    let now = bench.seats[1].time(bench.now);
    let mut out = Vec::new();
    let request = catena_core::RequestId(7);
    bench.seats[1].coordinator.step(now, CoordinatorEvent::Order { request, order: Order::Evict(id("a")) }, &mut out);
    assert!(out.contains(&CoordinatorEffect::Done { request, result: Err(OrderError::NotLeading) }));
    assert!(bench.seats[1].coordinator.route().is_none() && bench.seats[1].coordinator.status().is_none());
}

#[test]
fn orders_that_are_being_stored_when_the_leader_is_deposed_are_answered() {
    let mut bench = shared();
    bench.seats[0].storeless = true;
    let request = bench.order(Order::Drain(id("a")));
    bench.until("followed", |bench| bench.leading() == Some(1));
    bench.seats[0].storeless = false;
    bench.until("answered", |bench| bench.done.contains_key(&request));
    assert_eq!(bench.done[&request], Err(OrderError::NotLeading));
}

#[test]
fn a_commit_of_a_leadership_before_is_not_taken_for_one_of_this() {
    let mut bench = shared();
    let now = bench.seats[0].time(bench.now);
    let seat = &mut bench.seats[0].coordinator;
    let mut out = Vec::new();
    seat.step(now, CoordinatorEvent::Order { request: catena_core::RequestId(1), order: Order::Evict(id("a")) }, &mut out);
    let ticket_of = |out: &[CoordinatorEffect]| {
        out.iter().find_map(|effect| match effect {
            CoordinatorEffect::Store { ticket, .. } => Some(*ticket),
            _ => None,
        })
    };
    let old = ticket_of(&out).unwrap();
    out.clear();
    seat.step(now, CoordinatorEvent::Deposed, &mut out);
    out.clear();
    let leadership = catena_core::Leadership { epoch: Epoch(9), beat: 0 };
    seat.step(now, CoordinatorEvent::Elected { leadership, stored: bench.store.everything() }, &mut out);
    out.clear();
    let request = catena_core::RequestId(2);
    seat.step(now, CoordinatorEvent::Order { request, order: Order::Evict(id("d")) }, &mut out);
    assert!(ticket_of(&out).unwrap() > old);
    out.clear();
    seat.step(now, CoordinatorEvent::Stored { ticket: old }, &mut out);
    assert!(!out.iter().any(|effect| matches!(effect, CoordinatorEffect::Done { .. })), "{out:?}");
}

#[test]
fn a_coordinator_that_restarts_in_the_middle_of_a_join_goes_on_with_it() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.add("d", &[]);
    bench.run(200);
    bench.node("d").stalled = true;
    bench.kill("c");
    bench.until("joining", |bench| bench.shape(0) == "a b +d");
    bench.restart_coordinator(0);
    bench.run(2000);
    bench.node("d").stalled = false;
    bench.until("whole", |bench| bench.shape(0) == "a b d");
    assert_eq!(bench.shapes(0), ["a b", "a b +d", "a b d?", "a b d"]);
}

#[test]
fn a_coordinator_that_ends_between_decision_and_store_decides_again() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.kill("c");
    bench.seats[0].storeless = true;
    bench.run(1000);
    bench.stop_coordinator(0);
    bench.seats[0].storeless = false;
    bench.start_coordinator(0);
    bench.until("cut", |bench| bench.shape(0) == "a b");
    assert!(bench.nodes.values().all(|node| node.presence == Presence::Staying));
}

#[test]
fn a_member_that_was_cut_unheard_is_told_by_the_next_leader_though_it_reports_nothing() {
    let mut bench = Bench::placed(config(1, 3, 3), &["a", "b", "c"]);
    bench.run(500);
    let applied = bench.nodes[&id("c")].answer.clone().unwrap().revision;
    bench.node("c").cut = true;
    bench.until("cut", |bench| bench.shape(0) == "a b");
    bench.restart_coordinator(0);
    bench.run(1000);
    let (mut out, now) = (Vec::new(), bench.seats[0].time(bench.now));
    let record = bench.nodes[&id("c")].record.clone();
    let incarnation = record.incarnation;
    bench.seats[0].coordinator.step(now, CoordinatorEvent::Register(record), &mut out);
    out.clear();
    let heartbeat = Heartbeat {
        sequence: 99,
        applied,
        reports: Vec::new(),
        presence: Presence::Staying,
        epoch: Epoch(0),
        roll_call: RollCall(0),
    };
    let event = CoordinatorEvent::Heartbeat { from: id("c"), incarnation, heartbeat };
    bench.seats[0].coordinator.step(now, event, &mut out);
    let told = out.iter().any(|effect| match effect {
        CoordinatorEffect::Answer { answer, .. } => answer.decisions.chains == [bench.store.chain(Slot(0)).unwrap().clone()],
        _ => false,
    });
    assert!(told, "{out:?}");
}
