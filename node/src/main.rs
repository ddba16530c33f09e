//! The binary `catena`: a storage node, a coordinator, a whole cluster for development, and the commands that use one.

mod cli;
mod dev;

use std::process::ExitCode;

/// A write allocates dozens of times in the gRPC stack and the store, which a process on glibc's allocator spends a fifth
/// of its user time on (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(std::env::args_os().collect())
}
