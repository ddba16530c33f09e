//! A file of all settings, to begin with.

use super::section::{Kind, Section, Setting};

/// Comments are wrapped to it.
const WIDTH: usize = 100;

const INTRODUCTION: &str = "\
Settings of Catena. What is commented out is the default, or an example: remove the # and change it. A flag comes before this \
file, and so does the environment: CATENA_ and the key in capitals, as in CATENA_DEAD_MS=900. catena config print --config FILE \
shows what holds, and where it comes from.";

/// All settings, each with what it means and its default, commented out.
pub(in crate::cli) fn default_file() -> String {
    Section::ALL.into_iter().fold(comment(INTRODUCTION), |file, section| format!("{file}\n\n{}", of_section(section)))
}

fn of_section(section: Section) -> String {
    let mut parts = vec![comment(&format!("The settings of {}.", section.readers())) + "[" + section.name() + "]\n"];
    let mut heading = None;
    for setting in section.settings() {
        let its = setting.arg().get_help_heading().map(str::to_owned);
        if its != heading {
            parts.extend(its.as_deref().map(comment));
            heading = its;
        }
        parts.push(of_setting(section, &setting));
    }
    parts.join("\n")
}

fn of_setting(section: Section, setting: &Setting) -> String {
    let help = setting.help();
    let (note, value) = match default(setting) {
        Some(value) => ("", value),
        None if setting.default_in_words().is_some() => ("", example(section, setting.key()).to_owned()),
        None if setting.arg().is_required_set() => (" Required; for example:", example(section, setting.key()).to_owned()),
        None => (" For example:", example(section, setting.key()).to_owned()),
    };
    let stop = if help.ends_with(['.', ']']) { "" } else { "." };
    comment(&format!("{help}{stop}{note}")) + &format!("#{} = {value}\n", setting.key())
}

/// The default as it is written in a file.
fn default(setting: &Setting) -> Option<String> {
    let words: Vec<String> = setting.arg().get_default_values().iter().map(|word| word.to_string_lossy().into_owned()).collect();
    match setting.kind() {
        Kind::Switch => Some("false".to_owned()),
        Kind::List => {
            (!words.is_empty()).then(|| format!("[{}]", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ")))
        }
        Kind::Number => words.into_iter().next(),
        Kind::Size | Kind::Text => words.first().map(|word| quoted(word)),
    }
}

/// What a setting without a default may be.
fn example(section: Section, key: &str) -> &'static str {
    match (section, key) {
        (Section::Coordinator, "listen") => "\"10.0.0.1:7400\"",
        (Section::Coordinator, "admin") => "\"10.0.0.1:8400\"",
        (Section::Node, "admin") => "\"10.0.0.2:8401\"",
        (Section::Node, "listen") => "\"10.0.0.2:7401\"",
        (Section::Node, "id") => "\"n1\"",
        (Section::Node, "advertise") => "\"n1.example:7401\"",
        (Section::Node, "coordinator") => "[\"10.0.0.1:7400\"]",
        (Section::Node, "label") => "[\"rack=r1\"]",
        (_, "data-dir") => "\"/var/lib/catena\"",
        (_, "slots") => "16",
        (_, "nodes" | "replicas" | "founders") => "3",
        (_, "lease-ms") => "600",
        _ => unreachable!("{key} has neither a default nor an example"),
    }
}

fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Lines of comment.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = "#".to_owned();
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines += &(std::mem::replace(&mut line, "#".to_owned()) + "\n");
        }
        line = line + " " + word;
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::ArgMatches;
    use tempfile::TempDir;

    use super::*;
    use crate::cli::config::sources::Sources;
    use crate::cli::config::{relaxed, without_flags};

    fn nothing(_: &str) -> Option<std::ffi::OsString> {
        None
    }

    /// What holds with a file of this text.
    fn effective(text: &str) -> Vec<(Section, ArgMatches)> {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("catena.toml");
        fs::write(&file, text).unwrap();
        let sources = Sources::read(Some(&file), &nothing, &Section::ALL).unwrap();
        Section::ALL.map(|section| (section, without_flags(&sources, section).unwrap().matches)).into()
    }

    #[test]
    fn as_it_is_it_changes_nothing() {
        for (section, matches) in effective(&default_file()) {
            let command = relaxed(section.command()).no_binary_name(true);
            assert_eq!(matches, command.try_get_matches_from([""; 0]).unwrap(), "{section:?}");
        }
    }

    #[test]
    fn with_every_setting_in_it_it_is_a_file_of_the_defaults() {
        let text = default_file();
        let is_setting = |line: &str| line.starts_with('#') && !line.starts_with("# ");
        let set = text.lines().map(|line| if is_setting(line) { &line[1..] } else { line }).collect::<Vec<_>>().join("\n");
        for (section, matches) in effective(&set) {
            let defaults = relaxed(section.command()).no_binary_name(true).try_get_matches_from([""; 0]).unwrap();
            for setting in section.settings() {
                let value = matches.get_raw(setting.id()).map(Vec::from_iter);
                assert!(value.is_some(), "[{}] {} is in the file", section.name(), setting.key());
                if let Some(default) = defaults.get_raw(setting.id()) {
                    assert_eq!(value, Some(default.collect()), "[{}] {}", section.name(), setting.key());
                }
            }
        }
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        assert!(default_file().lines().all(|line| line.chars().count() <= WIDTH));
    }
}
