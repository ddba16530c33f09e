//! The totals of a campaign, in a file that it goes on from and in a table by commit.

use std::fs;
use std::path::Path;

use catena_sim::Scale;
use catena_sim::campaign::{Report, Runs};
use serde::{Deserialize, Serialize};

use crate::files;

/// What this was built from, as `build.rs` has found out.
const COMMIT: &str = env!("CATENA_COMMIT");

/// What the head of a table of campaigns begins with.
const HEAD: &str = "| commit | size | first seed |";

/// What a campaign has done, in all its sittings.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Totals {
    /// The build: seeds mean the same worlds only in the same one.
    build: String,
    /// The commit that the program was built from.
    pub(crate) commit: String,
    /// How large its worlds are, as on the command line, and how often each is run.
    size: String,
    first: u64,
    /// Those of one thread: by the clock, times the threads, in all sittings.
    pub(crate) thread_seconds: f64,
    pub(crate) report: Report,
}

impl Totals {
    /// Of a campaign that begins.
    pub(crate) fn new(scale: Scale, runs: Runs, first: u64) -> Result<Self, String> {
        let twice = if runs == Runs::Twice { " --twice" } else { "" };
        let (size, report) = (format!("{scale}{twice}"), Report::default());
        Ok(Self { build: build()?, commit: COMMIT.to_owned(), size, first, thread_seconds: 0.0, report })
    }

    pub(crate) fn grown(&self, report: &Report, thread_seconds: f64) -> Self {
        Self { thread_seconds, report: report.clone(), ..self.clone() }
    }

    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let name = file.display();
        let text = files::read(file).map_err(|error| format!("cannot read {name} ({error}): give another file"))?;
        serde_json::from_str(&text).map_err(|error| format!("{name} holds no totals ({error}): give another file, or remove it"))
    }

    pub(crate) fn write(&self, file: &Path) -> Result<(), String> {
        files::replace(file, &serde_json::to_string_pretty(self).expect("text and numbers"))
    }

    /// These totals, if the campaign that begins would be their continuation.
    pub(crate) fn following(self, begins: &Self, file: &Path) -> Result<Self, String> {
        let name = file.display();
        let told_apart = [
            ("are of another build", self.build == begins.build),
            ("are of worlds of another size", self.size == begins.size),
            ("begin at another seed", self.first == begins.first),
        ];
        match told_apart.iter().find(|(_, same)| !same) {
            None => Ok(self),
            Some((what, _)) => Err(format!(
                "the totals in {name} {what} ({} {} from seed {} on): give another file",
                self.commit, self.size, self.first
            )),
        }
    }

    /// What the row of this campaign begins with.
    fn name(&self) -> String {
        format!("| {} | `{}` | {} |", self.commit, self.size, self.first)
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn row(&self) -> String {
        let Report { seeds, calls, answered, longest_gap_ns, reconfigurations, virtual_ns, failures, .. } = &self.report;
        let each = |count: u64| count as f64 / (seeds - failures.len() as u64).max(1) as f64;
        format!(
            "{} {seeds} | {} | {:.1} | {:.1} | {:.1} | {:.1} % | {:.2} s | {:.1} |",
            self.name(),
            failures.len(),
            *virtual_ns as f64 / 86_400e9,
            each(self.report.injected()),
            each(*reconfigurations),
            *answered as f64 * 100.0 / (*calls).max(1) as f64,
            *longest_gap_ns as f64 / 1e9,
            *seeds as f64 / self.thread_seconds.max(1e-3),
        )
    }
}

/// Enters the totals into a table: in place of the row of the same campaign, or as the last one.
pub(crate) fn record(totals: &Totals, file: &Path) -> Result<(), String> {
    let (name, give) = (file.display(), "give a file with one, such as docs/campaigns.md");
    let text = files::read(file).map_err(|error| format!("cannot read the table of campaigns in {name} ({error}): {give}"))?;
    let text = entered(&text, &totals.name(), &totals.row());
    files::replace(file, &text.ok_or_else(|| format!("there is no table of campaigns in {name}: {give}"))?)
}

fn entered(text: &str, name: &str, row: &str) -> Option<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let head = lines.iter().position(|line| line.starts_with(HEAD))?;
    let end = head + lines[head..].iter().take_while(|line| line.starts_with('|')).count();
    match lines[head..end].iter().position(|line| line.starts_with(name)) {
        Some(line) => lines[head + line] = row,
        None => lines.insert(end, row),
    }
    Some(lines.join("\n") + "\n")
}

/// What tells this program from one that was built from other sources.
fn build() -> Result<String, String> {
    let program = std::env::current_exe().and_then(fs::read);
    program.map(|bytes| format!("{:08x}", crc32fast::hash(&bytes))).map_err(|error| format!("cannot read this program ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_takes_the_place_of_its_own_and_of_no_other() {
        let [head, end] = [format!("# Campaigns\n\n{HEAD}\n|---|\n| a | 1 |\n"), "\n| another | table |\n".to_owned()];
        let more = entered(&(head.clone() + &end), "| b |", "| b | 1 |").expect("a table");
        assert_eq!(more, head + "| b | 1 |\n" + &end);
        assert_eq!(entered(&more, "| a |", "| a | 2 |").expect("a table"), more.replace("| a | 1 |", "| a | 2 |"));
        assert_eq!(entered(&end, "| a |", "| a | 2 |"), None);
    }

    #[test]
    fn totals_are_gone_on_with_by_the_campaign_that_they_are_of_only() {
        let of = |scale, runs, first| Totals::new(scale, runs, first).expect("this program can be read");
        let (totals, file) = (of(Scale::default(), Runs::Once, 7), Path::new("totals.json"));
        let stored: Totals = serde_json::from_str(&serde_json::to_string(&totals).expect("text")).expect("the same");
        assert_eq!(stored.clone().following(&totals, file), Ok(totals.clone()));
        for (other, what) in [
            (of(Scale::default(), Runs::Once, 8), "begin at another seed"),
            (of(Scale::default(), Runs::Twice, 7), "another size"),
            (of(Scale { nodes: 3, ..Scale::default() }, Runs::Once, 7), "another size"),
            (Totals { build: "other".to_owned(), ..totals.clone() }, "another build"),
        ] {
            let refused = stored.clone().following(&other, file).expect_err("another campaign");
            assert!(refused.contains(what) && refused.contains("totals.json"), "{refused}");
        }
    }
}
