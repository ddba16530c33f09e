//! Every key behaves like one object (linearizability), checked on all calls by version order.
//!
//! A committed write has a place in its slot's history, so a key's writes are in a known order and a read that names a
//! version stands in the gap behind that write. What remains is whether real time agrees: a call that returned before
//! another was invoked must not stand behind it. One sweep over invocations and responses decides that: the *floor* is
//! the furthest place of all calls that have returned; a call must stand at the floor or behind it. "Absent" fits every
//! gap behind a delete; the first one from the floor on is the best choice, for it raises the floor least.
//!
//! A write of unknown outcome is a call that never returned: it counts where the committed history has it, else not
//! at all. A call that was tried again under its session is one call, from its first try to its last answer. A refusal and
//! a delete of nothing are reads; under a session they have an entry, and stand where that stands.

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::{Entry, EntryId, Metadata, Operation, Refusal, Seq, Slot, WallTime};

use super::Violation;
use super::ledger::{Ledger, metadata};
use crate::history::{Author, Call, CallId, Deed, History, Instant, Outcome, Wish};

/// The committed writes of a key, in order: where, and whether the object is there after it.
pub(super) type Writes = Vec<(Seq, Presence)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Present,
    Absent,
}

/// What a call did to its key, or saw of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deal {
    Wrote(Seq),
    /// The object at this version; `None`: absent.
    Saw(Option<Seq>),
    /// The object as it was before the entry at this seq.
    Stood(Seq),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) call: CallId,
    pub(super) invoked: Instant,
    /// `None`: never.
    pub(super) returned: Option<Instant>,
    pub(super) deal: Deal,
}

/// Checks the whole history against what is committed in the end.
pub(crate) fn check(history: &History, ledger: &Ledger, slots: u32) -> Result<(), Violation> {
    let mut entries: Vec<Option<&Entry>> = vec![None; history.calls.len()];
    let mut writes: BTreeMap<Bytes, Writes> = BTreeMap::new();
    for slot in (0..slots).map(Slot) {
        committed(slot, history, ledger.entries(slot), &mut entries, &mut writes)?;
    }
    let mut claims: BTreeMap<Bytes, Vec<Claim>> = BTreeMap::new();
    for (index, call) in history.calls.iter().enumerate() {
        let id = CallId(index);
        if let Some(claim) = claim(id, call, entries[index], ledger)? {
            claims.entry(call.wish.key.clone()).or_default().push(claim);
        }
    }
    let none = Writes::new();
    claims.iter().try_for_each(|(key, claims)| sweep(key, writes.get(key).unwrap_or(&none), claims))
}

/// Walks a slot's history: each entry is what one call wanted, once, under its conditions (W1, W2, W7, W8).
fn committed<'a>(
    slot: Slot,
    history: &History,
    log: &'a [Entry],
    entries: &mut [Option<&'a Entry>],
    writes: &mut BTreeMap<Bytes, Writes>,
) -> Result<(), Violation> {
    let mut objects: BTreeMap<Bytes, Metadata> = BTreeMap::new();
    for entry in log {
        let id = entry.id;
        let author = history.author(slot, id);
        demand!(author.is_some(), Linearizability, "W1", "slot {slot}: {id} is committed, and no head ordered it");
        let of_call = !matches!(entry.operation, Operation::OpenSession | Operation::Expire { .. });
        let call = match author.expect("just demanded") {
            Author::Call(by) => by.call,
            Author::Chain => {
                demand!(!of_call, Linearizability, "W1", "slot {slot}: {id} was ordered for no call, and is {entry:?}");
                continue;
            }
            Author::Unseen => {
                let idle = matches!(entry.operation, Operation::Nothing { .. });
                demand!(idle, Linearizability, "W1", "slot {slot}: nobody saw for which call {id} was ordered: {entry:?}");
                continue;
            }
        };
        let wish = &history.call(call).wish;
        let before = objects.get(&wish.key);
        demand!(
            wanted(wish, &entry.operation),
            Linearizability,
            "W1",
            "slot {slot}: {id} was ordered for {call:?}, which wanted {wish:?}, and is {entry:?}"
        );
        let twice = entries[call.0].replace(entry);
        let first = twice.map(|entry| entry.id).unwrap_or_default();
        demand!(twice.is_none(), Linearizability, "W8, W9", "slot {slot}: {call:?} is committed as {first} and as {id}");
        judged(slot, entry, wish, before)?;
        let Some(key) = entry.operation.key() else { continue };
        let presence = if let Some(after) = metadata(entry) {
            let created_at = before.map_or(entry.at, |object| object.created_at);
            demand!(
                after.created_at == created_at,
                Linearizability,
                "W2",
                "slot {slot}: {id} says that {key:?} came into being at {}, it did at {}",
                after.created_at.0,
                created_at.0
            );
            objects.insert(key.clone(), after);
            Presence::Present
        } else {
            objects.remove(key);
            Presence::Absent
        };
        writes.entry(key.clone()).or_default().push((id.seq, presence));
    }
    Ok(())
}

/// Whether an operation is one that a call may become.
fn wanted(wish: &Wish, operation: &Operation) -> bool {
    match (&wish.deed, operation) {
        (Deed::Put { value: wanted }, Operation::Put { key, value, .. }) => wanted == value && wish.key == *key,
        (Deed::Delete, Operation::Delete { key }) => wish.key == *key,
        (Deed::Put { .. }, Operation::Nothing { refused }) => refused.is_some(),
        (Deed::Delete, Operation::Nothing { .. }) => true,
        (Deed::Get | Deed::Put { .. } | Deed::Delete, _) => false,
    }
}

/// An entry took effect, or not, as its conditions say of the object before it (W7).
fn judged(slot: Slot, entry: &Entry, wish: &Wish, before: Option<&Metadata>) -> Result<(), Violation> {
    let failed = wish.conditions.iter().find(|condition| !condition.holds(before));
    let legal = match &entry.operation {
        Operation::Nothing { refused: Some(Refusal { object }) } => failed.is_some() && object.as_ref() == before,
        Operation::Nothing { refused: None } => failed.is_none() && before.is_none(),
        Operation::Put { .. } | Operation::Delete { .. } | Operation::OpenSession | Operation::Expire { .. } => failed.is_none(),
    };
    demand!(
        legal,
        Linearizability,
        "W7",
        "slot {slot}: {entry:?} is committed on {before:?}, of which {} does not hold",
        failed.map_or("none".to_owned(), |failed| format!("{failed:?}"))
    );
    Ok(())
}

/// What a call has to answer for. `entry`: the one that is committed for it.
fn claim(id: CallId, call: &Call, entry: Option<&Entry>, ledger: &Ledger) -> Result<Option<Claim>, Violation> {
    let deal = match &call.outcome {
        Outcome::Written { entry: named, object } => {
            return acknowledged(id, call, entry, *named, object.as_ref(), ledger).map(Some);
        }
        Outcome::Pending | Outcome::Unknown => {
            let wrote = entry.filter(|entry| entry.operation.key().is_some());
            return Ok(wrote.map(|entry| Claim { returned: None, ..of(id, call, Deal::Wrote(entry.id.seq)) }));
        }
        Outcome::NotExecuted | Outcome::Read(_) | Outcome::NothingToDo | Outcome::Refused(_) => saw(id, call)?,
    };
    let Some(entry) = entry else { return Ok(deal.map(|deal| of(id, call, deal))) };
    // Without effect under a session: an entry that says the same.
    let same = match (&entry.operation, &call.outcome) {
        (Operation::Nothing { refused: Some(refusal) }, Outcome::Refused(object)) => refusal.object == *object,
        (Operation::Nothing { refused: None }, Outcome::NothingToDo) => true,
        (_, _) => false,
    };
    demand!(
        same,
        Linearizability,
        "W7, W8, W9",
        "{id:?} ended as {:?}, and is committed in slot {} as {entry:?}",
        call.outcome,
        call.slot
    );
    Ok(Some(of(id, call, Deal::Stood(entry.id.seq))))
}

/// What a call was shown that changed nothing.
pub(super) fn saw(id: CallId, call: &Call) -> Result<Option<Deal>, Violation> {
    let conditions = &call.wish.conditions;
    let hold = |object: Option<&Metadata>| conditions.iter().all(|condition| condition.holds(object));
    match &call.outcome {
        Outcome::Pending | Outcome::Unknown | Outcome::NotExecuted | Outcome::Written { .. } => Ok(None),
        Outcome::Read(object) => Ok(Some(Deal::Saw(object.as_ref().map(|object| object.metadata.version)))),
        Outcome::NothingToDo => {
            demand!(
                call.wish.deed == Deed::Delete && hold(None),
                Linearizability,
                "W7",
                "{id:?} was told that there is nothing to do, and wanted {:?}",
                call.wish
            );
            Ok(Some(Deal::Saw(None)))
        }
        Outcome::Refused(object) => {
            demand!(
                !hold(object.as_ref()),
                Linearizability,
                "W7",
                "{id:?} was refused on {object:?}, of which {conditions:?} hold"
            );
            Ok(Some(Deal::Saw(object.map(|object| object.version))))
        }
    }
}

/// A call was told that its write took effect.
fn acknowledged(
    id: CallId,
    call: &Call,
    entry: Option<&Entry>,
    named: EntryId,
    object: Option<&Metadata>,
    ledger: &Ledger,
) -> Result<Claim, Violation> {
    demand!(
        entry.is_some_and(|entry| entry.id == named && entry.operation.key().is_some()),
        Linearizability,
        "W5, W8",
        "{id:?} was acknowledged as {named} in slot {}, committed for it is {entry:?}",
        call.slot
    );
    let written = ledger.at(call.slot, named.seq).and_then(metadata);
    demand!(
        written.as_ref() == object,
        Linearizability,
        "W2",
        "{id:?} was told that it wrote {object:?}, committed is {written:?}"
    );
    Ok(of(id, call, Deal::Wrote(named.seq)))
}

pub(super) fn of(id: CallId, call: &Call, deal: Deal) -> Claim {
    Claim { call: id, invoked: call.invoked, returned: call.returned, deal }
}

/// Checks one key. Places: write number i (from 1) stands at 2 i, the gap behind it at 2 i + 1; before the first
/// write, the object is absent at 1.
pub(super) fn sweep(key: &Bytes, writes: &Writes, claims: &[Claim]) -> Result<(), Violation> {
    let absent: Vec<usize> = std::iter::once(1)
        .chain(writes.iter().enumerate().filter(|(_, (_, after))| *after == Presence::Absent).map(|(i, _)| 2 * i + 3))
        .collect();
    let number = |seq: Seq| writes.binary_search_by_key(&seq, |(written, _)| *written).ok().map(|index| index + 1);
    // Invocations and responses in the order in which they happened.
    let mut moments: Vec<(Instant, Moment)> = Vec::with_capacity(2 * claims.len());
    for (index, claim) in claims.iter().enumerate() {
        moments.push((claim.invoked, Moment::Invoked(index)));
        moments.extend(claim.returned.map(|returned| (returned, Moment::Returned(index))));
    }
    moments.sort_unstable_by_key(|(instant, _)| *instant);
    let mut places = vec![0; claims.len()];
    let mut floor = (0, None);
    for (_, moment) in moments {
        match moment {
            Moment::Invoked(index) => {
                let claim = &claims[index];
                let place = match claim.deal {
                    Deal::Wrote(seq) => number(seq).map(|number| 2 * number),
                    Deal::Saw(Some(seq)) => number(seq).map(|number| 2 * number + 1),
                    Deal::Stood(seq) => Some(2 * writes.partition_point(|(written, _)| *written < seq) + 1),
                    Deal::Saw(None) => absent.get(absent.partition_point(|gap| *gap < floor.0)).copied(),
                };
                let below = place.is_none_or(|place| place < floor.0);
                demand!(
                    !below,
                    Linearizability,
                    "W4, R1, R2",
                    "{key:?}: {:?} was invoked after {:?} had returned, and {:?}, which was already past ({:?} of {} writes, now at {})",
                    claim.call,
                    floor.1.unwrap_or(claim.call),
                    claim.deal,
                    place,
                    writes.len(),
                    floor.0
                );
                places[index] = place.expect("just demanded");
            }
            Moment::Returned(index) => floor = floor.max((places[index], Some(claims[index].call))),
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Moment {
    Invoked(usize),
    Returned(usize),
}

/// Every object of a slot after its committed history: key, value, metadata.
pub(crate) fn objects(log: &[Entry]) -> BTreeMap<Bytes, (Bytes, Seq, WallTime, WallTime)> {
    let mut objects = BTreeMap::new();
    for entry in log {
        match &entry.operation {
            Operation::Put { key, value, created_at } => {
                objects.insert(key.clone(), (value.clone(), entry.id.seq, *created_at, entry.at));
            }
            Operation::Delete { key } => {
                objects.remove(key);
            }
            Operation::Nothing { .. } | Operation::OpenSession | Operation::Expire { .. } => {}
        }
    }
    objects
}

#[cfg(test)]
#[path = "linearize_tests.rs"]
mod tests;
