//! The contract of spills: applied entries that are kept beside the state, and read back.

use catena_core::{Batch, Entry, Operation, Origin, Seq, Slot, Ticket, Write};
use catena_store::{Reader, Store};

use crate::build::{SLOT, append, apply, batch, delete, entry, in_version_2, install, object, pin, put, spill, stage};
use crate::cases::{assert_panics, submit_and_sync, value};
use crate::implementation::{Implementation, read_spilled, sweep_all};
use crate::twin::Twin;

/// All that is spilled behind `after`, read at once.
fn spilled(store: &impl Store, after: u64) -> Vec<Entry> {
    store.reader().spilled(SLOT, Seq(after), usize::MAX).unwrap()
}

/// More than go in one sweep, half of them with their values apart. From `first` on.
fn many(first: u64) -> Vec<Entry> {
    (first..first + 300).map(|seq| put(seq, "a", vec![7; if seq % 2 == 0 { 1100 } else { 10 }])).collect()
}

pub(crate) fn what_is_spilled_is_read_back_whatever_becomes_of_the_objects(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let mut log = vec![
        put(1, "a", "1"),
        put(2, "b", vec![2; 3000]),
        entry(3, Operation::OpenSession),
        delete(4, "a"),
        entry(5, Operation::Expire { sessions: vec![Seq(3)] }),
        put(6, "b", vec![6; 1025]),
        in_version_2(put(7, "c", vec![7; 70_000]), 1),
        in_version_2(entry(8, Operation::Nothing { refused: None }), 2),
        in_version_2(put(9, "b", vec![9; 9000]), 2),
    ];
    log[1].origin = Some(Origin { session: Seq(7), number: 8, answered_below: 9 });
    submit_and_sync(&mut store, 1, [append(&log)]);
    submit_and_sync(&mut store, 2, [apply(&log[..4]), spill(&log[..1])]);
    submit_and_sync(&mut store, 3, [apply(&log[4..]), spill(&log[1..7]), spill(&[]), spill(&log[7..])]);
    let read_back = |store: &_| {
        for after in 0..=9 {
            for bytes in [0, 1000, 4000, usize::MAX] {
                let found = read_spilled(&Store::reader(store), SLOT, Seq(after), bytes);
                assert_eq!(found, log[usize::try_from(after).unwrap()..], "{after} {bytes}");
            }
        }
    };
    read_back(&store);
    let next = [delete(10, "c"), put(11, "b", "small"), put(12, "a", vec![12; 2000])].map(|entry| in_version_2(entry, 2));
    submit_and_sync(&mut store, 4, [append(&next)]);
    submit_and_sync(&mut store, 5, [apply(&next[..2]), Write::Truncate { last: Seq(11) }, Write::Quarantine]);
    sweep_all(&mut store);
    assert_eq!((value(&store, "a"), value(&store, "b"), value(&store, "c")), (None, Some("small".into()), None));
    read_back(&store);
}

/// The last entry of a part is the one that reaches the bytes.
pub(crate) fn a_part_of_a_spill_has_about_the_bytes_asked_for(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let entries = [(4, 100), (5, 100), (6, 3000), (7, 100)].map(|(seq, weight)| put(seq, "a", vec![1; weight - 65]));
    assert_eq!(entries.iter().map(Entry::weight).sum::<usize>(), 3300);
    submit_and_sync(&mut store, 1, [spill(&entries)]);
    let cases: [(u64, usize, &[u64]); 11] = [
        (3, 0, &[4]),
        (3, 100, &[4]),
        (3, 101, &[4, 5]),
        (3, 201, &[4, 5, 6]),
        (3, 3201, &[4, 5, 6, 7]),
        (3, usize::MAX, &[4, 5, 6, 7]),
        (5, 0, &[6]),
        (6, 101, &[7]),
        (7, 1000, &[]),
        (2, 1000, &[]),
        (0, 1000, &[]),
    ];
    for (after, bytes, expected) in cases {
        let found = store.reader().spilled(SLOT, Seq(after), bytes).unwrap();
        assert_eq!(found.iter().map(|entry| entry.id.seq.0).collect::<Vec<_>>(), expected, "{after}, {bytes}");
    }
}

pub(crate) fn what_is_spilled_shows_with_its_sync_and_not_before(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let log = [put(1, "a", "1"), put(2, "b", vec![2; 3000]), put(3, "a", vec![3; 3000])];
    store.submit(batch(1, [spill(&log[..2])])).unwrap();
    assert_eq!(spilled(&store, 0), []);
    store.sync().unwrap();
    assert_eq!(spilled(&store, 0), log[..2]);
    store.submit(batch(2, [spill(&log[2..])])).unwrap();
    assert_eq!((spilled(&store, 0), spilled(&store, 2)), (log[..2].to_vec(), vec![]));
    store.sync().unwrap();
    assert_eq!(spilled(&store, 0), log);
    store.submit(batch(3, [Write::DropSpill])).unwrap();
    sweep_all(&mut store);
    assert_eq!(spilled(&store, 0), log);
    store.sync().unwrap();
    assert_eq!(spilled(&store, 0), []);
    submit_and_sync(&mut store, 4, [Write::DropSpill]);
    store.submit(batch(5, [spill(&log)])).unwrap();
    implementation.crash(store, 1, || true);
    assert_eq!(spilled(&implementation.recovered(), 0), []);
}

pub(crate) fn a_spill_that_has_ended_leaves_nothing(implementation: &impl Implementation) {
    let pin = pin(7, 900);
    let ends = [
        vec![Write::DropSpill],
        vec![stage(&pin, &[("c", object(800, vec![3; 3000]))]), install(&pin, &[])],
        vec![Write::Clear],
        vec![spill(&many(601)), Write::DropSpill, spill(&many(1)), Write::DropSpill],
    ];
    let mut store = implementation.recovered();
    let mut twin = Twin::default();
    let write = |store: &mut _, twin: &mut Twin, ticket, writes: &[Write]| {
        twin.submit(batch(ticket, writes));
        twin.sync();
        submit_and_sync(store, ticket, writes);
    };
    let log = [put(1, "a", vec![1; 2000]), put(2, "b", vec![2; 2000])];
    write(&mut store, &mut twin, 1, &[append(&log), apply(&log[..1])]);
    for end in ends {
        write(&mut store, &mut twin, 2, &[spill(&many(1))]);
        write(&mut store, &mut twin, 3, &[spill(&many(301))]);
        assert_eq!(spilled(&store, 0).len(), 600);
        write(&mut store, &mut twin, 4, &end);
        assert_eq!(spilled(&store, 0), []);
        sweep_all(&mut store);
        implementation.kill(store, 0);
        implementation.check_swept(&twin.visible());
        twin.restart(&[]);
        store = implementation.open();
        assert_eq!(store.recover().unwrap(), twin.recovered());
    }
}

pub(crate) fn a_restart_ends_a_spill(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    submit_and_sync(&mut store, 1, [spill(&many(1))]);
    implementation.kill(store, 0);
    let mut store = implementation.open();
    assert_eq!(store.recover().unwrap(), [], "nothing but a spill");
    assert_eq!(spilled(&store, 0), []);
    // Before what is left of the other is swept.
    let next = [put(100, "b", "100"), put(101, "b", vec![101; 2000])];
    submit_and_sync(&mut store, 1, [spill(&next)]);
    assert_eq!((spilled(&store, 0), spilled(&store, 99)), (vec![], next.to_vec()));
    sweep_all(&mut store);
    assert_eq!(spilled(&store, 99), next);
    implementation.crash(store, 0, || true);
    implementation.check_leftovers(&Twin::default().visible());
}

pub(crate) fn a_spill_behind_another_begins_anew(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    submit_and_sync(&mut store, 1, [spill(&many(1))]);
    submit_and_sync(&mut store, 2, [Write::DropSpill]);
    submit_and_sync(&mut store, 3, [spill(&many(501))]);
    assert_eq!((spilled(&store, 0), spilled(&store, 500)), (vec![], many(501)));
    // In one group, and in one batch.
    store.submit(batch(4, [Write::DropSpill])).unwrap();
    store.submit(batch(5, [spill(&many(1001))])).unwrap();
    submit_and_sync(&mut store, 6, [Write::DropSpill, spill(&many(101)), Write::Clear, spill(&many(201))]);
    for _ in 0..2 {
        let behind = |after| spilled(&store, after);
        assert_eq!((behind(0), behind(100), behind(500), behind(1000)), (vec![], vec![], vec![], vec![]));
        assert_eq!(behind(200), many(201));
        sweep_all(&mut store);
    }
}

pub(crate) fn slots_spill_each_for_itself(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let slots = [Slot(2), SLOT, Slot(4), Slot(u32::MAX)];
    let entries = |slot: Slot| [put(u64::from(slot.0), "a", vec![1; 2000]), put(u64::from(slot.0) + 1, "a", "1")];
    for (ticket, slot) in (1..).zip(slots) {
        store.submit(Batch { ticket: Ticket(ticket), slot, writes: vec![spill(&entries(slot))] }).unwrap();
    }
    store.sync().unwrap();
    store.submit(Batch { ticket: Ticket(10), slot: slots[2], writes: vec![Write::Clear] }).unwrap();
    submit_and_sync(&mut store, 11, [Write::DropSpill]);
    sweep_all(&mut store);
    for slot in slots {
        let found = read_spilled(&store.reader(), slot, entries(slot)[0].previous_id().seq, 0);
        let expected = if [SLOT, slots[2]].contains(&slot) { vec![] } else { entries(slot).to_vec() };
        assert_eq!(found, expected, "slot {slot}");
    }
}

/// A spill ends, is swept, and the next begins, while somebody reads: what is read is of one of them, and has no gap.
pub(crate) fn spills_are_read_while_they_come_and_go(implementation: &impl Implementation) {
    const SPILLS: usize = 50;
    let mut store = implementation.recovered();
    let reader = store.reader();
    let looker = std::thread::spawn(move || {
        let (mut seen, mut last) = (0, None);
        for after in (0..300).step_by(7).cycle() {
            let found = reader.spilled(SLOT, Seq(after), 20_000).unwrap();
            let Some(first) = found.first() else { continue };
            for (entry, expected) in found.iter().zip(many(after + 1)) {
                assert_eq!((entry.id, entry.weight(), fill(entry)), (expected.id, expected.weight(), fill(first)));
            }
            seen += usize::from(last.replace(fill(first)) != Some(fill(first)));
            if seen == SPILLS {
                return;
            }
        }
    });
    for round in 1.. {
        let mut entries = many(1);
        for entry in &mut entries {
            let Operation::Put { value, .. } = &mut entry.operation else { unreachable!("puts only") };
            *value = vec![u8::try_from(round % 251).unwrap(); value.len()].into();
        }
        submit_and_sync(&mut store, 10 * round, [spill(&entries[..200])]);
        submit_and_sync(&mut store, 10 * round + 1, [spill(&entries[200..])]);
        submit_and_sync(&mut store, 10 * round + 2, [Write::DropSpill]);
        store.sweep().unwrap();
        if looker.is_finished() {
            break;
        }
    }
    looker.join().unwrap();
}

/// What its value is full of.
fn fill(entry: &Entry) -> u8 {
    let Operation::Put { value, .. } = &entry.operation else { unreachable!("puts only") };
    assert!(value.iter().all(|byte| *byte == value[0]));
    value[0]
}

pub(crate) fn a_gap_in_what_is_spilled_is_refused_loudly(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    submit_and_sync(&mut store, 1, [spill(&[put(5, "a", "5")])]);
    assert_panics(&mut store, [spill(&[put(7, "a", "7")])]);
}

pub(crate) fn spilling_an_entry_of_another_history_is_refused_loudly(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    assert_panics(&mut store, [spill(&[put(5, "a", "5"), in_version_2(put(6, "a", "6"), 2)])]);
}
