//! Random histories.

use proptest::prelude::*;

use crate::history::{Action, Deed, KEYS, SLOTS, Shape, VALUE_BYTES, run};
use crate::implementation::{Fjall, Implementation, Memory};

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

fn shape() -> impl Strategy<Value = Shape> {
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

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => (0..SLOTS, prop::collection::vec(shape(), 1..3)).prop_map(|(slot, writes)| Action::Submit { slot, writes }),
        4 => Just(Action::Sync),
        1 => Just(Action::Sweep),
        1 => (0..SLOTS).prop_map(|slot| Action::Pin { slot }),
        1 => Just(Action::Kill),
        1 => any::<u64>().prop_map(|losses| Action::Crash { losses }),
    ]
}

/// The group must see its own removal: else the second write of "a" counts the value of the first off twice, and that of "b" stays.
pub(crate) fn large_objects_deleted_and_put_again_in_one_group_leave_nothing_over(implementation: &impl Implementation) {
    let submit = |writes: &[Shape]| Action::Submit { slot: 0, writes: writes.to_vec() };
    let put = |key, size| Deed::Put(key, size);
    let apply = |count| Shape::Apply { count, sessions: vec![] };
    let (large, small) = (4, 1);
    run(
        implementation,
        &[
            submit(&[Shape::Append { operations: vec![put(0, large), put(1, large)] }, apply(2)]),
            Action::Sync,
            submit(&[Shape::Append { operations: vec![Deed::Delete(0), put(0, small)] }, apply(2)]),
            Action::Sync,
            submit(&[Shape::Append { operations: vec![put(1, small)] }, apply(1)]),
            Action::Sync,
        ],
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn memory_agrees_with_its_twin(actions in prop::collection::vec(action(), 1..60)) {
        run(&Memory::default(), &actions);
    }
}

proptest! {
    // Fewer: each opens fjall a few times.
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn fjall_agrees_with_its_twin(actions in prop::collection::vec(action(), 1..60)) {
        run(&Fjall::new(), &actions);
    }
}
