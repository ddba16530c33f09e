//! Where a world's choices come from, when they are not only drawn: they are recorded, or played back from a plan.
//!
//! What happens at a time is a frame of its own, named by its [`Key`], and so is each fault and each call within it: the
//! choices about one are found again though others are gone. A choice that a plan does not have is made by the plan's rule
//! ([`Rest`]), from the frame's name and time alone: so what is taken out of a plan changes what depends on it, and nothing
//! else.
//!
//! A world runs on one thread, and its tape belongs to that thread, as a planted bug does.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use catena_core::Time;

use super::item::{Item, Key, Place};
use crate::faults::Fault;
use crate::plan::Rest;

thread_local! {
    static REEL: RefCell<Option<Reel>> = const { RefCell::new(None) };
}

/// A tape under way.
pub(crate) struct Reel {
    now: Time,
    /// What was entered at this time, and how often.
    entered: BTreeMap<Key, u32>,
    /// Frames that are open, the innermost last.
    frames: Vec<Frame>,
    side: Side,
}

enum Side {
    Records { items: Vec<(u64, Item)>, entered: u64 },
    Plays(Playback),
}

/// What is played back.
struct Playback {
    /// Steps, in the order of time.
    steps: Vec<Item>,
    /// Faults that strike at a place, each place's in the order of time.
    strikes: BTreeMap<Key, VecDeque<Item>>,
    rest: Rest,
}

struct Frame {
    at: Time,
    key: Key,
    nth: u32,
    /// The place in the order of entering.
    order: u64,
    choices: Vec<u64>,
    /// Of those: how many have been made.
    made: usize,
}

/// A choice.
pub(crate) enum Taken {
    /// To be drawn, and noted.
    Live,
    /// This, or the nearest that is possible.
    Given(u64),
    /// Whatever comes of this number, which is as good as random.
    Fresh(u64),
    /// The simplest.
    Simple,
}

/// Runs `world` on a tape that records. What it has recorded, in the order of time.
pub(crate) fn recording<T>(world: impl FnOnce() -> T) -> (T, Vec<Item>) {
    let (result, reel) = on(Side::Records { items: Vec::new(), entered: 0 }, world);
    let Side::Records { mut items, .. } = reel.side else { unreachable!("a tape keeps its side") };
    items.sort_by_key(|(order, item)| (item.at, *order));
    (result, items.into_iter().map(|(_, item)| item).collect())
}

/// Runs `world` on a tape that plays these items, which are in the order of time.
pub(crate) fn playing<T>(items: &[Item], rest: Rest, world: impl FnOnce() -> T) -> T {
    let mut strikes: BTreeMap<Key, VecDeque<Item>> = BTreeMap::new();
    for item in items.iter().filter(|item| item.key.strikes()) {
        strikes.entry(item.key).or_default().push_back(item.clone());
    }
    let steps = items.iter().filter(|item| !item.key.is_event()).cloned().collect();
    on(Side::Plays(Playback { steps, strikes, rest }), world).0
}

fn on<T>(side: Side, world: impl FnOnce() -> T) -> (T, Reel) {
    let reel = Reel { now: Time(0), entered: BTreeMap::new(), frames: Vec::new(), side };
    REEL.with_borrow_mut(|place| assert!(place.replace(reel).is_none(), "one world at a time on a thread"));
    let result = world();
    let mut reel = REEL.take().expect("it was put there");
    while reel.leave() {}
    (result, reel)
}

fn with<T>(act: impl FnOnce(&mut Reel) -> T) -> T {
    REEL.with_borrow_mut(|reel| act(reel.as_mut().expect("a taped world runs within its tape")))
}

/// The world takes its next step. What was open is closed.
pub(crate) fn turn(now: Time, key: Key) {
    with(|reel| {
        while reel.leave() {}
        if reel.now != now {
            reel.now = now;
            reel.entered.clear();
        }
        reel.enter(key, None);
    });
}

/// Something begins that has choices of its own: those that a plan gives, where it does.
pub(crate) fn enter(key: Key, given: Option<&[u64]>) {
    with(|reel| reel.enter(key, given));
}

/// It is over.
pub(crate) fn leave() {
    with(|reel| assert!(reel.leave(), "what is left was entered"));
}

/// The next choice.
pub(crate) fn take() -> Taken {
    with(Reel::take)
}

/// What was drawn.
pub(crate) fn note(choice: u64) {
    with(|reel| {
        if let (Side::Records { .. }, Some(frame)) = (&reel.side, reel.frames.last_mut()) {
            frame.choices.push(choice);
        }
    });
}

/// Whether a fault strikes at a place, if the tape plays; none does where it cannot. It has been entered, if it does.
pub(crate) fn strikes(fault: Fault, place: Place, can: bool) -> Option<bool> {
    with(|reel| reel.strikes(Key::Fault(fault, place), can))
}

impl Reel {
    fn count(&mut self, key: Key) -> u32 {
        let count = self.entered.entry(key).or_default();
        *count += 1;
        *count - 1
    }

    fn enter(&mut self, key: Key, given: Option<&[u64]>) {
        let nth = self.count(key);
        let (order, choices) = match &mut self.side {
            Side::Records { entered, .. } => {
                *entered += 1;
                (*entered, Vec::new())
            }
            Side::Plays(playback) => (0, given.map_or_else(|| playback.step(self.now, key, nth), <[u64]>::to_vec)),
        };
        self.frames.push(Frame { at: self.now, key, nth, order, choices, made: 0 });
    }

    /// Closes the innermost frame. Whether there was one.
    fn leave(&mut self) -> bool {
        let Some(Frame { at, key, nth, order, choices, .. }) = self.frames.pop() else { return false };
        if let Side::Records { items, .. } = &mut self.side
            && (key.is_event() || !choices.is_empty())
        {
            items.push((order, Item { at, key, nth, choices: choices.into() }));
        }
        true
    }

    fn take(&mut self) -> Taken {
        let Side::Plays(playback) = &self.side else { return Taken::Live };
        let Some(frame) = self.frames.last_mut() else { return Taken::Simple };
        frame.made += 1;
        match (frame.choices.get(frame.made - 1), playback.rest) {
            (Some(choice), _) => Taken::Given(*choice),
            (None, Rest::Simple) => Taken::Simple,
            (None, Rest::Drawn(seed)) => Taken::Fresh(frame.fresh(seed)),
        }
    }

    fn strikes(&mut self, key: Key, can: bool) -> Option<bool> {
        let Side::Plays(playback) = &mut self.side else { return None };
        let now = self.now;
        if !can {
            return Some(false);
        }
        let Some(planned) = playback.strikes.get_mut(&key) else { return Some(false) };
        let count = self.entered.entry(key).or_default();
        // The same one that it was, or else the first that comes after it.
        let due = |item: &mut Item| item.at < now || (item.at == now && item.nth <= *count);
        let struck = planned.pop_front_if(due);
        *count += 1;
        let Some(Item { choices, .. }) = struck else { return Some(false) };
        self.frames.push(Frame { at: now, key, nth: 0, order: 0, choices: choices.to_vec(), made: 0 });
        Some(true)
    }
}

impl Playback {
    fn step(&self, now: Time, key: Key, nth: u32) -> Vec<u64> {
        let from = self.steps.partition_point(|item| item.at < now);
        let mut same_time = self.steps[from..].iter().take_while(|item| item.at == now);
        same_time.find(|item| (item.key, item.nth) == (key, nth)).map_or(Vec::new(), |item| item.choices.to_vec())
    }
}

impl Frame {
    /// A number that depends on the frame's name, its time, and how many choices were made in it.
    fn fresh(&self, seed: u64) -> u64 {
        let (kind, place) = match self.key {
            Key::Fault(fault, place) => (1_000 + fault as u64, place),
            Key::Call(client) => (2_000, Place::Client(client)),
            Key::Step(step, place) => (3_000 + step as u64, place),
        };
        let mut hash = seed ^ 0xcbf2_9ce4_8422_2325;
        for word in [kind, place_number(place), self.at.0, u64::from(self.nth), self.made as u64] {
            hash = (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 29;
        }
        hash ^ (hash >> 32)
    }
}

fn place_number(place: Place) -> u64 {
    let (kind, a, b) = match place {
        Place::World => (0, 0, 0),
        Place::Node(node) => (1, node, 0),
        Place::Seat(seat) => (2, seat, 0),
        Place::Client(client) => (3, client, 0),
        Place::Link(from, to) => (4, from, to),
        Place::Line(node, seat) => (5, node, seat),
        Place::Subscription(client, seat) => (6, client, seat),
    };
    kind << 48 | (a as u64) << 24 | b as u64
}

/// Counts an opportunity for a fault to strike at a place, while a tape records: so that its place among those of the same
/// time is known.
pub(crate) fn struck(fault: Fault, place: Place, strikes: bool) {
    with(|reel| {
        let key = Key::Fault(fault, place);
        if strikes {
            reel.enter(key, None);
        } else {
            reel.count(key);
        }
    });
}
