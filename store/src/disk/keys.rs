//! Keys: the slot first, big-endian, so that a slot's records lie together and a log in order.

use catena_core::{Seq, Slot};

/// A part of the store with an index of its own. Shared by all slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    /// A slot's chain and trim point.
    Slots,
    /// Entries that are not applied yet.
    Log,
    /// Objects as of the trim point.
    Objects,
    /// Values too large to be stored twice.
    Values,
    /// The coordinator's records.
    Config,
}

impl Space {
    /// Its name, on disk and in errors.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Space::Slots => "slots",
            Space::Log => "log",
            Space::Objects => "objects",
            Space::Values => "values",
            Space::Config => "config",
        }
    }

    /// A key of this space, for people.
    pub(crate) fn describe(self, key: &[u8]) -> String {
        if self == Space::Config {
            return key.escape_ascii().to_string();
        }
        let Some((slot, rest)) = split_slot(key) else { return key.escape_ascii().to_string() };
        match (self, rest) {
            (Space::Slots, [CHAIN]) => format!("slot {slot} chain"),
            (Space::Slots, [TRIM]) => format!("slot {slot} trim"),
            (Space::Log | Space::Values, rest) => match rest.try_into() {
                Ok(seq) => format!("slot {slot} seq {}", u64::from_be_bytes(seq)),
                Err(_) => key.escape_ascii().to_string(),
            },
            (Space::Objects, rest) => format!("slot {slot} key \"{}\"", rest.escape_ascii()),
            (Space::Slots | Space::Config, _) => key.escape_ascii().to_string(),
        }
    }
}

const CHAIN: u8 = 0;
const TRIM: u8 = 1;

/// What a record in [`Space::Slots`] says of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aspect {
    Chain,
    Trim,
}

pub(super) fn slot_key(slot: Slot, aspect: Aspect) -> [u8; 5] {
    let mut key = [0; 5];
    key[..4].copy_from_slice(&slot.0.to_be_bytes());
    key[4] = match aspect {
        Aspect::Chain => CHAIN,
        Aspect::Trim => TRIM,
    };
    key
}

pub(super) fn parse_slot_key(key: &[u8]) -> Option<(Slot, Aspect)> {
    match split_slot(key)? {
        (slot, [CHAIN]) => Some((slot, Aspect::Chain)),
        (slot, [TRIM]) => Some((slot, Aspect::Trim)),
        (_, _) => None,
    }
}

/// Where an entry stands: its key in [`Space::Log`] and [`Space::Values`].
pub(super) fn position_key(slot: Slot, seq: Seq) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&slot.0.to_be_bytes());
    key[4..].copy_from_slice(&seq.0.to_be_bytes());
    key
}

pub(super) fn parse_position_key(key: &[u8]) -> Option<(Slot, Seq)> {
    let (slot, rest) = split_slot(key)?;
    let seq = u64::from_be_bytes(rest.try_into().ok()?);
    (seq > 0).then_some((slot, Seq(seq)))
}

pub(super) fn object_key(slot: Slot, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(4 + key.len());
    full.extend_from_slice(&slot.0.to_be_bytes());
    full.extend_from_slice(key);
    full
}

fn split_slot(key: &[u8]) -> Option<(Slot, &[u8])> {
    let (slot, rest) = key.split_first_chunk::<4>()?;
    Some((Slot(u32::from_be_bytes(*slot)), rest))
}
