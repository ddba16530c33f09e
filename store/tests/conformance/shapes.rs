//! Writes at random.

use proptest::prelude::*;

use super::writer::{Deed, KEYS, Shape, VALUE_BYTES};

fn operation() -> impl Strategy<Value = Deed> {
    prop_oneof![
        7 => (0..KEYS.len(), 0..VALUE_BYTES.len()).prop_map(|(key, size)| Deed::Put(key, size)),
        2 => (0..KEYS.len()).prop_map(Deed::Delete),
        1 => (0..5_u8).prop_map(Deed::Other),
    ]
}

fn sessions() -> impl Strategy<Value = Vec<(u64, Option<u64>)>> {
    prop::collection::vec((1..4_u64, prop::option::of(0..1000_u64)), 0..3)
}

pub(crate) fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        1 => Just(Shape::Chain),
        6 => prop::collection::vec(operation(), 1..4).prop_map(|operations| Shape::Append { operations }),
        1 => (0..4u64, operation()).prop_map(|(back, operation)| Shape::Takeover { back, operation }),
        1 => operation().prop_map(|operation| Shape::Replace { operation }),
        4 => (1..4usize, sessions()).prop_map(|(count, sessions)| Shape::Apply { count, sessions }),
        3 => prop::collection::vec(operation(), 0..4).prop_map(|operations| Shape::Spill { operations }),
        1 => Just(Shape::DropSpill),
        3 => (0..3usize, prop::bool::weighted(0.2)).prop_map(|(count, anew)| Shape::Stage { count, anew }),
        1 => Just(Shape::Install),
        1 => Just(Shape::Finish),
        1 => Just(Shape::Clear),
        1 => Just(Shape::Quarantine),
    ]
}
