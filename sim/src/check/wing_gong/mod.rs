//! Every key behaves like one object (linearizability), judged from the outside: by what clients asked and were answered, and
//! nothing that the cluster says of its order.
//!
//! The search of Wing & Gong (*Testing and Verifying Concurrent Objects*, 1993) for an order of the calls of a key that
//! explains every answer, with Lowe's memory of where it has been (*Testing for Linearizability*, 2017): the set of calls
//! placed and the object after them. Keys are searched one by one, for the whole is linearizable if each of them is.
//!
//! A call of unknown outcome is open: it takes effect at any time after its invocation, or never. It is placed only where a
//! later answer can tell, and of open calls that nobody can tell apart the earliest first; else a thousand calls with a
//! hundred open ones would have more orders than can be walked.
//!
//! A version is a name here, as it is for a client: it says which put an answer is about, and conditions compare it. Of a
//! put that nobody was told the version of, any condition may hold.

mod line;
#[cfg(all(test, not(madsim)))]
mod made;
#[cfg(all(test, not(madsim)))]
mod planted;
mod search;
#[cfg(all(test, not(madsim)))]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;

use bytes::Bytes;
use catena_core::{Comparison, Condition, Metadata, Seq};
use serde::{Deserialize, Serialize};

use super::Violation;
use crate::history::{Call, CallId, Deed, History, Instant, Outcome};

/// Calls tried at a place, for one key, before the search gives up; or [`PATIENCE_EACH`] for each of its calls, if that is more.
pub(crate) const PATIENCE: u64 = 1 << 16;

/// A healthy key needs a few for each of its calls.
const PATIENCE_EACH: u64 = 16;

/// What became of the searches.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Searches {
    /// Keys that were searched.
    pub keys: u64,
    /// Those of them that were given up: no order was found, and not all were tried.
    pub given_up: u64,
}

impl AddAssign for Searches {
    fn add_assign(&mut self, other: Self) {
        self.keys += other.keys;
        self.given_up += other.given_up;
    }
}

/// What a search says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is an order.
    Linearizable,
    /// There is none. The order that came furthest placed so many calls, and then this one could not be.
    Not { placed: usize, then: CallId },
    /// It took too long.
    GivenUp,
}

/// Searches the whole history.
pub(crate) fn check(history: &History) -> Result<Searches, Violation> {
    let mut keys: BTreeMap<&Bytes, Vec<(CallId, &Call)>> = BTreeMap::new();
    for (index, call) in history.calls.iter().enumerate() {
        keys.entry(&call.wish.key).or_default().push((CallId(index), call));
    }
    let mut searches = Searches::default();
    for (key, calls) in keys {
        let verdict = judge(&calls, PATIENCE.max(PATIENCE_EACH * calls.len() as u64));
        if let Verdict::Not { placed, then } = verdict {
            demand!(
                false,
                BlackBox,
                "W4, R1, R2",
                "{key:?}: no order of its {} calls explains their answers; one that explains {placed} has no place for {then:?}: {:?}",
                calls.len(),
                history.call(then)
            );
        }
        searches += Searches { keys: 1, given_up: u64::from(verdict == Verdict::GivenUp) };
    }
    Ok(searches)
}

/// Searches for an order of the calls of one key.
pub(crate) fn judge(calls: &[(CallId, &Call)], patience: u64) -> Verdict {
    let known = Known::of(calls);
    let ops: Vec<Op> = calls.iter().enumerate().filter_map(|(index, (id, call))| op(index, *id, call, &known)).collect();
    search::search(&ops, &known, patience)
}

/// The object: the put that wrote it, by its index among the key's calls. `None`: absent.
type State = Option<usize>;

/// What clients know of a key's puts, all of them together.
struct Known {
    /// How many calls there are.
    calls: usize,
    /// By value: no two puts have the same.
    puts: HashMap<Bytes, usize>,
    /// By the put's index; from its acknowledgement, or from a read of its value.
    metadata: BTreeMap<usize, Metadata>,
    /// Which put a version names.
    versions: BTreeMap<Seq, usize>,
    /// Stands for all puts whose version is not known: nobody can tell them apart.
    unseen: Option<usize>,
}

impl Known {
    fn of(calls: &[(CallId, &Call)]) -> Self {
        let mut puts = HashMap::new();
        for (index, (_, call)) in calls.iter().enumerate() {
            if let Deed::Put { value } = &call.wish.deed {
                puts.insert(value.clone(), index);
            }
        }
        let mut metadata: BTreeMap<usize, Metadata> = BTreeMap::new();
        for (index, (_, call)) in calls.iter().enumerate() {
            match &call.outcome {
                Outcome::Written { object: Some(object), .. } => drop(metadata.insert(index, *object)),
                Outcome::Read(Some(object)) => {
                    if let Some(put) = puts.get(&object.value) {
                        metadata.entry(*put).or_insert(object.metadata);
                    }
                }
                _ => {} // tells nothing of a value
            }
        }
        let versions = metadata.iter().map(|(put, metadata)| (metadata.version, *put)).collect();
        let unseen = puts.values().copied().filter(|put| !metadata.contains_key(put)).min();
        Self { calls: calls.len(), puts, metadata, versions, unseen }
    }

    /// Whether the conditions hold of an object, as far as anybody can tell.
    fn may_hold(&self, conditions: &[Condition], state: State) -> bool {
        let metadata = state.and_then(|put| self.metadata.get(&put));
        conditions.iter().all(|condition| match condition {
            Condition::Exists(wanted) => *wanted == state.is_some(),
            Condition::Version(..) | Condition::UpdatedAt(..) if state.is_some() && metadata.is_none() => true,
            Condition::Version(..) | Condition::UpdatedAt(..) => condition.holds(metadata),
        })
    }

    /// What an answer that names this object was given on.
    fn named(&self, metadata: &Metadata) -> Sight {
        match self.versions.get(&metadata.version) {
            Some(put) if self.metadata.get(put) == Some(metadata) => Sight::Put(*put),
            Some(_) => Sight::Impossible,
            None => Sight::Unseen,
        }
    }
}

/// What a call that changed nothing saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Absent,
    Put(usize),
    /// Some put whose version is not known from elsewhere.
    Unseen,
    /// What is nowhere, at no time.
    Impossible,
}

/// What a call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deal {
    Saw(Sight),
    Put { state: usize },
    Delete,
}

/// A call that is to be placed.
struct Op<'a> {
    id: CallId,
    invoked: Instant,
    /// `None`: it is open.
    returned: Option<Instant>,
    conditions: &'a [Condition],
    deal: Deal,
    /// The one put that it can come after: its answer, or a condition that held, names it.
    after: Option<usize>,
}

/// What has to be placed of a call; `None`: nothing.
fn op<'a>(index: usize, id: CallId, call: &'a Call, known: &Known) -> Option<Op<'a>> {
    let conditions = &call.wish.conditions;
    let hold = |object: Option<&Metadata>| conditions.iter().all(|condition| condition.holds(object));
    let when = |possible: bool, sight: Sight| Some(Deal::Saw(if possible { sight } else { Sight::Impossible }));
    let change = || match call.wish.deed {
        Deed::Get => None,
        Deed::Put { .. } if known.metadata.contains_key(&index) => Some(Deal::Put { state: index }),
        Deed::Put { .. } => known.unseen.map(|state| Deal::Put { state }),
        Deed::Delete => Some(Deal::Delete),
    };
    let deal = match &call.outcome {
        Outcome::NotExecuted => None,
        Outcome::Pending | Outcome::Unknown | Outcome::Written { .. } => change(),
        Outcome::Read(None) => when(true, Sight::Absent),
        Outcome::Read(Some(object)) => {
            let sight = known.named(&object.metadata);
            when(known.puts.get(&object.value).is_some_and(|put| sight == Sight::Put(*put)), sight)
        }
        Outcome::NothingToDo => when(call.wish.deed == Deed::Delete && hold(None), Sight::Absent),
        Outcome::Refused(None) => when(!hold(None), Sight::Absent),
        Outcome::Refused(Some(object)) => when(!hold(Some(object)), known.named(object)),
    };
    let open = matches!(call.outcome, Outcome::Pending | Outcome::Unknown);
    let returned = call.returned.filter(|_| !open);
    let equal = conditions.iter().find_map(|condition| match condition {
        Condition::Version(Comparison::Eq, version) => known.versions.get(version).copied(),
        Condition::Version(..) | Condition::UpdatedAt(..) | Condition::Exists(_) => None,
    });
    let after = |deal: Deal| match deal {
        Deal::Saw(Sight::Put(put)) => Some(put),
        Deal::Saw(_) => None,
        Deal::Put { .. } | Deal::Delete => equal,
    };
    deal.map(|deal| Op { id, invoked: call.invoked, returned, conditions, deal, after: after(deal) })
}

impl Op<'_> {
    /// The object after it, if it may have been that before it.
    fn step(&self, state: State, known: &Known) -> Option<State> {
        if self.after.is_some_and(|put| state != Some(put)) {
            return None;
        }
        match self.deal {
            Deal::Saw(sight) => {
                let fits = match sight {
                    Sight::Put(_) => true,
                    Sight::Absent => state.is_none(),
                    Sight::Unseen => state.is_some() && state == known.unseen,
                    Sight::Impossible => false,
                };
                fits.then_some(state)
            }
            Deal::Put { state: after } => known.may_hold(self.conditions, state).then_some(Some(after)),
            Deal::Delete => (state.is_some() && known.may_hold(self.conditions, state)).then_some(None),
        }
    }

    /// Whether it does the same whatever was before it.
    fn is_blind(&self) -> bool {
        matches!(self.deal, Deal::Put { .. }) && self.conditions.is_empty()
    }
}
