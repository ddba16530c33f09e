//! What a batch's writes change: a slot's content as a whole.

use bytes::Bytes;
use catena_core::{Object, Pin, Slot, SnapshotEnd};

use super::FjallStore;
use super::keys::{Aspect, Space, object_key, slot_key};
use super::record::{ObjectRecord, Placement, RecordedValue, StagingRecord, StateRecord};

impl FjallStore {
    pub(super) fn stage(&mut self, slot: Slot, pin: Pin, objects: &[(Bytes, Object)]) {
        let mut staging = self.staging_of(slot, pin);
        let at = staging.pin.at.seq;
        for (key, Object { value, metadata }) in objects {
            assert!(staging.last.as_ref().is_none_or(|last| last < key), "slot {slot}: {key:?} staged behind {:?}", staging.last);
            let version = metadata.version;
            assert!(version <= at, "slot {slot}: version {version} in a snapshot at {at}");
            let recorded = RecordedValue::of(value);
            if recorded.placement() == Placement::Apart {
                self.put_value(slot, staging.generation, key, version, value);
                staging.apart += 1;
            }
            let record = ObjectRecord { metadata: *metadata, value: recorded };
            self.staged.put(Space::Objects, object_key(slot, staging.generation, key).into(), |out| record.put(out));
            staging.last = Some(key.clone());
        }
        self.staged.put(Space::Slots, slot_key(slot, Aspect::Staging).into(), |out| staging.put(out));
        self.index(slot).staging = Some(staging);
    }

    /// What is staged of this snapshot; what is of another goes.
    fn staging_of(&mut self, slot: Slot, pin: Pin) -> StagingRecord {
        match self.index(slot).staging.take() {
            Some(staging) if staging.pin == pin => return staging,
            Some(other) => self.garbage.end(slot, other.generation, &mut self.staged),
            None => {}
        }
        StagingRecord { generation: self.index(slot).new_generation(), apart: 0, pin, last: None }
    }

    pub(super) fn install(&mut self, slot: Slot, pin: &Pin, end: &SnapshotEnd) {
        let staging = self.index(slot).staging.take().filter(|staging| staging.pin == *pin);
        let staging = staging.unwrap_or_else(|| panic!("slot {slot}: install of {pin:?}, which is not staged"));
        self.staged.remove(Space::Slots, slot_key(slot, Aspect::Staging).into());
        let StagingRecord { generation, apart, .. } = staging;
        self.switch(slot, StateRecord { trim: pin.at, at: end.at_time, generation, apart });
        for (name, session) in &end.sessions {
            self.put_session(slot, generation, *name, Some(session));
        }
    }

    pub(super) fn clear(&mut self, slot: Slot) {
        let index = self.index(slot);
        let generation = index.new_generation();
        let ruins = index.take_ruins();
        let staged = index.staging.take().map(|staging| staging.generation);
        for ended in ruins.into_iter().chain(staged) {
            self.garbage.end(slot, ended, &mut self.staged);
        }
        self.staged.remove(Space::Slots, slot_key(slot, Aspect::Staging).into());
        self.switch(slot, StateRecord { generation, ..StateRecord::default() });
    }

    fn switch(&mut self, slot: Slot, state: StateRecord) {
        let before = self.index(slot).switch(state);
        self.garbage.end(slot, before, &mut self.staged);
        self.drop_spill(slot);
        self.staged.remove(Space::Slots, slot_key(slot, Aspect::Quarantine).into());
        self.put_state(slot);
        self.switched.push(slot);
    }
}
