//! One configuration serves at a time (R1, C4, C5): a version in which somebody has committed an entry, or whose tail would
//! answer a read, ends all versions before it. Checked on every answer that shows state, and as a state: two that might
//! serve are two too many, also when nobody asks.
//!
//! There is no exception for a node that is in both versions: the newer one commits nothing, and its tail is not matched,
//! before that node has adopted it.

use catena_core::{ChainVersion, EntryId, Slot};

use super::Violation;

/// The newest version of each slot that has done something.
#[derive(Clone, Debug)]
pub(crate) struct Reigns {
    slots: Vec<Option<Reign>>,
}

/// A version that others were committed in before cannot serve any more.
#[derive(Clone, Debug)]
struct Reign {
    version: ChainVersion,
    /// Committed first by it.
    entry: EntryId,
    by: String,
}

/// A replica that would answer a read at this instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server<'a> {
    pub(crate) node: &'a str,
    pub(crate) version: ChainVersion,
}

impl Reigns {
    pub(crate) fn new(slots: u32) -> Self {
        Self { slots: vec![None; slots as usize] }
    }

    /// A replica that acts in `version` is the first to declare an entry committed.
    pub(crate) fn committed(&mut self, slot: Slot, version: ChainVersion, entry: EntryId, by: &str) {
        let reign = &mut self.slots[slot.0 as usize];
        if reign.as_ref().is_none_or(|reign| reign.version < version) {
            *reign = Some(Reign { version, entry, by: by.to_owned() });
        }
    }

    /// A replica shows state, or would if it was asked.
    pub(crate) fn serves(&self, slot: Slot, server: Server<'_>) -> Result<(), Violation> {
        let Some(reign) = &self.slots[slot.0 as usize] else { return Ok(()) };
        demand!(
            reign.version <= server.version,
            Configurations,
            "R1, C4",
            "slot {slot}: {} may show state in version {}, and {} has committed {} in version {}",
            server.node,
            server.version,
            reign.by,
            reign.entry,
            reign.version
        );
        Ok(())
    }

    /// Two nodes' replicas would answer a read at the same instant: a chain has one tail, so they are in two versions.
    pub(crate) fn both(slot: Slot, one: Server<'_>, other: Server<'_>) -> Result<(), Violation> {
        demand!(
            one.node == other.node,
            Configurations,
            "R1, C4",
            "slot {slot}: {} in version {} and {} in version {} would both answer a read",
            one.node,
            one.version,
            other.node,
            other.version
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use catena_core::Seq;

    use super::*;

    const SLOT: Slot = Slot(0);

    fn server(node: &str, version: u64) -> Server<'_> {
        Server { node, version: ChainVersion(version) }
    }

    fn entry(seq: u64) -> EntryId {
        EntryId { version: ChainVersion(1), seq: Seq(seq) }
    }

    #[test]
    fn a_server_of_an_older_version_than_one_that_has_committed_is_caught() {
        let mut reigns = Reigns::new(1);
        assert_eq!(reigns.serves(SLOT, server("a", 1)), Ok(()));
        reigns.committed(SLOT, ChainVersion(2), entry(1), "b");
        assert_eq!(reigns.serves(SLOT, server("b", 2)), Ok(()));
        assert_eq!(reigns.serves(SLOT, server("b", 3)), Ok(()));
        reigns.serves(SLOT, server("a", 1)).expect_err("version 2 has committed");
        reigns.committed(SLOT, ChainVersion(1), entry(2), "a");
        reigns.serves(SLOT, server("a", 1)).expect_err("a late commit of version 1 brings it not back");
    }

    #[test]
    fn two_nodes_that_would_both_answer_are_caught() {
        assert_eq!(Reigns::both(SLOT, server("a", 1), server("a", 1)), Ok(()));
        Reigns::both(SLOT, server("a", 1), server("b", 2)).expect_err("two versions serve");
        Reigns::both(SLOT, server("a", 1), server("b", 1)).expect_err("two tails");
    }
}
