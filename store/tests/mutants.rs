//! The planted bugs of the store: each does what its story says, and nothing of it without being asked.
#![cfg(feature = "mutants")]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::mutants::{Mutant, set};
use catena_core::{
    Batch, Chain, ChainVersion, Change, Entry, EntryId, Epoch, Incarnation, Member, Metadata, NodeId, Object, Operation, Pin,
    Process, Record, Revision, Seq, Session, Slot, SnapshotEnd, Ticket, WallTime, Write,
};
use catena_store::{ConfigStore, MemoryConfigStore, MemoryStore, Pinned, Reader, Store};

const SLOT: Slot = Slot(0);

fn id(seq: u64) -> EntryId {
    EntryId { version: ChainVersion(1), seq: Seq(seq) }
}

fn pin(process: u64) -> Pin {
    Pin { source: NodeId::new("n1").unwrap(), process: Process(process), at: id(9) }
}

fn stage(pin: &Pin, keys: &[&'static str]) -> Write {
    let metadata = Metadata { version: Seq(1), created_at: WallTime(1), updated_at: WallTime(1) };
    let object = |key: &&'static str| (Bytes::from(*key), Object { value: Bytes::new(), metadata });
    Write::Stage { pin: pin.clone(), objects: keys.iter().map(object).collect() }
}

fn sessions(name: u64) -> Vec<(Seq, Session)> {
    vec![(Seq(name), Session { used_at: WallTime(name), answered_below: 0, answers: BTreeMap::new() })]
}

fn install(pin: &Pin) -> Write {
    Write::Install { pin: pin.clone(), end: SnapshotEnd { at_time: WallTime(9), sessions: sessions(9) } }
}

fn put(seq: u64, key: &'static str) -> Write {
    let operation = Operation::Put { key: key.into(), value: Bytes::new(), created_at: WallTime(seq) };
    let previous = ChainVersion(u64::from(seq > 1));
    let entry = Entry { id: id(seq), previous, at: WallTime(seq), origin: None, operation };
    let sessions = sessions(seq).into_iter().map(|(name, session)| (name, Some(session))).collect();
    Write::Apply { entries: vec![entry], sessions }
}

/// A store with an object "old" and a session, as of 1.
fn store() -> MemoryStore {
    let mut store = MemoryStore::new();
    store.recover().unwrap();
    write(&mut store, 1, put(1, "old"));
    store
}

fn submit(store: &mut MemoryStore, ticket: u64, write: Write) {
    store.submit(Batch { ticket: Ticket(ticket), slot: SLOT, writes: vec![write] }).unwrap();
}

fn write(store: &mut MemoryStore, ticket: u64, write: Write) {
    submit(store, ticket, write);
    store.sync().unwrap();
}

fn keys(store: &MemoryStore) -> Vec<Bytes> {
    store.disk().objects(SLOT).1.into_iter().map(|(key, _)| key).collect()
}

/// What `observe` says without and with the mutant.
fn with_and_without<T>(mutant: Mutant, observe: impl Fn() -> T) -> [T; 2] {
    let without = observe();
    set(Some(mutant));
    let with = observe();
    set(None);
    [without, with]
}

#[test]
fn a_name_outlives_its_part() {
    let [without, with] = with_and_without(Mutant::PartialSnapshotInstalled, || {
        let mut store = store();
        write(&mut store, 2, stage(&pin(1), &["a"]));
        submit(&mut store, 3, stage(&pin(1), &["b"]));
        store.crash(|| true);
        let staged = store.recover().unwrap()[0].staged.clone();
        write(&mut store, 1, install(&pin(1)));
        (staged.unwrap().1.unwrap(), keys(&store))
    });
    assert_eq!(without, ("a".into(), vec!["a".into()]));
    assert_eq!(with, ("b".into(), vec!["a".into()]));
}

#[test]
fn a_pin_takes_its_objects_later_than_its_seq() {
    let [without, with] = with_and_without(Mutant::SnapshotSeqApart, || {
        let mut store = store();
        let pinned = store.reader().pin(SLOT).unwrap();
        write(&mut store, 2, put(2, "new"));
        let objects = pinned.read(None, 100).unwrap().unwrap().objects.len();
        (pinned.at(), objects)
    });
    assert_eq!((without, with), ((id(1), 1), (id(1), 2)));
}

#[test]
fn a_session_table_is_left_out() {
    let [without, with] = with_and_without(Mutant::SessionsLeftOut, || {
        let mut store = store();
        write(&mut store, 2, stage(&pin(1), &["a"]));
        write(&mut store, 3, install(&pin(1)));
        store.disk().sessions(SLOT)
    });
    assert_eq!((without, with), (sessions(9), sessions(1)));
}

#[test]
fn stale_keys_are_kept() {
    let [without, with] = with_and_without(Mutant::KeepStaleKeys, || {
        let mut store = store();
        write(&mut store, 2, stage(&pin(1), &["a"]));
        write(&mut store, 3, install(&pin(1)));
        keys(&store)
    });
    assert_eq!((without, with), (vec!["a".into()], vec!["a".into(), "old".into()]));
}

#[test]
fn chunks_are_kept_over_a_change_of_pin() {
    let [without, with] = with_and_without(Mutant::ChunksOverPins, || {
        let mut store = store();
        write(&mut store, 2, stage(&pin(1), &["a"]));
        write(&mut store, 3, stage(&pin(2), &["b"]));
        write(&mut store, 4, install(&pin(2)));
        keys(&store)
    });
    assert_eq!((without, with), (vec!["b".into()], vec!["a".into(), "b".into()]));
}

#[test]
fn a_deposed_leader_commits() {
    let member = Member { node: NodeId::new("n1").unwrap(), incarnation: Incarnation(1), activated: ChainVersion(1) };
    let (version, epoch, members) = (ChainVersion(1), Epoch(1), vec![member]);
    let chain = Chain { slot: SLOT, version, epoch, members, tail_ready: true, joining: None };
    let change = Change { revision: Revision(1), record: Record::Chain(chain) };
    let [without, with] = with_and_without(Mutant::EpochUnchecked, || {
        let mut store = MemoryConfigStore::new();
        let (first, _) = store.lead(store.clone().observe().unwrap()).unwrap().unwrap();
        store.lead(first).unwrap().unwrap();
        store.commit(first.epoch, std::slice::from_ref(&change)).is_ok()
    });
    assert_eq!((without, with), (false, true));
}
