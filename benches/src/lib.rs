//! A real cluster of child processes, made to be broken, and a load whose every acknowledged write is accounted for: what
//! `failover`, `full`, `idle`, `join`, `overload` and `rolling` share.

mod error;
mod figures;
mod load;
mod processes;
mod program;

pub use error::Error;
pub use figures::{Distribution, milliseconds};
pub use load::{Done, Load, Lost, Writers};
pub use processes::{Cluster, Setup, Usage};
pub use program::{Place, Pressure, Verdict, main};
