//! What neighbours say to each other within a version: entries and watermarks down, commits up, and the probing that
//! finds what was lost (W3, W5, W6).

use super::{Context, Replica};
use crate::{Entry, EntryId, Envelope, Message, NodeId, Seq};

impl Replica {
    /// A neighbour's message. Only those of the version that this replica acts in have an effect (C2).
    pub(crate) fn on_message(&mut self, from: &NodeId, envelope: Envelope, cx: &mut Context<'_>) {
        let known = self.adopting.as_ref().map_or(self.version(), |(chain, _)| chain.version);
        if envelope.version > known {
            *cx.behind = true;
        }
        if !self.acting() || envelope.version > self.version() {
            return;
        }
        if envelope.version < self.version() && !mutant!(IgnoreVersion) {
            if !matches!(envelope.message, Message::Stale { .. }) {
                self.send(from, Message::Stale { current: self.version() }, cx);
            }
            return;
        }
        let Some(chain) = &self.chain else { return };
        let (above, below) = (chain.predecessor(cx.me) == Some(from), chain.successor(cx.me) == Some(from));
        match envelope.message {
            Message::Probe { log, barrier } if above => self.on_probe(&log, barrier, cx),
            Message::Append { entries, durable } if above => self.on_append(from, entries, durable, cx),
            Message::Poke { last, durable } if above => self.on_poke(from, last, durable, cx),
            Message::Hello if below => self.probe(cx),
            Message::Have { last } if below => self.on_have(last),
            Message::Ack { committed } if below => self.on_ack(committed),
            // From a node that is no such neighbour in this version, or a reminder that came late.
            Message::Probe { .. }
            | Message::Append { .. }
            | Message::Poke { .. }
            | Message::Hello
            | Message::Have { .. }
            | Message::Ack { .. }
            | Message::Stale { .. } => {}
        }
    }

    /// The link to a neighbour is new: ask at once what it has (W6).
    pub(crate) fn on_link_up(&mut self, peer: &NodeId, cx: &Context<'_>) {
        let Some(chain) = &self.chain else { return };
        if chain.predecessor(cx.me) == Some(peer) || chain.successor(cx.me) == Some(peer) {
            self.retry_at = self.retry_at.map(|_| cx.now.monotonic);
        }
    }

    /// Entries from the predecessor. Accepts only what follows its log without a gap (W6).
    fn on_append(&mut self, from: &NodeId, entries: Vec<Entry>, durable: Seq, cx: &mut Context<'_>) {
        if !self.matched {
            return; // the predecessor hears of it by `Hello`
        }
        for entry in entries {
            if entry.id.seq <= self.last() {
                let mine = self.log.id_at(entry.id.seq);
                invariant!(mine.is_none_or(|id| id == entry.id), "slot {}: offered {}, has {mine:?}", self.slot, entry.id);
            } else if entry.previous_id() == self.log.last() {
                self.log.push(entry);
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
        self.acked = self.committed;
        self.send(from, Message::Ack { committed: self.committed }, cx);
    }

    /// The successor is matched, and its log ends at `last`. What it has committed it has, however late this comes.
    fn on_have(&mut self, last: Seq) {
        if self.successor.matched && mutant!(NoResend) {
            return;
        }
        if !self.matched {
            return;
        }
        invariant!(last <= self.last(), "slot {}: the successor has {last}, beyond {}", self.slot, self.last());
        self.successor.matched = true;
        self.successor.sent = last.max(self.committed).min(self.last());
        self.successor.told = Seq(0);
    }

    fn on_ack(&mut self, committed: Seq) {
        if !self.successor.matched {
            return;
        }
        invariant!(committed <= self.durable, "slot {}: {committed} committed, only {} synced here", self.slot, self.durable);
        if committed > self.committed {
            self.committed = committed;
            self.retry_at = None; // progress: begin to wait anew
        }
    }

    /// Sends the successor what it has not been sent: entries as soon as they are received, and how far they are
    /// synced up to here (W3).
    pub(super) fn forward(&mut self, cx: &mut Context<'_>) {
        let Some(chain) = &self.chain else { return };
        let Some(successor) = chain.successor(cx.me).cloned() else { return };
        if !self.successor.matched {
            return;
        }
        let durable = self.durable_everywhere();
        while self.successor.sent < self.last() {
            let entries = self.next_entries(cx.config.limits.message_bytes);
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
        let mut weight = 0;
        let fits = |entry: &&Entry| {
            weight += entry.weight();
            weight <= bytes || entry.id.seq == sent.next()
        };
        let entries = self.log.range(sent, self.last()).take_while(fits).cloned();
        if mutant!(RewriteVersion) {
            return entries
                .map(|mut entry| {
                    entry.id.version = self.version();
                    entry
                })
                .collect();
        }
        entries.collect()
    }

    /// Tells the predecessor what is committed (W5).
    pub(super) fn acknowledge(&mut self, cx: &mut Context<'_>) {
        if !self.matched || self.acked == self.committed {
            return;
        }
        self.acked = self.committed;
        let Some(chain) = &self.chain else { return };
        if let Some(predecessor) = chain.predecessor(cx.me).cloned() {
            self.send(&predecessor, Message::Ack { committed: self.committed }, cx);
        }
    }

    /// While something is outstanding with a neighbour and nothing moves, asks it what it has; also when idle (W6).
    pub(super) fn retry(&mut self, cx: &mut Context<'_>) {
        let Some(chain) = &self.chain else { return };
        let successor = chain.successor(cx.me).cloned();
        // A watermark that was lost would leave a restarted tail below the barrier until the next write.
        let above = !self.matched || self.upstream_durable < self.barrier;
        let below = successor.is_some() && (!self.successor.matched || self.committed < self.last());
        let waiting = above || below;
        if !waiting {
            self.retry_at = None;
            return;
        }
        let due = *self.retry_at.get_or_insert(cx.now.monotonic + cx.config.probe);
        if cx.now.monotonic < due {
            return;
        }
        self.retry_at = Some(cx.now.monotonic + cx.config.probe);
        let predecessor = chain.predecessor(cx.me).filter(|_| above).cloned();
        if let Some(predecessor) = predecessor {
            self.send(&predecessor, Message::Hello, cx);
        }
        if !below {
            return;
        }
        if !self.successor.matched {
            self.probe(cx);
        } else if let Some(successor) = successor.filter(|_| !mutant!(NoResend)) {
            self.poke(&successor, cx);
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
