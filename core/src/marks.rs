//! Marks: places that a rule of the protocol stands at, counted where a simulated world comes by. A rule that no world has come by
//! has not been tested. Behind the `mutants` feature.
//!
//! Counted for the current thread, so that simulated worlds on different threads do not meet.

use std::cell::Cell;
use std::ops::AddAssign;

/// Defines the enum, its list, and each mark's rule and story.
macro_rules! marks {
    ($($name:ident, $rule:literal, $story:literal;)*) => {
        /// A place that a rule of the protocol stands at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mark {
            $(#[doc = $story] $name,)*
        }

        impl Mark {
            /// Every one.
            pub const ALL: &[Mark] = &[$(Mark::$name,)*];

            /// The rule.
            pub fn rule(self) -> &'static str {
                match self { $(Mark::$name => $rule,)* }
            }

            /// What happens there, in a sentence.
            pub fn story(self) -> &'static str {
                match self { $(Mark::$name => $story,)* }
            }
        }
    };
}

marks! {
    Ordered, "W1", "A head gives an entry its place.";
    TimeHeldBack, "W2", "A head's wall clock is behind the slot's last time.";
    PassedOnUnsynced, "W3", "An entry is passed on before it is synced here.";
    HeldByUpstream, "W3", "A tail has synced more than those before it, and does not commit it.";
    ReadWhileInFlight, "W4", "A tail answers a read while it has entries that are not committed.";
    HeardCommitted, "W5", "A replica hears from below that an entry is committed.";
    AnsweredOnCommit, "W5", "A call is answered, for its entry is committed.";
    Resent, "W6", "A successor lacks what it was sent, and is sent it again.";
    DuplicateDropped, "W6", "An entry comes that is there already.";
    GapReported, "W6", "An entry comes behind a gap.";
    Spilled, "W6", "Entries that a successor may lack go to the disk.";
    SpillReadBack, "W6", "A successor is sent entries that were kept on the disk.";
    JudgedInFlight, "W7", "A condition is judged on an entry that is not committed.";
    RefusalRevealed, "W7", "A refusal is answered once what it was judged on is committed.";
    AnsweredAgain, "W8", "A retry finds the first answer.";
    RefusalOrdered, "W8", "What a session's write does not do becomes an entry.";
    AnswerForgotten, "W8", "A write comes whose answer the client has said to have.";
    SessionEnded, "W8", "A head proposes to end sessions that are idle.";
    SessionGone, "W8", "A write is told that its session is gone.";
    EndedUnknown, "W9", "A call that waits is told that its outcome is not known.";
    PushedBack, "W10", "A write is refused, for there are too many.";
    TooHeavy, "W10", "A write is refused, for those in flight weigh too much.";
    Applied, "W11", "Committed entries are applied to the stored state.";
    DecisionsBeforeLease, "R1", "An answer renews the lease and carries decisions.";
    ReadWithoutLease, "R1", "A tail without a lease refuses a read.";
    ReadBelowBarrier, "R2", "A tail refuses a read, for it has not committed up to the barrier.";
    OlderVersion, "C1", "A replica hears of an older configuration than it has.";
    Deposed, "C1", "A leader learns that there is a later one.";
    OlderMessage, "C2", "A neighbour speaks in an older version, and is sent the newer one.";
    Relayed, "C2", "A replica hears of a configuration from its neighbour.";
    LastCopyKept, "C3", "A member that is to go stays, for no other copy is there.";
    StaleAnswer, "C3", "A copy is there, and has not answered since a removal was planned.";
    Fenced, "C4", "A replica is told to stop serving.";
    RemovedFenced, "C4", "A member is removed once it has said that it serves no more.";
    RemovedByLapse, "C4", "A member is removed once its lease has run out.";
    GrantWithheld, "C4", "A node is granted no lease while a version without it is being stored.";
    Slept, "C5", "A coordinator finds that it has been asleep.";
    Uncertain, "C5", "A leader that may have been followed by another does not answer.";
    HeadGoesOn, "C6", "A new head goes on behind entries that are not committed.";
    Cut, "C7", "A replica cuts what its predecessor does not have.";
    Apart, "C7", "A log does not meet the predecessor's.";
    TailGoesOn, "C8", "A tail by removal keeps entries that are not committed.";
    Activated, "C9", "A joining replica becomes the tail.";
    Ready, "C9", "A new tail becomes ready.";
    RestartFound, "C10", "A member that has restarted is given a newer version.";
    TookPartAgain, "C10", "A member that has restarted takes part in a newer version.";
    JoinerCut, "C11", "A joining replica cuts what it does not know to be committed.";
    RejoinedWithData, "C11", "A node that has data of the slot joins.";
    WipedFound, "C11", "A node comes back with another disk than the member that it was.";
    Pinned, "J1", "A snapshot is pinned.";
    OrderedWhileJoining, "J2", "A write is ordered while a replica joins.";
    JoinGivenUp, "J3", "A join is given up.";
    WentOnBehindParts, "J3", "A snapshot is pinned anew, of which the joining replica has parts.";
    Installed, "J3", "A snapshot becomes the state.";
    ToldAgain, "K1", "An answer carries decisions that the node has not applied.";
    Suspected, "K2", "A node becomes suspect.";
    Died, "K2", "A node is found dead.";
    SilentByStall, "K2", "A node whose disk does nothing sends no heartbeat.";
    Parted, "K2", "Two healthy neighbours do not hear each other.";
    FlappedOut, "K3", "A node is evicted for flapping.";
    Spared, "K4", "The failure detector holds back.";
    Placed, "K5", "A cluster's first chains are placed.";
    NoPlace, "K5", "A chain lacks a member, and no node may be it.";
    OrderedWithoutLease, "K7", "A head without a lease takes a write.";
    DamagedLog, "D2", "A replica finds its log damaged.";
    DamagedObject, "D2", "A replica finds an object damaged.";
    DiskFullBelow, "D3", "A head hears that the disk of a member behind it is full.";
    DiskFullRefused, "D3", "A put is refused, for a disk is full.";
}

/// How many there are.
const COUNT: usize = Mark::ALL.len();

/// How often each mark was come by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    counts: [u64; COUNT],
}

impl Default for Reached {
    fn default() -> Self {
        Self { counts: [0; COUNT] }
    }
}

impl FromIterator<(Mark, u64)> for Reached {
    fn from_iter<I: IntoIterator<Item = (Mark, u64)>>(counts: I) -> Self {
        let mut reached = Self::default();
        counts.into_iter().for_each(|(mark, count)| reached.counts[mark as usize] += count);
        reached
    }
}

impl Reached {
    /// Each mark with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Mark, u64)> + '_ {
        Mark::ALL.iter().map(|mark| (*mark, self.counts[*mark as usize]))
    }
}

impl AddAssign<&Reached> for Reached {
    fn add_assign(&mut self, other: &Reached) {
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
    }
}

thread_local! {
    static COUNTS: [Cell<u64>; COUNT] = const { [const { Cell::new(0) }; COUNT] };
}

/// A mark is come by.
pub(crate) fn reach(mark: Mark) {
    COUNTS.with(|counts| {
        let count = &counts[mark as usize];
        count.set(count.get() + 1);
    });
}

/// What this thread has come by since it was last asked.
pub fn take() -> Reached {
    COUNTS.with(|counts| Reached { counts: std::array::from_fn(|mark| counts[mark].take()) })
}
