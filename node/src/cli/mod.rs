//! The command line: what there is to say, and what each process answers with.

mod admin;
mod arguments;
mod bulk;
mod call;
mod clock;
mod config;
mod config_thread;
mod coordinator;
mod error;
mod exit;
mod files;
mod log;
mod node;
mod order;
mod output;
mod settings;
mod space;
mod status;
mod stop;

pub(crate) use arguments::{DEFAULT_ENDPOINT, SAY_WHEN_OPEN, STOP_WITH_STDIN};
pub(crate) use log::LOG_VARIABLE;
pub(crate) use output::{complain, say};
pub(crate) use status::explained;
pub(crate) use stop::{Interrupts, STOP_BOUND};

use std::ffi::OsString;
use std::fmt::Display;
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

use self::arguments::{Command, ConfigWish};
pub use self::config::judge as judge_settings;
use self::config::{Effective, LoadError, Loaded};
use self::error::ProcessError;
use self::exit::{Exit, fail};
use self::log::Logger;
use crate::dev::{self, DevError};

/// Does as told; the exit code is documented in `catena --help`.
pub fn run(words: Vec<OsString>) -> ExitCode {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let loaded = match config::load(words, &variable) {
        Ok(loaded) => loaded,
        Err(LoadError::CommandLine(error)) => error.exit(),
        Err(LoadError::Config(error)) => return fail(&error.to_string(), Exit::Usage).into(),
    };
    let logger = Logger::of(&loaded.arguments.command);
    if let Err(error) = logger.start() {
        return fail(&error.to_string(), Exit::Usage).into();
    }
    if matches!(logger, Logger::Process { .. }) {
        files::raise_limit();
    }
    match runtime() {
        Ok(runtime) => {
            let exit = obey(loaded, logger, &runtime);
            // What is still running belongs to nobody: connections, and reads that nothing ends.
            runtime.shutdown_background();
            exit.into()
        }
        Err(error) => fail(&format!("cannot start the event loop: {error}"), Exit::Error).into(),
    }
}

fn obey(Loaded { arguments, file, settings }: Loaded, logger: Logger, runtime: &Runtime) -> Exit {
    let file = file.as_deref();
    match arguments.command {
        Command::Coordinator(arguments) => {
            finish(logger, &settings, runtime.block_on(coordinator::run(arguments)), ProcessError::keys)
        }
        Command::Node(arguments) => match (arguments.order, arguments.serve) {
            (Some(order), _) => runtime.block_on(order::run(order)),
            (None, serve) => {
                let serve = serve.expect("a node without an order serves");
                finish(logger, &settings, runtime.block_on(node::run(serve)), ProcessError::keys)
            }
        },
        Command::Status(arguments) => runtime.block_on(status::run(arguments)),
        Command::Dev(arguments) => finish(logger, &settings, runtime.block_on(dev::run(arguments, file)), DevError::keys),
        Command::Put(arguments) => runtime.block_on(call::put(arguments)),
        Command::Get(arguments) => runtime.block_on(call::get(arguments)),
        Command::Del(arguments) => runtime.block_on(call::del(arguments)),
        Command::Load(arguments) => runtime.block_on(bulk::load::run(arguments)),
        Command::Export(arguments) => runtime.block_on(bulk::export::run(arguments)),
        Command::Config(arguments) => match arguments.wish {
            ConfigWish::Print(arguments) => config::print(&settings, file, arguments.output),
            ConfigWish::Default => output::write(&config::default_file()).err().unwrap_or(Exit::Ok),
        },
    }
}

/// One thread: on few cores it answers sooner than several that wake each other.
fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Says what has gone wrong; `about`: the settings that it is about.
fn finish<E: Display>(
    logger: Logger,
    settings: &[Effective],
    result: Result<(), E>,
    about: fn(&E) -> &'static [&'static str],
) -> Exit {
    let Err(error) = result else { return Exit::Ok };
    let text = match settings {
        [its] => its.explain(&error.to_string(), about(&error)),
        _ => error.to_string(),
    };
    if logger.ended(&text) { Exit::Error } else { fail(&text, Exit::Error) }
}
