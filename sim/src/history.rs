//! What clients did and saw: every call's invocation, response and outcome.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use catena_core::{Condition, EntryId, Metadata, Object, RequestId, Slot};

/// All calls of a world, in the order of their invocation.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Counts invocations and responses: a total order that agrees with the world's time.
    instant: u64,
    pub(crate) calls: Vec<Call>,
    /// For whom each entry was ordered, as seen where it was ordered.
    ordered: BTreeMap<(Slot, EntryId), Author>,
    /// Calls for which an entry was ordered.
    taken_in: BTreeSet<CallId>,
}

/// A moment in the order of invocations and responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(pub(crate) u64);

/// Names a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CallId(pub(crate) usize);

/// One request that a call sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Try {
    pub(crate) call: CallId,
    pub(crate) request: RequestId,
}

/// For whom an entry was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// For a call.
    Call(Try),
    /// For none: it opens or ends sessions.
    Chain,
    /// Nobody saw for which: it has no effect, and was seen only where it was applied.
    #[cfg_attr(not(test), expect(dead_code, reason = "the world sees where entries are ordered"))]
    Unseen,
}

/// A call of a client: from its first try to the answer of its last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) slot: Slot,
    pub(crate) wish: Wish,
    pub(crate) invoked: Instant,
    pub(crate) returned: Option<Instant>,
    pub(crate) outcome: Outcome,
}

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) key: Bytes,
    pub(crate) deed: Deed,
    pub(crate) conditions: Vec<Condition>,
}

/// What it wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Get,
    /// Values begin with their call's number, so no two are equal.
    Put {
        value: Bytes,
    },
    Delete,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Pending,
    Read(Option<Object>),
    Written {
        entry: EntryId,
        object: Option<Metadata>,
    },
    /// A delete of an object that was not there. Under a session that is an entry too.
    NothingToDo,
    /// A condition did not hold of this object.
    Refused(Option<Metadata>),
    NotExecuted,
    Unknown,
}

impl History {
    fn tick(&mut self) -> Instant {
        self.instant += 1;
        Instant(self.instant)
    }

    /// The number that the next call will have.
    pub(crate) fn next_call(&self) -> CallId {
        CallId(self.calls.len())
    }

    pub(crate) fn invoke(&mut self, slot: Slot, wish: Wish) -> CallId {
        let id = self.next_call();
        let invoked = self.tick();
        self.calls.push(Call { slot, wish, invoked, returned: None, outcome: Outcome::Pending });
        id
    }

    pub(crate) fn respond(&mut self, id: CallId, outcome: Outcome) {
        let returned = self.tick();
        let call = &mut self.calls[id.0];
        assert!(call.returned.is_none(), "{id:?} has returned twice");
        (call.returned, call.outcome) = (Some(returned), outcome);
    }

    pub(crate) fn call(&self, id: CallId) -> &Call {
        &self.calls[id.0]
    }

    /// A head gave an entry this place in the slot's history. For whom the place was given before, if it was: no place is
    /// given twice.
    pub(crate) fn order(&mut self, slot: Slot, entry: EntryId, by: Author) -> Option<Author> {
        if let Author::Call(by) = by {
            self.taken_in.insert(by.call);
        }
        self.ordered.insert((slot, entry), by)
    }

    /// Whether the call may have been executed, as far as its client may conclude, now or ever: an entry was ordered for it, or
    /// its outcome is unknown.
    pub(crate) fn may_be_executed(&self, call: CallId) -> bool {
        self.taken_in.contains(&call) || self.call(call).outcome == Outcome::Unknown
    }

    /// For whom an entry was ordered.
    pub(crate) fn author(&self, slot: Slot, entry: EntryId) -> Option<Author> {
        self.ordered.get(&(slot, entry)).copied()
    }
}
