//! Only a replica whose node holds a lease shows state (R1). The lease is reckoned here anew from what went over the
//! wire.

use std::collections::BTreeMap;

use catena_core::{Decisions, Epoch, Heartbeat, HeartbeatAnswer, Slot, Time};

use super::Violation;

/// The lease of one process, by its own monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    sent: BTreeMap<u64, Time>,
    until: Time,
    granted_until: Time,
    /// The newest leadership that it has heard of: it takes nothing of an older one (C1).
    epoch: Epoch,
}

impl Lease {
    pub(crate) fn sent(&mut self, heartbeat: &Heartbeat, now: Time) {
        self.sent.insert(heartbeat.sequence, now);
    }

    /// A coordinator lets an answer go. Whether it arrives or not, the coordinator must reckon with it.
    pub(crate) fn granted(&mut self, answer: &HeartbeatAnswer) {
        self.granted_until = self.granted_until.max(self.end(answer).unwrap_or_default());
    }

    /// An answer arrives.
    pub(crate) fn answered(&mut self, answer: &HeartbeatAnswer) {
        if self.heard(&answer.decisions) == Heard::InTime {
            self.until = self.until.max(self.end(answer).unwrap_or_default());
        }
    }

    /// A coordinator says something.
    pub(crate) fn heard(&mut self, decisions: &Decisions) -> Heard {
        if decisions.epoch < self.epoch {
            return Heard::Deposed;
        }
        self.epoch = decisions.epoch;
        Heard::InTime
    }

    /// When the lease ends that an answer grants.
    fn end(&self, answer: &HeartbeatAnswer) -> Option<Time> {
        Some(*self.sent.get(&answer.sequence)? + answer.lease?)
    }

    /// When it ends, as far as answers have arrived.
    pub(crate) fn until(&self) -> Time {
        self.until
    }

    /// When it would end, were every answer on its way to arrive.
    pub(crate) fn granted_until(&self) -> Time {
        self.granted_until
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

/// From whom something came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// From the newest leader that was heard of.
    InTime,
    /// From one before.
    Deposed,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use catena_core::{Presence, Revision, RollCall};

    use super::*;

    fn answer(sequence: u64, lease: Option<Duration>, epoch: u64) -> HeartbeatAnswer {
        let decisions = Decisions::none(Epoch(epoch));
        HeartbeatAnswer { sequence, lease, revision: Revision(1), decisions, nodes: Vec::new() }
    }

    fn heartbeat(sequence: u64) -> Heartbeat {
        Heartbeat {
            sequence,
            applied: Revision(0),
            reports: Vec::new(),
            presence: Presence::Staying,
            epoch: Epoch(0),
            roll_call: RollCall(0),
        }
    }

    #[test]
    fn showing_state_after_the_lease_counted_from_the_sending_is_caught() {
        let mut lease = Lease::default();
        lease.shows(Slot(0), "n1", Time(0)).expect_err("no lease yet");
        lease.sent(&heartbeat(1), Time(100));
        lease.answered(&answer(1, Some(Duration::from_nanos(50)), 1));
        assert_eq!(lease.shows(Slot(0), "n1", Time(149)), Ok(()));
        lease.shows(Slot(0), "n1", Time(150)).expect_err("the lease has ended");
        lease.answered(&answer(2, Some(Duration::from_secs(1)), 1));
        lease.answered(&answer(1, None, 1));
        lease.shows(Slot(0), "n1", Time(150)).expect_err("neither answer renews it");
    }

    #[test]
    fn an_answer_of_a_deposed_leader_renews_nothing_and_one_on_its_way_is_reckoned_with() {
        let mut lease = Lease::default();
        lease.sent(&heartbeat(1), Time(100));
        lease.sent(&heartbeat(2), Time(200));
        let (first, second) = (answer(1, Some(Duration::from_nanos(50)), 2), answer(2, Some(Duration::from_nanos(50)), 1));
        lease.granted(&first);
        lease.granted(&second);
        assert_eq!((lease.until(), lease.granted_until()), (Time(0), Time(250)));
        lease.answered(&first);
        lease.answered(&second);
        assert_eq!(lease.until(), Time(150));
    }
}
