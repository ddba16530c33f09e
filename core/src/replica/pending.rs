//! Calls that wait for an entry to be committed.

use std::collections::BTreeMap;

use crate::{CallError, EntryId, Reply, RequestId, Seq};

/// Waiting calls, by the seq of the entry that they wait for.
#[derive(Debug, Default)]
pub(super) struct Pending {
    calls: BTreeMap<(Seq, RequestId), Answer>,
}

/// What a call is told once its entry is committed.
#[derive(Debug)]
pub(super) enum Answer {
    /// What became of this entry, the call's own: a fact, once it is committed.
    Done { entry: EntryId, result: Result<Reply, CallError> },
    /// The session had ended by then: a fact too (W8).
    Expired(CallError),
    /// The call was judged on the entry. The answer shows state, as a read does (W7).
    Reveals(Result<Reply, CallError>),
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn push(&mut self, seq: Seq, request: RequestId, answer: Answer) {
        let before = self.calls.insert((seq, request), answer);
        assert!(before.is_none(), "request {request} was given twice");
    }

    /// The next call that waits for an entry up to `to`.
    pub(super) fn pop_up_to(&mut self, to: Seq) -> Option<(RequestId, Answer)> {
        let first = self.calls.first_entry()?;
        (first.key().0 <= to).then(|| first.remove_entry()).map(|((_, request), answer)| (request, answer))
    }

    /// The calls that wait for an entry after `last`.
    pub(super) fn cut(&mut self, last: Seq) -> impl Iterator<Item = (RequestId, Answer)> + use<> {
        self.calls.split_off(&(last.next(), RequestId(0))).into_iter().map(|((_, request), answer)| (request, answer))
    }
}
