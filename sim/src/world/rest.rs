//! The end of faults, and the look whether everything has come to rest.

use std::time::Duration;

use catena_core::{EntryId, Slot, Time};

use super::clients::{Prompt, Proof};
use super::{Happening, Phase, Source, World};
use crate::check::progress::{self, Unrest};
use crate::check::{Judges, Violation, judges};
use crate::options::Temper;

/// How long a healed world may take to come to rest.
const HEALING: Duration = Duration::from_secs(10);

/// How often an operator of the healed world looks who is out.
const ROUNDS: Duration = Duration::from_millis(200);

impl World {
    /// Ends the faults when it is time. Says whether the world has come to rest; it must, in time.
    pub(super) fn look(&mut self) -> Result<bool, Violation> {
        match self.phase {
            Phase::Faults => {
                if self.options.temper == Temper::Single {
                    self.watch_pace()?;
                }
                self.watch_attention()?;
                if self.faults_end() {
                    let well = self.heal()?;
                    self.phase = Phase::Healing { since: well };
                    self.healed = Some(self.now);
                    self.queue.push(self.now, Happening::Readmit);
                    for client in self.options.clients..self.clients.len() {
                        self.queue.push(self.now, Happening::Prompt { client, prompt: Prompt::Next });
                    }
                }
                Ok(false)
            }
            Phase::Healing { since } => match self.unrest() {
                None => {
                    for node in 0..self.hosts.len() {
                        (0..self.options.slots).map(Slot).try_for_each(|slot| self.stands(node, slot))?;
                    }
                    Ok(true)
                }
                Some(why) if self.now >= since + HEALING => Err(progress::overdue(HEALING.as_secs(), &why)),
                Some(_) => Ok(false),
            },
        }
    }

    /// Whether the time of faults is over: when all calls have been made, or in good time; when a plan says so, if there is one.
    fn faults_end(&self) -> bool {
        if let Source::Planned(course) = &self.source {
            return self.now >= course.heals;
        }
        let done = self.issued >= self.options.scale.operations && self.busy().next().is_none();
        done || self.now >= Time(0) + self.options.duration
    }

    /// An operator's round: whoever is out may come back.
    pub(super) fn make_round(&mut self) -> Result<(), Violation> {
        self.queue.push(self.now + ROUNDS, Happening::Readmit);
        self.readmit_all()
    }

    /// Why the world has not come to rest: the first cause that can be named, replicas before the calls that wait for them.
    fn unrest(&self) -> Option<Unrest> {
        let replicas = (0..self.options.slots).map(Slot).find_map(|slot| self.slot_unrest(slot).err());
        replicas.or_else(|| self.call_unrest())
    }

    /// Chains are whole, their members equal, and nobody else has anything of theirs.
    fn slot_unrest(&self, slot: Slot) -> Result<(), Unrest> {
        let chain = self.realm.chain(slot).ok_or(Unrest::NoChain(slot))?;
        progress::chain(chain, self.options.full())?;
        progress::spread(chain, |member| self.hosts[self.node_of(&member.node)].rack)?;
        let mut last = (judges() == Judges::All).then(|| self.ledger.last(slot));
        for host in &self.hosts {
            let process = host.process.as_ref().ok_or_else(|| Unrest::Down(host.name().to_owned()))?;
            if chain.members.iter().any(|member| member.is(&host.identity)) {
                let marks = &process.marks[slot.0 as usize];
                let known = *last.get_or_insert(marks.last);
                progress::replica(slot, chain.version, host.name(), marks, known)?;
                if host.disk.is_quarantined(slot) && chain.members.len() > 1 {
                    return Err(Unrest::Damaged { slot, node: host.name().to_owned() });
                }
            } else {
                let stored = host.disk.stored(slot);
                let empty = stored.objects.is_empty() && stored.sessions.is_empty() && stored.at == EntryId::default();
                if !empty || !host.disk.synced(slot).log.is_empty() {
                    return Err(Unrest::NotDropped { slot, node: host.name().to_owned() });
                }
            }
        }
        Ok(())
    }

    fn call_unrest(&self) -> Option<Unrest> {
        for host in &self.hosts {
            let process = host.process.as_ref()?;
            if !process.calls.is_empty() {
                return Some(Unrest::CallsOpen { node: host.name().to_owned(), count: process.calls.len() });
            }
        }
        let proofs = self.clients.iter().skip(self.options.clients).map(|client| client.proof);
        if let Some((slot, _)) = (0..).zip(proofs).find(|(_, proof)| *proof != Proof::ReadBack) {
            return Some(Unrest::NotServing(Slot(slot)));
        }
        self.busy().next().map(|client| Unrest::CallOpen { client })
    }
}
