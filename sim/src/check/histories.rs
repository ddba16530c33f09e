//! Between neighbours: the predecessor's history includes the successor's. Within a replica: what goes forward (C1, C4, C7, W3).

use catena_core::{ChainVersion, EntryId, ReplicaView, Role, Seq, Slot};

use super::Violation;

/// A replica in a few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watermarks {
    pub(crate) version: ChainVersion,
    pub(crate) role: Role,
    pub(crate) acting: bool,
    pub(crate) matched: bool,
    pub(crate) fenced: bool,
    pub(crate) barrier: Seq,
    pub(crate) trim: EntryId,
    pub(crate) applied: Seq,
    pub(crate) committed: Seq,
    pub(crate) durable: Seq,
    pub(crate) last: EntryId,
}

impl Watermarks {
    /// Of a node that has no replica.
    pub(crate) const NONE: Self = Self {
        version: ChainVersion(0),
        role: Role::None,
        acting: false,
        matched: false,
        fenced: false,
        barrier: Seq(0),
        trim: EntryId { version: ChainVersion(0), seq: Seq(0) },
        applied: Seq(0),
        committed: Seq(0),
        durable: Seq(0),
        last: EntryId { version: ChainVersion(0), seq: Seq(0) },
    };

    /// What a view shows.
    pub(crate) fn of(view: &ReplicaView<'_>) -> Self {
        Self {
            version: view.chain.map_or(ChainVersion(0), |chain| chain.version),
            role: view.role,
            acting: view.acting,
            matched: view.matched,
            fenced: view.fenced,
            barrier: view.barrier,
            trim: view.trim,
            applied: view.applied,
            committed: view.committed,
            durable: view.durable,
            last: view.last,
        }
    }

    /// Whether it takes part in its version with a log that has been compared.
    fn compared(&self) -> bool {
        self.acting && self.matched
    }

    /// Whether it would answer a read, given a lease (R1, R2).
    pub(crate) fn reads(&self) -> bool {
        self.compared() && !self.fenced && self.role.is_tail() && self.committed >= self.barrier
    }

    /// Its data has been dropped: it begins anew as an empty replica, perhaps at once (D2).
    fn dropped(&self) -> bool {
        matches!(self.role, Role::None | Role::Joining) && self.last == EntryId::default() && self.committed == Seq(0)
    }

    /// It stands at a snapshot that it has just installed (J3).
    fn installed(&self, before: &Watermarks) -> bool {
        self.role == Role::Joining && self.trim.seq > before.committed && self.last == self.trim
    }
}

/// One step of a replica: what may not go back, does not.
pub(crate) fn step(slot: Slot, node: &str, before: &Watermarks, after: &Watermarks) -> Result<(), Violation> {
    demand!(
        after.version >= before.version,
        Histories,
        "C1",
        "slot {slot}: {node} goes from version {} back to {}",
        before.version,
        after.version
    );
    let lifted = before.fenced && !after.fenced && before.version == after.version;
    demand!(!lifted, Histories, "C4", "slot {slot}: {node} was fenced in version {}, and is not any more", after.version);
    if after.dropped() {
        return Ok(());
    }
    forward(slot, node, before, after)?;
    let cut = after.last.seq < before.last.seq && !after.installed(before);
    demand!(
        !(cut && before.compared() && after.version == before.version),
        Histories,
        "C7",
        "slot {slot}: {node} cuts {} to {} in version {}, in which it was matched",
        before.last,
        after.last,
        after.version
    );
    Ok(())
}

/// Watermarks of data that is kept.
fn forward(slot: Slot, node: &str, before: &Watermarks, after: &Watermarks) -> Result<(), Violation> {
    demand!(
        after.committed >= before.committed,
        Histories,
        "W3",
        "slot {slot}: {node}'s commit watermark goes from {} back to {}",
        before.committed,
        after.committed
    );
    demand!(
        after.trim.seq >= before.trim.seq && after.applied >= before.applied,
        Histories,
        "W11",
        "slot {slot}: {node}'s trim point goes from {} back to {}, or what it has applied from {} to {}",
        before.trim,
        after.trim,
        before.applied,
        after.applied
    );
    demand!(
        after.trim.seq <= after.applied && after.applied <= after.committed,
        Histories,
        "W11",
        "slot {slot}: {node} trims up to {}, has applied {}, committed is {}",
        after.trim,
        after.applied,
        after.committed
    );
    demand!(
        after.committed <= after.last.seq,
        Histories,
        "W4, C7",
        "slot {slot}: {node} has committed {}, and its log ends at {}",
        after.committed,
        after.last
    );
    Ok(())
}

/// A log for comparison: its entries after `trim`, in order.
pub(crate) struct Log<'a, I: Iterator<Item = EntryId>> {
    pub(crate) node: &'a str,
    pub(crate) watermarks: &'a Watermarks,
    pub(crate) entries: I,
}

/// Two neighbours: where both act in one version and are matched, the predecessor has all that the successor has.
pub(crate) fn include<P, S>(slot: Slot, predecessor: Log<'_, P>, successor: Log<'_, S>) -> Result<(), Violation>
where
    P: Iterator<Item = EntryId>,
    S: Iterator<Item = EntryId>,
{
    let (above, below) = (predecessor.watermarks, successor.watermarks);
    if above.version != below.version || !above.compared() || !below.compared() {
        return Ok(());
    }
    demand!(
        above.last.seq >= below.last.seq,
        Histories,
        "C7, W6",
        "slot {slot}, version {}: {} has up to {}, its predecessor {} only up to {}",
        above.version,
        successor.node,
        below.last,
        predecessor.node,
        above.last
    );
    // Both from behind the later trim point on.
    let start = above.trim.seq.max(below.trim.seq);
    let skip = |trim: EntryId| usize::try_from(start.0 - trim.seq.0).expect("a log in memory");
    let pairs = predecessor.entries.skip(skip(above.trim)).zip(successor.entries.skip(skip(below.trim)));
    for (mine, theirs) in pairs {
        demand!(
            mine == theirs,
            Histories,
            "C7",
            "slot {slot}, version {}: {} has {theirs} where its predecessor {} has {mine}",
            above.version,
            successor.node,
            predecessor.node
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: Slot = Slot(0);

    fn id(version: u64, seq: u64) -> EntryId {
        EntryId { version: ChainVersion(version), seq: Seq(seq) }
    }

    fn matched(trim: u64, versions: &[u64]) -> Plain {
        let log: Vec<EntryId> = (trim + 1..).zip(versions).map(|(seq, version)| id(*version, seq)).collect();
        let last = log.last().copied().unwrap_or(id(1, trim));
        let marks = Watermarks {
            version: ChainVersion(5),
            role: Role::Middle,
            acting: true,
            matched: true,
            trim: id(1, trim),
            applied: Seq(trim),
            committed: Seq(trim),
            durable: last.seq,
            last,
            ..Watermarks::NONE
        };
        (marks, log)
    }

    type Plain = (Watermarks, Vec<EntryId>);

    fn compare(above: &Plain, below: &Plain) -> Result<(), Violation> {
        include(
            SLOT,
            Log { node: "n1", watermarks: &above.0, entries: above.1.iter().copied() },
            Log { node: "n2", watermarks: &below.0, entries: below.1.iter().copied() },
        )
    }

    #[test]
    fn a_successor_with_more_or_other_entries_is_caught() {
        assert_eq!(compare(&matched(0, &[1, 1, 2]), &matched(0, &[1, 1])), Ok(()));
        compare(&matched(0, &[1, 1]), &matched(0, &[1, 1, 2])).expect_err("the successor has more");
        compare(&matched(0, &[1, 2, 2]), &matched(0, &[1, 1])).expect_err("they differ at 2");
    }

    #[test]
    fn logs_are_compared_behind_the_later_trim_point() {
        assert_eq!(compare(&matched(2, &[1, 2]), &matched(0, &[1, 1, 1])), Ok(()));
        compare(&matched(2, &[2, 2]), &matched(0, &[1, 1, 1])).expect_err("they differ at 3");
        compare(&matched(0, &[1, 1, 1]), &matched(2, &[2])).expect_err("they differ at 3");
    }

    #[test]
    fn replicas_that_are_not_matched_in_one_version_are_not_compared() {
        let (above, mut below) = (matched(0, &[1]), matched(0, &[2, 2]));
        below.0.matched = false;
        assert_eq!(compare(&above, &below), Ok(()));
        below.0.matched = true;
        below.0.version = ChainVersion(6);
        assert_eq!(compare(&above, &below), Ok(()));
    }

    #[test]
    fn each_watermark_that_runs_backwards_is_caught() {
        let before = Watermarks { committed: Seq(4), ..matched(3, &[1, 1, 1]).0 };
        assert_eq!(step(SLOT, "n1", &before, &before), Ok(()));
        let wrong: [fn(&mut Watermarks); 7] = [
            |marks| marks.version = ChainVersion(4),
            |marks| marks.committed = Seq(3),
            |marks| marks.applied = Seq(2),
            |marks| marks.applied = Seq(5),
            |marks| marks.trim = id(1, 2),
            |marks| marks.trim = id(1, 4),
            |marks| marks.last = id(1, 5),
        ];
        for (case, wrong) in wrong.into_iter().enumerate() {
            let mut after = before;
            wrong(&mut after);
            step(SLOT, "n1", &before, &after).expect_err(&format!("case {case}"));
        }
        let cut = Watermarks { version: ChainVersion(6), last: id(1, 5), ..before };
        assert_eq!(step(SLOT, "n1", &before, &cut), Ok(()), "a new version may cut");
        let lost = Watermarks { version: ChainVersion(6), last: id(1, 3), ..before };
        step(SLOT, "n1", &before, &lost).expect_err("cut below what is committed");
    }

    #[test]
    fn only_a_snapshot_or_a_drop_makes_a_log_jump() {
        let before = Watermarks { role: Role::Joining, committed: Seq(4), ..matched(3, &[1, 1, 1]).0 };
        let at = |seq| Watermarks { trim: id(1, seq), applied: Seq(seq), committed: Seq(seq), last: id(1, seq), ..before };
        assert_eq!(step(SLOT, "n1", &before, &at(9)), Ok(()), "a snapshot ahead of the log");
        assert_eq!(step(SLOT, "n1", &before, &at(5)), Ok(()), "a snapshot that replaces its end");
        step(SLOT, "n1", &before, &at(3)).expect_err("a snapshot of less than is known to be committed");
        step(SLOT, "n1", &before, &Watermarks { role: Role::Middle, ..at(5) }).expect_err("a member installs none");
        let dropped = Watermarks { version: ChainVersion(6), ..Watermarks::NONE };
        assert_eq!(step(SLOT, "n1", &before, &dropped), Ok(()));
        step(SLOT, "n1", &before, &Watermarks { role: Role::Tail, ..dropped }).expect_err("a member drops nothing");
    }

    #[test]
    fn a_fence_that_is_lifted_within_its_version_is_caught() {
        let before = Watermarks { fenced: true, ..matched(0, &[1]).0 };
        step(SLOT, "n1", &before, &Watermarks { fenced: false, ..before }).expect_err("lifted");
        let next = Watermarks { fenced: false, version: ChainVersion(6), ..before };
        assert_eq!(step(SLOT, "n1", &before, &next), Ok(()), "a new version has none");
    }

    #[test]
    fn a_tail_reads_once_it_is_matched_past_the_barrier_and_not_fenced() {
        let tail = Watermarks { role: Role::Tail, committed: Seq(3), barrier: Seq(3), ..matched(0, &[1, 1, 1]).0 };
        assert!(tail.reads());
        let wrong: [fn(&mut Watermarks); 5] = [
            |marks| marks.role = Role::Joining,
            |marks| marks.acting = false,
            |marks| marks.matched = false,
            |marks| marks.fenced = true,
            |marks| marks.barrier = Seq(4),
        ];
        for (case, wrong) in wrong.into_iter().enumerate() {
            let mut marks = tail;
            wrong(&mut marks);
            assert!(!marks.reads(), "case {case}");
        }
    }
}
