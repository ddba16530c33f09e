//! A disk as POSIX promises it, and no better: data is safe once its file was synced, a name once its directory was.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::inode::{Change, Inode};
use super::trace::Call;

/// What a power loss takes of that which was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    All,
    Nothing,
    /// Of data any page, of names the last ones: file systems keep their order.
    Part,
    /// As a part, of data about one page in eight: so that what says how long the rest is mostly stays.
    Few,
}

/// What the disk does of what it promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Honours {
    Syncs,
    /// More than POSIX asks for, as ext4, XFS and Btrfs do it: the sync of a new file makes its name safe too.
    SyncsAndNewNames,
    NoSyncOfData,
    NoSyncOfNames,
}

/// What a process has done to the files below a directory, and what of it is safe.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    honours: Honours,
    files: Vec<Inode>,
    /// As the process sees them, from the directory on.
    names: BTreeMap<PathBuf, Named>,
    safe_names: BTreeMap<PathBuf, Named>,
    /// Changes of names that are not safe, by number.
    naming: BTreeMap<u64, Naming>,
    named: u64,
    opened: Vec<Opened>,
    /// What a file descriptor stands for: an index of the above.
    descriptors: HashMap<u64, usize>,
    /// How many changes of its file, or of names, each sync covers that is under way.
    syncs: HashMap<(u64, u64), u64>,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    File(usize),
    Directory,
}

#[derive(Clone, Debug)]
enum Naming {
    Is(PathBuf, Named),
    IsNot(PathBuf),
    Moves { from: PathBuf, to: PathBuf },
}

#[derive(Clone, Debug)]
enum Opened {
    File { inode: usize, position: u64, appends: bool },
    Directory(PathBuf),
}

impl Naming {
    fn directory(&self) -> &Path {
        let (Self::Is(path, _) | Self::IsNot(path) | Self::Moves { from: _, to: path }) = self;
        path.parent().unwrap()
    }

    /// Whether what a name stands for is changed.
    fn changes(&self, name: &Path) -> bool {
        match self {
            Self::Is(path, _) | Self::IsNot(path) => path == name,
            Self::Moves { from, to } => from == name || to == name,
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Named>) {
        match self {
            Self::Is(path, what) => drop(names.insert(path.clone(), *what)),
            Self::IsNot(path) => drop(names.remove(path)),
            Self::Moves { from, to } => {
                if let Some(what) = names.remove(from) {
                    names.insert(to.clone(), what);
                }
            }
        }
    }
}

impl Disk {
    pub(crate) fn new(root: &Path, honours: Honours) -> Self {
        let names = BTreeMap::from([(PathBuf::new(), Named::Directory)]);
        Self {
            root: root.to_owned(),
            honours,
            files: Vec::new(),
            safe_names: names.clone(),
            names,
            naming: BTreeMap::new(),
            named: 0,
            opened: Vec::new(),
            descriptors: HashMap::new(),
            syncs: HashMap::new(),
        }
    }

    /// The process has made a call.
    pub(crate) fn apply(&mut self, call: &Call) {
        match call {
            Call::Open { path, flags, fd } => self.open(path, flags, *fd),
            Call::Close { fd } => drop(self.descriptors.remove(fd)),
            Call::Duplicate { fd, to } => {
                if let Some(opened) = self.descriptors.get(fd).copied() {
                    self.descriptors.insert(*to, opened);
                }
            }
            Call::Write { fd, data } => {
                let Some(Opened::File { inode, position, appends }) = find(&self.descriptors, &mut self.opened, *fd) else {
                    return;
                };
                let file = &mut self.files[*inode];
                let offset = if *appends { file.len } else { *position };
                file.write(offset, data);
                *position = offset + data.len() as u64;
            }
            Call::Seek { fd, position: to } => {
                if let Some(Opened::File { position, .. }) = find(&self.descriptors, &mut self.opened, *fd) {
                    *position = *to;
                }
            }
            Call::SetLen { fd, len } => {
                let Some(Opened::File { inode, .. }) = find(&self.descriptors, &mut self.opened, *fd) else { return };
                self.files[*inode].change(Change::SetLen(*len));
            }
            Call::SyncBegins { fd, process } => self.begin_sync(*fd, *process),
            Call::SyncEnds { fd, process } => self.end_sync(*fd, *process),
            Call::Rename { from, to } => {
                if let Some((from, to)) = self.below(from).zip(self.below(to)) {
                    assert_eq!(from.parent(), to.parent(), "which directory makes it safe?");
                    self.name(Naming::Moves { from, to });
                }
            }
            Call::Remove { path } => drop(self.below(path).map(|path| self.name(Naming::IsNot(path)))),
            Call::MakeDirectory { path } => drop(self.below(path).map(|path| self.name(Naming::Is(path, Named::Directory)))),
        }
    }

    /// A path from the directory on that is looked at, if it is below that.
    fn below(&self, path: &Path) -> Option<PathBuf> {
        path.strip_prefix(&self.root).ok().map(Path::to_owned)
    }

    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.naming.insert(self.named, naming);
        self.named += 1;
    }

    fn open(&mut self, path: &Path, flags: &str, fd: u64) {
        self.descriptors.remove(&fd);
        let Some(path) = self.below(path) else { return };
        let opened = match self.names.get(&path).copied() {
            Some(Named::Directory) => Opened::Directory(path),
            Some(Named::File(inode)) => {
                if flags.contains("O_TRUNC") && self.files[inode].len > 0 {
                    self.files[inode].change(Change::SetLen(0));
                }
                Opened::File { inode, position: 0, appends: flags.contains("O_APPEND") }
            }
            None => {
                assert!(flags.contains("O_CREAT"), "{} was never made", path.display());
                self.files.push(Inode::default());
                let inode = self.files.len() - 1;
                self.name(Naming::Is(path, Named::File(inode)));
                Opened::File { inode, position: 0, appends: flags.contains("O_APPEND") }
            }
        };
        self.opened.push(opened);
        self.descriptors.insert(fd, self.opened.len() - 1);
    }

    fn begin_sync(&mut self, fd: u64, process: u64) {
        let covered = match find(&self.descriptors, &mut self.opened, fd) {
            Some(Opened::File { inode, .. }) => self.files[*inode].changed,
            Some(Opened::Directory(_)) => self.named,
            None => return,
        };
        self.syncs.insert((process, fd), covered);
    }

    fn end_sync(&mut self, fd: u64, process: u64) {
        let Some(covered) = self.syncs.remove(&(process, fd)) else { return };
        match find(&self.descriptors, &mut self.opened, fd) {
            Some(Opened::File { inode, .. }) if self.honours != Honours::NoSyncOfData => {
                let new = Named::File(*inode);
                self.files[*inode].sync(covered);
                let is_new = |(number, naming): (&u64, &Naming)| match naming {
                    Naming::Is(path, named) if *named == new => Some((*number, path.clone())),
                    _ => None,
                };
                if self.honours == Honours::SyncsAndNewNames
                    && let Some((last, path)) = self.naming.iter().find_map(is_new)
                {
                    // And that the name stood for nothing before.
                    self.make_safe(|number, naming| number <= last && naming.changes(&path));
                }
            }
            Some(Opened::Directory(path)) if self.honours != Honours::NoSyncOfNames => {
                let path = path.clone();
                self.make_safe(|number, naming| number < covered && naming.directory() == path);
            }
            Some(_) | None => {}
        }
    }

    fn make_safe(&mut self, covered: impl Fn(u64, &Naming) -> bool) {
        let safe_names = &mut self.safe_names;
        self.naming.retain(|number, naming| {
            let safe = covered(*number, naming);
            if safe {
                naming.apply(safe_names);
            }
            !safe
        });
    }

    /// Whether a power loss could take anything.
    pub(crate) fn is_at_stake(&self) -> bool {
        let named = self.names.values().chain(self.safe_names.values());
        let unsafe_data = |named: &Named| matches!(named, Named::File(inode) if !self.files[*inode].is_safe());
        !self.naming.is_empty() || named.into_iter().any(unsafe_data)
    }

    /// The disk after a power loss, all safe; and how many changes that has taken.
    pub(crate) fn lose_power(&self, fate: Fate, draw: &mut impl FnMut() -> u64) -> (Self, usize) {
        let mut names = self.safe_names.clone();
        let kept = match fate {
            Fate::All => 0,
            Fate::Nothing => self.naming.len(),
            Fate::Part | Fate::Few => usize::try_from(draw()).unwrap() % (self.naming.len() + 1),
        };
        self.naming.values().take(kept).for_each(|naming| naming.apply(&mut names));
        let (mut left, mut lost) = (Self::new(&self.root, self.honours), self.naming.len() - kept);
        // In order: a directory comes before what is in it.
        for (path, named) in names {
            if path.parent().is_none_or(|directory| left.names.get(directory) != Some(&Named::Directory)) {
                continue; // nothing leads there, or it is the directory that all is in
            }
            if let Named::File(inode) = named {
                let (file, taken) = self.files[inode].lose_power(|| match fate {
                    Fate::All => false,
                    Fate::Nothing => true,
                    Fate::Part => draw().is_multiple_of(2),
                    Fate::Few => !draw().is_multiple_of(8),
                });
                lost += taken;
                left.names.insert(path, Named::File(left.files.len()));
                left.files.push(file);
            } else {
                left.names.insert(path, named);
            }
        }
        left.safe_names.clone_from(&left.names);
        (left, lost)
    }

    /// The disk after its process was killed: nothing is lost, and nothing more is safe.
    pub(crate) fn kill(&self) -> Self {
        Self { opened: Vec::new(), descriptors: HashMap::new(), syncs: HashMap::new(), ..self.clone() }
    }

    /// Writes down what is on it, as the next process sees it, which finds it there.
    pub(crate) fn mount(&mut self, at: &Path) {
        at.clone_into(&mut self.root);
        for (path, named) in &self.names {
            match named {
                Named::Directory => fs::create_dir_all(at.join(path)).unwrap(),
                Named::File(inode) => self.files[*inode].write_to(&at.join(path)),
            }
        }
    }
}

/// What a file descriptor stands for, if it is below the directory.
fn find<'a>(descriptors: &HashMap<u64, usize>, opened: &'a mut [Opened], fd: u64) -> Option<&'a mut Opened> {
    descriptors.get(&fd).map(|index| &mut opened[*index])
}
