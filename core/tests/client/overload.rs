//! Under more writes than are answered in time, as many are under way as are, and those that still have time.

use bytes::Bytes;
use catena_core::client::{ClientConfig, ClientError, ClientEvent, ClientRequest, Delivery};
use catena_core::{Action, CallError, Command, Resource, Route, Slot, slot_of};

use crate::common::*;

fn config_of_10_s() -> ClientConfig {
    ClientConfig { attempt_timeout: ms(10_000), call_timeout: ms(10_000), ..config() }
}

/// Calls may take 10 s.
fn client() -> Harness {
    Harness::routed(config_of_10_s(), route(1, 1, &["a"]))
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

/// A client with so many slots, and the key that it writes to in each. In each slot one write, alone, was answered late.
fn slow(slots: u32) -> (Harness, Vec<String>) {
    let chains = (0..slots).map(|slot| chain(slot, 1, &["a"])).collect();
    let mut client = Harness::routed(config_of_10_s(), Route { slots, chains, ..route(1, 1, &["a"]) });
    let key = |slot| (0..1_000).map(|n| format!("key {n}")).find(|key| slot_of(key.as_bytes(), slots) == Slot(slot));
    let keys: Vec<String> = (0..slots).map(|slot| key(slot).expect("there are enough")).collect();
    let mut sent = Vec::new();
    for key in &keys {
        write(&mut client, key);
        client.open(7);
        sent.push(client.sent());
    }
    client.pass(ms(5_000));
    answer_all(&mut client, &sent);
    (client, keys)
}

fn write(client: &mut Harness, key: &str) {
    let (key, action) = (Bytes::copy_from_slice(key.as_bytes()), Action::Put { value: Bytes::from_static(b"value") });
    let command = Command { key, action, conditions: vec![] };
    client.call(ClientRequest::Write { command, delivery: Delivery::ExactlyOnce });
}

/// Takes what was sent. To which slots?
fn take(client: &mut Harness) -> (Vec<Sent>, Vec<u32>) {
    let sent = std::mem::take(&mut client.sent);
    let slots = sent.iter().map(|sent| sent.target.slot.0).collect();
    (sent, slots)
}

#[test]
fn sessions_whose_only_write_was_late_take_turns_until_one_is_in_time() {
    let (mut client, keys) = slow(3);
    for key in keys.iter().chain(&keys) {
        write(&mut client, key);
    }
    let mut order = Vec::new();
    while let (sent, slots) = take(&mut client)
        && !sent.is_empty()
    {
        answer_all(&mut client, &sent);
        order.push(slots);
    }
    assert_eq!(
        order,
        [vec![0], vec![0, 1], vec![1, 2], vec![2]],
        "the next one's first as it is one's turn, and one's own second"
    );
}

#[test]
fn a_turn_ends_when_its_write_is_late() {
    let (mut client, keys) = slow(3);
    for key in &keys {
        write(&mut client, key);
    }
    let (_, first) = take(&mut client);
    client.pass(ms(4_999));
    assert_eq!((first, take(&mut client).1), (vec![0], vec![]));
    client.pass(ms(1));
    assert_eq!(take(&mut client).1, [1]);
    client.pass(ms(4_999));
    assert_eq!(take(&mut client).1, [0; 0]);
    client.pass(ms(1));
    assert_eq!((client.done.len(), take(&mut client).1), (6, vec![]), "the third call's time is over, too");
}

#[test]
fn a_session_that_is_not_slow_waits_for_no_turn() {
    let (mut client, keys) = slow(2);
    write(&mut client, &keys[1]);
    answer(&mut client, 1);
    for key in [&keys[0], &keys[1], &keys[0]] {
        write(&mut client, key);
    }
    assert_eq!(take(&mut client).1, [0, 1]);
}

#[test]
fn a_session_is_not_slow_any_more_when_its_slot_has_another_chain() {
    let (mut client, keys) = slow(3);
    for key in &keys {
        write(&mut client, key);
    }
    assert_eq!(take(&mut client).1, [0]);
    let change = Route { slots: 3, chains: vec![chain(2, 2, &["b"])], ..route(2, 2, &["b"]) };
    client.event(ClientEvent::RouteChanged(change));
    let (sent, slots) = take(&mut client);
    assert_eq!((slots, sent[0].node.clone()), (vec![2], node("b")));
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
