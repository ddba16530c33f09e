//! What a power loss leaves of a journal's last group goes; damage to what was synced is refused (D2).
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use catena_core::{Batch, ChainVersion, Entry, EntryId, Operation, Seq, Slot, Ticket, WallTime, Write};
use catena_store::{FjallStore, Store, StoreError};
use tempfile::TempDir;

const SLOT: Slot = Slot(3);
const JOURNAL: &str = "0.jnl";
const PAGE: usize = 4096;
/// Of a value: with its records a group of more than three pages.
const LEN: usize = 4 * PAGE;

fn entry(seq: u64) -> Entry {
    let value = vec![u8::try_from(seq).unwrap(); LEN];
    Entry {
        id: EntryId { version: ChainVersion(1), seq: Seq(seq) },
        previous: ChainVersion(u64::from(seq > 1)),
        at: WallTime(seq),
        origin: None,
        operation: Operation::Put { key: "key".into(), value: value.into(), created_at: WallTime(seq) },
    }
}

/// A store with entries 1 to 4, a group each.
struct Written {
    directory: TempDir,
    journal: Vec<u8>,
    /// Where each group's ends in the journal.
    ends: Vec<usize>,
}

impl Written {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut store = FjallStore::open_unidentified(directory.path()).unwrap();
        store.recover().unwrap();
        let (mut journal, mut ends) = (Vec::new(), Vec::new());
        for seq in 1..=4 {
            store.submit(Batch { ticket: Ticket(seq), slot: SLOT, writes: vec![Write::Append(vec![entry(seq)])] }).unwrap();
            store.sync().unwrap();
            journal = std::fs::read(directory.path().join(JOURNAL)).unwrap();
            ends.push(journal.iter().rposition(|byte| *byte != 0).unwrap() + 1);
        }
        Self { directory, journal, ends }
    }

    /// Another such store, in whose journal `change` was made.
    fn changed(&self, change: impl FnOnce(&mut [u8])) -> TempDir {
        let (copy, mut journal) = (tempfile::tempdir().unwrap(), self.journal.clone());
        copy_all(self.directory.path(), copy.path());
        change(&mut journal);
        journal.truncate(self.ends[3] + PAGE);
        std::fs::write(copy.path().join(JOURNAL), journal).unwrap();
        copy
    }
}

/// All but the journal.
fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy_all(&entry.path(), &to);
        } else if entry.file_name() != JOURNAL {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// The last entry of the log, and it can be written to.
fn last_entry(path: &Path) -> Result<u64, StoreError> {
    let mut store = FjallStore::open_unidentified(path)?;
    let log = store.recover()?.remove(0).log;
    let last = u64::try_from(log.len()).unwrap();
    assert_eq!(log, (1..=last).map(entry).collect::<Vec<_>>());
    store.submit(Batch { ticket: Ticket(1), slot: SLOT, writes: vec![Write::Append(vec![entry(last + 1)])] })?;
    store.sync()?;
    drop(store);
    let log = FjallStore::open_unidentified(path)?.recover()?.remove(0).log;
    assert_eq!(log.last(), Some(&entry(last + 1)));
    Ok(last)
}

fn refusal(path: &Path) -> StoreError {
    FjallStore::open_unidentified(path).err().expect("something that was synced is lost")
}

#[test]
fn a_last_group_that_lacks_any_of_its_pages_goes_and_nothing_else() {
    let written = Written::new();
    let (start, end) = (written.ends[2], written.ends[3]);
    let pages: Vec<usize> = (start / PAGE..=(end - 1) / PAGE).collect();
    assert!(pages.len() >= 4, "{pages:?}");
    for lost in 1..1_u32 << pages.len() {
        let left = written.changed(|journal| {
            for page in pages.iter().enumerate().filter(|(number, _)| lost >> number & 1 == 1).map(|(_, page)| page) {
                journal[(page * PAGE).max(start)..((page + 1) * PAGE).min(end)].fill(0);
            }
        });
        assert_eq!(last_entry(left.path()).unwrap(), 3, "without the pages {lost:b} of {pages:?}");
    }
}

#[test]
fn damage_to_a_group_that_another_follows_is_refused_wherever_it_is() {
    let written = Written::new();
    let [_, start, end, _] = written.ends[..] else { unreachable!("there are four") };
    // Of the group's header, of an item's, of a value and of the end. fjall refuses a damaged value, and cuts at the others.
    for at in [start, start + 1, start + 13, start + 33, start + LEN / 2, end - 13, end - 5, end - 1] {
        let left = written.changed(|journal| journal[at] ^= 0xa5);
        let error = refusal(left.path());
        assert!(matches!(&error, StoreError::JournalDamaged { at: from, .. } if *from == start as u64), "byte {at}: {error}");
        assert!(error.to_string().contains("0.jnl is damaged from byte"), "{error}");
    }
}

#[test]
fn a_journal_that_lacks_pages_in_its_middle_is_refused() {
    let written = Written::new();
    let left = written.changed(|journal| journal[written.ends[0]..written.ends[1]].fill(0));
    assert!(matches!(refusal(left.path()), StoreError::JournalDamaged { .. }));
}

#[test]
fn a_journal_before_the_newest_has_no_torn_group() {
    let written = Written::new();
    let left = written.changed(|journal| journal[written.ends[3] - LEN / 2] ^= 0xa5);
    std::fs::write(left.path().join("1.jnl"), []).unwrap();
    assert!(matches!(refusal(left.path()), StoreError::JournalDamaged { .. }));
}
