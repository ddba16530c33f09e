//! Steady service: while one node at most is in trouble and all else is well, no slot that clients write to goes without a
//! commit for longer than it takes to find a dead node and to go on without it.

use std::collections::BTreeSet;
use std::time::Duration;

use catena_core::{EntryId, Member, Slot, Time};

use super::World;
use crate::check::{Checker, Severity, Violation};
use crate::history::{CallId, Deed, History, Wish};

/// The longest time without a commit: a node is dead after 1 s at most; what is decided then, and matching, and a client's next
/// try are a matter of messages and syncs, and of one more round where the first was lost.
const BOUND: Duration = Duration::from_millis(2_500);

/// What is watched.
#[derive(Debug)]
pub(super) struct Pace {
    slots: Vec<Progress>,
    /// Who was in trouble when it was last looked.
    troubled: Vec<usize>,
    /// Since when nobody came into trouble, nor out of it.
    steady_since: Time,
    /// Writes that are tried until they are done, and have not returned.
    waiting: Vec<(CallId, Slot)>,
    /// The longest gap that was seen.
    longest: Duration,
}

/// How a slot gets on.
#[derive(Clone, Debug, Default)]
struct Progress {
    last: EntryId,
    /// It has committed something, or nobody wanted anything, at this time.
    at: Time,
}

/// How things are about the slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Surroundings {
    /// Slots whose chain has a copy on a node that is well.
    pub(super) able: Vec<Slot>,
    pub(super) troubled: Vec<usize>,
    /// All that every slot depends on is well.
    pub(super) common_since: Time,
}

impl Pace {
    pub(super) fn new(slots: u32) -> Self {
        Self {
            slots: vec![Progress::default(); slots as usize],
            troubled: Vec::new(),
            steady_since: Time(0),
            waiting: Vec::new(),
            longest: Duration::ZERO,
        }
    }

    /// The longest time that a slot has gone without a commit, in steady surroundings and with writes waiting.
    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// Somebody intervenes.
    pub(super) fn disturb(&mut self, now: Time) {
        self.steady_since = now;
    }

    /// A client writes, and goes on trying. One that tries once only may wait for a node that is dead.
    pub(super) fn expect(&mut self, call: CallId, wish: &Wish, slot: Slot) {
        if matches!(wish.deed, Deed::Put { .. }) && wish.conditions.is_empty() {
            self.waiting.push((call, slot));
        }
    }

    /// Slots that such writes are waiting for.
    fn wanted(&mut self, history: &History) -> BTreeSet<Slot> {
        self.waiting.retain(|(call, _)| history.call(*call).returned.is_none());
        self.waiting.iter().map(|(_, slot)| *slot).collect()
    }

    /// Looks at all slots. `last` gives each one's last committed entry.
    fn look(
        &mut self,
        now: Time,
        surroundings: Surroundings,
        history: &History,
        last: impl Fn(Slot) -> EntryId,
    ) -> Result<(), Violation> {
        let Surroundings { able, troubled, common_since } = surroundings;
        if troubled != self.troubled || troubled.len() > 1 {
            self.steady_since = now;
        }
        self.troubled = troubled;
        let wanted = self.wanted(history);
        for (slot, progress) in (0..).map(Slot).zip(&mut self.slots) {
            let newest = last(slot);
            if newest != progress.last || !wanted.contains(&slot) || !able.contains(&slot) {
                *progress = Progress { last: newest, at: now };
                continue;
            }
            let since = progress.at.max(self.steady_since).max(common_since);
            let gap = now.since(since);
            self.longest = self.longest.max(gap);
            if gap > BOUND {
                return Err(Violation {
                    severity: Severity::Liveness,
                    checker: Checker::Progress,
                    rule: "K2, C4, C7",
                    sentence: format!(
                        "slot {slot}: nothing is committed behind {newest} for {gap:?}, with writes waiting and nodes {:?} in trouble",
                        self.troubled.iter().map(|node| node + 1).collect::<Vec<_>>()
                    ),
                });
            }
        }
        Ok(())
    }
}

impl World {
    /// Looks whether service is steady.
    pub(super) fn watch_pace(&mut self) -> Result<(), Violation> {
        let troubled: Vec<usize> = self.troubles.nodes(self.now).collect();
        let well = |member: &Member| {
            let node = self.node_of(&member.node);
            !troubled.contains(&node) && member.is(&self.hosts[node].identity)
        };
        let able = |slot: &Slot| self.realm.chain(*slot).is_some_and(|chain| chain.copies().iter().any(well));
        let able = (0..self.options.slots).map(Slot).filter(able).collect();
        let surroundings = Surroundings { able, troubled, common_since: self.troubles.common_until() };
        let (ledger, before) = (&self.ledger, self.pace.longest);
        self.pace.look(self.now, surroundings, &self.history, |slot| ledger.last(slot))?;
        if self.pace.longest > before.max(Duration::from_secs(1)) {
            self.trace.line(self.now, || format!("the longest time without a commit: {:?}", self.pace.longest));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use catena_core::{ChainVersion, Seq};

    use super::*;
    use crate::history::Outcome;

    fn at(ms: u64) -> Time {
        Time(ms * 1_000_000)
    }

    fn entry(seq: u64) -> EntryId {
        EntryId { version: ChainVersion(1), seq: Seq(seq) }
    }

    fn waiting() -> (Pace, History) {
        let (mut pace, mut history) = (Pace::new(1), History::default());
        let put = Wish { key: Bytes::from("k"), deed: Deed::Put { value: Bytes::from("v") }, conditions: Vec::new() };
        pace.expect(history.next_call(), &put, Slot(0));
        history.invoke(Slot(0), put);
        (pace, history)
    }

    fn look(pace: &mut Pace, now: u64, troubled: &[usize], history: &History, seq: u64) -> Result<(), Violation> {
        let surroundings = Surroundings { able: vec![Slot(0)], troubled: troubled.to_vec(), common_since: Time(0) };
        pace.look(at(now), surroundings, history, |_| entry(seq))
    }

    #[test]
    fn a_write_that_waits_too_long_beside_one_node_in_trouble_is_caught() {
        let (mut pace, history) = waiting();
        assert_eq!(look(&mut pace, 100, &[], &history, 1), Ok(()));
        assert_eq!(look(&mut pace, 200, &[2], &history, 1), Ok(()));
        assert_eq!(look(&mut pace, 2_700, &[2], &history, 1), Ok(()));
        let caught = look(&mut pace, 2_701, &[2], &history, 1).expect_err("longer than the bound");
        assert_eq!(caught.severity, Severity::Liveness);
        assert_eq!(pace.longest(), Duration::from_millis(2_501));
    }

    #[test]
    fn commits_new_troubles_and_calls_that_have_ended_begin_the_time_anew() {
        let (mut pace, mut history) = waiting();
        assert_eq!(look(&mut pace, 0, &[], &history, 1), Ok(()));
        assert_eq!(look(&mut pace, 2_000, &[], &history, 2), Ok(()), "a commit");
        assert_eq!(look(&mut pace, 3_900, &[1], &history, 2), Ok(()), "a node comes into trouble");
        assert_eq!(look(&mut pace, 5_800, &[1, 2], &history, 2), Ok(()), "two are too many to bear");
        assert_eq!(look(&mut pace, 9_000, &[1, 2], &history, 2), Ok(()));
        history.respond(CallId(0), Outcome::NotExecuted);
        assert_eq!(look(&mut pace, 11_000, &[1], &history, 2), Ok(()), "nobody waits");
        assert_eq!(look(&mut pace, 20_000, &[1], &history, 2), Ok(()));
    }
}
