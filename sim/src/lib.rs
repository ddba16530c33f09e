//! Catena under seeds: the real machines of `catena-core` in a world of our own making.
//!
//! A seed decides everything: how many slots and clients there are, which faults occur and when, how long every
//! message and every sync takes. A world runs on one event queue with virtual time, faults at first; then it heals, and
//! everything must come to rest. Checkers look on after every step, and once more at the end.
//!
//! ```text
//!   workload ──► clients ──► network ──► nodes (core) ──► disks (store, in memory)
//!                   │            ▲          │  ▲
//!                   │            └──────────┘  └──► coordinator (core) ──► its store
//!                   ▼                       ▼
//!                history                 ledger of what is committed
//!                   └──────► checkers ◄─────┘
//! ```
//!
//! | checker | demands |
//! |---|---|
//! | linearizability | every key behaves like one object: real time agrees with the order of versions |
//! | black box | the same, by what clients were answered alone: some order of a key's calls explains it |
//! | histories | replicas agree on what is committed; a predecessor has what its successor has; watermarks go forward |
//! | durability | committed is synced on every member's disk, and is there after every crash |
//! | exposure | what a client is shown or told is committed, as written |
//! | serving | only a node with a lease, in a version in which it was not fenced and has not restarted, shows state |
//! | configurations | one configuration of a slot serves at a time: no answer, and no replica that would answer |
//! | continuity | versions follow on each other by one change; who is left out of one shows nothing any more |
//! | sessions | a session's write takes effect once; its answers and every table are those of the committed history |
//! | silence | who is called silent has been: a pause of the coordinator is no silence of its nodes |
//! | progress | 10 virtual seconds after the last fault, chains serve, calls have ended, replicas are equal |
//! | determinism | the same seed twice gives the same trace |
//!
//! Where nobody can look into a cluster, its clients' calls are what is left: [`process`] runs the real binary, and checks these.
#![forbid(unsafe_code)]

#[macro_use]
mod check;
mod chronicle;
mod clock;
#[cfg(all(test, madsim))]
mod cluster;
mod describe;
mod disk;
mod faults;
mod history;
mod network;
mod options;
mod page;
mod plan;
mod queue;
mod rng;
#[cfg(any(test, not(madsim)))]
mod shipped;
mod trace;
mod workload;
mod world;

pub mod campaign;
pub mod mutation;
#[cfg(not(madsim))]
pub mod process;
pub mod replay;
pub mod rules;
pub mod scenario;

pub use check::{Checker, Searches, Severity, Violation};
pub use faults::{Fault, Occurrences};
pub use options::{MOST_DRIFT, Options, PROMISED_DRIFT, Scale};
pub use trace::Printing;
pub use world::Summary;
