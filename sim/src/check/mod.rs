//! The checkers: each states what must hold, and says in a sentence what did not.

#[macro_use]
mod violation;

pub(crate) mod answers;
pub(crate) mod attention;
pub(crate) mod configurations;
pub(crate) mod continuity;
pub(crate) mod durable;
pub(crate) mod flaps;
pub(crate) mod histories;
pub(crate) mod ledger;
pub(crate) mod linearize;
pub(crate) mod progress;
pub(crate) mod reserve;
pub(crate) mod seen;
pub(crate) mod serving;
pub(crate) mod sessions;
pub(crate) mod silence;
pub(crate) mod state;
pub(crate) mod wing_gong;

pub use violation::{Checker, Severity, Violation};
pub(crate) use violation::{Judges, is_heard, judged_by, judges, named_entries};
pub use wing_gong::Searches;
