//! Where checkers look on that need more than one replica to look at: at the sessions of a replica, at what a client is
//! answered, and at what is decided.

use catena_core::{CallError, Chain, EntryId, HeartbeatAnswer, Kind as CallKind, Member, Operation, Origin, Reply, Seq, Slot};

use super::World;
use super::hosts::{Call, Host, Stopping};
use crate::check::configurations::Server;
use crate::check::continuity::{Chains, Shows, Truth};
use crate::check::histories::Watermarks;
use crate::check::{Violation, durable, ledger};

impl World {
    /// A replica's sessions are those of its log. Where it is behind what others have committed and has entries of its own
    /// besides, nobody can tell.
    pub(super) fn compare_sessions(&self, node: usize, slot: Slot, marks: &Watermarks) -> Result<(), Violation> {
        let host = &self.hosts[node];
        let Some(view) = host.process.as_ref().and_then(|process| process.node.view(slot)) else { return Ok(()) };
        let (course, known) = (self.ledger.sessions(slot), self.ledger.last(slot));
        let at = |seq| self.ledger.at(slot, seq).map(|entry| entry.id).unwrap_or_default();
        if marks.last == at(marks.last.seq) {
            course.compare(slot, marks.last.seq, view.sessions, host.name())
        } else if marks.committed == known.seq {
            let rest = view.entries().skip_while(|entry| entry.id.seq <= known.seq);
            course.compare_beyond(slot, rest, view.sessions, host.name())
        } else {
            Ok(())
        }
    }

    /// A coordinator lets an answer to a process go: whether it arrives or not, it may.
    pub(super) fn note_grant(&mut self, node: usize, answer: &HeartbeatAnswer) {
        if let Some(process) = &mut self.hosts[node].process {
            process.lease.granted(answer);
        }
    }

    /// A chain has taken effect.
    pub(super) fn judge_decided(&mut self, chain: &Chain, removed: Option<&Member>) -> Result<(), Violation> {
        let slot = chain.slot;
        if let Some(removed) = removed {
            Chains::cut_off(chain, removed, self.truth(slot, removed))?;
            // Should it come back, it begins anew.
            if let Some(host) = self.hosts.iter_mut().find(|host| removed.is(&host.identity)) {
                host.owed[slot.0 as usize] = Seq(0);
            }
        }
        let mut left: Vec<&mut Host> =
            self.hosts.iter_mut().filter(|host| chain.copies().iter().any(|copy| copy.is(&host.identity))).collect();
        left.retain(|host| !host.disk.is_torn(slot));
        demand!(!left.is_empty(), Continuity, "C3, D2", "slot {slot}: the disks of all copies of {chain:?} are wiped or damaged");
        if left.iter().all(|host| host.disk.is_damaged(slot)) {
            // Nobody has asked for that object yet. The protocol cannot keep what is destroyed everywhere: it reads again.
            for host in left {
                host.disk.mend(slot);
            }
        }
        // Whoever counts as a copy from now on has everything that is committed.
        for host in chain.copies().iter().filter_map(|member| self.directory(member)) {
            durable::holds(slot, &self.ledger, self.ledger.last(slot).seq, host.name(), host.disk.synced(slot))?;
        }
        Ok(())
    }

    /// A coordinator wants a chain to be changed. Whoever has told it of damage counts as no copy (D2).
    pub(super) fn judge_proposed(&self, seat: usize, next: &Chain) -> Result<(), Violation> {
        let slot = next.slot;
        let Some(before) = self.realm.chain(slot).filter(|before| before.version.next() == next.version) else { return Ok(()) };
        let removed = before.members.iter().find(|member| !next.members.iter().any(|other| other.node == member.node));
        let damaged = |copy: &Member| self.seats[seat].knows_damaged(self.node_of(&copy.node), slot, copy.incarnation);
        demand!(
            removed.is_none() || !next.copies().iter().all(damaged),
            Continuity,
            "C3, D2",
            "slot {slot}: {removed:?} is to be removed, and every copy left has said that it is damaged: {next:?}"
        );
        Ok(())
    }

    /// A replica has adopted a version.
    pub(super) fn judge_adopted(&self, node: usize, slot: Slot) -> Result<(), Violation> {
        let host = &self.hosts[node];
        let chain = host.process.as_ref().and_then(|process| process.node.view(slot)).and_then(|view| view.chain);
        chain.map_or(Ok(()), |chain| self.realm.judge_adopted(chain, host.name()))
    }

    /// The machine that still has a member's directory.
    fn directory(&self, member: &Member) -> Option<&Host> {
        self.hosts.iter().find(|host| member.is(&host.identity))
    }

    /// How a member that is left out is, in truth.
    fn truth(&self, slot: Slot, member: &Member) -> Truth {
        let Some(host) = self.directory(member) else { return Truth::OtherDirectory };
        let Some(process) = &host.process else { return Truth::Down };
        if process.stopping == Stopping::Yes {
            return Truth::Stopping;
        }
        let marks = &process.marks[slot.0 as usize];
        let shows = match (marks.acting, marks.fenced) {
            (false, _) => Shows::Inactive,
            (true, true) => Shows::Fenced,
            (true, false) => Shows::Yes,
        };
        let now = host.clock.now(self.now).monotonic;
        Truth::Running { version: marks.version, shows, leased_until: process.lease.granted_until(), now }
    }

    /// A process answers a client. Nothing is shown that is not committed, nor without a lease, nor in a version that another
    /// has followed.
    pub(super) fn judge_reply(&self, node: usize, call: &Call, result: &Result<Reply, CallError>) -> Result<(), Violation> {
        let (host, Call { asked: _, slot, key, origin }) = (&self.hosts[node], call);
        let (ledger, name, slot) = (&self.ledger, host.name(), *slot);
        match result {
            Ok(Reply::Written { entry: Some(id), object }) => {
                ledger.acknowledge(slot, *id, name)?;
                let written = ledger.at(slot, id.seq).and_then(ledger::metadata);
                demand!(written == *object, Exposure, "W2", "slot {slot}: {name} answers {object:?}, committed is {written:?}");
                origin.map_or(Ok(()), |origin| self.judge_own_entry(slot, origin, *id, name))
            }
            Ok(Reply::Opened { session }) => {
                let opened = ledger.at(slot, *session).map(|entry| &entry.operation);
                demand!(
                    opened == Some(&Operation::OpenSession),
                    Exposure,
                    "W5, W8",
                    "slot {slot}: {name} opens session {session}, committed there is {opened:?}"
                );
                Ok(())
            }
            Ok(Reply::Read { version, object }) => {
                self.judge_shows(node, slot)?;
                durable::acted(slot, *version, name, host.disk.synced(slot))?;
                match (key, object) {
                    (Some(key), Some(object)) => ledger.expose(slot, key, object, name),
                    (_, _) => Ok(()),
                }
            }
            Ok(Reply::Scanned { version, page }) => {
                self.judge_shows(node, slot)?;
                durable::acted(slot, *version, name, host.disk.synced(slot))?;
                page.objects.iter().try_for_each(|(key, object)| ledger.expose(slot, key, object, name))
            }
            // Under a session these are entries, and facts; else they show state, as a read does.
            Ok(Reply::Written { entry: None, object: _ }) | Err(CallError::ConditionFailed { .. }) if origin.is_some() => {
                self.judge_nothing(slot, origin.expect("just looked"), result, name)
            }
            Ok(Reply::Written { entry: None, object: _ }) => self.judge_shows(node, slot),
            Err(CallError::ConditionFailed { object }) => {
                self.judge_shows(node, slot)?;
                match (key, object) {
                    (Some(key), Some(object)) => ledger.expose_metadata(slot, key, object, name).map(drop),
                    (_, _) => Ok(()),
                }
            }
            Err(error @ CallError::SessionExpired { slot: _, session }) => {
                self.judge_expired(slot, *session, name)?;
                origin.map_or(Ok(()), |origin| self.judge_kind(slot, origin, error.kind(), name))
            }
            Err(_) => Ok(()),
        }
    }

    /// A replica shows state.
    fn judge_shows(&self, node: usize, slot: Slot) -> Result<(), Violation> {
        let host = &self.hosts[node];
        let process = host.process.as_ref().expect("it was stepped");
        process.lease.shows(slot, host.name(), host.clock.now(self.now).monotonic)?;
        let marks = &process.marks[slot.0 as usize];
        demand!(
            marks.acting && !marks.fenced && process.stopping == Stopping::No,
            Serving,
            "R1, C4, C10",
            "slot {slot}: {} shows state in version {}, in which it may not any more: {marks:?}",
            host.name(),
            marks.version
        );
        self.reigns.serves(slot, Server { node: host.name(), version: marks.version })
    }

    /// A session's write is answered by the one entry that it has.
    fn judge_own_entry(&self, slot: Slot, origin: Origin, answered: EntryId, by: &str) -> Result<(), Violation> {
        let Origin { session, number, .. } = origin;
        let entry = self.ledger.sessions(slot).entry(session, number);
        demand!(
            entry == Some(answered),
            Sessions,
            "W8",
            "slot {slot}: {by} answers write {number} of session {session} by {answered}, its entry is {entry:?}"
        );
        Ok(())
    }

    /// A session's write had no effect: its entry says so.
    fn judge_nothing(&self, slot: Slot, origin: Origin, result: &Result<Reply, CallError>, by: &str) -> Result<(), Violation> {
        let Origin { session, number, .. } = origin;
        let entry = self.ledger.sessions(slot).entry(session, number).and_then(|id| self.ledger.at(slot, id.seq));
        let same = match (entry.map(|entry| &entry.operation), result) {
            (Some(Operation::Nothing { refused: Some(refusal) }), Err(CallError::ConditionFailed { object })) => {
                refusal.object == *object
            }
            (Some(Operation::Nothing { refused: None }), Ok(_)) => true,
            (_, _) => false,
        };
        demand!(
            same,
            Sessions,
            "W8",
            "slot {slot}: {by} answers write {number} of session {session} by {result:?}, its committed entry is {entry:?}"
        );
        Ok(())
    }

    /// What the end of its session says of a write it says of the write, whichever try it answers: a caller that has forgotten
    /// the tries before would take it for one that never was (W9). Our own client forgets none, so what it makes of it
    /// cannot show this.
    fn judge_kind(&self, slot: Slot, origin: Origin, kind: CallKind, by: &str) -> Result<(), Violation> {
        let Origin { session, number, .. } = origin;
        let entry = self.ledger.sessions(slot).entry(session, number).and_then(|id| self.ledger.at(slot, id.seq));
        let effect = entry.filter(|entry| !matches!(entry.operation, Operation::Nothing { .. }));
        demand!(
            kind == CallKind::Unknown || effect.is_none(),
            Sessions,
            "W9",
            "slot {slot}: {by} says that write {number} of session {session} was not executed; it is committed as {:?}",
            effect.map(|entry| entry.id)
        );
        Ok(())
    }

    /// A session is said to be gone: as far as is committed it is, and cannot come.
    fn judge_expired(&self, slot: Slot, session: Seq, by: &str) -> Result<(), Violation> {
        let (known, open) = (self.ledger.last(slot).seq, self.ledger.sessions(slot).table().contains_key(&session));
        demand!(
            known >= session && !open,
            Sessions,
            "W8",
            "slot {slot}: {by} says that session {session} has expired; committed is up to {known}, where it is {}",
            if open { "open" } else { "yet to come" }
        );
        Ok(())
    }
}
