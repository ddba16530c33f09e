//! Chains whose members change: fences, removals, activations (C3–C11).

use catena_core::{Action, CallError, Decisions, Event, MismatchReason, ReplicaState, Reply, RoutingMismatch};

use crate::bench::{Bench, Sync, id};

#[test]
fn each_member_is_removed_and_writes_and_reads_go_on() {
    for (gone, left) in [("n1", ["n2", "n3"]), ("n2", ["n1", "n3"]), ("n3", ["n1", "n2"])] {
        let mut bench = Bench::new();
        bench.put("k", "1");
        bench.wait(10);
        bench.kill(gone);
        let in_flight = bench.chain.head().node != id(gone);
        let stuck = in_flight.then(|| bench.put("k", "2"));
        bench.wait(10);
        bench.decide(&left, None);
        bench.wait(200);
        if let Some(stuck) = stuck {
            assert!(bench.replies[&stuck].is_ok(), "{gone}: {:?}", bench.replies[&stuck]);
            assert_eq!(bench.get("k"), Ok(Some("2".into())), "{gone}");
        }
        let put = bench.put("k", "3");
        bench.wait(10);
        assert!(bench.replies[&put].is_ok(), "{gone}");
        assert_eq!(bench.get("k"), Ok(Some("3".into())), "{gone}");
    }
}

#[test]
fn a_fenced_tail_reads_nothing_while_writes_go_on() {
    let mut bench = Bench::new();
    bench.put("k", "1");
    bench.wait(10);
    bench.fences = vec![id("n3")];
    bench.wait(200);
    assert!(bench.reports[&id("n3")].fenced);
    let refused = bench.get("k");
    assert!(matches!(refused, Err(CallError::Routing(RoutingMismatch { reason: MismatchReason::Inactive, .. }))), "{refused:?}");
    let put = bench.put("k", "2");
    bench.wait(10);
    assert!(bench.replies[&put].is_ok());
    bench.decide(&["n1", "n2", "n3"], None);
    bench.wait(200);
    assert_eq!(bench.get("k"), Ok(Some("2".into())), "a fence ends with its version");
}

#[test]
fn a_fenced_head_refuses_without_a_session_only() {
    let mut bench = Bench::new();
    bench.fences = vec![id("n1")];
    bench.wait(200);
    let absent = bench.write("k", Action::Delete, Vec::new(), None);
    bench.wait(10);
    assert!(matches!(bench.replies[&absent], Err(CallError::Routing(_))), "{:?}", bench.replies[&absent]);
    let put = bench.put("k", "1");
    bench.wait(10);
    assert!(bench.replies[&put].is_ok());
}

#[test]
fn a_spare_joins_by_the_log_is_activated_and_becomes_ready() {
    let mut bench = Bench::new();
    for _ in 0..5 {
        bench.put("k", "1");
    }
    bench.wait(10); // nothing is applied yet
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    bench.wait(200);
    assert_eq!((bench.state("n4"), bench.chunks), (Some(ReplicaState::CaughtUp), 0));
    let refused = bench.get_at(&id("n4"), "k");
    assert!(matches!(refused, Err(CallError::Routing(_))), "a joining replica serves nobody: {refused:?}");
    bench.decide(&["n1", "n2", "n3", "n4"], None);
    bench.chain.tail_ready = false;
    bench.wait(200);
    assert_eq!(bench.state("n4"), Some(ReplicaState::CaughtUp));
    assert_eq!(bench.get("k"), Ok(Some("1".into())));
    bench.decide(&["n1", "n2", "n3", "n4"], None);
    bench.chain.tail_ready = true;
    bench.wait(100);
    bench.kill("n3");
    bench.decide(&["n1", "n2", "n4"], None);
    bench.wait(100);
    let put = bench.put("k", "2");
    bench.wait(10);
    assert!(bench.replies[&put].is_ok());
    assert_eq!(bench.get("k"), Ok(Some("2".into())));
}

#[test]
fn a_write_is_not_held_up_by_a_joining_replica_that_says_nothing() {
    let mut bench = Bench::new();
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    bench.kill("n4");
    bench.wait(50);
    let put = bench.put("k", "1");
    bench.wait(10);
    assert!(bench.replies[&put].is_ok());
    bench.wait(1_500);
    assert_eq!(bench.reports[&id("n3")].silent, Some(id("n4")), "its source tells of it");
}

/// Else a chain that changes for other reasons, sooner each time, never tells of its neighbours that are parted (K2).
#[test]
fn a_newer_version_does_not_make_a_silent_neighbour_heard() {
    let mut bench = Bench::new();
    bench.lose = |from, to, _| [from, to].contains(&&id("n3"));
    bench.put("k", "1");
    let silence = u64::try_from(bench.config.silence.as_millis()).expect("it is short");
    bench.wait(silence / 2);
    bench.decide(&["n1", "n2", "n3"], None);
    bench.wait(silence / 4);
    assert_eq!(bench.reports[&id("n2")].silent, None);
    bench.decide(&["n1", "n2", "n3"], None);
    bench.wait(silence * 3 / 4);
    assert_eq!(bench.reports[&id("n2")].silent, Some(id("n3")));
    bench.lose = |_, _, _| false;
    bench.wait(silence / 2);
    assert_eq!(bench.reports[&id("n2")].silent, None, "it is heard again");
}

#[test]
fn what_a_joining_replica_has_not_synced_is_kept_for_it_and_not_for_ever() {
    let mut bench = Bench::new();
    bench.config.limits.retain_bytes = 1_000;
    bench.config.limits.spill_bytes = 0;
    for name in ["n1", "n2", "n3", "n4"] {
        bench.restart(name);
    }
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    bench.wait(200);
    bench.lose = |_, to, _| *to == id("n4");
    for _ in 0..10 {
        bench.put("k", "1");
    }
    bench.wait(500);
    let kept = |bench: &mut Bench| bench.nodes[&id("n3")].0.view(bench.chain.slot).unwrap().entries().count();
    assert_eq!(kept(&mut bench), 10);
    for _ in 0..100 {
        bench.put("k", "2");
        bench.wait(20);
    }
    bench.wait(500);
    assert!(bench.most_kept < 2_000 && kept(&mut bench) < 20, "{} bytes", bench.most_kept);
    // What it lacks is gone: it gets a snapshot.
    bench.lose = |_, _, _| false;
    bench.wait(500);
    assert!(bench.chunks > 0);
    assert_eq!(bench.state("n4"), Some(ReplicaState::CaughtUp));
}

#[test]
fn a_removed_replica_comes_back_and_cuts_what_never_was() {
    let mut bench = Bench::new();
    bench.put("k", "1");
    bench.wait(500);
    // Only the head gets it; then the head is removed.
    bench.lose = |from, _, _| *from == id("n1");
    let lost = bench.put("k", "lost");
    bench.wait(10);
    bench.decide(&["n2", "n3"], None);
    bench.wait(200);
    bench.lose = |_, _, _| false;
    assert!(matches!(bench.replies[&lost], Err(CallError::OutcomeUnknown { .. })));
    bench.put("k", "2");
    bench.wait(10);
    bench.decide(&["n2", "n3"], Some("n1"));
    bench.wait(300);
    assert_eq!((bench.state("n1"), bench.chunks), (Some(ReplicaState::CaughtUp), 0), "by the log alone");
    bench.decide(&["n2", "n3", "n1"], None);
    bench.chain.tail_ready = false;
    bench.wait(200);
    assert_eq!(bench.get("k"), Ok(Some("2".into())));
}

#[test]
fn a_version_is_relayed_by_a_neighbour_while_the_coordinator_says_nothing() {
    let mut bench = Bench::new();
    bench.decide(&["n1", "n2", "n3"], None);
    let chains = vec![bench.chain.clone()];
    let decisions = Decisions { chains, ..Decisions::none(bench.chain.epoch) };
    bench.chain.version = catena_core::ChainVersion(1); // what heartbeats are answered
    bench.deliver(&id("n2"), Event::Decided(decisions));
    bench.wait(200);
    for name in ["n1", "n2", "n3"] {
        let version = bench.nodes[&id(name)].0.view(bench.chain.slot).unwrap().chain.unwrap().version;
        assert_eq!(version, catena_core::ChainVersion(2), "{name}");
    }
}

#[test]
fn a_decision_of_a_deposed_leader_is_not_taken() {
    let mut bench = Bench::new();
    bench.chain.epoch = catena_core::Epoch(5);
    bench.decide(&["n1", "n2", "n3"], None);
    let decisions =
        |bench: &Bench, epoch| Decisions { chains: vec![bench.chain.clone()], ..Decisions::none(catena_core::Epoch(epoch)) };
    let newer = decisions(&bench, 5);
    bench.deliver(&id("n1"), Event::Decided(newer));
    bench.decide(&["n2", "n3"], None);
    let deposed = decisions(&bench, 4);
    bench.deliver(&id("n1"), Event::Decided(deposed));
    bench.queue.clear();
    let known = bench.nodes[&id("n1")].0.view(bench.chain.slot).unwrap().chain.unwrap().version;
    assert!(known < bench.chain.version);
}

#[test]
fn a_node_that_stops_in_order_answers_no_reads_and_says_so() {
    let mut bench = Bench::new();
    bench.put("k", "1");
    bench.wait(10);
    bench.deliver(&id("n3"), Event::Stop);
    bench.wait(1);
    assert_eq!(bench.leaving.first(), Some(&id("n3")));
    assert!(matches!(bench.get("k"), Err(CallError::NoLease { .. })));
    let put = bench.put("k", "2");
    bench.wait(10);
    assert!(matches!(bench.replies[&put], Ok(Reply::Written { .. })), "it still takes part in writes");
}

#[test]
fn data_of_a_replica_that_is_not_needed_goes_when_the_coordinator_says_so() {
    let mut bench = Bench::new();
    bench.put("k", "1");
    bench.wait(500);
    bench.decide(&["n1", "n2"], None);
    bench.wait(200);
    assert_eq!(bench.state("n3"), Some(ReplicaState::Removed));
    assert!(!bench.disk("n3").state.objects.is_empty());
    bench.drops = vec![id("n3")];
    bench.wait(200);
    assert_eq!(bench.state("n3"), Some(ReplicaState::Dropped));
    assert!(bench.disk("n3").state.objects.is_empty());
    // And it can join again, from nothing.
    bench.decide(&["n1", "n2"], Some("n3"));
    bench.wait(500);
    assert_eq!(bench.state("n3"), Some(ReplicaState::CaughtUp));
    assert_eq!(bench.disk("n3").state.objects.len(), 1);
}

#[test]
fn a_node_whose_disk_stands_still_says_nothing_until_it_goes_on() {
    let mut bench = Bench::new();
    bench.disk("n2").sync = Sync::Later;
    let put = bench.put("k", "1");
    bench.wait(800);
    let heard = |bench: &Bench| bench.heartbeats[&id("n2")];
    let before = heard(&bench);
    bench.wait(100);
    assert!(heard(&bench) > before, "a slow sync is no failure");
    bench.wait(200);
    let before = heard(&bench);
    bench.wait(2_000);
    assert_eq!(heard(&bench), before);
    bench.release("n2");
    bench.wait(100);
    assert!(heard(&bench) > before);
    assert!(bench.replies[&put].is_ok());
}
