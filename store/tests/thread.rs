//! The storage thread: group commit, clean stop, loud failure.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::mpsc;

use catena_core::{Batch, ChainVersion, Entry, EntryId, Operation, Recovered, Seq, Slot, Ticket, WallTime, Write};
use catena_store::{GROUP_BYTES, MemoryDisk, MemoryReader, MemoryStore, StorageThread, Store, StoreError, Swept, commit_group};

fn batch(ticket: u64, value_bytes: usize) -> Batch {
    let operation = Operation::Put { key: "k".into(), value: vec![0; value_bytes].into(), created_at: WallTime(1) };
    let id = EntryId { version: ChainVersion(1), seq: Seq(1) };
    let entry = Entry { id, previous: ChainVersion(0), at: WallTime(1), origin: None, operation };
    let slot = Slot(u32::try_from(ticket).unwrap());
    Batch { ticket: Ticket(ticket), slot, writes: vec![Write::Append(vec![entry])] }
}

fn recovered(disk: &MemoryDisk) -> MemoryStore {
    let mut store = disk.open();
    store.recover().unwrap();
    store
}

#[test]
fn a_group_takes_what_waits_and_syncs_once() {
    let disk = MemoryDisk::default();
    let mut store = recovered(&disk);
    let mut waiting = (2..=9).map(|ticket| batch(ticket, 10));
    assert_eq!(commit_group(&mut store, batch(1, 10), || waiting.next()).unwrap(), Ticket(9));
    assert_eq!(disk.unsynced(), 0);
}

#[test]
fn a_group_ends_when_it_is_heavy() {
    let mut store = recovered(&MemoryDisk::default());
    let mut waiting = (2..=9).map(|ticket| batch(ticket, GROUP_BYTES / 2));
    assert_eq!(commit_group(&mut store, batch(1, 10), || waiting.next()).unwrap(), Ticket(3));
    assert_eq!(waiting.count(), 6);
}

#[test]
fn a_clean_stop_flushes_and_reports_everything_submitted() {
    let disk = MemoryDisk::default();
    let (reports, reported) = mpsc::channel();
    let storage = StorageThread::spawn(recovered(&disk), move |report| reports.send(report.unwrap()).unwrap()).unwrap();
    for ticket in 1..=100 {
        storage.submit(batch(ticket, 10)).unwrap();
    }
    let mut store = storage.stop();
    assert_eq!(reported.iter().last(), Some(Ticket(100)));
    store.crash(|| true);
    assert_eq!(store.recover().unwrap().len(), 100);
}

#[test]
fn dropping_the_handle_is_a_clean_stop() {
    let disk = MemoryDisk::default();
    let storage = StorageThread::spawn(recovered(&disk), |report| assert!(report.is_ok())).unwrap();
    storage.submit(batch(1, 10)).unwrap();
    drop(storage);
    disk.crash(|| true);
    assert_eq!(disk.open().recover().unwrap().len(), 1);
}

#[test]
fn a_failed_sync_is_reported_once_and_ends_the_thread() {
    let disk = MemoryDisk::default();
    let (reports, reported) = mpsc::channel();
    let storage = StorageThread::spawn(recovered(&disk), move |report| reports.send(report).unwrap()).unwrap();
    disk.fail_next_sync();
    storage.submit(batch(1, 10)).unwrap();
    let reports: Vec<_> = reported.iter().collect();
    assert!(matches!(reports[..], [Err(StoreError::Failed { .. })]), "{reports:?}");
    let mut store = storage.stop();
    assert!(matches!(store.submit(batch(2, 10)), Err(StoreError::Poisoned)));
    assert!(matches!(store.sync(), Err(StoreError::Poisoned)));
    store.crash(|| true);
    assert_eq!(store.recover().unwrap(), [], "what a failed sync covered was not durable");
}

#[test]
fn a_panic_on_the_thread_is_reported() {
    let (reports, reported) = mpsc::channel();
    let disk = MemoryDisk::default();
    let storage = StorageThread::spawn(recovered(&disk), move |report| reports.send(report).unwrap()).unwrap();
    storage.submit(batch(2, 10)).unwrap();
    storage.submit(batch(1, 10)).unwrap(); // tickets run upwards
    assert!(matches!(reported.iter().last(), Some(Err(StoreError::Stopped))));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| storage.stop())).is_err());
}

/// A store that has to be swept so many times after each batch, and tells of it.
struct Littered {
    store: MemoryStore,
    left: usize,
    swept: mpsc::Sender<Swept>,
    after_that: fn() -> Result<Swept, StoreError>,
}

impl Store for Littered {
    type Reader = MemoryReader;

    fn recover(&mut self) -> Result<Vec<Recovered>, StoreError> {
        self.store.recover()
    }

    fn submit(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.left += 3;
        self.store.submit(batch)
    }

    fn sync(&mut self) -> Result<Option<Ticket>, StoreError> {
        self.store.sync()
    }

    fn sweep(&mut self) -> Result<Swept, StoreError> {
        self.left = self.left.saturating_sub(1);
        let swept = if self.left > 0 { Swept::Partly } else { (self.after_that)()? };
        self.swept.send(swept).unwrap();
        Ok(swept)
    }

    fn reader(&self) -> MemoryReader {
        self.store.reader()
    }
}

#[test]
fn while_no_batch_waits_the_store_is_swept_to_the_end() {
    let (swept, sweeps) = mpsc::channel();
    let store = Littered { store: recovered(&MemoryDisk::default()), left: 0, swept, after_that: || Ok(Swept::All) };
    let storage = StorageThread::spawn(store, |report| assert!(report.is_ok())).unwrap();
    assert_eq!(sweeps.recv(), Ok(Swept::All));
    for ticket in 1..=2 {
        storage.submit(batch(ticket, 10)).unwrap();
        assert_eq!(sweeps.iter().take(3).collect::<Vec<_>>(), [Swept::Partly, Swept::Partly, Swept::All]);
    }
    drop(storage);
    assert_eq!(sweeps.iter().count(), 0);
}

#[test]
fn a_failed_sweep_is_reported_and_ends_the_thread() {
    let (swept, _sweeps) = mpsc::channel();
    let (reports, reported) = mpsc::channel();
    let store = Littered { store: recovered(&MemoryDisk::default()), left: 2, swept, after_that: || Err(StoreError::Poisoned) };
    let storage = StorageThread::spawn(store, move |report| reports.send(report).unwrap()).unwrap();
    assert!(matches!(reported.iter().collect::<Vec<_>>()[..], [Err(StoreError::Poisoned)]));
    assert!(matches!(storage.submit(batch(1, 10)), Err(StoreError::Stopped)));
}
