//! Entries that are kept for a successor which is being filled, and for which memory has no room: on the disk, and back (W6).
//!
//! The successor gets them in parts, and a part when it has synced the one before the last: so memory is bounded on both sides.

use super::{Context, Promise, Replica};
use crate::{Effect, Entry, Message, Seq, Write};

/// So many messages' worth of entries goes to the disk at once. Chosen here: 2 MiB, by the default, whose sync takes little longer
/// than that of one entry.
const MESSAGES: usize = 8;

/// What of the kept entries went to the disk.
#[derive(Debug, Default)]
pub(super) struct Spill {
    /// Handed to the disk up to here.
    to: Seq,
    /// What they weigh, in bytes.
    bytes: u64,
    /// Whether a part is being read: one at a time.
    reading: bool,
    /// What had been sent before the last part.
    sent: Seq,
}

impl Replica {
    /// Whether the node keeps too much, and this replica no less of it than others on average: one busy slot costs no other
    /// slot its room (J3).
    fn retains_too_much(&self, cx: &Context<'_>) -> bool {
        let (own, all) = (self.log.retained(), cx.load.retained);
        own > 0 && all > cx.config.limits.retain_bytes && own.saturating_mul(cx.load.retaining) >= all
    }

    /// Forgets what is applied, as far as no successor may lack it; what one may lack, and memory has no room for, goes to the
    /// disk, and the successor needs a new snapshot if that is too much as well (W6).
    pub(super) fn trim(&mut self, cx: &mut Context<'_>) {
        if self.keep.is_some() && self.retains_too_much(cx) {
            let spilled = self.spill.as_ref().map_or(0, |spill| spill.bytes);
            if spilled >= cx.config.limits.spill_bytes || cx.disk_full {
                self.stop_keeping(cx);
            } else {
                self.spill(cx);
            }
        }
        let keep = if mutant!(TrimUnacked) { None } else { self.keep }.unwrap_or(Seq(u64::MAX));
        self.log.trim_to(keep);
        self.log.compact();
        if self.spill.take_if(|spill| spill.to <= keep).is_some() {
            self.drop_spill(cx);
        }
        if self.successor.matched && self.successor.sent < self.log.floor().seq {
            self.successor.matched = false; // it is shown the log anew, and finds that it needs a snapshot
        }
    }

    /// Hands the oldest entries that are kept to the disk, some messages' worth at a time: one batch is under way at a time, and
    /// must not be what writes outrun.
    fn spill(&mut self, cx: &mut Context<'_>) {
        if self.promises.iter().any(|(_, promise)| matches!(promise, Promise::Spilled(_))) {
            return;
        }
        let after = self.spill.as_ref().map_or(self.log.trim().seq, |spill| spill.to);
        let entries = self.log.up_to(after, self.log.applied(), MESSAGES * cx.config.limits.message_bytes);
        let Some(last) = entries.last() else { return };
        reached!(Spilled);
        let to = last.id.seq;
        let spill = self.spill.get_or_insert_default();
        spill.to = to;
        spill.bytes += entries.iter().map(|entry| entry.weight() as u64).sum::<u64>();
        self.submit(vec![Write::Spill(entries)], Promise::Spilled(to), cx);
    }

    fn drop_spill(&mut self, cx: &mut Context<'_>) {
        for (_, promise) in &mut self.promises {
            if matches!(promise, Promise::Spilled(_)) {
                *promise = Promise::Cut;
            }
        }
        self.submit(vec![Write::DropSpill], Promise::Cut, cx);
    }

    /// The successor says anew what it has: what was sent before does not count.
    pub(super) fn resend_spilled(&mut self) {
        if let Some(spill) = &mut self.spill {
            spill.sent = Seq(0);
        }
    }

    /// Has the part read that the successor is to be sent next, once it has the one before the last.
    pub(super) fn read_spilled(&mut self, cx: &mut Context<'_>) {
        let slot = self.slot;
        let (after, acked) = (self.successor.sent, self.successor.acked);
        let spill = self.spill.as_mut().expect("what is not in memory, and can be sent, is on the disk");
        if spill.reading || acked < spill.sent || mutant!(SpillLost) {
            return;
        }
        spill.reading = true;
        cx.out.push(Effect::ReadSpilled { slot, after, bytes: cx.config.limits.message_bytes });
    }

    /// The disk has read a part: the successor gets it, unless it has been asked for before the successor said what it has.
    pub(crate) fn on_spilled_read(&mut self, entries: Vec<Entry>, cx: &mut Context<'_>) {
        let Some(spill) = self.spill.as_mut().filter(|spill| spill.reading) else { return };
        spill.reading = false;
        let sent = self.successor.sent;
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return };
        if !self.successor.matched || first.id.seq != sent.next() || last.id.seq > self.last() {
            return;
        }
        let Some(successor) = self.successor(cx.me).filter(|_| self.acting()) else { return };
        let before = self.log.id_at(sent);
        invariant!(before.is_none_or(|id| id == first.previous_id()), "slot {}: {first:?} behind {before:?}", self.slot);
        if let Some(spill) = &mut self.spill {
            spill.sent = sent;
        }
        reached!(SpillReadBack);
        let durable = self.durable_everywhere();
        (self.successor.sent, self.successor.told) = (last.id.seq, durable);
        self.send(&successor, Message::Append { entries, durable }, cx);
    }
}
