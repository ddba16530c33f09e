//! A session's write takes effect once (W8). The tables of sessions are reckoned here anew from the committed history, and
//! compared with what replicas and disks have.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use catena_core::{Answered, Entry, EntryId, NodeConfig, Operation, Origin, Outcome, Seq, Session, Sessions, Slot, WallTime};

use super::Violation;
use super::ledger::metadata;
use crate::rng::nanos;

/// The sessions of a slot after some entry, by name.
pub(crate) type Table = BTreeMap<Seq, Session>;

/// What bounds sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// A session ends when it has been idle for longer, by its entries' times.
    idle: Duration,
    sessions: usize,
    answers: usize,
}

impl Bounds {
    pub(crate) fn of(config: &NodeConfig) -> Self {
        let limits = &config.limits;
        Self { idle: config.session_idle, sessions: limits.slot_sessions, answers: limits.session_writes }
    }
}

/// The sessions of a slot along its committed history.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    bounds: Bounds,
    /// After the last entry.
    table: Table,
    /// Of the table after each seq, from 0.
    digests: Vec<u64>,
    /// Every session's write that took effect, also of sessions that are gone.
    taken: BTreeMap<(Seq, u64), EntryId>,
}

impl Course {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, table: Table::new(), digests: vec![digest(&Table::new())], taken: BTreeMap::new() }
    }

    /// After the last entry.
    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// The entry of a session's write, if it is committed.
    pub(crate) fn entry(&self, session: Seq, number: u64) -> Option<EntryId> {
        self.taken.get(&(session, number)).copied()
    }

    /// The next entry is committed.
    pub(crate) fn commit(&mut self, slot: Slot, entry: &Entry, by: &str) -> Result<(), Violation> {
        self.judge(slot, entry, by)?;
        apply(&mut self.table, entry);
        if let Some(origin) = entry.origin {
            self.taken.insert((origin.session, origin.number), entry.id);
        }
        self.digests.push(digest(&self.table));
        let most = self.table.values().map(|session| session.answers.len()).max().unwrap_or(0);
        demand!(
            self.table.len() <= self.bounds.sessions && most <= self.bounds.answers,
            Sessions,
            "W10",
            "slot {slot}: after {} there are {} sessions, and one has {most} answers; the limits are {} and {}",
            entry.id,
            self.table.len(),
            self.bounds.sessions,
            self.bounds.answers
        );
        Ok(())
    }

    /// Whether the entry may stand here.
    fn judge(&self, slot: Slot, entry: &Entry, by: &str) -> Result<(), Violation> {
        let (id, operation) = (entry.id, &entry.operation);
        let of_call = matches!(operation, Operation::Put { .. } | Operation::Delete { .. } | Operation::Nothing { .. });
        let outside = !matches!(operation, Operation::Nothing { .. });
        demand!(
            if entry.origin.is_some() { of_call } else { outside },
            Sessions,
            "W8",
            "slot {slot}: {by} commits {id} under {:?}: {operation:?}",
            entry.origin
        );
        match (operation, entry.origin) {
            (_, Some(origin)) => self.judge_write(slot, id, origin, by),
            (Operation::Expire { sessions }, None) => {
                sessions.iter().try_for_each(|name| self.judge_expiry(slot, entry, *name, by))
            }
            (_, None) => Ok(()),
        }
    }

    fn judge_write(&self, slot: Slot, id: EntryId, origin: Origin, by: &str) -> Result<(), Violation> {
        let Origin { session: name, number, answered_below: _ } = origin;
        let before = self.entry(name, number);
        demand!(
            before.is_none(),
            Sessions,
            "W8",
            "slot {slot}: {by} commits {id}, write {number} of session {name}, which took effect as {before:?}"
        );
        let session = self.table.get(&name);
        demand!(
            session.is_some(),
            Sessions,
            "W8",
            "slot {slot}: {by} commits {id}, write {number} of session {name}, which is not open"
        );
        let below = session.map_or(0, |session| session.answered_below);
        demand!(
            number >= below,
            Sessions,
            "W8",
            "slot {slot}: {by} commits {id}, write {number} of session {name}, whose client has all answers below {below}"
        );
        Ok(())
    }

    fn judge_expiry(&self, slot: Slot, entry: &Entry, name: Seq, by: &str) -> Result<(), Violation> {
        let used_at = self.table.get(&name).map(|session| session.used_at);
        let idle = used_at.is_some_and(|used_at| entry.at.0.saturating_sub(used_at.0) >= nanos(self.bounds.idle));
        demand!(
            idle,
            Sessions,
            "W8",
            "slot {slot}: {by} ends session {name} with {} at {}, it was last used at {used_at:?}, and may be idle for {:?}",
            entry.id,
            entry.at.0,
            self.bounds.idle
        );
        Ok(())
    }

    /// A replica or a disk has this table, standing behind the committed entry at `seq`.
    pub(crate) fn compare(&self, slot: Slot, seq: Seq, table: &Sessions, who: &str) -> Result<(), Violation> {
        let known = self.digests.get(usize::try_from(seq.0).expect("a history in memory")).copied();
        demand!(
            known == Some(digest_of(table.iter())),
            Sessions,
            "W8",
            "slot {slot}: {who}'s sessions after {seq} are not those of the committed history, which ends at {}: {table:?}",
            self.digests.len() - 1
        );
        Ok(())
    }

    /// As [`Self::compare`], of a table that stands behind `rest`, which follows on the last committed entry.
    pub(crate) fn compare_beyond<'a>(
        &self,
        slot: Slot,
        rest: impl Iterator<Item = &'a Entry>,
        table: &Sessions,
        who: &str,
    ) -> Result<(), Violation> {
        let mut wanted = self.table.clone();
        rest.for_each(|entry| apply(&mut wanted, entry));
        demand!(
            table.iter().eq(wanted.iter().map(|(name, session)| (*name, session))),
            Sessions,
            "W8",
            "slot {slot}: {who}'s sessions are {table:?}, its log says {wanted:?}"
        );
        Ok(())
    }
}

/// What an entry does to the sessions, by the protocol and not by the machine.
fn apply(table: &mut Table, entry: &Entry) {
    let outcome = match &entry.operation {
        Operation::OpenSession => {
            let session = Session { used_at: entry.at, answered_below: 0, answers: BTreeMap::new() };
            table.insert(entry.id.seq, session);
            return;
        }
        Operation::Expire { sessions } => {
            let gone: BTreeSet<_> = sessions.iter().collect();
            table.retain(|name, _| !gone.contains(name));
            return;
        }
        Operation::Put { .. } | Operation::Delete { .. } => Outcome::Written(metadata(entry)),
        Operation::Nothing { refused: Some(refusal) } => Outcome::Refused(*refusal),
        Operation::Nothing { refused: None } => Outcome::Absent,
    };
    let Some((origin, session)) = entry.origin.and_then(|origin| Some((origin, table.get_mut(&origin.session)?))) else { return };
    session.used_at = entry.at;
    session.answered_below = session.answered_below.max(origin.answered_below);
    session.answers.insert(origin.number, Answered { entry: entry.id, outcome });
    while session.answers.first_key_value().is_some_and(|(number, _)| *number < session.answered_below) {
        session.answers.pop_first();
    }
}

fn digest(table: &Table) -> u64 {
    digest_of(table.iter().map(|(name, session)| (*name, session)))
}

/// A number that differs for tables that differ: multiply and rotate, as in `FxHash`.
fn digest_of<'a>(table: impl Iterator<Item = (Seq, &'a Session)>) -> u64 {
    let mut hash = 0_u64;
    let mut add = |word: u64| hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    let object = |object: Option<catena_core::Metadata>| {
        object.map_or([0; 3], |object| [object.version.0, object.created_at.0, object.updated_at.0])
    };
    for (name, Session { used_at: WallTime(used_at), answered_below, answers }) in table {
        [name.0, *used_at, *answered_below, answers.len() as u64].into_iter().for_each(&mut add);
        for (number, Answered { entry, outcome }) in answers {
            let (kind, object) = match outcome {
                Outcome::Written(written) => (1, object(*written)),
                Outcome::Absent => (2, [0; 3]),
                Outcome::Refused(refusal) => (3, object(refusal.object)),
            };
            [*number, entry.version.0, entry.seq.0, kind].into_iter().chain(object).for_each(&mut add);
        }
    }
    hash
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
