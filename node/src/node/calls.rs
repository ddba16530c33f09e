//! Calls of clients that the machine has not answered yet.

use std::collections::HashMap;

use catena_core::{CallError, Reply, RequestId, Time};
use tokio::sync::oneshot;

use super::metrics::{Asked, Heard, NodeMetrics};

/// Where a call's answer goes.
pub(super) type Answer = oneshot::Sender<Result<Reply, CallError>>;

/// All of them, and how those before ended.
#[derive(Debug)]
pub(super) struct Calls {
    waiting: HashMap<RequestId, Call>,
    last: RequestId,
    metrics: NodeMetrics,
}

#[derive(Debug)]
struct Call {
    asked: Asked,
    since: Time,
    answer: Answer,
}

impl Calls {
    pub(super) fn new(metrics: NodeMetrics) -> Self {
        Self { waiting: HashMap::new(), last: RequestId(0), metrics }
    }

    /// Gives a call the name under which the machine will answer it.
    pub(super) fn take_up(&mut self, asked: Asked, answer: Answer, now: Time) -> RequestId {
        self.last = self.last.next();
        self.waiting.insert(self.last, Call { asked, since: now, answer });
        self.last
    }

    /// Passes on the machine's answer.
    pub(super) fn answer(&mut self, request: RequestId, result: Result<Reply, CallError>, now: Time) {
        let call = self.waiting.remove(&request).expect("a call is answered once");
        self.tell(call, result, now);
    }

    /// Answers a call that the machine does not get.
    pub(super) fn refuse(&self, asked: Asked, answer: Answer, error: CallError, now: Time) {
        self.tell(Call { asked, since: now, answer }, Err(error), now);
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn tell(&self, call: Call, result: Result<Reply, CallError>, now: Time) {
        let Call { asked, since, answer } = call;
        // A caller that has gone does not want to know, and does not.
        let heard = if answer.is_closed() { Heard::No } else { Heard::Yes };
        self.metrics.answered(asked, &result, now.since(since), heard);
        let _ = answer.send(result);
    }
}
