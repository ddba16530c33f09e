//! What each fuzz target does with a fuzzer's bytes: it comes back, or panics where something is wrong.
//!
//! A target is a function over bytes here, called by its libFuzzer binary in `fuzz_targets/`, and by `tests/corpus.rs` for each
//! file that is kept of what the fuzzer has found. `README.md` has the commands.
#![forbid(unsafe_code)]

pub mod chain;
pub mod chunks;
pub mod records;
pub mod replays;
pub mod scenarios;
pub mod settings;
pub mod stores;
pub mod wire;
pub mod world;

/// Nodes on an ideal network, as the tests of `core` have them.
#[path = "../../core/tests/chain/bench.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::pedantic, reason = "a test's, of which not everything is used here")]
mod bench;

/// Every target.
pub const TARGETS: [Target; 9] = [
    Target { name: "chain", run: chain::run },
    Target { name: "chunks", run: chunks::run },
    Target { name: "records", run: records::run },
    Target { name: "replays", run: replays::run },
    Target { name: "scenarios", run: scenarios::run },
    Target { name: "settings", run: settings::run },
    Target { name: "stores", run: stores::run },
    Target { name: "wire", run: wire::run },
    Target { name: "world", run: world::run },
];

/// What a fuzzer calls.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Of its binary, and of its folder in `corpus/`.
    pub name: &'static str,
    /// Panics where something is wrong.
    pub run: fn(&[u8]),
}
