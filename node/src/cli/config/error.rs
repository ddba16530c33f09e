//! What is wrong with a file, or with a variable.

use std::io;
use std::path::PathBuf;

use super::sources::Origin;

/// One sentence each: where, what, and what to do.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ConfigError {
    #[error("cannot read {}: {source}; name a file of settings that may be read, as catena config default prints one", .file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{at}: this is no TOML (column {column}): {message}")]
    Syntax { at: Origin, column: usize, message: String },
    #[error("{at}: there is no section [{name}]: there are {sections}")]
    UnknownSection { at: Origin, name: String, sections: String },
    #[error("{at}: {key} stands in no section: put it below one of {sections}")]
    NoSection { at: Origin, key: String, sections: String },
    #[error("{at}: [{section}] has no key {key}: {advice}")]
    UnknownKey { at: Origin, section: &'static str, key: String, advice: String },
    #[error("{at}: {key} takes {wanted}, not {found}")]
    WrongType { at: Origin, key: String, wanted: &'static str, found: &'static str },
    #[error("{at}: {key} is for one node, and catena dev runs several: start it without")]
    OfOneNode { at: Origin, key: &'static str },
    #[error("{at}: {message}")]
    Value { at: Origin, message: String },
}
