//! What clients did and saw: every call's invocation, response and outcome.

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::{Condition, EntryId, Metadata, Object, RequestId, Slot};

/// All calls of a world, in the order of their invocation.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Counts invocations and responses: a total order that agrees with the world's time.
    instant: u64,
    pub(crate) calls: Vec<Call>,
    /// Which try of which call each entry was ordered for, as seen where it was ordered.
    ordered: BTreeMap<(Slot, EntryId), Try>,
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

/// A call of a client.
#[derive(Clone, Debug)]
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
    /// A delete of an object that was not there.
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

    /// A head gave a try's write this place in the slot's history. The try that had it before, if any: no place is
    /// given twice.
    pub(crate) fn order(&mut self, slot: Slot, entry: EntryId, by: Try) -> Option<Try> {
        self.ordered.insert((slot, entry), by)
    }

    /// For which try an entry was ordered.
    pub(crate) fn author(&self, slot: Slot, entry: EntryId) -> Option<Try> {
        self.ordered.get(&(slot, entry)).copied()
    }
}
