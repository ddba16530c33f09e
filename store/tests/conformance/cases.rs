//! The contract, behaviour by behaviour.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use catena_core::{Batch, ChainVersion, Entry, EntryId, Metadata, Object, Recovered, Seq, Slot, Ticket, WallTime, Write};
use catena_store::{Reader, Store};

use crate::build::{SLOT, append, apply, batch, chain, delete, in_version_2, put, truncate};
use crate::implementation::Implementation;
use crate::twin::Fate;

pub(crate) use crate::random::large_objects_deleted_and_put_again_in_one_group_leave_nothing_over;

pub(crate) fn submit_and_sync(store: &mut impl Store, ticket: u64, writes: impl Into<Vec<Write>>) {
    store.submit(batch(ticket, writes)).unwrap();
    assert_eq!(store.sync().unwrap(), Some(Ticket(ticket)));
}

/// The only slot's log, after a kill.
fn log_after_restart<I: Implementation>(implementation: &I, store: I::Store) -> Vec<Entry> {
    implementation.kill(store, 0);
    only_slot(implementation.open().recover().unwrap()).log
}

pub(crate) fn only_slot(mut recovered: Vec<Recovered>) -> Recovered {
    assert_eq!(recovered.len(), 1, "{recovered:?}");
    recovered.remove(0)
}

pub(crate) fn value(store: &impl Store, key: &str) -> Option<Bytes> {
    store.reader().get(SLOT, key.as_bytes()).unwrap().map(|object| object.value)
}

pub(crate) fn an_empty_store_has_no_slots_and_no_ticket(implementation: &impl Implementation) {
    let mut store = implementation.open();
    assert_eq!(store.recover().unwrap(), []);
    assert_eq!(store.sync().unwrap(), None);
    assert_eq!(value(&store, "k"), None);
}

pub(crate) fn what_is_synced_survives_a_crash(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let entries = [put(1, "a", "1"), put(2, "b", "2"), delete(3, "a"), put(4, "c", "4")];
    submit_and_sync(&mut store, 1, [Write::Chain(chain(SLOT, 7)), append(&entries)]);
    submit_and_sync(&mut store, 2, [apply(&entries[..3])]);
    implementation.crash(store, 0, || true);

    let mut store = implementation.open();
    let recovered = only_slot(store.recover().unwrap());
    let expected = Recovered {
        slot: SLOT,
        chain: Some(chain(SLOT, 7)),
        trim: entries[2].id,
        trim_at: entries[2].at,
        sessions: vec![],
        log: vec![entries[3].clone()],
        staged: None,
        quarantined: false,
        damaged: None,
    };
    assert_eq!(recovered, expected);
    assert_eq!((value(&store, "a"), value(&store, "b"), value(&store, "c")), (None, Some("2".into()), None));
}

pub(crate) fn what_is_not_synced_is_lost_whole_or_kept_whole(implementation: &impl Implementation) {
    for lost in [true, false] {
        let mut store = implementation.recovered();
        let found = store.reader().metadata(SLOT, b"k").unwrap().map_or(0, |object| object.version.0);
        let entries = [put(found + 1, "k", vec![1; 3000]), put(found + 2, "k", vec![2; 3000])];
        store.submit(batch(1, [append(&entries), apply(&entries), Write::Chain(chain(SLOT, found + 1))])).unwrap();
        let fates = implementation.crash(store, 1, || lost);

        let mut store = implementation.open();
        let recovered = store.recover().unwrap();
        match fates[0] {
            Fate::Lost => assert_eq!(recovered, []),
            Fate::Kept => {
                assert_eq!(only_slot(recovered).trim.seq, Seq(2));
                assert_eq!(value(&store, "k").unwrap(), vec![2; 3000]);
            }
        }
        implementation.kill(store, 0);
    }
}

pub(crate) fn what_recovery_reported_survives_a_crash_right_after_it(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    store.submit(batch(1, [append(&[put(1, "a", "1")])])).unwrap();
    implementation.kill(store, 1);
    let mut store = implementation.open();
    let reported = store.recover().unwrap();
    implementation.crash(store, 0, || true);
    assert_eq!(implementation.open().recover().unwrap(), reported);
}

pub(crate) fn a_batch_is_visible_with_its_sync_and_not_before(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let reader = store.reader();
    let entry = put(1, "a", "1");
    store.submit(batch(1, [apply(std::slice::from_ref(&entry))])).unwrap();
    assert_eq!(reader.get(SLOT, b"a").unwrap(), None);
    store.sync().unwrap();
    let metadata = Metadata { version: Seq(1), created_at: WallTime(10), updated_at: WallTime(10) };
    assert_eq!(reader.get(SLOT, b"a").unwrap(), Some(Object { value: "1".into(), metadata }));
    assert_eq!(reader.metadata(SLOT, b"a").unwrap(), Some(metadata));
}

pub(crate) fn a_sync_covers_all_slots_and_names_the_last_ticket(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    for (ticket, slot) in [(4, 9), (5, 1), (9, 4)] {
        let writes = vec![append(&[put(1, "a", "1")])];
        store.submit(Batch { ticket: Ticket(ticket), slot: Slot(slot), writes }).unwrap();
    }
    assert_eq!(store.sync().unwrap(), Some(Ticket(9)));
    assert_eq!(store.sync().unwrap(), Some(Ticket(9)));
    store.submit(batch(10, [])).unwrap();
    assert_eq!(store.sync().unwrap(), Some(Ticket(10)));
    implementation.kill(store, 0);
    let slots: Vec<_> = implementation.open().recover().unwrap().iter().map(|found| found.slot.0).collect();
    assert_eq!(slots, [1, 4, 9]);
}

pub(crate) fn a_chain_replaces_the_one_before(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    submit_and_sync(&mut store, 1, [Write::Chain(chain(SLOT, 1))]);
    store.submit(batch(2, [Write::Chain(chain(SLOT, 2))])).unwrap();
    submit_and_sync(&mut store, 3, [Write::Chain(chain(SLOT, 3))]);
    implementation.kill(store, 0);
    assert_eq!(only_slot(implementation.open().recover().unwrap()).chain, Some(chain(SLOT, 3)));
}

pub(crate) fn truncate_removes_every_entry_after_the_last_to_stay(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let log: Vec<Entry> = (1..=5).map(|seq| put(seq, "k", vec![7; 900 * usize::try_from(seq).unwrap()])).collect();
    submit_and_sync(&mut store, 1, [append(&log)]);
    submit_and_sync(&mut store, 2, [truncate(2), truncate(9)]);
    let other = in_version_2(put(3, "k", "other"), 1);
    submit_and_sync(&mut store, 3, [append(std::slice::from_ref(&other))]);
    assert_eq!(log_after_restart(implementation, store), [log[0].clone(), log[1].clone(), other]);
}

pub(crate) fn an_appended_entry_replaces_the_one_at_its_seq(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let log = [put(1, "a", "1"), put(2, "b", vec![2; 5000]), put(3, "c", vec![3; 5000])];
    submit_and_sync(&mut store, 1, [append(&log)]);
    let others = [in_version_2(put(2, "d", vec![4; 4000]), 1), in_version_2(put(3, "e", "5"), 2)];
    submit_and_sync(&mut store, 2, [append(&others)]);
    assert_eq!(log_after_restart(implementation, store), [log[0].clone(), others[0].clone(), others[1].clone()]);
}

pub(crate) fn apply_moves_entries_from_the_log_to_the_objects(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let log = [put(1, "a", "1"), put(2, "b", vec![2; 5000]), delete(3, "a"), put(4, "a", "4"), put(5, "z", "5")];
    submit_and_sync(&mut store, 1, [append(&log)]);
    submit_and_sync(&mut store, 2, [apply(&log[..2])]);
    assert_eq!((value(&store, "a"), value(&store, "b")), (Some("1".into()), Some(vec![2; 5000].into())));
    submit_and_sync(&mut store, 3, [apply(&log[2..3])]);
    assert_eq!(value(&store, "a"), None);
    submit_and_sync(&mut store, 4, [apply(&log[3..4])]);
    assert_eq!(value(&store, "a"), Some("4".into()));
    assert_eq!(log_after_restart(implementation, store), log[4..]);
}

pub(crate) fn entries_can_be_applied_that_were_never_logged(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let log = [put(1, "a", "1"), put(2, "b", vec![2; 5000])];
    submit_and_sync(&mut store, 1, [append(&log[..1]), apply(&log)]);
    assert_eq!((value(&store, "a"), value(&store, "b")), (Some("1".into()), Some(vec![2; 5000].into())));
    assert_eq!(log_after_restart(implementation, store), []);
}

pub(crate) fn an_overwritten_object_keeps_its_creation_time_as_the_entry_says(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let mut second = put(2, "a", "2");
    if let catena_core::Operation::Put { created_at, .. } = &mut second.operation {
        *created_at = WallTime(10);
    }
    submit_and_sync(&mut store, 1, [apply(&[put(1, "a", "1"), second])]);
    let metadata = Metadata { version: Seq(2), created_at: WallTime(10), updated_at: WallTime(20) };
    assert_eq!(store.reader().metadata(SLOT, b"a").unwrap(), Some(metadata));
}

pub(crate) fn values_of_every_size_are_read_back_from_log_and_objects(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let sizes = [0, 1, 1023, 1024, 1025, 70_000, 3 << 20];
    let keys = ["", "a", "b\0", "\0\0\0\u{3}", "d", "e", "f"];
    let log: Vec<Entry> = (1..).zip(sizes).zip(keys).map(|((seq, size), key)| put(seq, key, vec![b'x'; size])).collect();
    submit_and_sync(&mut store, 1, [append(&log)]);
    implementation.kill(store, 0);
    let mut store = implementation.open();
    assert_eq!(only_slot(store.recover().unwrap()).log, log);
    submit_and_sync(&mut store, 2, [apply(&log)]);
    implementation.kill(store, 0);
    let store = implementation.recovered();
    for (key, size) in keys.into_iter().zip(sizes) {
        assert_eq!(value(&store, key), Some(vec![b'x'; size].into()), "key {key:?}");
    }
}

pub(crate) fn a_value_cut_from_the_log_leaves_the_object_alone(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let first = put(1, "a", vec![1; 2000]);
    let second = put(2, "a", vec![2; 2000]);
    submit_and_sync(&mut store, 1, [append(&[first.clone(), second])]);
    submit_and_sync(&mut store, 2, [apply(&[first]), truncate(1)]);
    assert_eq!(value(&store, "a"), Some(vec![1; 2000].into()));
    assert_eq!(log_after_restart(implementation, store), []);
    assert_eq!(value(&implementation.recovered(), "a"), Some(vec![1; 2000].into()));
}

pub(crate) fn many_writes_of_one_key_in_one_group_leave_the_last(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let log: Vec<Entry> = (1..=9)
        .map(|seq| if seq % 4 == 0 { delete(seq, "a") } else { put(seq, "a", vec![7; 400 * usize::try_from(seq).unwrap()]) })
        .collect();
    for (ticket, entry) in (1..).zip(&log) {
        store.submit(batch(ticket, [append(std::slice::from_ref(entry)), apply(std::slice::from_ref(entry))])).unwrap();
    }
    store.sync().unwrap();
    assert_eq!(value(&store, "a"), Some(vec![7; 3600].into()));
    assert_eq!(log_after_restart(implementation, store), []);
    assert_eq!(value(&implementation.recovered(), "a"), Some(vec![7; 3600].into()));
}

pub(crate) fn slots_do_not_see_each_other(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    for (ticket, slot, text) in [(1, 3, "three"), (2, 4, "four"), (3, u32::MAX, "last")] {
        let entry = put(1, "a", text);
        let writes = vec![append(std::slice::from_ref(&entry)), apply(&[entry])];
        store.submit(Batch { ticket: Ticket(ticket), slot: Slot(slot), writes }).unwrap();
    }
    store.sync().unwrap();
    let reader = store.reader();
    let get = |slot| reader.get(Slot(slot), b"a").unwrap().map(|object| object.value);
    assert_eq!((get(3), get(4), get(5)), (Some("three".into()), Some("four".into()), None));
    assert_eq!(get(u32::MAX), Some("last".into()));
}

/// The reader must find a whole object at every moment, also where its value is apart and just being replaced.
pub(crate) fn readers_look_while_the_writer_writes(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    submit_and_sync(&mut store, 1, [apply(&[put(1, "a", vec![1; 2000])])]);
    let reader = store.reader();
    let looker = std::thread::spawn(move || {
        let mut seen = Seq(0);
        while seen < Seq(200) {
            let object = reader.get(SLOT, b"a").unwrap().unwrap();
            assert!(object.metadata.version >= seen);
            seen = object.metadata.version;
            assert_eq!(object.value, vec![u8::try_from(seen.0).unwrap(); 2000]);
        }
    });
    for seq in 2..=200 {
        let entry = put(seq, "a", vec![u8::try_from(seq).unwrap(); 2000]);
        submit_and_sync(&mut store, seq, [append(std::slice::from_ref(&entry)), apply(&[entry])]);
    }
    looker.join().unwrap();
}

pub(crate) fn assert_panics(store: &mut impl Store, writes: impl Into<Vec<Write>>) {
    let batch = batch(99, writes);
    let outcome = catch_unwind(AssertUnwindSafe(|| store.submit(batch).and_then(|()| store.sync())));
    assert!(outcome.is_err(), "{outcome:?}");
}

pub(crate) fn a_gap_is_refused_loudly(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    submit_and_sync(&mut store, 1, [append(&[put(1, "a", "1")])]);
    assert_panics(&mut store, [append(&[put(3, "c", "3")])]);
}

pub(crate) fn applying_out_of_order_is_refused_loudly(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let other = Entry { previous: ChainVersion(5), ..put(2, "b", "2") };
    assert_eq!(other.previous_id(), EntryId { version: ChainVersion(5), seq: Seq(1) });
    submit_and_sync(&mut store, 1, [apply(&[put(1, "a", "1")])]);
    assert_panics(&mut store, [apply(&[other])]);
}
