//! What the driver looks for after each turn, without the machine's having to say it: whether it is ready, whether the disk is
//! slow, which replicas are being filled, and how long syncs take.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use catena_core::{ChainVersion, NodeOverview, Presence, Role, Slot, Ticket, Time};
use catena_net::server::Readiness;

use super::metrics::NodeMetrics;
use super::notes::Notes;
use super::state::ms;

/// A sync that takes so long is worth a line. Chosen here: a hundred times a good one, and long before the node is taken for
/// dead for it.
const SLOW: Duration = Duration::from_millis(250);

/// What was found last.
#[derive(Debug, Default)]
pub(super) struct Watching {
    leased: bool,
    /// For how long the disk has been at a slow sync, when last looked at.
    slow: Option<Duration>,
    /// Replicas that are being filled, and since when.
    filling: BTreeMap<Slot, Time>,
    /// Batches that the disk has, and since when.
    batches: VecDeque<(Ticket, Time)>,
    /// The newest versions noted, so that what is said again is no news.
    pub(super) chains: Newest,
    pub(super) fences: Newest,
    pub(super) drops: Newest,
}

/// Of each slot, the newest version.
#[derive(Debug, Default)]
pub(super) struct Newest(BTreeMap<Slot, ChainVersion>);

impl Newest {
    /// Whether there was none so new.
    pub(super) fn is_news(&mut self, slot: Slot, version: ChainVersion) -> bool {
        self.0.insert(slot, version).is_none_or(|before| before < version)
    }
}

/// Whether a node can do its work.
pub(super) fn readiness(overview: &NodeOverview<'_>) -> Readiness {
    if overview.presence == Presence::Leaving {
        Readiness::Unready("it has been told to stop")
    } else if overview.stalled {
        Readiness::Unready("its disk has been at one sync for too long")
    } else if overview.lease.is_none() {
        Readiness::Unready("it holds no lease: it has not heard from a coordinator that leads for too long")
    } else {
        Readiness::Ready
    }
}

impl Watching {
    pub(super) fn look(&mut self, overview: &NodeOverview<'_>, notes: &mut Notes) {
        let leased = overview.lease.is_some();
        match (std::mem::replace(&mut self.leased, leased), leased) {
            (false, true) => notes.lease_held(),
            // One that stops is not renewed its lease.
            (true, false) if overview.presence == Presence::Staying => notes.lease_lost(),
            (_, _) => {}
        }
        let oldest = overview.oldest_write;
        if oldest >= SLOW {
            if self.slow.replace(oldest).is_none() {
                notes.disk_is_slow(ms(oldest));
            }
        } else if let Some(before) = self.slow.take() {
            notes.disk_is_back(ms(before));
        }
    }

    /// The node has this part in the newest chain of a slot.
    pub(super) fn part(&mut self, slot: Slot, role: Role, now: Time, metrics: &NodeMetrics) {
        if role == Role::Joining {
            self.filling.entry(slot).or_insert(now);
        } else if let Some(since) = self.filling.remove(&slot) {
            if role.is_member() {
                metrics.caught_up(now.since(since));
            } else {
                metrics.gave_up();
            }
        }
    }

    /// How many replicas are being filled.
    pub(super) fn filling(&self) -> usize {
        self.filling.len()
    }

    pub(super) fn submitted(&mut self, ticket: Ticket, now: Time) {
        self.batches.push_back((ticket, now));
    }

    pub(super) fn synced(&mut self, ticket: Ticket, now: Time, metrics: &NodeMetrics) {
        while let Some((_, since)) = self.batches.pop_front_if(|(submitted, _)| *submitted <= ticket) {
            metrics.synced(now.since(since));
        }
    }
}
