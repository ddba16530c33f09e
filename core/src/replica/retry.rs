//! The probing that finds what was lost, and the neighbours that say nothing (W6, K2).

use std::collections::BTreeMap;

use super::{Context, Replica};
use crate::{Message, NodeId, Role, Time};

/// Neighbours that say nothing.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    /// Since when one that is waited for has not been heard, in whatever version: a newer one makes nobody heard.
    since: BTreeMap<NodeId, Time>,
    /// One that the coordinator is to be told of.
    silent: Option<NodeId>,
}

impl Quiet {
    pub(super) fn silent(&self) -> Option<&NodeId> {
        self.silent.as_ref()
    }

    /// A neighbour says something.
    pub(super) fn heard(&mut self, from: &NodeId) {
        self.since.remove(from);
        self.silent.take_if(|silent| silent == from);
    }

    /// In a new version, others may be waited for, or the same still.
    pub(super) fn regroup(&mut self) {
        self.silent = None;
    }
}

impl Replica {
    /// While something is outstanding with a neighbour and nothing moves, asks it what it has; also when idle (W6).
    pub(super) fn retry(&mut self, cx: &mut Context<'_>) {
        let (above, below) = (self.waits_above(cx), self.waits_below(cx));
        if above.is_none() && below.is_none() {
            self.retry_at = None;
            self.quiet = Quiet::default();
            return;
        }
        let now = cx.now.monotonic;
        if now < *self.retry_at.get_or_insert(now + cx.config.probe) {
            return;
        }
        self.retry_at = Some(now + cx.config.probe);
        self.listen(above.as_ref(), below.as_ref(), cx);
        if let Some(predecessor) = above {
            let fetches = self.fetch(&predecessor, cx);
            // Also while it may not ask for the next part yet: else the source takes it for unreachable (K2).
            if !fetches && !mutant!(OnlySenderProbes) {
                self.send(&predecessor, Message::Hello, cx);
            }
        }
        if let Some(successor) = below {
            if !self.successor.matched {
                self.probe(cx);
            } else if !mutant!(NoResend) {
                self.poke(&successor, cx);
            }
        }
    }

    /// The predecessor, if it has to say something.
    fn waits_above(&self, cx: &Context<'_>) -> Option<NodeId> {
        // A watermark that was lost would leave a restarted tail below the barrier until the next write.
        let waits = !self.matched || self.upstream_durable < self.barrier;
        self.predecessor(cx.me).filter(|_| waits)
    }

    /// The successor, if it has to say something.
    fn waits_below(&self, cx: &Context<'_>) -> Option<NodeId> {
        let successor = self.successor(cx.me)?;
        let uncommitted = self.role(cx.me) != Role::None && !self.ends_commit_path(cx) && self.committed < self.last();
        let unfilled = self.keep.is_some() && self.successor.acked < self.committed;
        // While nobody may write, nothing else would tell of the disk that has room again.
        let full = self.disk_full_below(cx) && !mutant!(DiskFullForEver);
        (self.matched && (!self.successor.matched || uncommitted || unfilled || full)).then_some(successor)
    }

    /// Whether nobody below is waited for: behind the tail there is only a joining replica.
    pub(super) fn ends_commit_path(&self, cx: &Context<'_>) -> bool {
        matches!(self.role(cx.me), Role::Tail | Role::Only | Role::Joining)
    }

    /// Who has been waited for too long without a word.
    fn listen(&mut self, above: Option<&NodeId>, below: Option<&NodeId>, cx: &Context<'_>) {
        let now = cx.now.monotonic;
        let neighbours = [self.predecessor(cx.me), self.successor(cx.me)];
        let Quiet { since, silent } = &mut self.quiet;
        since.retain(|node, _| neighbours.iter().flatten().any(|neighbour| neighbour == node));
        *silent = None;
        for neighbour in above.into_iter().chain(below) {
            if now >= *since.entry(neighbour.clone()).or_insert(now) + cx.config.silence {
                *silent = Some(neighbour.clone());
            }
        }
    }

    /// Asks the successor whether it has everything that it was sent.
    fn poke(&mut self, successor: &NodeId, cx: &mut Context<'_>) {
        let Some(last) = self.log.id_at(self.successor.sent) else { return };
        let durable = self.durable_everywhere();
        self.successor.told = durable;
        self.send(successor, Message::Poke { last, durable }, cx);
    }
}
