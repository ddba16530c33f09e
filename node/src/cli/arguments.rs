//! What can be said on the command line.

use std::ffi::OsString;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use catena_core::NodeId;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::dev::DevArguments;

/// Where `catena dev` puts its coordinator by default.
pub(crate) const DEFAULT_ENDPOINT: &str = "127.0.0.1:7400";
/// Makes a process stop when its standard input ends: so a child does not outlive whoever holds the other end.
pub(crate) const STOP_WITH_STDIN: &str = "--stop-with-stdin";

/// Catena: a key-value store that answers a write once it is on the disks of every replica in a chain, and never takes
/// back what anybody has read.
#[derive(Debug, Parser)]
#[command(
    name = "catena",
    version,
    arg_required_else_help = true,
    after_help = "\
Begin with:
  catena dev                   a whole cluster on this machine
  catena put greeting hello    in another terminal
  catena get greeting

Exit codes:
  0  done
  1  error: the request or the set-up is wrong; repeating it does not help
  2  usage: the command line is wrong
  3  not found
  4  a condition did not hold; nothing was changed
  5  unavailable, and surely not executed: repeat it when you like
  6  outcome unknown: it may have been executed, or may yet be; read before you repeat it

Environment:
  CATENA_ENDPOINTS   in place of --endpoints
  CATENA_LOG         what is logged to stderr: error, warn, info, debug, trace, or filters such as catena_node=debug"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Dev(DevArguments),
    Put(PutArguments),
    Get(GetArguments),
    Del(DelArguments),
    Coordinator(CoordinatorArguments),
    Node(NodeArguments),
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
    /// The key: any bytes, 1 to 4096 of them.
    pub(super) key: OsString,
    /// The value: any bytes, up to 16 MiB; `-` reads it from standard input.
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
    /// The coordinators' addresses, separated by commas.
    #[arg(long, value_name = "HOST:PORT", env = "CATENA_ENDPOINTS", value_delimiter = ',', default_value = DEFAULT_ENDPOINT, value_parser = parse_endpoint)]
    pub(super) endpoints: Vec<String>,
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

/// Runs a coordinator: it knows the nodes, hands out the chains, grants leases and tells clients where everything is.
#[derive(Debug, Args)]
#[command(after_help = "\
Nodes, replicas and slots are fixed when the directory is created; started again, they must be the same.

Example:
  catena coordinator --listen 10.0.0.1:7400 --data-dir /var/lib/catena --nodes n1,n2,n3 --replicas 3 --slots 64")]
pub(super) struct CoordinatorArguments {
    /// The address to listen on.
    #[arg(long, value_name = "IP:PORT")]
    pub(super) listen: SocketAddr,
    /// Where its data lies; created if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: PathBuf,
    /// The ids of the cluster's storage nodes, separated by commas.
    #[arg(long, value_name = "ID,ID,…", value_delimiter = ',', required = true, value_parser = NodeId::new)]
    pub(super) nodes: Vec<NodeId>,
    /// Number of copies of every key, each on another node.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) replicas: u32,
    /// Number of hash buckets, each with a chain of its own.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub(super) slots: u32,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    pub(super) stop_with_stdin: bool,
}

/// Runs a storage node.
#[derive(Debug, Args)]
#[command(after_help = "\
The directory belongs to this id and, once the coordinator has been reached, to its cluster.

Example:
  catena node --id n1 --listen 10.0.0.2:7401 --coordinator 10.0.0.1:7400 --data-dir /var/lib/catena")]
pub(super) struct NodeArguments {
    /// The node's name: 1 to 64 letters, digits, '.', '_' or '-'.
    #[arg(long, value_name = "ID", value_parser = NodeId::new)]
    pub(super) id: NodeId,
    /// The address to listen on.
    #[arg(long, value_name = "IP:PORT")]
    pub(super) listen: SocketAddr,
    /// Where others reach it, if that is another address.
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_endpoint)]
    pub(super) advertise: Option<String>,
    /// The coordinators' addresses, separated by commas.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', required = true, value_parser = parse_endpoint)]
    pub(super) coordinator: Vec<String>,
    /// Where its data lies; created if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: PathBuf,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    pub(super) stop_with_stdin: bool,
}

/// Why an address is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address: give a host and a port from 1 to 65535, as in 127.0.0.1:7400, [::1]:7400 or db1.example:7400")]
struct InvalidEndpoint;

fn parse_endpoint(text: &str) -> Result<String, InvalidEndpoint> {
    let (host, port) = text.rsplit_once(':').ok_or(InvalidEndpoint)?;
    let host_fits = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || "-._".contains(c)),
    };
    // A sign would pass as a number.
    let port_fits = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    if host_fits && port_fits { Ok(text.to_owned()) } else { Err(InvalidEndpoint) }
}

/// Why a time is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time: give a number and `ms`, `s` or `m`, as in 500ms or 5s, up to one day")]
struct InvalidDuration;

fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return Err(InvalidDuration),
    };
    let number: u64 = number.parse().map_err(|_| InvalidDuration)?;
    let ms = number.checked_mul(factor).filter(|ms| (1..=DAY_MS).contains(ms)).ok_or(InvalidDuration)?;
    Ok(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for right in ["127.0.0.1:7400", "[::1]:1", "localhost:65535", "db-1.example_net:7400"] {
            assert_eq!(parse_endpoint(right).as_deref(), Ok(right));
        }
        for wrong in [
            "",
            "host",
            "host:",
            ":7400",
            "host:0",
            "host:65536",
            "host:+1",
            "host:x",
            "::1:7400",
            "[x]:1",
            "http://h:1",
            "a b:1",
        ] {
            assert_eq!(parse_endpoint(wrong), Err(InvalidEndpoint), "{wrong}");
        }
    }

    #[test]
    fn a_time_has_a_unit_and_an_end() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_mins(2)));
        for wrong in ["", "5", "s", "0s", "-1s", "1.5s", "99999999999999999999s", "2000m", "18446744073709551615m"] {
            assert_eq!(parse_duration(wrong), Err(InvalidDuration), "{wrong}");
        }
    }
}
