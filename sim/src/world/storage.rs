//! What a process wants of its disk: batches that are synced in groups, and pins that are read in parts.

use std::time::Duration;

use bytes::Bytes;
use catena_core::mutants::{self, Mutant};
use catena_core::{Batch, EntryId, Event, Seq, Slot, Time, Write};
use catena_store::{Part, Pinned as _};

use super::hosts::Input;
use super::{Happening, Life, World};
use crate::check::{Violation, durable, state};
use crate::disk::{Crash, Damaged, Disk, Pinned};
use crate::faults::Fault;
use crate::plan::Place;
use crate::rng::Rng;

/// A slot that a process holds on to.
#[derive(Debug)]
pub(super) struct Pin {
    /// Names it: reads of another one have no effect.
    pub(super) number: u64,
    pinned: Pinned,
    /// Reads of a disk come in the order in which they were asked for.
    last_read: Time,
}

impl Pin {
    /// A part of it, as an event.
    pub(super) fn read(&mut self, disk: &Disk, slot: Slot, after: Option<Bytes>, bytes: usize) -> Event {
        let Some(Part { objects, end }) = self.pinned.read(after.as_deref(), bytes).expect("no fault is planned") else {
            self.pinned = disk.pin(slot);
            return self.read(disk, slot, after, bytes);
        };
        match objects.iter().try_for_each(|(key, _)| disk.whole(slot, key)) {
            Ok(()) => Event::ChunkRead { slot, at: self.pinned.at(), after, objects, end },
            Err(Damaged) => Event::Damaged { slot, request: None },
        }
    }
}

impl World {
    pub(super) fn pin(&mut self, node: usize, slot: Slot) {
        self.pins += 1;
        let host = &mut self.hosts[node];
        let pin = Pin { number: self.pins, pinned: host.disk.pin(slot), last_read: self.now };
        host.process.as_mut().expect("it was stepped").pins.insert(slot, pin);
    }

    pub(super) fn unpin(&mut self, node: usize, slot: Slot) {
        self.hosts[node].process.as_mut().expect("it was stepped").pins.remove(&slot);
    }

    /// A part of a pin is read; the disk takes its time.
    pub(super) fn read_chunk(&mut self, node: usize, slot: Slot, after: Option<Bytes>, bytes: usize) {
        let delay = self.rng.duration(Duration::from_micros(20), self.options.sync);
        let process = self.hosts[node].process.as_mut().expect("it was stepped");
        let Some(pin) = process.pins.get_mut(&slot) else { return };
        pin.last_read = pin.last_read.max(self.now + delay);
        let input = Input::Chunk { slot, pin: pin.number, after, bytes };
        self.queue.push(pin.last_read, Happening::Input { node, life: process.life, input });
    }

    /// Spilled entries are read; the disk takes its time.
    pub(super) fn read_spilled(&mut self, node: usize, slot: Slot, after: Seq, bytes: usize) {
        let delay = self.rng.duration(Duration::from_micros(20), self.options.sync);
        let life = self.hosts[node].process.as_ref().expect("it was stepped").life;
        self.queue.push(self.now + delay, Happening::Input { node, life, input: Input::Spilled { slot, after, bytes } });
    }

    /// A batch goes to the disk. Nothing that is owed is cut or replaced by less.
    pub(super) fn persist(&mut self, node: usize, batch: Batch) -> Result<(), Violation> {
        let host = &mut self.hosts[node];
        let (slot, name) = (batch.slot, host.identity.node.as_str());
        let owed = host.owed[slot.0 as usize];
        let debt = durable::debt(self.realm.chain(slot), &host.identity, &self.ledger, owed);
        let (mut aimed, mut staged) = (false, false);
        let slot_writes = self.options.node.limits.slot_writes;
        for write in &batch.writes {
            if let (Write::Append(entries), Some(reserve)) = (write, &mut host.reserve) {
                let view = host.process.as_ref().and_then(|process| process.node.view(slot)).expect("it was stepped");
                if let Some(chain) = view.chain.filter(|_| view.role.is_member()) {
                    reserve.take(slot, chain.version, entries, slot_writes, name)?;
                }
            }
            match write {
                Write::Truncate { last } => durable::truncated(slot, debt, *last, name)?,
                Write::Install { pin, end: _ } => durable::replaced(slot, &self.ledger, debt, Some(pin.at), name)?,
                Write::Clear => durable::replaced(slot, &self.ledger, debt, None, name)?,
                Write::Append(_) => aimed = true,
                Write::Stage { .. } => (aimed, staged) = (true, true),
                Write::Quarantine => host.disk.quarantine(slot),
                Write::Chain(_) | Write::Apply { .. } | Write::Spill(_) | Write::DropSpill => {}
            }
        }
        let life = host.process.as_ref().expect("it was stepped").life;
        let begins = host.disk.submit(batch);
        if aimed {
            self.aim(node);
        }
        if staged {
            self.aim_at_source(slot);
        }
        if begins {
            self.begin_sync(node, life);
        }
        Ok(())
    }

    pub(super) fn begin_sync(&mut self, node: usize, life: Life) {
        if !self.hosts[node].disk.begin() {
            return;
        }
        let mut duration = self.rng.duration(self.options.sync / 4, self.options.sync);
        let longer = |rng: &mut Rng| rng.heavy_tail(Duration::from_millis(1));
        duration += self.strikes_as(Fault::SlowSync, Place::Node(node), longer).unwrap_or_default();
        self.queue.push(self.now + duration, Happening::Synced { node, life });
    }

    /// A sync has ended: what it covered is durable and visible. The process learns of it a little later.
    pub(super) fn synced(&mut self, node: usize, life: Life) -> Result<(), Violation> {
        let delay = self.rng.duration(Duration::from_micros(1), Duration::from_micros(50));
        let host = &mut self.hosts[node];
        if host.alive(life).is_none() {
            return Ok(());
        }
        if self.now < host.stalled_until {
            self.queue.push(host.stalled_until, Happening::Synced { node, life });
            return Ok(());
        }
        let failed = self.strikes(Fault::SyncError, Place::Node(node));
        if failed && !mutants::is(Mutant::FailedSyncRetried) {
            self.take_down(node, Crash::PowerLoss); // D1: what it covered may be gone, and so is the process
            return Ok(());
        }
        let before = if self.trace.watched() { self.synced_last(node) } else { Vec::new() };
        let disk = &mut self.hosts[node].disk;
        let installed = if failed { Vec::new() } else { disk.installing() };
        let ticket = if failed { disk.lose() } else { disk.end() };
        self.queue.push(self.now + delay, Happening::Input { node, life, input: Input::Event(Event::Durable { ticket }) });
        for (slot, before) in (0..).map(Slot).zip(before) {
            let last = self.hosts[node].disk.synced(slot).last();
            if last != before {
                self.note_synced(node, slot, last);
            }
        }
        for slot in installed {
            // Some faults of a snapshot are gone by the end: so look at once.
            self.stands(node, slot)?;
        }
        self.begin_sync(node, life);
        Ok(())
    }

    /// By slot, the last entry that a node has synced.
    fn synced_last(&self, node: usize) -> Vec<EntryId> {
        (0..self.options.slots).map(|slot| self.hosts[node].disk.synced(Slot(slot)).last()).collect()
    }

    /// A slot's stored state is that of the committed history.
    pub(super) fn stands(&self, node: usize, slot: Slot) -> Result<(), Violation> {
        let host = &self.hosts[node];
        state::stands(slot, &self.ledger, host.name(), &host.disk.stored(slot))
    }
}
