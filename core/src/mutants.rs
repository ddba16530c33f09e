//! One-line sabotages, to prove that the simulator would notice. Behind the `mutants` feature, off unless set.
//!
//! Those that the simulated world runs are planted in this crate, some in `catena-store`, and one in the simulator's own storage. The
//! others are where it does not come: in what reads bytes from outside, and in the tasks around the machines.
//!
//! A mutant is set for the current thread, so that simulated worlds on different threads do not meet.

use std::cell::Cell;

/// Defines the enum, its two lists, with a line between them, and each mutant's rule and story.
macro_rules! mutants {
    ($($name:ident, $rule:literal, $story:literal;)* --- $($elsewhere:ident, $source:literal, $tale:literal;)*) => {
        /// A rule, broken on purpose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $(#[doc = $story] $name,)*
            $(#[doc = $tale] $elsewhere,)*
        }

        impl Mutant {
            /// Every one that the simulated world runs.
            pub const ALL: &[Mutant] = &[$(Mutant::$name,)*];

            /// Those that it cannot notice, as it does not run what they are in: `docs/mutants.md` says who does.
            pub const ELSEWHERE: &[Mutant] = &[$(Mutant::$elsewhere,)*];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Mutant::$name => stringify!($name),)*
                    $(Mutant::$elsewhere => stringify!($elsewhere),)*
                }
            }

            /// The one of that name, in either list.
            pub fn named(name: &str) -> Option<Mutant> {
                Self::ALL.iter().chain(Self::ELSEWHERE).copied().find(|mutant| mutant.name() == name)
            }

            /// The rule it breaks; or the document that says otherwise, where none of the protocol's rules does.
            pub fn rule(self) -> &'static str {
                match self { $(Mutant::$name => $rule,)* $(Mutant::$elsewhere => $source,)* }
            }

            /// What it does, in a sentence.
            pub fn story(self) -> &'static str {
                match self { $(Mutant::$name => $story,)* $(Mutant::$elsewhere => $tale,)* }
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
    MatchRestartedOnly, "C7", "Only a replica that has restarted compares its log with its predecessor's.";
    DurableBySeq, "C7", "What was synced at a seq before a cut vouches for what is appended there after it.";
    NoResendToNew, "W6", "A successor is not sent what its predecessor had before the version began.";
    TellUnsynced, "W3", "What is passed on counts as synced here.";
    WaitingSurvives, "W5", "Calls go on waiting for a seq when their head is a head no more.";
    CutIsNotExecuted, "W9", "A call whose entry is cut or left behind is told that it was not executed.";
    ExpiredNotExecuted, "W9", "A call whose session has expired is told that it was not executed.";
    SizeAtMiddle, "W10", "The size of a value is judged by the replica that receives it, instead of the head.";
    FailedSyncRetried, "D1", "A sync that has failed is tried again, and counts.";
    RewriteVersion, "C7", "An entry's version is rewritten when it is offered again.";
    ActBeforeDurable, "C2", "A version is acted in before it is durable.";
    StaleForwards, "C2", "Entries and watermarks of an older version are taken.";
    ActAfterRestart, "C10", "A restarted member goes on in the version that it restarted in.";
    OlderChain, "C1", "An older configuration is adopted after a newer one.";
    VersionRestarts, "W2", "An object's version starts again after a delete.";
    FenceLifted, "C4", "An answer without a fence lifts it.";
    FenceIgnored, "C4", "A fenced replica goes on serving.";
    JoinerServes, "C9", "A joining replica answers reads.";
    KeepWatermark, "W3", "The durability watermark from above is carried over to a new version.";
    PrefixUncommitted, "C8", "A new tail commits what is ordered in its own version only.";
    NewTailCuts, "C8", "A new tail cuts its log to what it knows committed.";
    SpeakUnmatched, "W3", "A replica probes its successor before it is matched itself.";
    TrustEarlyWatermark, "W3", "A watermark is sent, and counts, before matching.";
    TrimPointNotCompared, "C7", "Logs are not compared at the trim point, and a joining replica keeps what it does not know to be committed.";
    TrimUnacked, "W6", "What a successor that is being filled has not acknowledged is forgotten.";
    ScanOfAppliedOnly, "R1", "A scan misses what is committed and not applied.";
    SpillLost, "W6", "A successor is never sent what was kept for it on the disk.";
    DiskFullUntold, "D3", "The head does not hear that the disk of a member behind it is full.";
    DiskFullForEver, "D3", "A head that has heard of a full disk does not ask again.";
    ResumeFromAcked, "W6", "A joining replica that has restarted is sent what follows on what it had acknowledged before.";
    OnlySenderProbes, "W6", "A replica that is not matched waits to be asked.";
    CursorOverPins, "J3", "A joining replica goes on behind the parts of one snapshot with those of another.";
    EpochIgnored, "C1", "A node takes decisions and leases of a deposed leader.";
    LeaseApart, "R1", "A heartbeat's answer renews the lease before the decisions it carries are applied.";
    RunUnknownSession, "W8", "A write under a session that is not there is run.";
    RunBelowAnswered, "W8", "A write is run whose answer the client has said to have.";
    AnswerOfAnotherSession, "W8", "A duplicate gets the answer of another session's write.";
    AnswerRetryBeforeCommit, "W8", "A retry gets the first answer before that is committed.";
    RefusalNotAnEntry, "W8", "A session's refusal is not an entry.";
    ExpireByClock, "W8", "Each replica ends idle sessions by its own clock.";
    EvictWithoutFence, "C4", "A member is removed while it may serve still.";
    OrphanFence, "C4", "A fence that a leader before has planned is left standing.";
    EvictLastCopy, "C3", "A member is removed though no other copy has answered.";
    StaleCopyCounts, "C3", "A copy that answered before the removal was planned counts.";
    ReadinessForgotten, "C9", "A tail that is not ready counts as ready in the next version.";
    ReadyAtOnce, "C9", "A new tail counts as a copy from its activation on.";
    JoinBehindUnready, "C9", "A replica joins, and is activated, behind a tail that is not ready.";
    ActivateEarly, "C9", "A joining replica is activated before it has caught up.";
    RestartIgnored, "C10", "No newer version is made for a member that has restarted.";
    JoinerDeathIgnored, "J3", "A joining replica that is gone goes on joining.";
    PauseCountsAsSilence, "C5", "A pause of the coordinator counts as its nodes' silence.";
    NewLeaderForgetsLeases, "C5", "A new leader assumes that no lease is out.";
    UncertainLeaderGrants, "C5", "A leader that may have been followed goes on answering.";
    NoDriftMargin, "C4", "A lease is taken to have run out without regard to drift.";
    NeighboursNotParted, "K2", "Two neighbours that do not reach each other stay neighbours.";
    StallUnnoticed, "K2", "A node whose disk does nothing tells the coordinator that all is well.";
    UnheardNeverDies, "K2", "A node that its leader has never heard does not die.";
    FlapHistoryLost, "K3", "Flaps are not stored.";
    WipedDiskAccepted, "C11", "A wiped disk is accepted as the member that it was.";
    CorruptIsAbsent, "D2", "A member whose log is damaged goes on as one that has nothing.";
    DamageForgotten, "D2", "A replica with a damaged object is as good as any other after a restart.";
    DamagedCopyCounts, "D2", "A copy that says that it is damaged counts as one.";
    LabelsIgnored, "K5", "Replicas of a chain are placed without regard to labels.";
    OneBlocksAll, "K1", "While one slot waits, no other is looked at.";
    RouteBeforeChain, "C1", "A route names a chain that is being stored.";
    TrimUncommitted, "W11", "Entries are applied and trimmed before they are committed.";
    ApplyTorn, "W11", "The trim point is moved before what is applied is in the objects: a power loss comes between.";
    PartialSnapshotInstalled, "J3", "A staged part's name outlives the part in a power loss: the snapshot is installed with a chunk missing.";
    SnapshotSeqApart, "J1", "A pin takes the entry that it stands at first, and the objects and sessions later.";
    SessionsLeftOut, "W8", "A snapshot is installed without its session table: the one before stays.";
    KeepStaleKeys, "J1", "A snapshot is laid over the objects that were there before, instead of replacing them.";
    ChunksOverPins, "J3", "Staged chunks are kept when the snapshot becomes another.";
    EpochUnchecked, "C1", "The store takes changes of a leader that it knows to be deposed.";

    ---
    TextOnly, "docs/api.md", "A value that is no text is changed on its way in: what is not UTF-8 is replaced.";
    DamageNotSent, "D2", "A node's report arrives without saying that its copy is damaged.";
    RangeUnchecked, "docs/api.md", "A number outside what it can mean is taken.";
    ChecksumIgnored, "D2", "A record's checksum is not compared.";
    ZeroUnescaped, "D4", "A zero byte stands for itself in the key of a value that is apart.";
    ContinuationLost, "fuzz/README.md", "A scenario is written anew without the second lines of its commands.";
    ReplayUnchecked, "CONTRIBUTING.md", "The check value of a replay file is not compared.";
    SettingUnchecked, "README.md", "A setting in a file is taken whether or not its value fits.";
    ListCutShort, "README.md", "Of a setting with several values only the first is printed.";
    LinkNotRedialled, "W6", "A link that was up, and has ended, is not dialled again.";
    CoordinatorNotSought, "K7", "A coordinator that is lost is not sought again.";
    LostIsRefused, "W9", "A call whose connection is lost counts as not executed.";
    DeadlineMissed, "W9", "A client's deadlines pass without a word.";
    LeftUntold, "K3", "A node that has left does not tell its server, which goes on.";
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
pub fn is(mutant: Mutant) -> bool {
    MUTANT.get() == Some(mutant)
}

/// Whether assertions are on.
pub(crate) fn asserting() -> bool {
    ASSERTIONS.get()
}
