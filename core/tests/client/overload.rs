//! Under more writes than are answered in time, as many are under way as are, and those that still have time.

use catena_core::client::{ClientConfig, ClientError, Delivery};
use catena_core::{CallError, Resource, Slot};

use crate::common::*;

/// Calls may take 10 s.
fn client() -> Harness {
    Harness::routed(ClientConfig { attempt_timeout: ms(10_000), ..config() }, route(1, 1, &["a"]))
}

fn call(client: &mut Harness, calls: usize) {
    for _ in 0..calls {
        client.call(put("key", Delivery::ExactlyOnce));
    }
}

fn answer_all(client: &mut Harness, sent: &[Sent]) {
    for sent in sent {
        client.answer(sent, written(sent.origin().number));
    }
}

/// Answers all that is under way once `after_ms` have passed. How many those were.
fn answer(client: &mut Harness, after_ms: u64) -> usize {
    let sent = std::mem::take(&mut client.sent);
    client.pass(ms(after_ms));
    answer_all(client, &sent);
    sent.len()
}

fn widths(client: &mut Harness, rounds: usize) -> Vec<usize> {
    (0..rounds).map(|_| answer(client, 1)).collect()
}

#[test]
fn twice_as_many_writes_are_under_way_after_each_round_that_is_answered_in_time() {
    let mut client = client();
    call(&mut client, 250);
    client.open(7);
    assert_eq!(widths(&mut client, 9), [1, 2, 4, 8, 16, 32, 64, 64, 59], "up to the session's room");
}

#[test]
fn half_as_many_are_after_one_that_took_more_than_half_of_its_time() {
    let mut client = client();
    call(&mut client, 127);
    client.open(7);
    assert_eq!(widths(&mut client, 6), [1, 2, 4, 8, 16, 32]);
    assert_eq!(answer(&mut client, 5_001), 64);
    call(&mut client, 1_000);
    assert_eq!(widths(&mut client, 3), [32, 33, 34], "and one more after each round in time");
}

#[test]
fn half_as_many_are_after_a_refusal_for_there_being_too_many_or_a_write_without_an_answer() {
    let (slot, resource) = (Slot(0), Resource::SlotWrites);
    let busy = CallError::Backpressure { slot, resource, current: 9, limit: 9, retry_after: ms(1) };
    for is_refused in [true, false] {
        let mut client = client();
        call(&mut client, 127);
        client.open(7);
        assert_eq!(widths(&mut client, 6), [1, 2, 4, 8, 16, 32]);
        let sent = std::mem::take(&mut client.sent);
        assert_eq!(sent.len(), 64);
        let next = if is_refused {
            for sent in &sent {
                client.refuse(sent, busy.clone());
            }
            client.pass(ms(2_000));
            assert_eq!(answer(&mut client, 0), 64, "the same writes");
            [33, 34]
        } else {
            client.pass(ms(10_000));
            [32, 33]
        };
        call(&mut client, 1_000);
        assert_eq!(widths(&mut client, 2), next, "refused: {is_refused}");
    }
}

#[test]
fn one_at_a_time_that_is_late_makes_the_session_pause_and_the_newest_goes_when_it_ends() {
    let mut client = client();
    call(&mut client, 1);
    client.open(7);
    client.pass(ms(6_000));
    call(&mut client, 1);
    assert_eq!(answer(&mut client, 0), 1);
    client.pass(ms(1_000));
    call(&mut client, 1);
    assert!(client.sent.is_empty(), "an eighth of a call's 10 s");
    client.pass(ms(250));
    assert_eq!(order(&client), [2], "in order");
    assert_eq!(answer(&mut client, 5_001), 1);
    client.pass(ms(2_499));
    call(&mut client, 1);
    assert!(client.sent.is_empty(), "twice as long");
    client.pass(ms(1));
    assert_eq!(order(&client), [4], "3 has used more than half of its time");
}

#[test]
fn whoever_waits_for_little_time_says_nothing_of_the_cluster() {
    let mut client = Harness::routed(ClientConfig { call_timeout: ms(20), ..config() }, route(1, 1, &["a"]));
    call(&mut client, 1);
    client.open(7);
    for _ in 0..5 {
        assert_eq!(std::mem::take(&mut client.sent).len(), 1);
        client.pass(ms(20));
        assert!(matches!(client.error().0, ClientError::OutOfTime { .. }));
        call(&mut client, 1);
    }
    assert_eq!(client.sent.len(), 1, "at once");
}

/// The calls under way, in the order in which they were sent.
fn order(client: &Harness) -> Vec<u64> {
    client.sent.iter().map(|sent| sent.call.expect("a call's").0).collect()
}

#[test]
fn the_newest_goes_first_where_the_oldest_has_used_half_of_its_time() {
    let mut client = client();
    call(&mut client, 11);
    client.open(7);
    assert_eq!(widths(&mut client, 2), [1, 2]);
    client.pass(ms(4_000));
    assert_eq!(answer(&mut client, 0), 4);
    assert_eq!(order(&client), [8, 9, 10, 11], "in order as long as that has more than half of it");
    call(&mut client, 20);
    client.pass(ms(5_001));
    call(&mut client, 2);
    let late = std::mem::take(&mut client.sent);
    answer_all(&mut client, &late);
    assert_eq!(order(&client), [33, 32, 31], "first those that have all of it");
}
