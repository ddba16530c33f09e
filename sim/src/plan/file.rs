//! Plans in files: readable text with a version, what the plan comes to, and a check value.

use std::fmt::Write as _;

use catena_core::mutants::Mutant;
use catena_core::{Time, mutant};

use super::parse::{Line, Wrong};
use super::{Item, Key, Plan, Rest, Verdict, parse};
use crate::check::{Checker, Severity};
use crate::describe::one_line;

/// The version of the format, and of what a world does with a plan.
const VERSION: u32 = 2;

/// What the first line begins with.
const TITLE: &str = "catena-sim replay ";

/// A plan, and what it came to when it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct File {
    pub(crate) plan: Plan,
    pub(crate) expected: Expected,
}

/// What a plan came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) severity: Severity,
    pub(crate) checker: Checker,
    pub(crate) rule: String,
    pub(crate) sentence: String,
    pub(crate) at: Time,
    pub(crate) hash: u64,
}

/// Why a text is no replay file that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Something else.
    #[error("it is no replay file: write one with catena-sim shrink --seed N --out FILE")]
    Other,
    /// Of another version.
    #[error("it is of version {found:?} of the format, and this catena-sim reads version {VERSION}: shrink the seed anew")]
    Version {
        /// The version.
        found: String,
    },
    /// Its end is missing.
    #[error("it is cut short: its last line does not begin with \"end\": copy it anew, or shrink the seed anew")]
    CutShort,
    /// Something in it has changed.
    #[error("it is damaged: it says {says}, and comes to {found}; if you have edited it, make its last line \"end unchecked\"")]
    Damaged {
        /// The check value in the file.
        says: String,
        /// The right one.
        found: String,
    },
    /// A line cannot be understood.
    #[error("line {number}: {what}")]
    Line {
        /// Counted from 1.
        number: usize,
        /// What is wrong, and what would be right.
        what: String,
    },
}

impl Expected {
    /// `None`: the run was clean.
    pub(crate) fn of(verdict: &Verdict) -> Option<Self> {
        let violation = verdict.violation.as_ref()?;
        Some(Self {
            severity: violation.severity,
            checker: violation.checker,
            rule: violation.rule.to_owned(),
            sentence: one_line(&violation.sentence),
            at: verdict.at,
            hash: verdict.hash,
        })
    }
}

impl File {
    /// Its text. `meanings`: what each item does, as far as that is known.
    pub(crate) fn text(&self, meanings: &[String]) -> String {
        let Self { plan, expected } = self;
        let mut text = format!("{TITLE}{VERSION}\n");
        let coordinators = plan.scale.coordinators.map_or("drawn".to_owned(), |count| count.to_string());
        let rest = match plan.rest {
            Rest::Simple => "simple".to_owned(),
            Rest::Drawn(seed) => seed.to_string(),
        };
        let rows = [
            ("seed", plan.seed.to_string()),
            ("ops", plan.scale.operations.to_string()),
            ("nodes", plan.scale.nodes.to_string()),
            ("coordinators", coordinators),
            ("drift", plan.scale.drift.to_string()),
            ("mutant", plan.mutant.map_or("none", Mutant::name).to_owned()),
            ("without-nodes", plan.out.nodes.to_string()),
            ("without-coordinators", plan.out.coordinators.to_string()),
            ("without-slots", plan.out.slots.to_string()),
            ("rest", rest),
            ("heals", seconds(plan.heals)),
            ("severity", expected.severity.name().to_owned()),
            ("checker", expected.checker.to_string()),
            ("rule", expected.rule.clone()),
            ("sentence", expected.sentence.clone()),
            ("violated", seconds(expected.at)),
            ("trace", format!("{:016x}", expected.hash)),
        ];
        for (name, value) in rows {
            let _ = writeln!(text, "{name} {value}");
        }
        text.push_str("# seconds, what, where, how many of the same before it at that time : choices  # what it does\n");
        let meanings = meanings.iter().map(String::as_str).chain(std::iter::repeat(""));
        for (item, meaning) in plan.items.iter().zip(meanings) {
            text.push_str(&item_line(item, meaning));
        }
        let _ = writeln!(text, "end {:016x}", check(text.as_bytes()));
        text
    }

    /// Reads a text.
    pub(crate) fn parse(text: &str) -> Result<Self, FileError> {
        let (first, _) = text.split_once('\n').unwrap_or((text, ""));
        let version = first.strip_prefix(TITLE).ok_or(FileError::Other)?;
        if version != VERSION.to_string() {
            return Err(FileError::Version { found: version.chars().take(20).collect() });
        }
        let body = text.strip_suffix('\n').ok_or(FileError::CutShort)?;
        let (start, last) = body.rsplit_once('\n').ok_or(FileError::CutShort)?;
        let says = last.strip_prefix("end ").ok_or(FileError::CutShort)?;
        let found = format!("{:016x}", check(&text.as_bytes()[..=start.len()]));
        if says != "unchecked" && says != found && !mutant!(ReplayUnchecked) {
            return Err(FileError::Damaged { says: says.chars().take(20).collect(), found });
        }
        parse::file(start).map_err(|Line { number, wrong: Wrong(what) }| FileError::Line { number, what })
    }
}

/// FNV-1a: a change of any byte shows.
fn check(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn seconds(time: Time) -> String {
    format!("{}.{:09}", time.0 / 1_000_000_000, time.0 % 1_000_000_000)
}

fn item_line(item: &Item, meaning: &str) -> String {
    let (what, place) = match item.key {
        Key::Fault(fault, place) => (format!("fault {}", fault.name().replace(' ', "-")), place.to_string()),
        Key::Call(client) => ("call".to_owned(), format!("client-{client}")),
        Key::Step(step, place) => (format!("step {}", step.name()), place.to_string()),
    };
    let choices: String = item.choices.iter().fold(String::new(), |text, choice| text + " " + &choice.to_string());
    let meaning = if meaning.is_empty() { String::new() } else { format!("  # {}", one_line(meaning)) };
    format!("{} {what} {place} {} :{choices}{meaning}\n", seconds(item.at), item.nth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_that_ends_in_carriage_returns_is_read_as_it_was_written() {
        let text = "catena-sim replay 2\nseed 1\nops 1000\nnodes 5\ncoordinators drawn\ndrift 1\nmutant none\nwithout-nodes 0\n\
                    without-coordinators 0\nwithout-slots 0\nrest simple\nheals 74.318618004\nseverity safety\nchecker serving\n\
                    rule R1\nsentence it ends in\r\r\nviolated 0.983136577\ntrace 0000000b723e3e12\nend unchecked\n";
        let file = File::parse(text).expect("it is one");
        assert_eq!(file.expected.sentence, "it ends in\r\r");
        assert_eq!(File::parse(&file.text(&[])), Ok(file));
    }
}
