//! What is decided: the coordinators' store, the operations on their way to it, and what is in effect.
//!
//! An operation acts on the store at one moment and is reported at a later one. Between the two a coordinator may die: what
//! acted is in effect all the same, and what did not may still act, long after its coordinator is gone.

use std::collections::BTreeMap;
use std::time::Duration;

use catena_core::{
    Chain, Change, CoordinatorEvent, Epoch, Leadership, Member, NodeId, Record, Slot, Standing, StoredNode, Succession, Ticket,
    Time,
};
use catena_store::{ConfigError, ConfigStore, MemoryConfigStore};

use super::{Happening, Life, World};
use crate::check::continuity::Chains;
use crate::check::{Checker, Severity, Violation};
use crate::chronicle::{About, Kind};
use crate::describe;
use crate::faults::Fault;
use crate::options::{Options, Temper};
use crate::plan::Place;

/// The store, and what is in effect by it.
#[derive(Debug)]
pub(super) struct Realm {
    store: MemoryConfigStore,
    chains: Chains,
    nodes: BTreeMap<NodeId, StoredNode>,
    errands: BTreeMap<u64, Errand>,
    sent: u64,
    /// The newest leadership.
    elected: Epoch,
    /// Operations take long until then.
    pub(super) slow_until: Time,
}

/// What a coordinator wants of the store.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    Observe,
    Lead { over: Leadership },
    Renew(Leadership),
    Store { ticket: Ticket, epoch: Epoch, changes: Vec<Change> },
}

/// An operation on its way.
#[derive(Debug)]
struct Errand {
    seat: usize,
    life: Life,
    deed: Deed,
    /// What it will report, once it has acted.
    outcome: Option<CoordinatorEvent>,
}

/// What becomes of an operation whose coordinator dies before it has acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Orphan {
    Never,
    AtOnce,
    Later,
}

impl Realm {
    pub(super) fn new(options: &Options) -> Result<Self, Violation> {
        let mut store = MemoryConfigStore::new();
        store.establish(&options.coordinator.cluster).map_err(|error| broken("C1", error.to_string()))?;
        Ok(Self {
            store,
            chains: Chains::new(options.slots),
            nodes: BTreeMap::new(),
            errands: BTreeMap::new(),
            sent: 0,
            elected: Epoch(0),
            slow_until: Time(0),
        })
    }

    /// The chain in effect.
    pub(super) fn chain(&self, slot: Slot) -> Option<&Chain> {
        self.chains.current(slot)
    }

    /// The chain in effect, and those that may be at any moment.
    pub(super) fn possible(&self, slot: Slot) -> impl Iterator<Item = &Chain> {
        let changes = self.errands.values().filter(|errand| errand.outcome.is_none()).flat_map(|errand| match &errand.deed {
            Deed::Store { changes, .. } => changes.as_slice(),
            Deed::Observe | Deed::Lead { .. } | Deed::Renew(_) => &[],
        });
        let coming = changes.filter_map(|change| match &change.record {
            Record::Chain(chain) => Some(chain),
            Record::Node(_) => None,
        });
        self.chain(slot).into_iter().chain(coming.filter(move |chain| chain.slot == slot))
    }

    /// Versions that took effect after the first, over all slots.
    pub(super) fn changes(&self) -> u64 {
        self.chains.changes()
    }

    /// How many of them had other members.
    pub(super) fn reconfigurations(&self) -> u64 {
        self.chains.reconfigurations()
    }

    /// Somebody goes by a chain.
    pub(super) fn judge_adopted(&self, chain: &Chain, by: &str) -> Result<(), Violation> {
        self.chains.adopted(chain, by)
    }

    /// The record in effect.
    pub(super) fn node(&self, id: &NodeId) -> Option<&StoredNode> {
        self.nodes.get(id)
    }

    /// Whether nobody has been elected after this leadership.
    pub(super) fn leads(&self, epoch: Epoch) -> bool {
        self.elected == epoch
    }

    /// Whether every node that is known is a member.
    pub(super) fn all_are_members(&self) -> bool {
        self.nodes.values().all(|node| node.standing == Standing::Member)
    }

    /// An operation that the store has refused because its coordinator leads no more: whose it is, under which epoch, and the
    /// chains that it would have made.
    pub(super) fn refused(&self, errand: u64) -> Option<(usize, Epoch, Vec<Chain>)> {
        let Errand { seat, deed: Deed::Store { epoch, changes, .. }, outcome: Some(CoordinatorEvent::Deposed), .. } =
            self.errands.get(&errand)?
        else {
            return None;
        };
        let chains = changes.iter().filter_map(|change| match &change.record {
            Record::Chain(chain) => Some(chain.clone()),
            Record::Node(_) => None,
        });
        Some((*seat, *epoch, chains.collect()))
    }

    fn perform(&mut self, deed: &Deed) -> Result<CoordinatorEvent, ConfigError> {
        match deed {
            Deed::Observe => self.store.observe().map(CoordinatorEvent::Observed),
            Deed::Lead { over } => match self.store.lead(*over)? {
                Some((leadership, stored)) => Ok(CoordinatorEvent::Elected { leadership, stored }),
                None => self.store.observe().map(CoordinatorEvent::Observed),
            },
            Deed::Renew(held) => Ok(self.store.renew(*held)?.map_or(CoordinatorEvent::Deposed, CoordinatorEvent::Renewed)),
            Deed::Store { ticket, epoch, changes } => match self.store.commit(*epoch, changes) {
                Ok(()) => Ok(CoordinatorEvent::Stored { ticket: *ticket }),
                Err(ConfigError::Deposed { .. }) => Ok(CoordinatorEvent::Deposed),
                Err(error) => Err(error),
            },
        }
    }
}

impl World {
    /// Sends a coordinator's operation to the store.
    pub(super) fn send_errand(&mut self, seat: usize, life: Life, deed: Deed) {
        let mut duration = self.rng.duration(self.options.sync / 4, self.options.sync * 2);
        if self.now < self.realm.slow_until {
            duration += self.rng.duration(Duration::from_millis(100), Duration::from_millis(1_500));
        } else if let Some(longer) =
            self.strikes_as(Fault::SlowCommit, Place::Seat(seat), |rng| rng.heavy_tail(Duration::from_millis(50)))
        {
            duration += longer.min(Duration::from_secs(3));
        }
        let acts = self.now + self.rng.duration(Duration::ZERO, duration);
        let reports = self.now + duration;
        self.realm.sent += 1;
        let errand = self.realm.sent;
        self.realm.errands.insert(errand, Errand { seat, life, deed, outcome: None });
        self.queue.push(acts, Happening::StoreActs { errand });
        self.queue.push(reports, Happening::StoreReports { errand });
    }

    /// The operation reaches the store, unless its coordinator is cut off from it: then it does when that ends.
    pub(super) fn store_acts(&mut self, errand: u64) -> Result<(), Violation> {
        let Some(Errand { seat, deed, outcome: None, .. }) = self.realm.errands.get(&errand) else { return Ok(()) };
        let cut_until = self.seats[*seat].store_cut_until;
        if self.now < cut_until {
            self.queue.push(cut_until, Happening::StoreActs { errand });
            return Ok(());
        }
        let deed = deed.clone();
        let outcome = self.realm.perform(&deed).map_err(|error| broken("C1", error.to_string()))?;
        if let CoordinatorEvent::Elected { leadership, .. } = &outcome {
            self.realm.chains.elected(leadership.epoch)?;
            self.realm.elected = leadership.epoch;
        }
        if let (Deed::Store { epoch, changes, .. }, CoordinatorEvent::Stored { .. }) = (deed, &outcome) {
            self.realm.chains.stored_under(epoch)?;
            changes.into_iter().try_for_each(|change| self.in_effect(change.record))?;
        }
        self.realm.errands.get_mut(&errand).expect("it was looked up").outcome = Some(outcome);
        Ok(())
    }

    pub(super) fn store_reports(&mut self, errand: u64) -> Result<(), Violation> {
        let Some(Errand { seat, life, outcome, .. }) = self.realm.errands.get(&errand) else { return Ok(()) };
        let (seat, life) = (*seat, *life);
        let cut_until = self.seats[seat].store_cut_until;
        if outcome.is_none() || self.now < cut_until {
            let again = cut_until.max(self.now + Duration::from_millis(1));
            self.queue.push(again, Happening::StoreReports { errand });
            return Ok(());
        }
        let Some(Errand { outcome: Some(outcome), .. }) = self.realm.errands.remove(&errand) else { unreachable!("looked up") };
        self.errand_done(seat, life, outcome)
    }

    /// A coordinator has died: what it had sent has acted, acts now, later, or never.
    pub(super) fn orphan_errands(&mut self, seat: usize, life: Life) -> Result<(), Violation> {
        let open: Vec<u64> = {
            let mine = |errand: &Errand| errand.seat == seat && errand.life == life && errand.outcome.is_none();
            self.realm.errands.iter().filter(|(_, errand)| mine(errand)).map(|(name, _)| *name).collect()
        };
        for errand in open {
            // The store of a coordinator that is alone is its own disk: it does nothing after its death.
            let ways = match self.options.coordinator.succession {
                Succession::Exclusive => &[Orphan::Never, Orphan::AtOnce][..],
                Succession::Shared { .. } => &[Orphan::Never, Orphan::AtOnce, Orphan::Later],
            };
            match *self.rng.pick(ways) {
                Orphan::Never => drop(self.realm.errands.remove(&errand)),
                Orphan::AtOnce if self.now >= self.seats[seat].store_cut_until => self.store_acts(errand)?,
                Orphan::AtOnce | Orphan::Later => {}
            }
        }
        Ok(())
    }

    /// The store has a record: from now on it is in effect, whoever has heard of it (C1).
    fn in_effect(&mut self, record: Record) -> Result<(), Violation> {
        match record {
            Record::Node(node) => {
                let (id, now) = (node.record.node.clone(), (node.standing, node.record.incarnation));
                let before = self.realm.nodes.insert(id.clone(), node);
                if before.is_none_or(|before| (before.standing, before.record.incarnation) != now) {
                    self.flaps.forget(&id);
                }
            }
            Record::Chain(chain) => {
                self.trace.add(chain.version.0);
                let about = About::slot(chain.slot);
                self.trace.note(self.now, Place::World, Kind::Chain, about, || format!("in effect: {}", describe::chain(&chain)));
                let removed = self.realm.chains.decide(&chain)?;
                self.judge_decided(&chain, removed.as_ref())?;
                if let Some(removed) = removed.filter(|_| self.options.temper == Temper::Lossy) {
                    return Err(needless(&chain, &removed));
                }
            }
        }
        Ok(())
    }
}

/// Nobody was in trouble, and somebody was taken out: a loss that has not been made good.
fn needless(chain: &Chain, removed: &Member) -> Violation {
    Violation {
        severity: Severity::Liveness,
        checker: Checker::Progress,
        rule: "W6, K2",
        sentence: format!(
            "slot {}: {} is left out of version {}, although only messages were lost",
            chain.slot, removed.node, chain.version
        ),
    }
}

/// Something that the world does not do has happened.
pub(super) fn broken(rule: &'static str, sentence: String) -> Violation {
    Violation { severity: Severity::Safety, checker: Checker::Assertion, rule, sentence }
}
