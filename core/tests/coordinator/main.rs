//! The coordinator machine: who is let in, where replicas go, what happens when nodes and coordinators fail.

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
mod stopping;
mod store;
