//! What neighbours tell each other.

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::{
    Answered, Chunk, Entry, EntryId, Envelope, Identity, LogSummary, Message, Object, Operation, Origin, Outcome, Pin, Refusal,
    Seq, Session, Slot, SnapshotEnd,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::{bytes, chain_of, cluster_id, entry_id, incarnation, metadata, node_id, object, process, seq, slot, version, wall};
use crate::convert::Hello;

fn identity() -> impl Strategy<Value = Identity> {
    (cluster_id(), node_id(), incarnation(), process()).prop_map(|(cluster, node, incarnation, process)| Identity {
        cluster,
        node,
        incarnation,
        process,
    })
}

pub(in crate::convert) fn hello() -> impl Strategy<Value = Hello> {
    (any::<u32>(), identity(), node_id()).prop_map(|(wire_version, identity, to)| Hello { wire_version, identity, to })
}

fn refusal() -> impl Strategy<Value = Refusal> {
    option::of(metadata()).prop_map(|object| Refusal { object })
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (bytes(), bytes(), wall()).prop_map(|(key, value, created_at)| Operation::Put { key, value, created_at }),
        bytes().prop_map(|key| Operation::Delete { key }),
        option::of(refusal()).prop_map(|refused| Operation::Nothing { refused }),
        Just(Operation::OpenSession),
        vec(seq(), 0..4).prop_map(|sessions| Operation::Expire { sessions }),
    ]
}

fn origin() -> impl Strategy<Value = Origin> {
    (seq(), any::<u64>(), any::<u64>()).prop_map(|(session, number, answered_below)| Origin { session, number, answered_below })
}

/// Entries that follow each other.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let parts = vec((version(), wall(), option::of(origin()), operation()), 0..5);
    (version(), 1..u64::MAX - 5, parts).prop_map(|(mut previous, first, parts)| {
        let link = |(seq, (version, at, origin, operation))| {
            let id = EntryId { version, seq: Seq(seq) };
            let entry = Entry { id, previous, at, origin, operation };
            previous = version;
            entry
        };
        (first..).zip(parts).map(link).collect()
    })
}

/// Runs whose last seqs increase.
fn log_summary() -> impl Strategy<Value = LogSummary> {
    (version(), btree_set(seq(), 1..6), vec(version(), 5)).prop_map(|(trim, seqs, versions)| {
        let mut seqs = seqs.into_iter();
        let trim = EntryId { version: trim, seq: seqs.next().expect("at least one") };
        LogSummary { trim, runs: versions.into_iter().zip(seqs).map(|(version, seq)| EntryId { version, seq }).collect() }
    })
}

fn possible_entry_id() -> impl Strategy<Value = EntryId> {
    prop_oneof![Just(EntryId::default()), entry_id()]
}

fn pin() -> impl Strategy<Value = Pin> {
    (node_id(), process(), possible_entry_id()).prop_map(|(source, process, at)| Pin { source, process, at })
}

fn session() -> impl Strategy<Value = Session> {
    let outcome = prop_oneof![
        option::of(metadata()).prop_map(Outcome::Written),
        Just(Outcome::Absent),
        refusal().prop_map(Outcome::Refused),
    ];
    let answered = (entry_id(), outcome).prop_map(|(entry, outcome)| Answered { entry, outcome });
    (wall(), any::<u64>(), btree_map(any::<u64>(), answered, 0..4)).prop_map(|(used_at, answered_below, answers)| Session {
        used_at,
        answered_below,
        answers,
    })
}

fn end() -> impl Strategy<Value = SnapshotEnd> {
    (wall(), btree_map(seq(), session(), 0..4))
        .prop_map(|(at_time, sessions)| SnapshotEnd { at_time, sessions: sessions.into_iter().collect() })
}

/// Objects in key order, behind the first key or from the first on.
fn chunk() -> impl Strategy<Value = Chunk> {
    let parts = (pin(), btree_map(bytes(), object(), 0..5), any::<bool>(), option::of(end()), any::<u32>());
    parts.prop_map(|(pin, objects, begins, end, checksum): (_, BTreeMap<Bytes, Object>, _, _, _)| {
        let mut objects = objects.into_iter();
        let after = if begins { None } else { objects.next().map(|(key, _)| key) };
        Chunk { pin, after, objects: objects.collect(), end, checksum }
    })
}

fn message(slot: Slot) -> impl Strategy<Value = Message> {
    prop_oneof![
        Just(Message::Hello),
        (log_summary(), seq()).prop_map(|(log, barrier)| Message::Probe { log, barrier }),
        seq().prop_map(|last| Message::Have { last }),
        (entries(), seq()).prop_map(|(entries, durable)| Message::Append { entries, durable }),
        (possible_entry_id(), seq()).prop_map(|(last, durable)| Message::Poke { last, durable }),
        (seq(), any::<bool>()).prop_map(|(committed, disk_full)| Message::Ack { committed, disk_full }),
        chain_of(slot).prop_map(|chain| Message::Newer { chain }),
        (option::of(pin()), option::of(bytes())).prop_map(|(pin, after)| Message::Fetch { pin, after }),
        chunk().prop_map(Message::Chunk),
    ]
}

pub(in crate::convert) fn envelope() -> impl Strategy<Value = Envelope> {
    slot()
        .prop_flat_map(|slot| (version(), message(slot)).prop_map(move |(version, message)| Envelope { slot, version, message }))
}
