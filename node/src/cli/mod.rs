//! The command line: what there is to say, and what each process answers with.

mod arguments;
mod bulk;
mod call;
mod clock;
mod config_thread;
mod coordinator;
mod error;
mod exit;
mod log;
mod node;
mod order;
mod output;
mod settings;
mod status;
mod stop;

pub(crate) use arguments::{Arguments, DEFAULT_ENDPOINT, SAY_WHEN_OPEN, STOP_WITH_STDIN};
pub(crate) use log::LOG_VARIABLE;
pub(crate) use output::{complain, say};
pub(crate) use status::explained;
pub(crate) use stop::{Interrupts, STOP_BOUND};

use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

use self::arguments::Command;
use self::exit::{Exit, fail};

/// Does as told; the exit code is documented in `catena --help`.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let level = match arguments.command {
        Command::Coordinator(_) => log::Level::Process,
        Command::Node(ref node) if node.order.is_none() => log::Level::Process,
        Command::Node(_)
        | Command::Dev(_)
        | Command::Put(_)
        | Command::Get(_)
        | Command::Del(_)
        | Command::Load(_)
        | Command::Export(_)
        | Command::Status(_) => log::Level::Command,
    };
    if let Err(error) = log::to_stderr(level) {
        return fail(&error.to_string(), Exit::Usage).into();
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start the event loop: {error}"), Exit::Error).into(),
    };
    let exit = match arguments.command {
        Command::Coordinator(arguments) => finish(runtime.block_on(coordinator::run(arguments))),
        Command::Node(arguments) => match (arguments.order, arguments.serve) {
            (Some(order), _) => runtime.block_on(order::run(order)),
            (None, Some(serve)) => finish(runtime.block_on(node::run(serve))),
            (None, None) => fail("catena node needs --id, or one of drain, evict, readmit: see catena node --help", Exit::Usage),
        },
        Command::Status(arguments) => runtime.block_on(status::run(arguments)),
        Command::Dev(arguments) => finish(runtime.block_on(crate::dev::run(arguments))),
        Command::Put(arguments) => runtime.block_on(call::put(arguments)),
        Command::Get(arguments) => runtime.block_on(call::get(arguments)),
        Command::Del(arguments) => runtime.block_on(call::del(arguments)),
        Command::Load(arguments) => runtime.block_on(bulk::load::run(arguments)),
        Command::Export(arguments) => runtime.block_on(bulk::export::run(arguments)),
    };
    // What is still running belongs to nobody: connections, and reads that nothing ends.
    runtime.shutdown_background();
    exit.into()
}

/// One thread: on few cores it answers sooner than several that wake each other.
fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn finish<E: std::fmt::Display>(result: Result<(), E>) -> Exit {
    match result {
        Ok(()) => Exit::Ok,
        Err(error) => fail(&error.to_string(), Exit::Error),
    }
}
