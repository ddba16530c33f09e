//! A file of settings: TOML, a section for each kind of command, and in it the flags' names.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use catena_core::mutant;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::section::{Kind, Section, Setting};
use super::sources::{Origin, Value};

/// What a file says, by section and key.
pub(super) type Read = Vec<(Section, String, Value)>;

/// Reads a file, and demands that every key in it is a setting and every value fits.
pub(super) fn read(file: &Path) -> Result<Read, ConfigError> {
    let text = fs::read_to_string(file).map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
    parse(file, &text)
}

/// Reads the text of a file.
pub(super) fn parse(file: &Path, text: &str) -> Result<Read, ConfigError> {
    parse_text(&Text { file, text })
}

/// A file and what is in it.
struct Text<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Text<'_> {
    /// The line and the column of a byte, from 1.
    fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = before.rsplit_once('\n').map_or(before, |(_, line)| line);
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }

    fn at<T>(&self, spanned: &Spanned<T>) -> Origin {
        self.line(self.position(spanned.span().start).0)
    }

    fn line(&self, line: usize) -> Origin {
        Origin::File { file: self.file.to_owned(), line }
    }
}

fn parse_text(text: &Text<'_>) -> Result<Read, ConfigError> {
    let document = DeTable::parse(text.text).map_err(|error| {
        let (line, column) = text.position(error.span().map_or(0, |span| span.start));
        ConfigError::Syntax { at: text.line(line), column, message: error.message().to_owned() }
    })?;
    let mut read = Read::new();
    for (name, content) in document.get_ref() {
        let (at, name) = (text.at(name), name.get_ref().to_string());
        match (Section::named(&name), content.get_ref()) {
            (Some(section), DeValue::Table(keys)) => read_section(text, section, keys, &mut read)?,
            (None, DeValue::Table(_)) => return Err(ConfigError::UnknownSection { at, name, sections: sections() }),
            (Some(_) | None, _) => return Err(ConfigError::NoSection { at, key: name, sections: sections() }),
        }
    }
    Ok(read)
}

fn read_section(text: &Text<'_>, section: Section, keys: &DeTable<'_>, read: &mut Read) -> Result<(), ConfigError> {
    let settings = section.settings();
    for (key, value) in keys {
        let (at, key) = (text.at(key), key.get_ref().to_string());
        let Some(setting) = settings.iter().find(|setting| setting.key() == key) else {
            let advice = advice(section, &settings, &key);
            return Err(ConfigError::UnknownKey { at, section: section.name(), key, advice });
        };
        let words = words(setting, &at, value.get_ref())?;
        // Without a word it is as if nothing had been said.
        if words.is_empty() {
            continue;
        }
        let value = Value { words, origin: at };
        if !mutant!(SettingUnchecked) {
            value.check(setting)?;
        }
        read.push((section, key, value));
    }
    Ok(())
}

fn sections() -> String {
    Section::ALL.map(|section| format!("[{}]", section.name())).join(", ")
}

/// What may have been meant by a key that is none: the nearest; the same in another section; or any.
fn advice(section: Section, settings: &[Setting], key: &str) -> String {
    let elsewhere = Section::ALL.into_iter().find(|other| other.settings().iter().any(|setting| setting.key() == key));
    if let Some(other) = elsewhere {
        return format!("it belongs below [{}]", other.name());
    }
    // Clap knows which of its flags is most like one that it does not have.
    let command = Command::new(section.name()).no_binary_name(true).disable_help_flag(true);
    let command = command.args(settings.iter().map(|setting| Arg::new(setting.key().to_owned()).long(setting.key().to_owned())));
    let refused = command.try_get_matches_from([format!("--{key}=1")]).err();
    if let Some(ContextValue::String(flag)) = refused.as_ref().and_then(|error| error.get(ContextKind::SuggestedArg)) {
        return format!("did you mean {}?", flag.trim_start_matches('-'));
    }
    let keys: Vec<&str> = settings.iter().map(Setting::key).collect();
    format!("it has {}", keys.join(", "))
}

/// The value as words of a command line.
fn words(setting: &Setting, at: &Origin, value: &DeValue<'_>) -> Result<Vec<OsString>, ConfigError> {
    let word = |value: &DeValue<'_>| match (setting.kind(), value) {
        (Kind::Switch, DeValue::Boolean(value)) => Some(value.to_string()),
        (Kind::Number | Kind::Size, DeValue::Integer(value)) => {
            let number = i128::from_str_radix(value.as_str(), value.radix());
            Some(number.map_or_else(|_| value.to_string(), |number| number.to_string()))
        }
        (Kind::Size | Kind::Text | Kind::List, DeValue::String(value)) => Some(value.to_string()),
        _ => None,
    };
    let words = match (setting.kind(), value) {
        (Kind::List, DeValue::Array(values)) => values.iter().map(|value| word(value.get_ref())).collect(),
        _ => word(value).map(|word| vec![word]),
    };
    let words: Vec<String> = words.ok_or_else(|| {
        let wanted = match setting.kind() {
            Kind::Switch => "true or false",
            Kind::Number => "a number",
            Kind::Size => "a number of bytes, or a text in quotes, as in \"64MiB\"",
            Kind::Text => "a text in quotes",
            Kind::List => "texts in quotes, as in [\"one\", \"two\"]",
        };
        ConfigError::WrongType { at: at.clone(), key: setting.key().to_owned(), wanted, found: kind_of(value) }
    })?;
    Ok(words.into_iter().map(OsString::from).collect())
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "this list",
        DeValue::Table(_) => "a table",
    }
}
