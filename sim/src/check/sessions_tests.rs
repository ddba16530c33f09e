//! Planted violations of sessions, and a table that follows the machine's own.

use bytes::Bytes;
use catena_core::{ChainVersion, Refusal};

use super::*;

const SLOT: Slot = Slot(0);

/// Times run in seconds, a session may be idle for ten.
fn course() -> Course {
    Course::new(Bounds { idle: Duration::from_secs(10), sessions: 3, answers: 2 })
}

fn entry(seq: u64, origin: Option<Origin>, operation: Operation) -> Entry {
    let id = EntryId { version: ChainVersion(1), seq: Seq(seq) };
    Entry { id, previous: ChainVersion(u64::from(seq > 1)), at: WallTime(seq * 1_000_000_000), origin, operation }
}

fn put() -> Operation {
    Operation::Put { key: Bytes::from("k"), value: Bytes::from("v"), created_at: WallTime(1) }
}

fn write(seq: u64, session: u64, number: u64, answered_below: u64) -> Entry {
    entry(seq, Some(Origin { session: Seq(session), number, answered_below }), put())
}

fn open(seq: u64) -> Entry {
    entry(seq, None, Operation::OpenSession)
}

fn expire(seq: u64, session: u64) -> Entry {
    entry(seq, None, Operation::Expire { sessions: vec![Seq(session)] })
}

/// The entries are committed; what the last of them gives.
fn run(entries: &[Entry]) -> Result<(), Violation> {
    let mut course = course();
    let (last, before) = entries.split_last().expect("some");
    for entry in before {
        course.commit(SLOT, entry, "n1").expect("a legal entry");
    }
    course.commit(SLOT, last, "n1")
}

#[test]
fn writes_of_an_open_session_in_any_order_are_legal() {
    assert_eq!(run(&[open(1), write(2, 1, 2, 0), write(3, 1, 1, 0), write(4, 1, 3, 3)]), Ok(()));
    assert_eq!(run(&[open(1), write(5, 1, 1, 0), expire(15, 1)]), Ok(()));
}

#[test]
fn a_write_that_takes_effect_twice_is_caught() {
    let caught = run(&[open(1), write(2, 1, 1, 0), write(3, 1, 1, 0)]).expect_err("twice");
    assert!(caught.sentence.contains("which took effect as"), "{caught}");
    run(&[open(1), write(2, 1, 1, 0), write(3, 1, 2, 2), write(4, 1, 1, 0)]).expect_err("also when its answer is forgotten");
}

#[test]
fn a_write_of_a_session_that_was_never_opened_or_has_expired_is_caught() {
    run(&[open(1), write(2, 3, 1, 0)]).expect_err("no session 3");
    let caught = run(&[open(1), expire(12, 1), write(13, 1, 1, 0)]).expect_err("expired");
    assert!(caught.sentence.contains("which is not open"), "{caught}");
}

#[test]
fn a_write_below_what_the_client_has_answers_of_is_caught() {
    let caught = run(&[open(1), write(2, 1, 5, 5), write(3, 1, 4, 0)]).expect_err("4 < 5");
    assert!(caught.sentence.contains("all answers below 5"), "{caught}");
}

#[test]
fn a_session_that_ends_too_early_or_is_not_there_is_caught() {
    run(&[open(1), write(5, 1, 1, 0), expire(14, 1)]).expect_err("idle for nine seconds only");
    run(&[open(1), expire(12, 1), expire(30, 1)]).expect_err("it has ended");
}

#[test]
fn an_entry_that_changes_nothing_and_belongs_to_no_session_is_caught() {
    run(&[entry(1, None, Operation::Nothing { refused: None })]).expect_err("a refusal outside a session");
    let origin = Some(Origin { session: Seq(1), number: 1, answered_below: 0 });
    run(&[open(1), entry(2, origin, Operation::OpenSession)]).expect_err("a session opens no session");
}

#[test]
fn more_sessions_or_answers_than_the_limits_are_caught() {
    assert_eq!(run(&[open(1), open(2), open(3), open(4)]).expect_err("four sessions").rule, "W10");
    assert_eq!(run(&[open(1), write(2, 1, 1, 0), write(3, 1, 2, 0), write(4, 1, 3, 0)]).expect_err("three answers").rule, "W10");
}

#[test]
fn the_machine_s_own_table_is_the_reckoned_one_and_any_other_is_caught() {
    let origin = |number, answered_below| Some(Origin { session: Seq(1), number, answered_below });
    let log = [
        open(1),
        open(2),
        write(3, 1, 1, 0),
        entry(4, origin(2, 1), Operation::Nothing { refused: Some(Refusal { object: None }) }),
        entry(5, origin(3, 3), Operation::Nothing { refused: None }),
        entry(6, origin(4, 3), Operation::Delete { key: Bytes::from("k") }),
        expire(13, 2),
    ];
    let (mut course, mut machine) = (course(), Sessions::default());
    let mut tables = vec![machine.clone()];
    for (seq, entry) in (1..).zip(&log) {
        let entry = Entry { id: EntryId { seq: Seq(seq), ..entry.id }, ..entry.clone() };
        course.commit(SLOT, &entry, "n1").expect("a legal entry");
        machine.apply(&entry);
        tables.push(machine.clone());
    }
    for (seq, table) in (0..).zip(&tables) {
        assert_eq!(course.compare(SLOT, Seq(seq), table, "n1"), Ok(()), "after {seq}");
        for (other, another) in (0..).zip(&tables).filter(|(_, another)| *another != table) {
            course.compare(SLOT, Seq(seq), another, "n1").expect_err(&format!("{other} instead of {seq}"));
        }
    }
    course.compare(SLOT, Seq(8), &machine, "n1").expect_err("nothing is committed there");
    let more = entry(8, origin(5, 3), put());
    course.compare_beyond(SLOT, std::iter::once(&more), &machine, "n1").expect_err("the log's end is missing");
    machine.apply(&more);
    assert_eq!(course.compare_beyond(SLOT, std::iter::once(&more), &machine, "n1"), Ok(()));
}
