//! The settings of a section as they hold, after all is said.

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::section::{Section, Setting};
use super::sources::{Given, Origin, Sources};

/// One section's settings, as a command reads them.
#[derive(Debug)]
pub(in crate::cli) struct Effective {
    pub(super) section: Section,
    pub(super) matches: ArgMatches,
    given: Given,
}

impl Effective {
    pub(super) fn new(sources: &Sources, section: Section, matches: ArgMatches) -> Self {
        Self { section, matches, given: sources.given(section) }
    }

    /// Where a value comes from.
    pub(super) fn origin(&self, setting: &Setting) -> Origin {
        match self.matches.value_source(setting.id()) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            _ => self.given.origin(setting.key()).cloned().unwrap_or(Origin::Default),
        }
    }

    /// The value, as it was written; none, if nothing is said and there is no default.
    pub(super) fn words(&self, setting: &Setting) -> Vec<String> {
        let words = self.matches.get_raw(setting.id()).into_iter().flatten();
        words.map(|word| word.to_string_lossy().into_owned()).collect()
    }

    /// An error about these settings, and where those of them come from that are no flags: who has written them may be somebody
    /// else.
    pub(in crate::cli) fn explain(&self, error: &str, keys: &[&str]) -> String {
        let settings = self.section.settings();
        let told = keys.iter().filter_map(|key| {
            let setting = settings.iter().find(|setting| setting.key() == *key)?;
            match self.origin(setting) {
                Origin::Flag | Origin::Default => None,
                origin @ (Origin::Variable(_) | Origin::File { .. }) => Some(format!("{key} is from {origin}")),
            }
        });
        let told: Vec<String> = told.collect();
        if told.is_empty() { error.to_owned() } else { format!("{error} ({})", told.join(", ")) }
    }
}
