//! What can be said on the command line.

mod bulk;
mod cluster;
mod config;
mod limits;
mod log;
mod operator;
mod parse;
mod processes;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use catena_core::PLANTED_BUGS;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use self::bulk::{ExportArguments, LoadArguments};
pub(super) use self::cluster::{ClusterArguments, JudgementArguments};
pub(super) use self::config::{ConfigArguments, ConfigWish};
pub(super) use self::limits::{LimitArguments, SizeArguments, TimingArguments};
pub(super) use self::log::LogFormat;
pub(super) use self::operator::{AskArguments, OrderArguments, StatusArguments, ViewFormat};
pub(super) use self::parse::Size;
use self::parse::parse_duration;
pub(super) use self::processes::{CoordinatorArguments, NodeArguments, NodeOrder, ServeArguments};
use crate::dev::DevArguments;

/// Where `catena dev` puts its coordinator by default.
pub(crate) const DEFAULT_ENDPOINT: &str = "127.0.0.1:7400";
/// Makes a process stop when its standard input ends: so a child does not outlive whoever holds the other end.
pub(crate) const STOP_WITH_STDIN: &str = "--stop-with-stdin";
/// Makes a node print a line once its data is open.
pub(crate) const SAY_WHEN_OPEN: &str = "--say-when-open";

/// What `--version` says. `catena-sim process` goes by it, so as not to try a binary that has other bugs than it knows of.
const VERSION: &str =
    if PLANTED_BUGS { concat!(env!("CARGO_PKG_VERSION"), ", with planted bugs") } else { env!("CARGO_PKG_VERSION") };

/// Catena: a key-value store that answers a write once it is on the disks of every replica in a chain, and never takes
/// back what anybody has read.
#[derive(Debug, Parser)]
#[command(
    name = "catena",
    version = VERSION,
    arg_required_else_help = true,
    after_help = "\
Begin with:
  catena dev                   a whole cluster on this machine
  catena put greeting hello    in another terminal
  catena get greeting

Exit codes:
  0  done
  1  error: the request or the set-up is wrong; repeating it does not help
  2  usage: the command line is wrong, or the file of settings, or a variable
  3  not found
  4  a condition did not hold; nothing was changed
  5  unavailable, and surely not executed: repeat it when you like
  6  outcome unknown: it may have been executed, or may yet be; read before you repeat it.
     Of drain, evict and readmit: the order stands, and is not carried out yet

Environment:
  CATENA_ENDPOINTS   in place of --endpoints; so has every option of coordinator, node and dev its variable
  CATENA_CONFIG      in place of --config
  CATENA_LOG         what is logged to stderr: error, warn, info, debug, trace, or filters such as catena_node=debug;
                     how it is written, of coordinator and node: see --log-format there"
)]
pub(super) struct Arguments {
    /// A TOML file with settings; a flag comes before it, and so does a CATENA_ variable: see catena config --help.
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Dev(DevArguments),
    Put(PutArguments),
    Get(GetArguments),
    Del(DelArguments),
    Load(LoadArguments),
    Export(ExportArguments),
    Status(StatusArguments),
    Coordinator(CoordinatorArguments),
    Node(Box<NodeArguments>),
    Config(ConfigArguments),
}

/// Stores a value under a key, and prints the object's new version.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  catena put greeting hello
  catena put photo - < photo.jpg          the value from standard input, byte for byte
  catena put lock me --if-absent          only one of many wins; the others exit with 4
  catena put greeting hi --if-version 7   only if nobody has written since version 7

Exit codes: 0 done, 1 error, 2 usage, 4 condition failed, 5 surely not executed, 6 outcome unknown.")]
pub(super) struct PutArguments {
    /// The key: any bytes, 1 to 4096 of them unless the cluster is set to admit others.
    pub(super) key: OsString,
    /// The value: any bytes, up to 16 MiB unless the cluster is set to admit others; `-` reads it from standard input.
    #[arg(allow_hyphen_values = true)]
    pub(super) value: OsString,
    #[command(flatten)]
    pub(super) conditions: ConditionArguments,
    #[command(flatten)]
    pub(super) call: CallArguments,
}

/// Prints the value under a key.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  catena get greeting
  catena get photo > photo.jpg     byte for byte
  catena get greeting -o json      with version and times

Exit codes: 0 done, 1 error, 2 usage, 3 not found, 5 unavailable.")]
pub(super) struct GetArguments {
    /// The key.
    pub(super) key: OsString,
    #[command(flatten)]
    pub(super) call: CallArguments,
}

/// Removes the object under a key. One that is not there is no error, unless --if-exists says so.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  catena del greeting
  catena del lock --if-version 7   only what I wrote myself

Exit codes: 0 done or not there, 1 error, 2 usage, 4 condition failed, 5 surely not executed, 6 outcome unknown.")]
pub(super) struct DelArguments {
    /// The key.
    pub(super) key: OsString,
    #[command(flatten)]
    pub(super) conditions: ConditionArguments,
    #[command(flatten)]
    pub(super) call: CallArguments,
}

/// What must hold for a write to be done.
#[derive(Debug, Args)]
pub(super) struct ConditionArguments {
    /// Only if there is no such object.
    #[arg(long = "if-absent", conflicts_with_all = ["exists", "version"])]
    pub(super) absent: bool,
    /// Only if there is such an object.
    #[arg(long = "if-exists")]
    pub(super) exists: bool,
    /// Only if the object's version is this one.
    #[arg(long = "if-version", value_name = "VERSION")]
    pub(super) version: Option<u64>,
}

/// How to call.
#[derive(Debug, Args)]
pub(super) struct CallArguments {
    #[command(flatten)]
    pub(super) ask: AskArguments,
    /// How to print the result.
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Format::Raw)]
    pub(super) output: Format,
    /// How long to try, from the first connection to the answer: a number and `ms`, `s` or `m`. A node gives
    /// its own verdict on a call after 5 s at the latest: a shorter time may miss it.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "10s")]
    pub(super) timeout: Duration,
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// The value as it is; of a put, the new version.
    Raw,
    /// One line of JSON, with version and times in nanoseconds; bytes that are not UTF-8 under `…_base64`.
    Json,
    /// For reading.
    Table,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
