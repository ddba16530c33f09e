//! A retried write takes effect once (W8).

use std::time::Duration;

use catena_core::{Action, CallError, Condition, NodeConfig, Origin, Reply, RequestId, Resource, Seq};

use crate::bench::Bench;

fn origin(session: Seq, number: u64) -> Origin {
    Origin { session, number, answered_below: 0 }
}

fn put(bench: &mut Bench, conditions: Vec<Condition>, origin: impl Into<Option<Origin>>) -> RequestId {
    bench.write("k", Action::Put { value: "v".into() }, conditions, origin.into())
}

fn reply(bench: &Bench, request: RequestId) -> Result<Reply, CallError> {
    bench.replies[&request].clone()
}

#[test]
fn a_retry_gets_the_first_answer_also_from_another_head_and_after_restarts() {
    let mut bench = Bench::new();
    let session = bench.open();
    let first = put(&mut bench, vec![Condition::Exists(false)], origin(session, 1));
    let again = put(&mut bench, vec![Condition::Exists(false)], origin(session, 1));
    bench.wait(10);
    let answer = reply(&bench, first);
    assert!(matches!(answer, Ok(Reply::Written { entry: Some(_), .. })), "{answer:?}");
    assert_eq!(reply(&bench, again), answer, "while it was in flight");
    bench.wait(500);
    let again = put(&mut bench, vec![Condition::Exists(false)], origin(session, 1));
    bench.wait(10);
    assert_eq!(reply(&bench, again), answer, "once it was applied");
    bench.kill("n1");
    bench.decide(&["n2", "n3"], None);
    bench.wait(200);
    let again = put(&mut bench, vec![Condition::Exists(false)], origin(session, 1));
    bench.wait(10);
    assert_eq!(reply(&bench, again), answer, "by another head");
    bench.restart("n2");
    bench.restart("n3");
    bench.decide(&["n2", "n3"], None);
    bench.wait(500);
    let again = put(&mut bench, vec![Condition::Exists(false)], origin(session, 1));
    bench.wait(10);
    assert_eq!(reply(&bench, again), answer, "after restarts");
}

#[test]
fn a_refusal_under_a_session_stands_though_the_condition_has_flipped() {
    let mut bench = Bench::new();
    let session = bench.open();
    let refused = put(&mut bench, vec![Condition::Exists(true)], origin(session, 1));
    bench.wait(10);
    assert_eq!(reply(&bench, refused), Err(CallError::ConditionFailed { object: None }));
    bench.put("k", "other");
    let absent = bench.write("absent", Action::Delete, Vec::new(), Some(origin(session, 2)));
    bench.wait(10);
    bench.put("absent", "there now");
    let late = put(&mut bench, vec![Condition::Exists(true)], origin(session, 1));
    let late_delete = bench.write("absent", Action::Delete, Vec::new(), Some(origin(session, 2)));
    bench.wait(10);
    assert_eq!(reply(&bench, late), Err(CallError::ConditionFailed { object: None }));
    assert_eq!(reply(&bench, late_delete), reply(&bench, absent));
    assert_eq!(bench.get("k"), Ok(Some("other".into())));
    assert_eq!(bench.get("absent"), Ok(Some("there now".into())));
}

#[test]
fn a_write_whose_answer_the_client_has_is_never_run() {
    let mut bench = Bench::new();
    let session = bench.open();
    put(&mut bench, Vec::new(), origin(session, 1));
    put(&mut bench, Vec::new(), Some(Origin { session, number: 5, answered_below: 5 }));
    bench.wait(10);
    bench.put("k", "after");
    let late = put(&mut bench, Vec::new(), origin(session, 1));
    let never_sent = put(&mut bench, Vec::new(), origin(session, 3));
    bench.wait(10);
    for (request, number) in [(late, 1), (never_sent, 3)] {
        let error = CallError::AlreadyAnswered { slot: bench.chain.slot, session, number };
        assert_eq!(reply(&bench, request), Err(error));
    }
    assert_eq!(bench.get("k"), Ok(Some("after".into())));
}

#[test]
fn an_idle_session_ends_by_an_entry_and_its_writes_are_not_run() {
    let mut config = NodeConfig::new(1);
    config.session_idle = Duration::from_secs(1);
    let mut bench = Bench::with(config);
    let (idle, used) = (bench.open(), bench.open());
    for number in 0..10 {
        put(&mut bench, Vec::new(), origin(used, number));
        bench.wait(300);
    }
    let late = put(&mut bench, Vec::new(), origin(idle, 1));
    let fine = put(&mut bench, Vec::new(), origin(used, 10));
    bench.wait(10);
    assert_eq!(reply(&bench, late), Err(CallError::SessionExpired { slot: bench.chain.slot, session: idle }));
    assert!(reply(&bench, fine).is_ok());
    bench.wait(500);
    for name in ["n1", "n2", "n3"] {
        assert_eq!(bench.disk(name).state.sessions.len(), 1, "{name}");
    }
}

#[test]
fn a_session_of_the_future_is_no_fact_and_expired_is_said_from_committed_state_only() {
    let mut bench = Bench::new();
    let future = put(&mut bench, Vec::new(), origin(Seq(1_000), 1));
    bench.wait(10);
    assert_eq!(reply(&bench, future), Err(CallError::NotCaughtUp { slot: bench.chain.slot }));
    let write = put(&mut bench, Vec::new(), None);
    bench.wait(10);
    assert!(reply(&bench, write).is_ok());
    bench.disk("n3").sync = crate::bench::Sync::Never;
    put(&mut bench, Vec::new(), None); // will not be committed
    let expired = put(&mut bench, Vec::new(), origin(Seq(1), 1));
    bench.wait(100);
    assert!(!bench.replies.contains_key(&expired));
}

#[test]
fn sessions_and_their_unanswered_writes_are_bounded() {
    let mut config = NodeConfig::new(1);
    (config.limits.slot_sessions, config.limits.session_writes) = (1, 2);
    let mut bench = Bench::with(config);
    let session = bench.open();
    let open = RequestId(77);
    let (head, target) = (bench.chain.head().node.clone(), bench.target());
    bench.deliver(&head, catena_core::Event::OpenSession { request: open, target });
    let over = |result: Result<Reply, CallError>, wanted: Resource| {
        assert!(matches!(result, Err(CallError::Backpressure { resource, .. }) if resource == wanted), "{result:?}");
    };
    over(reply(&bench, open), Resource::SlotSessions);
    let writes: Vec<RequestId> = (1..=3).map(|number| put(&mut bench, Vec::new(), origin(session, number))).collect();
    bench.wait(10);
    assert!(reply(&bench, writes[1]).is_ok());
    over(reply(&bench, writes[2]), Resource::SessionWrites);
    let next = put(&mut bench, Vec::new(), Some(Origin { session, number: 3, answered_below: 2 }));
    bench.wait(10);
    assert!(reply(&bench, next).is_ok());
}
