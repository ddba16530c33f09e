//! All that can be known of a store, and of its twin, to be compared.

use bytes::Bytes;
use catena_core::{Entry, EntryId, Object, Recovered, Seq, Slot, SnapshotEnd};
use catena_store::{FjallStore, Pinned, Reader, Store, StoreError};

use super::twin::Slots;
use super::writer::SLOTS;

/// What there is of each slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture(Vec<Shown>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    slot: Slot,
    at: EntryId,
    objects: Vec<(Bytes, Object)>,
    end: SnapshotEnd,
    spilled: Vec<Entry>,
}

impl Picture {
    /// As readers see it.
    pub(crate) fn of(store: &FjallStore) -> Result<Self, StoreError> {
        let reader = store.reader();
        let shown = |slot| {
            let pinned = reader.pin(slot)?;
            let part = pinned.read(None, usize::MAX)?.expect("the first part may begin anywhere");
            let end = part.end.expect("it is one part");
            let first = (0..=pinned.at().seq.0).map(Seq);
            let mut spilled = vec![];
            for after in first {
                spilled = reader.spilled(slot, after, usize::MAX)?;
                if !spilled.is_empty() {
                    break;
                }
            }
            Ok(Shown { slot, at: pinned.at(), objects: part.objects, end, spilled })
        };
        (0..SLOTS).map(Slot).map(shown).collect::<Result<_, _>>().map(Self)
    }

    /// As it must be.
    pub(crate) fn of_twin(slots: &Slots) -> Self {
        let shown = |slot| {
            let found = slots.get(&slot).cloned().unwrap_or_default();
            let end = SnapshotEnd { at_time: found.trim_at, sessions: found.sessions() };
            Shown { slot, at: found.trim, objects: found.objects.into_iter().collect(), end, spilled: found.spilled }
        };
        Self((0..SLOTS).map(Slot).map(shown).collect())
    }

    /// Where two differ, for people.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let (one, two) = self.0.iter().zip(&other.0).find(|(one, two)| one != two)?;
        Some(format!("shows {}, not {}", one.short(), two.short()))
    }
}

impl Shown {
    fn short(&self) -> String {
        let Self { slot, at, objects, end, spilled } = self;
        let objects: Vec<_> = objects.iter().map(|(key, object)| (key, object.metadata.version, object.value.len())).collect();
        let (names, spilled): (Vec<_>, Vec<_>) =
            (end.sessions.iter().map(|(name, _)| name).collect(), spilled.iter().map(|entry| entry.id.to_string()).collect());
        format!("slot {slot} at {at}, {objects:?}, sessions {names:?} at {:?}, spilled {spilled:?}", end.at_time)
    }
}

/// Where two recoveries differ, for people.
pub(crate) fn difference(one: &[Recovered], two: &[Recovered]) -> Option<String> {
    let of =
        |all: &[Recovered], slot| all.iter().find(|found| found.slot == slot).cloned().unwrap_or_else(|| Recovered::empty(slot));
    if one == two {
        return None;
    }
    let mut pairs = (0..SLOTS).map(|slot| (of(one, Slot(slot)), of(two, Slot(slot))));
    let pair = pairs.find(|(one, two)| one != two);
    let (one, two) = pair.map_or_else(|| (format!("{one:?}"), format!("{two:?}")), |(one, two)| (short(&one), short(&two)));
    Some(format!("recovers {one}, not {two}"))
}

fn short(found: &Recovered) -> String {
    let Recovered { slot, chain, trim, trim_at, sessions, log, staged, quarantined, damaged } = found;
    let (chain, sessions) = (chain.as_ref().map(|chain| chain.version.0), sessions.len());
    let log: Vec<_> = log.iter().map(|entry| entry.id.to_string()).collect();
    let staged = staged.as_ref().map(|(pin, last)| format!("{} up to {last:?}", pin.at));
    format!(
        "slot {slot}: chain {chain:?}, trimmed at {trim} {trim_at:?}, {sessions} sessions, log {log:?}, staged {staged:?}, \
         quarantined {quarantined}, damaged {damaged:?}"
    )
}
