//! A chain whose members stay: what a client sees, and what the disks have by then.

use std::time::Duration;

use catena_core::{
    Action, CallError, ChainVersion, Command, Condition, Decisions, Effect, Epoch, Event, HeartbeatAnswer, NodeConfig, Now,
    ReplicaState, Reply, RequestId, Resource, Revision, Target, Ticket,
};

use crate::bench::{Bench, Disk, SLOT, Sync, id};

#[test]
fn a_write_is_answered_once_all_three_disks_have_it_and_is_read_at_the_tail() {
    let mut bench = Bench::new();
    let put = bench.put("k", "v");
    bench.wait(1);
    assert!(matches!(bench.replies[&put], Ok(Reply::Written { entry: Some(_), .. })), "{:?}", bench.replies[&put]);
    for name in ["n1", "n2", "n3"] {
        assert_eq!(bench.disk(name).log.len(), 1, "{name} has it");
    }
    assert_eq!(bench.get("k"), Ok(Some("v".into())));
}

#[test]
fn a_write_that_one_disk_lacks_is_neither_answered_nor_read() {
    for lacking in ["n1", "n2", "n3"] {
        let mut bench = Bench::new();
        bench.disk(lacking).sync = Sync::Never;
        let put = bench.put("k", "v");
        bench.wait(100);
        assert!(!bench.replies.contains_key(&put), "without {lacking}'s sync");
        assert_eq!(bench.get("k"), Ok(None));
    }
}

#[test]
fn concurrent_compare_and_sets_pipeline_and_exactly_one_wins() {
    let mut bench = Bench::new();
    let calls: Vec<RequestId> =
        (0..5).map(|_| bench.write("k", Action::Put { value: "v".into() }, vec![Condition::Exists(false)], None)).collect();
    bench.wait(1);
    let won = calls.iter().filter(|call| bench.replies[call].is_ok()).count();
    assert_eq!(won, 1);
    let lost = calls.iter().filter(|call| matches!(bench.replies[call], Err(CallError::ConditionFailed { object: Some(_) })));
    assert_eq!(lost.count(), 4);
}

/// W10: by count, and the longer the writes in front have been on their way, the later it is worth while to come again.
#[test]
fn a_write_too_many_is_refused_with_what_is_in_flight_and_when_to_come_again() {
    let mut config = NodeConfig::new(1);
    config.limits.slot_writes = 2;
    let mut bench = Bench::with(config);
    bench.disk("n2").sync = Sync::Never;
    let admitted = [bench.put("a", "v"), bench.put("b", "v")];
    for (passed, wanted) in [(0, 10), (30, 30), (3000, 1000)] {
        bench.wait(passed);
        let refused = bench.put("c", "v");
        bench.wait(1);
        let Err(CallError::Backpressure { slot: SLOT, resource: Resource::SlotWrites, current: 2, limit: 2, retry_after }) =
            bench.replies[&refused]
        else {
            panic!("{:?}", bench.replies[&refused])
        };
        // Each call's turn takes a millisecond more.
        let ms = u64::try_from(retry_after.as_millis()).expect("small");
        assert!((wanted..=wanted + 3).contains(&ms), "{retry_after:?} after {passed} ms");
    }
    assert!(admitted.iter().all(|call| !bench.replies.contains_key(call)), "those wait for n2");
}

#[test]
fn versions_and_times_go_on_after_delete_and_recreate() {
    let mut bench = Bench::new();
    let first = bench.put("k", "1");
    let deleted = bench.write("k", Action::Delete, Vec::new(), None);
    let second = bench.put("k", "2");
    let absent = bench.write("other", Action::Delete, Vec::new(), None);
    bench.wait(1);
    let metadata = |request| match &bench.replies[&request] {
        Ok(Reply::Written { object: Some(object), .. }) => *object,
        other => panic!("{other:?}"),
    };
    assert!(metadata(second).version > metadata(first).version);
    assert!(metadata(second).created_at > metadata(first).updated_at);
    assert!(matches!(bench.replies[&deleted], Ok(Reply::Written { entry: Some(_), object: None })));
    assert!(matches!(bench.replies[&absent], Ok(Reply::Written { entry: None, object: None })));
}

#[test]
fn each_member_restarts_in_place_and_everything_goes_on_in_a_new_version() {
    for name in ["n1", "n2", "n3"] {
        let mut bench = Bench::new();
        bench.put("k", "1");
        bench.wait(100);
        bench.restart(name);
        bench.wait(200);
        assert_eq!(bench.state(name), Some(ReplicaState::Restarted));
        bench.decide(&["n1", "n2", "n3"], None);
        bench.wait(500);
        assert_eq!(bench.target().version, ChainVersion(2), "{name}");
        assert_eq!(bench.get("k"), Ok(Some("1".into())), "{name}");
        let put = bench.put("k", "2");
        bench.wait(1);
        assert!(bench.replies[&put].is_ok(), "{name}: {:?}", bench.replies[&put]);
        assert_eq!(bench.get("k"), Ok(Some("2".into())));
    }
}

#[test]
fn a_restarted_tail_that_lost_the_watermark_reads_again_without_a_write() {
    let mut bench = Bench::new();
    bench.put("k", "1");
    bench.wait(10); // committed, and not yet applied: the tail will not know
    bench.restart("n3");
    bench.decide(&["n1", "n2", "n3"], None);
    bench.lost_watermarks = 1;
    bench.wait(500);
    assert_eq!(bench.lost_watermarks, 0);
    assert_eq!(bench.get("k"), Ok(Some("1".into())));
}

#[test]
fn a_head_that_lost_an_unsynced_entry_has_the_others_cut_it() {
    let mut bench = Bench::new();
    bench.put("k", "1");
    bench.wait(500); // until it is applied
    bench.disk("n1").sync = Sync::Never;
    let lost = bench.put("k", "lost");
    bench.wait(10);
    assert_eq!(bench.disk("n3").log.len(), 1, "the tail has it");
    assert!(!bench.replies.contains_key(&lost));
    let disk = bench.kill("n1");
    bench.start("n1", Disk { sync: Sync::AtOnce, ..disk });
    bench.decide(&["n1", "n2", "n3"], None);
    bench.wait(500);
    assert_eq!(bench.get("k"), Ok(Some("1".into())));
    let put = bench.put("k", "2");
    bench.wait(100);
    assert!(bench.replies[&put].is_ok());
    assert_eq!(bench.get("k"), Ok(Some("2".into())));
}

#[test]
fn reads_end_with_the_lease_while_writes_go_on() {
    let mut bench = Bench::new();
    bench.granting = false;
    let (head, tail) = (id("n1"), id("n3"));
    let target = Target { slot: SLOT, version: ChainVersion(1) };
    bench.wait(700);
    let read = Event::Read { request: RequestId(50), target, key: "k".into(), stored: None };
    bench.deliver(&tail, read);
    assert_eq!(bench.replies[&RequestId(50)], Err(CallError::NoLease { slot: SLOT }));
    let command = Command { key: "k".into(), action: Action::Put { value: "v".into() }, conditions: Vec::new() };
    bench.queue.push_back((head, Event::Write { request: RequestId(51), target, command, origin: None, stored: None }));
    bench.wait(1);
    assert!(bench.replies[&RequestId(51)].is_ok());
}

#[test]
fn an_early_ticket_does_not_vouch_for_a_later_batch() {
    let mut bench = Bench::new();
    bench.disk("n1").sync = Sync::Never;
    let first = bench.put("a", "1");
    let second = bench.put("b", "2");
    bench.wait(1);
    // The head has handed over one ticket for its chain and one for each write; only the first write's is synced.
    bench.deliver(&id("n1"), Event::Durable { ticket: Ticket(2) });
    bench.wait(1);
    assert!(bench.replies.contains_key(&first));
    assert!(!bench.replies.contains_key(&second));
}

#[test]
fn an_answer_to_the_process_before_teaches_a_restarted_node_nothing() {
    let mut bench = Bench::new();
    bench.restart("n3");
    bench.queue.clear();
    let mut heartbeat = |event, ms| {
        let now = Now { monotonic: bench.now.monotonic + Duration::from_millis(ms), ..bench.now };
        let mut out = Vec::new();
        bench.nodes.get_mut(&id("n3")).unwrap().0.step(now, event, &mut out);
        out.into_iter().find_map(|effect| match effect {
            Effect::Heartbeat(heartbeat) => Some((heartbeat.applied, heartbeat.reports.len())),
            _ => None,
        })
    };
    let needs_everything = Some((Revision(0), 1));
    assert_eq!(heartbeat(Event::CoordinatorUp, 0), needs_everything);
    let decisions = Decisions::none(Epoch(1));
    let (lease, nodes) = (Some(Duration::from_millis(600)), Vec::new());
    heartbeat(Event::Answer(HeartbeatAnswer { sequence: 5000, lease, revision: Revision(99), decisions, nodes }), 1);
    assert_eq!(heartbeat(Event::Wake, 200), needs_everything);
}
