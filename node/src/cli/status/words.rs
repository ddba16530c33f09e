//! The words for how things are; they are part of the JSON output.

use catena_core::{Eviction, Health, Standing, Wait};

pub(crate) fn health(health: Health) -> &'static str {
    match health {
        Health::Unheard => "unheard",
        Health::Healthy => "healthy",
        Health::Suspect => "suspect",
        Health::Dead => "dead",
        Health::Stopped => "stopped",
    }
}

pub(crate) fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Member => "member",
        Standing::Draining => "draining",
        Standing::Evicted { reason: Eviction::Flapping, .. } => "evicted-flapping",
        Standing::Evicted { reason: Eviction::Ordered, .. } => "evicted-ordered",
    }
}

pub(crate) fn wait(wait: Wait) -> &'static str {
    match wait {
        Wait::NoCandidate => "no-candidate",
        Wait::Joining => "joining",
        Wait::Fencing => "fencing",
        Wait::LastCopy => "last-copy",
        Wait::Restrained => "restrained",
        Wait::Turn => "turn",
        Wait::Absence => "absence",
    }
}

/// The same for people.
pub(crate) fn explained(wait: Wait) -> &'static str {
    match wait {
        Wait::NoCandidate => "no other node with fitting labels is there: add one",
        Wait::Joining => "a copy is being filled",
        Wait::Fencing => "a member is being taken out",
        Wait::LastCopy => "the only whole copy does not answer: bring its node back",
        Wait::Restrained => "too many nodes are gone at once: bring them back, or evict them by hand",
        Wait::Turn => "others go first",
        Wait::Absence => "a node that stopped in order is waited for",
    }
}
