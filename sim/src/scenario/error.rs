//! What can be wrong with a scenario's text.

use super::command::USAGES;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ScriptError {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("there is no command {word:?}: use {}", commands())]
    UnknownCommand { word: String },
    #[error("{usage}: write it like that")]
    Usage { usage: &'static str },
    #[error("{command} knows no option {option:?}: use {known}")]
    UnknownOption { command: &'static str, option: String, known: &'static str },
    #[error("{text:?} is no duration: write a number and us, ms, s or min, such as 50ms")]
    NoDuration { text: String },
    #[error("{text:?} is no number: write digits")]
    NoNumber { text: String },
    #[error("{text:?} is no chain version: write v and a number, such as v2")]
    NoVersion { text: String },
    #[error("{text:?} are no bytes: write pairs of hexadecimal digits after 0x")]
    NoBytes { text: String },
    #[error("{text:?} are more than {most} bytes: write fewer")]
    TooManyBytes { text: String, most: usize },
    #[error("there is no {name:?} in this cluster: {known}")]
    NoSuch { name: String, known: String },
    #[error("replicas={replicas} is more than the {nodes} nodes: use fewer")]
    TooManyReplicas { replicas: usize, nodes: usize },
    #[error("a cluster has 1 to 9 {what}, not {given}: use a number in that range")]
    OutOfRange { what: &'static str, given: u64 },
    #[error(
        "nothing connects {from} with {to}: cut nodes, a node and coordinators, a client and coordinators, or a coordinator and the store"
    )]
    NoLink { from: String, to: String },
    #[error("the command has no output: write ---- below it, with nothing in between")]
    NoRule,
    #[error("there is no command: write one, and ---- below it")]
    NoCommand,
    #[error("there is no command above ----: write one")]
    NothingBeforeRule,
}

fn commands() -> String {
    USAGES.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
}
