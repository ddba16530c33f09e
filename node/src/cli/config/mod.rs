//! Where settings come from.
//!
//! A setting is an option of the command line and nothing besides: its key in a file is its flag's name, its variable `CATENA_`
//! and that in capitals. What the environment or the file say of it is checked as the flag would be, and becomes the option's
//! default for this run. So there is one definition of each, and a flag comes before what else is said.

mod default_file;
mod effective;
mod error;
mod file;
mod fuzzed;
mod print;
mod section;
mod sources;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};

pub(super) use self::default_file::default_file;
pub(super) use self::effective::Effective;
use self::error::ConfigError;
pub use self::fuzzed::judge;
pub(super) use self::print::print;
use self::section::Section;
use self::sources::{Sources, Variables};
use super::arguments::{self, Arguments, ServeArguments};

/// In place of `--config`.
const FILE_VARIABLE: &str = "CATENA_CONFIG";

/// What each node of a cluster has for itself. The rest of that `dev` says by flags.
const OF_ONE_NODE: [&str; 2] = ["advertise", "label"];

/// What is to be done, with all that is said about it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) arguments: Arguments,
    /// The file that was read.
    pub(super) file: Option<PathBuf>,
    /// The settings of the command; of `config print`, those to be printed.
    pub(super) settings: Vec<Effective>,
}

/// Why nothing can be done. Both are usage errors.
#[derive(Debug)]
pub(super) enum LoadError {
    /// A wrong command line; or one that asks for help.
    CommandLine(clap::Error),
    /// A wrong file or variable.
    Config(ConfigError),
}

impl From<clap::Error> for LoadError {
    fn from(error: clap::Error) -> Self {
        Self::CommandLine(error)
    }
}

impl From<ConfigError> for LoadError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// Reads the command line, and the settings that its command has from elsewhere.
pub(super) fn load(words: Vec<OsString>, variables: Variables<'_>) -> Result<Loaded, LoadError> {
    let (path, file) = foresee(&words);
    let (section, sections) = (Section::of(&path), Section::all_of(&path));
    let file = file.or_else(|| variables(FILE_VARIABLE).map(PathBuf::from)).filter(|_| !sections.is_empty());
    let sources = Sources::read(file.as_deref(), variables, &sections)?;
    if sections.len() > 1 && section == Some(Section::Dev) {
        demand_for_many(&sources)?;
    }
    let command = match section {
        None => command(),
        Some(section) => at(command(), &path, |command| sources.as_defaults(section, command)),
    };
    let matches = command.try_get_matches_from(words)?;
    let mut arguments = Arguments::from_arg_matches(&matches)?;
    let settings = match section {
        Some(section) => vec![Effective::new(&sources, section, matched(&matches, &path).clone())],
        None => sections.into_iter().map(|section| without_flags(&sources, section)).collect::<Result<_, _>>()?,
    };
    if let (arguments::Command::Node(node), [Effective { section: Section::Node, matches, .. }]) =
        (&mut arguments.command, &settings[..])
    {
        // Clap takes options that have no flag, or have other groups of options among them, for absent ones.
        node.serve = Some(ServeArguments::from_arg_matches(matches)?);
    }
    Ok(Loaded { arguments, file, settings })
}

/// Demands that nothing is said to all nodes that only one of them may be told.
fn demand_for_many(sources: &Sources) -> Result<(), ConfigError> {
    let given = sources.given(Section::Node);
    let told = OF_ONE_NODE.into_iter().find_map(|key| Some((key, given.origin(key)?.clone())));
    told.map_or(Ok(()), |(key, at)| Err(ConfigError::OfOneNode { at, key }))
}

/// The settings of a section whose command is not to be run.
fn without_flags(sources: &Sources, section: Section) -> Result<Effective, clap::Error> {
    let command = sources.as_defaults(section, relaxed(section.command())).no_binary_name(true);
    Ok(Effective::new(sources, section, command.try_get_matches_from([""; 0])?))
}

/// All there is to say. The sections of the file are subcommands of `config print`.
fn command() -> Command {
    let sections = Section::ALL.map(|section| relaxed(section.command()));
    at(Arguments::command(), &["config".to_owned(), "print".to_owned()], |print| print.subcommands(sections))
}

/// The command that is meant, and the file that is named, as far as can be told before the file is read: it may have what the
/// command requires. Of a command line that is wrong nothing is told: it is refused without the file, too.
fn foresee(words: &[OsString]) -> (Vec<String>, Option<PathBuf>) {
    let Ok(matches) = relaxed(command()).try_get_matches_from(words) else { return (Vec::new(), None) };
    let file = matches.get_one("config").cloned();
    let mut path = Vec::new();
    let mut next = matches.subcommand();
    while let Some((name, matches)) = next {
        path.push(name.to_owned());
        next = matches.subcommand();
    }
    (path, file)
}

/// The same, requiring nothing.
fn relaxed(command: Command) -> Command {
    command.mut_args(|arg| arg.required(false)).mut_subcommands(relaxed)
}

/// The same with another subcommand at the path.
fn at(command: Command, path: &[String], change: impl FnOnce(Command) -> Command) -> Command {
    match path.split_first() {
        None => change(command),
        Some((first, rest)) => command.mut_subcommand(first, |command| at(command, rest, change)),
    }
}

fn matched<'a>(matches: &'a ArgMatches, path: &[String]) -> &'a ArgMatches {
    path.iter().fold(matches, |matches, name| matches.subcommand_matches(name).expect("the command was foreseen"))
}

#[cfg(test)]
mod tests;
