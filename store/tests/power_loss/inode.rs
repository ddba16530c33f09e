//! What lies behind a name of a disk: pages that are safe, and changes of them that are not yet.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// In bytes: what is written as a whole or not at all.
const PAGE: u64 = 4096;
const PAGE_LEN: usize = 4096;

/// What lies behind a name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inode {
    pub(crate) len: u64,
    safe: Content,
    /// Changes that are not safe, by number.
    changes: BTreeMap<u64, Change>,
    pub(crate) changed: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Change {
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
    pub(crate) fn change(&mut self, change: Change) {
        match &change {
            Change::Write { offset, data } => self.len = self.len.max(offset + data.len() as u64),
            Change::SetLen(len) => self.len = *len,
        }
        self.changes.insert(self.changed, change);
        self.changed += 1;
    }

    pub(crate) fn write(&mut self, mut offset: u64, mut data: &[u8]) {
        while !data.is_empty() {
            let room = usize::try_from(PAGE - offset % PAGE).unwrap();
            let (page, rest) = data.split_at(room.min(data.len()));
            self.change(Change::Write { offset, data: page.to_vec() });
            (offset, data) = (offset + page.len() as u64, rest);
        }
    }

    pub(crate) fn sync(&mut self, covered: u64) {
        let rest = self.changes.split_off(&covered);
        for change in std::mem::replace(&mut self.changes, rest).values() {
            self.safe.apply(change);
        }
    }

    pub(crate) fn is_safe(&self) -> bool {
        self.changes.is_empty()
    }

    /// The file after a power loss that leaves those changes which `keep` says; and how many it takes.
    pub(crate) fn lose_power(&self, mut keep: impl FnMut() -> bool) -> (Self, usize) {
        let (mut safe, mut lost) = (self.safe.clone(), 0);
        for change in self.changes.values() {
            if keep() { safe.apply(change) } else { lost += 1 }
        }
        (Self { len: safe.len, safe, ..Self::default() }, lost)
    }

    /// As a process sees it.
    pub(crate) fn write_to(&self, path: &Path) {
        self.lose_power(|| true).0.safe.write_to(path);
    }
}
