//! What every program around a cluster of processes has in common.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::{Cluster, Error, Load, Setup, Writers, processes};

/// Where a program finds and puts things.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// Where the cluster's data lies.
    #[arg(long, default_value = ".")]
    data_dir: PathBuf,
    /// The binary under test. Default: the `catena` beside this one.
    #[arg(long)]
    catena: Option<PathBuf>,
}

impl Place {
    /// A cluster of three nodes and chains of three here, whose coordinator listens at `port`: each program has its own, far
    /// from the default ones, so that a running `catena dev` is not disturbed.
    ///
    /// # Errors
    /// When there is no binary to test.
    pub fn setup(&self, port: u16, slots: u32) -> Result<Setup, Error> {
        let catena = processes::binary(self.catena.as_deref())?;
        Ok(Setup { catena, parent: self.data_dir.clone(), port, nodes: 3, replicas: 3, slots, settings: Vec::new() })
    }
}

/// A cluster of small chains, all of them written to.
#[derive(Debug, clap::Args)]
pub struct Pressure {
    /// Chains, of three members each, over three nodes.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    pub slots: u32,
    /// Writers a slot.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    writers: u32,
    /// Bytes a value.
    #[arg(long, default_value_t = 256)]
    value_bytes: usize,
    #[command(flatten)]
    place: Place,
}

impl Pressure {
    /// The cluster.
    ///
    /// # Errors
    /// As [`Place::setup`].
    pub fn setup(&self, port: u16) -> Result<Setup, Error> {
        self.place.setup(port, self.slots)
    }

    /// The writers, each write with so much time.
    ///
    /// # Errors
    /// As [`Load::start`].
    pub async fn load(&self, cluster: &Cluster, call_timeout: Duration) -> Result<Load, Error> {
        let Self { writers, value_bytes, .. } = *self;
        Load::start(cluster.endpoints(), Writers { writers, value_bytes, call_timeout, ..Writers::default() }).await
    }
}

/// What a program found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is as it should be.
    Good,
    /// It is not, as was printed.
    Bad,
}

/// Runs a program to its end.
pub fn main(program: &str, run: impl Future<Output = Result<Verdict, Error>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Error::io("starting")).and_then(|runtime| runtime.block_on(run)) {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::FAILURE
        }
    }
}
