//! What neighbours say to each other within a version: entries and watermarks down, commits up (W3, W5, W6).

use super::{Context, Replica};
use crate::{Entry, EntryId, Envelope, Message, NodeId, Operation, Seq};

impl Replica {
    /// A neighbour's message. Only those of the version that this replica acts in have an effect (C2).
    pub(crate) fn on_message(&mut self, from: &NodeId, envelope: Envelope, cx: &mut Context<'_>) {
        self.quiet.heard(from);
        if let Message::Newer { chain } = envelope.message {
            if chain.slot == self.slot {
                reached!(Relayed if chain.version > self.known_version());
                self.configure(chain, cx);
            }
            return;
        }
        if envelope.version > self.known_version() {
            *cx.behind = true;
            self.send(from, Message::Hello, cx); // under the older version: it is answered with the newer one
        }
        let forward = matches!(envelope.message, Message::Probe { .. } | Message::Append { .. } | Message::Poke { .. });
        if envelope.version < self.version() && !(mutant!(StaleForwards) && forward) {
            if let Some(chain) = self.chain.clone() {
                reached!(OlderMessage);
                self.send(from, Message::Newer { chain }, cx);
            }
            return;
        }
        if !self.acting() || envelope.version > self.version() {
            return;
        }
        let Some(chain) = &self.chain else { return };
        let (above, below) = (chain.predecessor(&cx.me.node) == Some(from), chain.successor(&cx.me.node) == Some(from));
        match envelope.message {
            Message::Probe { log, barrier } if above => self.on_probe(&log, barrier, cx),
            Message::Append { entries, durable } if above => self.on_append(from, entries, durable, cx),
            Message::Poke { last, durable } if above => self.on_poke(from, last, durable, cx),
            Message::Chunk(chunk) if above => self.on_chunk(chunk, cx),
            Message::Hello if below => self.on_hello(from, cx),
            Message::Have { last } if below => self.on_have(last, cx),
            Message::Ack { committed, disk_full } if below => self.on_ack(committed, disk_full, cx),
            Message::Fetch { pin, after } if below => self.on_fetch(pin.as_ref(), after, cx),
            // From a node that is no such neighbour in this version.
            Message::Probe { .. }
            | Message::Append { .. }
            | Message::Poke { .. }
            | Message::Chunk(_)
            | Message::Hello
            | Message::Have { .. }
            | Message::Ack { .. }
            | Message::Fetch { .. }
            | Message::Newer { .. } => {}
        }
    }

    /// The link to a neighbour is new: ask at once what it has (W6).
    pub(crate) fn on_link_up(&mut self, peer: &NodeId, cx: &Context<'_>) {
        let Some(chain) = &self.chain else { return };
        if chain.predecessor(&cx.me.node) == Some(peer) || chain.successor(&cx.me.node) == Some(peer) {
            self.retry_at = self.retry_at.map(|_| cx.now.monotonic);
            self.fetch_again(cx);
        }
    }

    /// The successor waits to be shown this log. One that may not be shown yet is a sign of life all the same, else the
    /// successor takes this replica for unreachable (K2).
    fn on_hello(&mut self, from: &NodeId, cx: &mut Context<'_>) {
        if self.matched || mutant!(SpeakUnmatched) {
            self.probe(cx);
        } else {
            self.send(from, Message::Hello, cx);
        }
    }

    /// Entries from the predecessor. Accepts only what follows its log without a gap (W6).
    fn on_append(&mut self, from: &NodeId, entries: Vec<Entry>, durable: Seq, cx: &mut Context<'_>) {
        if !self.matched {
            if mutant!(TrustEarlyWatermark) {
                self.committed = self.committed.max(self.durable.min(durable));
            }
            return; // the predecessor hears of it by `Hello`
        }
        for entry in entries {
            if entry.id.seq <= self.last() {
                reached!(DuplicateDropped);
                let mine = self.log.id_at(entry.id.seq);
                invariant!(mine.is_none_or(|id| id == entry.id), "slot {}: offered {}, has {mine:?}", self.slot, entry.id);
            } else if entry.id.seq == self.last().next() {
                let (before, last) = (entry.previous_id(), self.log.last());
                invariant!(before == last, "slot {}: offered what follows on {before}, ends with {last}", self.slot);
                if mutant!(SizeAtMiddle) && oversize(&entry, cx) {
                    break;
                }
                self.push(entry);
                self.gap_at = None;
            } else {
                self.report_gap(from, cx);
                break;
            }
        }
        self.upstream_durable = self.upstream_durable.max(durable);
    }

    /// One gap is reported once: what was sent behind it would report it again and again.
    fn report_gap(&mut self, from: &NodeId, cx: &mut Context<'_>) {
        let last = self.last();
        if self.gap_at.replace(last) != Some(last) {
            reached!(GapReported);
            self.send(from, Message::Have { last }, cx);
        }
    }

    /// The predecessor asks whether everything up to `last` is here. Always answered.
    fn on_poke(&mut self, from: &NodeId, last: EntryId, durable: Seq, cx: &mut Context<'_>) {
        if !self.matched {
            return;
        }
        self.upstream_durable = self.upstream_durable.max(durable);
        if last.seq > self.last() {
            self.send(from, Message::Have { last: self.last() }, cx);
            return;
        }
        let mine = self.log.id_at(last.seq);
        invariant!(mine.is_none_or(|id| id == last), "slot {}: asked for {last}, has {mine:?}", self.slot);
        self.ack(from, cx);
    }

    /// The successor is matched, and its log ends at `last`. What a member has committed it has, however late this comes.
    fn on_have(&mut self, last: Seq, cx: &mut Context<'_>) {
        if self.successor.matched && mutant!(NoResend) {
            return;
        }
        if !self.matched {
            return;
        }
        invariant!(last <= self.last(), "slot {}: the successor has {last}, beyond {}", self.slot, self.last());
        let mut has = last;
        match &mut self.keep {
            None => has = has.max(self.committed),
            Some(_) if mutant!(ResumeFromAcked) => has = has.max(self.successor.acked),
            // It may have restarted in this version, without what it had said to have.
            Some(keep) => {
                self.successor.acked = self.successor.acked.min(has);
                *keep = (*keep).min(has).max(self.log.floor().seq);
            }
        }
        self.resend_spilled();
        if has < self.log.floor().seq {
            self.successor.matched = false;
            return self.probe(cx); // what it lacks is gone: it needs a snapshot
        }
        reached!(Resent if self.successor.matched && has < self.successor.sent);
        self.successor.matched = true;
        self.successor.sent = has.min(self.last());
        if mutant!(NoResendToNew) {
            self.successor.sent = self.successor.sent.max(self.barrier.min(self.last()));
        }
        self.successor.told = Seq(0);
    }

    /// The successor knows this to be committed, hence has synced it. What a joining one says so is known here already.
    fn on_ack(&mut self, committed: Seq, disk_full: bool, cx: &mut Context<'_>) {
        if !self.successor.matched {
            return;
        }
        reached!(DiskFullBelow if disk_full && self.role(cx.me).is_head());
        self.successor.disk_full = disk_full && !mutant!(DiskFullUntold);
        invariant!(committed <= self.durable, "slot {}: {committed} committed, only {} synced here", self.slot, self.durable);
        if committed > self.successor.acked {
            self.successor.acked = committed;
            self.retry_at = None; // progress: begin to wait anew
        }
        if self.keep.is_some() {
            self.kept_until(committed, cx);
        }
        if committed > self.committed && !self.ends_commit_path(cx) {
            reached!(HeardCommitted);
            self.committed = committed;
        }
    }

    /// Sends the successor what it has not been sent: entries as soon as they are received, and how far they are
    /// synced up to here (W3).
    pub(super) fn forward(&mut self, cx: &mut Context<'_>) {
        let Some(successor) = self.successor(cx.me) else { return };
        if !self.successor.matched {
            return;
        }
        let mut durable = self.durable_everywhere();
        if mutant!(TellUnsynced) {
            durable = self.last().min(self.upstream_durable);
        }
        let in_memory = self.successor.sent >= self.log.trim().seq;
        if !in_memory {
            self.read_spilled(cx);
        }
        while in_memory && self.successor.sent < self.last() {
            let entries = self.next_entries(cx.config.limits.message_bytes);
            reached!(PassedOnUnsynced if self.last() > self.durable);
            self.successor.sent = Seq(self.successor.sent.0 + entries.len() as u64);
            self.successor.told = durable;
            self.send(&successor, Message::Append { entries, durable }, cx);
        }
        if self.successor.told < durable {
            self.successor.told = durable;
            self.send(&successor, Message::Append { entries: Vec::new(), durable }, cx);
        }
    }

    /// The entries to be sent next, as many as fit into one message.
    fn next_entries(&self, bytes: usize) -> Vec<Entry> {
        let sent = self.successor.sent;
        invariant!(sent >= self.log.trim().seq, "slot {}: {sent} was trimmed before the successor had it", self.slot);
        let mut entries = self.log.up_to(sent, self.last(), bytes);
        if mutant!(RewriteVersion) {
            for entry in &mut entries {
                entry.id.version = self.version();
            }
        }
        entries
    }

    /// Tells the predecessor what is committed (W5), and whether there is room for more (D3).
    pub(super) fn acknowledge(&mut self, cx: &mut Context<'_>) {
        if !self.matched || self.acked == self.committed && self.told_full == self.disk_full(cx) {
            return;
        }
        if let Some(predecessor) = self.predecessor(cx.me) {
            self.ack(&predecessor, cx);
        }
    }

    fn ack(&mut self, predecessor: &NodeId, cx: &mut Context<'_>) {
        (self.acked, self.told_full) = (self.committed, self.disk_full(cx));
        self.send(predecessor, Message::Ack { committed: self.acked, disk_full: self.told_full }, cx);
    }

    /// Whether a member from here on has room for no more puts (D3).
    pub(super) fn disk_full(&self, cx: &Context<'_>) -> bool {
        cx.disk_full || self.disk_full_below(cx)
    }

    /// A replica that is joining holds up no write: it gets what it has room for.
    pub(super) fn disk_full_below(&self, cx: &Context<'_>) -> bool {
        self.successor.disk_full && !self.ends_commit_path(cx)
    }
}

/// What a planted bug judges here instead of at the head.
fn oversize(entry: &Entry, cx: &Context<'_>) -> bool {
    matches!(&entry.operation, Operation::Put { value, .. } if value.len() > cx.config.limits.value_bytes)
}
