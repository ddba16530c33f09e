//! A dumb server of one slot that counts how often each call was executed.

use std::collections::BTreeMap;

use catena_core::client::{Body, CallId};
use catena_core::{Action, CallError, ChainVersion, Command, EntryId, Origin, Page, Reply, Seq, Slot};

/// Whether the command's condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Holds,
    Fails,
}

#[derive(Debug, Default)]
pub(crate) struct Server {
    last: u64,
    sessions: BTreeMap<Seq, Session>,
    executed: BTreeMap<CallId, u32>,
}

#[derive(Debug, Default)]
struct Session {
    answered_below: u64,
    answers: BTreeMap<u64, (CallId, Result<Reply, CallError>)>,
}

/// A put's value is its call's number.
pub(crate) fn value(call: CallId) -> bytes::Bytes {
    call.0.to_be_bytes().to_vec().into()
}

fn author(command: &Command) -> CallId {
    let Action::Put { value } = &command.action else { panic!("the test only puts") };
    CallId(u64::from_be_bytes(value.as_ref().try_into().expect("eight bytes")))
}

impl Server {
    /// How often a call's write was executed.
    pub(crate) fn executed(&self, call: CallId) -> u32 {
        self.executed.get(&call).copied().unwrap_or(0)
    }

    pub(crate) fn expire_all(&mut self) {
        self.last += 1;
        self.sessions.clear();
    }

    /// A request arrives.
    pub(crate) fn handle(&mut self, body: &Body, condition: Condition) -> Result<Reply, CallError> {
        match body {
            Body::Read { .. } => Ok(Reply::Read { version: ChainVersion(1), object: None }),
            Body::Scan { .. } => Ok(Reply::Scanned { version: ChainVersion(1), page: Page { objects: Vec::new(), next: None } }),
            Body::OpenSession => {
                self.last += 1;
                self.sessions.insert(Seq(self.last), Session::default());
                Ok(Reply::Opened { session: Seq(self.last) })
            }
            Body::Write { command, origin: None } => self.run(author(command), condition),
            Body::Write { command, origin: Some(origin) } => self.run_once(author(command), *origin, condition),
        }
    }

    fn run(&mut self, call: CallId, condition: Condition) -> Result<Reply, CallError> {
        if condition == Condition::Fails {
            return Err(CallError::ConditionFailed { object: None });
        }
        self.last += 1;
        *self.executed.entry(call).or_default() += 1;
        let entry = EntryId { version: ChainVersion(1), seq: Seq(self.last) };
        Ok(Reply::Written { entry: Some(entry), object: None })
    }

    fn run_once(&mut self, call: CallId, origin: Origin, condition: Condition) -> Result<Reply, CallError> {
        let Origin { session: name, number, answered_below } = origin;
        assert!(answered_below <= number, "{origin:?}");
        let slot = Slot(0);
        let Some(session) = self.sessions.get(&name) else { return Err(CallError::SessionExpired { slot, session: name }) };
        if number < session.answered_below {
            return Err(CallError::AlreadyAnswered { slot, session: name, number });
        }
        if let Some((first, answer)) = session.answers.get(&number) {
            assert_eq!(*first, call, "a number is given to two writes");
            return answer.clone();
        }
        let answer = self.run(call, condition);
        let session = self.sessions.get_mut(&name).expect("just seen");
        session.answers.insert(number, (call, answer.clone()));
        session.answered_below = session.answered_below.max(answered_below);
        session.answers.retain(|number, _| *number >= session.answered_below);
        assert!(session.answers.len() <= 256, "the session's table is bounded");
        answer
    }
}
