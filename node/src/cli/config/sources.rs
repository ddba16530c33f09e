//! What is said about settings other than by their flags, and which of it holds.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::Command;

use super::error::ConfigError;
use super::file;
use super::section::{Kind, Section, Setting};

/// The environment: a variable's value, unless it is unset or empty.
pub(in crate::cli) type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Origin {
    Flag,
    Variable(String),
    File { file: PathBuf, line: usize },
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("flag"),
            Origin::Variable(name) => f.write_str(name),
            Origin::File { file, line } => write!(f, "{}:{line}", file.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// What the environment or a file says about one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) words: Vec<OsString>,
    pub(super) origin: Origin,
}

/// What they say about the settings of a section, by key. Each value fits its setting.
#[derive(Clone, Debug, Default)]
pub(super) struct Given(BTreeMap<String, Value>);

/// Everything that they say that matters.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Sources {
    given: BTreeMap<Section, Given>,
}

impl Sources {
    /// Reads the file, if there is one, all of it; and of the environment, which comes first, what is about these sections:
    /// it may have other things of such names.
    pub(super) fn read(file: Option<&Path>, variables: Variables<'_>, sections: &[Section]) -> Result<Self, ConfigError> {
        let Self { mut given } = Self::of(file.map(file::read).transpose()?.unwrap_or_default());
        for section in sections {
            for setting in section.settings() {
                let name = setting.variable();
                let Some(word) = variables(&name) else { continue };
                let value = Value { words: vec![word], origin: Origin::Variable(name) };
                value.check(&setting)?;
                given.entry(*section).or_default().0.insert(setting.key().to_owned(), value);
            }
        }
        Ok(Self { given })
    }

    /// What a file says.
    pub(super) fn of(read: file::Read) -> Self {
        let mut given: BTreeMap<Section, Given> = BTreeMap::new();
        for (section, key, value) in read {
            given.entry(section).or_default().0.insert(key, value);
        }
        Self { given }
    }

    /// The same command with what is given in a section for its defaults.
    pub(super) fn as_defaults(&self, section: Section, command: Command) -> Command {
        let Some(given) = self.given.get(&section) else { return command };
        command.mut_args(|arg| match arg.get_long().and_then(|key| given.0.get(key)) {
            Some(value) => arg.required(false).default_values(value.words.clone()),
            None => arg,
        })
    }

    /// What is said about a section.
    pub(super) fn given(&self, section: Section) -> Given {
        self.given.get(&section).cloned().unwrap_or_default()
    }
}

impl Given {
    /// Who says something about a setting.
    pub(super) fn origin(&self, key: &str) -> Option<&Origin> {
        self.0.get(key).map(|value| &value.origin)
    }
}

impl Value {
    /// Demands that the setting takes it, as it would on the command line.
    pub(super) fn check(&self, setting: &Setting) -> Result<(), ConfigError> {
        let key = setting.key();
        let failed = |message| ConfigError::Value { at: self.origin.clone(), message };
        if setting.kind() == Kind::Switch {
            let fits = self.words.iter().all(|word| word == "true" || word == "false");
            return if fits { Ok(()) } else { Err(failed(format!("{key} takes true or false"))) };
        }
        let command = Command::new(key.to_owned()).no_binary_name(true).arg(setting.arg().clone().required(false));
        let words = self.words.iter().map(|word| {
            let mut flag = OsString::from(format!("--{key}="));
            flag.push(word);
            flag
        });
        command.try_get_matches_from(words).map(drop).map_err(|error| {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            failed(first.strip_prefix("error: ").unwrap_or(first).to_owned())
        })
    }
}
