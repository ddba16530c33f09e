//! What only a real disk can do to a store: damage, gaps, a killed process, a write that fails.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::{
    Batch, Chain, ChainVersion, Entry, EntryId, Epoch, Incarnation, Member, NodeId, Operation, Pin, Process, Recovered, Seq,
    Session, Slot, SnapshotEnd, Ticket, WallTime, Write,
};
use catena_store::{FjallStore, Pinned, Reader, Store, StoreError, Swept};
use fjall::{Database, Keyspace, PersistMode};

const SLOT: Slot = Slot(3);

fn put(seq: u64, value: Vec<u8>) -> Entry {
    let key = format!("key{}", seq % 100).into();
    Entry {
        id: EntryId { version: ChainVersion(1), seq: Seq(seq) },
        previous: ChainVersion(u64::from(seq > 1)),
        at: WallTime(seq),
        origin: None,
        operation: Operation::Put { key, value: value.into(), created_at: WallTime(seq) },
    }
}

fn submit_and_sync(store: &mut FjallStore, ticket: u64, writes: Vec<Write>) {
    store.submit(Batch { ticket: Ticket(ticket), slot: SLOT, writes }).unwrap();
    store.sync().unwrap();
}

fn session() -> Session {
    Session { used_at: WallTime(1), answered_below: 1, answers: BTreeMap::new() }
}

/// Objects 1 (small) and 2 (large) and a session; log entries 3 (small) to 6 (large); a snapshot begun.
fn fill(path: &Path) {
    let mut store = FjallStore::open_unidentified(path).unwrap();
    store.recover().unwrap();
    let log: Vec<Entry> = (1..=6).map(|seq| put(seq, vec![1; if seq % 2 == 0 { 5000 } else { 5 }])).collect();
    submit_and_sync(&mut store, 1, vec![Write::Append(log.clone())]);
    submit_and_sync(&mut store, 2, vec![Write::Apply { entries: log[..2].to_vec(), sessions: vec![(Seq(1), Some(session()))] }]);
    let pin = Pin { source: NodeId::new("n2").unwrap(), process: Process(1), at: put(9, vec![]).id };
    submit_and_sync(&mut store, 3, vec![Write::Stage { pin, objects: vec![] }]);
}

/// Changes the files behind the store's back.
fn meddle(path: &Path, keyspace: &str, change: impl FnOnce(&Keyspace)) {
    let database = Database::builder(path).open().unwrap();
    change(&database.keyspace(keyspace, || unreachable!("it exists")).unwrap());
    database.persist(PersistMode::SyncAll).unwrap();
}

/// In the first generation of the slot.
fn position(seq: u64) -> [u8; 16] {
    let mut key = [0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    key[8..].copy_from_slice(&seq.to_be_bytes());
    key
}

/// Where the value of the entry at `seq` lies.
fn value_at(seq: u64) -> Vec<u8> {
    [&position(seq)[..8], format!("key{seq}").as_bytes(), &[0, 1], &seq.to_be_bytes()].concat()
}

fn flip_a_bit(keyspace: &Keyspace, key: &[u8]) {
    let mut record = keyspace.get(key).unwrap().unwrap().to_vec();
    let middle = record.len() / 2;
    record[middle] ^= 4;
    keyspace.insert(key, record).unwrap();
}

fn assert_corrupt<T: std::fmt::Debug>(outcome: Result<T, StoreError>, keyspace: &str, key: &str) {
    let error = outcome.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&format!("record {key} of keyspace {keyspace} is corrupt")), "{text}");
}

/// What is found of the slot when it is damaged: its record, and nothing else.
fn assert_damaged(recovered: &Recovered, chain: Option<&Chain>, keyspace: &str, key: &str) {
    let text = recovered.damaged.clone().unwrap();
    assert!(text.contains(&format!("record {key} of keyspace {keyspace} is corrupt")), "{text}");
    let expected = Recovered { chain: chain.cloned(), damaged: Some(text), ..Recovered::empty(SLOT) };
    assert_eq!(*recovered, expected);
}

fn chain(slot: Slot) -> Chain {
    let member = Member { node: NodeId::new("n1").unwrap(), incarnation: Incarnation(1), activated: ChainVersion(1) };
    Chain { slot, version: ChainVersion(4), epoch: Epoch(1), members: vec![member], joining: None, tail_ready: true }
}

#[test]
fn a_damaged_record_takes_its_slot_out_of_service_and_no_other_until_it_is_cleared() {
    let cases: [(&str, &[u8], &str); 7] = [
        ("log", &position(5), "slot 3 generation 0 seq 5"),
        ("log", &position(6), "slot 3 generation 0 seq 6"),
        ("values", &value_at(6), "slot 3 generation 0 key \"key6\" seq 6"),
        ("slots", &[0, 0, 0, 3, 0], "slot 3 chain"),
        ("slots", &[0, 0, 0, 3, 1], "slot 3 state"),
        ("slots", &[0, 0, 0, 3, 2], "slot 3 staging"),
        ("sessions", &position(1), "slot 3 generation 0 seq 1"),
    ];
    for (keyspace, key, name) in cases {
        let path = tempfile::tempdir().unwrap();
        fill(path.path());
        let mut store = recovered(path.path());
        submit_and_sync(&mut store, 1, vec![Write::Chain(chain(SLOT))]);
        let other = Batch { ticket: Ticket(2), slot: Slot(4), writes: vec![Write::Append(vec![put(1, vec![])])] };
        store.submit(other).unwrap();
        store.sync().unwrap();
        drop(store);
        meddle(path.path(), keyspace, |keyspace| flip_a_bit(keyspace, key));
        let before = records(path.path());

        let mut store = FjallStore::open_unidentified(path.path()).unwrap();
        let found = store.recover().unwrap();
        let known = chain(SLOT);
        assert_damaged(&found[0], (name != "slot 3 chain").then_some(&known), keyspace, name);
        assert_eq!((found[1].slot, found[1].log.len(), &found[1].damaged), (Slot(4), 1, &None));
        while store.sweep().unwrap() == Swept::Partly {}
        submit_and_sync(&mut store, 1, vec![Write::Chain(known.clone())]);
        drop(store);
        assert_eq!(records(path.path()), before, "{name}: it stays as it is");

        let mut store = recovered(path.path());
        submit_and_sync(&mut store, 1, vec![Write::Clear]);
        submit_and_sync(&mut store, 2, vec![Write::Append(vec![put(1, vec![7; 5000])])]);
        while store.sweep().unwrap() == Swept::Partly {}
        drop(store);
        let mut store = FjallStore::open_unidentified(path.path()).unwrap();
        let expected = Recovered { chain: Some(known), log: vec![put(1, vec![7; 5000])], ..Recovered::empty(SLOT) };
        assert_eq!(store.recover().unwrap()[0], expected);
        drop(store);
        assert_eq!(records(path.path())[1..], [0, 0, 1], "{name}: what was there is gone");
    }
}

#[test]
fn an_object_whose_record_is_damaged_can_be_overwritten_and_removed() {
    for (key, seq) in [("key1", 3), ("key2", 4)] {
        for deletes in [false, true] {
            let path = tempfile::tempdir().unwrap();
            fill(path.path());
            let object = [b"\0\0\0\x03\0\0\0\0", key.as_bytes()].concat();
            meddle(path.path(), "objects", |objects| flip_a_bit(objects, &object));
            let mut store = recovered(path.path());
            let mut entries = vec![put(3, vec![1; 5]), put(4, vec![1; 5000])];
            let key = Bytes::copy_from_slice(key.as_bytes());
            entries[seq - 3].operation = if deletes {
                Operation::Delete { key: key.clone() }
            } else {
                Operation::Put { key: key.clone(), value: "new".into(), created_at: WallTime(1) }
            };
            submit_and_sync(&mut store, 1, vec![Write::Truncate { last: Seq(2) }]);
            submit_and_sync(&mut store, 2, vec![Write::Append(entries.clone())]);
            submit_and_sync(&mut store, 3, vec![Write::Apply { entries, sessions: vec![] }]);
            let found = store.reader().get(SLOT, &key).unwrap();
            assert_eq!(found.map(|object| object.value), (!deletes).then(|| "new".into()));
        }
    }
}

#[test]
fn a_damaged_record_is_named_when_its_object_is_read() {
    let cases: [(&str, &[u8], &str, &[u8]); 2] = [
        ("objects", b"\0\0\0\x03\0\0\0\0key1", "slot 3 generation 0 key \"key1\"", b"key1"),
        ("values", &value_at(2), "slot 3 generation 0 key \"key2\" seq 2", b"key2"),
    ];
    for (keyspace, key, name, object) in cases {
        let path = tempfile::tempdir().unwrap();
        fill(path.path());
        meddle(path.path(), keyspace, |keyspace| flip_a_bit(keyspace, key));
        let mut store = FjallStore::open_unidentified(path.path()).unwrap();
        store.recover().unwrap();
        assert_corrupt(store.reader().get(SLOT, object), keyspace, name);
        assert_corrupt(store.reader().pin(SLOT).unwrap().read(None, usize::MAX), keyspace, name);
        assert!(store.reader().get(SLOT, if object == b"key1" { b"key2" } else { b"key1" }).unwrap().is_some());
    }
}

#[test]
fn a_record_in_the_place_of_another_is_corrupt() {
    let path = tempfile::tempdir().unwrap();
    fill(path.path());
    meddle(path.path(), "log", |log| log.insert(position(5), log.get(position(3)).unwrap().unwrap()).unwrap());
    let found = FjallStore::open_unidentified(path.path()).unwrap().recover().unwrap();
    assert_damaged(&found[0], None, "log", "slot 3 generation 0 seq 5");
}

#[test]
fn a_missing_value_is_corrupt_and_not_absent() {
    let path = tempfile::tempdir().unwrap();
    fill(path.path());
    meddle(path.path(), "values", |values| values.remove(value_at(2)).unwrap());
    let mut store = FjallStore::open_unidentified(path.path()).unwrap();
    store.recover().unwrap();
    assert_corrupt(store.reader().get(SLOT, b"key2"), "values", "slot 3 generation 0 key \"key2\" seq 2");
}

#[test]
fn what_lies_beyond_a_gap_is_removed_from_disk_with_its_values() {
    let path = tempfile::tempdir().unwrap();
    fill(path.path());
    meddle(path.path(), "log", |log| log.remove(position(5)).unwrap());
    let mut store = FjallStore::open_unidentified(path.path()).unwrap();
    let seqs: Vec<u64> = store.recover().unwrap()[0].log.iter().map(|entry| entry.id.seq.0).collect();
    assert_eq!(seqs, [3, 4]);
    drop(store);
    let keys = |keyspace: &Keyspace| keyspace.iter().map(|record| record.key().unwrap().to_vec()).collect::<Vec<_>>();
    meddle(path.path(), "log", |log| assert_eq!(keys(log), [position(3), position(4)]));
    meddle(path.path(), "values", |values| assert_eq!(keys(values), [value_at(2), value_at(4)]));
}

#[test]
fn another_record_format_is_refused_by_number() {
    for format in [2, 4] {
        let path = tempfile::tempdir().unwrap();
        fill(path.path());
        meddle(path.path(), "slots", |slots| {
            let key = [0, 0, 0, 3, 1];
            let mut record = slots.get(key).unwrap().unwrap().to_vec();
            record[0] = format;
            let body = record.len() - 4;
            let framed = [b"slots", &key[..], &record[..body]].concat();
            record[body..].copy_from_slice(&crc32fast::hash(&framed).to_be_bytes());
            slots.insert(key, record).unwrap();
        });
        let error = FjallStore::open_unidentified(path.path()).unwrap().recover().unwrap_err().to_string();
        assert!(error.contains(&format!("its format is {format}, this build reads 3")), "{error}");
    }
}

/// How many records each keyspace has.
fn records(path: &Path) -> [usize; 4] {
    let database = Database::builder(path).open().unwrap();
    let count = |keyspace| database.keyspace(keyspace, || unreachable!("it exists")).unwrap().len().unwrap();
    ["slots", "objects", "sessions", "values"].map(count)
}

const MANY: u64 = 1000;

/// A slot with many objects, half of them large, and as many sessions, that is cleared.
fn fill_and_clear(store: &mut FjallStore) {
    let entries: Vec<Entry> = (1..=MANY).map(|seq| many(seq, vec![1; if seq % 2 == 0 { 2000 } else { 5 }])).collect();
    let sessions = (1..=MANY).map(|name| (Seq(name), Some(session()))).collect();
    submit_and_sync(store, 1, vec![Write::Apply { entries, sessions }]);
    submit_and_sync(store, 2, vec![Write::Clear]);
}

/// As `put`, each with a key of its own.
fn many(seq: u64, value: Vec<u8>) -> Entry {
    let operation = Operation::Put { key: format!("key{seq:09}").into(), value: value.into(), created_at: WallTime(seq) };
    Entry { operation, ..put(seq, vec![]) }
}

fn recovered(path: &Path) -> FjallStore {
    let mut store = FjallStore::open_unidentified(path).unwrap();
    store.recover().unwrap();
    store
}

#[test]
fn a_cleared_slot_goes_bit_by_bit_and_a_restart_goes_on_with_it() {
    let path = tempfile::tempdir().unwrap();
    fill_and_clear(&mut recovered(path.path()));
    let mut left = records(path.path());
    assert_eq!(left, [2, 1000, 1000, 500]);
    let mut steps = 0;
    loop {
        let swept = recovered(path.path()).sweep().unwrap();
        let now = records(path.path());
        let gone = left.iter().sum::<usize>() - now.iter().sum::<usize>();
        assert!((1..=256).contains(&gone), "{left:?} {now:?}");
        (left, steps) = (now, steps + 1);
        if swept == Swept::All {
            break;
        }
    }
    assert_eq!((left, steps), ([1, 0, 0, 0], 10));
}

#[test]
fn what_was_cleared_goes_also_where_no_moment_is_idle() {
    let path = tempfile::tempdir().unwrap();
    let mut store = recovered(path.path());
    fill_and_clear(&mut store);
    for seq in 1..=10 {
        let write = Write::Apply { entries: vec![put(seq, vec![1])], sessions: vec![] };
        submit_and_sync(&mut store, seq + 2, vec![write]);
    }
    assert_eq!(store.sweep().unwrap(), Swept::All);
    drop(store);
    assert_eq!(records(path.path()), [1, 10, 0, 0]);
}

/// A large group removes as much as it writes: snapshot after snapshot that is begun and never ended takes a bounded room.
#[test]
fn snapshots_begun_again_and_again_leave_a_bounded_rest() {
    let path = tempfile::tempdir().unwrap();
    let mut store = recovered(path.path());
    let objects: Vec<_> = (1..=MANY)
        .map(|seq| {
            let entry = many(seq, vec![]);
            let object = catena_core::Object { value: vec![1; 2000].into(), metadata: entry.metadata().unwrap() };
            (entry.operation.key().unwrap().clone(), object)
        })
        .collect();
    for process in 1..=10 {
        let pin = Pin { source: NodeId::new("n2").unwrap(), process: Process(process), at: put(MANY, vec![]).id };
        let stage = Write::Stage { pin, objects: objects.clone() };
        submit_and_sync(&mut store, process, vec![stage]);
    }
    drop(store);
    let [_, objects, _, values] = records(path.path());
    assert!(objects <= 3000 && values <= 3000, "{objects} {values}");
}

/// Enough to have memory written to tables, and tables merged.
#[test]
fn a_pin_reads_its_moment_while_tables_are_written_and_merged() {
    const LARGE: usize = 400_000;
    let path = tempfile::tempdir().unwrap();
    let mut store = recovered(path.path());
    let mut seq = 0;
    let mut write = |store: &mut FjallStore| {
        let entries: Vec<Entry> = (0..100)
            .map(|_| {
                seq += 1;
                put(seq, vec![u8::try_from(seq % 251).unwrap(); LARGE])
            })
            .collect();
        submit_and_sync(store, seq, vec![Write::Apply { entries, sessions: vec![] }]);
    };
    write(&mut store);
    let pinned = store.reader().pin(SLOT).unwrap();
    for _ in 0..4 {
        write(&mut store);
    }
    submit_and_sync(&mut store, 1000, vec![Write::Clear]);
    while store.sweep().unwrap() == Swept::Partly {}
    let mut objects = vec![];
    let end = loop {
        let part = pinned.read(objects.last().map(|(key, _): &(Bytes, _)| &key[..]), 3 * LARGE).unwrap().unwrap();
        assert!((1..=3).contains(&part.objects.len()));
        objects.extend(part.objects);
        if let Some(end) = part.end {
            break end;
        }
    };
    assert_eq!((objects.len(), end), (100, SnapshotEnd { at_time: WallTime(100), sessions: vec![] }));
    for (key, object) in objects {
        let seq = object.metadata.version.0;
        assert_eq!(key, format!("key{}", seq % 100));
        assert!(seq <= 100 && object.value.iter().all(|&byte| u64::from(byte) == seq % 251));
    }
}

#[test]
fn a_store_is_opened_once() {
    let path = tempfile::tempdir().unwrap();
    let _store = FjallStore::open_unidentified(path.path()).unwrap();
    assert!(matches!(FjallStore::open_unidentified(path.path()), Err(StoreError::Failed { .. })));
}

const DIRECTORY: &str = "CATENA_STORE_TEST_DIRECTORY";
/// Lengths that the values take in turn.
const VALUE_BYTES: &str = "CATENA_STORE_TEST_VALUE_BYTES";

/// Runs this test binary's `write_until_the_end` in a process of its own.
fn writer(shell: &str, path: &Path, value_bytes: &str) -> Child {
    Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" --exact write_until_the_end --ignored --nocapture")])
        .arg(std::env::current_exe().unwrap())
        .env(DIRECTORY, path)
        .env(VALUE_BYTES, value_bytes)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Not a test: appends and applies, says which seq is durable after each sync, until it is killed or the disk fails.
#[test]
#[ignore = "other tests run it, in a process of its own"]
fn write_until_the_end() {
    let value_bytes: Vec<usize> = std::env::var(VALUE_BYTES).unwrap().split(',').map(|len| len.parse().unwrap()).collect();
    let entry = |seq: u64| {
        let len = value_bytes[usize::try_from(seq).unwrap() % value_bytes.len()];
        put(seq, vec![u8::try_from(seq % 251).unwrap(); len])
    };
    let mut store = FjallStore::open_unidentified(Path::new(&std::env::var(DIRECTORY).unwrap())).unwrap();
    let found = store.recover().unwrap().pop();
    let mut last = found.as_ref().map_or(0, |slot| slot.log.last().map_or(slot.trim.seq, |entry| entry.id.seq).0);
    let mut applied = found.map_or(0, |slot| slot.trim.seq.0);
    for ticket in 1.. {
        last += 1;
        let mut writes = vec![Write::Append(vec![entry(last)])];
        if last - applied >= 3 {
            applied += 1;
            writes.push(Write::Apply { entries: vec![entry(applied)], sessions: vec![] });
        }
        store.submit(Batch { ticket: Ticket(ticket), slot: SLOT, writes }).unwrap();
        if let Err(error) = store.sync() {
            assert!(matches!(error, StoreError::Failed { .. }), "{error}");
            assert!(matches!(store.sync(), Err(StoreError::Poisoned)));
            let batch = Batch { ticket: Ticket(ticket + 1), slot: SLOT, writes: vec![] };
            assert!(matches!(store.submit(batch), Err(StoreError::Poisoned)));
            println!("\nfailed");
            return;
        }
        println!("\ndurable {last}");
    }
}

fn durable(line: &str) -> Option<u64> {
    line.strip_prefix("durable ")?.parse().ok()
}

/// Everything up to `reported` is there, in log or objects.
fn assert_holds(path: &Path, reported: u64) {
    let mut store = FjallStore::open_unidentified(path).unwrap();
    let found = store.recover().unwrap().remove(0);
    let last = found.log.last().map_or(found.trim.seq, |entry| entry.id.seq);
    assert!(last.0 >= reported, "{reported} was reported durable, the log ends at {last}");
    for seq in found.trim.seq.0.saturating_sub(99).max(1)..=found.trim.seq.0 {
        let object = store.reader().get(SLOT, format!("key{}", seq % 100).as_bytes()).unwrap().unwrap();
        assert_eq!(object.metadata.version.0, seq);
        assert!(object.value.iter().all(|&byte| u64::from(byte) == seq % 251));
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_reported() {
    let path = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let mut child = writer("", path.path(), "100,3000,60000");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut last = lines.by_ref().filter_map(|line| durable(&line)).nth(30 + 7 * round).unwrap();
        child.kill().unwrap();
        last = lines.filter_map(|line| durable(&line)).last().unwrap_or(last);
        child.wait().unwrap();
        assert_holds(path.path(), last);
    }
}

#[test]
fn a_failed_write_stops_the_store_and_loses_nothing_that_was_reported() {
    let path = tempfile::tempdir().unwrap();
    // No file may grow over 64 MiB, the size that fjall gives a new journal: the write beyond it fails.
    let mut child = writer("trap '' XFSZ; ulimit -f 131072;", path.path(), "1048576");
    let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success());
    assert!(lines.iter().any(|line| line == "failed"), "{lines:?}");
    assert_holds(path.path(), lines.iter().rev().find_map(|line| durable(line)).unwrap());
}
