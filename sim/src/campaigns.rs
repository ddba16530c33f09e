//! `catena-sim run`: a campaign of seeds, for a range of them or for a time, that can be stopped and gone on with, and whose
//! totals can be kept.

use std::cmp::Reverse;
use std::fmt;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use catena_sim::campaign::{ENOUGH, MOST_FAILURES, Report, Runs, go_on};
use catena_sim::{Checker, Options, Scale, rules};
use clap::Args;

use crate::progress::Progress;
use crate::replays::{COMMAND, Case};
use crate::totals::{Totals, record};
use crate::{Clocks, NOT_REACHED, Size, exit, say};

/// How often the totals are written.
const SAVING: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct Campaign {
    /// The seeds, from A up to but without B.
    #[arg(long, value_name = "A..B", value_parser = parse_seeds, required_unless_present = "time")]
    seeds: Option<Range<u64>>,
    /// As many seeds as there is time for: 90s, 30m, 2h.
    #[arg(long = "for", id = "time", value_name = "TIME", value_parser = parse_time, conflicts_with = "seeds")]
    time: Option<Duration>,
    /// The first seed of those.
    #[arg(long, value_name = "SEED", default_value_t = 0, conflicts_with = "seeds")]
    from: u64,
    #[command(flatten)]
    size: Size,
    #[command(flatten)]
    clocks: Clocks,
    /// Run each seed twice: both runs must leave the same trace.
    #[arg(long)]
    twice: bool,
    /// Threads; a world runs on one.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    jobs: u32,
    /// Keep the totals in this file; if it is there, go on behind the seeds that are in it.
    #[arg(long, value_name = "FILE")]
    totals: Option<PathBuf>,
    /// Enter the totals into the table of this file, such as docs/campaigns.md: a row for a commit and its first seed.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

impl Campaign {
    pub(crate) fn run(self) -> Result<ExitCode, String> {
        let (scale, runs) = (self.clocks.of(self.size.scale()), if self.twice { Runs::Twice } else { Runs::Once });
        let seeds = self.seeds.clone().unwrap_or(self.from..u64::MAX);
        let fresh = Totals::new(scale, runs, seeds.start)?;
        let mut totals = match &self.totals {
            Some(file) if file.exists() => Totals::read(file)?.following(&fresh, file)?,
            _ => fresh,
        };
        self.keep(&totals)?; // before hours are spent
        let (before, begun) = (totals.thread_seconds, Instant::now());
        let spent = || before + begun.elapsed().as_secs_f64() * f64::from(self.jobs);
        let of = self.time.map_or_else(|| (seeds.end - seeds.start).to_string(), |time| format!("as many as in {time:?}"));
        let mut progress = Progress::new();
        let mut saved = begun;
        let done = totals.report.clone();
        let next = (seeds.start + done.seeds)..seeds.end.max(seeds.start + done.seeds);
        let mut unsaved = Ok(());
        let report = go_on(done, next, scale, runs, self.jobs as usize, |report| {
            progress.show(|took| how_far(report, &of, report.seeds - totals.report.seeds, took));
            if saved.elapsed() >= SAVING {
                saved = Instant::now();
                unsaved = self.keep(&totals.grown(report, spent()));
            }
            let over = unsaved.is_err() || self.time.is_some_and(|time| begun.elapsed() >= time);
            if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        progress.end();
        unsaved?;
        totals = totals.grown(&report, spent());
        self.keep(&totals)?;
        say(&format!("{}", Summary { totals: &totals, jobs: self.jobs }));
        Ok(verdict(&totals, scale, self.totals.as_deref()))
    }

    /// Writes what has been done to where it was asked for.
    fn keep(&self, totals: &Totals) -> Result<(), String> {
        self.totals.as_deref().map_or(Ok(()), |file| totals.write(file))?;
        self.record.as_deref().map_or(Ok(()), |file| record(totals, file))
    }
}

/// How far it is; `new`: the seeds of the time that it took.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn how_far(report: &Report, of: &str, new: u64, took: Duration) -> String {
    let (seeds, faults, failed, rate) = (report.seeds, report.injected(), report.failures.len(), new as f64 / took.as_secs_f64());
    format!("{seeds} of {of} seeds, {rate:.1} a second, {faults} faults, {failed} failed")
}

/// Says what failed, and how the process is to end.
fn verdict(totals: &Totals, scale: Scale, file: Option<&Path>) -> ExitCode {
    let report = &totals.report;
    for failure in &report.failures {
        say(&format!("\nseed {} failed at {}: {}", failure.seed, totals.commit, failure.violation));
        say(&format!("options:\n{}", Options::draw(failure.seed, scale).table()));
        let case = Case { seed: failure.seed, scale, mutant: None };
        say(&format!("replay: {COMMAND} replay {}", case.arguments()));
        say(&format!("shrink: {}", case.shrink_command()));
    }
    for (checker, seeds) in by_checker(report) {
        say(&format!("{checker} failed in {} of {} seeds, first in {}", seeds.len(), report.seeds, seeds[0]));
    }
    let enough = report.failures.len() >= MOST_FAILURES;
    if enough {
        say(&format!("\nthe campaign is over: beside {MOST_FAILURES} failing seeds others tell little more"));
    }
    if let Some(file) = file {
        let more = if enough { "" } else { "; the same command goes on behind them" };
        say(&format!("\ntotals: {}{more}", file.display()));
    }
    let lacks = report.lacks(scale);
    if !lacks.is_empty() {
        let seeds = report.seeds;
        say(&format!("\n{ENOUGH} seeds should come by everything, these {seeds} never came by:\n  {}", lacks.join("\n  ")));
    }
    ExitCode::from(code(report, &lacks))
}

/// That of the gravest failure, wherever it stands among the seeds. What was not reached may be so because of a failure.
fn code(report: &Report, lacks: &[String]) -> u8 {
    match report.failures.iter().map(|failure| failure.severity).min() {
        Some(gravest) => exit(gravest),
        None if lacks.is_empty() => 0,
        None => NOT_REACHED,
    }
}

/// The seeds in which each guarantee failed, the most frequent first.
fn by_checker(report: &Report) -> Vec<(Checker, Vec<u64>)> {
    let mut seeds: Vec<(Checker, Vec<u64>)> = Vec::new();
    for failure in &report.failures {
        match seeds.iter_mut().find(|(checker, _)| *checker == failure.checker) {
            Some((_, seeds)) => seeds.push(failure.seed),
            None => seeds.push((failure.checker, vec![failure.seed])),
        }
    }
    seeds.sort_by_key(|(_, seeds)| Reverse(seeds.len()));
    seeds
}

/// What a campaign did, in figures.
struct Summary<'a> {
    totals: &'a Totals,
    jobs: u32,
}

impl fmt::Display for Summary<'_> {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { report, thread_seconds, .. } = self.totals;
        let seconds = thread_seconds / f64::from(self.jobs);
        let clean = (report.seeds - report.failures.len() as u64).max(1) as f64;
        let each = |count: u64| count as f64 / clean;
        let share = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
        let (seeds, failed, rate) = (report.seeds, report.failures.len(), report.seeds as f64 / seconds.max(1e-3));
        writeln!(f, "{seeds} seeds, {failed} failed, {seconds:.1} s: {rate:.1} seeds/s on {} threads", self.jobs)?;
        writeln!(f, "a seed, on average:")?;
        writeln!(f, "  {:>10.1} virtual seconds, {:.0} events", each(report.virtual_ns) / 1e9, each(report.happenings))?;
        writeln!(
            f,
            "  {:>10.1} calls, {:.1} % answered, {:.1} % of unknown outcome; {:.1} entries committed",
            each(report.calls),
            share(report.answered, report.calls),
            share(report.unknown, report.calls),
            each(report.committed)
        )?;
        let (versions, members, cuts) = (each(report.new_versions), each(report.reconfigurations), each(report.cuts));
        writeln!(f, "  {versions:>10.1} new chain versions, {members:.1} of them with other members; {cuts:.1} logs cut")?;
        let (injected, struck) = (each(report.injected()), each(report.struck()));
        writeln!(
            f,
            "  {injected:>10.1} faults of processes, links, disks and the store; {struck:.1} of single messages, calls and syncs"
        )?;
        writeln!(
            f,
            "longest time without a commit, with writes waiting and one node at most in trouble: {:.2} s",
            report.longest_gap_ns as f64 / 1e9
        )?;
        writeln!(
            f,
            "an order of its calls, found without looking at versions, for {} keys; {} given up",
            report.searches.keys - report.searches.given_up,
            report.searches.given_up
        )?;
        let row = |f: &mut fmt::Formatter<'_>, count: u64, what: &str| {
            write!(f, "\n  {count:>10} {what}{}", if count == 0 { "  never reached" } else { "" })
        };
        write!(f, "faults:")?;
        report.occurrences.iter().try_for_each(|(fault, count)| row(f, count, fault.name()))?;
        write!(f, "\nrules of the protocol, where they show:")?;
        report.reached.iter().try_for_each(|(mark, count)| row(f, count, &rules::line(mark)))
    }
}

fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("{text:?} is no range of seeds: write it as A..B with A below B, such as 0..1000");
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
    let seeds = number(start)?..number(end)?;
    if seeds.is_empty() { Err(wrong()) } else { Ok(seeds) }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: give a number and s, m or h, such as 90s, 30m or 2h");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    if number == 0 { Err(wrong()) } else { Ok(Duration::from_secs(u64::from(number) * unit)) }
}

#[cfg(test)]
mod tests {
    use catena_sim::Severity::{self, Crash, Liveness, Safety};
    use catena_sim::campaign::Failure;

    use super::*;

    #[test]
    fn the_exit_code_is_that_of_the_gravest_failure_wherever_it_stands() {
        let code_of = |severities: &[Severity], lacks: &[String]| {
            let failure = |(seed, severity)| Failure { seed, severity, checker: Checker::Progress, violation: String::new() };
            let failures = (0..).zip(severities.iter().copied()).map(failure).collect();
            code(&Report { failures, ..Report::default() }, lacks)
        };
        let lacks = ["fault: nobody came by it".to_owned()];
        for (severities, expected) in [
            (&[Liveness, Crash, Safety][..], 10),
            (&[Safety, Liveness], 10),
            (&[Liveness, Crash], 12),
            (&[Crash, Liveness], 12),
            (&[Liveness], 11),
        ] {
            assert_eq!(code_of(severities, &[]), expected, "{severities:?}");
            assert_eq!(code_of(severities, &lacks), expected, "{severities:?}, and not all was reached");
        }
        assert_eq!((code_of(&[], &[]), code_of(&[], &lacks)), (0, NOT_REACHED));
    }
}
