//! Sessions: a retried write takes effect once (W8).
//!
//! A session is opened in a slot by an ordered entry and named by that entry's seq, so an expired one can never look new
//! (Ongaro's thesis, section 6.3). The table changes only by applying entries: so it is the same on every replica that
//! stands at the same entry, and travels in entries and snapshots.

use std::collections::BTreeMap;

use crate::{Entry, EntryId, Metadata, Operation, Refusal, Seq, WallTime};

/// A session's write, as its client names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The session: the seq of the entry that opened it.
    pub session: Seq,
    /// The write's number in the session; each new write has a higher one.
    pub number: u64,
    /// The client has the answers of all lower numbers, and will not ask for them again: they are forgotten, and never run.
    pub answered_below: u64,
}

/// What is known of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The time of its last entry.
    pub used_at: WallTime,
    /// Lower numbers are never run.
    pub answered_below: u64,
    /// By number, what was answered, or will be once it is committed.
    pub answers: BTreeMap<u64, Answered>,
}

/// The outcome of a session's write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Where it stands.
    pub entry: EntryId,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a session's write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect; the object it left behind, `None` after a delete.
    Written(Option<Metadata>),
    /// There was nothing to delete.
    Absent,
    /// A condition did not hold.
    Refused(Refusal),
}

/// The sessions of a slot, as of one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    table: BTreeMap<Seq, Session>,
}

impl Sessions {
    /// A table as stored.
    pub fn new(table: impl IntoIterator<Item = (Seq, Session)>) -> Self {
        Self { table: table.into_iter().collect() }
    }

    /// The session of this name.
    pub fn get(&self, session: Seq) -> Option<&Session> {
        self.table.get(&session)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Every session, by name.
    pub fn iter(&self) -> impl Iterator<Item = (Seq, &Session)> {
        self.table.iter().map(|(name, session)| (*name, session))
    }

    /// Applies an entry. Returns the sessions that changed.
    pub fn apply(&mut self, entry: &Entry) -> Vec<Seq> {
        match &entry.operation {
            Operation::OpenSession => {
                let session = Session { used_at: entry.at, answered_below: 0, answers: BTreeMap::new() };
                self.table.insert(entry.id.seq, session);
                vec![entry.id.seq]
            }
            Operation::Expire { sessions } => {
                self.table.retain(|name, _| !sessions.contains(name));
                sessions.clone()
            }
            Operation::Put { .. } | Operation::Delete { .. } => self.answer(entry, Outcome::Written(entry.metadata())),
            Operation::Nothing { refused } => self.answer(entry, refused.map_or(Outcome::Absent, Outcome::Refused)),
        }
    }

    fn answer(&mut self, entry: &Entry, outcome: Outcome) -> Vec<Seq> {
        let Some(Origin { session: name, number, answered_below }) = entry.origin else { return Vec::new() };
        let Some(session) = self.table.get_mut(&name) else { return Vec::new() };
        session.used_at = entry.at;
        session.answered_below = session.answered_below.max(answered_below);
        session.answers.insert(number, Answered { entry: entry.id, outcome });
        session.answers.retain(|number, _| *number >= session.answered_below);
        vec![name]
    }
}
