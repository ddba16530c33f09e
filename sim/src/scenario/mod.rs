//! Scenarios: stories of what goes wrong, told in commands, each followed by what came of it.
//!
//! A scenario runs on the same world as a seed does: the same machines, disks, network, coordinators, clients and checkers.
//! But nothing is left to chance: every message and every sync takes 1 ms, and what happens is what the script says. So a
//! reader can follow it, and its output is the same every time.
//!
//! `command.rs` has the commands, `parse.rs` and `script.rs` how they are written, `shape.rs` the settings of a cluster; `run.rs`
//! and `deeds.rs` run them, `render.rs` shows.

mod command;
mod deeds;
mod error;
mod lines;
mod names;
mod parse;
pub(crate) mod render;
mod run;
mod scene;
mod script;
mod shape;
mod traffic;
mod words;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub use error::ScriptError;
pub use run::Halt;

use crate::campaign::caught;
use crate::check::{Checker, Severity, Violation};
use crate::trace::Printing;
use run::Run;
use script::Script;

/// What a scenario did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    /// The file with the outputs of this run, as far as it came.
    pub text: String,
    /// Outputs that are not those of the file.
    pub differences: Vec<Difference>,
    /// Why it did not come to its end.
    pub halt: Option<Halt>,
}

/// An output that is another one than the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where the output begins, from 1.
    pub line: usize,
    /// As in the file.
    pub was: Vec<String>,
    /// As in this run.
    pub is: Vec<String>,
}

/// Every scenario file there is, by name.
///
/// # Errors
/// The folder cannot be read, or has none.
pub fn files() -> Result<Vec<PathBuf>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let lacks = |what: &dyn std::fmt::Display| {
        format!("{}, where the project's scenarios were when this was built: {what}: give files", folder.display())
    };
    let entries = std::fs::read_dir(&folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| lacks(&error))?;
    let texts = entries.into_iter().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ext| ext == "txt"));
    let mut files: Vec<PathBuf> = texts.collect();
    files.sort();
    if files.is_empty() { Err(lacks(&"there are none")) } else { Ok(files) }
}

/// Runs a scenario.
///
/// # Errors
/// What is wrong with its text.
pub fn play(text: &str, printing: Printing) -> Result<Played, ScriptError> {
    let script = Script::parse(text)?;
    let mut run = Run::new(printing);
    let ended = caught(|| run.all(&script));
    let (outputs, line) = run.left();
    let halt = match ended {
        Ok(ended) => ended.err(),
        Err(sentence) => {
            let violation = Violation { severity: Severity::Crash, checker: Checker::Assertion, rule: "core", sentence };
            Some(Halt::Violated { line, violation })
        }
    };
    let blocks = script.blocks.iter().zip(&outputs).filter(|(block, output)| block.output != **output);
    let differences = blocks
        .map(|(block, output)| Difference { line: block.output_line, was: block.output.clone(), is: output.clone() })
        .collect();
    Ok(Played { text: script.render(&outputs), differences, halt })
}

/// The text as it would be written with the outputs that it has; for `fuzz/`.
///
/// # Errors
/// What is wrong with it.
#[doc(hidden)]
pub fn rewritten(text: &str) -> Result<String, ScriptError> {
    let script = Script::parse(text)?;
    let outputs: Vec<Vec<String>> = script.blocks.iter().map(|block| block.output.clone()).collect();
    Ok(script.render(&outputs))
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let same = self.was.iter().zip(&self.is).take_while(|(was, is)| was == is).count();
        let (was, is) = (&self.was[same..], &self.is[same..]);
        let end = was.iter().rev().zip(is.iter().rev()).take_while(|(was, is)| was == is).count();
        let mut text = String::new();
        for line in &was[..was.len() - end] {
            writeln!(text, "- {line}")?;
        }
        for line in &is[..is.len() - end] {
            writeln!(text, "+ {line}")?;
        }
        write!(f, "line {}:\n{text}", self.line + same)
    }
}

impl Halt {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Halt::Violated { violation, .. } => violation.severity,
            Halt::Unmet { .. } | Halt::NoCluster { .. } | Halt::NobodyLeads { .. } | Halt::NothingThere { .. } => {
                Severity::Liveness
            }
        }
    }
}
