//! What clients want: puts, gets and deletes on few keys, many of them conditional.

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::client::Delivery;
use catena_core::{Comparison, Condition, Metadata, Seq, WallTime};

use crate::history::{CallId, Deed, Wish};
use crate::rng::{Odds, Rng};

/// How many of the values are large, where there are such.
const LARGE: Odds = Odds::percent(25);

/// Makes up calls.
#[derive(Debug)]
pub(crate) struct Workload {
    rng: Rng,
    keys: Vec<Bytes>,
    mix: Mix,
    /// How long a large value is, at most; 0: there are none.
    large: usize,
}

/// How calls are shared out, in percent.
#[derive(Debug)]
struct Mix {
    get: u64,
    delete: u64,
    conditional: Odds,
    /// To the first key instead of any.
    hot: Odds,
    /// Under a session.
    sessions: Odds,
}

/// What a client knows of objects from the answers that it got.
pub(crate) type Knowledge = BTreeMap<Bytes, Option<Metadata>>;

impl Workload {
    pub(crate) fn new(keys: usize, mut rng: Rng) -> Self {
        let mix = Mix {
            get: rng.between(15, 60),
            delete: rng.between(0, 20),
            conditional: Odds::percent(*rng.pick(&[10, 40, 90])),
            hot: Odds::percent(*rng.pick(&[0, 30, 80])),
            sessions: Odds::percent(*rng.pick(&[0, 50, 80, 100])),
        };
        Self { rng, keys: (0..keys).map(Self::key).collect(), mix, large: 0 }
    }

    /// With values of up to so many bytes among its puts.
    pub(crate) fn with_large(self, bytes: usize) -> Self {
        Self { large: bytes, ..self }
    }

    /// How calls are shared out, for a table.
    pub(crate) fn rows(&self) -> [(&'static str, String); 4] {
        let Mix { get, delete, conditional, hot, sessions } = &self.mix;
        [
            ("gets, deletes", format!("{get} %, {delete} %")),
            ("calls on one hot key", hot.to_string()),
            ("writes under conditions", conditional.to_string()),
            ("writes in sessions", sessions.to_string()),
        ]
    }

    /// Its thread's tape hears of all that it draws, or gives it.
    pub(crate) fn put_on_tape(&mut self) {
        self.rng.put_on_tape();
    }

    /// The key of this number, from 0.
    pub(crate) fn key(number: usize) -> Bytes {
        Bytes::from(format!("key-{number}"))
    }

    /// The next call of a client that knows this much.
    pub(crate) fn wish(&mut self, call: CallId, known: &Knowledge) -> Wish {
        let hot = self.rng.chance(self.mix.hot);
        let key = if hot { self.keys[0].clone() } else { self.rng.pick(&self.keys).clone() };
        let draw = self.rng.below(100);
        if draw < self.mix.get {
            return Wish { key, deed: Deed::Get, conditions: Vec::new() };
        }
        let deed = if draw < self.mix.get + self.mix.delete { Deed::Delete } else { self.put(call) };
        let conditions = if self.rng.chance(self.mix.conditional) { self.conditions(known.get(&key)) } else { Vec::new() };
        Wish { key, deed, conditions }
    }

    /// What to do after a try of unknown outcome.
    pub(crate) fn delivery(&mut self) -> Delivery {
        if self.rng.chance(self.mix.sessions) { Delivery::ExactlyOnce } else { Delivery::AtMostOnce }
    }

    /// A put of a value that no other call has.
    pub(crate) fn put(&mut self, call: CallId) -> Deed {
        let mut value = (call.0 as u64).to_be_bytes().to_vec();
        let most = if self.large > 0 && self.rng.chance(LARGE) { self.large } else { 100 };
        value.resize(8 + self.rng.index(most), b'.');
        Deed::Put { value: value.into() }
    }

    /// Mostly compare-and-set on what was seen last, as clients do; else anything, so that all comparisons are tried.
    fn conditions(&mut self, known: Option<&Option<Metadata>>) -> Vec<Condition> {
        let Some(known) = known else { return vec![Condition::Exists(self.rng.chance(Odds::percent(50)))] };
        let Some(seen) = known else { return vec![Condition::Exists(false)] };
        let comparisons = [Comparison::Eq, Comparison::Lt, Comparison::Lte, Comparison::Gt, Comparison::Gte];
        match self.rng.below(10) {
            0..=4 => vec![Condition::Version(Comparison::Eq, seen.version)],
            5 => vec![Condition::UpdatedAt(Comparison::Eq, seen.updated_at)],
            6 => vec![Condition::Exists(self.rng.chance(Odds::percent(70)))],
            7 => {
                let near = WallTime(seen.updated_at.0 + self.rng.below(3) - 1);
                vec![Condition::UpdatedAt(*self.rng.pick(&comparisons), near), Condition::Exists(true)]
            }
            _ => {
                let near = Seq((seen.version.0 + self.rng.below(5)).saturating_sub(2));
                vec![Condition::Version(*self.rng.pick(&comparisons), near)]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_puts_have_the_same_value_and_every_kind_of_call_occurs() {
        let mut values = std::collections::BTreeSet::new();
        let seen = Metadata { version: Seq(7), created_at: WallTime(5), updated_at: WallTime(9) };
        let (mut puts, mut gets, mut deletes, mut conditions) = (0, 0, 0, [0; 3]);
        for seed in 0..20_u32 {
            let mut workload = Workload::new(3, Rng::new(u64::from(seed)));
            let known: Knowledge = [(Bytes::from("key-0"), Some(seen)), (Bytes::from("key-1"), None)].into();
            for call in 0..200 {
                let wish = workload.wish(CallId(seed as usize * 200 + call), &known);
                for condition in &wish.conditions {
                    conditions[match condition {
                        Condition::Exists(_) => 0,
                        Condition::Version(..) => 1,
                        Condition::UpdatedAt(..) => 2,
                    }] += 1;
                }
                match wish.deed {
                    Deed::Get => gets += 1,
                    Deed::Delete => deletes += 1,
                    Deed::Put { value } => {
                        puts += 1;
                        assert!(values.insert(value), "a value twice");
                    }
                }
            }
        }
        assert!(puts > 500 && gets > 500 && deletes > 100, "{puts} {gets} {deletes}");
        assert!(conditions.iter().all(|count| *count > 30), "{conditions:?}");
    }
}
