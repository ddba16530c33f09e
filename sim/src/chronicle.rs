//! What happens in a world, kept for a picture: notes at a place, and messages between two.

use std::collections::{BTreeMap, VecDeque};

use catena_core::{Slot, Time};
use serde::Serialize;

use crate::plan::Place;

/// Of notes and of messages, so many are kept at most: the last ones.
const KEPT: usize = 100_000;

/// What a picture shows.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    notes: VecDeque<Note>,
    messages: VecDeque<Message>,
    /// Messages that were forgotten.
    forgotten: usize,
    /// Notes that were.
    forgotten_notes: usize,
    /// Numbers of the messages that are on their way, by where and when each arrives.
    under_way: BTreeMap<Arrival, VecDeque<usize>>,
}

/// Where and when a message arrives, and which of several it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrival {
    pub(crate) to: Place,
    pub(crate) at: Time,
    pub(crate) tag: u64,
}

/// Something that happens at one place.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Note {
    pub(crate) step: u64,
    /// In nanoseconds of the world.
    pub(crate) t: u64,
    pub(crate) at: String,
    pub(crate) kind: Kind,
    #[serde(flatten)]
    pub(crate) about: About,
    pub(crate) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<State>,
}

/// What a note or a message is about, as far as it is about anything.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct About {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slot: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) keys: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) calls: Vec<usize>,
}

/// Kinds of notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Fault,
    /// A process starts, ends, stands still or goes on.
    Process,
    /// A chain is in effect.
    Chain,
    /// A replica's standing or watermarks.
    Replica,
    Lease,
    Disk,
    Coordinator,
    Operator,
    Call,
    Violation,
}

impl Kind {
    /// Whether it is worth a line where there is no picture.
    pub(crate) fn is_printed(self) -> bool {
        !matches!(self, Kind::Lease | Kind::Disk)
    }
}

/// What a picture draws as something that lasts.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase", tag = "is")]
pub(crate) enum State {
    Up,
    Down,
    Paused,
    Leads,
    Follows,
    Begins {
        call: usize,
    },
    Ends {
        call: usize,
    },
    /// A lease ends at this time of the world, in nanoseconds.
    Leased {
        until: u64,
    },
    Replica(Marks),
}

/// A replica in a few numbers.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Marks {
    pub(crate) version: u64,
    pub(crate) role: String,
    /// It acts in its version, and its log has been compared.
    pub(crate) matched: bool,
    pub(crate) acting: bool,
    pub(crate) fenced: bool,
    pub(crate) applied: u64,
    pub(crate) committed: u64,
    pub(crate) durable: u64,
    pub(crate) synced: String,
    pub(crate) last: String,
}

/// Something that goes from one place to another.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Message {
    step: u64,
    t: u64,
    from: String,
    to: String,
    kind: Traffic,
    #[serde(flatten)]
    about: About,
    text: String,
    /// When it arrives, or would.
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<u64>,
    /// In which step it has arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    arrived: Option<u64>,
    /// Why it does not arrive.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<String>,
}

/// Kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Traffic {
    /// Entries, and how far they are durable and committed.
    Replication,
    /// What matches logs.
    Matching,
    /// Parts of a snapshot, and requests for them.
    Snapshot,
    /// From a client to a node, and back.
    Request,
    Reply,
    /// From a client to a coordinator, and back.
    Route,
    /// From a node to a coordinator.
    Heartbeat,
    /// Its answer, without anything decided.
    Answer,
    /// What a coordinator has decided, and the beginnings of streams.
    Decision,
}

/// A message that is sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) from: Place,
    pub(crate) to: Place,
    pub(crate) kind: Traffic,
    pub(crate) about: About,
    pub(crate) text: String,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// It arrives then, and is known by this tag.
    Arrives(Time, u64),
    /// It does not, for this reason.
    Lost(&'static str),
}

impl About {
    pub(crate) fn slot(slot: Slot) -> Self {
        Self { slot: Some(slot.0), ..Self::default() }
    }
}

impl Chronicle {
    pub(crate) fn note(&mut self, note: Note) {
        self.notes.push_back(note);
        if self.notes.len() > KEPT {
            self.notes.pop_front();
            self.forgotten_notes += 1;
        }
    }

    pub(crate) fn sent(&mut self, step: u64, now: Time, sent: Sent, way: Way) {
        let Sent { from, to, kind, about, text } = sent;
        let (due, lost) = match way {
            Way::Arrives(at, tag) => {
                let number = self.forgotten + self.messages.len();
                self.under_way.entry(Arrival { to, at, tag }).or_default().push_back(number);
                (Some(at.0), None)
            }
            Way::Lost(why) => (None, Some(why.to_owned())),
        };
        let (from, to) = (from.to_string(), to.to_string());
        self.messages.push_back(Message { step, t: now.0, from, to, kind, about, text, due, arrived: None, lost });
        if self.messages.len() > KEPT {
            self.messages.pop_front();
            self.forgotten += 1;
        }
    }

    /// A message arrives, or would have.
    pub(crate) fn arrived(&mut self, step: u64, arrival: Arrival, lost: Option<&'static str>) {
        let Some(waiting) = self.under_way.get_mut(&arrival) else { return };
        let number = waiting.pop_front();
        if waiting.is_empty() {
            self.under_way.remove(&arrival);
        }
        let place = number.and_then(|number| number.checked_sub(self.forgotten));
        if let Some(message) = place.and_then(|place| self.messages.get_mut(place)) {
            match lost {
                Some(why) => message.lost = Some(why.to_owned()),
                None => message.arrived = Some(step),
            }
        }
    }

    pub(crate) fn notes(&self) -> &VecDeque<Note> {
        &self.notes
    }

    pub(crate) fn messages(&self) -> &VecDeque<Message> {
        &self.messages
    }

    /// How many notes and messages were forgotten.
    pub(crate) fn forgotten(&self) -> usize {
        self.forgotten + self.forgotten_notes
    }

    /// What was noted of faults and the beginnings of calls at this time and place.
    pub(crate) fn meaning(&self, at: Time, place: Place) -> Option<&str> {
        let places = [place.to_string(), Place::World.to_string()];
        let begins =
            |note: &&Note| matches!((note.kind, &note.state), (Kind::Call, Some(State::Begins { .. })) | (Kind::Fault, _));
        self.notes.iter().filter(begins).find(|note| note.t == at.0 && places.contains(&note.at)).map(|note| note.text.as_str())
    }
}
