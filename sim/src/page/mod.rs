//! A run as a page to look at in a browser: a space-time diagram, in one file that needs nothing else.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::check::Violation;
use crate::chronicle::{Chronicle, Message, Note};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
/// One scope, in the order in which each part needs those before.
const SCRIPT: &str =
    concat!(include_str!("data.js"), include_str!("layout.js"), include_str!("drawing.js"), include_str!("looking.js"));

/// What stands above the diagram.
#[derive(Debug, Serialize)]
pub(crate) struct Heading {
    /// What was run.
    pub(crate) title: String,
    /// The bug that was planted, and its rule.
    pub(crate) mutant: Option<String>,
    pub(crate) violation: Option<Found>,
    /// How the run ended, in a sentence.
    pub(crate) ending: String,
    /// The line that replays it.
    pub(crate) command: String,
    /// The options of the world.
    pub(crate) options: String,
    pub(crate) nodes: usize,
    pub(crate) coordinators: usize,
    pub(crate) slots: u32,
}

/// What a checker has found, and what that is about.
#[derive(Debug, Serialize)]
pub(crate) struct Found {
    checker: String,
    rule: &'static str,
    sentence: String,
    slots: BTreeSet<u64>,
    places: BTreeSet<String>,
    calls: BTreeSet<u64>,
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(flatten)]
    heading: &'a Heading,
    forgotten: usize,
    notes: Vec<&'a Note>,
    messages: Vec<&'a Message>,
}

impl Found {
    /// The slots, places and calls that a checker's sentence names.
    pub(crate) fn of(violation: &Violation) -> Self {
        let sentence = &violation.sentence;
        let words: Vec<&str> =
            sentence.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let behind = |name: &str| -> BTreeSet<u64> {
            words.windows(2).filter(|pair| pair[0] == name).filter_map(|pair| pair[1].parse().ok()).collect()
        };
        let is_place = |word: &&&str| {
            word.strip_prefix(['n', 'c'])
                .is_some_and(|number| number.len() == 1 && number.bytes().all(|digit| digit.is_ascii_digit()))
        };
        Self {
            checker: violation.checker.to_string(),
            rule: violation.rule,
            slots: behind("slot"),
            places: words.iter().filter(is_place).map(|word| (*word).to_owned()).collect(),
            calls: behind("CallId"),
            sentence: sentence.clone(),
        }
    }
}

/// The page's text.
pub(crate) fn page(heading: &Heading, chronicle: &Chronicle) -> String {
    let (notes, messages) = (chronicle.notes().iter().collect(), chronicle.messages().iter().collect());
    let data = Data { heading, forgotten: chronicle.forgotten(), notes, messages };
    // In a script's text only this sign could end it.
    let json = serde_json::to_string(&data).expect("text, numbers and lists").replace('<', "\\u003c");
    TEMPLATE.replacen("/*STYLE*/", STYLE, 1).replacen("/*SCRIPT*/", SCRIPT, 1).replacen("/*DATA*/", &json, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Checker, Severity};

    #[test]
    fn a_sentence_names_what_it_is_about() {
        let found = Found::of(&Violation {
            severity: Severity::Safety,
            checker: Checker::Linearizability,
            rule: "W8, W9",
            sentence: "slot 3: CallId(17) is committed as (2, 5) and as (3, 6) on n4, which c1 chose; n12x is no node".to_owned(),
        });
        assert_eq!(found.slots, [3].into());
        assert_eq!(found.calls, [17].into());
        assert_eq!(found.places, ["c1".to_owned(), "n4".to_owned()].into());
    }
}
