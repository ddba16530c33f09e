//! Only a replica whose node holds a lease shows state (R1). The lease is reckoned here anew from what went over the
//! wire.

use std::collections::BTreeMap;

use catena_core::{Heartbeat, HeartbeatAnswer, Slot, Time};

use super::Violation;

/// The lease of one process, by its own monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    sent: BTreeMap<u64, Time>,
    until: Time,
}

impl Lease {
    pub(crate) fn sent(&mut self, heartbeat: &Heartbeat, now: Time) {
        self.sent.insert(heartbeat.sequence, now);
    }

    pub(crate) fn answered(&mut self, answer: &HeartbeatAnswer) {
        if let (Some(lease), Some(sent)) = (answer.lease, self.sent.get(&answer.sequence)) {
            self.until = self.until.max(*sent + lease);
        }
    }

    /// The process shows state at `now`.
    pub(crate) fn shows(&self, slot: Slot, node: &str, now: Time) -> Result<(), Violation> {
        demand!(
            now < self.until,
            Serving,
            "R1",
            "slot {slot}: {node} shows state at {} ns of its clock, its lease held until {} ns",
            now.0,
            self.until.0
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use catena_core::Revision;

    use super::*;

    fn answer(sequence: u64, lease: Option<Duration>) -> HeartbeatAnswer {
        HeartbeatAnswer { sequence, lease, revision: Revision(1), chains: Vec::new(), nodes: Vec::new() }
    }

    #[test]
    fn showing_state_after_the_lease_counted_from_the_sending_is_caught() {
        let mut lease = Lease::default();
        lease.shows(Slot(0), "n1", Time(0)).expect_err("no lease yet");
        lease.sent(&Heartbeat { sequence: 1, applied: Revision(0), reports: Vec::new() }, Time(100));
        lease.answered(&answer(1, Some(Duration::from_nanos(50))));
        assert_eq!(lease.shows(Slot(0), "n1", Time(149)), Ok(()));
        lease.shows(Slot(0), "n1", Time(150)).expect_err("the lease has ended");
        lease.answered(&answer(2, Some(Duration::from_secs(1))));
        lease.answered(&answer(1, None));
        lease.shows(Slot(0), "n1", Time(150)).expect_err("neither answer renews it");
    }
}
