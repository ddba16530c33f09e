//! `catena config print`: what holds, and where it comes from.

use std::fmt::Write;
use std::path::Path;

use catena_core::{ClusterId, mutant};
use clap::FromArgMatches;
use serde_json::{Map, Value, json};

use super::effective::Effective;
use super::section::{Kind, Section, Setting};
use super::sources::Origin;
use crate::cli::arguments::{ClusterArguments, JudgementArguments, LimitArguments, TimingArguments, ViewFormat};
use crate::cli::exit::{Exit, fail};
use crate::cli::output;
use crate::cli::settings::{self, SettingsError};

/// Prints the settings; and says of the first that contradict each other that they do.
pub(in crate::cli) fn print(shown: &[Effective], file: Option<&Path>, format: ViewFormat) -> Exit {
    let text = match format {
        ViewFormat::Table => table(shown, file),
        ViewFormat::Json => json(shown).to_string() + "\n",
    };
    if let Err(exit) = output::write(&text) {
        return exit;
    }
    for effective in shown {
        if let Err(error) = check(effective) {
            return fail(&effective.explain(&error.to_string(), error.keys()), Exit::Error);
        }
    }
    Exit::Ok
}

fn table(shown: &[Effective], file: Option<&Path>) -> String {
    let mut text = file.map(|file| format!("# {}\n\n", file.display())).unwrap_or_default();
    let rows: Vec<Vec<[String; 3]>> = shown.iter().map(rows).collect();
    let width = |column: usize| rows.iter().flatten().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (key, value) = (width(0), width(1));
    for (index, (effective, rows)) in shown.iter().zip(&rows).enumerate() {
        let space = if index == 0 { "" } else { "\n" };
        writeln!(text, "{space}[{}]", effective.section.name()).expect("a text takes all");
        for [name, is, origin] in rows {
            writeln!(text, "{name:<key$}  {is:<value$}  {origin}").expect("a text takes all");
        }
    }
    text
}

/// Key, value and origin of each setting.
fn rows(effective: &Effective) -> Vec<[String; 3]> {
    let row = |setting: &Setting| {
        let words = effective.words(setting);
        let value = if words.is_empty() { "-".to_owned() } else { words.join(",") };
        let source = match (source(effective, setting), setting.default_in_words()) {
            (source, Some(words)) if source == Origin::Default.to_string() => format!("{source}: {words}"),
            (source, _) => source,
        };
        [setting.key().to_owned(), value, source]
    };
    effective.section.settings().iter().map(row).collect()
}

/// Where a value comes from, or that there is none and has to be one.
fn source(effective: &Effective, setting: &Setting) -> String {
    let missing = setting.arg().is_required_set() && effective.words(setting).is_empty();
    if missing { "missing".to_owned() } else { effective.origin(setting).to_string() }
}

pub(super) fn json(shown: &[Effective]) -> Value {
    let of = |effective: &Effective| {
        let settings = effective.section.settings();
        let settings = settings.iter().map(|setting| {
            let (value, source) = (value(setting, effective.words(setting)), source(effective, setting));
            (setting.key().to_owned(), json!({ "value": value, "source": source }))
        });
        (effective.section.name().to_owned(), Value::Object(settings.collect()))
    };
    Value::Object(shown.iter().map(of).collect::<Map<_, _>>())
}

/// As the file has it; null, if there is none.
fn value(setting: &Setting, words: Vec<String>) -> Value {
    if setting.kind() == Kind::List {
        let shown = if mutant!(ListCutShort) { 1 } else { words.len() };
        return words.into_iter().take(shown).collect();
    }
    let Some(word) = words.into_iter().next() else { return Value::Null };
    match setting.kind() {
        Kind::Switch => (word == "true").into(),
        Kind::Number => word.parse::<u64>().map_or_else(|_| word.into(), Value::from),
        Kind::Size | Kind::Text | Kind::List => word.into(),
    }
}

/// Demands that the settings of a section make sense together. What a coordinator's directory was created with is not known
/// here: they are those of a new one.
pub(super) fn check(effective: &Effective) -> Result<(), SettingsError> {
    match effective.section {
        Section::Client | Section::Dev => Ok(()),
        Section::Coordinator => {
            let cluster = settings::cluster(&matched::<ClusterArguments>(effective), ClusterId(0), None);
            settings::coordinator(&matched::<JudgementArguments>(effective), cluster).map(drop)
        }
        Section::Node => {
            settings::node(&matched::<LimitArguments>(effective), &matched::<TimingArguments>(effective))?;
            let labels = effective.matches.get_many("label").unwrap_or_default();
            settings::labels(&labels.cloned().collect::<Vec<_>>()).map(drop)
        }
    }
}

/// Of arguments each of which has a default, or may be absent.
fn matched<T: FromArgMatches>(effective: &Effective) -> T {
    T::from_arg_matches(&effective.matches).expect("nothing of it is required, and each value fits")
}
