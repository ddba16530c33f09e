//! After healing, everything comes to rest: chains act, calls have ended, replicas are equal (liveness).

use std::fmt;

use catena_core::{ChainVersion, EntryId, Seq, Slot};

use super::histories::Watermarks;
use super::ledger::Ledger;
use super::linearize::objects;
use super::{Checker, Severity, Violation};
use crate::disk::Disk;

/// Why a world has not come to rest. Nodes are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unrest {
    NoChain(Slot),
    Down(String),
    OtherVersion { slot: Slot, node: String, has: ChainVersion, decided: ChainVersion },
    NotActing { slot: Slot, node: String },
    NotMatched { slot: Slot, node: String },
    NotCommitted { slot: Slot, node: String, committed: Seq, last: EntryId },
    NotApplied { slot: Slot, node: String, trim: EntryId, last: EntryId },
    Behind { slot: Slot, node: String, last: EntryId, committed: EntryId },
    CallsOpen { node: String, count: usize },
    CallOpen { client: usize },
    NotServing(Slot),
}

impl fmt::Display for Unrest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unrest::NoChain(slot) => write!(f, "slot {slot} has no chain"),
            Unrest::Down(node) => write!(f, "{node} is down"),
            Unrest::OtherVersion { slot, node, has, decided } => {
                write!(f, "slot {slot}: {node} is at version {has}, decided is {decided}")
            }
            Unrest::NotActing { slot, node } => write!(f, "slot {slot}: {node} takes no part in its version"),
            Unrest::NotMatched { slot, node } => write!(f, "slot {slot}: {node} has not been matched"),
            Unrest::NotCommitted { slot, node, committed, last } => {
                write!(f, "slot {slot}: {node} knows {committed} to be committed, and its log ends at {last}")
            }
            Unrest::NotApplied { slot, node, trim, last } => {
                write!(f, "slot {slot}: {node} has applied up to {trim}, and its log ends at {last}")
            }
            Unrest::Behind { slot, node, last, committed } => {
                write!(f, "slot {slot}: {node}'s log ends at {last}, committed is {committed}")
            }
            Unrest::CallsOpen { node, count } => write!(f, "{node} has not answered {count} calls"),
            Unrest::CallOpen { client } => write!(f, "client {client} waits for its call"),
            Unrest::NotServing(slot) => write!(f, "slot {slot}: no write and read has succeeded since the world healed"),
        }
    }
}

/// Whether a member of a slot's chain, decided at `decided`, is at rest.
pub(crate) fn replica(
    slot: Slot,
    decided: ChainVersion,
    node: &str,
    marks: &Watermarks,
    committed: EntryId,
) -> Result<(), Unrest> {
    let node = || node.to_owned();
    if marks.version != decided {
        return Err(Unrest::OtherVersion { slot, node: node(), has: marks.version, decided });
    }
    if !marks.acting {
        return Err(Unrest::NotActing { slot, node: node() });
    }
    if !marks.matched {
        return Err(Unrest::NotMatched { slot, node: node() });
    }
    if marks.committed != marks.last.seq {
        return Err(Unrest::NotCommitted { slot, node: node(), committed: marks.committed, last: marks.last });
    }
    if marks.last != committed {
        return Err(Unrest::Behind { slot, node: node(), last: marks.last, committed });
    }
    if marks.trim != marks.last {
        return Err(Unrest::NotApplied { slot, node: node(), trim: marks.trim, last: marks.last });
    }
    Ok(())
}

/// The world had so long, and has not come to rest.
pub(crate) fn overdue(seconds: u64, why: &Unrest) -> Violation {
    Violation {
        severity: Severity::Liveness,
        checker: Checker::Progress,
        rule: "C7, C10, W6",
        sentence: format!("{seconds} s after the world has healed: {why}"),
    }
}

/// A replica that has applied everything: its objects are those of the committed history, and so equal to all others'.
pub(crate) fn same_state(slot: Slot, ledger: &Ledger, node: &str, disk: &Disk) -> Result<(), Violation> {
    let (trim, stored) = disk.objects(slot);
    let wanted = objects(ledger.entries(slot));
    let flat = stored.into_iter().map(|(key, object)| {
        let metadata = object.metadata;
        (key, (object.value, metadata.version, metadata.created_at, metadata.updated_at))
    });
    let stored: std::collections::BTreeMap<_, _> = flat.collect();
    demand!(
        stored == wanted,
        Histories,
        "W11",
        "slot {slot}: {node}, applied up to {trim}, has {} objects that are not those of the committed history ({}): {stored:?} instead of {wanted:?}",
        stored.len(),
        wanted.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use catena_core::{Batch, Ticket, Write};

    use super::super::ledger::tests::put;
    use super::*;

    const SLOT: Slot = Slot(0);

    fn id(version: u64, seq: u64) -> EntryId {
        EntryId { version: ChainVersion(version), seq: Seq(seq) }
    }

    #[test]
    fn each_way_not_to_be_at_rest_is_caught() {
        let last = id(2, 9);
        let rest = Watermarks {
            version: ChainVersion(3),
            position: Some(0),
            acting: true,
            matched: true,
            trim: last,
            committed: Seq(9),
            durable: Seq(9),
            last,
        };
        assert_eq!(replica(SLOT, ChainVersion(3), "n1", &rest, last), Ok(()));
        let wrong: [fn(&mut Watermarks); 5] = [
            |marks| marks.version = ChainVersion(2),
            |marks| marks.acting = false,
            |marks| marks.matched = false,
            |marks| marks.committed = Seq(8),
            |marks| marks.trim = id(2, 8),
        ];
        for (case, wrong) in wrong.into_iter().enumerate() {
            let mut marks = rest;
            wrong(&mut marks);
            replica(SLOT, ChainVersion(3), "n1", &marks, last).expect_err(&format!("case {case}"));
        }
        replica(SLOT, ChainVersion(3), "n1", &rest, id(2, 10)).expect_err("others have committed more");
    }

    #[test]
    fn a_replica_whose_objects_differ_from_the_committed_history_is_caught() {
        let log = [put(1, 1, 0, "a"), put(1, 2, 1, "b"), put(1, 3, 1, "a")];
        let mut ledger = Ledger::new(1);
        for entry in &log {
            ledger.commit(SLOT, entry, "n1").expect("they follow on each other");
        }
        let mut disk = Disk::new(1);
        let apply =
            |ticket, entries: &[_]| Batch { ticket: Ticket(ticket), slot: SLOT, writes: vec![Write::Apply(entries.to_vec())] };
        disk.submit(apply(1, &log[..2]));
        disk.begin();
        disk.end();
        same_state(SLOT, &ledger, "n1", &disk).expect_err("the last write is missing");
        disk.submit(apply(2, &log[2..]));
        disk.begin();
        disk.end();
        assert_eq!(same_state(SLOT, &ledger, "n1", &disk), Ok(()));
    }
}
