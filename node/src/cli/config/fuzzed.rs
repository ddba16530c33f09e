//! A file of settings from its text to what processes work with; for `fuzz/`.

use std::path::Path;

use serde_json::Value;

use super::print::{check, json};
use super::section::Section;
use super::sources::Sources;
use super::{Effective, file, without_flags};

/// Reads a file of this text, and demands that each section makes sense, as `catena config print` does.
///
/// # Errors
/// In one sentence what is wrong.
///
/// # Panics
/// What a file says is printed as something else.
pub fn judge(text: &str) -> Result<(), String> {
    let shown = effective(text)?;
    let printed = json(&shown);
    let again = effective(&as_file(&printed)).expect("what is printed was said in a file, or might have been");
    assert_eq!(values(&json(&again)), values(&printed), "what is printed is printed the same again");
    assert_eq!(words(&again), words(&shown), "what is printed means what it was printed of");
    shown.iter().try_for_each(|effective| check(effective).map_err(|error| effective.explain(&error.to_string(), error.keys())))
}

fn effective(text: &str) -> Result<Vec<Effective>, String> {
    let read = file::parse(Path::new("catena.toml"), text).map_err(|error| error.to_string())?;
    let sources = Sources::of(read);
    let sections = Section::ALL.into_iter().map(|section| without_flags(&sources, section));
    Ok(sections.collect::<Result<_, _>>().expect("each value fits, and none is required"))
}

/// What is printed, as a file that says it.
fn as_file(printed: &Value) -> String {
    let sections = printed.as_object().into_iter().flatten().map(|(section, settings)| {
        let said = settings.as_object().into_iter().flatten().filter(|(_, setting)| !setting["value"].is_null());
        // A text in JSON is one in TOML, and so are numbers and lists.
        let lines = said.map(|(key, setting)| format!("{key} = {}\n", setting["value"]));
        format!("[{section}]\n{}", lines.collect::<String>())
    });
    sections.collect()
}

fn values(printed: &Value) -> Vec<&Value> {
    let settings = printed.as_object().into_iter().flatten().flat_map(|(_, settings)| settings.as_object().into_iter().flatten());
    settings.map(|(_, setting)| &setting["value"]).collect()
}

/// Every value of every section, as its command reads it.
fn words(shown: &[Effective]) -> Vec<Vec<String>> {
    let of =
        |effective: &Effective| effective.section.settings().iter().map(|setting| effective.words(setting)).collect::<Vec<_>>();
    shown.iter().flat_map(of).collect()
}
