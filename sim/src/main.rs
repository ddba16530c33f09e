//! The command line of the simulator: run seeds, shrink and replay one, prove the checkers on mutants.
#![forbid(unsafe_code)]

mod campaigns;
mod files;
mod hunts;
#[cfg(not(madsim))]
mod processes;
mod progress;
mod replays;
mod stories;
mod totals;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use campaigns::Campaign;
use catena_core::mutants::Mutant;
use catena_sim::mutation::{named, names};
use catena_sim::{MOST_DRIFT, PROMISED_DRIFT, Printing, Scale, Severity};
use clap::{Args, Parser, Subcommand};
use hunts::Hunts;
use replays::{Case, Wanted, replay_file, replay_seed, shrink_seed};
use stories::{Aim, Telling};

/// Runs Catena's machines in simulated worlds.
///
/// Exit codes: 0 clean, 1 a scenario shows something else than its file says, 2 usage, 10 safety violated, 11 liveness violated,
/// 12 a machine panicked or a process ended that nobody had asked to, 13 many seeds did not come by every fault and every rule, or
/// not by what shows a planted bug, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "catena-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a range of seeds, each a world of its own. Ten that fail end it.
    Run(Campaign),
    /// Run one seed again, or what a failing one was shrunk to: a line for each transition, or a page to look at.
    Replay {
        /// What catena-sim shrink has written.
        #[arg(value_name = "FILE", required_unless_present = "seed", conflicts_with_all = ["seed", "mutant", "ops", "nodes", "coordinators", "drift"])]
        file: Option<PathBuf>,
        /// The seed.
        #[arg(long)]
        seed: Option<u64>,
        /// With this bug planted, and the core's own assertions switched off.
        #[arg(long, value_name = "NAME", value_parser = parse_mutant)]
        mutant: Option<Mutant>,
        #[command(flatten)]
        size: Size,
        #[command(flatten)]
        clocks: Clocks,
        /// Write a space-time diagram to this file instead of lines: one page for a browser, which needs nothing else.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// Go no further than this step: the second number of a line.
        #[arg(long, value_name = "STEP")]
        until: Option<u64>,
    },
    /// Make a failing seed small: take faults, calls, nodes and slots out of it, for as long as the same rule is violated.
    Shrink {
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// With this bug planted, and the core's own assertions switched off.
        #[arg(long, value_name = "NAME", value_parser = parse_mutant)]
        mutant: Option<Mutant>,
        #[command(flatten)]
        size: Size,
        #[command(flatten)]
        clocks: Clocks,
        /// Write what is left to this file: catena-sim replay takes it.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Write a space-time diagram of it to this file too.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// How long to try, in seconds.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        seconds: u64,
    },
    /// Run every planted bug until a checker notices.
    Mutants(Hunts),
    /// Run rounds with real processes: the binary catena, its store on disk and TCP, while they are killed, paused and cut off.
    #[cfg(not(madsim))]
    Process(processes::ProcessArguments),
    /// Run scenarios, and compare what they show with what their files say.
    Scenario {
        /// Write what they show into the files instead.
        #[arg(long)]
        write: bool,
        /// Print a line for each transition, as it happens.
        #[arg(long)]
        trace: bool,
        /// With this bug planted, and the core's own assertions switched off: what goes otherwise is shown.
        #[arg(long, value_name = "NAME", value_parser = parse_mutant, conflicts_with = "write")]
        mutant: Option<Mutant>,
        /// The files; all of `sim/scenarios` where none is given.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, Args)]
struct Size {
    /// Operations of clients in each world.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    ops: u32,
    /// Storage nodes.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=9))]
    nodes: u32,
    /// Coordinators; one to three, as the seed draws, where it is not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=5))]
    coordinators: Option<u32>,
}

impl Size {
    fn scale(self) -> Scale {
        let coordinators = self.coordinators.map(|coordinators| coordinators as usize);
        Scale { nodes: self.nodes as usize, operations: self.ops as usize, coordinators, ..Scale::default() }
    }
}

#[derive(Clone, Copy, Debug, Args)]
struct Clocks {
    /// By how many percent any two clocks run apart at most. The protocol allows for 1: beyond it, leases may be believed in
    /// by nobody else, and what fails first shows what they are for.
    #[arg(long, value_name = "PERCENT", default_value_t = PROMISED_DRIFT, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_DRIFT)))]
    drift: u32,
}

impl Clocks {
    fn of(self, scale: Scale) -> Scale {
        Scale { drift: self.drift, ..scale }
    }
}

fn parse_mutant(text: &str) -> Result<Mutant, String> {
    named(text).ok_or_else(|| format!("there is no mutant {text:?}: give one of {}", names()))
}

fn main() -> ExitCode {
    run(Cli::parse().command).unwrap_or_else(|problem| {
        eprintln!("error: {problem}");
        ExitCode::from(2)
    })
}

/// Does what was asked for; or says what is wrong with that.
fn run(command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Run(campaign) => campaign.run(),
        Command::Replay { file, seed, mutant, size, clocks, html, until } => {
            let wanted = Wanted { html, until };
            match (file, seed) {
                (Some(file), _) => replay_file(&file, &wanted),
                (None, seed) => {
                    let seed = seed.expect("required, where there is no file");
                    replay_seed(Case { seed, scale: clocks.of(size.scale()), mutant }, &wanted)
                }
            }
        }
        Command::Shrink { seed, mutant, size, clocks, out, html, seconds } => {
            let case = Case { seed, scale: clocks.of(size.scale()), mutant };
            shrink_seed(case, &out, html.as_deref(), Duration::from_secs(seconds))
        }
        Command::Mutants(hunts) => hunts.run(),
        #[cfg(not(madsim))]
        Command::Process(arguments) => processes::run(arguments),
        Command::Scenario { write, trace, mutant, files } => {
            let aim = if write { Aim::Write } else { Aim::Compare };
            let printing = if trace { Printing::On } else { Printing::Off };
            stories::tell(&files, Telling { aim, printing, mutant })
        }
    }
}

/// Prints a text. A closed pipe (`| head`) is the reader's choice.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The exit code of seeds that did not come by everything.
const NOT_REACHED: u8 = 13;

/// The exit code for what was violated.
fn exit(severity: Severity) -> u8 {
    match severity {
        Severity::Safety => 10,
        Severity::Liveness => 11,
        Severity::Crash => 12,
    }
}
