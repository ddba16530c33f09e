//! `catena-sim replay` and `catena-sim shrink`.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use catena_core::mutants::Mutant;
use catena_sim::replay::{Look, Replayed, Subject, shrink};
use catena_sim::{Printing, Scale};

use super::progress::Progress;
use super::{exit, say};

/// No replay file is larger, in bytes.
const LARGEST: u64 = 64 << 20;

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
    let text = match read(file) {
        Ok(text) => text,
        Err(why) => return usage(&format!("{name} cannot be read ({why}): give a file that catena-sim shrink has written")),
    };
    match Subject::file(&text) {
        Ok(subject) => replay(&subject, wanted, &format!("{COMMAND} replay {name}")),
        Err(error) => usage(&format!("{name}: {error}")),
    }
}

fn read(file: &Path) -> Result<String, String> {
    let file = std::fs::File::open(file).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it has more than {} MiB", LARGEST >> 20));
    }
    // What is no text is no replay file, or a damaged one: that is said by whoever reads it.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn replay(subject: &Subject, wanted: &Wanted, command: &str) -> ExitCode {
    let printing = if wanted.html.is_some() { Printing::Off } else { Printing::On };
    if printing == Printing::On {
        say(&format!("options:\n{}", subject.options().table()));
    }
    let replayed = subject.replay(Look { printing, until: wanted.until, page: wanted.html.is_some() }, command);
    if let (Some(file), Some(page)) = (&wanted.html, &replayed.page) {
        if let Err(error) = std::fs::write(file, page) {
            return unwritable(file, &error);
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
pub(crate) fn shrink_seed(case: Case, out: &Path, html: Option<PathBuf>, time: Duration) -> ExitCode {
    // Before a minute is spent on it.
    if let Err(error) = std::fs::write(out, "") {
        return unwritable(out, &error);
    }
    let (begun, mut progress) = (Instant::now(), Progress::new());
    let shrunk = shrink(case.seed, case.scale, case.mutant, time, |events, runs| {
        progress.show(|_| format!("{events} events left, {runs} runs"));
    });
    progress.end();
    let Some(shrunk) = shrunk else {
        let _ = std::fs::remove_file(out); // it is empty
        return usage(&format!("{} is clean, there is nothing to shrink: give one that fails", case.arguments()));
    };
    if let Err(error) = std::fs::write(out, &shrunk.file) {
        return unwritable(out, &error);
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
    match html {
        Some(html) => {
            replay_file(out, &Wanted { html: Some(html), until: None });
        }
        None => {
            say(&format!("to look at it: {COMMAND} replay {} --html {}", out.display(), out.with_extension("html").display()));
        }
    }
    ExitCode::SUCCESS
}

fn unwritable(file: &Path, error: &std::io::Error) -> ExitCode {
    usage(&format!("cannot write {} ({error}): give a file in a directory that exists", file.display()))
}

fn usage(text: &str) -> ExitCode {
    eprintln!("error: {text}");
    ExitCode::from(2)
}
