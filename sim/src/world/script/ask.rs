//! What can be asked of a stage.

use std::time::Duration;

use catena_core::{Chain, EntryId, Member, Slot, Status, Wait, slot_of};

use super::Stage;
use crate::check::histories::Watermarks;
use crate::check::progress;
use crate::history::{Author, Call, CallId};
use crate::world::hosts::Running;
use crate::world::seats::Seat;

impl Stage {
    pub(crate) fn chain(&self, slot: Slot) -> Option<&Chain> {
        self.world.realm.chain(slot)
    }

    pub(crate) fn chains(&self) -> impl Iterator<Item = &Chain> {
        (0..self.world.options.slots).filter_map(|slot| self.chain(Slot(slot)))
    }

    /// The cluster, as the leader sees it.
    pub(crate) fn status(&self) -> Option<Status> {
        let statuses = self.world.seats.iter().filter_map(Seat::status);
        statuses.max_by_key(|status| status.epoch)
    }

    pub(crate) fn leads(&self, seat: usize) -> bool {
        self.world.seats[seat].route().is_some()
    }

    /// Whether a coordinator has let a node in.
    pub(crate) fn registered(&self, node: usize) -> bool {
        self.world.seats.iter().any(|seat| seat.has_let_in(node))
    }

    /// The coordinator that leads, by the newest claim.
    pub(crate) fn leader(&self) -> Option<usize> {
        let epoch = |seat: &usize| self.world.seats[*seat].status().map(|status| status.epoch);
        (0..self.world.seats.len()).filter(|seat| epoch(seat).is_some()).max_by_key(epoch)
    }

    /// What keeps a slot's chain from being whole, by the leader's word.
    pub(crate) fn wait(&self, slot: Slot) -> Option<Wait> {
        self.status()?.waits.get(&slot).copied()
    }

    pub(crate) fn whole(&self) -> bool {
        let full = self.world.options.full();
        let whole = |slot| {
            let chain = self.chain(slot).filter(|chain| progress::chain(chain, full).is_ok());
            chain.is_some_and(|chain| chain.members.iter().all(|member| self.takes_part(chain, member)))
        };
        (0..self.world.options.slots).map(Slot).all(whole)
    }

    /// Whether a member is there, and acts in the version that is in effect.
    fn takes_part(&self, chain: &Chain, member: &Member) -> bool {
        let host = self.world.hosts.iter().find(|host| member.is(&host.identity));
        let process = host.and_then(|host| host.process.as_ref());
        let running = process.filter(|process| matches!(process.running, Running::Yes));
        running.is_some_and(|process| {
            let marks = &process.marks[chain.slot.0 as usize];
            marks.version == chain.version && marks.acting && marks.matched && !marks.fenced
        })
    }

    /// A replica's watermarks; `None`: its node is down.
    pub(crate) fn marks(&self, node: usize, slot: Slot) -> Option<Watermarks> {
        self.world.hosts[node].process.as_ref().map(|process| process.marks[slot.0 as usize])
    }

    /// Whether some slot's state is being copied to the node: it has got a part.
    pub(crate) fn copies(&self, node: usize) -> bool {
        self.copying.keys().any(|(to, _)| *to == node)
    }

    /// For which call an entry was ordered; `None`: for none.
    pub(crate) fn author(&self, slot: Slot, entry: EntryId) -> Option<CallId> {
        match self.world.history.author(slot, entry) {
            Some(Author::Call(by)) => Some(by.call),
            Some(Author::Chain | Author::Unseen) | None => None,
        }
    }

    /// The run of a node's process, and whether it stands still.
    pub(crate) fn process(&self, node: usize) -> ProcessState {
        match self.world.hosts[node].process.as_ref().map(|process| &process.running) {
            None => ProcessState::Down,
            Some(Running::Yes) => ProcessState::Runs,
            Some(Running::Paused(_)) => ProcessState::Paused,
        }
    }

    /// How long the slowest of these calls took.
    pub(crate) fn slowest(&self, calls: &[CallId]) -> Duration {
        calls.iter().filter_map(|call| self.known.took.get(call)).max().copied().unwrap_or_default()
    }

    pub(crate) fn call(&self, call: CallId) -> &Call {
        self.world.history.call(call)
    }

    pub(crate) fn slot_of(&self, key: &[u8]) -> Slot {
        slot_of(key, self.world.options.slots)
    }
}

/// How a node's process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessState {
    Down,
    Runs,
    Paused,
}
