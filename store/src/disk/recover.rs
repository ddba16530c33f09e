//! What is found on disk at the start.

use std::collections::BTreeMap;
use std::ops::Bound;

use catena_core::{Chain, Entry, EntryId, Recovered, Seq, Session, Slot};
use fjall::{Guard, Slice};

use super::chain_record::parse_chain;
use super::engine::Engine;
use super::frame::{Fields, corrupt, open};
use super::index::{Logged, SlotIndex};
use super::keys::{
    Aspect, Generation, Space, generation_range, parse_generation, parse_position_key, parse_slot, parse_slot_key, value_key,
};
use super::log_record::LogRecord;
use super::pinned::read_session;
use super::reader::open_value_apart;
use super::record::{StagingRecord, StateRecord};
use super::staged::Staged;
use super::sweep::Garbage;
use crate::{Damage, StoreError};

/// What is on disk.
pub(super) struct Found {
    pub(super) recovered: Vec<Recovered>,
    /// What the writer must remember.
    pub(super) slots: BTreeMap<Slot, SlotIndex>,
    pub(super) garbage: Garbage,
}

type Position = (Slot, Generation, Seq);

/// Slots as they are being read.
#[derive(Default)]
struct Slots(BTreeMap<Slot, FoundSlot>);

#[derive(Default)]
struct FoundSlot {
    chain: Option<Chain>,
    state: StateRecord,
    staging: Option<StagingRecord>,
    garbage: Vec<Generation>,
    sessions: Vec<(Seq, Session)>,
    log: Vec<Entry>,
    quarantined: bool,
    /// An entry did not follow on the one before it: it and all later ones go.
    broken: bool,
    /// The first record of it that was found damaged: nothing that depends on it is known (D2).
    damage: Option<StoreError>,
}

/// Syncs, reads what there is of all slots but objects, and removes what is not linked. Of a slot with a damaged record
/// nothing is removed, and nothing is told but its chain.
pub(super) fn recover(engine: &Engine) -> Result<Found, StoreError> {
    engine.sync_existing()?;
    let mut slots = Slots::default();
    let mut removed = Staged::default();
    for record in engine.keyspace(Space::Slots).iter() {
        let (key, record) = read(record)?;
        let outcome = slots.read_slot(&key, &record);
        slots.unless_damaged(&key, outcome)?;
    }
    for record in engine.keyspace(Space::Sessions).iter() {
        let (key, record) = read(record)?;
        let outcome = slots.read_session(&key, &record);
        slots.unless_damaged(&key, outcome)?;
    }
    slots.read_log(engine, &mut removed)?;
    engine.commit(&mut removed)?;
    let mut garbage = Garbage::default();
    let mut index = BTreeMap::new();
    for (&slot, found) in &slots.0 {
        if found.damage.is_some() {
            index.insert(slot, SlotIndex::ruined(engine.generations(slot)?, &found.garbage));
        } else {
            found.garbage.iter().for_each(|&generation| garbage.found(slot, generation));
            index.insert(slot, found.index(slot));
        }
    }
    let recovered = slots.0.into_iter().filter(|(_, found)| !found.is_empty());
    let recovered = recovered.map(|(slot, found)| found.recovered(slot)).collect();
    Ok(Found { recovered, slots: index, garbage })
}

impl FoundSlot {
    fn is_empty(&self) -> bool {
        let applied_nothing = self.state.trim == EntryId::default() && self.sessions.is_empty();
        applied_nothing
            && self.chain.is_none()
            && self.staging.is_none()
            && self.log.is_empty()
            && !self.quarantined
            && self.damage.is_none()
    }

    fn last(&self) -> EntryId {
        self.log.last().map_or(self.state.trim, |entry| entry.id)
    }

    fn index(&self, slot: Slot) -> SlotIndex {
        let staging = self.staging.iter().map(|staging| staging.generation);
        let generations = self.garbage.iter().copied().chain(staging);
        let last_generation = generations.fold(self.state.generation, Generation::max);
        let mut index = SlotIndex::new(self.state, self.staging.clone(), last_generation);
        for entry in &self.log {
            index.append(slot, entry.id, Logged::of(entry));
        }
        index
    }

    fn recovered(self, slot: Slot) -> Recovered {
        if let Some(damage) = self.damage {
            return Recovered { chain: self.chain, damaged: Some(damage.to_string()), ..Recovered::empty(slot) };
        }
        Recovered {
            slot,
            chain: self.chain,
            trim: self.state.trim,
            trim_at: self.state.at,
            sessions: self.sessions,
            log: self.log,
            staged: self.staging.map(|staging| (staging.pin, staging.last)),
            quarantined: self.quarantined,
            damaged: None,
        }
    }
}

impl Slots {
    /// Damage concerns the slot alone that the record is of, if its key says of which.
    fn unless_damaged(&mut self, key: &[u8], outcome: Result<(), StoreError>) -> Result<(), StoreError> {
        match (outcome, parse_slot(key)) {
            // Not damaged: of another build.
            (Err(error @ StoreError::Corrupt { reason: Damage::Format(_), .. }), _) => Err(error),
            (Err(damage @ StoreError::Corrupt { .. }), Some(slot)) => {
                self.0.entry(slot).or_default().damage.get_or_insert(damage);
                Ok(())
            }
            (outcome, _) => outcome,
        }
    }

    fn read_slot(&mut self, key: &[u8], record: &[u8]) -> Result<(), StoreError> {
        let damaged = |damage| corrupt(Space::Slots, key, damage);
        let body = open(Space::Slots, key, record)?;
        let (slot, aspect) = parse_slot_key(key).ok_or_else(|| damaged(Damage::Malformed("key")))?;
        let found = self.0.entry(slot).or_default();
        match aspect {
            Aspect::Chain => {
                let mut fields = Fields(body);
                found.chain = Some(parse_chain(slot, &mut fields).map_err(damaged)?);
                fields.end().map_err(damaged)?;
            }
            Aspect::State => found.state = StateRecord::parse(body).map_err(damaged)?,
            Aspect::Staging => found.staging = Some(StagingRecord::parse(body).map_err(damaged)?),
            Aspect::Garbage(generation) => found.garbage.push(generation),
            Aspect::Quarantine => found.quarantined = true,
        }
        Ok(())
    }

    /// Session records come slot by slot, in the order of their names. Those of other generations are garbage.
    fn read_session(&mut self, key: &[u8], record: &[u8]) -> Result<(), StoreError> {
        let found = self.of_generation(Space::Sessions, key)?;
        if let Some((found, ..)) = found {
            found.sessions.push(read_session(key, record)?);
        }
        Ok(())
    }

    /// What is of other generations is garbage. It is not read: a spill may be larger than memory.
    fn read_log(&mut self, engine: &Engine, removed: &mut Staged) -> Result<(), StoreError> {
        let mut from = Some(Vec::new());
        while let Some(start) = from.take() {
            for record in engine.keyspace(Space::Log).range(start..) {
                let (key, record) = read(record)?;
                from = self.end_of_garbage(&key);
                if from.is_some() {
                    break;
                }
                let outcome = self.read_entry(engine, key.clone(), &record, removed);
                self.unless_damaged(&key, outcome)?;
            }
        }
        Ok(())
    }

    /// Where what is behind the key's generation begins, if that does not count.
    fn end_of_garbage(&self, key: &[u8]) -> Option<Vec<u8>> {
        let (slot, generation) = (parse_slot(key)?, parse_generation(key)?);
        let counts = |found: &FoundSlot| found.state.generation == generation && found.damage.is_none();
        match generation_range(slot, generation, None) {
            (_, Bound::Excluded(end)) if !self.0.get(&slot).map_or(generation == Generation::default(), counts) => Some(end),
            _ => None,
        }
    }

    /// Log records come slot by slot, in the order of their seqs.
    fn read_entry(&mut self, engine: &Engine, key: Slice, record: &[u8], removed: &mut Staged) -> Result<(), StoreError> {
        let damaged = |damage| corrupt(Space::Log, &key, damage);
        let Some((found, at)) = self.of_generation(Space::Log, &key)? else { return Ok(()) };
        let (slot, generation, seq) = at;
        let body = open(Space::Log, &key, record)?;
        let logged = LogRecord::parse(body).map_err(damaged)?;
        found.broken |= EntryId { version: logged.previous, seq: Seq(seq.0 - 1) } != found.last();
        if !found.broken {
            let value = |key: &[u8]| {
                let key = value_key(slot, generation, key, seq);
                open_value_apart(&key, engine.get(Space::Values, &key)?)
            };
            found.log.push(logged.entry(seq, value)?);
            return Ok(());
        }
        // At or below the trim point a value is no longer the log's: an object may refer to it.
        if seq > found.state.trim.seq
            && let Some(key) = logged.operation.apart()
        {
            removed.remove(Space::Values, value_key(slot, generation, key, seq).into());
        }
        removed.remove(Space::Log, key);
        Ok(())
    }

    /// The slot of a key and the position it names, if it is of the slot's generation; nothing of a damaged slot, whose
    /// generation may not be known.
    fn of_generation(&mut self, space: Space, key: &[u8]) -> Result<Option<(&mut FoundSlot, Position)>, StoreError> {
        let malformed = || corrupt(space, key, Damage::Malformed("key"));
        let position = parse_position_key(key).ok_or_else(malformed)?;
        let found = self.0.entry(position.0).or_default();
        Ok((found.state.generation == position.1 && found.damage.is_none()).then_some((found, position)))
    }
}

fn read(record: Guard) -> Result<(Slice, Slice), StoreError> {
    record.into_inner().map_err(|error| StoreError::failed("read what is stored", error))
}
