//! A joining replica that lacks more than the log has gets a snapshot (J1–J3).

use catena_core::{
    ChainVersion, Chunk, EntryId, Envelope, Event, Message, NodeConfig, Origin, Pin, ReplicaState, Seq, Slot, SnapshotEnd,
    WallTime, Write,
};

use crate::bench::{Bench, Sync, id, identity};

/// A chain with 20 objects and two sessions in its state, of which the log knows nothing; a part has two objects.
pub(crate) fn filled() -> Bench {
    filled_with(NodeConfig::new(1))
}

pub(crate) fn filled_with(mut config: NodeConfig) -> Bench {
    config.limits.chunk_bytes = 12;
    config.limits.apply_entries = 1;
    let mut bench = Bench::with(config);
    bench.open();
    let session = bench.open();
    for number in 0..20_u64 {
        let action = catena_core::Action::Put { value: "value".into() };
        let origin = Some(Origin { session, number, answered_below: number });
        bench.write(&format!("k{number}"), action, Vec::new(), origin);
    }
    bench.write("k3", catena_core::Action::Delete, Vec::new(), None);
    bench.wait(300);
    assert_eq!(bench.disk("n3").log.len(), 0, "all is applied");
    bench
}

pub(crate) fn same_state(bench: &mut Bench) {
    bench.wait(300);
    let tail = bench.disk("n3").state.clone();
    assert_eq!(tail.objects.len(), 19);
    assert_eq!(tail.sessions.len(), 2);
    assert_eq!(bench.disk("n4").state, tail);
}

#[test]
fn a_snapshot_in_parts_and_the_entries_after_it_make_the_same_state() {
    let mut bench = filled();
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    while bench.chunks < 3 {
        bench.wait(1);
    }
    bench.put("k5", "newer");
    bench.wait(500);
    assert!(bench.chunks >= 10, "{} parts", bench.chunks);
    assert_eq!(bench.state("n4"), Some(ReplicaState::CaughtUp));
    same_state(&mut bench);
    assert!(bench.disk("n3").pin.is_none(), "the snapshot is let go");
}

#[test]
fn a_joiner_that_restarts_goes_on_behind_what_it_has_staged() {
    let mut bench = filled();
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    while bench.chunks < 6 {
        bench.wait(1);
    }
    bench.restart("n4");
    bench.wait(500);
    assert!(bench.chunks < 15, "{} parts: most were kept", bench.chunks);
    same_state(&mut bench);
}

#[test]
fn a_joiner_that_restarts_without_what_it_had_acknowledged_is_sent_it_again() {
    for writes in [10, 100] {
        let mut config = NodeConfig::new(1);
        config.limits.apply_entries = 1_000;
        let mut bench = Bench::with(config);
        bench.put("k", "1");
        bench.wait(300);
        bench.decide(&["n1", "n2", "n3"], Some("n4"));
        bench.wait(100);
        let before = bench.chunks;
        for number in 0..writes {
            bench.put(&format!("k{number}"), "1");
        }
        bench.wait(20);
        assert_eq!(bench.view("n4").committed, bench.view("n3").committed, "it has acknowledged them");
        // It knows again only what it has applied, and cuts the rest (C11).
        bench.restart("n4");
        assert!(bench.view("n4").committed < bench.view("n3").committed);
        bench.wait(60);
        assert_eq!(bench.view("n4").last, bench.view("n3").last);
        assert_eq!(bench.chunks, before, "the log has it all");
        bench.wait(300);
        let tail = bench.disk("n3").state.clone();
        assert_eq!(bench.disk("n4").state, tail);
    }
}

#[test]
fn a_joiner_that_must_wait_for_its_turn_to_copy_is_not_taken_for_silent() {
    let mut bench = filled();
    bench.config.copy_rate = 10;
    bench.restart("n4");
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    for _ in 0..30 {
        bench.wait(100);
        for node in ["n3", "n4"] {
            assert_eq!(bench.reports[&id(node)].silent, None, "{node}");
        }
    }
    assert!((2..=4).contains(&bench.chunks), "{} parts of 12 bytes at 10 bytes a second", bench.chunks);
}

#[test]
fn a_source_that_restarts_or_is_replaced_sends_another_snapshot_from_the_start() {
    for replaced in [false, true] {
        let mut bench = filled();
        bench.decide(&["n1", "n2", "n3"], Some("n4"));
        while bench.chunks < 6 {
            bench.wait(1);
        }
        bench.put("k1", "newer");
        if replaced {
            bench.kill("n3");
            bench.decide(&["n1", "n2"], Some("n4"));
        } else {
            bench.restart("n3");
            bench.decide(&["n1", "n2", "n3"], Some("n4"));
        }
        bench.wait(700);
        assert_eq!(bench.state("n4"), Some(ReplicaState::CaughtUp), "replaced: {replaced}");
        let tail = if replaced { "n2" } else { "n3" };
        let state = bench.disk(tail).state.clone();
        assert_eq!(bench.disk("n4").state, state);
    }
}

#[test]
fn a_new_version_in_mid_copy_changes_nothing_for_the_joiner() {
    let mut bench = filled();
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    while bench.chunks < 6 {
        bench.wait(1);
    }
    bench.kill("n1");
    bench.decide(&["n2", "n3"], Some("n4"));
    bench.wait(500);
    assert!(bench.chunks < 15, "{} parts: it went on where it was", bench.chunks);
    same_state(&mut bench);
}

#[test]
fn lost_and_damaged_parts_are_asked_for_again() {
    let mut bench = filled();
    bench.lose = |_, _, envelope| matches!(&envelope.message, Message::Chunk(chunk) if chunk.after.is_none());
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    bench.wait(1_200);
    assert!(bench.chunks > 2);
    bench.lose = |_, _, _| false;
    bench.wait(1_200);
    same_state(&mut bench);
}

#[test]
fn a_snapshot_that_is_overtaken_by_what_may_be_kept_begins_anew() {
    let mut bench = filled();
    bench.config.limits.retain_bytes = 200;
    bench.config.limits.spill_bytes = 0;
    bench.restart("n3");
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    while bench.chunks < 3 {
        bench.wait(1);
    }
    for _ in 0..20 {
        bench.put("k5", "newer");
    }
    bench.wait(1_000);
    assert_eq!(bench.state("n4"), Some(ReplicaState::CaughtUp));
    assert!(bench.chunks > 12, "{} parts: there was a second snapshot", bench.chunks);
    same_state(&mut bench);
    assert_eq!(bench.get_at(&id("n3"), "k5"), Ok(Some("newer".into())));
}

/// n4 knows some writes to be committed, and lets them wait to be applied; it was left behind, and waits for a snapshot of which
/// no part arrives.
fn left_behind() -> Bench {
    let mut bench = filled();
    bench.config.limits.chunk_bytes = 1 << 20;
    bench.restart("n3");
    bench.restart("n2");
    bench.config.limits.apply_entries = 1000;
    bench.restart("n4");
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    bench.wait(500);
    bench.put("k5", "1");
    bench.wait(100);
    bench.decide(&["n1", "n2", "n3"], None);
    bench.tell();
    bench.wait(1);
    bench.put("k5", "2");
    bench.wait(1);
    bench.lose = |_, _, envelope| matches!(envelope.message, Message::Chunk(_));
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    bench.tell();
    bench.wait(1);
    bench
}

#[test]
fn a_snapshot_older_than_what_is_known_to_be_committed_is_not_taken() {
    let mut bench = left_behind();
    let committed = bench.view("n4").committed;
    assert!(committed > Seq(2));
    let at = EntryId { version: ChainVersion(1), seq: Seq(1) };
    let end = SnapshotEnd { at_time: WallTime(1), sessions: Vec::new() };
    let pin = Pin { source: id("n3"), process: identity("n3").process, at };
    let mut forged = Chunk { pin, after: None, objects: Vec::new(), end: Some(end), checksum: 0 };
    forged.checksum = forged.digest();
    let envelope =
        Envelope { slot: Slot(0), version: bench.view("n4").chain.expect("it joins").version, message: Message::Chunk(forged) };
    bench.deliver(&id("n4"), Event::Message { from: id("n3"), envelope });
    assert_eq!(bench.view("n4").committed, committed);
    bench.lose = |_, _, _| false;
    bench.wait(500);
    same_state(&mut bench);
}

#[test]
fn what_a_snapshot_is_about_to_replace_is_not_applied_behind_it() {
    let mut bench = left_behind();
    // The snapshot arrives, and its sync takes longer than entries may wait to be applied.
    bench.disk("n4").sync = Sync::Later;
    bench.lose = |_, _, _| false;
    bench.deliver(&id("n4"), Event::LinkUp { peer: id("n3") });
    bench.wait(300);
    let writes: Vec<Write> = bench.disk("n4").held.iter().flat_map(|batch| batch.writes.clone()).collect();
    assert!(matches!(writes[..], [Write::Stage { .. }, Write::Install { .. }]), "{writes:?}");
    bench.release("n4");
    same_state(&mut bench);
}
