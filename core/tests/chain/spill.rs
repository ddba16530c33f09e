//! What is written during a copy, and memory has no room for, goes to the source's disk and from there to the joiner (W6).

use catena_core::{Envelope, Event, LogSummary, Message, NodeConfig, ReplicaState, Seq};

use crate::bench::{Bench, SLOT, id};
use crate::transfer::{filled_with, same_state};

const WRITES: usize = 300;

/// A chain with little memory for a joiner, which is in the middle of its copy while much is written.
fn overtaken() -> Bench {
    let mut config = NodeConfig::new(1);
    config.limits.retain_bytes = 1_000;
    config.limits.message_bytes = 500;
    let mut bench = filled_with(config);
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    while bench.chunks < 3 {
        bench.wait(1);
    }
    bench.lose = |_, _, envelope| matches!(envelope.message, Message::Chunk(_));
    for _ in 0..WRITES {
        bench.put("k5", "newer");
        bench.wait(1);
    }
    bench.wait(300);
    assert!(bench.most_kept < 2_000, "{} bytes in memory", bench.most_kept);
    assert!(bench.disk("n3").spilled.len() > WRITES / 2, "{} entries", bench.disk("n3").spilled.len());
    bench
}

/// The joiner is whole by one snapshot, and nothing is left of what was kept for it.
fn filled_by_one_snapshot(bench: &mut Bench) {
    bench.wait(1_500);
    assert_eq!(bench.state("n4"), Some(ReplicaState::CaughtUp));
    same_state(bench);
    assert!(bench.chunks < 20, "{} parts: one snapshot, and those that were lost", bench.chunks);
    assert_eq!(bench.disk("n3").spilled.len(), 0);
    assert!(bench.most_kept < 2_000, "{} bytes in memory", bench.most_kept);
}

#[test]
fn a_joiner_that_writes_overtake_is_filled_by_one_snapshot() {
    let mut bench = overtaken();
    bench.lose = |_, _, _| false;
    filled_by_one_snapshot(&mut bench);
}

#[test]
fn spilled_entries_that_are_lost_on_the_way_are_sent_again() {
    let mut bench = overtaken();
    // Some of the messages with entries arrive, and no acknowledgement of them.
    bench.lose = |_, to, envelope| match &envelope.message {
        Message::Append { entries, .. } => *to == id("n4") && entries.iter().any(|entry| entry.id.seq.0 % 7 == 0),
        _ => false,
    };
    bench.wait(300);
    bench.lose = |_, to, envelope| *to == id("n3") && matches!(envelope.message, Message::Ack { .. });
    bench.wait(300);
    bench.lose = |_, _, _| false;
    filled_by_one_snapshot(&mut bench);
}

#[test]
fn a_new_version_while_entries_come_from_the_disk_changes_nothing() {
    let mut bench = overtaken();
    bench.lose = |_, to, envelope| *to == id("n3") && matches!(envelope.message, Message::Ack { .. });
    bench.wait(300);
    assert!(bench.view("n4").last < bench.view("n3").last, "two parts, and no more before they are acknowledged");
    bench.kill("n1");
    bench.decide(&["n2", "n3"], Some("n4"));
    bench.lose = |_, _, _| false;
    filled_by_one_snapshot(&mut bench);
}

#[test]
fn a_joiner_that_is_given_up_leaves_nothing_on_its_source() {
    let mut bench = overtaken();
    bench.decide(&["n1", "n2", "n3"], None);
    bench.wait(300);
    assert_eq!(bench.disk("n3").spilled.len(), 0);
    // The next one finds nothing of what was kept for the first.
    bench.lose = |_, _, _| false;
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    bench.wait(1_500);
    same_state(&mut bench);
}

#[test]
fn a_source_that_restarts_has_nothing_spilled_and_sends_another_snapshot() {
    let mut bench = overtaken();
    bench.restart("n3");
    bench.lose = |_, _, _| false;
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    bench.wait(1_500);
    same_state(&mut bench);
}

#[test]
fn spilled_entries_that_do_not_read_cost_the_joiner_another_snapshot_and_the_source_its_place() {
    let mut bench = overtaken();
    bench.disk("n3").unreadable_spill = 1;
    bench.lose = |_, _, _| false;
    bench.wait(1_500);
    assert!(bench.reports[&id("n3")].damaged, "it is to be replaced (D2)");
    same_state(&mut bench);
}

/// C7: matching happens once in a version, and what the first probe said held before this log went on (seed 912017 of the world).
#[test]
fn a_late_probe_does_not_match_anew_a_joiner_that_was_left_behind_since() {
    let mut bench = overtaken();
    // It is filled by a snapshot; what follows, from the disk, does not arrive.
    bench.lose = |_, to, envelope| match &envelope.message {
        Message::Append { entries, .. } => *to == id("n4") && !entries.is_empty(),
        _ => false,
    };
    bench.wait(1_500);
    assert!(bench.view("n4").matched);
    let (version, log) = (bench.target().version, LogSummary { trim: bench.view("n4").last, runs: Vec::new() });
    // Its source has to give up what it keeps there, and no other snapshot arrives.
    bench.disk("n3").unreadable_spill = 1;
    bench.lose = |_, _, envelope| matches!(envelope.message, Message::Chunk(_));
    bench.wait(300);
    assert!(!bench.view("n4").matched, "it was left behind");
    assert_eq!(bench.target().version, version);
    let envelope = Envelope { slot: SLOT, version, message: Message::Probe { log, barrier: Seq(0) } };
    bench.deliver(&id("n4"), Event::Message { from: id("n3"), envelope });
    assert!(!bench.view("n4").matched, "its source does not have what follows any more");
    bench.lose = |_, _, _| false;
    bench.wait(1_500);
    same_state(&mut bench);
}
