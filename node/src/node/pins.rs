//! States that are pinned for snapshots, and the reads of what a successor is to get: parts of them (J1), and entries that
//! were spilled (W6). A part may have a mebibyte: in a real process it is read on a thread for blocking work, so that it holds
//! up no write.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use catena_core::{Entry, EntryId, Event, Seq, Slot};
use catena_store::{Part, Pinned, Reader, StoreError};
use tokio::sync::mpsc;

/// One pin a slot.
pub(super) struct Pins<R: Reader> {
    reader: R,
    held: BTreeMap<Slot, Pin<R::Pinned>>,
    /// Counts pins, so that a part of one that was let go of is known.
    last: u64,
    done: mpsc::UnboundedSender<PartRead>,
}

struct Pin<P> {
    number: u64,
    state: Arc<P>,
}

/// What was read of a slot; or why it, or the pin that it was to be of, could not be.
pub(super) struct PartRead {
    pub(super) slot: Slot,
    content: Result<Content, StoreError>,
}

enum Content {
    Part {
        number: u64,
        at: EntryId,
        after: Option<Bytes>,
        part: Part,
    },
    /// The pin has gone on since: as of a successor that had not stored what it was sent.
    Passed {
        number: u64,
        after: Option<Bytes>,
        bytes: usize,
    },
    Spilled(Vec<Entry>),
}

impl<R: Reader> Pins<R> {
    /// What is read comes out of the channel.
    pub(super) fn new(reader: R) -> (Self, mpsc::UnboundedReceiver<PartRead>) {
        let (done, parts) = mpsc::unbounded_channel();
        (Self { reader, held: BTreeMap::new(), last: 0, done }, parts)
    }

    /// Holds on to the slot's state as it is now, in place of the one held before.
    pub(super) fn pin(&mut self, slot: Slot) {
        self.last += 1;
        let number = self.last;
        match self.reader.pin(slot) {
            Ok(state) => drop(self.held.insert(slot, Pin { number, state: Arc::new(state) })),
            Err(error) => {
                self.held.remove(&slot);
                // With the driver gone, nobody waits for it.
                let _ = self.done.send(PartRead { slot, content: Err(error) });
            }
        }
    }

    pub(super) fn unpin(&mut self, slot: Slot) {
        self.held.remove(&slot);
    }

    /// How many are held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Has a part read, from behind `after` on, of about `bytes`.
    pub(super) fn read(&self, slot: Slot, after: Option<Bytes>, bytes: usize) {
        let Some(pin) = self.held.get(&slot) else { return };
        let (number, state, done) = (pin.number, Arc::clone(&pin.state), self.done.clone());
        aside(move || {
            let content = state.read(after.as_deref(), bytes).map(|part| match part {
                Some(part) => Content::Part { number, at: state.at(), after, part },
                None => Content::Passed { number, after, bytes },
            });
            // With the driver gone, nobody waits for it.
            let _ = done.send(PartRead { slot, content });
        });
    }

    /// Has spilled entries read, from behind `after` on, of about `bytes`.
    pub(super) fn read_spilled(&self, slot: Slot, after: Seq, bytes: usize) {
        let (reader, done) = (self.reader.clone(), self.done.clone());
        aside(move || {
            let content = reader.spilled(slot, after, bytes).map(Content::Spilled);
            // With the driver gone, nobody waits for it.
            let _ = done.send(PartRead { slot, content });
        });
    }

    /// What the machine is to hear of a part: nothing, if its state is not held any more.
    pub(super) fn event(&mut self, read: PartRead) -> Result<Option<Event>, StoreError> {
        let slot = read.slot;
        let is_held = |number| self.held.get(&slot).is_some_and(|pin| pin.number == number);
        match read.content? {
            Content::Part { number, at, after, part: Part { objects, end } } => {
                Ok(is_held(number).then_some(Event::ChunkRead { slot, at, after, objects, end }))
            }
            Content::Passed { number, after, bytes } => {
                if is_held(number) {
                    self.pin(slot);
                    self.read(slot, after, bytes);
                }
                Ok(None)
            }
            Content::Spilled(entries) => Ok(Some(Event::SpilledRead { slot, entries })),
        }
    }
}

#[cfg(not(madsim))]
fn aside(read: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(read);
}

/// Simulated processes have no threads; their disks are in memory.
#[cfg(madsim)]
fn aside(read: impl FnOnce() + Send + 'static) {
    read();
}
