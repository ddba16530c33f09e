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
pub(crate) fn replay_seed(case: Case, wanted: &Wanted) -> ExitCode {
    let subject = Subject::seed(case.seed, case.scale, case.mutant);
    replay(&subject, wanted, &format!("{COMMAND} replay {}", case.arguments()))
}

/// Runs again what a file says.
pub(crate) fn replay_file(file: &Path, wanted: &Wanted) -> ExitCode {
    let name = file.display();
    let text = match files::read(file) {
        Ok(text) => text,
        Err(why) => return usage(&format!("{name} cannot be read ({why}): give a file that catena-sim shrink has written")),
    };
    match Subject::file(&text) {
        Ok(subject) => replay(&subject, wanted, &format!("{COMMAND} replay {name}")),
        Err(error) => usage(&format!("{name}: {error}")),
    }
}

fn replay(subject: &Subject, wanted: &Wanted, command: &str) -> ExitCode {
    let printing = if wanted.html.is_some() { Printing::Off } else { Printing::On };
    if printing == Printing::On {
        say(&format!("options:\n{}", subject.options().table()));
    }
    let replayed = subject.replay(Look { printing, until: wanted.until, page: wanted.html.is_some() }, command);
    if let (Some(file), Some(page)) = (&wanted.html, &replayed.page) {
        if let Err(problem) = files::write(file, page) {
            return usage(&problem);
        }
        say(&format!("wrote {}: open it in a browser", file.display()));
    }
    conclude(subject, &replayed)
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
pub(crate) fn shrink_seed(case: Case, out: &Path, html: Option<&Path>, time: Duration) -> ExitCode {
    if html == Some(out) {
        return usage(&format!("{} cannot be both: give one file for --out and another for --html", out.display()));
    }
    if let Err(problem) = [Some(out), html].into_iter().flatten().try_for_each(files::try_to_write) {
        return usage(&problem);
    }
    let (begun, mut progress) = (Instant::now(), Progress::new());
    let shrunk = shrink(case.seed, case.scale, case.mutant, time, |events, runs| {
        progress.show(|_| format!("{events} events left, {runs} runs"));
    });
    progress.end();
    let Some(shrunk) = shrunk else {
        return usage(&format!("{} is clean, there is nothing to shrink: give one that fails", case.arguments()));
    };
    if let Err(problem) = files::write(out, &shrunk.file) {
        return usage(&problem);
    }
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
        return draw(&shrunk.file, out, html);
    }
    say(&format!("to look at it: {COMMAND} replay {} --html {}", out.display(), out.with_extension("html").display()));
    ExitCode::SUCCESS
}

/// Draws what has just been written to `out`.
fn draw(text: &str, out: &Path, html: &Path) -> ExitCode {
    let subject = Subject::file(text).expect("it has just been written");
    let look = Look { printing: Printing::Off, until: None, page: true };
    let page = subject.replay(look, &format!("{COMMAND} replay {}", out.display())).page.expect("it was asked for");
    match files::write(html, &page) {
        Ok(()) => {
            say(&format!("wrote {}: open it in a browser", html.display()));
            ExitCode::SUCCESS
        }
        Err(problem) => usage(&problem),
    }
}

fn usage(text: &str) -> ExitCode {
    eprintln!("error: {text}");
    ExitCode::from(2)
}
