//! Records that do not read as they were written (D2).

use catena_core::{CallError, Event, MismatchReason, ReplicaState, RequestId, RoutingMismatch};

use crate::bench::{Bench, SLOT, id};

#[test]
fn a_member_whose_log_is_damaged_takes_no_part_until_it_is_filled_anew() {
    for (torn, left) in [("n1", ["n2", "n3"]), ("n2", ["n1", "n3"]), ("n3", ["n1", "n2"])] {
        let mut bench = Bench::new();
        bench.put("k", "1");
        bench.wait(500);
        let mut disk = bench.kill(torn);
        disk.torn = true;
        bench.start(torn, disk);
        bench.wait(100);
        assert_eq!(bench.state(torn), Some(ReplicaState::Astray));
        // A newer version does not mend it.
        bench.decide(&["n1", "n2", "n3"], None);
        bench.wait(1_000);
        assert_eq!(bench.state(torn), Some(ReplicaState::Astray));
        assert!(bench.disk(torn).torn, "what is there is kept while it may be needed");

        bench.decide(&left, None);
        bench.wait(100);
        assert!(!bench.disk(torn).torn);
        assert_eq!(bench.state(torn), Some(ReplicaState::Dropped));
        bench.decide(&left, Some(torn));
        bench.wait(1_000);
        assert_eq!(bench.state(torn), Some(ReplicaState::CaughtUp));
        assert_eq!(bench.disk(torn).state.objects.len(), 1);
    }
}

#[test]
fn one_that_is_to_join_again_at_once_begins_anew() {
    let mut bench = Bench::new();
    bench.put("k", "1");
    bench.wait(500);
    let mut disk = bench.kill("n3");
    disk.torn = true;
    bench.start("n3", disk);
    bench.decide(&["n1", "n2"], Some("n3"));
    bench.wait(1_000);
    assert_eq!(bench.state("n3"), Some(ReplicaState::CaughtUp));
    assert!(!bench.disk("n3").torn);
    let source = bench.disk("n2").state.clone();
    assert_eq!(bench.disk("n3").state, source);
}

#[test]
fn a_joining_replica_whose_disk_is_damaged_begins_anew_by_itself() {
    let mut bench = Bench::new();
    bench.put("k", "1");
    bench.wait(500);
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    bench.wait(500);
    let mut disk = bench.kill("n4");
    disk.torn = true;
    bench.start("n4", disk);
    bench.wait(1_000);
    assert_eq!(bench.state("n4"), Some(ReplicaState::CaughtUp));
    assert!(!bench.disk("n4").torn);
}

#[test]
fn a_damaged_object_is_refused_and_the_replica_serves_the_others_until_it_is_replaced() {
    let mut bench = Bench::new();
    bench.put("k", "1");
    bench.wait(500);
    let request = RequestId(900);
    bench.deliver(&id("n3"), Event::Damaged { slot: SLOT, request: Some(request) });
    bench.wait(50);
    let Err(CallError::Routing(RoutingMismatch { reason, .. })) = bench.replies[&request] else { panic!("it is refused") };
    assert_eq!(reason, MismatchReason::Damaged);
    assert!(bench.reports[&id("n3")].damaged);
    let put = bench.put("other", "2");
    bench.wait(50);
    assert!(bench.replies[&put].is_ok());
    assert_eq!(bench.get("other").unwrap().as_deref(), Some(&b"2"[..]));

    // A restart, after which nobody may ask for that object for long, mends nothing.
    bench.restart("n3");
    bench.decide(&["n1", "n2", "n3"], None);
    bench.wait(200);
    assert!(bench.reports[&id("n3")].damaged);
    bench.decide(&["n1", "n2"], None);
    bench.wait(200);
    assert_eq!(bench.state("n3"), Some(ReplicaState::Dropped), "it keeps nothing that may be damaged");
    bench.decide(&["n1", "n2"], Some("n3"));
    bench.wait(1_000);
    assert_eq!(bench.state("n3"), Some(ReplicaState::CaughtUp));
    let source = bench.disk("n2").state.objects.clone();
    assert_eq!(bench.disk("n3").state.objects, source);
}

#[test]
fn a_snapshot_that_hits_a_damaged_object_is_given_up_and_tried_again() {
    let mut bench = Bench::new();
    bench.put("k", "1");
    bench.wait(500);
    bench.disk("n3").unreadable = 1;
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    bench.wait(100);
    assert_eq!(bench.state("n4"), Some(ReplicaState::Active));
    assert!(bench.disk("n3").pin.is_none());
    bench.wait(2_000);
    assert_eq!(bench.state("n4"), Some(ReplicaState::CaughtUp), "this time it reads");
    assert!(bench.reports[&id("n3")].damaged);
}
