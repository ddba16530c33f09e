//! A process's data directory: whose it is, and that nobody else has it open.
//!
//! ```text
//! DIR/lock       held by the process that has the directory open; its pid, for people
//! DIR/identity   whose data this is, as text (see `identity.rs`)
//! DIR/data/      the engine's files
//! ```

mod error;
mod identity;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use catena_core::{ClusterId, Incarnation};

pub use self::error::DirectoryError;
#[cfg(not(madsim))]
pub(crate) use self::identity::check_any_identity;
use self::identity::{Data, IdentityFile};
pub use self::identity::{DirectoryIdentity, Owner};

const LOCK: &str = "lock";
const IDENTITY: &str = "identity";
const IDENTITY_NEW: &str = "identity.new";
#[cfg_attr(madsim, expect(dead_code, reason = "simulated nodes have their store in memory"))]
const DATA: &str = "data";

/// An open data directory. The lock is held until this and every store opened in it are dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    owner: Owner,
    #[cfg_attr(madsim, expect(dead_code, reason = "held for its effect; simulated stores take no share of it"))]
    lock: Arc<File>,
    identity: Option<IdentityFile>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// The owner's directory, from before.
    Existing(DirectoryIdentity),
    /// An empty or new directory: choose an incarnation and [`initialise`](Directory::initialise) it.
    Fresh,
}

impl Directory {
    /// Opens `owner`'s directory at `path`, creating the directory if need be, and locks it. Nothing is
    /// created in a directory that holds anything else.
    ///
    /// # Errors
    /// See [`DirectoryError`]: each names the directory and says what to do.
    pub fn open(path: &Path, owner: &Owner) -> Result<(Self, Opened), DirectoryError> {
        create_durably(path).map_err(|source| DirectoryError::unwritable(path, source))?;
        refuse_foreign(path)?;
        let lock = lock(path)?;
        let identity = read_identity(path)?;
        if let Some(file) = &identity
            && file.identity.owner != *owner
        {
            return Err(DirectoryError::OtherOwner {
                path: path.to_owned(),
                found: file.identity.owner.clone(),
                given: owner.clone(),
            });
        }
        let opened = identity.as_ref().map_or(Opened::Fresh, |file| Opened::Existing(file.identity.clone()));
        Ok((Self { path: path.to_owned(), owner: owner.clone(), lock: Arc::new(lock), identity }, opened))
    }

    /// Gives a fresh directory its identity, durably. It belongs to no cluster yet: [`join`](Directory::join) comes once the
    /// cluster is known. An incarnation that is told to others only after this survives any crash.
    ///
    /// # Errors
    /// [`DirectoryError::Unwritable`].
    ///
    /// # Panics
    /// When the directory has an identity.
    pub fn initialise(&mut self, incarnation: Incarnation) -> Result<DirectoryIdentity, DirectoryError> {
        assert!(self.identity.is_none(), "a directory is initialised once");
        let identity = DirectoryIdentity { owner: self.owner.clone(), incarnation, cluster: None };
        self.store_identity(IdentityFile { identity: identity.clone(), data: Data::None })?;
        Ok(identity)
    }

    /// Makes the directory one of `cluster`, durably. Without effect where it is already.
    ///
    /// # Errors
    /// [`DirectoryError::OtherCluster`] where it belongs to another; [`DirectoryError::Unwritable`].
    ///
    /// # Panics
    /// When the directory has no identity.
    pub fn join(&mut self, cluster: ClusterId) -> Result<DirectoryIdentity, DirectoryError> {
        let mut file = self.identity.clone().expect("a directory is initialised before it joins a cluster");
        match file.identity.cluster {
            Some(found) if found == cluster => {}
            Some(found) => {
                return Err(DirectoryError::OtherCluster { path: self.path.clone(), found, given: cluster });
            }
            None => {
                file.identity.cluster = Some(cluster);
                self.store_identity(file.clone())?;
            }
        }
        Ok(file.identity)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the data with `open`, which creates it where there is none, under the directory's lock. Data that was there once and is
    /// gone is refused: an empty store must not pass for one with a history.
    #[cfg(not(madsim))]
    pub(crate) fn open_data<T, E: From<DirectoryError>>(
        &mut self,
        open: impl FnOnce(&Path, Arc<File>) -> Result<T, E>,
    ) -> Result<T, E> {
        let file = self.identity.clone().expect("a directory is initialised before its data is opened");
        let path = self.path.join(DATA);
        // Without its marker, fjall would take what is there for a place to create a database in.
        if file.data == Data::Created && !path.join("version").is_file() {
            return Err(DirectoryError::DataMissing { path: self.path.clone() }.into());
        }
        if file.data == Data::None {
            // A first start that was killed on its way may have left half a store. Nobody has used it.
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(DirectoryError::unwritable(&path, error).into());
                }
                Ok(()) | Err(_) => {}
            }
        }
        let opened = open(&path, self.lock.clone())?;
        if file.data == Data::None {
            self.store_identity(IdentityFile { data: Data::Created, ..file })?;
        }
        Ok(opened)
    }

    /// Replaces the identity file atomically: a crash leaves the old one or the new one.
    fn store_identity(&mut self, file: IdentityFile) -> Result<(), DirectoryError> {
        let write = || {
            let temporary = self.path.join(IDENTITY_NEW);
            let mut new = File::create(&temporary)?;
            new.write_all(file.to_text().as_bytes())?;
            new.sync_all()?;
            fs::rename(&temporary, self.path.join(IDENTITY))?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|source| DirectoryError::unwritable(&self.path, source))?;
        self.identity = Some(file);
        Ok(())
    }
}

/// Creates `path` and what is missing above it, so that it survives a power loss.
fn create_durably(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|part| !part.as_os_str().is_empty() && !part.exists()).collect();
    fs::create_dir_all(path)?;
    for created in missing {
        let parent = created.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// A directory without an identity must be empty, but for what a first start that was killed may have left.
fn refuse_foreign(path: &Path) -> Result<(), DirectoryError> {
    let unreadable = |source| DirectoryError::unwritable(path, source);
    if path.join(IDENTITY).try_exists().map_err(unreadable)? {
        return Ok(());
    }
    for found in fs::read_dir(path).map_err(unreadable)? {
        let name = found.map_err(unreadable)?.file_name();
        if name != LOCK && name != IDENTITY_NEW {
            return Err(DirectoryError::NotCatena { path: path.to_owned(), found: name.to_string_lossy().into_owned() });
        }
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, DirectoryError> {
    let unwritable = |source| DirectoryError::unwritable(path, source);
    let mut file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path.join(LOCK)).map_err(unwritable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // For the message only: an unreadable or odd content is shown as it is.
            let _ = (&file).take(20).read_to_string(&mut pid);
            return Err(DirectoryError::InUse { path: path.to_owned(), pid: pid.trim().to_owned() });
        }
        Err(fs::TryLockError::Error(source)) => return Err(unwritable(source)),
    }
    file.set_len(0).map_err(unwritable)?;
    writeln!(file, "{}", std::process::id()).map_err(unwritable)?;
    Ok(file)
}

fn read_identity(path: &Path) -> Result<Option<IdentityFile>, DirectoryError> {
    let file = match File::open(path.join(IDENTITY)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(DirectoryError::unwritable(path, source)),
    };
    let mut bytes = Vec::new();
    file.take(identity::MAX_BYTES).read_to_end(&mut bytes).map_err(|source| DirectoryError::unwritable(path, source))?;
    IdentityFile::parse(&bytes).map(Some).map_err(|fault| fault.at(path))
}
