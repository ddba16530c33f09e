//! No slot is neglected: one that a dead member can be taken out of loses it, whatever other slots wait for (K1).

use std::time::Duration;

use catena_core::{ChainVersion, Epoch, NodeId, Slot, Time};

use super::{Checker, Severity, Violation};

/// Finding that somebody is dead, asking the others, storing: each takes less than a second.
const BOUND: Duration = Duration::from_secs(5);

/// Which slots could be changed, and since when.
#[derive(Debug)]
pub(crate) struct Attention {
    slots: Vec<Option<(Due, Time)>>,
}

/// A chain version that somebody is to be taken out of, and the leadership that can do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) version: ChainVersion,
    pub(crate) epoch: Epoch,
}

impl Attention {
    pub(crate) fn new(slots: u32) -> Self {
        Self { slots: vec![None; slots as usize] }
    }

    /// Looks at a slot; `due`: what is to be done there, and who is dead.
    pub(crate) fn look(&mut self, slot: Slot, due: Option<(Due, NodeId)>, now: Time) -> Result<(), Violation> {
        let before = &mut self.slots[slot.0 as usize];
        let Some((due, dead)) = due else {
            *before = None;
            return Ok(());
        };
        let since = before.filter(|(before, _)| *before == due).map_or(now, |(_, since)| since);
        *before = Some((due, since));
        if now.since(since) <= BOUND {
            return Ok(());
        }
        Err(Violation {
            severity: Severity::Liveness,
            checker: Checker::Progress,
            rule: "K1, K2",
            sentence: format!(
                "slot {slot}: {dead} is dead, in version {} for {:?}, another copy is well, and nothing is done",
                due.version,
                now.since(since)
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(attention: &mut Attention, second: u64, due: Option<(u64, u64)>) -> Result<(), Violation> {
        let due = due.map(|(version, epoch)| Due { version: ChainVersion(version), epoch: Epoch(epoch) });
        let due = due.map(|due| (due, NodeId::new("n1").expect("a name")));
        attention.look(Slot(0), due, Time(second * 1_000_000_000))
    }

    #[test]
    fn a_slot_is_neglected_if_nothing_changes_for_too_long() {
        let mut attention = Attention::new(1);
        assert_eq!(look(&mut attention, 1, Some((1, 1))), Ok(()));
        assert_eq!(look(&mut attention, 6, Some((1, 1))), Ok(()));
        look(&mut attention, 7, Some((1, 1))).expect_err("six seconds");
    }

    #[test]
    fn another_version_another_leader_and_a_copy_in_trouble_begin_the_time_anew() {
        let mut attention = Attention::new(1);
        for (second, due) in [(1, Some((1, 1))), (5, Some((2, 1))), (9, Some((2, 2))), (13, None), (14, Some((2, 2)))] {
            assert_eq!(look(&mut attention, second, due), Ok(()), "at {second}");
        }
        assert_eq!(look(&mut attention, 19, Some((2, 2))), Ok(()));
    }
}
