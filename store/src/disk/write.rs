//! What a batch's writes change: entries and what they are applied to.

use catena_core::{Chain, Entry, Operation, Seq, Session, Slot, Write};
use fjall::Slice;

use super::chain_record::put_chain;
use super::index::Logged;
use super::keys::{Aspect, Generation, Space, object_key, position_key, slot_key, value_key};
use super::log_record::put_entry;
use super::record::{ObjectRecord, Placement, RecordedValue};
use super::session_record::put_session;
use super::staged::StagedRecord;
use super::{FjallStore, reader};
use crate::StoreError;

impl FjallStore {
    pub(super) fn write(&mut self, slot: Slot, write: Write) -> Result<(), StoreError> {
        match write {
            Write::Chain(chain) => self.adopt(&chain),
            Write::Append(entries) => {
                for entry in &entries {
                    self.append(slot, entry);
                }
            }
            Write::Truncate { last } => self.truncate(slot, last),
            Write::Apply { entries, sessions } => {
                for entry in &entries {
                    self.apply(slot, entry)?;
                }
                let generation = self.index(slot).generation();
                for (name, session) in sessions {
                    self.put_session(slot, generation, name, session.as_ref());
                }
                self.put_state(slot);
            }
            Write::Spill(entries) => self.spill(slot, &entries),
            Write::DropSpill => self.drop_spill(slot),
            Write::Stage { pin, objects } => self.stage(slot, pin, &objects),
            Write::Install { pin, end } => self.install(slot, &pin, &end),
            Write::Clear => self.clear(slot),
            Write::Quarantine => self.staged.put(Space::Slots, slot_key(slot, Aspect::Quarantine).into(), |_| {}),
        }
        Ok(())
    }

    fn adopt(&mut self, chain: &Chain) {
        self.staged.put(Space::Slots, slot_key(chain.slot, Aspect::Chain).into(), |out| put_chain(out, chain));
    }

    fn append(&mut self, slot: Slot, entry: &Entry) {
        let index = self.index(slot);
        let generation = index.generation();
        let replaced = index.append(slot, entry.id, Logged::of(entry));
        if let Some(key) = replaced.and_then(|replaced| replaced.apart) {
            self.remove_value(slot, generation, &key, entry.id.seq);
        }
        self.put_entry(slot, generation, entry);
    }

    /// Its log record, and its value, if apart.
    pub(super) fn put_entry(&mut self, slot: Slot, generation: Generation, entry: &Entry) {
        if let Operation::Put { key, value, .. } = &entry.operation
            && Placement::of(value) == Placement::Apart
        {
            self.put_value(slot, generation, key, entry.id.seq, value);
        }
        let position = position_key(slot, generation, entry.id.seq);
        self.staged.put(Space::Log, position.into(), |out| put_entry(out, entry));
    }

    fn truncate(&mut self, slot: Slot, last: Seq) {
        let generation = self.index(slot).generation();
        while let Some((seq, logged)) = self.index(slot).cut(slot, last) {
            if let Some(key) = logged.apart {
                self.remove_value(slot, generation, &key, seq);
            }
            self.staged.remove(Space::Log, position_key(slot, generation, seq).into());
        }
    }

    /// The value of an entry, if apart, changes hands here: from the log record, which goes, to the object record.
    fn apply(&mut self, slot: Slot, entry: &Entry) -> Result<(), StoreError> {
        let index = self.index(slot);
        let generation = index.generation();
        let logged = index.trim(slot, entry);
        if logged.is_some() {
            self.staged.remove(Space::Log, position_key(slot, generation, entry.id.seq).into());
        }
        let (Some(key), metadata) = (entry.operation.key(), entry.metadata()) else { return Ok(()) };
        self.remove_value_of(slot, key)?;
        let object = Slice::from(object_key(slot, generation, key));
        match (&entry.operation, metadata) {
            (Operation::Put { value, .. }, Some(metadata)) => {
                let recorded = RecordedValue::of(value);
                if recorded.placement() == Placement::Apart {
                    self.index(slot).state.apart += 1;
                    if logged.is_none() {
                        self.put_value(slot, generation, key, entry.id.seq, value);
                    }
                }
                self.staged.put(Space::Objects, object, |out| ObjectRecord { metadata, value: recorded }.put(out));
            }
            (_, _) => self.staged.remove(Space::Objects, object),
        }
        Ok(())
    }

    /// The object at `key` is about to be overwritten or to go, and with it its value, if apart.
    fn remove_value_of(&mut self, slot: Slot, key: &[u8]) -> Result<(), StoreError> {
        let index = self.index(slot);
        if index.state.apart == 0 {
            return Ok(());
        }
        let generation = index.generation();
        let Some(owned) = self.value_apart(&object_key(slot, generation, key).into())? else { return Ok(()) };
        self.index(slot).state.apart -= 1;
        self.remove_value(slot, generation, key, owned);
        Ok(())
    }

    /// The seq under which the object at `key` has its value apart. Of one whose record is damaged that is not known: its
    /// value, if apart, stays until the generation goes, as it does with a damaged slot (D2).
    fn value_apart(&self, key: &Slice) -> Result<Option<Seq>, StoreError> {
        let record = match self.staged.object(key) {
            StagedRecord::Record(staged) => Some(staged.clone()),
            StagedRecord::Removal => None,
            StagedRecord::Nothing => self.engine.get(Space::Objects, key)?,
        };
        let Some(record) = record else { return Ok(None) };
        let Ok(object) = reader::parse_object(key, &record) else { return Ok(None) };
        Ok((object.value.placement() == Placement::Apart).then_some(object.metadata.version))
    }

    pub(super) fn put_value(&mut self, slot: Slot, generation: Generation, key: &[u8], seq: Seq, value: &[u8]) {
        self.staged.put(Space::Values, value_key(slot, generation, key, seq).into(), |out| out.extend_from_slice(value));
    }

    fn remove_value(&mut self, slot: Slot, generation: Generation, key: &[u8], seq: Seq) {
        self.staged.remove(Space::Values, value_key(slot, generation, key, seq).into());
    }

    pub(super) fn put_session(&mut self, slot: Slot, generation: Generation, name: Seq, session: Option<&Session>) {
        let key = position_key(slot, generation, name).into();
        match session {
            Some(session) => self.staged.put(Space::Sessions, key, |out| put_session(out, session)),
            None => self.staged.remove(Space::Sessions, key),
        }
    }

    pub(super) fn put_state(&mut self, slot: Slot) {
        let state = self.index(slot).state;
        self.staged.put(Space::Slots, slot_key(slot, Aspect::State).into(), |out| state.put(out));
    }
}
