//! The binary `catena`: a storage node, a coordinator, a whole cluster for development, and the commands that use one.

use std::process::ExitCode;

/// A write allocates dozens of times in the gRPC stack and the store, which a process on glibc's allocator spends a fifth
/// of its user time on (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[cfg(feature = "mutants")]
    plant();
    catena_node::run(std::env::args_os().collect())
}

/// Plants the bug that `CATENA_MUTANT` names, with the core's own assertions switched off: outside there is somebody who is to
/// notice. The machines run on this thread.
#[cfg(feature = "mutants")]
fn plant() {
    use catena_core::mutants::{Assertions, Mutant, set, set_assertions};

    let Some(name) = std::env::var_os("CATENA_MUTANT") else { return };
    let Some(mutant) = name.to_str().and_then(Mutant::named) else {
        eprintln!("catena: no bug is called {}: docs/mutants.md names them", name.display());
        std::process::exit(2);
    };
    eprintln!("planted bug: {}", mutant.name());
    set(Some(mutant));
    set_assertions(Assertions::Off);
}
