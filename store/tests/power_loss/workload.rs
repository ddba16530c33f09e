//! What the process writes, and what must be there of it.

use std::fmt::Display;
use std::path::Path;

use catena_core::{Batch, ChainVersion, Entry, EntryId, Operation, Seq, Slot, Ticket, WallTime, Write};
use catena_store::{FjallStore, Reader, Reclaimed, Store, Swept};

use super::trace::{Call, Task};

const SLOT: Slot = Slot(3);
/// Entries that are not applied yet.
const UNAPPLIED: u64 = 3;
const KEYS: u64 = 50;

fn entry(seq: u64) -> Entry {
    let len = [100, 3_000, 20_000][usize::try_from(seq % 3).unwrap()];
    let value = vec![u8::try_from(seq % 251).unwrap(); len];
    Entry {
        id: EntryId { version: ChainVersion(1), seq: Seq(seq) },
        previous: ChainVersion(u64::from(seq > 1)),
        at: WallTime(seq),
        origin: None,
        operation: Operation::Put { key: key(seq).into(), value: value.into(), created_at: WallTime(seq) },
    }
}

fn key(seq: u64) -> String {
    format!("key{}", seq % KEYS)
}

/// Not a test: appends and applies, and says up to which seq everything is durable.
#[test]
#[ignore = "another test runs it, in a process of its own"]
fn write_until_told() {
    write(|_, _| {});
}

/// Not a test: the same on a disk on which room is made now and then, as when it is full.
#[test]
#[ignore = "another test runs it, in a process of its own"]
fn write_and_make_room() {
    let mut reclaimer = None;
    write(|store, seq| {
        if seq.is_multiple_of(90) {
            let reclaimer = reclaimer.get_or_insert_with(|| store.reclaimer());
            assert_eq!(reclaimer.reclaim(|| u64::MAX).unwrap(), Reclaimed::Some);
        }
    });
}

/// What is done after each write. It goes on with what it finds, which is durable.
fn write(mut beside: impl FnMut(&FjallStore, u64)) {
    let Task { directory, writes, durable, at_most } = Task::told();
    let mut store = FjallStore::open_unidentified(&directory).unwrap();
    let found = store.recover().unwrap().pop().map_or(0, |found| found.log.last().map_or(found.trim, |entry| entry.id).seq.0);
    assert!(found >= durable, "{durable} was durable: the log ends at {found}");
    if found > 0 {
        report(found);
    }
    for seq in found + 1..=writes.min(found.saturating_add(at_most)) {
        let mut batch = vec![Write::Append(vec![entry(seq)])];
        if seq > UNAPPLIED {
            batch.push(Write::Apply { entries: vec![entry(seq - UNAPPLIED)], sessions: vec![] });
        }
        store.submit(Batch { ticket: Ticket(seq), slot: SLOT, writes: batch }).unwrap();
        store.sync().unwrap();
        while store.sweep().unwrap() == Swept::Partly {}
        beside(&store, seq);
        report(seq);
    }
}

/// Up to where everything is durable.
pub(crate) fn report(number: impl Display) {
    println!("\ndurable {number}.");
}

/// What a call of that process says, if it says that something is durable.
pub(crate) fn reported(call: &Call) -> Option<u64> {
    let Call::Write { fd: 1, data } = call else { return None };
    std::str::from_utf8(data).ok()?.trim().strip_prefix("durable ")?.strip_suffix('.')?.parse().ok()
}

/// Everything up to `durable` is there as it was written, and the store works.
pub(crate) fn assert_holds(path: &Path, durable: u64) -> Result<(), String> {
    let holds = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{durable} was durable: {what}")) };
    let mut store = FjallStore::open_unidentified(path).map_err(|error| format!("{durable} was durable: {error}"))?;
    let mut found = store.recover().map_err(|error| format!("{durable} was durable: {error}"))?;
    holds(found.len() == 1, "there is no slot")?;
    let found = found.remove(0);
    holds(found.damaged.is_none(), &format!("{:?}", found.damaged))?;
    let (trim, last) = (found.trim.seq.0, found.log.last().map_or(found.trim.seq, |entry| entry.id.seq).0);
    holds(last >= durable, &format!("the log ends at {last}"))?;
    let log: Vec<Entry> = (trim + 1..=last).map(entry).collect();
    holds(found.log == log, "the log differs from what was written")?;
    let reader = store.reader();
    for seq in trim.saturating_sub(KEYS - 1).max(1)..=trim {
        let object = reader.get(SLOT, key(seq).as_bytes()).map_err(|error| format!("{durable} was durable: {error}"))?;
        let object = object.map(|object| (object.value, object.metadata));
        let Operation::Put { value, .. } = entry(seq).operation else { unreachable!("all are puts") };
        let wanted = entry(seq).metadata().map(|metadata| (value, metadata));
        holds(object == wanted, &format!("the object of {seq} is {:?}", object.map(|(_, metadata)| metadata)))?;
    }
    store.submit(Batch { ticket: Ticket(1), slot: SLOT, writes: vec![Write::Append(vec![entry(last + 1)])] }).unwrap();
    store.sync().map(|_| ()).map_err(|error| format!("it cannot be written to: {error}"))
}
