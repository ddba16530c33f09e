//! Keys: the slot first, then the generation, big-endian, so that what belongs together lies together, and a log in order.

use std::fmt;
use std::ops::Bound;

use catena_core::{Seq, Slot, mutant};

/// A part of the store with an index of its own. Shared by all slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    /// What there is of a slot: chain, state, staging, garbage, quarantine.
    Slots,
    /// Entries that are not applied yet, and those that are spilled.
    Log,
    /// Objects as of the trim point.
    Objects,
    /// Sessions as of the trim point.
    Sessions,
    /// Values too large to be stored twice.
    Values,
    /// The coordinator's records.
    Config,
}

/// A life of a slot's content: a snapshot that is installed, and a slot that is cleared, begin a new one. The content of the
/// one before is garbage from then on. A spill is of one too, beside the content's. Counts within a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Generation(pub(super) u32);

impl Generation {
    pub(super) fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("a slot is filled or cleared far less than four billion times"))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Space {
    /// Those whose keys begin with slot and generation. What refers to values comes before them.
    pub(super) const OF_GENERATIONS: [Space; 4] = [Space::Log, Space::Objects, Space::Sessions, Space::Values];

    /// Its name, on disk and in errors.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Space::Slots => "slots",
            Space::Log => "log",
            Space::Objects => "objects",
            Space::Sessions => "sessions",
            Space::Values => "values",
            Space::Config => "config",
        }
    }

    /// A key of this space, for people.
    pub(crate) fn describe(self, key: &[u8]) -> String {
        let raw = || key.escape_ascii().to_string();
        match self {
            Space::Config => raw(),
            Space::Slots => match parse_slot_key(key) {
                Some((slot, Aspect::Chain)) => format!("slot {slot} chain"),
                Some((slot, Aspect::State)) => format!("slot {slot} state"),
                Some((slot, Aspect::Staging)) => format!("slot {slot} staging"),
                Some((slot, Aspect::Quarantine)) => format!("slot {slot} quarantine"),
                Some((slot, Aspect::Garbage(generation))) => format!("slot {slot} garbage of generation {generation}"),
                None => raw(),
            },
            Space::Log | Space::Sessions => match parse_position_key(key) {
                Some((slot, generation, seq)) => format!("slot {slot} generation {generation} seq {seq}"),
                None => raw(),
            },
            Space::Values => match parse_value_key(key) {
                Some((slot, generation, key, seq)) => {
                    format!("slot {slot} generation {generation} key \"{}\" seq {seq}", key.escape_ascii())
                }
                None => raw(),
            },
            Space::Objects => match split(key) {
                Some((slot, generation, key)) => {
                    format!("slot {slot} generation {generation} key \"{}\"", key.escape_ascii())
                }
                None => raw(),
            },
        }
    }
}

const CHAIN: u8 = 0;
const STATE: u8 = 1;
const STAGING: u8 = 2;
const GARBAGE: u8 = 3;
const QUARANTINE: u8 = 4;

/// What a record in [`Space::Slots`] says of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aspect {
    Chain,
    State,
    Staging,
    Garbage(Generation),
    Quarantine,
}

pub(super) fn slot_key(slot: Slot, aspect: Aspect) -> Vec<u8> {
    let mut key = slot.0.to_be_bytes().to_vec();
    match aspect {
        Aspect::Chain => key.push(CHAIN),
        Aspect::State => key.push(STATE),
        Aspect::Staging => key.push(STAGING),
        Aspect::Quarantine => key.push(QUARANTINE),
        Aspect::Garbage(generation) => {
            key.push(GARBAGE);
            key.extend_from_slice(&generation.0.to_be_bytes());
        }
    }
    key
}

/// The slot that any key of a node's spaces begins with.
pub(super) fn parse_slot(key: &[u8]) -> Option<Slot> {
    key.first_chunk::<4>().map(|slot| Slot(u32::from_be_bytes(*slot)))
}

pub(super) fn parse_slot_key(key: &[u8]) -> Option<(Slot, Aspect)> {
    let (slot, rest) = key.split_first_chunk::<4>()?;
    let aspect = match rest {
        [CHAIN] => Aspect::Chain,
        [STATE] => Aspect::State,
        [STAGING] => Aspect::Staging,
        [QUARANTINE] => Aspect::Quarantine,
        [GARBAGE, generation @ ..] => Aspect::Garbage(Generation(u32::from_be_bytes(generation.try_into().ok()?))),
        _ => return None,
    };
    Some((Slot(u32::from_be_bytes(*slot)), aspect))
}

/// Where an entry stands: its key in [`Space::Log`]; where one opened a session, in [`Space::Sessions`].
pub(super) fn position_key(slot: Slot, generation: Generation, seq: Seq) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&prefix(slot, generation));
    key[8..].copy_from_slice(&seq.0.to_be_bytes());
    key
}

pub(super) fn parse_position_key(key: &[u8]) -> Option<(Slot, Generation, Seq)> {
    let (slot, generation, rest) = split(key)?;
    let seq = u64::from_be_bytes(rest.try_into().ok()?);
    (seq > 0).then_some((slot, generation, Seq(seq)))
}

pub(super) fn object_key(slot: Slot, generation: Generation, key: &[u8]) -> Vec<u8> {
    [&prefix(slot, generation), key].concat()
}

/// The object's own key.
pub(super) fn parse_object_key(key: &[u8]) -> Option<&[u8]> {
    split(key).map(|(_, _, key)| key)
}

/// What stands for a zero byte within a key, and for the key's end, where something follows: keys keep their order
/// (as in `CockroachDB`'s `EncodeBytesAscending`).
const ZERO: [u8; 2] = [0, 0xff];
const END: [u8; 2] = [0, 1];

/// Where the value is that the entry at `seq` gave to `key`. Values lie in the order of their objects, so that both are read
/// side by side.
pub(super) fn value_key(slot: Slot, generation: Generation, key: &[u8], seq: Seq) -> Vec<u8> {
    let mut full = values_from(slot, generation, key);
    full.extend_from_slice(&END);
    full.extend_from_slice(&seq.0.to_be_bytes());
    full
}

/// Not behind any value of `key`, nor before one of a lower key.
pub(super) fn values_from(slot: Slot, generation: Generation, key: &[u8]) -> Vec<u8> {
    let mut from = prefix(slot, generation).to_vec();
    for &byte in key {
        match byte {
            0 if !mutant!(ZeroUnescaped) => from.extend_from_slice(&ZERO),
            byte => from.push(byte),
        }
    }
    from
}

pub(super) fn parse_value_key(key: &[u8]) -> Option<(Slot, Generation, Vec<u8>, Seq)> {
    let (slot, generation, rest) = split(key)?;
    let (escaped, seq) = rest.split_last_chunk::<8>()?;
    let escaped = escaped.strip_suffix(&END)?;
    let mut key = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(&byte) = bytes.next() {
        if byte == ZERO[0] && bytes.next() != Some(&ZERO[1]) {
            return None;
        }
        key.push(byte);
    }
    let seq = u64::from_be_bytes(*seq);
    (seq > 0).then_some((slot, generation, key, Seq(seq)))
}

/// Everything of a generation, behind `after`, a key of it.
pub(super) fn generation_range(slot: Slot, generation: Generation, after: Option<&[u8]>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let first = prefix(slot, generation);
    let start = after.map_or(Bound::Included(first.to_vec()), |after| Bound::Excluded(after.to_vec()));
    let end = u64::from_be_bytes(first).checked_add(1);
    (start, end.map_or(Bound::Unbounded, |end| Bound::Excluded(end.to_be_bytes().to_vec())))
}

/// Everything of a slot from a generation on.
pub(super) fn generations_range(slot: Slot, from: Generation) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let (_, end) = generation_range(slot, Generation(u32::MAX), None);
    (Bound::Included(prefix(slot, from).to_vec()), end)
}

/// The generation of a key in [`Space::OF_GENERATIONS`].
pub(super) fn parse_generation(key: &[u8]) -> Option<Generation> {
    split(key).map(|(_, generation, _)| generation)
}

fn prefix(slot: Slot, generation: Generation) -> [u8; 8] {
    (u64::from(slot.0) << 32 | u64::from(generation.0)).to_be_bytes()
}

fn split(key: &[u8]) -> Option<(Slot, Generation, &[u8])> {
    let (slot, rest) = key.split_first_chunk::<4>()?;
    let (generation, rest) = rest.split_first_chunk::<4>()?;
    Some((Slot(u32::from_be_bytes(*slot)), Generation(u32::from_be_bytes(*generation)), rest))
}
