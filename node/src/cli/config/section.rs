//! The sections of a file, and the settings of each.

use std::any::TypeId;

use clap::{Arg, ArgAction, Args, Command};

use crate::cli::arguments::{AskArguments, CoordinatorArguments, ServeArguments, Size};
use crate::dev::DevArguments;

/// A part of the file, for one command or for several that have their settings in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum Section {
    /// The commands that call a cluster.
    Client,
    Coordinator,
    Node,
    Dev,
}

/// One option of a section's command.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    arg: Arg,
}

/// What is written for a setting in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Switch,
    Number,
    /// A number, or one with its unit in a text.
    Size,
    Text,
    List,
}

impl Section {
    pub(super) const ALL: [Section; 4] = [Section::Client, Section::Coordinator, Section::Node, Section::Dev];

    pub(super) fn name(self) -> &'static str {
        match self {
            Section::Client => "client",
            Section::Coordinator => "coordinator",
            Section::Node => "node",
            Section::Dev => "dev",
        }
    }

    /// Who reads it.
    pub(super) fn readers(self) -> &'static str {
        match self {
            Section::Client => "catena put, get, del, load, export, status, and of catena node drain, evict, readmit",
            Section::Coordinator => "catena coordinator",
            Section::Node => "catena node",
            Section::Dev => "catena dev",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.name() == name)
    }

    /// The section that the command at this path reads.
    pub(super) fn of(path: &[String]) -> Option<Self> {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        match words[..] {
            ["put" | "get" | "del" | "load" | "export" | "status"] | ["node", _] => Some(Section::Client),
            [name] | ["config", "print", name] => Self::named(name),
            _ => None,
        }
    }

    /// All sections that matter to the command at this path: `dev` starts processes that read theirs.
    pub(super) fn all_of(path: &[String]) -> Vec<Self> {
        match Self::of(path) {
            Some(Section::Dev) if path.len() == 1 => vec![Section::Dev, Section::Coordinator, Section::Node],
            Some(section) => vec![section],
            None if path == ["config", "print"] => Self::ALL.to_vec(),
            None => Vec::new(),
        }
    }

    /// A command that has the section's settings for its options.
    pub(super) fn command(self) -> Command {
        let command = Command::new(self.name());
        let command = match self {
            Section::Client => AskArguments::augment_args(command),
            Section::Coordinator => CoordinatorArguments::augment_args(command),
            Section::Node => ServeArguments::augment_args(command),
            Section::Dev => DevArguments::augment_args(command),
        };
        command.about(format!("The settings of {}", self.readers())).long_about(None).after_help(None)
    }

    /// In the order of their definition.
    pub(super) fn settings(self) -> Vec<Setting> {
        let command = self.command();
        command.get_arguments().filter(|arg| !arg.is_hide_set()).cloned().map(|arg| Setting { arg }).collect()
    }
}

impl Setting {
    /// Its flag's name, without the dashes.
    pub(super) fn key(&self) -> &str {
        self.arg.get_long().expect("a setting has a long flag")
    }

    /// Its name among what clap has matched.
    pub(super) fn id(&self) -> &str {
        self.arg.get_id().as_str()
    }

    /// Its name in the environment.
    pub(super) fn variable(&self) -> String {
        format!("CATENA_{}", self.key().replace('-', "_").to_uppercase())
    }

    /// What it is for.
    pub(super) fn help(&self) -> String {
        self.arg.get_help().map(ToString::to_string).unwrap_or_default()
    }

    /// What holds if nothing is said, where that is no fixed value.
    pub(super) fn default_in_words(&self) -> Option<String> {
        let help = self.help();
        let (_, words) = help.split_once("[default: ")?;
        words.strip_suffix(']').map(str::to_owned)
    }

    pub(super) fn arg(&self) -> &Arg {
        &self.arg
    }

    pub(super) fn kind(&self) -> Kind {
        let parsed = self.arg.get_value_parser().type_id();
        let numbers = [TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>()];
        match self.arg.get_action() {
            ArgAction::SetTrue => Kind::Switch,
            ArgAction::Append => Kind::List,
            _ if numbers.iter().any(|number| parsed == *number) => Kind::Number,
            _ if parsed == TypeId::of::<Size>() => Kind::Size,
            _ => Kind::Text,
        }
    }
}
