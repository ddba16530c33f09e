//! How many records a directory has: no more than what its slots need.

use std::path::Path;

use super::twin::{Slots, TwinSlot};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Records {
    log: usize,
    objects: usize,
    sessions: usize,
    values: usize,
    /// Generations that are named as garbage.
    garbage: usize,
}

impl Records {
    /// What is there, while nobody has it open.
    pub(crate) fn of(path: &Path) -> Self {
        let database = fjall::Database::builder(path).open().unwrap();
        let keyspace = |name| database.keyspace(name, || unreachable!("it exists")).unwrap();
        let count = |name| keyspace(name).len().unwrap();
        let keys = keyspace("slots");
        let keys = keys.iter().map(|record| record.key().unwrap());
        Self {
            log: count("log"),
            objects: count("objects"),
            sessions: count("sessions"),
            values: count("values"),
            garbage: keys.filter(|key| key[4] == 3).count(),
        }
    }

    /// After all was swept, and nothing is spilled.
    pub(crate) fn needed_by(slots: &Slots) -> Self {
        let sum = |counted: fn(&TwinSlot) -> usize| slots.values().map(counted).sum();
        Self {
            log: sum(|slot| slot.log.len()),
            objects: sum(|slot| slot.objects.len() + slot.staged_objects().len()),
            sessions: sum(|slot| slot.sessions.len()),
            values: sum(TwinSlot::values_apart),
            garbage: 0,
        }
    }
}
