//! Nodes that do not answer are spared: calls wait for a new route, and one in a while looks whether they are back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Failure;
use super::backoff::Backoff;
use crate::Time;

/// What is remembered of nodes, by address: one that has moved is another.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    known: BTreeMap<Arc<str>, Endpoint>,
}

#[derive(Debug, Default)]
struct Endpoint {
    /// When it last answered.
    heard: Time,
    ailing: Option<Ailing>,
}

#[derive(Debug)]
struct Ailing {
    strikes: u32,
    /// When the last strike was counted.
    struck: Time,
    /// When the next call may try it.
    next: Time,
}

/// Whether a node was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Well,
    Ailing,
}

impl Endpoints {
    /// Whether a call may go there now; if not, when to ask again.
    pub(super) fn admit(&mut self, node: &Arc<str>, now: Time, backoff: &mut Backoff) -> Result<(), Time> {
        let Some(ailing) = self.known.get_mut(node).and_then(|endpoint| endpoint.ailing.as_mut()) else { return Ok(()) };
        if now < ailing.next {
            return Err(ailing.next);
        }
        ailing.next = now + backoff.wait(ailing.strikes);
        Ok(())
    }

    /// The node has said something.
    pub(super) fn answered(&mut self, node: &Arc<str>, now: Time) -> Before {
        let Some(endpoint) = self.known.get_mut(node) else {
            self.known.insert(node.clone(), Endpoint { heard: now, ailing: None });
            return Before::Well;
        };
        endpoint.heard = now;
        endpoint.ailing.take().map_or(Before::Well, |_| Before::Ailing)
    }

    /// A try that was sent at `sent` has failed.
    pub(super) fn failed(&mut self, node: &Arc<str>, failure: Failure, sent: Time, now: Time, backoff: &mut Backoff) {
        let endpoint = self.known.entry(node.clone()).or_default();
        // A node that has answered others since is well: what waits is the slot.
        let struck = match failure {
            Failure::NotConnected => true,
            Failure::Lost | Failure::TimedOut => endpoint.heard <= sent,
            Failure::Rejected => false,
        };
        let before = endpoint.ailing.as_ref();
        // All that were under way together fail together: that is one strike.
        if !struck || before.is_some_and(|ailing| sent < ailing.struck) {
            return;
        }
        // A refused connection costs nothing; a silent node holds each call for long.
        let slow = now.since(sent) >= backoff.longest();
        let strikes = if slow { u32::MAX } else { before.map_or(0, |ailing| ailing.strikes).saturating_add(1) };
        endpoint.ailing = Some(Ailing { strikes, struck: now, next: now + backoff.wait(strikes) });
    }
}
