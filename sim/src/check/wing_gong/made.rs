//! Histories made up from seeds: clients whose calls overlap on one slot that behaves, until an anomaly is planted.

use bytes::Bytes;
use catena_core::{
    ChainVersion, Comparison, Condition, Entry, EntryId, Metadata, NodeConfig, Object, Operation, Origin, Refusal, RequestId,
    Seq, Slot, WallTime,
};

use super::super::ledger::{Ledger, metadata};
use super::super::linearize::objects;
use crate::history::{Author, CallId, Deed, History, Outcome, Try, Wish};
use crate::rng::{Odds, Rng};

pub(super) const SLOT: Slot = Slot(0);

/// So many calls of one history may be of unknown outcome: those that search without our shortcuts try all of their subsets.
const UNKNOWN: usize = 6;

/// A history in the making.
pub(super) struct Made {
    pub(super) rng: Rng,
    pub(super) history: History,
    pub(super) ledger: Ledger,
    clients: usize,
    keys: usize,
    /// Calls in flight, and how each will end once it has taken effect.
    flying: Vec<(CallId, Option<Outcome>)>,
    /// Calls of unknown outcome that have not taken effect.
    late: Vec<CallId>,
    unknown: usize,
    /// What clients have seen of objects.
    seen: Vec<Metadata>,
    /// Writes of the one session, so far.
    numbered: u64,
}

impl Made {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let (clients, keys) = (rng.between(2, 5), rng.between(1, 2));
        let mut made = Self {
            rng,
            history: History::default(),
            ledger: Ledger::new(&NodeConfig::new(1)),
            clients: usize::try_from(clients).expect("5"),
            keys: usize::try_from(keys).expect("2"),
            flying: Vec::new(),
            late: Vec::new(),
            unknown: 0,
            seen: Vec::new(),
            numbered: 0,
        };
        made.append(None, Operation::OpenSession, Author::Chain);
        made
    }

    /// Clients go on for a while.
    pub(super) fn go_on(&mut self, low: u64, high: u64) {
        for _ in 0..self.rng.between(low, high) {
            self.step();
        }
    }

    fn step(&mut self) {
        let one_flies = !self.flying.is_empty();
        if self.flying.len() < self.clients && (!one_flies || self.rng.chance(Odds::percent(40))) {
            let wish = self.wish();
            let call = self.history.invoke(SLOT, wish);
            self.flying.push((call, None));
        } else if !self.late.is_empty() && self.rng.chance(Odds::percent(20)) {
            let index = self.rng.index(self.late.len());
            let call = self.late.swap_remove(index);
            self.take_effect(call);
        } else {
            self.advance();
        }
    }

    /// One call in flight takes effect, or ends.
    fn advance(&mut self) {
        let index = self.rng.index(self.flying.len());
        let (call, ending) = self.flying[index].clone();
        let lost = self.unknown < UNKNOWN && self.rng.chance(Odds::percent(15));
        match ending {
            None if lost => {
                self.late.push(call);
                self.end(index, Outcome::Unknown);
            }
            None if self.rng.chance(Odds::percent(5)) => self.end(index, Outcome::NotExecuted),
            None => self.flying[index].1 = Some(self.take_effect(call)),
            Some(_) if lost => self.end(index, Outcome::Unknown),
            Some(outcome) => self.end(index, outcome),
        }
    }

    fn end(&mut self, index: usize, outcome: Outcome) {
        let (call, _) = self.flying.swap_remove(index);
        self.unknown += usize::from(outcome == Outcome::Unknown);
        self.respond(call, outcome);
    }

    /// A call ends.
    pub(super) fn respond(&mut self, call: CallId, outcome: Outcome) {
        self.seen.extend(match &outcome {
            Outcome::Read(object) => object.as_ref().map(|object| object.metadata),
            Outcome::Written { object, .. } | Outcome::Refused(object) => *object,
            Outcome::Pending | Outcome::NothingToDo | Outcome::NotExecuted | Outcome::Unknown => None,
        });
        self.history.respond(call, outcome);
    }

    /// The first key is never deleted, so that it stays what an anomaly was planted on.
    pub(super) fn key(number: usize) -> Bytes {
        Bytes::from(format!("key-{number}"))
    }

    fn wish(&mut self) -> Wish {
        let number = self.rng.index(self.keys);
        let deed = match self.rng.below(10) {
            0..=3 => Deed::Get,
            4..=5 if number > 0 => Deed::Delete,
            _ => Deed::Put { value: self.next_value() },
        };
        let conditions = if deed == Deed::Get { Vec::new() } else { self.conditions() };
        Wish { key: Self::key(number), deed, conditions }
    }

    fn conditions(&mut self) -> Vec<Condition> {
        let comparison = *self.rng.pick(&[Comparison::Eq, Comparison::Lt, Comparison::Lte, Comparison::Gt, Comparison::Gte]);
        match self.rng.below(8) {
            0 => vec![Condition::Exists(self.rng.chance(Odds::percent(50)))],
            1..=3 if !self.seen.is_empty() => {
                let known = self.seen[self.seen.len() - 1 - self.rng.index(self.seen.len().min(3))];
                vec![match self.rng.below(4) {
                    0 => Condition::UpdatedAt(comparison, known.updated_at),
                    1 => Condition::Version(comparison, known.version),
                    _ => Condition::Version(Comparison::Eq, known.version),
                }]
            }
            _ => Vec::new(),
        }
    }

    /// What the next call puts.
    pub(super) fn next_value(&self) -> Bytes {
        Bytes::from(self.history.next_call().0.to_string())
    }

    pub(super) fn object(&self, key: &Bytes) -> Option<Object> {
        let objects = objects(self.ledger.entries(SLOT));
        let (value, version, created_at, updated_at) = objects.get(key)?.clone();
        Some(Object { value, metadata: Metadata { version, created_at, updated_at } })
    }

    /// A call takes effect now.
    pub(super) fn take_effect(&mut self, call: CallId) -> Outcome {
        let wish = self.history.call(call).wish.clone();
        let object = self.object(&wish.key);
        let before = object.as_ref().map(|object| object.metadata);
        if wish.deed == Deed::Get {
            Outcome::Read(object)
        } else if !wish.conditions.iter().all(|condition| condition.holds(before.as_ref())) {
            self.append_nothing(call, Some(Refusal { object: before }));
            Outcome::Refused(before)
        } else if wish.deed == Deed::Delete && before.is_none() {
            self.append_nothing(call, None);
            Outcome::NothingToDo
        } else {
            self.commit(call)
        }
    }

    /// What had no effect is an entry under a session, and is none without.
    fn append_nothing(&mut self, call: CallId, refused: Option<Refusal>) {
        if self.rng.chance(Odds::percent(50)) {
            self.numbered += 1;
            let origin = Origin { session: Seq(1), number: self.numbered, answered_below: self.numbered };
            self.append(Some(origin), Operation::Nothing { refused }, by(call));
        }
    }

    /// A call's write becomes the next entry, whatever its conditions.
    pub(super) fn commit(&mut self, call: CallId) -> Outcome {
        let Wish { key, deed, .. } = self.history.call(call).wish.clone();
        let before = self.object(&key).map(|object| object.metadata.created_at);
        let created_at = before.unwrap_or(self.next_time());
        let entry = self.append(
            None,
            match deed {
                Deed::Put { value } => Operation::Put { key, value, created_at },
                Deed::Delete => Operation::Delete { key },
                Deed::Get => unreachable!("a get writes nothing"),
            },
            by(call),
        );
        Outcome::Written { entry, object: self.ledger.at(SLOT, entry.seq).and_then(metadata) }
    }

    /// When the next entry will be ordered.
    pub(super) fn next_time(&self) -> WallTime {
        WallTime(self.ledger.last(SLOT).seq.0 * 10 + 10)
    }

    fn append(&mut self, origin: Option<Origin>, operation: Operation, author: Author) -> EntryId {
        let last = self.ledger.last(SLOT);
        let id = EntryId { version: ChainVersion(1), seq: Seq(last.seq.0 + 1) };
        let entry = Entry { id, previous: last.version, at: self.next_time(), origin, operation };
        self.ledger.commit(SLOT, &entry, "n1").expect("the next entry");
        self.history.order(SLOT, id, author);
        id
    }
}

fn by(call: CallId) -> Author {
    Author::Call(Try { call, request: RequestId(call.0 as u64) })
}
