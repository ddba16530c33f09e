//! One session for each slot that is written to exactly once (W8): who waits for it, and which numbers are unanswered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::CallId;
use super::lane::SlowLane;
use super::window::Window;
use crate::{Origin, Seq, Slot, Time};

/// The sessions of all slots.
#[derive(Debug)]
pub(super) struct SlotSessions {
    slots: BTreeMap<Slot, SlotSession>,
    lane: SlowLane,
    /// Not used for so long, a session is not used again.
    idle: Duration,
    /// Numbers of one session without an answer.
    room: usize,
}

#[derive(Debug, Default)]
struct SlotSession {
    state: State,
    /// Calls without a number.
    queue: BTreeMap<CallId, Share>,
}

/// Half of what a call may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) half: Duration,
    /// Until when the call has more.
    pub(super) until: Time,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    None,
    Opening,
    Open(Open),
}

#[derive(Debug)]
struct Open {
    name: Seq,
    /// The next number.
    next: u64,
    unanswered: BTreeSet<u64>,
    window: Window,
    /// Its last entry is not older than this.
    used: Time,
}

impl Open {
    /// Whether no further number may be given: as many are unanswered as are answered in time, or one has been for so long that
    /// the session keeps the answers of too many after it.
    fn is_full(&self, room: usize) -> bool {
        let kept = self.unanswered.first().map_or(0, |first| self.next - first);
        self.unanswered.len() >= self.window.writes() || kept >= 2 * room as u64
    }

    fn give_number(&mut self, share: Share, now: Time) -> Numbered {
        /// A few syncs of a slow disk: whoever waits for less says nothing of the cluster.
        const UNSUSPICIOUS: Duration = Duration::from_millis(50);
        let number = self.next;
        self.next += 1;
        self.unanswered.insert(number);
        Numbered { session: self.name, number, since: now, late: now + share.half.max(UNSUSPICIOUS) }
    }
}

/// A write's place in a session. Kept over all tries: it is what makes them one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbered {
    session: Seq,
    number: u64,
    /// Nothing of it was sent before.
    since: Time,
    /// From when on an answer is late.
    pub(super) late: Time,
}

/// Whether a write was answered within half of what its call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    InTime,
    /// Or refused because there are too many.
    Late,
}

impl Numbered {
    /// How an answer comes now.
    pub(super) fn pace(self, now: Time) -> Pace {
        if now < self.late { Pace::InTime } else { Pace::Late }
    }
}

/// What is next for those who wait for a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A session is to be opened.
    Open,
    /// This call may go.
    Go(CallId, Numbered),
    /// Nothing, for now.
    Nobody,
}

/// The oldest call, but where that one has used half of its time, the newest (adaptive LIFO, Maurer 2015). Where all had to wait
/// so long, in order each would get its number as its time ends, and none would be answered.
fn pop(queue: &mut BTreeMap<CallId, Share>, now: Time) -> Option<(CallId, Share)> {
    let oldest_has_time = queue.first_key_value().is_some_and(|(_, share)| now < share.until);
    if oldest_has_time { queue.pop_first() } else { queue.pop_last() }
}

impl SlotSessions {
    pub(super) fn new(idle: Duration, room: usize) -> Self {
        Self { slots: BTreeMap::new(), lane: SlowLane::default(), idle, room }
    }

    /// A call waits for a number.
    pub(super) fn enqueue(&mut self, slot: Slot, call: CallId, share: Share) {
        self.slots.entry(slot).or_default().queue.insert(call, share);
    }

    /// A call that waited has ended.
    pub(super) fn dequeue(&mut self, slot: Slot, call: CallId) {
        if let Some(slot) = self.slots.get_mut(&slot) {
            slot.queue.remove(&call);
        }
    }

    /// Whether anybody waits.
    pub(super) fn waits(&self, slot: Slot) -> bool {
        self.slots.get(&slot).is_some_and(|slot| !slot.queue.is_empty())
    }

    /// Who is next. After [`Turn::Open`], nobody until [`opened`](Self::opened) or [`not_opened`](Self::not_opened).
    pub(super) fn turn(&mut self, slot: Slot, now: Time) -> Turn {
        let Some(session) = self.slots.get_mut(&slot).filter(|session| !session.queue.is_empty()) else { return Turn::Nobody };
        if let State::Open(open) = &session.state
            && now.since(open.used) >= self.idle
        {
            session.state = State::None;
        }
        match &mut session.state {
            State::None => {
                session.state = State::Opening;
                Turn::Open
            }
            State::Opening => Turn::Nobody,
            State::Open(open) if open.is_full(self.room) => Turn::Nobody,
            State::Open(open) if open.window.is_slow() && !self.lane.admit(slot) => Turn::Nobody,
            State::Open(open) => {
                let (call, share) = pop(&mut session.queue, now).expect("somebody waits");
                let write = open.give_number(share, now);
                if open.window.is_slow() {
                    self.lane.enter(write);
                }
                Turn::Go(call, write)
            }
        }
    }

    /// The next of the slow sessions that may have its [`turn`](Self::turn).
    pub(super) fn next_slow(&mut self, now: Time) -> Option<Slot> {
        self.lane.next(now)
    }

    /// When a slow session may have its turn although nothing happens.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.lane.deadline()
    }

    /// The slot has another chain.
    pub(super) fn chain_changed(&mut self, slot: Slot) {
        if let Some(SlotSession { state: State::Open(open), .. }) = self.slots.get_mut(&slot) {
            open.window.chain_changed();
        }
    }

    /// The session that was asked for at `since` is there.
    pub(super) fn opened(&mut self, slot: Slot, name: Seq, since: Time) {
        let open = Open { name, next: 1, unanswered: BTreeSet::new(), window: Window::new(self.room), used: since };
        self.slots.entry(slot).or_default().state = State::Open(open);
    }

    /// It cannot be opened. Returns those who waited.
    pub(super) fn not_opened(&mut self, slot: Slot) -> Vec<CallId> {
        self.slots.remove(&slot).into_iter().flat_map(|slot| slot.queue.into_keys()).collect()
    }

    /// What a try of the write carries: of all lower numbers the answers are there, or nobody waits for them any more.
    pub(super) fn origin(&self, slot: Slot, write: Numbered) -> Origin {
        let Numbered { session, number, .. } = write;
        // Of a session that another has followed, it is not known who still waits.
        let answered_below = self.open(slot, session).and_then(|open| open.unanswered.first().copied()).unwrap_or(0);
        Origin { session, number, answered_below }
    }

    /// The write is answered: so the session has an entry that is not older than its first try.
    pub(super) fn answered(&mut self, slot: Slot, write: Numbered) {
        if let Some(open) = self.open_mut(slot, write.session) {
            open.used = open.used.max(write.since);
        }
    }

    /// A write was answered, or refused because there are too many, or is given up.
    pub(super) fn judge(&mut self, slot: Slot, write: Numbered, pace: Pace) {
        let Some(open) = self.open_mut(slot, write.session) else { return };
        match pace {
            Pace::InTime => open.window.in_time(open.unanswered.len()),
            Pace::Late => open.window.late(write.number, open.next),
        }
    }

    /// Nobody waits for the write any more: if it is still on its way, it is not to run.
    pub(super) fn release(&mut self, slot: Slot, write: Numbered) {
        self.lane.leave(slot, write);
        if let Some(open) = self.open_mut(slot, write.session) {
            open.unanswered.remove(&write.number);
        }
    }

    /// The session has expired: it is not used again.
    pub(super) fn expired(&mut self, slot: Slot, write: Numbered) {
        if self.open(slot, write.session).is_some() {
            self.slots.entry(slot).or_default().state = State::None;
        }
    }

    fn open(&self, slot: Slot, session: Seq) -> Option<&Open> {
        match &self.slots.get(&slot)?.state {
            State::Open(open) if open.name == session => Some(open),
            State::None | State::Opening | State::Open(_) => None,
        }
    }

    fn open_mut(&mut self, slot: Slot, session: Seq) -> Option<&mut Open> {
        match &mut self.slots.get_mut(&slot)?.state {
            State::Open(open) if open.name == session => Some(open),
            State::None | State::Opening | State::Open(_) => None,
        }
    }
}
