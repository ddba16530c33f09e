//! A disk as POSIX promises it, and no better: data is safe once its file was synced, a name once its directory was.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

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

/// In bytes: what is written as a whole or not at all.
const PAGE: u64 = 4096;
const PAGE_LEN: usize = 4096;

/// What a process has done to the files below a directory, and what of it is safe.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    honours: Honours,
    files: Vec<Inode>,
    /// As the process sees them.
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

#[derive(Debug)]
enum Naming {
    Is(PathBuf, Named),
    IsNot(PathBuf),
    Moves { from: PathBuf, to: PathBuf },
}

#[derive(Debug)]
enum Opened {
    File { inode: usize, position: u64, appends: bool },
    Directory(PathBuf),
}

/// What lies behind a name.
#[derive(Debug, Default)]
struct Inode {
    len: u64,
    safe: Content,
    /// Changes that are not safe, by number.
    changes: BTreeMap<u64, Change>,
    changed: u64,
}

#[derive(Clone, Debug)]
enum Change {
    /// Within one page.
    Write {
        offset: u64,
        data: Vec<u8>,
    },
    SetLen(u64),
}

/// Pages that were never written hold zeros.
#[derive(Clone, Debug, Default)]
struct Content {
    len: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Content {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { offset, data } => {
                let page = self.pages.entry(offset / PAGE).or_insert_with(|| vec![0; PAGE_LEN]);
                let start = usize::try_from(offset % PAGE).unwrap();
                page[start..start + data.len()].copy_from_slice(data);
                self.len = self.len.max(offset + data.len() as u64);
            }
            Change::SetLen(len) => {
                self.len = *len;
                self.pages.split_off(&len.div_ceil(PAGE));
                if let Some(page) = self.pages.get_mut(&(len / PAGE)) {
                    page[usize::try_from(len % PAGE).unwrap()..].fill(0);
                }
            }
        }
    }

    fn write_to(&self, path: &Path) {
        let file = File::create(path).unwrap();
        for (number, page) in &self.pages {
            file.write_all_at(page, number * PAGE).unwrap();
        }
        file.set_len(self.len).unwrap();
    }
}

impl Inode {
    fn change(&mut self, change: Change) {
        match &change {
            Change::Write { offset, data } => self.len = self.len.max(offset + data.len() as u64),
            Change::SetLen(len) => self.len = *len,
        }
        self.changes.insert(self.changed, change);
        self.changed += 1;
    }

    fn write(&mut self, mut offset: u64, mut data: &[u8]) {
        while !data.is_empty() {
            let room = usize::try_from(PAGE - offset % PAGE).unwrap();
            let (page, rest) = data.split_at(room.min(data.len()));
            self.change(Change::Write { offset, data: page.to_vec() });
            (offset, data) = (offset + page.len() as u64, rest);
        }
    }

    fn sync(&mut self, covered: u64) {
        let rest = self.changes.split_off(&covered);
        for change in std::mem::replace(&mut self.changes, rest).values() {
            self.safe.apply(change);
        }
    }
}

impl Naming {
    fn directory(&self) -> &Path {
        let (Self::Is(path, _) | Self::IsNot(path) | Self::Moves { from: _, to: path }) = self;
        path.parent().unwrap()
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
        let names = BTreeMap::from([(root.to_owned(), Named::Directory)]);
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
            Call::Rename { from, to } if self.has(from) => {
                assert_eq!(from.parent(), to.parent(), "which directory makes it safe?");
                self.name(Naming::Moves { from: from.clone(), to: to.clone() });
            }
            Call::Remove { path } if self.has(path) => self.name(Naming::IsNot(path.clone())),
            Call::MakeDirectory { path } if self.has(path) => self.name(Naming::Is(path.clone(), Named::Directory)),
            Call::Rename { .. } | Call::Remove { .. } | Call::MakeDirectory { .. } => {}
        }
    }

    /// Whether a path is below the directory that is looked at.
    fn has(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
    }

    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.naming.insert(self.named, naming);
        self.named += 1;
    }

    fn open(&mut self, path: &Path, flags: &str, fd: u64) {
        self.descriptors.remove(&fd);
        if !self.has(path) {
            return;
        }
        let opened = match self.names.get(path).copied() {
            Some(Named::Directory) => Opened::Directory(path.to_owned()),
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
                self.name(Naming::Is(path.to_owned(), Named::File(inode)));
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
                if self.honours == Honours::SyncsAndNewNames {
                    self.make_safe(|_, naming| matches!(naming, Naming::Is(_, named) if *named == new));
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

    /// Writes down what a power loss leaves. How many changes it has taken.
    pub(crate) fn lose_power(&self, fate: Fate, draw: &mut impl FnMut() -> u64, into: &Path) -> usize {
        let mut names = self.safe_names.clone();
        let kept = match fate {
            Fate::All => 0,
            Fate::Nothing => self.naming.len(),
            Fate::Part | Fate::Few => usize::try_from(draw()).unwrap() % (self.naming.len() + 1),
        };
        self.naming.values().take(kept).for_each(|naming| naming.apply(&mut names));
        let mut lost = self.naming.len() - kept;
        // In order: a directory comes before what is in it.
        let mut directories = BTreeSet::new();
        for (path, named) in &names {
            let place = into.join(path.strip_prefix(&self.root).unwrap());
            if *path != self.root && !directories.contains(path.parent().unwrap()) {
                continue; // nothing leads there
            }
            match named {
                Named::Directory => {
                    fs::create_dir_all(&place).unwrap();
                    directories.insert(path.clone());
                }
                Named::File(inode) => {
                    let file = &self.files[*inode];
                    let mut content = file.safe.clone();
                    for change in file.changes.values() {
                        let keep = match fate {
                            Fate::All => false,
                            Fate::Nothing => true,
                            Fate::Part => draw().is_multiple_of(2),
                            Fate::Few => !draw().is_multiple_of(8),
                        };
                        if keep { content.apply(change) } else { lost += 1 }
                    }
                    content.write_to(&place);
                }
            }
        }
        lost
    }
}

/// What a file descriptor stands for, if it is below the directory.
fn find<'a>(descriptors: &HashMap<u64, usize>, opened: &'a mut [Opened], fd: u64) -> Option<&'a mut Opened> {
    descriptors.get(&fd).map(|index| &mut opened[*index])
}
