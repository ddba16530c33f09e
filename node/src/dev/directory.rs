//! The directory of a development cluster: one lock, one small file that fixes its numbers, one directory a process.

use std::fs::{self, File, TryLockError};
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

/// A directory that is ours until this is dropped.
#[derive(Debug)]
pub(super) struct Directory {
    /// Absolute, so that printed command lines work from anywhere.
    pub(super) path: PathBuf,
    pub(super) shape: Shape,
    _lock: File,
}

impl Directory {
    /// Locks the directory, creating it first if need be, and settles the cluster's numbers.
    pub(super) fn open(arguments: &DevArguments) -> Result<Self, DevError> {
        let path = &arguments.data_dir;
        let absolute = std::path::absolute(path).map_err(|source| failed("find", path, source))?;
        fs::create_dir_all(path).map_err(|source| failed("create", path, source))?;
        let stored = read_shape(path)?;
        if stored.is_none() && !is_fresh(path).map_err(|source| failed("read", path, source))? {
            return Err(DevError::ForeignDirectory(path.clone()));
        }
        let lock = lock(path)?;
        let shape = settle(arguments, stored)?;
        if stored.is_none() {
            write_shape(path, &shape).map_err(|source| failed("write to", path, source))?;
        }
        Ok(Self { path: absolute, shape, _lock: lock })
    }
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> DevError {
    DevError::Directory { what, path: path.to_owned(), source }
}

fn lock(path: &Path) -> Result<File, DevError> {
    let file = path.join(LOCK_FILE);
    let lock = File::create(&file).map_err(|source| failed("write to", path, source))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(DevError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed("lock", &file, source)),
    }
}

/// Whether nothing lies there but what an interrupted first start leaves.
fn is_fresh(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
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
