//! Every key behaves like one object (linearizability), checked on all calls by version order.
//!
//! A committed write has a place in its slot's history, so a key's writes are in a known order and a read that names a
//! version stands in the gap behind that write. What remains is whether real time agrees: a call that returned before
//! another was invoked must not stand behind it. One sweep over invocations and responses decides that: the *floor* is
//! the furthest place of all calls that have returned; a call must stand at the floor or behind it. "Absent" fits every
//! gap behind a delete; the first one from the floor on is the best choice, for it raises the floor least.
//!
//! A write of unknown outcome is a call that never returned: it counts where the committed history has it, else not
//! at all. A refusal and a delete of nothing are reads.

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::{Entry, EntryId, Metadata, Operation, Seq, Slot, WallTime};

use super::Violation;
use super::ledger::{Ledger, metadata};
use crate::history::{Call, CallId, Deed, History, Instant, Outcome};

/// The committed writes of a key, in order: where, and whether the object is there after it.
type Writes = Vec<(Seq, Presence)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Present,
    Absent,
}

/// What a call did to its key, or saw of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deal {
    Wrote(Seq),
    /// The object at this version; `None`: absent.
    Saw(Option<Seq>),
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    call: CallId,
    invoked: Instant,
    /// `None`: never.
    returned: Option<Instant>,
    deal: Deal,
}

/// Checks the whole history against what is committed in the end.
pub(crate) fn check(history: &History, ledger: &Ledger, slots: u32) -> Result<(), Violation> {
    let mut entries: Vec<Option<EntryId>> = vec![None; history.calls.len()];
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
fn committed(
    slot: Slot,
    history: &History,
    log: &[Entry],
    entries: &mut [Option<EntryId>],
    writes: &mut BTreeMap<Bytes, Writes>,
) -> Result<(), Violation> {
    let mut objects: BTreeMap<Bytes, Metadata> = BTreeMap::new();
    for entry in log {
        let id = entry.id;
        let author = history.author(slot, id);
        demand!(author.is_some(), Linearizability, "W1", "slot {slot}: {id} is committed, and no head ordered it");
        let call = author.expect("just demanded").call;
        let wish = &history.call(call).wish;
        let wanted = match (&wish.deed, &entry.operation) {
            (Deed::Put { value: wanted }, Operation::Put { value, .. }) => wanted == value,
            (Deed::Delete, Operation::Delete { .. }) => true,
            (Deed::Get | Deed::Put { .. } | Deed::Delete, _) => false,
        };
        demand!(
            wanted && wish.key == *entry.operation.key(),
            Linearizability,
            "W1",
            "slot {slot}: {id} was ordered for {call:?}, which wanted {wish:?}, and is {entry:?}"
        );
        let twice = entries[call.0].replace(id);
        demand!(twice.is_none(), Linearizability, "W8, W9", "slot {slot}: {call:?} is committed as {id} and as {twice:?}");
        let before = objects.get(&wish.key);
        let failed = wish.conditions.iter().find(|condition| !condition.holds(before));
        demand!(
            failed.is_none(),
            Linearizability,
            "W7",
            "slot {slot}: {id} is committed for {call:?} on {before:?}, of which {failed:?} does not hold"
        );
        let created_at = before.map_or(entry.at, |object| object.created_at);
        let presence = if let Some(after) = metadata(entry) {
            demand!(
                after.created_at == created_at,
                Linearizability,
                "W2",
                "slot {slot}: {id} says that {:?} came into being at {}, it did at {}",
                wish.key,
                after.created_at.0,
                created_at.0
            );
            objects.insert(wish.key.clone(), after);
            Presence::Present
        } else {
            objects.remove(&wish.key);
            Presence::Absent
        };
        writes.entry(wish.key.clone()).or_default().push((id.seq, presence));
    }
    Ok(())
}

/// What a call has to answer for. `entry`: the one that is committed for it.
fn claim(id: CallId, call: &Call, entry: Option<EntryId>, ledger: &Ledger) -> Result<Option<Claim>, Violation> {
    let conditions = &call.wish.conditions;
    let hold = |object: Option<&Metadata>| conditions.iter().all(|condition| condition.holds(object));
    let deal = match &call.outcome {
        Outcome::Written { entry: named, object } => {
            demand!(
                entry == Some(*named),
                Linearizability,
                "W5, W8",
                "{id:?} was acknowledged as {named} in slot {}, committed for it is {entry:?}",
                call.slot
            );
            let written = ledger.at(call.slot, named.seq).and_then(metadata);
            demand!(
                written == *object,
                Linearizability,
                "W2",
                "{id:?} was told that it wrote {object:?}, committed is {written:?}"
            );
            return Ok(Some(Claim { returned: call.returned, ..of(id, call, Deal::Wrote(named.seq)) }));
        }
        Outcome::Pending | Outcome::Unknown => {
            return Ok(entry.map(|entry| Claim { returned: None, ..of(id, call, Deal::Wrote(entry.seq)) }));
        }
        Outcome::NotExecuted => None,
        Outcome::Read(object) => Some(Deal::Saw(object.as_ref().map(|object| object.metadata.version))),
        Outcome::NothingToDo => {
            demand!(
                call.wish.deed == Deed::Delete && hold(None),
                Linearizability,
                "W7",
                "{id:?} was told that there is nothing to do, and wanted {:?}",
                call.wish
            );
            Some(Deal::Saw(None))
        }
        Outcome::Refused(object) => {
            demand!(
                !hold(object.as_ref()),
                Linearizability,
                "W7",
                "{id:?} was refused on {object:?}, of which {conditions:?} hold"
            );
            Some(Deal::Saw(object.map(|object| object.version)))
        }
    };
    demand!(
        entry.is_none(),
        Linearizability,
        "W7, W9",
        "{id:?} ended as {:?}, and is committed as {entry:?} in slot {}",
        call.outcome,
        call.slot
    );
    Ok(deal.map(|deal| of(id, call, deal)))
}

fn of(id: CallId, call: &Call, deal: Deal) -> Claim {
    Claim { call: id, invoked: call.invoked, returned: call.returned, deal }
}

/// Checks one key. Places: write number i (from 1) stands at 2 i, the gap behind it at 2 i + 1; before the first
/// write, the object is absent at 1.
fn sweep(key: &Bytes, writes: &Writes, claims: &[Claim]) -> Result<(), Violation> {
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
        }
    }
    objects
}

#[cfg(test)]
#[path = "linearize_tests.rs"]
mod tests;
