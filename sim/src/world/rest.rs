//! The end of faults, and the look whether everything has come to rest.

use std::time::Duration;

use catena_core::{Slot, Time};

use super::clients::{Prompt, Proof};
use super::{Happening, Phase, World};
use crate::check::Violation;
use crate::check::progress::{self, Unrest};

/// How long a healed world may take to come to rest.
const HEALING: Duration = Duration::from_secs(10);

impl World {
    /// Ends the faults when it is time. Says whether the world has come to rest; it must, in time.
    pub(super) fn look(&mut self) -> Result<bool, Violation> {
        match self.phase {
            Phase::Faults => {
                let done = self.issued >= self.options.scale.operations && self.busy().next().is_none();
                if done || self.now >= Time(0) + self.options.duration {
                    self.heal()?;
                    self.phase = Phase::Healing { since: self.now };
                    for client in self.options.clients..self.clients.len() {
                        self.queue.push(self.now, Happening::Prompt { client, prompt: Prompt::Next });
                    }
                }
                Ok(false)
            }
            Phase::Healing { since } => match self.unrest() {
                None => {
                    for slot in (0..self.options.slots).map(Slot) {
                        for node in self.members(slot) {
                            let host = &self.hosts[node];
                            progress::same_state(slot, &self.ledger, host.name(), &host.disk)?;
                        }
                    }
                    Ok(true)
                }
                Some(why) if self.now >= since + HEALING => Err(progress::overdue(HEALING.as_secs(), &why)),
                Some(_) => Ok(false),
            },
        }
    }

    /// The members of a slot's chain, head first.
    pub(super) fn members(&self, slot: Slot) -> Vec<usize> {
        let chain = self.route().chains.iter().find(|chain| chain.slot == slot);
        let members = chain.into_iter().flat_map(|chain| &chain.members);
        members.filter_map(|member| self.hosts.iter().position(|host| host.identity.node == member.node)).collect()
    }

    /// Why the world has not come to rest: the first cause that can be named, replicas before the calls that wait for them.
    fn unrest(&self) -> Option<Unrest> {
        let replicas = (0..self.options.slots).map(Slot).find_map(|slot| self.slot_unrest(slot));
        replicas.or_else(|| self.call_unrest())
    }

    fn slot_unrest(&self, slot: Slot) -> Option<Unrest> {
        let Some(chain) = self.route().chains.iter().find(|chain| chain.slot == slot) else {
            return Some(Unrest::NoChain(slot));
        };
        self.members(slot).into_iter().find_map(|node| {
            let host = &self.hosts[node];
            let Some(process) = &host.process else { return Some(Unrest::Down(host.name().to_owned())) };
            let marks = &process.marks[slot.0 as usize];
            progress::replica(slot, chain.version, host.name(), marks, self.ledger.last(slot)).err()
        })
    }

    fn call_unrest(&self) -> Option<Unrest> {
        for host in &self.hosts {
            let Some(process) = &host.process else { return Some(Unrest::Down(host.name().to_owned())) };
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
