//! Calls of clients that the machine has not answered yet.

use std::collections::HashMap;

use catena_core::{CallError, Reply, RequestId, Time};
use catena_net::server::{Caller, NoRoom};

use super::metrics::{Asked, Heard, NodeMetrics};

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
    caller: Caller,
}

impl Calls {
    pub(super) fn new(metrics: NodeMetrics) -> Self {
        Self { waiting: HashMap::new(), last: RequestId(0), metrics }
    }

    /// Gives a call the name under which the machine will answer it.
    pub(super) fn take_up(&mut self, asked: Asked, caller: Caller, now: Time) -> RequestId {
        self.last = self.last.next();
        self.waiting.insert(self.last, Call { asked, since: now, caller });
        self.last
    }

    /// Passes on the machine's answer.
    pub(super) fn answer(&mut self, request: RequestId, result: Result<Reply, CallError>, now: Time) {
        let call = self.waiting.remove(&request).expect("a call is answered once");
        self.tell(call, result, now);
    }

    /// Answers a call that the machine does not get.
    pub(super) fn refuse(&self, asked: Asked, caller: Caller, error: CallError, now: Time) {
        self.tell(Call { asked, since: now, caller }, Err(error), now);
    }

    /// Puts off a read for whose answer there is no room, or refuses it if it has waited for long enough.
    pub(super) fn no_room(&self, asked: Asked, caller: Caller, no_room: NoRoom, now: Time) {
        match no_room {
            NoRoom::Yet(put_off) => caller.put_off(put_off),
            NoRoom::Refused(error) => self.refuse(asked, caller, error, now),
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn tell(&self, call: Call, result: Result<Reply, CallError>, now: Time) {
        let Call { asked, since, caller } = call;
        // A caller that has gone does not want to know, and does not.
        let heard = if caller.is_closed() { Heard::No } else { Heard::Yes };
        self.metrics.answered(asked, &result, now.since(since), heard);
        let _ = caller.send(result);
    }
}
