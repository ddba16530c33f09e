//! Where the time goes: put and get beside the floors they stand on, interleaved in one run.
//!
//! `docs/performance.md` has the table that it prints, and the commands.

#![expect(clippy::cast_precision_loss, reason = "figures are for people")]

mod cluster;
mod echo;
mod etcd;
mod measure;
mod report;
mod unary;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Measures put and get at one and three replicas, with one client and with many, beside an empty gRPC call, a bidi
/// echo and `fdatasync`. Every process is separate; every write is synced on all replicas before it is answered.
#[derive(Parser)]
#[command(after_help = "Example: latency --rounds 20 --data-dir /var/tmp/catena-latency")]
struct Options {
    /// How often everything is measured in turn; medians and spread are over these rounds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Operations a caller in each measurement of a round.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(10..))]
    ops: u32,
    /// Callers of the measurements with many.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// Bytes a value.
    #[arg(long, default_value_t = 256)]
    value_bytes: usize,
    /// Where the clusters and the synced files lie: the disk that is measured.
    #[arg(long, default_value = ".")]
    data_dir: PathBuf,
    /// The binary under test. Default: the `catena` beside this one.
    #[arg(long)]
    catena: Option<PathBuf>,
    /// Measure puts on three members of etcd too, in the same rounds: where its binary is.
    #[arg(long, value_name = "PATH")]
    etcd: Option<PathBuf>,
    /// Only answer echoes at this address, as the process at the other end of the floors.
    #[arg(long, hide = true)]
    echo: Option<SocketAddr>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let done = match options.echo {
        Some(address) => runtime.block_on(echo::serve(address)),
        None => runtime.block_on(measure::run(&options)).map(|rounds| print!("{}", report::table(&rounds))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("latency: {error}");
    ExitCode::FAILURE
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    #[error("a connection past the client: {0}")]
    Connect(#[from] tonic::transport::Error),
    #[error("a call past the client: {0}")]
    Status(#[from] tonic::Status),
    #[error("catena dev ended before it was ready: {0}; see what it printed above")]
    NotReady(std::process::ExitStatus),
    #[error("a call of the cluster under test: {0}")]
    Call(#[from] catena_net::client::ClientError),
}

/// Names what an I/O error was about.
fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { what: what.into(), source }
}
