//! Files that are given on the command line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;

/// No file that is read is larger, in bytes.
const LARGEST: u64 = 64 << 20;

/// What is in a file. What is no text stands as what no text has: whoever reads it finds it damaged.
pub(crate) fn read(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(file)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it has more than {} MiB", LARGEST >> 20)));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes a file that is whole at every moment, as it was or as it is to be.
pub(crate) fn replace(file: &Path, text: &str) -> Result<(), String> {
    let new = file.with_added_extension("new");
    fs::write(&new, text).and_then(|()| fs::rename(&new, file)).map_err(|error| unwritable(file, &error))
}

/// Finds out whether a file can be written before time is spent on what is to be in it. It stays as it is, or not there.
pub(crate) fn try_to_write(file: &Path) -> Result<(), String> {
    let new = !file.exists();
    let tried = OpenOptions::new().append(true).create(true).open(file);
    let tried = tried.and_then(|_| if new { fs::remove_file(file) } else { Ok(()) });
    tried.map_err(|error| unwritable(file, &error))
}

/// Writes a file.
pub(crate) fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| unwritable(file, &error))
}

fn unwritable(file: &Path, error: &io::Error) -> String {
    format!("cannot write {} ({error}): give a file in a directory that exists", file.display())
}
