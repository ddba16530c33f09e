//! `catena-sim replay` and `catena-sim shrink`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use catena_core::mutants::Mutant;
use catena_sim::replay::{Look, Replayed, Subject, shrink};
use catena_sim::{Printing, Scale};

use super::progress::Progress;
use super::{exit, files, say};

/// Begins every line that a reader may run.
pub(crate) const COMMAND: &str = "cargo run --release -p catena-sim --";

/// A seed, with a bug planted or without one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) scale: Scale,
    pub(crate) mutant: Option<Mutant>,
}

impl Case {
    /// As on the command line.
    pub(crate) fn arguments(&self) -> String {
        let mutant = self.mutant.map_or(String::new(), |mutant| format!(" --mutant {}", mutant.name()));
        format!("--seed {}{mutant} {}", self.seed, self.scale)
    }

    /// The line that shrinks it.
    pub(crate) fn shrink_command(&self) -> String {
        format!("{COMMAND} shrink {} --out seed-{}.replay --html seed-{}.html", self.arguments(), self.seed, self.seed)
    }
}

/// Where a page is to be written, and where to stop.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) html: Option<PathBuf>,
    pub(crate) until: Option<u64>,
}

/// Runs a seed again.
pub(crate) fn replay_seed(case: Case, wanted: &Wanted) -> Result<ExitCode, String> {
    let subject = Subject::seed(case.seed, case.scale, case.mutant);
    replay(&subject, wanted, &format!("{COMMAND} replay {}", case.arguments()))
}

/// Runs again what a file says.
pub(crate) fn replay_file(file: &Path, wanted: &Wanted) -> Result<ExitCode, String> {
    let (name, give) = (file.display(), "give a file that catena-sim shrink has written");
    let text = files::read(file).map_err(|why| format!("{name} cannot be read ({why}): {give}"))?;
    let subject = Subject::file(&text).map_err(|error| format!("{name}: {error}"))?;
    replay(&subject, wanted, &format!("{COMMAND} replay {name}"))
}

fn replay(subject: &Subject, wanted: &Wanted, command: &str) -> Result<ExitCode, String> {
    let printing = if wanted.html.is_some() { Printing::Off } else { Printing::On };
    if printing == Printing::On {
        say(&format!("options:\n{}", subject.options().table()));
    }
    let replayed = subject.replay(Look { printing, until: wanted.until, page: wanted.html.is_some() }, command);
    if let (Some(file), Some(page)) = (&wanted.html, &replayed.page) {
        write_page(file, page)?;
    }
    Ok(conclude(subject, &replayed))
}

fn write_page(file: &Path, page: &str) -> Result<(), String> {
    files::write(file, page)?;
    say(&format!("wrote {}: open it in a browser", file.display()));
    Ok(())
}

fn conclude(subject: &Subject, replayed: &Replayed) -> ExitCode {
    let Replayed { violation, hash, steps, stopped, difference, page: _ } = replayed;
    if let Some(difference) = difference {
        eprintln!("warning: {difference}");
    }
    let title = subject.title();
    match violation {
        Some(violation) => {
            say(&format!("{title} failed: {violation}"));
            ExitCode::from(exit(violation.severity))
        }
        None if *stopped => {
            say(&format!("{title}: stopped at step {steps}, nothing is violated so far"));
            ExitCode::SUCCESS
        }
        None => {
            say(&format!("{title} is clean: {steps} steps, trace {hash:016x}"));
            ExitCode::SUCCESS
        }
    }
}

/// Makes a failing seed small, and writes what is left to a file; and a page, if one is wanted.
pub(crate) fn shrink_seed(case: Case, out: &Path, html: Option<&Path>, time: Duration) -> Result<ExitCode, String> {
    if html == Some(out) {
        return Err(format!("{} cannot be both: give one file for --out and another for --html", out.display()));
    }
    [Some(out), html].into_iter().flatten().try_for_each(files::try_to_write)?;
    let (begun, mut progress) = (Instant::now(), Progress::new());
    let shrunk = shrink(case.seed, case.scale, case.mutant, time, |events, runs| {
        progress.show(|_| format!("{events} events left, {runs} runs"));
    });
    progress.end();
    let clean = || format!("{} is clean, there is nothing to shrink: give one that fails", case.arguments());
    let shrunk = shrunk.ok_or_else(clean)?;
    files::write(out, &shrunk.file)?;
    say(&format!(
        "{} of {} events are left, {:.3} virtual seconds; {} runs, {:.1?}",
        shrunk.events,
        shrunk.events_before,
        shrunk.virtual_time.as_secs_f64(),
        shrunk.runs,
        begun.elapsed()
    ));
    say(&format!("still violated: {}", shrunk.violation));
    say(&format!("wrote {}; replay: {COMMAND} replay {}", out.display(), out.display()));
    if let Some(html) = html {
        let subject = Subject::file(&shrunk.file).expect("it has just been written");
        let look = Look { printing: Printing::Off, until: None, page: true };
        let page = subject.replay(look, &format!("{COMMAND} replay {}", out.display())).page;
        write_page(html, &page.expect("it was asked for"))?;
    } else {
        say(&format!("to look at it: {COMMAND} replay {} --html {}", out.display(), out.with_extension("html").display()));
    }
    Ok(ExitCode::SUCCESS)
}
