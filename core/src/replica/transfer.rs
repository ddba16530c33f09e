//! A snapshot from the tail to a joining replica whose log does not meet it (J1–J3).
//!
//! The joiner asks for one part at a time, and for the next while the one before goes to its disk, but not for a third: so memory
//! is bounded on both sides, the copy is as fast as the slower disk, and it takes its rate from one place. The parts come in the replication
//! stream, since one part that is under way delays entries no more than a large value does.

use bytes::Bytes;

use super::{Context, Promise, Replica, Standing};
use crate::log::Log;
use crate::{Chunk, Effect, EntryId, Member, Message, NodeId, Object, Pin, Role, Seq, Sessions, SnapshotEnd, Time, Write};

/// A snapshot that a joining replica gets from here.
#[derive(Debug)]
pub(super) struct Sending {
    /// Known once the first part is read.
    pin: Option<Pin>,
    /// Whether a part is being read: one at a time.
    reading: bool,
}

/// Parts of a snapshot that are on this disk, or on their way to it. They stay when the copy is given up: should the same
/// snapshot be sent again, it goes on behind them.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) pin: Pin,
    /// The last key.
    pub(super) after: Option<Bytes>,
}

/// So many times longer than for other messages a joining replica waits for a part that it has asked for: it is read from
/// a disk, and large.
const PATIENCE: u32 = 10;

/// So many parts may be on their way to the joiner's disk at a time. Chosen here: one is read and sent while another is synced.
const PARTS: usize = 2;

/// How far this replica is with copying a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiving {
    /// The next part is to be asked for, at this time.
    Due(Time),
    /// As many parts as may be are on their way to the disk.
    Staging,
    /// The last one is: with it everything staged becomes the state.
    Installing,
}

/// The sending side.
impl Replica {
    /// A version begins: entries stay for a successor that is being filled, from now on, or as before if it is
    /// the same one (W6). A snapshot that it gets outlives versions (J3).
    pub(super) fn keep_for(&mut self, before: Option<&Member>, now: Option<&Member>, cx: &mut Context<'_>) {
        if now.is_some() && before == now && self.keep.is_some() {
            return;
        }
        self.keep = now.map(|_| self.log.trim().seq);
        self.unpin(cx);
    }

    /// The successor has synced up to here.
    pub(super) fn kept_until(&mut self, acked: Seq, cx: &mut Context<'_>) {
        if let Some(keep) = &mut self.keep {
            *keep = (*keep).max(acked);
        }
        self.unpin(cx); // it is behind the snapshot already
    }

    /// The successor takes too long: it will need a new snapshot.
    pub(super) fn stop_keeping(&mut self, cx: &mut Context<'_>) {
        self.keep = self.keep.map(|_| self.log.applied());
        self.unpin(cx);
    }

    pub(super) fn unpin(&mut self, cx: &mut Context<'_>) {
        if self.sending.take().is_some() {
            cx.out.push(Effect::Unpin { slot: self.slot });
        }
    }

    /// The joining replica asks for a part. It goes on where it was, if what it has is of the snapshot at hand.
    pub(super) fn on_fetch(&mut self, pin: Option<&Pin>, after: Option<Bytes>, cx: &mut Context<'_>) {
        let joins = self.chain.as_ref().is_some_and(|chain| chain.joining.is_some()) && self.role(cx.me).is_tail();
        if !joins || !self.matched {
            return;
        }
        let slot = self.slot;
        let sending = match &mut self.sending {
            Some(Sending { reading: true, .. }) => return,
            Some(sending) => sending,
            None => {
                // The store's state is at the trim point or beyond, and what follows on it stays from here on.
                self.keep = Some(self.log.trim().seq);
                self.successor.matched = false;
                reached!(Pinned);
                cx.out.push(Effect::Pin { slot });
                self.sending.insert(Sending { pin: None, reading: false })
            }
        };
        sending.reading = true;
        let same = sending.pin.is_some() && sending.pin.as_ref() == pin;
        let after = after.filter(|_| same);
        cx.out.push(Effect::ReadChunk { slot, after, bytes: cx.config.limits.chunk_bytes });
    }

    /// The store has read a part.
    pub(crate) fn on_chunk_read(
        &mut self,
        at: EntryId,
        after: Option<Bytes>,
        objects: Vec<(Bytes, Object)>,
        end: Option<SnapshotEnd>,
        cx: &mut Context<'_>,
    ) {
        let pin = Pin { source: cx.me.node.clone(), process: cx.me.process, at };
        let Some(sending) = self.sending.as_mut().filter(|sending| sending.reading) else { return };
        sending.reading = false;
        let other = sending.pin.as_ref().is_some_and(|known| *known != pin);
        if other || self.keep.is_none_or(|keep| at.seq < keep) {
            return self.unpin(cx); // a late read of a pin before
        }
        sending.pin = Some(pin.clone());
        if let Some(keep) = &mut self.keep {
            *keep = (*keep).max(at.seq);
        }
        let joining = self.chain.as_ref().and_then(|chain| chain.joining.as_ref()).map(|joining| joining.node.clone());
        if let (Some(joining), true) = (joining, self.acting()) {
            let mut chunk = Chunk { pin, after, objects, end, checksum: 0 };
            chunk.checksum = chunk.digest();
            self.send(&joining, Message::Chunk(chunk), cx);
        }
    }
}

/// The receiving side.
impl Replica {
    /// The logs do not meet: a snapshot is needed. Parts of one that are on the disk may still be of use.
    pub(super) fn begin_receiving(&mut self, cx: &Context<'_>) {
        if self.receiving.is_none() {
            self.receiving = Some(Receiving::Due(cx.now.monotonic));
            self.retry_at = Some(cx.now.monotonic);
        }
    }

    pub(super) fn installing(&self) -> bool {
        self.receiving == Some(Receiving::Installing)
    }

    /// Asks for the next part, when it is time (J1: rate-limited over all slots of the node). Whether it has asked.
    pub(super) fn fetch(&mut self, predecessor: &NodeId, cx: &mut Context<'_>) -> bool {
        let Some(Receiving::Due(due)) = &mut self.receiving else { return false };
        let at = (*due).max(*cx.copy_at);
        if cx.disk_full {
            return false; // looked at again with the next probe
        }
        if at > cx.now.monotonic {
            self.retry_at = self.retry_at.map(|retry_at| retry_at.min(at));
            return false;
        }
        *due = cx.now.monotonic + cx.config.probe * PATIENCE; // should it be lost
        let (pin, after) = self.staged.as_ref().map_or((None, None), |staged| (Some(staged.pin.clone()), staged.after.clone()));
        let message = Message::Fetch { pin, after };
        self.send(predecessor, message, cx);
        true
    }

    /// The link is new: what was asked for on the one before may be lost.
    pub(super) fn fetch_again(&mut self, cx: &Context<'_>) {
        if let Some(Receiving::Due(due)) = &mut self.receiving {
            *due = cx.now.monotonic;
        }
    }

    /// A part arrives: staged if it is the one that was asked for.
    pub(super) fn on_chunk(&mut self, chunk: Chunk, cx: &mut Context<'_>) {
        if chunk.checksum != chunk.digest() {
            return; // damaged on the way: it is asked for again
        }
        let Some(Receiving::Due(_)) = self.receiving else { return };
        let Chunk { pin, after, objects, end, checksum: _ } = chunk;
        let same = |staged: &&Staged| staged.pin == pin || mutant!(CursorOverPins);
        let expected = self.staged.as_ref().filter(same).and_then(|staged| staged.after.as_ref());
        if after.as_ref() != expected {
            if after.is_none() {
                // The source has pinned anew, and what it has pinned is what this replica has parts of: it may go on there.
                reached!(WentOnBehindParts if self.staged.as_ref().is_some_and(|staged| staged.pin == pin));
                self.fetch_next(cx);
            }
            return; // else it came twice, or late
        }
        if pin.at.seq < self.committed || !well_formed(after.as_ref(), &objects, pin.at) {
            return; // whoever sent it is not what it should be; the coordinator hears that nothing comes of it
        }
        let weight: usize = objects.iter().map(|(key, object)| key.len() + object.value.len()).sum();
        let after = objects.last().map(|(key, _)| key.clone()).or(after);
        self.staged = Some(Staged { pin: pin.clone(), after });
        let stage = Write::Stage { pin: pin.clone(), objects };
        let rate = cx.config.copy_rate.max(1);
        let pause = std::time::Duration::from_nanos((weight as u64).saturating_mul(1_000_000_000) / rate);
        *cx.copy_at = (*cx.copy_at).max(cx.now.monotonic) + pause;
        match end {
            None => {
                self.submit(vec![stage], Promise::Staged, cx);
                self.receiving = Some(Receiving::Staging);
                let staging = self.promises.iter().filter(|(_, promise)| matches!(promise, Promise::Staged)).count();
                if staging < PARTS {
                    self.fetch_next(cx);
                }
            }
            Some(end) => {
                self.receiving = Some(Receiving::Installing);
                let install = Write::Install { pin: pin.clone(), end: end.clone() };
                self.submit(vec![stage, install], Promise::Installed(pin, end), cx);
            }
        }
    }

    /// A part is on the disk.
    pub(super) fn on_staged(&mut self, cx: &Context<'_>) {
        if self.receiving == Some(Receiving::Staging) {
            self.fetch_next(cx);
        }
    }

    fn fetch_next(&mut self, cx: &Context<'_>) {
        if let Some(receiving) = &mut self.receiving {
            *receiving = Receiving::Due(cx.now.monotonic);
            self.retry_at = Some(cx.now.monotonic);
        }
    }

    /// The snapshot is the state: the log begins behind it (J3).
    pub(super) fn on_installed(&mut self, pin: &Pin, end: SnapshotEnd, cx: &Context<'_>) {
        reached!(Installed);
        (self.receiving, self.staged) = (None, None);
        self.retry_at = Some(cx.now.monotonic);
        let at = pin.at.seq;
        invariant!(at >= self.committed, "slot {}: a snapshot at {at}, below {} that is committed", self.slot, self.committed);
        self.log = Log::at(pin.at, end.at_time);
        self.stored_sessions = Sessions::new(end.sessions);
        self.sessions = self.stored_sessions.clone();
        for watermark in [&mut self.submitted, &mut self.durable, &mut self.committed, &mut self.applying] {
            *watermark = at;
        }
        if self.standing == Standing::Joining && self.role(cx.me) == Role::Joining {
            self.matched = false;
        }
    }
}

/// Whether objects are in key order behind `after`, and none is newer than the state that they are of.
fn well_formed(after: Option<&Bytes>, objects: &[(Bytes, Object)], at: EntryId) -> bool {
    let keys = after.into_iter().chain(objects.iter().map(|(key, _)| key));
    keys.is_sorted_by(|a, b| a < b) && objects.iter().all(|(_, object)| object.metadata.version <= at.seq)
}
