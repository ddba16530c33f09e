//! States that are pinned for snapshots, and the reads of their parts (J1). A part may have a mebibyte: in a real process it
//! is read on a thread for blocking work, so that it holds up no write.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use catena_core::{EntryId, Event, Slot};
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

/// A part, read; or why it, or the pin that it was to be of, could not be.
pub(super) struct PartRead {
    pub(super) slot: Slot,
    number: u64,
    after: Option<Bytes>,
    part: Result<(EntryId, Part), StoreError>,
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
                let _ = self.done.send(PartRead { slot, number, after: None, part: Err(error) });
            }
        }
    }

    pub(super) fn unpin(&mut self, slot: Slot) {
        self.held.remove(&slot);
    }

    /// Has a part read, from behind `after` on, of about `bytes`.
    pub(super) fn read(&self, slot: Slot, after: Option<Bytes>, bytes: usize) {
        let Some(pin) = self.held.get(&slot) else { return };
        let (number, state, done) = (pin.number, Arc::clone(&pin.state), self.done.clone());
        aside(move || {
            let part = state.read(after.as_deref(), bytes).map(|part| (state.at(), part));
            // With the driver gone, nobody waits for it.
            let _ = done.send(PartRead { slot, number, after, part });
        });
    }

    /// What the machine is to hear of a part: nothing, if its state is not held any more.
    pub(super) fn event(&self, read: PartRead) -> Result<Option<Event>, StoreError> {
        let PartRead { slot, number, after, part } = read;
        let (at, Part { objects, end }) = part?;
        let held = self.held.get(&slot).is_some_and(|pin| pin.number == number);
        Ok(held.then_some(Event::ChunkRead { slot, at, after, objects, end }))
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
