//! The latest things that happened to a process, for whoever comes too late to read its log.

use std::collections::VecDeque;
use std::time::SystemTime;

use catena_core::{ChainVersion, NodeId, Slot};
use serde::Serialize;

use crate::wall_time;

/// So many are kept.
const EVENTS: usize = 256;

/// The latest, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Events {
    kept: VecDeque<Happened>,
    last: u64,
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
    /// Keeps it, in place of the oldest if there are enough.
    pub(crate) fn add(&mut self, happening: Happening) {
        self.last += 1;
        if self.kept.len() == EVENTS {
            self.kept.pop_front();
        }
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
    fn one_line_of_json_has_what_is_known_and_no_more() {
        let mut events = Events::default();
        events.add(Happening::new("fenced").chain(Slot(3), ChainVersion(7)));
        let mut line = serde_json::to_value(events.all().remove(0)).expect("JSON");
        line["at_ns"] = 1.into();
        assert_eq!(line, serde_json::json!({ "number": 1, "at_ns": 1, "what": "fenced", "slot": 3, "chain_version": 7 }));
    }
}
