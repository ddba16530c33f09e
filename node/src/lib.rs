//! Catena's processes, apart from what only a real process has: signals, threads, files and command lines are in the
//! binary, so that the very same code also runs in simulated time, where it is handed simulated ones.
//!
//! ```text
//!                                   ┌───────────────── run_node ─────────────────┐
//!   clients, neighbours ──NodeInput──▶                 driver                     │
//!   coordinator ◀─heartbeats─ uplink ─┼─answers─▶  the only owner of core's Node  ├─Send──▶ Links ──▶ neighbours
//!   storage ─────durable tickets──────▶   read the store, take the time, step,    ├─Reply─▶ clients
//!   deadline ────timer────────────────▶            run the effects                ├─Persist▶ storage
//!                                   └─────────────────────────────────────────────┘
//! ```
//!
//! [`run_coordinator`] has the same shape around core's `Coordinator`. What a driver shows of itself is in [`monitor`].
#![forbid(unsafe_code)]

mod clock;
mod coordinator;
pub mod monitor;
mod node;
mod task;
mod timer;
pub mod words;

// The command line, otherwise of the binary alone: for its settings.
#[cfg(feature = "fuzzing")]
#[allow(dead_code, reason = "it is not run")]
mod cli;
#[cfg(feature = "fuzzing")]
#[allow(dead_code, unused_imports, reason = "it is not run")]
mod dev;
#[cfg(feature = "fuzzing")]
extern crate self as catena_node;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use cli::judge_settings;

pub use clock::{Clock, tokio_clock, wall_time};
pub use coordinator::{
    ConfigRequest, ConfigStorage, CoordinatorError, CoordinatorMetrics, CoordinatorMonitor, CoordinatorState, run_coordinator,
};
pub use node::{NodeError, NodeMetrics, NodeMonitor, NodeOptions, NodeState, Stop, Storage, run_node, run_node_until};
