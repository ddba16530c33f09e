//! What a replica hands to its disk, and what it knows once that is synced (W3, W11).

use super::{Context, Replica, Standing};
use crate::{Batch, ChainVersion, Effect, Pin, Seq, Session, SnapshotEnd, Ticket, Write};

/// What holds once a ticket is durable (C7: a sync counts only for what was appended before it and not cut since).
#[derive(Debug)]
pub(super) enum Promise {
    Appended(Seq),
    Applied(Seq),
    Adopted(ChainVersion),
    Cut,
    /// What is on the disk is not to be relied on.
    Quarantined,
    /// A part of a snapshot.
    Staged,
    /// Entries that are kept for a successor.
    Spilled(Seq),
    /// A snapshot has become the state.
    Installed(Pin, SnapshotEnd),
    Cleared,
}

impl Replica {
    /// Hands what was received and not yet submitted to the disk.
    pub(super) fn persist(&mut self, cx: &mut Context<'_>) {
        if self.submitted < self.last() {
            let entries: Vec<_> = self.log.range(self.submitted, self.last()).cloned().collect();
            self.submitted = self.last();
            self.submit(vec![Write::Append(entries)], Promise::Appended(self.submitted), cx);
        }
        if mutant!(CountUnsynced) {
            self.durable = self.submitted;
        }
    }

    pub(super) fn submit(&mut self, writes: Vec<Write>, promise: Promise, cx: &mut Context<'_>) -> Ticket {
        *cx.last_ticket = cx.last_ticket.next();
        let ticket = *cx.last_ticket;
        self.promises.push_back((ticket, promise));
        cx.out.push(Effect::Persist(Batch { ticket, slot: self.slot, writes }));
        ticket
    }

    /// The disk has everything up to `ticket`.
    pub(crate) fn on_durable(&mut self, ticket: Ticket, cx: &mut Context<'_>) {
        while let Some((_, promise)) = self.promises.pop_front_if(|(promised, _)| *promised <= ticket) {
            match promise {
                Promise::Appended(to) => self.durable = self.durable.max(to),
                Promise::Applied(to) => self.log.apply_to(to),
                Promise::Adopted(version) => self.on_version_durable(version, cx),
                Promise::Cut | Promise::Quarantined => {}
                Promise::Spilled(to) => self.log.spill_to(to),
                Promise::Staged => self.on_staged(cx),
                Promise::Installed(pin, end) => self.on_installed(&pin, end, cx),
                Promise::Cleared => {
                    if self.standing == Standing::Removed {
                        self.standing = Standing::Dropped;
                    }
                }
            }
        }
    }

    /// Hands committed entries to the disk to be applied: many at once, or those that have waited.
    pub(super) fn apply(&mut self, cx: &mut Context<'_>) {
        let mut to = self.committed;
        if mutant!(TrimUncommitted) {
            to = self.submitted;
        }
        // What a snapshot is about to replace is not applied any more.
        if to <= self.applying || self.installing() {
            self.apply_at = None;
            return;
        }
        let due = *self.apply_at.get_or_insert(cx.now.monotonic + cx.config.apply);
        let limits = &cx.config.limits;
        let many = to.0 - self.applying.0 >= limits.apply_entries as u64 || self.log.weight() * 4 >= limits.slot_bytes;
        if !many && cx.now.monotonic < due {
            return;
        }
        let entries: Vec<_> = self.log.range(self.applying, to).cloned().collect();
        let mut changed: Vec<Seq> = entries.iter().flat_map(|entry| self.stored_sessions.apply(entry)).collect();
        changed.sort_unstable();
        changed.dedup();
        let sessions: Vec<(Seq, Option<Session>)> =
            changed.into_iter().map(|name| (name, self.stored_sessions.get(name).cloned())).collect();
        reached!(Applied);
        self.applying = to;
        self.apply_at = None;
        self.submit(vec![Write::Apply { entries, sessions }], Promise::Applied(to), cx);
    }
}
