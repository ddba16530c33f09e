//! `catena-sim process`: rounds with real processes.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use catena_core::mutants::Mutant;
use catena_sim::process::{Campaign, Failure, MUTANT_VARIABLE, Plant, Trouble, run as run_campaign};
use clap::Args;

use crate::progress::Progress;
use crate::replays::COMMAND;
use crate::{exit, parse_mutant, say};

/// Run rounds with real processes.
#[derive(Debug, Args)]
#[command(after_help = "\
A cluster of a coordinator and four nodes lives through ten rounds, then it is stopped, and its disks are compared; the next
one has the next seed. In a round clients call, one or two faults happen, everything is undone, and within 30 s every chain is
whole again and every call has ended. What clients have seen is checked after each round, from the cluster's first one on.

The binary must have no planted bugs compiled in. Build both, each by itself; neither overwrites the other:
  cargo build --release -p catena-node
  cargo build --release -p catena-sim

With --mutant it must have them, and each process has that one, which must be noticed:
  cargo build --release -p catena-node --features mutants --target-dir target/planted
  catena-sim process --binary target/planted/release/catena --mutant AnswerBeforeCommit --seed 1

Networks are cut and small disks mounted in namespaces of their own, with unshare, ip and mount: as root, or where users may
have such namespaces. Faults that cannot be had are named at the start.

Exit codes: 0 clean, 2 usage, 10 safety violated, 11 liveness violated, 12 a process panicked or ended that nobody had asked to, 130
interrupted.")]
pub(crate) struct ProcessArguments {
    /// Rounds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rounds: u64,
    /// The seed of the first cluster.
    #[arg(long)]
    seed: u64,
    /// The binary under test. [default: catena, beside this one]
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Keep data, logs and histories in this directory. [default: a temporary one, of which only a failure is kept]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// How long chains may take to be whole again after the last fault, in seconds.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    heal_within: u64,
    /// With this done wrong, which must be noticed: old-disks, repeats-outside-sessions, unhealed or unasked.
    #[arg(long, value_name = "NAME", value_parser = parse_plant)]
    plant: Option<Plant>,
    /// With this bug in the binary, one of docs/mutants.md, which must be noticed.
    #[arg(long, value_name = "NAME", value_parser = parse_mutant, requires = "binary")]
    mutant: Option<Mutant>,
}

fn parse_plant(text: &str) -> Result<Plant, String> {
    let names = || Plant::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let found = Plant::ALL.iter().find(|(name, _)| *name == text);
    found.map(|(_, plant)| *plant).ok_or_else(|| format!("nothing is planted as {text:?}: give one of {}", names()))
}

pub(crate) fn run(arguments: ProcessArguments) -> Result<ExitCode, String> {
    let ProcessArguments { rounds, seed, binary, keep, heal_within, plant, mutant } = arguments;
    let binary = there(&binary.map_or_else(beside, Ok)?, mutant)?;
    let campaign = Campaign { rounds, seed, binary, mutant, keep, healing: Duration::from_secs(heal_within), plant };
    let (begun, mut progress) = (Instant::now(), Progress::new());
    let ended = run_campaign(
        &campaign,
        |table| say(table.trim_end()),
        |report| progress.show(|took| format!("{} of {rounds} rounds, {} faults, {took:.0?}", report.rounds, report.faults())),
    );
    progress.end();
    match ended {
        Ok(report) => {
            say(format!("{report}{:.0?} in all", begun.elapsed()).trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => tell(&failure, &campaign).map(ExitCode::from),
    }
}

/// Says what failed; the exit code, unless it is what was asked for.
fn tell(failure: &Failure, campaign: &Campaign) -> Result<u8, String> {
    let violation = match &failure.trouble {
        Trouble::Here(problem) => return Err(problem.clone()),
        Trouble::Interrupted => return Ok(130),
        Trouble::Violated(violation) => violation,
    };
    let Failure { seed, round, faults, kept, .. } = failure;
    say(&format!("seed {seed}, round {round} failed: {violation}"));
    let none = vec!["none of this round".to_owned()];
    let faults = if faults.is_empty() { &none } else { faults };
    say(&format!("faults, from the round's begin:\n  {}", faults.join("\n  ")));
    if let Some(kept) = kept {
        say(&format!("logs, data and history: {}", kept.display()));
    }
    let planted = Plant::ALL.iter().find(|(_, plant)| Some(*plant) == campaign.plant);
    let plant = planted.map(|(name, _)| format!(" --plant {name}")).unwrap_or_default();
    let mutant = campaign.mutant.map(|mutant| format!(" --mutant {}", mutant.name())).unwrap_or_default();
    let (binary, rounds, heal_within) = (campaign.binary.display(), round.max(&1), campaign.healing.as_secs());
    let given = format!("--seed {seed} --rounds {rounds} --heal-within {heal_within} --binary {binary}{plant}{mutant}");
    say(&format!("again: {COMMAND} process {given}"));
    Ok(exit(violation.severity))
}

/// The binary that was built beside this one.
fn beside() -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|error| format!("this program is not found ({error}): give --binary"))?;
    Ok(this.with_file_name("catena"))
}

/// Demands that the binary is there, and has the bug that it is to have, or else none.
fn there(binary: &Path, mutant: Option<Mutant>) -> Result<PathBuf, String> {
    let (shown, build) = (binary.display(), "cargo build --release -p catena-node");
    if !binary.is_file() {
        return Err(format!("{shown} is no file: {build}, or give --binary"));
    }
    let mut version = Command::new(binary);
    version.arg("--version").envs(mutant.map(|mutant| (MUTANT_VARIABLE, mutant.name())));
    let output = version.output().map_err(|error| format!("{shown} does not run: {error}"))?;
    let says = |text: &str| [&output.stdout, &output.stderr].into_iter().any(|said| String::from_utf8_lossy(said).contains(text));
    match mutant {
        _ if !says("catena ") => return Err(format!("{shown} is no catena: {build}, or give --binary")),
        None if says("planted bugs") => return Err(format!("{shown} has planted bugs compiled in: {build}, by itself")),
        Some(mutant) if !says(&format!("planted bug: {}", mutant.name())) => {
            return Err(format!("{shown} cannot have a planted bug: {build} --features mutants --target-dir target/planted"));
        }
        None | Some(_) => {}
    }
    std::path::absolute(binary).map_err(|error| error.to_string())
}
