//! Whatever fails in whatever order: a write is executed as often as its caller was told.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use catena_core::client::{AttemptId, Body, CallId, ClientConfig, ClientError, ClientEvent, ClientRequest, Delivery, Failure};
use catena_core::{Action, CallError, Command, Kind, Origin, Reply, Resource, Slot};
use proptest::prelude::*;

use crate::common::*;
use crate::model::{Condition, Server, value};

/// A client, a server, and what is between them.
struct World {
    client: Harness,
    server: Server,
    /// Requests that have not arrived; each may at any time, also when nobody waits any more.
    network: Vec<Sent>,
    writes: BTreeMap<CallId, Delivery>,
    calls: BTreeSet<CallId>,
    ended: BTreeMap<CallId, Result<Reply, ClientError>>,
    /// By call, the place in a session that its first try had.
    places: BTreeMap<CallId, (u64, u64)>,
    last: u64,
    version: u64,
}

impl World {
    fn new() -> Self {
        let config = ClientConfig { session_writes: 4, calls: 12, call_timeout: ms(3_000), attempt_timeout: ms(500), ..config() };
        Self {
            client: Harness::routed(config, route(1, 1, &["a"])),
            server: Server::default(),
            network: vec![],
            writes: BTreeMap::new(),
            calls: BTreeSet::new(),
            ended: BTreeMap::new(),
            places: BTreeMap::new(),
            last: 0,
            version: 1,
        }
    }

    /// Takes in what the client did.
    fn collect(&mut self) {
        for sent in std::mem::take(&mut self.client.sent) {
            if let (Some(call), Body::Write { origin: Some(Origin { session, number, .. }), .. }) = (sent.call, &sent.body) {
                let place = *self.places.entry(call).or_insert((session.0, *number));
                assert_eq!(place, (session.0, *number), "{call:?} has another place");
            }
            self.network.push(sent);
        }
        for (call, result) in std::mem::take(&mut self.client.done) {
            assert!(self.calls.contains(&call));
            if let Err(ClientError::Refused { error, .. }) = &result {
                assert!(!matches!(error, CallError::AlreadyAnswered { .. }), "a live write was passed over: {call:?}");
            }
            if self.writes.contains_key(&call) && result.is_ok() {
                assert_eq!(self.server.executed(call), 1, "{call:?} is acknowledged");
            }
            assert!(self.ended.insert(call, result).is_none(), "{call:?} ends twice");
        }
    }

    fn begin(&mut self, choice: u16) {
        self.last += 1;
        let call = CallId(self.last);
        let key = Bytes::from_static(b"key");
        let write = |delivery| {
            let command = Command { key: key.clone(), action: Action::Put { value: value(call) }, conditions: vec![] };
            ClientRequest::Write { command, delivery }
        };
        let request = match choice % 5 {
            0 if choice.is_multiple_of(2) => scan(),
            0 => ClientRequest::Get { key },
            1 => write(Delivery::AtMostOnce),
            _ => write(Delivery::ExactlyOnce),
        };
        if let ClientRequest::Write { delivery, .. } = request {
            self.writes.insert(call, delivery);
        }
        self.calls.insert(call);
        self.client.event(ClientEvent::Call { call, request });
    }

    fn take(&mut self, choice: u16) -> Option<Sent> {
        (!self.network.is_empty()).then(|| self.network.remove(usize::from(choice) % self.network.len()))
    }

    fn answer(&mut self, attempt: AttemptId, result: Result<Reply, CallError>) {
        self.client.event(ClientEvent::Answered { attempt, result });
    }

    /// One thing happens.
    fn happen(&mut self, choice: u16) {
        let (what, choice) = (choice % 20, choice / 20);
        match what {
            0..=3 => self.begin(choice),
            4..=8 => self.arrive(choice, |world, sent, result| world.answer(sent.attempt, result)),
            9 => self.arrive(choice, |world, sent, _| world.client.fail(sent, Failure::Lost)),
            // The connection breaks, and the request arrives or not.
            10 | 11 => {
                if let Some(sent) = self.take(choice) {
                    self.client.fail(&sent, if what == 10 { Failure::Lost } else { Failure::TimedOut });
                    if choice % 2 == 0 {
                        self.network.push(sent);
                    }
                }
            }
            12 => {
                if let Some(sent) = self.take(choice) {
                    self.client.fail(&sent, if choice % 7 == 0 { Failure::Rejected } else { Failure::NotConnected });
                }
            }
            13 => self.refuse(choice),
            14 => {
                // Cut from a log; or not everywhere, and it is done after all.
                if let Some(sent) = self.take(choice) {
                    self.client.refuse(&sent, CallError::OutcomeUnknown { slot: Slot(0) });
                    if choice % 2 == 0 {
                        self.network.push(sent);
                    }
                }
            }
            15 => self.client.pass(ms(u64::from(choice % 700))),
            16 => self.client.pass(ms(u64::from(choice % 20))),
            17 => {
                self.version += 1;
                let head = ["a", "b", "c"][usize::from(choice) % 3];
                self.client.event(ClientEvent::Route(route(self.version, self.version, &[head])));
            }
            18 if choice % 5 == 0 => self.server.expire_all(),
            _ => self.client.event(ClientEvent::Cancel { call: CallId(u64::from(choice) % self.last.max(1)) }),
        }
        self.collect();
    }

    fn arrive(&mut self, choice: u16, then: impl Fn(&mut Self, &Sent, Result<Reply, CallError>)) {
        if let Some(sent) = self.take(choice) {
            let condition = if choice.is_multiple_of(11) { Condition::Fails } else { Condition::Holds };
            let result = self.server.handle(&sent.body, condition);
            then(self, &sent, result);
        }
    }

    fn refuse(&mut self, choice: u16) {
        let Some(sent) = self.take(choice) else { return };
        let slot = Slot(0);
        let error = match choice % 5 {
            0 => mismatch(sent.target.version.0, sent.target.version.0 + 1),
            1 => mismatch(sent.target.version.0, 0),
            2 => CallError::NoLease { slot },
            3 => CallError::Backpressure { slot, resource: Resource::SlotWrites, current: 1, limit: 1, retry_after: ms(10) },
            _ => CallError::NotCaughtUp { slot },
        };
        self.client.refuse(&sent, error);
    }

    /// Everything that is on its way arrives and is answered, questions for the route too.
    fn serve(&mut self) {
        self.collect();
        for sent in std::mem::take(&mut self.network) {
            let result = self.server.handle(&sent.body, Condition::Holds);
            self.answer(sent.attempt, result);
        }
        if !self.client.asked().is_empty() {
            self.client.event(ClientEvent::Route(route(self.version, self.version, &["a"])));
        }
        self.collect();
    }

    /// Everything that is on its way arrives, and nothing is answered.
    fn settle(&mut self) {
        self.client.pass(ms(10_000));
        self.collect();
        while !self.network.is_empty() {
            self.arrive(0, |_, _, _| {});
        }
    }

    fn check(&self) {
        assert_eq!(self.ended.len(), self.calls.len(), "every call ends");
        for (call, delivery) in &self.writes {
            let executed = self.server.executed(*call);
            assert!(executed <= 1, "{call:?}, {delivery:?}, was executed {executed} times");
            match &self.ended[call] {
                Ok(_) => assert_eq!(executed, 1, "{call:?}, {delivery:?}, is acknowledged"),
                Err(error) if error.kind() == Kind::NotExecuted => assert_eq!(executed, 0, "{call:?}, {delivery:?}: {error}"),
                Err(_) => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn writes_are_executed_as_often_as_their_callers_are_told(choices in prop::collection::vec(any::<u16>(), 1..250)) {
        let mut world = World::new();
        for choice in choices {
            world.happen(choice);
        }
        world.settle();
        world.check();
    }

    /// Once requests arrive and are answered, every call gets its result, unless its session was lost.
    #[test]
    fn calls_succeed_once_nothing_fails(choices in prop::collection::vec(any::<u16>(), 1..150)) {
        let mut world = World::new();
        for choice in choices {
            world.happen(choice);
        }
        let waiting: Vec<CallId> = world.calls.iter().filter(|call| !world.ended.contains_key(call)).copied().collect();
        world.network.clear();
        let end = world.client.now + ms(6_000);
        while world.client.now < end {
            world.serve();
            if world.network.is_empty() {
                world.client.pass(ms(5));
                world.collect();
            }
        }
        for call in waiting {
            let result = &world.ended[&call];
            let excused = match result {
                // Its time was over before it had a chance.
                Ok(_) | Err(ClientError::OutOfTime { .. }) => true,
                Err(ClientError::Refused { error, .. }) => {
                    matches!(error, CallError::SessionExpired { .. } | CallError::ConditionFailed { .. })
                }
                Err(_) => false,
            };
            prop_assert!(excused, "{call:?}: {result:?}");
        }
        // Calls of now are not spoiled by what was.
        for request in [get("key"), scan(), put("key", Delivery::AtMostOnce), put("key", Delivery::ExactlyOnce)] {
            let request = match request {
                ClientRequest::Write { command, delivery } => {
                    let action = Action::Put { value: value(CallId(world.last + 1)) };
                    ClientRequest::Write { command: Command { action, ..command }, delivery }
                }
                read @ (ClientRequest::Get { .. } | ClientRequest::Scan { .. }) => read,
            };
            world.last += 1;
            let call = CallId(world.last);
            world.calls.insert(call);
            world.client.event(ClientEvent::Call { call, request });
            for _ in 0..2_000 {
                world.serve();
                if world.ended.contains_key(&call) {
                    break;
                }
                world.client.pass(ms(1));
            }
            let result = world.ended.get(&call);
            let fine = matches!(result, Some(Ok(_)))
                || matches!(result, Some(Err(ClientError::Refused { error: CallError::SessionExpired { .. }, .. })));
            prop_assert!(fine, "{call:?}: {result:?}");
        }
    }
}
