//! Storage nodes as a client and a coordinator meet them, on an ideal network.

#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

mod bench;
mod changes;
mod damage;
mod disk_full;
mod scan;
mod sessions;
mod spill;
mod steady;
mod transfer;
