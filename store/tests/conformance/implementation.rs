//! The implementations under test, and how their processes and machines die.

use std::cell::RefCell;

use catena_core::{Entry, Seq, Slot};
use catena_store::{FjallStore, MemoryDisk, MemoryStore, Reader, Store, Swept};
use tempfile::TempDir;

use super::records::Records;
use super::twin::{Fate, Slots};

/// Something that stores can be opened on, one after the other.
pub(crate) trait Implementation {
    type Store: Store + 'static;

    fn open(&self) -> Self::Store;

    /// The process of `store` dies with `unsynced` batches; says what became of each.
    fn kill(&self, store: Self::Store, unsynced: usize) -> Vec<Fate>;

    /// The power fails; `lose` is asked for each unsynced batch where the implementation has the choice.
    fn crash(&self, store: Self::Store, unsynced: usize, lose: impl FnMut() -> bool) -> Vec<Fate>;

    /// Checks, while nobody has it open and after all was swept, that nothing is left over on disk besides what `slots` need.
    fn check_swept(&self, slots: &Slots);

    /// As [`check_swept`](Implementation::check_swept), after another process has swept.
    fn check_leftovers(&self, slots: &Slots) {
        let mut store = self.recovered();
        sweep_all(&mut store);
        self.kill(store, 0);
        self.check_swept(slots);
    }

    /// Opened and recovered.
    fn recovered(&self) -> Self::Store {
        let mut store = self.open();
        store.recover().unwrap();
        store
    }
}

pub(crate) fn sweep_all(store: &mut impl Store) {
    while store.sweep().unwrap() == Swept::Partly {}
}

/// Whatever is spilled behind `after`, in parts of about `bytes`.
pub(crate) fn read_spilled(reader: &impl Reader, slot: Slot, after: Seq, bytes: usize) -> Vec<Entry> {
    let mut all = Vec::<Entry>::new();
    loop {
        let after = all.last().map_or(after, |entry| entry.id.seq);
        let part = reader.spilled(slot, after, bytes).unwrap();
        if part.is_empty() {
            return all;
        }
        all.extend(part);
    }
}

#[derive(Default)]
pub(crate) struct Memory(MemoryDisk);

impl Implementation for Memory {
    type Store = MemoryStore;

    fn open(&self) -> MemoryStore {
        self.0.open()
    }

    fn kill(&self, mut store: MemoryStore, unsynced: usize) -> Vec<Fate> {
        store.kill();
        assert_eq!(self.0.unsynced(), unsynced);
        vec![Fate::Kept; unsynced]
    }

    fn crash(&self, mut store: MemoryStore, unsynced: usize, mut lose: impl FnMut() -> bool) -> Vec<Fate> {
        let fates = RefCell::new(Vec::new());
        store.crash(|| {
            let fate = if lose() { Fate::Lost } else { Fate::Kept };
            fates.borrow_mut().push(fate);
            fate == Fate::Lost
        });
        let fates = fates.into_inner();
        assert_eq!(fates.len(), unsynced);
        fates
    }

    fn check_swept(&self, slots: &Slots) {
        for (&slot, twin) in slots {
            let objects = twin.objects.iter().map(|(key, object)| (key.clone(), object.clone())).collect();
            assert_eq!(self.0.objects(slot), (twin.trim, objects));
            assert_eq!(self.0.sessions(slot), twin.sessions());
        }
    }
}

/// Staged batches are in the process only, so they are lost with it.
pub(crate) struct Fjall(TempDir);

impl Fjall {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Implementation for Fjall {
    type Store = FjallStore;

    fn open(&self) -> FjallStore {
        FjallStore::open_unidentified(self.0.path()).unwrap()
    }

    fn kill(&self, store: FjallStore, unsynced: usize) -> Vec<Fate> {
        drop(store);
        vec![Fate::Lost; unsynced]
    }

    fn crash(&self, store: FjallStore, unsynced: usize, _lose: impl FnMut() -> bool) -> Vec<Fate> {
        self.kill(store, unsynced)
    }

    fn check_swept(&self, slots: &Slots) {
        assert_eq!(Records::of(self.0.path()), Records::needed_by(slots));
    }
}
