//! Room that comes back on a full disk, without anything being written for it.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use catena_core::{Batch, ChainVersion, Entry, EntryId, Operation, Seq, Slot, Ticket, WallTime, Write};
use catena_store::{FjallStore, Reader, Reclaimed, Store};

const SLOT: Slot = Slot(3);
const KEYS: u64 = 60_000;
/// Of so many keys one stays.
const STAYS: u64 = 50;

fn entry(seq: u64, operation: Operation) -> Entry {
    let (id, previous) = (EntryId { version: ChainVersion(1), seq: Seq(seq) }, ChainVersion(u64::from(seq > 1)));
    Entry { id, previous, at: WallTime(seq), origin: None, operation }
}

fn key(number: u64) -> String {
    format!("key{number}")
}

/// As large as what is kept beside its key gets.
fn value(number: u64) -> Vec<u8> {
    vec![u8::try_from(number % 251).unwrap(); 900]
}

/// Writes entries from `seq` on, each appended and applied; returns the next seq.
fn write(store: &mut FjallStore, seq: u64, operations: impl Iterator<Item = Operation>) -> u64 {
    let entries: Vec<Entry> = (seq..).zip(operations).map(|(seq, operation)| entry(seq, operation)).collect();
    for (group, entries) in (2 * seq..).step_by(2).zip(entries.chunks(500)) {
        let (entries, ticket) = (entries.to_vec(), group + 2 * KEYS);
        store.submit(Batch { ticket: Ticket(ticket), slot: SLOT, writes: vec![Write::Append(entries.clone())] }).unwrap();
        let apply = Write::Apply { entries, sessions: Vec::new() };
        store.submit(Batch { ticket: Ticket(ticket + 1), slot: SLOT, writes: vec![apply] }).unwrap();
        store.sync().unwrap();
    }
    seq + entries.len() as u64
}

/// Bytes in tables, and how many journals there are.
fn occupied(directory: &Path) -> (u64, usize) {
    let (mut tables, mut journals) = (0, 0);
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        // fjall may just have removed it.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            let (below, others) = occupied(&entry.path());
            (tables, journals) = (tables + below, journals + others);
        } else if entry.path().extension().is_some_and(|extension| extension == "jnl") {
            journals += 1;
        } else {
            tables += metadata.len();
        }
    }
    (tables, journals)
}

#[test]
fn what_was_deleted_is_given_back_and_the_rest_stays() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = FjallStore::open_unidentified(directory.path()).unwrap();
    store.recover().unwrap();
    let put = |number| Operation::Put { key: key(number).into(), value: value(number).into(), created_at: WallTime(1) };
    let seq = write(&mut store, 1, (0..KEYS).map(put));
    let mut reclaimer = store.reclaimer();
    assert_eq!(reclaimer.reclaim(|| u64::MAX).unwrap(), Reclaimed::Some);
    let (full, _) = occupied(directory.path());
    assert!(full > KEYS * 900, "{full} bytes");
    assert_eq!(reclaimer.reclaim(|| u64::MAX).unwrap(), Reclaimed::Nothing);
    let gone = (0..KEYS).filter(|number| number % STAYS != 0);
    write(&mut store, seq, gone.map(|number| Operation::Delete { key: key(number).into() }));

    assert_eq!(reclaimer.reclaim(|| 0).unwrap(), Reclaimed::Nothing, "there is no room to compact in");
    assert_eq!(reclaimer.reclaim(|| u64::MAX).unwrap(), Reclaimed::Some);
    let (left, journals) = occupied(directory.path());
    assert!(left < full / 10, "{left} of {full} bytes");
    assert_eq!(journals, 1);
    for number in 0..KEYS {
        let object = store.reader().get(SLOT, key(number).as_bytes()).unwrap();
        assert_eq!(object.map(|object| object.value), (number % STAYS == 0).then(|| value(number).into()), "key {number}");
    }
    drop(store);
    assert_eq!(reclaimer.reclaim(|| u64::MAX).unwrap(), Reclaimed::Closed);
}
