//! The coordinator machine: who is let in, where replicas go, what happens when nodes and coordinators fail.
#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

mod audit;
mod bench;
mod cost;
mod flapping;
mod joining;
mod leadership;
mod leases;
mod moving;
mod node;
mod placement;
mod property;
mod registration;
mod repair;
mod run;
mod stopping;
mod store;
