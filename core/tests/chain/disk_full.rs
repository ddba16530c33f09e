//! A disk that has reached its reserve: puts are refused at the head, wherever in the chain it is, and nothing else (D3).

use catena_core::{Action, CallError, Event, Message, ReplicaState};

use crate::bench::{Bench, SLOT, id};
use crate::transfer::{filled, same_state};

fn fill(bench: &mut Bench, node: &str, full: bool) {
    bench.deliver(&id(node), Event::DiskFull { full });
    bench.wait(2);
}

fn refused(bench: &mut Bench) -> bool {
    let put = bench.put("k", "value");
    bench.wait(5);
    match &bench.replies[&put] {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(*error, CallError::DiskFull { slot: SLOT });
            true
        }
    }
}

#[test]
fn while_the_disk_of_any_member_is_full_puts_are_refused_and_reads_and_deletes_go_on() {
    for node in ["n1", "n2", "n3"] {
        let mut bench = Bench::new();
        assert!(!refused(&mut bench));
        fill(&mut bench, node, true);
        assert!(refused(&mut bench), "{node} is full");
        assert_eq!(bench.get("k").unwrap().as_deref(), Some(&b"value"[..]));
        let delete = bench.write("k", Action::Delete, Vec::new(), None);
        bench.wait(5);
        assert!(bench.replies[&delete].is_ok());
        fill(&mut bench, node, false);
        assert!(!refused(&mut bench), "{node} has room again");
    }
}

#[test]
fn two_full_disks_are_both_waited_for() {
    let mut bench = Bench::new();
    fill(&mut bench, "n2", true);
    fill(&mut bench, "n3", true);
    fill(&mut bench, "n2", false);
    assert!(refused(&mut bench));
    fill(&mut bench, "n3", false);
    assert!(!refused(&mut bench));
}

#[test]
fn news_of_room_that_are_lost_are_asked_for_also_when_nobody_writes() {
    let mut bench = Bench::new();
    fill(&mut bench, "n3", true);
    bench.lose = |_, _, envelope| matches!(envelope.message, Message::Ack { .. });
    fill(&mut bench, "n3", false);
    bench.lose = |_, _, _| false;
    bench.wait(200);
    assert!(!refused(&mut bench));
}

#[test]
fn another_version_knows_of_the_full_disk_too() {
    let mut bench = Bench::new();
    fill(&mut bench, "n3", true);
    bench.kill("n1");
    bench.decide(&["n2", "n3"], None);
    bench.tell();
    bench.wait(200);
    assert!(refused(&mut bench));
}

#[test]
fn a_joiner_whose_disk_is_full_waits_with_its_copy_and_holds_up_no_write() {
    let mut bench = filled();
    fill(&mut bench, "n4", true);
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    bench.tell();
    bench.wait(500);
    assert_eq!(bench.chunks, 0);
    let put = bench.put("k5", "newer");
    bench.wait(5);
    assert!(bench.replies[&put].is_ok());
    fill(&mut bench, "n4", false);
    bench.wait(500);
    assert_eq!(bench.state("n4"), Some(ReplicaState::CaughtUp));
    same_state(&mut bench);
}

#[test]
fn a_joiner_that_follows_and_fills_up_holds_up_no_write() {
    let mut bench = filled();
    bench.decide(&["n1", "n2", "n3"], Some("n4"));
    bench.tell();
    bench.wait(500);
    assert_eq!(bench.state("n4"), Some(ReplicaState::CaughtUp));
    fill(&mut bench, "n4", true);
    assert!(!refused(&mut bench));
}
