//! The command line of the simulator: run seeds, shrink and replay one, prove the checkers on mutants.
#![forbid(unsafe_code)]

mod replays;
mod stories;

use std::io::{IsTerminal as _, Write as _};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use catena_core::mutants::Mutant;
use catena_sim::campaign::{ENOUGH, Report, Runs, run};
use catena_sim::mutation::{hunt_all, named, names, table};
use catena_sim::{Options, Printing, Scale, Severity, Violation, rules};
use clap::{Args, Parser, Subcommand};
use replays::{COMMAND, Case, Wanted, replay_file, replay_seed, shrink_seed};
use stories::Aim;

/// Runs Catena's machines in simulated worlds.
///
/// Exit codes: 0 clean, 1 a scenario shows something else than its file says, 2 usage, 10 safety violated, 11 liveness violated,
/// 12 a machine panicked, 13 many seeds did not come by every fault and every rule.
#[derive(Debug, Parser)]
#[command(name = "catena-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a range of seeds, each a world of its own.
    Run {
        /// The seeds, from A up to but without B.
        #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
        seeds: Range<u64>,
        #[command(flatten)]
        size: Size,
        /// Run each seed twice: both runs must leave the same trace.
        #[arg(long)]
        twice: bool,
        /// Threads; a world runs on one.
        #[arg(long, default_value_t = 2)]
        jobs: usize,
    },
    /// Run one seed again, or what a failing one was shrunk to: a line for each transition, or a page to look at.
    Replay {
        /// What catena-sim shrink has written.
        #[arg(value_name = "FILE", required_unless_present = "seed", conflicts_with_all = ["seed", "mutant", "ops", "nodes", "coordinators"])]
        file: Option<PathBuf>,
        /// The seed.
        #[arg(long)]
        seed: Option<u64>,
        /// With this bug planted, and the core's own assertions switched off.
        #[arg(long, value_name = "NAME", value_parser = parse_mutant)]
        mutant: Option<Mutant>,
        #[command(flatten)]
        size: Size,
        /// Write a space-time diagram to this file instead of lines: one page for a browser, which needs nothing else.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// Go no further than this step: the second number of a line.
        #[arg(long, value_name = "STEP")]
        until: Option<u64>,
    },
    /// Make a failing seed small: take faults, calls, nodes and slots out of it, for as long as the same checker fails.
    Shrink {
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// With this bug planted, and the core's own assertions switched off.
        #[arg(long, value_name = "NAME", value_parser = parse_mutant)]
        mutant: Option<Mutant>,
        #[command(flatten)]
        size: Size,
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
    Mutants {
        /// Seeds to try for each, at most.
        #[arg(long, default_value_t = 10_000)]
        seeds: u64,
        #[command(flatten)]
        size: Size,
        /// Threads.
        #[arg(long, default_value_t = 2)]
        jobs: usize,
        /// Only these, separated by commas.
        #[arg(long, value_name = "NAMES", value_parser = parse_mutant, value_delimiter = ',')]
        only: Vec<Mutant>,
        /// Write the table to this file too.
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
    },
    /// Run scenarios, and compare what they show with what their files say.
    Scenario {
        /// Write what they show into the files instead.
        #[arg(long)]
        write: bool,
        /// Print a line for each transition, as it happens.
        #[arg(long)]
        trace: bool,
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
        Scale { nodes: self.nodes as usize, operations: self.ops as usize, coordinators }
    }
}

fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("{text:?} is no range of seeds: write it as A..B with A below B, such as 0..1000");
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
    let seeds = number(start)?..number(end)?;
    if seeds.is_empty() { Err(wrong()) } else { Ok(seeds) }
}

fn parse_mutant(text: &str) -> Result<Mutant, String> {
    let known = || names();
    named(text).ok_or_else(|| format!("there is no mutant {text:?}: give one of {}", known()))
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run { seeds, size, twice, jobs } => {
            let runs = if twice { Runs::Twice } else { Runs::Once };
            run_seeds(seeds, size.scale(), runs, jobs)
        }
        Command::Replay { file, seed, mutant, size, html, until } => {
            let wanted = Wanted { html, until };
            match (file, seed) {
                (Some(file), _) => replay_file(&file, &wanted),
                (None, seed) => {
                    let seed = seed.expect("required, where there is no file");
                    replay_seed(Case { seed, scale: size.scale(), mutant }, &wanted)
                }
            }
        }
        Command::Shrink { seed, mutant, size, out, html, seconds } => {
            shrink_seed(Case { seed, scale: size.scale(), mutant }, &out, html, Duration::from_secs(seconds))
        }
        Command::Mutants { seeds, size, jobs, only, write } => {
            let chosen = if only.is_empty() { Mutant::ALL } else { &only };
            mutants(chosen, seeds, size.scale(), jobs, write)
        }
        Command::Scenario { write, trace, files } => {
            let aim = if write { Aim::Write } else { Aim::Compare };
            let printing = if trace { Printing::On } else { Printing::Off };
            stories::tell(&files, aim, printing)
        }
    }
}

fn run_seeds(seeds: Range<u64>, scale: Scale, runs: Runs, jobs: usize) -> ExitCode {
    let total = seeds.end - seeds.start;
    let begun = Instant::now();
    let mut printed = begun;
    let report = run(seeds, scale, runs, jobs, |report| {
        if printed.elapsed() >= Duration::from_secs(1) && std::io::stderr().is_terminal() {
            printed = Instant::now();
            eprint!("\r{} of {total} seeds, {} failed ", report.seeds, report.failures.len());
        }
    });
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    summarise(&report, begun.elapsed(), jobs);
    for (seed, violation) in &report.failures {
        print_failure(*seed, scale, violation);
    }
    let lacks = report.lacks(scale);
    if !lacks.is_empty() {
        println!("\n{ENOUGH} seeds should come by everything, these {total} never came by:\n  {}", lacks.join("\n  "));
    }
    match report.failures.first() {
        Some((_, violation)) => ExitCode::from(exit(violation.severity)),
        None if lacks.is_empty() => ExitCode::SUCCESS,
        None => ExitCode::from(NOT_REACHED),
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn summarise(report: &Report, took: Duration, jobs: usize) {
    let clean = (report.seeds - report.failures.len() as u64).max(1) as f64;
    let rate = report.seeds as f64 / took.as_secs_f64();
    let share = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
    println!("{} seeds, {} failed, {took:.1?}: {rate:.1} seeds/s on {jobs} threads", report.seeds, report.failures.len());
    println!("a seed, on average:");
    println!(
        "  {:>10.1} virtual seconds, {:.0} events",
        report.virtual_ns as f64 / 1e9 / clean,
        report.happenings as f64 / clean
    );
    println!(
        "  {:>10.1} calls, {:.1} % answered, {:.1} % of unknown outcome; {:.1} entries committed",
        report.calls as f64 / clean,
        share(report.answered, report.calls),
        share(report.unknown, report.calls),
        report.committed as f64 / clean
    );
    let (versions, cuts) = (report.new_versions as f64 / clean, report.cuts as f64 / clean);
    let members = report.reconfigurations as f64 / clean;
    println!("  {versions:>10.1} new chain versions, {members:.1} of them with other members; {cuts:.1} logs cut");
    let (injected, struck) = (report.injected() as f64 / clean, report.struck() as f64 / clean);
    println!(
        "  {injected:>10.1} faults of processes, links, disks and the store; {struck:.1} of single messages, calls and syncs"
    );
    println!(
        "longest time without a commit, with writes waiting and one node at most in trouble: {:.2} s",
        report.longest_gap_ns as f64 / 1e9
    );
    println!(
        "an order of its calls, found without looking at versions, for {} keys; {} given up",
        report.searches.keys - report.searches.given_up,
        report.searches.given_up
    );
    println!("faults:");
    let row = |count: u64, what: &str| println!("  {count:>10} {what}{}", if count == 0 { "  never reached" } else { "" });
    report.occurrences.iter().for_each(|(fault, count)| row(count, fault.name()));
    println!("rules of the protocol, where they show:");
    report.reached.iter().for_each(|(mark, count)| row(count, &rules::line(mark)));
}

fn print_failure(seed: u64, scale: Scale, violation: &Violation) {
    println!("\nseed {seed} failed: {violation}");
    println!("options:\n{}", Options::draw(seed, scale));
    let case = Case { seed, scale, mutant: None };
    println!("replay: {COMMAND} replay {}", case.arguments());
    println!("shrink: {}", case.shrink_command());
}

fn mutants(chosen: &[Mutant], seeds: u64, scale: Scale, jobs: usize, write: Option<PathBuf>) -> ExitCode {
    let fates = hunt_all(chosen, seeds, scale, jobs, |fate| match &fate.caught {
        Some((took, violation)) => eprintln!("{:<20} seed {:>6}: {violation}", fate.mutant.name(), took - 1),
        None => eprintln!("{:<20} NOT CAUGHT in {seeds} seeds", fate.mutant.name()),
    });
    let table = table(&fates, seeds, scale);
    say(&table);
    if let Some(file) = write
        && let Err(error) = std::fs::write(&file, table)
    {
        eprintln!("cannot write {} ({error}): give a file in a directory that exists", file.display());
        return ExitCode::from(2);
    }
    if fates.iter().all(|fate| fate.caught.is_some()) { ExitCode::SUCCESS } else { ExitCode::from(exit(Severity::Safety)) }
}

/// Prints a text. A closed pipe (`| head`) is the reader's choice.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The exit code of a campaign that did not come by everything.
const NOT_REACHED: u8 = 13;

/// The exit code for what was violated.
fn exit(severity: Severity) -> u8 {
    match severity {
        Severity::Safety => 10,
        Severity::Liveness => 11,
        Severity::Crash => 12,
    }
}
