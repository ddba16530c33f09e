//! A node whose disk has reached its reserve is soon given no more puts (D3).

use std::collections::BTreeMap;

use catena_core::{ChainVersion, Entry, Operation, Seq, Slot};

use super::Violation;

/// Puts that a node has taken since its disk was full, by slot.
#[derive(Debug, Default)]
pub(crate) struct Reserve(BTreeMap<Slot, Taken>);

#[derive(Debug, Default)]
struct Taken {
    version: ChainVersion,
    /// The last entry that was counted: one that comes again is none more.
    last: Seq,
    puts: usize,
}

/// So many times the writes that a head has in flight may come, in each version of the chain: those on their way; those that take
/// their place while the news travels up; the same again where an older message, repeated, says the contrary.
const WINDOWS: usize = 4;

impl Reserve {
    /// Entries go to the disk of a member, in the version in effect.
    pub(crate) fn take(
        &mut self,
        slot: Slot,
        version: ChainVersion,
        entries: &[Entry],
        slot_writes: usize,
        node: &str,
    ) -> Result<(), Violation> {
        let taken = self.0.entry(slot).or_default();
        if taken.version != version {
            *taken = Taken { version, last: taken.last, puts: 0 };
        }
        for entry in entries.iter().filter(|entry| entry.id.seq > taken.last) {
            taken.puts += usize::from(matches!(entry.operation, Operation::Put { .. }));
        }
        taken.last = entries.last().map_or(taken.last, |entry| entry.id.seq.max(taken.last));
        demand!(
            taken.puts <= WINDOWS * slot_writes,
            Reserve,
            "D3",
            "slot {slot}: {node} was given {} puts in version {version} since its disk was full, and no more than {slot_writes} are in flight",
            taken.puts
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use catena_core::{EntryId, WallTime};

    use super::*;

    fn entries(range: std::ops::RangeInclusive<u64>, operation: &Operation) -> Vec<Entry> {
        let entry = |seq| Entry {
            id: EntryId { version: ChainVersion(1), seq: Seq(seq) },
            previous: ChainVersion(1),
            at: WallTime(seq),
            origin: None,
            operation: operation.clone(),
        };
        range.map(entry).collect()
    }

    #[test]
    fn puts_beyond_what_may_be_under_way_are_caught_and_deletes_and_repetitions_are_not() {
        let put = Operation::Put { key: "k".into(), value: "v".into(), created_at: WallTime(1) };
        let delete = Operation::Delete { key: "k".into() };
        let mut reserve = Reserve::default();
        let mut take = |version, entries: &[Entry]| reserve.take(Slot(0), ChainVersion(version), entries, 2, "n1").is_ok();
        assert!(take(1, &entries(1..=100, &delete)) && take(1, &entries(101..=108, &put)));
        assert!(take(1, &entries(101..=108, &put)));
        assert!(take(2, &entries(109..=116, &put)), "another version, another window");
        assert!(!take(2, &entries(117..=117, &put)));
    }
}
