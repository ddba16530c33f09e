//! A node's disk: the store's own memory implementation, behind syncs that take time and crashes that lose.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use catena_core::{Batch, ChainVersion, Entry, EntryId, Metadata, Object, Page, Recovered, Seq, Slot, Ticket, Write};
use catena_store::{MemoryDisk, MemoryReader, MemoryStore, Reader, Store};

/// A slot's state as it was when it was pinned.
pub(crate) type Pinned = <MemoryReader as Reader>::Pinned;

use crate::check::state::Stored;
use crate::rng::{Odds, Rng};

/// What breaks when a node goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process: what it wrote survives in the page cache.
    Kill,
    /// The machine: any subset of what was not synced is lost.
    PowerLoss,
}

/// A node's disk and the process's store on it.
#[derive(Debug)]
pub(crate) struct Disk {
    platter: MemoryDisk,
    store: MemoryStore,
    reader: MemoryReader,
    /// Handed over, not yet written.
    queued: VecDeque<Batch>,
    /// Under the sync that is going on.
    syncing: Vec<Batch>,
    /// What is synced, entry by entry: kept apart from the store, so that checkers take nobody's word.
    synced: Vec<Synced>,
    /// Slots whose log does not read as it was written.
    torn: BTreeSet<Slot>,
    /// Objects that do not.
    rotten: BTreeSet<(Slot, Bytes)>,
    /// Slots of which a process has noted that, and this one knows.
    quarantined: BTreeSet<Slot>,
}

/// A record does not read as it was written (D2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// What a slot has synced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Synced {
    pub(crate) chain: ChainVersion,
    pub(crate) trim: EntryId,
    /// The entries after `trim`.
    pub(crate) log: VecDeque<EntryId>,
}

impl Disk {
    /// An empty disk.
    pub(crate) fn new(slots: u32) -> Self {
        let platter = MemoryDisk::default();
        let mut store = platter.open();
        store.recover().expect("no fault is planned");
        let reader = store.reader();
        let synced = vec![Synced::default(); slots as usize];
        Self {
            platter,
            store,
            reader,
            queued: VecDeque::new(),
            syncing: Vec::new(),
            synced,
            torn: BTreeSet::new(),
            rotten: BTreeSet::new(),
            quarantined: BTreeSet::new(),
        }
    }

    /// Damages a slot's log, if it has any record of the slot. The next process finds that. Whether there was one.
    pub(crate) fn tear(&mut self, slot: Slot) -> bool {
        self.synced(slot).chain > ChainVersion(0) && self.torn.insert(slot)
    }

    /// Damages the record of an object, if there is one. Whether there is.
    pub(crate) fn spoil(&mut self, slot: Slot, key: &Bytes) -> bool {
        let (_, objects) = self.platter.objects(slot);
        objects.iter().any(|(there, _)| there == key) && self.rotten.insert((slot, key.clone()))
    }

    /// Damages the record of some object. Whether there was one.
    pub(crate) fn rot(&mut self, rng: &mut Rng) -> bool {
        let slot = Slot(u32::try_from(rng.index(self.synced.len())).expect("a few slots"));
        let (_, objects) = self.platter.objects(slot);
        let object = objects.get(rng.index(objects.len().max(1)));
        object.is_some_and(|(key, _)| self.rotten.insert((slot, key.clone())))
    }

    /// Whether the slot's log is damaged.
    pub(crate) fn is_torn(&self, slot: Slot) -> bool {
        self.torn.contains(&slot)
    }

    /// Whether anything that it has of the slot is.
    pub(crate) fn is_damaged(&self, slot: Slot) -> bool {
        self.is_torn(slot) || self.rotten.iter().any(|(rotten, _)| *rotten == slot)
    }

    /// What did not read does again.
    pub(crate) fn mend(&mut self, slot: Slot) {
        self.torn.remove(&slot);
        self.quarantined.remove(&slot);
        self.rotten.retain(|(rotten, _)| *rotten != slot);
    }

    /// What a batch writes anew is whole.
    fn overwrite(&mut self, batch: &Batch) {
        for write in &batch.writes {
            match write {
                Write::Clear | Write::Install { .. } => self.mend(batch.slot),
                Write::Apply { entries, sessions: _ } => {
                    for key in entries.iter().filter_map(|entry| entry.operation.key()) {
                        self.rotten.remove(&(batch.slot, key.clone()));
                    }
                }
                Write::Chain(_)
                | Write::Append(_)
                | Write::Truncate { .. }
                | Write::Stage { .. }
                | Write::Spill(_)
                | Write::DropSpill
                | Write::Quarantine => {}
            }
        }
    }

    /// Takes a batch. Whether a sync has to be begun.
    pub(crate) fn submit(&mut self, batch: Batch) -> bool {
        self.queued.push_back(batch);
        self.syncing.is_empty() && self.queued.len() == 1
    }

    /// Begins a sync of all that is queued (group commit). Whether there is anything.
    pub(crate) fn begin(&mut self) -> bool {
        self.syncing.extend(self.queued.drain(..));
        !self.syncing.is_empty()
    }

    /// The sync has failed: what it covered is lost. For a planted bug, which goes on as if it had not.
    pub(crate) fn lose(&mut self) -> Ticket {
        self.syncing.drain(..).next_back().expect("a sync is of something").ticket
    }

    /// The process has noted that it cannot read all of this slot.
    pub(crate) fn quarantine(&mut self, slot: Slot) {
        self.quarantined.insert(slot);
    }

    /// Whether the process knows that.
    pub(crate) fn is_quarantined(&self, slot: Slot) -> bool {
        self.quarantined.contains(&slot)
    }

    /// The sync has ended. Everything up to the ticket is durable.
    pub(crate) fn end(&mut self) -> Ticket {
        for batch in std::mem::take(&mut self.syncing) {
            self.synced[batch.slot.0 as usize].write(&batch);
            self.overwrite(&batch);
            self.store.submit(batch).expect("no fault is planned");
        }
        let ticket = self.store.sync().expect("no fault is planned");
        ticket.expect("a sync covers at least one batch")
    }

    /// The process or the machine goes down.
    pub(crate) fn crash(&mut self, crash: Crash, rng: &mut Rng) {
        // What waited for the sync may have been written before it, in order.
        let written = rng.index(self.queued.len() + 1);
        let left = self.syncing.drain(..).chain(self.queued.drain(..).take(written));
        for batch in left.collect::<Vec<_>>() {
            self.store.submit(batch).expect("no fault is planned");
        }
        self.queued.clear();
        match crash {
            Crash::Kill => self.store.kill(),
            Crash::PowerLoss => {
                let odds = *rng.pick(&[Odds::percent(100), Odds::percent(50), Odds::percent(10)]);
                self.store.crash(|| rng.chance(odds));
            }
        }
    }

    /// What a new process finds. All of it is synced.
    pub(crate) fn recover(&mut self) -> Vec<Recovered> {
        self.store = self.platter.open();
        self.reader = self.store.reader();
        let recovered = self.store.recover().expect("no fault is planned");
        // Of what it had not synced, the process before has left no note.
        self.quarantined = recovered.iter().filter(|found| found.quarantined).map(|found| found.slot).collect();
        self.synced.fill(Synced::default());
        for slot in &recovered {
            self.synced[slot.slot.0 as usize] = Synced {
                chain: slot.chain.as_ref().map_or(ChainVersion(0), |chain| chain.version),
                trim: slot.trim,
                log: slot.log.iter().map(|entry| entry.id).collect(),
            };
        }
        recovered.into_iter().map(|found| if self.torn.contains(&found.slot) { damaged(found) } else { found }).collect()
    }

    pub(crate) fn object(&self, slot: Slot, key: &Bytes) -> Result<Option<Object>, Damaged> {
        self.whole(slot, key)?;
        Ok(self.reader.get(slot, key).expect("no fault is planned"))
    }

    pub(crate) fn metadata(&self, slot: Slot, key: &Bytes) -> Result<Option<Metadata>, Damaged> {
        self.whole(slot, key)?;
        Ok(self.reader.metadata(slot, key).expect("no fault is planned"))
    }

    /// Objects from behind `after` on, about `bytes` of them.
    pub(crate) fn page(&self, slot: Slot, after: Option<&Bytes>, bytes: usize) -> Result<Page, Damaged> {
        let page = self.reader.page(slot, after.map(|key| &key[..]), bytes).expect("no fault is planned");
        page.objects.iter().try_for_each(|(key, _)| self.whole(slot, key))?;
        Ok(page)
    }

    /// Whether the object's record, if there is one, reads as it was written.
    pub(crate) fn whole(&self, slot: Slot, key: &Bytes) -> Result<(), Damaged> {
        if self.rotten.contains(&(slot, key.clone())) { Err(Damaged) } else { Ok(()) }
    }

    /// A slot's state as it is now, to be read in parts.
    pub(crate) fn pin(&self, slot: Slot) -> Pinned {
        self.reader.pin(slot).expect("no fault is planned")
    }

    /// Spilled entries behind `after`.
    pub(crate) fn spilled(&self, slot: Slot, after: Seq, bytes: usize) -> Vec<Entry> {
        self.reader.spilled(slot, after, bytes).expect("no fault is planned")
    }

    /// The slots that the sync which is going on gives a snapshot's state.
    pub(crate) fn installing(&self) -> Vec<Slot> {
        let installs = |batch: &&Batch| batch.writes.iter().any(|write| matches!(write, Write::Install { .. }));
        self.syncing.iter().filter(installs).map(|batch| batch.slot).collect()
    }

    /// What a slot has that is synced: its state, without the log.
    pub(crate) fn stored(&self, slot: Slot) -> Stored {
        let (at, objects) = self.platter.objects(slot);
        Stored { at, objects, sessions: self.platter.sessions(slot) }
    }

    /// What a slot has synced.
    pub(crate) fn synced(&self, slot: Slot) -> &Synced {
        &self.synced[slot.0 as usize]
    }
}

/// As a store gives a slot of which it cannot read everything.
fn damaged(found: Recovered) -> Recovered {
    Recovered { chain: found.chain, damaged: Some("planted".to_owned()), ..Recovered::empty(found.slot) }
}

impl Synced {
    fn write(&mut self, batch: &Batch) {
        for write in &batch.writes {
            match write {
                Write::Chain(chain) => self.chain = chain.version,
                Write::Append(entries) => entries.iter().for_each(|entry| {
                    self.truncate(Seq(entry.id.seq.0 - 1));
                    self.log.push_back(entry.id);
                }),
                Write::Truncate { last } => self.truncate(*last),
                Write::Apply { entries, sessions: _ } => entries.iter().for_each(|entry| {
                    self.trim = entry.id;
                    while self.log.pop_front_if(|logged| logged.seq <= entry.id.seq).is_some() {}
                }),
                Write::Stage { .. } | Write::Spill(_) | Write::DropSpill | Write::Quarantine => {}
                Write::Install { pin, end: _ } => {
                    self.trim = pin.at;
                    self.log.clear();
                }
                Write::Clear => *self = Self { chain: self.chain, ..Self::default() },
            }
        }
    }

    fn truncate(&mut self, last: Seq) {
        while self.log.pop_back_if(|logged| logged.seq > last).is_some() {}
    }

    /// The last entry.
    pub(crate) fn last(&self) -> EntryId {
        self.log.back().copied().unwrap_or(self.trim)
    }

    /// Whether the entry is in the log, or trimmed behind a later one.
    pub(crate) fn has(&self, id: EntryId) -> bool {
        if id.seq <= self.trim.seq {
            return id.seq < self.trim.seq || id == self.trim;
        }
        let index = usize::try_from(id.seq.0 - self.trim.seq.0 - 1).expect("a log in memory");
        self.log.get(index) == Some(&id)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use catena_core::{Operation, WallTime};

    use super::*;

    fn entry(version: u64, seq: u64) -> Entry {
        Entry {
            id: EntryId { version: ChainVersion(version), seq: Seq(seq) },
            previous: ChainVersion(if seq == 1 { 0 } else { version }),
            at: WallTime(seq),
            origin: None,
            operation: Operation::Put { key: Bytes::from("k"), value: Bytes::from("v"), created_at: WallTime(1) },
        }
    }

    fn append(ticket: u64, seqs: std::ops::RangeInclusive<u64>) -> Batch {
        let writes = vec![Write::Append(seqs.map(|seq| entry(1, seq)).collect())];
        Batch { ticket: Ticket(ticket), slot: Slot(0), writes }
    }

    fn log(disk: &mut Disk) -> Vec<u64> {
        disk.recover().iter().flat_map(|slot| &slot.log).map(|entry| entry.id.seq.0).collect()
    }

    #[test]
    fn what_is_synced_survives_a_power_loss_and_the_rest_may_not() {
        let mut lost = 0;
        for seed in 0..100 {
            let mut disk = Disk::new(1);
            assert!(disk.submit(append(1, 1..=2)));
            assert!(disk.begin());
            assert!(!disk.submit(append(2, 3..=3)), "a sync is going on");
            assert_eq!(disk.end(), Ticket(1));
            assert!(disk.synced(Slot(0)).has(entry(1, 2).id) && !disk.synced(Slot(0)).has(entry(1, 3).id));
            disk.crash(Crash::PowerLoss, &mut Rng::new(seed));
            let log = log(&mut disk);
            assert!(log == [1, 2] || log == [1, 2, 3], "{log:?}");
            lost += usize::from(log.len() == 2);
        }
        assert!((30..100).contains(&lost), "{lost}");
    }

    #[test]
    fn a_kill_keeps_what_was_under_a_sync() {
        for seed in 0..20 {
            let mut disk = Disk::new(1);
            disk.submit(append(1, 1..=2));
            disk.begin();
            disk.crash(Crash::Kill, &mut Rng::new(seed));
            assert_eq!(log(&mut disk), [1, 2]);
        }
    }

    #[test]
    fn what_is_synced_follows_truncation_and_trimming() {
        let mut disk = Disk::new(1);
        let batch = |ticket, write| Batch { ticket: Ticket(ticket), slot: Slot(0), writes: vec![write] };
        disk.submit(append(1, 1..=5));
        disk.submit(batch(2, Write::Truncate { last: Seq(3) }));
        disk.submit(batch(3, Write::Apply { entries: vec![entry(1, 1), entry(1, 2)], sessions: Vec::new() }));
        disk.begin();
        disk.end();
        let synced = disk.synced(Slot(0)).clone();
        assert_eq!((synced.trim, synced.log.len()), (entry(1, 2).id, 1));
        assert!(synced.has(entry(1, 1).id) && synced.has(entry(1, 3).id));
        assert!(!synced.has(entry(2, 3).id) && !synced.has(entry(1, 4).id) && !synced.has(entry(2, 2).id));
        disk.crash(Crash::Kill, &mut Rng::new(1));
        disk.recover();
        assert_eq!(*disk.synced(Slot(0)), synced);
    }

    #[test]
    fn a_note_of_damage_is_known_to_the_next_process_if_it_was_synced() {
        let slot = Slot(0);
        for synced in [false, true] {
            let mut disk = Disk::new(1);
            assert!(disk.submit(append(1, 1..=1)) && disk.begin());
            disk.end();
            disk.quarantine(slot);
            assert!(disk.is_quarantined(slot), "this process knows");
            if synced {
                assert!(disk.submit(Batch { ticket: Ticket(2), slot, writes: vec![Write::Quarantine] }) && disk.begin());
                disk.end();
            }
            disk.crash(Crash::Kill, &mut Rng::new(1));
            disk.recover();
            assert_eq!(disk.is_quarantined(slot), synced);
        }
    }
}
