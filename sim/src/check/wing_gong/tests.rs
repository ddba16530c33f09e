//! Three judges over the same histories: the order of versions, our search, and that of the crate `porcupine-rs`, whose model
//! of an object is written here anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use porcupine_rs::{Model, Operation, check_operations};

use super::made::Made;
use super::planted::{PLANTS, Seen};
use super::*;
use crate::check::linearize;
use crate::history::Wish;

/// The object's value.
type Object = Option<Bytes>;

#[derive(Clone, Debug)]
struct Register;

/// A call with its answer.
#[derive(Clone, Debug)]
struct Asked {
    wish: Wish,
    outcome: Outcome,
    /// What clients were told of a value's metadata.
    told: Arc<BTreeMap<Bytes, Metadata>>,
}

impl Model for Register {
    type State = Object;
    type Op = Asked;
    type Metadata = ();

    fn init() -> Object {
        None
    }

    fn step(before: &Object, op: &Asked) -> (bool, Object) {
        let same = before.clone();
        let after = match &op.wish.deed {
            Deed::Put { value } => Some(value.clone()),
            Deed::Delete | Deed::Get => None,
        };
        let (holds, puts) = (op.holds(before), after.is_some());
        let changes = holds && (before.is_some() || puts);
        match &op.outcome {
            Outcome::Pending | Outcome::Unknown => (true, if changes { after } else { same }),
            Outcome::Written { .. } => (changes, after),
            Outcome::Read(None) => (before.is_none(), same),
            Outcome::Read(Some(object)) => (op.is(before, &object.metadata) && same.as_ref() == Some(&object.value), same),
            Outcome::NothingToDo => (before.is_none() && holds && !puts, same),
            Outcome::Refused(None) => (before.is_none() && !holds, same),
            Outcome::Refused(Some(shown)) => (op.is(before, shown) && op.fails_on(shown), same),
            Outcome::NotExecuted => unreachable!("it is left out"),
        }
    }
}

impl Asked {
    /// Whether this may be the object's metadata. What is another object's is not.
    fn is(&self, object: &Object, metadata: &Metadata) -> bool {
        let Some(value) = object else { return false };
        self.told.get(value).map_or(!self.is_told_of(metadata.version), |told| told == metadata)
    }

    fn is_told_of(&self, version: Seq) -> bool {
        self.told.values().any(|told| told.version == version)
    }

    fn fails_on(&self, metadata: &Metadata) -> bool {
        !self.wish.conditions.iter().all(|condition| condition.holds(Some(metadata)))
    }

    fn holds(&self, before: &Object) -> bool {
        let told = before.as_ref().map(|value| self.told.get(value));
        self.wish.conditions.iter().all(|condition| match (told, condition) {
            (Some(None), Condition::Exists(wanted)) => *wanted,
            (Some(None), Condition::Version(Comparison::Eq, version)) => !self.is_told_of(*version),
            (Some(None), Condition::Version(..) | Condition::UpdatedAt(..)) => true,
            (Some(known), condition) => condition.holds(known),
            (None, condition) => condition.holds(None),
        })
    }
}

/// Whether porcupine finds an order of each key's calls.
fn porcupine(history: &History) -> bool {
    let mut told: BTreeMap<Bytes, Metadata> = BTreeMap::new();
    for call in &history.calls {
        if let Outcome::Read(Some(object)) = &call.outcome {
            told.entry(object.value.clone()).or_insert(object.metadata);
        }
    }
    for call in &history.calls {
        if let (Deed::Put { value }, Outcome::Written { object: Some(object), .. }) = (&call.wish.deed, &call.outcome) {
            told.insert(value.clone(), *object);
        }
    }
    let told = Arc::new(told);
    let mut keys: BTreeMap<&Bytes, Vec<Operation<Register>>> = BTreeMap::new();
    for call in &history.calls {
        let open = matches!(call.outcome, Outcome::Pending | Outcome::Unknown);
        if call.outcome == Outcome::NotExecuted || open && call.wish.deed == Deed::Get {
            continue;
        }
        let time = |instant: Instant| i64::try_from(instant.0).expect("a short history");
        keys.entry(&call.wish.key).or_default().push(Operation {
            client_id: None,
            call_time: time(call.invoked),
            return_time: call.returned.filter(|_| !open).map_or(i64::MAX, time),
            op: Asked { wish: call.wish.clone(), outcome: call.outcome.clone(), told: Arc::clone(&told) },
            metadata: None,
        });
    }
    keys.values().all(|operations| check_operations(operations))
}

/// What the three say: the order of versions, our search, and porcupine.
fn verdicts(made: &Made) -> [bool; 3] {
    let ours = check(&made.history);
    if let Ok(searches) = &ours {
        assert_eq!(searches.given_up, 0, "a short history");
    }
    [linearize::check(&made.history, &made.ledger, 1).is_ok(), ours.is_ok(), porcupine(&made.history)]
}

/// Histories of a seed each, every other one with an anomaly.
const HISTORIES: u64 = 20_000;

#[test]
fn three_judges_agree_on_histories_of_which_half_have_an_anomaly() {
    let (mut open, mut overlaps, mut refused, mut deleted) = (0, 0, 0, 0);
    for seed in 0..HISTORIES {
        let mut made = Made::new(seed);
        made.go_on(5, 60);
        let planted = (seed % 2 == 1).then(|| PLANTS[usize::try_from(seed / 2).expect("a few") % PLANTS.len()]);
        if let Some((_, _, plant)) = planted {
            plant(&mut made);
        }
        made.go_on(0, 40);
        let (name, expected) = match planted {
            None => ("nothing", [true, true, true]),
            Some((name, Seen::ByAll, _)) => (name, [false, false, false]),
            Some((name, Seen::InVersionsOnly, _)) => (name, [false, true, true]),
            Some((name, Seen::InAnswersOnly, _)) => (name, [true, false, false]),
        };
        assert_eq!(verdicts(&made), expected, "seed {seed}, planted: {name}: {:#?}", made.history.calls);
        let calls = &made.history.calls;
        open += calls.iter().filter(|call| matches!(call.outcome, Outcome::Pending | Outcome::Unknown)).count();
        overlaps += calls.windows(2).filter(|two| two[0].returned.is_none_or(|returned| returned > two[1].invoked)).count();
        refused += calls.iter().filter(|call| matches!(call.outcome, Outcome::Refused(_))).count();
        deleted += calls.iter().filter(|call| call.wish.deed == Deed::Delete).count();
    }
    let least = usize::try_from(HISTORIES).expect("a few");
    for (what, count) in [("open", open), ("overlapping", overlaps), ("refused", refused), ("deletes", deleted)] {
        assert!(count > least, "{count} calls are {what}");
    }
}
