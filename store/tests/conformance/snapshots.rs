//! The contract of snapshots: staged, installed, cleared, pinned.

use bytes::Bytes;
use catena_core::{Batch, Entry, EntryId, Object, Recovered, Seq, Session, Slot, Ticket, Write};
use catena_store::{KEPT_PARTS, Part, Pinned, Reader, Store, Swept};

use crate::build::{SLOT, append, apply, batch, chain, end, install, object, pin, put, session, stage};
use crate::cases::{assert_panics, only_slot, submit_and_sync, value};
use crate::implementation::{Implementation, sweep_all};
use crate::twin::Fate;

/// The whole of a pin, in parts of about `bytes`.
fn read_all(pinned: &impl Pinned, bytes: usize) -> Part {
    let mut all = Part { objects: vec![], end: None };
    while all.end.is_none() {
        let after = all.objects.last().map(|(key, _)| key.clone());
        let part = pinned.read(after.as_deref(), bytes).unwrap().expect("it follows on the one before");
        assert!(!part.objects.is_empty() || part.end.is_some(), "a part leads on");
        all.objects.extend(part.objects);
        all.end = part.end;
    }
    all
}

fn objects(objects: &[(&'static str, Object)]) -> Vec<(Bytes, Object)> {
    objects.iter().map(|(key, object)| (Bytes::from(*key), object.clone())).collect()
}

/// A slot with objects and sessions as of 4, and a log beyond.
fn fill(store: &mut impl Store) {
    let log =
        [put(1, "a", "1"), put(2, "b", vec![2; 3000]), put(3, "c", "3"), put(4, "b", vec![4; 4000]), put(5, "a", vec![5; 5000])];
    let sessions = vec![(Seq(1), Some(session(1))), (Seq(3), Some(session(3))), (Seq(9), None)];
    submit_and_sync(store, 1, [Write::Chain(chain(SLOT, 6)), append(&log)]);
    submit_and_sync(store, 2, [Write::Apply { entries: log[..4].to_vec(), sessions }]);
}

pub(crate) fn sessions_come_and_go_with_the_entries_that_change_them(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    fill(&mut store);
    let sessions = vec![(Seq(1), None), (Seq(3), Some(session(30))), (Seq(5), Some(session(5)))];
    submit_and_sync(&mut store, 3, [Write::Apply { entries: vec![put(5, "a", vec![5; 5000])], sessions }]);
    implementation.kill(store, 0);
    let found = only_slot(implementation.open().recover().unwrap());
    assert_eq!((found.trim.seq, found.sessions), (Seq(5), vec![(Seq(3), session(30)), (Seq(5), session(5))]));
}

pub(crate) fn every_kind_of_entry_and_chain_is_read_back(implementation: &impl Implementation) {
    use catena_core::{Metadata, Operation, Origin, Refusal, WallTime};
    let mut store = implementation.recovered();
    let object = Metadata { version: Seq(1), created_at: WallTime(2), updated_at: WallTime(u64::MAX) };
    let operations = [
        Operation::OpenSession,
        Operation::Put { key: "a".into(), value: vec![1; 2000].into(), created_at: WallTime(7) },
        Operation::Nothing { refused: None },
        Operation::Nothing { refused: Some(Refusal { object: None }) },
        Operation::Nothing { refused: Some(Refusal { object: Some(object) }) },
        Operation::Delete { key: "a".into() },
        Operation::Expire { sessions: vec![Seq(1), Seq(u64::MAX)] },
        Operation::Expire { sessions: vec![] },
    ];
    let mut log: Vec<_> = (1..).zip(operations).map(|(seq, operation)| crate::build::entry(seq, operation)).collect();
    for entry in log.iter_mut().step_by(2) {
        entry.origin = Some(Origin { session: Seq(1), number: entry.id.seq.0 * 2, answered_below: u64::MAX });
    }
    for version in 6..12 {
        submit_and_sync(&mut store, version, [Write::Chain(chain(SLOT, version))]);
        implementation.kill(store, 0);
        store = implementation.open();
        assert_eq!(only_slot(store.recover().unwrap()).chain, Some(chain(SLOT, version)));
    }
    submit_and_sync(&mut store, 20, [append(&log)]);
    implementation.kill(store, 0);
    let mut store = implementation.open();
    assert_eq!(only_slot(store.recover().unwrap()).log, log);
    submit_and_sync(&mut store, 21, [apply(&log[..5])]);
    assert_eq!(value(&store, "a"), Some(vec![1; 2000].into()));
    submit_and_sync(&mut store, 22, [apply(&log[5..])]);
    assert_eq!(value(&store, "a"), None);
    implementation.kill(store, 0);
    assert_eq!(only_slot(implementation.open().recover().unwrap()).trim, log[7].id);
}

pub(crate) fn an_installed_snapshot_replaces_everything_but_the_chain(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    fill(&mut store);
    let pin = pin(7, 20);
    let parts = [("b", object(20, vec![20; 2000])), ("d", object(2, "four")), ("e", object(5, vec![9; 9000]))];
    submit_and_sync(&mut store, 3, [stage(&pin, &parts[..2])]);
    assert_eq!((value(&store, "a"), value(&store, "d")), (Some("1".into()), None), "what is staged does not show");
    submit_and_sync(&mut store, 4, [stage(&pin, &parts[2..]), install(&pin, &[(Seq(11), session(11))])]);
    sweep_all(&mut store);
    for round in 0..2 {
        assert_eq!((value(&store, "a"), value(&store, "c")), (None, None));
        for (key, object) in &parts {
            assert_eq!(store.reader().get(SLOT, key.as_bytes()).unwrap().as_ref(), Some(object), "round {round}");
        }
        assert_eq!(read_all(&store.reader().pin(SLOT).unwrap(), 100).objects, objects(&parts));
        implementation.kill(store, 0);
        store = implementation.open();
        let expected = Recovered {
            slot: SLOT,
            chain: Some(chain(SLOT, 6)),
            trim: pin.at,
            trim_at: end(20, &[]).at_time,
            sessions: vec![(Seq(11), session(11))],
            log: vec![],
            staged: None,
            quarantined: false,
            damaged: None,
        };
        assert_eq!(only_slot(store.recover().unwrap()), expected);
    }
    // And it goes on from there.
    let next = [put(21, "e", vec![21; 3000]), put(22, "b", "small")];
    submit_and_sync(&mut store, 5, [append(&next), apply(&next)]);
    assert_eq!((value(&store, "e"), value(&store, "b")), (Some(vec![21; 3000].into()), Some("small".into())));
}

pub(crate) fn what_is_staged_survives_a_restart_and_is_gone_on_with(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let pin = pin(7, 20);
    let parts = [("a", object(1, vec![1; 2000])), ("b", object(2, "two")), ("c", object(3, vec![3; 3000]))];
    submit_and_sync(&mut store, 1, [stage(&pin, &[])]);
    implementation.kill(store, 0);
    for (part, last) in [(None, None), (Some(0), Some("a")), (Some(1), Some("b"))] {
        let mut store = implementation.recovered();
        if let Some(part) = part {
            submit_and_sync(&mut store, 1, [stage(&pin, &parts[part..=part])]);
        }
        implementation.crash(store, 0, || true);
        let mut store = implementation.open();
        let found = only_slot(store.recover().unwrap());
        assert_eq!(found.staged, Some((pin.clone(), last.map(Bytes::from))));
        assert_eq!((found.trim, value(&store, "a")), (EntryId::default(), None));
        implementation.kill(store, 0);
    }
    let mut store = implementation.recovered();
    submit_and_sync(&mut store, 1, [stage(&pin, &parts[2..]), install(&pin, &[])]);
    sweep_all(&mut store);
    assert_eq!(read_all(&store.reader().pin(SLOT).unwrap(), 1).objects, objects(&parts));
}

pub(crate) fn a_part_of_another_snapshot_replaces_what_was_staged(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    fill(&mut store);
    let pins = [pin(7, 20), pin(8, 20), pin(8, 21)];
    submit_and_sync(&mut store, 3, [stage(&pins[0], &[("a", object(6, vec![6; 6000])), ("x", object(7, vec![7; 7000]))])]);
    submit_and_sync(&mut store, 4, [stage(&pins[1], &[("b", object(8, vec![8; 8000]))])]);
    submit_and_sync(&mut store, 5, [stage(&pins[2], &[("a", object(9, vec![9; 9000]))])]);
    implementation.kill(store, 0);
    let mut store = implementation.open();
    assert_eq!(only_slot(store.recover().unwrap()).staged, Some((pins[2].clone(), Some("a".into()))));
    sweep_all(&mut store);
    assert_eq!(value(&store, "b"), Some(vec![4; 4000].into()), "the slot's own values are left alone");
    submit_and_sync(&mut store, 6, [install(&pins[2], &[])]);
    sweep_all(&mut store);
    assert_eq!(read_all(&store.reader().pin(SLOT).unwrap(), 100).objects, objects(&[("a", object(9, vec![9; 9000]))]));
}

pub(crate) fn an_empty_snapshot_empties_the_slot(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    fill(&mut store);
    let pin = pin(7, 0);
    submit_and_sync(&mut store, 3, [stage(&pin, &[]), install(&pin, &[])]);
    sweep_all(&mut store);
    assert_eq!((value(&store, "a"), value(&store, "b")), (None, None));
    implementation.kill(store, 0);
    let mut store = implementation.open();
    let found = only_slot(store.recover().unwrap());
    assert_eq!((found.trim, found.log, found.sessions, found.staged), (EntryId::default(), vec![], vec![], None));
    submit_and_sync(&mut store, 4, [apply(&[put(1, "a", "again")])]);
    assert_eq!(value(&store, "a"), Some("again".into()));
}

pub(crate) fn a_cleared_slot_has_its_chain_and_nothing_else(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    fill(&mut store);
    submit_and_sync(&mut store, 3, [stage(&pin(7, 20), &[("a", object(6, vec![6; 6000]))])]);
    // Also what the same batch has brought goes.
    submit_and_sync(&mut store, 4, [append(&[put(6, "f", vec![6; 6000])]), Write::Clear, append(&[put(1, "a", vec![1; 2000])])]);
    sweep_all(&mut store);
    assert_eq!(value(&store, "b"), None);
    implementation.kill(store, 0);
    let mut store = implementation.open();
    let expected = Recovered {
        slot: SLOT,
        chain: Some(chain(SLOT, 6)),
        trim: EntryId::default(),
        trim_at: end(0, &[]).at_time,
        sessions: vec![],
        log: vec![put(1, "a", vec![1; 2000])],
        staged: None,
        quarantined: false,
        damaged: None,
    };
    assert_eq!(only_slot(store.recover().unwrap()), expected);
    submit_and_sync(&mut store, 5, [apply(&[put(1, "a", vec![1; 2000])])]);
    assert_eq!(read_all(&store.reader().pin(SLOT).unwrap(), 0).objects, objects(&[("a", object(1, vec![1; 2000]))]));
}

pub(crate) fn a_slot_without_a_chain_that_is_cleared_has_never_been(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    submit_and_sync(&mut store, 1, [apply(&[put(1, "a", vec![1; 2000])])]);
    submit_and_sync(&mut store, 2, [Write::Clear]);
    submit_and_sync(&mut store, 3, [Write::Clear, Write::Clear]);
    implementation.kill(store, 0);
    let mut store = implementation.open();
    assert_eq!(store.recover().unwrap(), []);
    assert_eq!(value(&store, "a"), None);
    // What is left on disk of the lives before is not taken for a part of this one.
    submit_and_sync(&mut store, 1, [apply(&[put(1, "b", vec![1; 2000])])]);
    sweep_all(&mut store);
    assert_eq!((value(&store, "a"), value(&store, "b")), (None, Some(vec![1; 2000].into())));
}

pub(crate) fn staged_and_installed_batches_are_lost_or_kept_as_a_whole_and_in_order(implementation: &impl Implementation) {
    let pin = pin(7, 20);
    let parts = [("a", object(1, "1")), ("b", object(2, "2")), ("c", object(3, vec![3; 3000]))];
    for lost in 0..16_u32 {
        let mut store = implementation.recovered();
        submit_and_sync(&mut store, 1, [Write::Clear, Write::Chain(chain(SLOT, 2)), apply(&[put(1, "old", "old")])]);
        for (ticket, part) in (2..).zip(&parts) {
            store.submit(batch(ticket, [stage(&pin, std::slice::from_ref(part))])).unwrap();
        }
        store.submit(batch(5, [install(&pin, &[(Seq(3), session(3))])])).unwrap();
        let mut asked = 0;
        let fates = implementation.crash(store, 4, || {
            asked += 1;
            lost >> (asked - 1) & 1 == 1
        });
        let mut store = implementation.open();
        let found = only_slot(store.recover().unwrap());
        let kept = fates.iter().take_while(|fate| **fate == Fate::Kept).count();
        if kept == 4 {
            assert_eq!((found.trim, found.staged, value(&store, "old")), (pin.at, None, None));
            assert_eq!(read_all(&store.reader().pin(SLOT).unwrap(), 0).objects, objects(&parts));
        } else {
            let staged = kept.checked_sub(1).map(|last| (pin.clone(), Some(Bytes::from(parts[last.min(2)].0))));
            assert_eq!((found.trim.seq, found.staged, value(&store, "old")), (Seq(1), staged, Some("old".into())));
        }
        implementation.kill(store, 0);
    }
}

pub(crate) fn a_pin_shows_one_moment_whatever_comes_after(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    fill(&mut store);
    let reader = store.reader();
    let sessions: [(Seq, Session); 2] = [(Seq(1), session(1)), (Seq(3), session(3))];
    let expected = Part {
        objects: objects(&[("a", object(1, "1")), ("b", object(4, vec![4; 4000])), ("c", object(3, "3"))]),
        end: Some(end(4, &sessions)),
    };
    let other = pin(7, 20);
    let changes: [Vec<Write>; 4] = [
        vec![Write::Apply { entries: vec![put(5, "a", vec![5; 5000])], sessions: vec![(Seq(1), None)] }],
        vec![apply(&[put(6, "b", "small"), put(7, "z", "new")])],
        vec![stage(&other, &[("b", object(20, "twenty"))]), install(&other, &[])],
        vec![Write::Clear],
    ];
    // For each change some that nobody has read, and some that are read in part.
    let pins: Vec<_> = std::iter::repeat_with(|| [0, 5, 4001, 4010, usize::MAX].map(|bytes| (bytes, reader.pin(SLOT).unwrap())))
        .take(2 * changes.len())
        .collect();
    for (bytes, pinned) in pins.iter().step_by(2).flatten() {
        pinned.read(None, *bytes).unwrap();
    }
    for ((ticket, writes), pins) in (3..).zip(changes).zip(pins.chunks(2)) {
        submit_and_sync(&mut store, ticket, writes);
        sweep_all(&mut store);
        for (bytes, pinned) in pins.iter().flatten() {
            assert_eq!(pinned.at(), EntryId { version: catena_core::ChainVersion(1), seq: Seq(4) });
            assert_eq!(read_all(pinned, *bytes), expected);
        }
    }
    assert_eq!(read_all(&reader.pin(SLOT).unwrap(), 10), Part { objects: vec![], end: Some(end(0, &[])) });
}

pub(crate) fn a_pin_has_what_was_durable_and_nothing_of_what_was_not(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let reader = store.reader();
    let nothing = Part { objects: vec![], end: Some(end(0, &[])) };
    assert_eq!((reader.pin(SLOT).unwrap().at(), read_all(&reader.pin(SLOT).unwrap(), 0)), (EntryId::default(), nothing.clone()));
    store.submit(batch(1, [apply(&[put(1, "a", "1")])])).unwrap();
    let before = reader.pin(SLOT).unwrap();
    store.sync().unwrap();
    let after = reader.pin(SLOT).unwrap();
    store.submit(batch(2, [apply(&[put(2, "a", "2")])])).unwrap();
    assert_eq!((before.at(), read_all(&before, 0)), (EntryId::default(), nothing));
    assert_eq!((after.at(), read_all(&after, 0).objects), (put(1, "a", "").id, objects(&[("a", object(1, "1"))])));
}

/// Sizes of keys and values count; a single object may be larger than a part.
pub(crate) fn a_part_has_about_the_bytes_asked_for(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let entries = [put(1, "a", vec![1; 9]), put(2, "b", vec![1; 9]), put(3, "c", vec![1; 2999]), put(4, "d", vec![1; 9])];
    submit_and_sync(&mut store, 1, [apply(&entries)]);
    let keys = |after: Option<&[u8]>, bytes| {
        let part = store.reader().pin(SLOT).unwrap().read(after, bytes).unwrap().unwrap();
        let keys: Vec<Bytes> = part.objects.into_iter().map(|(key, _)| key).collect();
        (String::from_utf8(keys.concat()).unwrap(), part.end.is_some())
    };
    let cases: [(Option<&[u8]>, usize, &str, bool); 9] = [
        (None, 0, "a", false),
        (None, 19, "a", false),
        (None, 20, "ab", false),
        (None, 3020, "abc", false),
        (None, 3030, "abcd", true),
        (Some(b"a\0"), 20, "b", false),
        (Some(b"b"), 20, "c", false),
        (Some(b"c"), 0, "d", true),
        (Some(b"d"), 0, "", true),
    ];
    for (after, bytes, expected, last) in cases {
        assert_eq!(keys(after, bytes), (expected.to_owned(), last), "{after:?}, {bytes}");
    }
}

/// As a replica asks for those that it has lost with a restart. Values apart among keys whose order is easily got wrong.
pub(crate) fn the_last_parts_of_a_pin_can_be_read_again(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let keys = ["a", "a\0", "a\0\0", "a\0\u{1}", "a\u{1}", "a\u{1}\0", "b", "c"];
    let entries: Vec<Entry> = (1..).zip(keys).map(|(seq, key)| put(seq, key, vec![u8::try_from(seq).unwrap(); 3000])).collect();
    submit_and_sync(&mut store, 1, [apply(&entries[..3])]);
    submit_and_sync(&mut store, 2, [append(&[put(4, "b", vec![9; 3000])])]);
    submit_and_sync(&mut store, 3, [Write::Truncate { last: Seq(3) }, apply(&entries[3..])]);
    // Values of entries that are not applied lie among those of objects.
    submit_and_sync(&mut store, 4, [append(&[put(9, "a\0", vec![9; 3000]), put(10, "c", vec![9; 3000])])]);
    let pinned = store.reader().pin(SLOT).unwrap();
    let part = |after: Option<&str>| pinned.read(after.map(str::as_bytes), 7000).unwrap();
    let mut found = Vec::new();
    let behind = [None, Some("a\0"), Some("a\0\u{1}"), Some("a\u{1}\0")];
    for (at, after) in behind.into_iter().enumerate() {
        let read = part(after).expect("it follows on the one before");
        found.push(read.clone());
        for (back, &after) in behind[..=at].iter().rev().enumerate() {
            let again = (back < KEPT_PARTS).then(|| found[at - back].clone());
            assert_eq!(part(after), again, "{back} back from {at}");
        }
        assert_eq!(part(Some("aa")), None, "nobody had a part end there");
    }
    assert_eq!(part(Some("c")), None, "nothing follows on the end");
    let expected =
        (1..).zip(keys).map(|(seq, key)| (key, object(seq, vec![u8::try_from(seq).unwrap(); 3000]))).collect::<Vec<_>>();
    assert_eq!(found.into_iter().flat_map(|part| part.objects).collect::<Vec<_>>(), objects(&expected));
}

/// While the writer goes on, every pin must be a state that the slot was once in.
pub(crate) fn pins_are_taken_while_the_writer_writes(implementation: &impl Implementation) {
    const ROUNDS: u64 = 150;
    let mut store = implementation.recovered();
    let sessions = vec![(Seq(1), Some(session(1)))];
    submit_and_sync(&mut store, 1, [Write::Apply { entries: vec![put(1, "a", vec![1; 2000])], sessions }]);
    let reader = store.reader();
    let looker = std::thread::spawn(move || {
        let mut at = Seq(0);
        while at.0 < 2 * ROUNDS {
            let pinned = reader.pin(SLOT).unwrap();
            at = pinned.at().seq;
            let all = read_all(&pinned, 100);
            let (_, last) = all.objects.iter().max_by_key(|(_, object)| object.metadata.version).unwrap();
            assert_eq!(last.metadata.version, at);
            assert_eq!(all.end, Some(end(at.0, &[(at, session(at.0))])));
            let key: &[u8] = if at.0.is_multiple_of(2) { b"b" } else { b"a" };
            // Until `sync` has returned, a read may be at the state before.
            assert!(reader.get(SLOT, key).unwrap().is_none_or(|object| object.metadata.version.0 + 2 >= at.0));
        }
    });
    for round in 1..=ROUNDS {
        // To an odd seq by a snapshot, to an even one by an entry.
        let pin = pin(round, 2 * round - 1);
        let (odd, even) = (Seq(2 * round - 1), Seq(2 * round));
        let staged = stage(&pin, &[("a", object(odd.0, vec![7; 2000]))]);
        submit_and_sync(&mut store, 2 * round, [staged, install(&pin, &[(odd, session(odd.0))])]);
        let sessions = vec![(odd, None), (even, Some(session(even.0)))];
        let entry = put(even.0, "b", vec![8; 2000]);
        submit_and_sync(&mut store, 2 * round + 1, [Write::Apply { entries: vec![entry], sessions }]);
    }
    looker.join().unwrap();
}

pub(crate) fn slots_are_cleared_and_installed_each_for_itself(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let (low, high) = (Slot(2), Slot(u32::MAX));
    for (ticket, slot) in [(1, low), (2, SLOT), (3, high)] {
        let writes = vec![apply(&[put(1, "a", vec![1; 2000])]), append(&[put(2, "b", vec![2; 2000])])];
        store.submit(Batch { ticket: Ticket(ticket), slot, writes }).unwrap();
    }
    submit_and_sync(&mut store, 4, [stage(&pin(1, 3), &[("c", object(3, vec![3; 2000]))])]);
    store.submit(Batch { ticket: Ticket(5), slot: high, writes: vec![Write::Clear] }).unwrap();
    submit_and_sync(&mut store, 6, [install(&pin(1, 3), &[])]);
    sweep_all(&mut store);
    let keys = |slot| read_all(&store.reader().pin(slot).unwrap(), 0).objects.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!((keys(low), keys(SLOT), keys(high)), (vec!["a".into()], vec!["c".into()], vec![]));
    implementation.kill(store, 0);
    let recovered = implementation.open().recover().unwrap();
    let logs: Vec<_> = recovered.iter().map(|found| (found.slot, found.log.len())).collect();
    assert_eq!(logs, [(low, 1), (SLOT, 0)]);
}

pub(crate) fn what_is_swept_is_nobodys_business(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    fill(&mut store);
    assert_eq!(store.sweep().unwrap(), Swept::All);
    store.submit(batch(3, [Write::Clear])).unwrap();
    sweep_all(&mut store);
    assert_eq!(value(&store, "a"), Some("1".into()), "a submitted batch is not in effect");
    store.sync().unwrap();
    submit_and_sync(&mut store, 4, [apply(&[put(1, "b", vec![9; 2000])])]);
    sweep_all(&mut store);
    assert_eq!(value(&store, "b"), Some(vec![9; 2000].into()));
}

pub(crate) fn installing_what_is_not_staged_is_refused_loudly(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    submit_and_sync(&mut store, 1, [stage(&pin(7, 20), &[])]);
    assert_panics(&mut store, [install(&pin(7, 21), &[])]);
}

pub(crate) fn staging_out_of_order_is_refused_loudly(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    let pin = pin(7, 20);
    submit_and_sync(&mut store, 1, [stage(&pin, &[("b", object(1, "1"))])]);
    assert_panics(&mut store, [stage(&pin, &[("b", object(1, "1"))])]);
}

pub(crate) fn staging_what_came_after_the_pin_is_refused_loudly(implementation: &impl Implementation) {
    let mut store = implementation.recovered();
    assert_panics(&mut store, [stage(&pin(7, 20), &[("b", object(21, "1"))])]);
}
