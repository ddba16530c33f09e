//! The contract between a node and its disk.

use bytes::Bytes;
use catena_core::{Batch, Entry, EntryId, Metadata, Object, Page, Recovered, Seq, Slot, SnapshotEnd, Ticket};

use crate::StoreError;

/// A storage node's durable state. One owner; readers are handed out.
///
/// # Durability
///
/// * A batch is **atomic**: after a crash it is there whole or not at all.
/// * Batches take effect **in the order** they were submitted.
/// * A batch is **durable** once a [`sync`](Store::sync) issued after its [`submit`](Store::submit) has returned
///   its ticket or a later one. Before that a crash may lose it, together with or independently of any
///   other batch that is not durable; no caller may rely on a prefix being kept, even where an
///   implementation keeps one.
/// * A batch is **visible** to readers at the latest when it is durable, and never before it is durable. Its
///   writer keeps an overlay in between. (Both implementations publish at the sync: so nothing that is read
///   can vanish, whatever the caller does.)
/// * A **failed** write or sync is final (D1): the page cache may already have dropped the data, so a second
///   attempt proves nothing. From then on every call on the store returns [`StoreError::Poisoned`]; end the process.
///   What is durable then is known only after the next `recover`.
///
/// # Order of calls
///
/// `recover` once, first; then any number of `submit` and `sync`, so that group commit is one loop: take
/// what is queued, submit each, sync once, report the ticket ([`commit_group`](crate::commit_group)).
///
/// # Panics
///
/// `submit` or `sync` panics on a batch that contradicts what the slot has (a broken invariant of the caller): an
/// `Append` that leaves a gap or reaches below the trim point, a `Truncate` below the trim point, an `Apply` that
/// does not begin right after the trim point, a `Spill` that does not follow on the last spilled, a ticket that runs
/// backwards; and `submit` before `recover`.
pub trait Store: Send {
    /// Looks at what is stored, at the same time as the owner writes.
    type Reader: Reader;

    /// What every slot has that has anything, in slot order.
    ///
    /// Syncs first: what a killed process wrote without a sync may be in the page cache only, and is reported as
    /// durable from here on. Each log is checked link by link from the trim point: an entry belongs to it if its
    /// `previous` version and its seq name the entry before it. The first that does not, and all after it, are what a
    /// crash left of batches that were never durable together: they are removed from the disk before this returns.
    ///
    /// What the process before has spilled is gone, and nothing is said of it.
    ///
    /// Corrupt is not absent (D2): a slot with a damaged record is reported as that ([`Recovered::damaged`]), and nothing of
    /// it is changed. Until a `Clear` it takes no write but a `Chain`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a record is of another format, or damaged so that nobody can tell whose it is.
    /// [`StoreError::Failed`] when the disk cannot be read, written or synced.
    fn recover(&mut self) -> Result<Vec<Recovered>, StoreError>;

    /// Stages a batch behind those submitted before. Durable and visible with the next `sync`.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`] after a failure. Any other error is that failure.
    fn submit(&mut self, batch: Batch) -> Result<(), StoreError>;

    /// Makes everything submitted durable: one write and one sync for all slots. With nothing submitted since the last one,
    /// costs nothing.
    ///
    /// Returns the last durable ticket, `None` if no batch was ever submitted.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`] after a failure. Any other error is that failure: nothing submitted since the
    /// last sync may be taken for durable, nor for lost.
    fn sync(&mut self) -> Result<Option<Ticket>, StoreError>;

    /// Removes a bounded part of what `Install`, `Clear`, `Stage` and spills that ended have left behind, which nobody sees any
    /// more. For idle moments: [`sync`](Store::sync) does a part of it as well, so that it ends also where no moment is idle,
    /// and a restart goes on with it. Delays the next batch by about a sync.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`] after a failure. Any other error is that failure.
    fn sweep(&mut self) -> Result<Swept, StoreError>;

    /// A reader of this store. Cheap; stays valid while the store lives.
    fn reader(&self) -> Self::Reader;
}

/// How much a [`Store::sweep`] has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    /// Nothing: the next one costs nothing.
    All,
    /// Something.
    Partly,
}

/// Looks objects up. Sees every durable batch; of others, nothing.
pub trait Reader: Clone + Send + 'static {
    /// A slot's state, held on to.
    type Pinned: Pinned;

    /// The object at `key` as of the slot's trim point; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when its record is damaged, [`StoreError::Failed`] when the disk cannot be read.
    fn get(&self, slot: Slot, key: &[u8]) -> Result<Option<Object>, StoreError> {
        match self.get_if(slot, key, &mut |_| true)? {
            Lookup::Found(object) => Ok(object),
            Lookup::Unwanted => unreachable!("it is wanted, however large it is"),
        }
    }

    /// The same, if it is `wanted` with so many bytes of value, or with 0 where there is no object: a large value that is not,
    /// is not read. Of two answers, the last one counts: the object may have changed meanwhile.
    ///
    /// # Errors
    /// As [`get`](Reader::get).
    fn get_if(&self, slot: Slot, key: &[u8], wanted: &mut dyn FnMut(usize) -> bool) -> Result<Lookup, StoreError>;

    /// As [`get`](Reader::get), without the value.
    ///
    /// # Errors
    /// As [`get`](Reader::get).
    fn metadata(&self, slot: Slot, key: &[u8]) -> Result<Option<Metadata>, StoreError>;

    /// Holds on to the slot's state as it is now: objects, sessions, trim point and its time, all of one moment (J1). Has
    /// every batch that was durable when this was called, and none in part. Costs little; the disk keeps what is
    /// overwritten for as long as it lives. To be read soon: until its first part is, memory grows with what is written.
    ///
    /// # Errors
    /// As [`get`](Reader::get).
    fn pin(&self, slot: Slot) -> Result<Self::Pinned, StoreError>;

    /// The objects behind `after` as they are now, as a client sees them; about `bytes`, as in [`Pinned::read`].
    ///
    /// # Errors
    /// As [`get`](Reader::get).
    fn page(&self, slot: Slot, after: Option<&[u8]>, bytes: usize) -> Result<Page, StoreError> {
        let part = self.pin(slot)?.read(after, bytes)?.expect("the first part may begin anywhere");
        let next = if part.end.is_some() { None } else { part.last().cloned() };
        Ok(Page { objects: part.objects, next })
    }

    /// The spilled entries of the slot from the one behind `after` on, without a gap: up to the one with which they weigh
    /// `bytes` ([`Entry::weight`]), so at least one where it is there. Empty where it is not, or not any more. If the spill ends
    /// meanwhile, they may be fewer.
    ///
    /// # Errors
    /// As [`get`](Reader::get).
    fn spilled(&self, slot: Slot, after: Seq, bytes: usize) -> Result<Vec<Entry>, StoreError>;
}

/// What comes of a [`Reader::get_if`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The object, or that there is none.
    Found(Option<Object>),
    /// It was not wanted.
    Unwanted,
}

/// A slot's state at one moment. What is written later does not show, nor does what is removed later vanish.
pub trait Pinned: Send + Sync + 'static {
    /// The entry that the state stands at; zero for a slot that never had any.
    fn at(&self) -> EntryId;

    /// The objects behind `after`, `None`: from the first on, in key order: about `bytes` of keys and values, at least one
    /// object where there is one, and more than `bytes` only where a single one is.
    ///
    /// Parts follow one on the other: the first may begin anywhere, each later one is behind the last key of the one
    /// before. The last [`KEPT_PARTS`] are kept, and given again as they were. `None`: it is none of these; pin anew.
    ///
    /// # Errors
    /// As [`Reader::get`].
    fn read(&self, after: Option<&[u8]>, bytes: usize) -> Result<Option<Part>, StoreError>;
}

/// How many parts of a pin can be read again: as many as may have been sent to a replica that has lost them, since it was
/// restarted before they were on its disk (`core`'s copies have two on their way there).
pub const KEPT_PARTS: usize = 2;

/// A part of a slot's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// In key order.
    pub objects: Vec<(Bytes, Object)>,
    /// With the part that reaches the end: what belongs to the state besides objects.
    pub end: Option<SnapshotEnd>,
}

impl Part {
    /// Its last key.
    pub(crate) fn last(&self) -> Option<&Bytes> {
        self.objects.last().map(|(key, _)| key)
    }
}
