//! Snapshots on their way in, on a simulated disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use catena_core::{Batch, Object, Pin, Slot, SnapshotEnd, Write, mutant};

use super::state::{Applied, SlotState};

/// Parts of a snapshot.
#[derive(Clone, Debug)]
pub(super) struct Staging {
    pub(super) pin: Pin,
    /// The last key staged.
    pub(super) last: Option<Bytes>,
    objects: BTreeMap<Bytes, Object>,
}

/// A snapshot, and the last key of it that is staged.
pub(super) type Progress = Option<(Pin, Option<Bytes>)>;

impl Staging {
    pub(super) fn progress(&self) -> (Pin, Option<Bytes>) {
        (self.pin.clone(), self.last.clone())
    }

    pub(super) fn extend(&mut self, slot: Slot, objects: Vec<(Bytes, Object)>) {
        let at = self.pin.at.seq;
        for (key, object) in objects {
            assert!(self.last.as_ref().is_none_or(|last| *last < key), "slot {slot}: {key:?} staged behind {:?}", self.last);
            let version = object.metadata.version;
            assert!(mutant!(SnapshotSeqApart) || version <= at, "slot {slot}: version {version} in a snapshot at {at}");
            self.last = Some(key.clone());
            self.objects.insert(key, object);
        }
    }
}

impl SlotState {
    /// What is staged of this snapshot; what is of another goes.
    pub(super) fn staging_of(&mut self, pin: Pin) -> &mut Staging {
        let staging = self.staging.take().filter(|staging| mutant!(ChunksOverPins) || staging.pin == pin);
        let mut staging = staging.unwrap_or_else(|| Staging { pin: pin.clone(), last: None, objects: BTreeMap::new() });
        if staging.pin != pin {
            staging = Staging { pin, last: None, ..staging };
        }
        self.staging.insert(staging)
    }

    pub(super) fn install(&mut self, staging: Staging, end: SnapshotEnd) {
        let mut installed = Applied {
            trim: staging.pin.at,
            trim_at: end.at_time,
            objects: Arc::new(staging.objects),
            sessions: Arc::new(end.sessions.into_iter().collect()),
        };
        if mutant!(KeepStaleKeys) {
            let mut both = self.applied.objects.clone();
            Arc::make_mut(&mut both).extend(installed.objects.iter().map(|(key, object)| (key.clone(), object.clone())));
            installed.objects = both;
        }
        if mutant!(SessionsLeftOut) {
            installed.sessions = self.applied.sessions.clone();
        }
        self.applied = installed;
        self.quarantined = false;
        self.spilled.clear();
        self.forget_log();
    }
}

/// A batch that is not synced.
#[derive(Clone, Debug)]
pub(super) struct Unsynced {
    pub(super) batch: Batch,
    /// What the batch does to a snapshot on its way in; `None`: it has nothing to do with one.
    staging: Option<Step>,
}

/// What is staged before and after a batch, where nothing is lost.
#[derive(Clone, Debug)]
struct Step {
    before: Progress,
    after: Progress,
}

impl Unsynced {
    /// Behind `queued`, and behind what is on the disk.
    pub(super) fn new(batch: Batch, queued: &[Unsynced], durable: impl FnOnce(Slot) -> Progress) -> Self {
        if !batch.writes.iter().any(|write| matches!(write, Write::Stage { .. } | Write::Install { .. } | Write::Clear)) {
            return Self { batch, staging: None };
        }
        let queued = queued.iter().rev().filter(|unsynced| unsynced.batch.slot == batch.slot);
        let before = queued.filter_map(|unsynced| unsynced.staging.as_ref()).map(|step| step.after.clone()).next();
        let before = before.unwrap_or_else(|| durable(batch.slot));
        let after = batch.writes.iter().fold(before.clone(), |progress, write| match write {
            Write::Stage { pin, objects } => {
                let last = progress.filter(|(staged, _)| staged == pin).and_then(|(_, last)| last);
                Some((pin.clone(), objects.last().map(|(key, _)| key.clone()).or(last)))
            }
            Write::Install { .. } | Write::Clear => None,
            Write::Chain(_)
            | Write::Append(_)
            | Write::Truncate { .. }
            | Write::Apply { .. }
            | Write::Quarantine
            | Write::Spill(_)
            | Write::DropSpill => progress,
        });
        Self { batch, staging: Some(Step { before, after }) }
    }

    /// Whether the batch goes on where this ends, or begins anew.
    pub(super) fn follows(&self, staging: Option<&Staging>) -> bool {
        let Some(step) = &self.staging else { return true };
        let staged = staging.map(Staging::progress);
        let is_of = |progress: &Progress, pin: &Pin| progress.as_ref().is_some_and(|(staged, _)| staged == pin);
        let first = self.batch.writes.iter().find_map(|write| match write {
            Write::Stage { pin, .. } => Some(!is_of(&staged, pin) && !is_of(&step.before, pin)),
            Write::Install { .. } => Some(false),
            Write::Clear => Some(true),
            Write::Chain(_)
            | Write::Append(_)
            | Write::Truncate { .. }
            | Write::Apply { .. }
            | Write::Quarantine
            | Write::Spill(_)
            | Write::DropSpill => None,
        });
        staged == step.before || first == Some(true)
    }
}
