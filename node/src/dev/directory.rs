//! The directory of a development cluster: one lock, one small file that fixes its numbers, one directory a process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::arguments::DevArguments;
use super::error::DevError;

/// The file that fixes the numbers.
const SHAPE_FILE: &str = "dev.json";
/// The file whose lock says that a `dev` is running here.
const LOCK_FILE: &str = "dev.lock";
/// The newest layout this program knows.
const FORMAT: u32 = 1;

/// A cluster's numbers, fixed when its directory is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    format: u32,
    pub(super) nodes: u32,
    pub(super) replicas: u32,
    pub(super) slots: u32,
}

/// Whether a cluster has been there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    New,
    Used,
}

/// A directory as it was found. Nothing has been written; if its cluster had been there before, it is ours.
#[derive(Debug)]
pub(super) struct Found {
    /// As given.
    given: PathBuf,
    /// Absolute, so that printed command lines work from anywhere.
    pub(super) path: PathBuf,
    pub(super) shape: Shape,
    pub(super) age: Age,
    lock: Option<File>,
}

/// A directory that is ours until this is dropped.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) shape: Shape,
    _lock: File,
}

impl Found {
    /// Settles the cluster's numbers, and locks the directory if it has a lock.
    pub(super) fn look(arguments: &DevArguments) -> Result<Self, DevError> {
        let given = arguments.data_dir.clone();
        let path = std::path::absolute(&given).map_err(|source| failed("find", &given, source))?;
        let stored = read_shape(&given)?;
        if stored.is_none() && !is_fresh(&given).map_err(|source| failed("read", &given, source))? {
            return Err(DevError::ForeignDirectory(given));
        }
        let shape = settle(arguments, stored)?;
        let age = stored.map_or(Age::New, |_| Age::Used);
        let lock = lock(&given, File::options().write(true))?;
        Ok(Self { given, path, shape, age, lock })
    }

    /// Makes the directory ours, creating what is missing of it.
    pub(super) fn claim(self) -> Result<Directory, DevError> {
        let Self { given, path, shape, age, lock: held } = self;
        create(&path).map_err(|source| failed("create", &given, source))?;
        let held = match held {
            Some(held) => Some(held),
            None => lock(&given, File::options().write(true).create(true).truncate(false))?,
        };
        let lock = held.expect("a file is there once it was opened to be created");
        if age == Age::New {
            // Another `dev` may have come first since we looked.
            if read_shape(&given)?.is_some() {
                return Err(DevError::InUse(given));
            }
            write_shape(&given, &shape).map_err(|source| failed("write to", &given, source))?;
        }
        Ok(Directory { shape, _lock: lock })
    }
}

/// Creates `path`, which is absolute, and what is missing above it, so that it survives a power loss.
fn create(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|part| !part.exists()).collect();
    fs::create_dir_all(path)?;
    missing.iter().filter_map(|part| part.parent()).try_for_each(|parent| File::open(parent)?.sync_all())
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> DevError {
    DevError::Directory { what, path: path.to_owned(), source }
}

/// The lock of the directory, `None` if it has no such file and `how` does not create it.
fn lock(path: &Path, how: &OpenOptions) -> Result<Option<File>, DevError> {
    let file = path.join(LOCK_FILE);
    let lock = match how.open(&file) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("write to", path, source)),
    };
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Err(DevError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed("lock", &file, source)),
    }
}

/// Whether nothing lies there but what an interrupted first start leaves.
fn is_fresh(path: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name();
        if name != LOCK_FILE && name != temporary_name().as_str() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_shape(path: &Path) -> Result<Option<Shape>, DevError> {
    let file = path.join(SHAPE_FILE);
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("read", &file, source)),
    };
    let shape: Shape = serde_json::from_slice(&text).map_err(|source| DevError::Damaged { file, source })?;
    if shape.format > FORMAT {
        return Err(DevError::NewerFormat { directory: path.to_owned(), found: shape.format, known: FORMAT });
    }
    Ok(Some(shape))
}

/// Written beside and renamed, so that it is there whole or not at all.
fn write_shape(path: &Path, shape: &Shape) -> io::Result<()> {
    let temporary = path.join(temporary_name());
    let mut file = File::create(&temporary)?;
    serde_json::to_writer(&mut file, shape)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&temporary, path.join(SHAPE_FILE))?;
    File::open(path)?.sync_all()
}

fn temporary_name() -> String {
    format!("{SHAPE_FILE}.new")
}

/// What was stored, unless the arguments say otherwise; in a new directory, what they say.
fn settle(arguments: &DevArguments, stored: Option<Shape>) -> Result<Shape, DevError> {
    let DevArguments { nodes, replicas, slots, .. } = *arguments;
    if let Some(shape) = stored {
        for (name, stored, given) in
            [("nodes", shape.nodes, nodes), ("replicas", shape.replicas, replicas), ("slots", shape.slots, slots)]
        {
            if let Some(given) = given.filter(|given| *given != stored) {
                return Err(DevError::Changed { directory: arguments.data_dir.clone(), name, stored, given });
            }
        }
        return Ok(shape);
    }
    let nodes = nodes.unwrap_or(3);
    let replicas = replicas.unwrap_or(nodes.min(3));
    if replicas > nodes {
        return Err(DevError::TooFewNodes { nodes, replicas });
    }
    Ok(Shape { format: FORMAT, nodes, replicas, slots: slots.unwrap_or(16) })
}
