//! The latest things that happened to a process, for whoever comes too late to read its log.

use std::collections::VecDeque;
use std::time::SystemTime;

use catena_core::{ChainVersion, NodeId, Slot};
use serde::Serialize;

use crate::wall_time;

/// So many are kept.
const EVENTS: usize = 256;
/// So many of them at most are of chains while there are others: a repair changes thousands of chains, and what began it is to
/// stay.
const OF_CHAINS: usize = 192;

/// The latest, oldest first; of chains fewer.
#[derive(Debug, Default)]
pub(crate) struct Events {
    kept: VecDeque<Happened>,
    last: u64,
    /// How many of those kept are of chains.
    of_chains: usize,
}

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Happened {
    /// Counts events of this process: a gap says that some were missed.
    pub number: u64,
    /// By the system's clock, in nanoseconds since 1970.
    pub at_ns: u64,
    /// To what or whom.
    #[serde(flatten)]
    happening: Happening,
}

/// What happened, in words of a fixed set, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Happening {
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl Events {
    /// Keeps it, in place of the oldest, or of the oldest of a chain, if there are enough.
    pub(crate) fn add(&mut self, happening: Happening) {
        self.last += 1;
        if self.kept.len() == EVENTS {
            let of_chain = || self.kept.iter().position(|kept| kept.happening.slot.is_some());
            let gone = if self.of_chains >= OF_CHAINS { of_chain() } else { None };
            let gone = self.kept.remove(gone.unwrap_or_default()).expect("it is full");
            self.of_chains -= usize::from(gone.happening.slot.is_some());
        }
        self.of_chains += usize::from(happening.slot.is_some());
        self.kept.push_back(Happened { number: self.last, at_ns: wall_time(SystemTime::now()).0, happening });
    }

    /// All that are kept.
    pub(crate) fn all(&self) -> Vec<Happened> {
        self.kept.iter().cloned().collect()
    }
}

impl Happening {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, node_id: None, slot: None, chain_version: None, detail: None }
    }

    /// Whom it concerns, if not the process itself.
    pub(crate) fn node(self, node: &NodeId) -> Self {
        Self { node_id: Some(node.to_string()), ..self }
    }

    pub(crate) fn chain(self, slot: Slot, version: ChainVersion) -> Self {
        Self { chain_version: Some(version.0), ..self.slot(slot) }
    }

    pub(crate) fn slot(self, slot: Slot) -> Self {
        Self { slot: Some(slot.0), ..self }
    }

    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_and_the_numbers_go_on() {
        let mut events = Events::default();
        for _ in 0..EVENTS + 3 {
            events.add(Happening::new("link-up"));
        }
        let kept = events.all();
        assert_eq!(kept.len(), EVENTS);
        assert_eq!((kept[0].number, kept[EVENTS - 1].number), (4, 259));
    }

    #[test]
    fn many_changes_of_chains_leave_what_began_them() {
        let mut events = Events::default();
        events.add(Happening::new("health"));
        for _ in 0..2 * EVENTS {
            events.add(Happening::new("chain").slot(Slot(3)));
        }
        let kept = events.all();
        let last = 2 * EVENTS as u64 + 1;
        assert_eq!(kept.len(), EVENTS);
        assert_eq!((kept[0].number, kept[1].number, kept[EVENTS - 1].number), (1, last - EVENTS as u64 + 2, last));
        for _ in 0..EVENTS {
            events.add(Happening::new("health"));
        }
        let kept = events.all();
        assert!(kept.iter().all(|kept| kept.happening.what == "health"), "those of chains are no more than their part");
        assert_eq!((kept.len(), kept[0].number), (EVENTS, last + 1));
    }

    #[test]
    fn one_line_of_json_has_what_is_known_and_no_more() {
        let mut events = Events::default();
        events.add(Happening::new("fenced").chain(Slot(3), ChainVersion(7)));
        let mut line = serde_json::to_value(events.all().remove(0)).expect("JSON");
        line["at_ns"] = 1.into();
        assert_eq!(line, serde_json::json!({ "number": 1, "at_ns": 1, "what": "fenced", "slot": 3, "chain_version": 7 }));
    }
}
