//! The node's lease from the coordinator (R1): while it holds, the node may answer reads.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Time;

/// Heartbeats whose answer may still come; an answer to an older one renews nothing.
const REMEMBERED: usize = 64;

/// Until when the node may answer reads.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    until: Option<Time>,
    sent: BTreeMap<u64, Time>,
}

impl Lease {
    /// Whether it holds now.
    pub(crate) fn held(&self, now: Time) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// For how long it still holds; `None`: it does not.
    pub(crate) fn left(&self, now: Time) -> Option<Duration> {
        self.until.filter(|until| now < *until).map(|until| until.since(now))
    }

    /// A heartbeat leaves.
    pub(crate) fn sent(&mut self, sequence: u64, now: Time) {
        self.sent.insert(sequence, now);
        if self.sent.len() > REMEMBERED {
            self.sent.pop_first();
        }
    }

    /// Whether a heartbeat of this sequence is out, and was sent by this process.
    pub(crate) fn awaits(&self, sequence: u64) -> bool {
        self.sent.contains_key(&sequence)
    }

    /// Its answer is here. The lease counts from when the heartbeat was sent: the coordinator granted it after that.
    pub(crate) fn answered(&mut self, sequence: u64, lease: Option<Duration>, now: Time) {
        let Some(mut from) = self.sent.remove(&sequence) else { return };
        if mutant!(LeaseFromReceipt) {
            from = now;
        }
        if let Some(lease) = lease {
            self.until = self.until.max(Some(from + lease));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn counts_from_the_sending_of_the_heartbeat_that_was_answered() {
        let mut lease = Lease::default();
        lease.sent(1, Time(0));
        lease.answered(1, Some(600 * MS), Time(0) + 500 * MS);
        assert!(lease.held(Time(0) + 599 * MS));
        assert!(!lease.held(Time(0) + 600 * MS));
    }

    #[test]
    fn an_answer_without_a_grant_or_to_an_unknown_heartbeat_renews_nothing() {
        let mut lease = Lease::default();
        lease.sent(1, Time(0));
        lease.answered(1, None, Time(0));
        lease.answered(2, Some(600 * MS), Time(0));
        assert!(!lease.held(Time(0)));
    }
}
