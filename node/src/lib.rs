//! Catena's processes. Signals, threads, files and command lines, which only a real process has, are in `cli` and `dev`; the rest
//! also runs in simulated time, where it is handed simulated ones.
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

#[cfg(not(madsim))]
mod cli;
mod clock;
mod coordinator;
#[cfg(not(madsim))]
mod dev;
pub mod monitor;
mod node;
mod task;
mod timer;
pub mod words;

#[cfg(not(madsim))]
pub use cli::{judge_settings, run};
pub use clock::{Clock, tokio_clock, wall_time};
pub use coordinator::{
    ConfigRequest, ConfigStorage, CoordinatorError, CoordinatorMetrics, CoordinatorMonitor, CoordinatorState, run_coordinator,
};
pub use node::{NodeError, NodeMetrics, NodeMonitor, NodeOptions, NodeState, Stop, Storage, run_node, run_node_until};
