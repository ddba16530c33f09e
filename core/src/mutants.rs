//! One-line sabotages, to prove that the simulator would notice. Behind the `mutants` feature, off unless set.
//!
//! A mutant is set for the current thread, so that simulated worlds on different threads do not meet.

use std::cell::Cell;

/// Defines the enum, its list and each mutant's rule and story.
macro_rules! mutants {
    ($($name:ident, $rule:literal, $story:literal;)*) => {
        /// A rule of the protocol, broken on purpose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $(#[doc = $story] $name,)*
        }

        impl Mutant {
            /// Every one.
            pub const ALL: &[Mutant] = &[$(Mutant::$name,)*];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Mutant::$name => stringify!($name),)* }
            }

            /// The rule it breaks.
            pub fn rule(self) -> &'static str {
                match self { $(Mutant::$name => $rule,)* }
            }

            /// What it does, in a sentence.
            pub fn story(self) -> &'static str {
                match self { $(Mutant::$name => $story,)* }
            }
        }
    };
}

mutants! {
    JudgeCommittedOnly, "W7", "A condition is judged on committed state only.";
    RefuseBeforeCommit, "W7", "A failed condition is answered before what it was judged on is committed.";
    ReadWithoutLease, "R1", "The tail answers reads without a lease.";
    LeaseFromReceipt, "R1", "The lease is counted from the answer's receipt instead of the heartbeat's sending.";
    ReadBeforeBarrier, "R2", "The tail reads before it has committed up to the barrier.";
    ReadUncommitted, "W4", "The tail answers reads from received, not committed, entries.";
    AnswerBeforeCommit, "W5", "The head answers a write when its own disk has it.";
    NoResend, "W6", "What a link lost is never sent again.";
    CountUnsynced, "W3", "Entries count as durable before they are synced.";
    CompareLastSeq, "C7", "Logs are matched by last seq only.";
    SkipMatching, "C7", "A replica takes its whole log for matched.";
    RewriteVersion, "C7", "An entry's version is rewritten when it is offered again.";
    ActBeforeDurable, "C2", "A version is acted in before it is durable.";
    IgnoreVersion, "C2", "Messages of an older version are taken.";
    ActAfterRestart, "C10", "A restarted member goes on in the version that it restarted in.";
    NeverPlaceAgain, "C1", "A coordinator that died between the last registration and the first placement never places.";
    OlderChain, "C1", "An older configuration is adopted after a newer one.";
    VersionRestarts, "W2", "An object's version starts again after a delete.";
    TrimUncommitted, "W11", "Entries are applied and trimmed before they are committed.";
}

thread_local! {
    static MUTANT: Cell<Option<Mutant>> = const { Cell::new(None) };
    static ASSERTIONS: Cell<bool> = const { Cell::new(true) };
}

/// Whether the core's own invariants are asserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assertions {
    /// As in production.
    On,
    /// Silent, so that a mutant has to be found from the outside.
    Off,
}

/// Sets the mutant of this thread.
pub fn set(mutant: Option<Mutant>) {
    MUTANT.set(mutant);
}

/// Switches the core's assertions on this thread.
pub fn set_assertions(assertions: Assertions) {
    ASSERTIONS.set(assertions == Assertions::On);
}

/// Whether this mutant is set.
pub(crate) fn is(mutant: Mutant) -> bool {
    MUTANT.get() == Some(mutant)
}

/// Whether assertions are on.
pub(crate) fn asserting() -> bool {
    ASSERTIONS.get()
}
