//! Random histories.

use proptest::prelude::*;

use crate::history::{Action, run};
use crate::implementation::{Fjall, Implementation, Memory};
use crate::shapes::shape;
use crate::writer::{Deed, SLOTS, Shape};

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
