//! `catena-sim mutants`: every planted bug, until a checker notices.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use catena_core::mutants::Mutant;
use catena_sim::mutation::{Effort, Fate, hunt_all, table};
use clap::Args;

use crate::{NOT_REACHED, Size, files, parse_mutant, say};

/// How long a seed is made smaller: as `catena-sim shrink` does it unless it is told otherwise.
const SHRINKING: Duration = Duration::from_mins(1);

#[derive(Debug, Args)]
pub(crate) struct Hunts {
    /// Seeds to try for each, at most.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    seeds: u64,
    #[command(flatten)]
    size: Size,
    /// Threads.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    jobs: u32,
    /// Only these, separated by commas.
    #[arg(long, value_name = "NAMES", value_parser = parse_mutant, value_delimiter = ',')]
    only: Vec<Mutant>,
    /// Hunt each a second time with nothing but the checkers of histories and of liveness, under so many seeds at most.
    #[arg(long, value_name = "SEEDS", default_value_t = 0)]
    outside: u64,
    /// Shrink the seed that each is caught by, for a minute at most, and say how many events are left and how long it took.
    #[arg(long)]
    shrink: bool,
    /// Write the table to this file too.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

impl Hunts {
    pub(crate) fn run(self) -> Result<ExitCode, String> {
        self.write.as_deref().map_or(Ok(()), files::try_to_write)?;
        let chosen = if self.only.is_empty() { Mutant::ALL } else { &self.only };
        let effort = Effort {
            seeds: self.seeds,
            outside: self.outside,
            scale: self.size.scale(),
            shrinking: self.shrink.then_some(SHRINKING),
        };
        let fates = hunt_all(chosen, effort, self.jobs as usize, |fate| tell(fate, self.seeds));
        let table = table(&fates, effort);
        say(&table);
        self.write.as_deref().map_or(Ok(()), |file| files::write(file, &table))?;
        let all = fates.iter().all(|fate| fate.caught.is_some());
        Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(NOT_REACHED) })
    }
}

fn tell(fate: &Fate, seeds: u64) {
    let name = fate.mutant.name();
    match &fate.caught {
        Some((took, violation)) => eprintln!("{name:<20} seed {:>6}: {violation}", took - 1),
        None => eprintln!("{name:<20} NOT CAUGHT in {seeds} seeds"),
    }
    if let Some((took, violation)) = &fate.outside {
        eprintln!("{:<20} from the outside, seed {:>6}: {violation}", "", took - 1);
    }
    if let Some(small) = fate.small {
        eprintln!("{:<20} shrunk to {small}", "");
    }
}
