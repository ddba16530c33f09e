//! The checker on histories of an object that behaves, and of one that misbehaves once.

use catena_core::{EntryId, WallTime};

use super::*;
use crate::history::Wish;
use crate::rng::{Odds, Rng};

const SLOT: Slot = Slot(0);

/// What an object does wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    /// A read shows what was there before the last write.
    StaleRead,
    /// A read shows nothing.
    Vanished,
    /// A write is acknowledged, and the next one takes its place.
    Lost,
    /// A put takes effect again, later.
    Twice,
    /// A write takes effect although its condition does not hold.
    Unjudged,
    /// A put that its client was told of as not executed takes effect.
    Executed,
}

/// A slot with one object, and clients that call it; some answers are lost, with or without the effect.
struct Play {
    rng: Rng,
    history: History,
    object: Option<Object>,
    before: Option<Object>,
    seq: u64,
    bug: Option<Bug>,
    /// A put that is to take effect again.
    again: Option<Object>,
}

/// A call under way: its effect, once it has had it.
type Flying = (CallId, Option<Outcome>);

impl Play {
    fn run(seed: u64, bug: Option<Bug>) -> (History, bool) {
        let mut rng = Rng::new(seed);
        let starts = rng.below(40);
        let mut play = Self { rng, history: History::default(), object: None, before: None, seq: 0, bug: None, again: None };
        let mut flying: Vec<Flying> = Vec::new();
        for step in 0..120 {
            if step == starts {
                play.bug = bug;
            }
            let index = play.rng.index(4);
            if index >= flying.len() {
                let wish = play.wish();
                flying.push((play.history.invoke(SLOT, wish), None));
            } else if flying[index].1.is_none() {
                flying[index].1 = Some(play.take_effect(flying[index].0));
            } else {
                let (call, outcome) = flying.swap_remove(index);
                play.history.respond(call, outcome.expect("just seen"));
            }
        }
        (play.history, bug.is_some() && play.bug.is_none())
    }

    fn wish(&mut self) -> Wish {
        let value = (self.history.next_call().0 as u64).to_be_bytes().to_vec().into();
        let version = Seq(self.seq);
        let conditions = match self.rng.below(6) {
            0 => vec![Condition::Exists(self.rng.chance(Odds::percent(50)))],
            1 | 2 => vec![Condition::Version(Comparison::Eq, version)],
            _ => Vec::new(),
        };
        let (deed, conditions) = match self.rng.below(10) {
            0..=3 => (Deed::Get, Vec::new()),
            4 | 5 => (Deed::Delete, conditions),
            _ => (Deed::Put { value }, conditions),
        };
        Wish { key: Bytes::from("k"), deed, conditions }
    }

    /// Whether the bug shows here: once.
    fn shows(&mut self, bug: Bug) -> bool {
        let shows = self.bug == Some(bug);
        self.bug = self.bug.filter(|_| !shows);
        shows
    }

    fn take_effect(&mut self, call: CallId) -> Outcome {
        let wish = self.history.call(call).wish.clone();
        let outcome = self.answer(&wish);
        match (wish.deed == Deed::Get, self.rng.below(12)) {
            (false, 0) => Outcome::Unknown,
            _ => outcome,
        }
    }

    fn answer(&mut self, wish: &Wish) -> Outcome {
        if let Some(again) = self.again.take() {
            self.put(again.value);
        }
        let object = self.object.as_ref().map(|object| object.metadata);
        match &wish.deed {
            Deed::Get if self.before != self.object && self.shows(Bug::StaleRead) => Outcome::Read(self.before.clone()),
            Deed::Get if object.is_some() && self.shows(Bug::Vanished) => Outcome::Read(None),
            Deed::Get => Outcome::Read(self.object.clone()),
            Deed::Put { .. } | Deed::Delete if self.rng.below(15) == 0 => {
                [Outcome::Unknown, Outcome::NotExecuted][self.rng.index(2)].clone()
            }
            deed => {
                let refused = wish.conditions.iter().any(|condition| !condition.holds(object.as_ref()));
                if refused && !self.shows(Bug::Unjudged) {
                    return Outcome::Refused(object);
                }
                match deed {
                    Deed::Put { value } => self.write(value.clone()),
                    Deed::Delete | Deed::Get if object.is_none() => Outcome::NothingToDo,
                    Deed::Delete | Deed::Get => {
                        self.before = self.object.take();
                        self.seq += 1;
                        Outcome::Written { entry: self.entry(), object: None }
                    }
                }
            }
        }
    }

    fn write(&mut self, value: Bytes) -> Outcome {
        let before = (self.object.clone(), self.before.clone(), self.seq);
        self.put(value);
        let object = self.object.clone().map(|object| object.metadata);
        let outcome = Outcome::Written { entry: self.entry(), object };
        if self.shows(Bug::Lost) {
            (self.object, self.before, self.seq) = before;
        } else if self.shows(Bug::Twice) {
            self.again.clone_from(&self.object);
        } else if self.shows(Bug::Executed) {
            return Outcome::NotExecuted;
        }
        outcome
    }

    fn put(&mut self, value: Bytes) {
        self.seq += 1;
        let at = WallTime(self.seq * 10);
        let created_at = self.object.as_ref().map_or(at, |object| object.metadata.created_at);
        let metadata = Metadata { version: Seq(self.seq), created_at, updated_at: at };
        self.before = self.object.replace(Object { value, metadata });
    }

    fn entry(&self) -> EntryId {
        EntryId { version: ChainVersion(1), seq: Seq(self.seq) }
    }
}

#[test]
fn an_object_that_behaves_is_never_blamed_whatever_answers_are_lost() {
    let mut hidden = 0;
    for seed in 0..20_000 {
        let (history, _) = Play::run(seed, None);
        let verdict = check(&history);
        assert_eq!(verdict, Ok(()), "seed {seed}: {:#?}", history.calls);
        hidden += history.calls.iter().filter(|call| call.outcome == Outcome::Unknown).count();
    }
    assert!(hidden > 20_000, "{hidden} lost answers: too few");
}

#[test]
fn one_thing_done_wrong_is_often_noticed() {
    // Nobody can tell all of it: calls overlap, and writes of unknown outcome may explain what was seen.
    for bug in [Bug::StaleRead, Bug::Vanished, Bug::Lost, Bug::Twice, Bug::Unjudged, Bug::Executed] {
        let (mut shown, mut caught) = (0, 0);
        for seed in 0..2_000 {
            let (history, has_shown) = Play::run(seed, Some(bug));
            shown += u32::from(has_shown);
            caught += u32::from(check(&history).is_err());
        }
        println!("{bug:?}: {caught} of {shown}");
        assert!(shown > 1_000 && caught * 4 >= shown, "{bug:?}: {caught} of {shown}");
    }
}
