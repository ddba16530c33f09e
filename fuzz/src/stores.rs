//! One history of batches, syncs, crashes and reopenings over both stores: as the twin of their conformance suite says after
//! every step, and at the end the same.

use arbitrary::{Result, Unstructured};

use self::history::Action;
use self::implementation::{Fjall, Memory};
use self::writer::{Deed, KEYS, SLOTS, Shape, VALUE_BYTES};

#[path = "../../store/tests/conformance"]
#[allow(dead_code, clippy::unwrap_used, clippy::pedantic, reason = "a test's, of which not everything is used here")]
mod conformance {
    pub(super) mod build;
    pub(super) mod history;
    pub(super) mod implementation;
    pub(super) mod records;
    pub(super) mod twin;
    pub(super) mod writer;
}
use conformance::{history, implementation, writer};

/// Longer histories find nothing that shorter ones do not.
const STEPS: usize = 60;

/// Bytes of a history.
pub fn run(data: &[u8]) {
    let Ok(actions) = actions(&mut Unstructured::new(data)) else { return };
    history::run(&Memory::default(), &actions);
    // What a dead process leaves in a page cache, and what a power loss spares, is a store's own affair: both lose it all.
    let all_is_lost = |action: Action| match action {
        Action::Kill | Action::Crash { .. } => Action::Crash { losses: u64::MAX },
        other => other,
    };
    let actions: Vec<Action> = actions.into_iter().map(all_is_lost).chain([Action::Sync]).collect();
    let [memory, fjall] = [history::run(&Memory::default(), &actions), history::run(&Fjall::new(), &actions)];
    assert_eq!(memory, fjall, "both have the same");
}

fn actions(u: &mut Unstructured<'_>) -> Result<Vec<Action>> {
    let mut actions = Vec::new();
    while !u.is_empty() && actions.len() < STEPS {
        actions.push(action(u)?);
    }
    Ok(actions)
}

fn action(u: &mut Unstructured<'_>) -> Result<Action> {
    Ok(match u.int_in_range(0..=15)? {
        0..=9 => Action::Submit { slot: slot(u)?, writes: few(u, 1, 3, shape)? },
        10..=12 => Action::Sync,
        13 if u.arbitrary()? => Action::Sweep,
        13 => Action::Kill,
        14 => Action::Pin { slot: slot(u)? },
        _ => Action::Crash { losses: u.arbitrary()? },
    })
}

fn slot(u: &mut Unstructured<'_>) -> Result<u32> {
    u.int_in_range(0..=SLOTS - 1)
}

fn shape(u: &mut Unstructured<'_>) -> Result<Shape> {
    Ok(match u.int_in_range(0..=15)? {
        0..=3 => Shape::Append { operations: few(u, 1, 3, deed)? },
        4..=5 => Shape::Apply { count: u.int_in_range(1..=3)?, sessions: few(u, 0, 2, session)? },
        6 => Shape::Chain,
        7 => Shape::Takeover { back: u.int_in_range(0..=3)?, operation: deed(u)? },
        8 => Shape::Replace { operation: deed(u)? },
        9 => Shape::Spill { operations: few(u, 0, 3, deed)? },
        10 => Shape::DropSpill,
        11..=12 => Shape::Stage { count: u.int_in_range(0..=2)?, anew: u.ratio(1, 4)? },
        13 => Shape::Install,
        14 => Shape::Finish,
        _ if u.arbitrary()? => Shape::Clear,
        _ => Shape::Quarantine,
    })
}

fn deed(u: &mut Unstructured<'_>) -> Result<Deed> {
    Ok(match u.int_in_range(0..=9)? {
        0..=6 => Deed::Put(u.choose_index(KEYS.len())?, u.choose_index(VALUE_BYTES.len())?),
        7..=8 => Deed::Delete(u.choose_index(KEYS.len())?),
        _ => Deed::Other(u.int_in_range(0..=4)?),
    })
}

/// Its name, and what it is made of; none: it is gone.
fn session(u: &mut Unstructured<'_>) -> Result<(u64, Option<u64>)> {
    let made_of = if u.arbitrary()? { Some(u.int_in_range(0..=999)?) } else { None };
    Ok((u.int_in_range(1..=3)?, made_of))
}

fn few<T>(
    u: &mut Unstructured<'_>,
    least: usize,
    most: usize,
    mut one: impl FnMut(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = u.int_in_range(least..=most)?;
    (0..count).map(|_| one(u)).collect()
}
