//! A slot's stored state is that of the committed history at the entry it says it stands at: objects and sessions, whether
//! they came there entry by entry or in a snapshot (W11, J1). Checked during the run: some faults are gone by its end.

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::{EntryId, Object, Seq, Session, Sessions, Slot};

use super::Violation;
use super::ledger::Ledger;
use super::linearize::objects;

/// What a disk has of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The entry that it stands at.
    pub(crate) at: EntryId,
    pub(crate) objects: Vec<(Bytes, Object)>,
    pub(crate) sessions: Vec<(Seq, Session)>,
}

/// Compares.
pub(crate) fn stands(slot: Slot, ledger: &Ledger, node: &str, stored: &Stored) -> Result<(), Violation> {
    let at = stored.at;
    let known = ledger.at(slot, at.seq).map(|entry| entry.id).unwrap_or_default();
    demand!(known == at, Histories, "W11, J1", "slot {slot}: {node}'s state stands at {at}, committed there is {known}");
    let index = usize::try_from(at.seq.0).expect("a history in memory");
    let wanted = objects(&ledger.entries(slot)[..index]);
    let flat = stored.objects.iter().map(|(key, Object { value, metadata })| {
        (key.clone(), (value.clone(), metadata.version, metadata.created_at, metadata.updated_at))
    });
    let found: BTreeMap<_, _> = flat.collect();
    demand!(
        found == wanted,
        Histories,
        "W11, J1",
        "slot {slot}: {node}'s {} objects at {at} are not those of the committed history ({}): {found:?} instead of {wanted:?}",
        found.len(),
        wanted.len()
    );
    let sessions = Sessions::new(stored.sessions.iter().cloned());
    ledger.sessions(slot).compare(slot, at.seq, &sessions, &format!("{node}'s disk"))
}

#[cfg(test)]
mod tests {
    use catena_core::{Metadata, NodeConfig, Operation, WallTime};

    use super::super::ledger::tests::put;
    use super::*;

    const SLOT: Slot = Slot(0);

    #[test]
    fn objects_sessions_or_a_place_of_another_history_are_caught() {
        let mut opens = put(1, 2, 1, "-");
        opens.operation = Operation::OpenSession;
        let log = [put(1, 1, 0, "a"), opens, put(1, 3, 1, "b")];
        let mut ledger = Ledger::new(&NodeConfig::new(1));
        let mut sessions = Sessions::default();
        for entry in &log {
            ledger.commit(SLOT, entry, "n1").expect("they follow on each other");
            sessions.apply(entry);
        }
        let object = |seq: u64| Object {
            value: Bytes::copy_from_slice(&seq.to_be_bytes()),
            metadata: Metadata { version: Seq(seq), created_at: WallTime(10), updated_at: WallTime(seq * 10) },
        };
        let whole = Stored {
            at: log[2].id,
            objects: vec![(Bytes::from("a"), object(1)), (Bytes::from("b"), object(3))],
            sessions: sessions.iter().map(|(name, session)| (name, session.clone())).collect(),
        };
        let stands = |stored: &Stored| stands(SLOT, &ledger, "n2", stored);
        assert_eq!(stands(&whole), Ok(()));
        assert_eq!(stands(&Stored { at: log[1].id, objects: whole.objects[..1].to_vec(), ..whole.clone() }), Ok(()));
        stands(&Stored { at: log[1].id, ..whole.clone() }).expect_err("newer state than its seq");
        stands(&Stored { objects: whole.objects[..1].to_vec(), ..whole.clone() }).expect_err("a write is missing");
        stands(&Stored { sessions: Vec::new(), ..whole.clone() }).expect_err("the sessions are missing");
        stands(&Stored { at: EntryId { seq: Seq(4), ..whole.at }, ..whole }).expect_err("nothing is committed there");
    }
}
