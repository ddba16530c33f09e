//! The binary `catena`: a storage node, a coordinator, a whole cluster for development, and the commands that use one.

mod cli;
mod dev;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::run(cli::Arguments::parse())
}
