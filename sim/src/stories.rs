//! `catena-sim scenario`: plays scenario files, and compares or writes what they show.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use catena_core::mutants::Mutant;
use catena_sim::mutation::with_any;
use catena_sim::scenario::{Played, play};
use catena_sim::{Printing, Severity};

use super::{exit, say};

/// What is done with what a scenario shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// It is compared with what the file says.
    Compare,
    /// It is written into the file.
    Write,
}

/// How scenarios are played.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Telling {
    pub(crate) aim: Aim,
    pub(crate) printing: Printing,
    /// The bug that is planted.
    pub(crate) mutant: Option<Mutant>,
}

/// How a file fared, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Same,
    Differs,
    Unusable,
    Halted(Reverse<Severity>),
}

/// Plays these files, or all that there are. The exit code is that of the worst.
pub(crate) fn tell(files: &[PathBuf], telling: Telling) -> Result<ExitCode, String> {
    let files = if files.is_empty() { catena_sim::scenario::files()? } else { files.to_vec() };
    if let Some(mutant) = telling.mutant {
        say(&format!("{} breaks rule {}: {}", mutant.name(), mutant.rule(), mutant.story()));
    }
    let mut worst = Fate::Same;
    for file in &files {
        worst = worst.max(tell_one(file, telling));
    }
    Ok(match worst {
        Fate::Same => {
            say(&format!("{} scenarios, all as their files say", files.len()));
            ExitCode::SUCCESS
        }
        Fate::Differs => ExitCode::from(1),
        Fate::Unusable => ExitCode::from(2),
        Fate::Halted(Reverse(severity)) => ExitCode::from(exit(severity)),
    })
}

fn tell_one(file: &Path, telling: Telling) -> Fate {
    let name = file.display();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            say_error(&format!(
                "{name} cannot be read ({error}): give a scenario file, such as those of sim/scenarios: {}",
                known()
            ));
            return Fate::Unusable;
        }
    };
    let Played { text: now, differences, halt } = match with_any(telling.mutant, || play(&text, telling.printing)) {
        Ok(played) => played,
        Err(error) => {
            say_error(&format!("{name}: {error}"));
            return Fate::Unusable;
        }
    };
    if let Some(halt) = halt {
        for difference in &differences {
            say(&format!("{name}, {difference}"));
        }
        say(&format!("{name}, {halt}"));
        return Fate::Halted(Reverse(halt.severity()));
    }
    match telling.aim {
        Aim::Compare if differences.is_empty() => Fate::Same,
        Aim::Compare => {
            for difference in &differences {
                say(&format!("{name}, {difference}"));
            }
            Fate::Differs
        }
        Aim::Write => match std::fs::write(file, now) {
            Ok(()) => Fate::Same,
            Err(error) => {
                say_error(&format!("{name} cannot be written ({error}): check its permissions"));
                Fate::Unusable
            }
        },
    }
}

/// The scenarios that there are.
fn known() -> String {
    let files = catena_sim::scenario::files().unwrap_or_default();
    files.iter().map(|file| file.file_name().unwrap_or_default().display().to_string()).collect::<Vec<_>>().join(", ")
}

fn say_error(text: &str) {
    eprintln!("error: {text}");
}
