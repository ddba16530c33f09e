//! What every program around a cluster of processes has in common.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::{Error, Setup, processes};

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
        Ok(Setup { catena, parent: self.data_dir.clone(), port, nodes: 3, replicas: 3, slots })
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
