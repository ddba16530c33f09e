//! A client whose driver, coordinators and nodes are the test.

use std::time::Duration;

use bytes::Bytes;
use catena_core::client::{
    AttemptId, Body, CallId, Client, ClientConfig, ClientEffect, ClientError, ClientEvent, ClientRequest, Delivery, Failure,
};
use catena_core::{
    Action, CallError, Chain, ChainVersion, ClusterId, Command, EntryId, Epoch, Incarnation, Kind, Member, MismatchReason,
    NodeId, NodeRecord, Now, Origin, Reply, Revision, Role, Route, RoutingMismatch, Seq, Slot, Target, Time, WallTime,
};

pub(crate) const CLUSTER: ClusterId = ClusterId(0xc1);

pub(crate) fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

pub(crate) fn config() -> ClientConfig {
    ClientConfig::new(2, 7)
}

pub(crate) fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("a legal name")
}

fn record(name: &str) -> NodeRecord {
    let (node, incarnation, address) = (node(name), Incarnation(1), format!("{name}:1"));
    NodeRecord { node, incarnation, address, labels: [].into() }
}

pub(crate) fn chain(slot: u32, version: u64, members: &[&str]) -> Chain {
    let member = |name: &&str| Member { node: node(name), incarnation: Incarnation(1), activated: ChainVersion(1) };
    Chain {
        slot: Slot(slot),
        version: ChainVersion(version),
        epoch: Epoch(1),
        members: members.iter().map(member).collect(),
        tail_ready: true,
        joining: None,
    }
}

/// A route of one slot with nodes a, b, c; `members` head first.
pub(crate) fn route(revision: u64, version: u64, members: &[&str]) -> Route {
    Route {
        cluster: CLUSTER,
        revision: Revision(revision),
        slots: 1,
        chains: vec![chain(0, version, members)],
        nodes: ["a", "b", "c"].iter().map(|name| record(name)).collect(),
    }
}

pub(crate) fn get(key: &'static str) -> ClientRequest {
    ClientRequest::Get { key: Bytes::from_static(key.as_bytes()) }
}

pub(crate) fn scan() -> ClientRequest {
    ClientRequest::Scan { slot: Slot(0), after: None, bytes: 1_000 }
}

pub(crate) fn put(key: &'static str, delivery: Delivery) -> ClientRequest {
    let action = Action::Put { value: Bytes::from_static(b"value") };
    ClientRequest::Write { command: Command { key: Bytes::from_static(key.as_bytes()), action, conditions: vec![] }, delivery }
}

pub(crate) fn mismatch(expected: u64, current: u64) -> CallError {
    CallError::Routing(RoutingMismatch {
        slot: Slot(0),
        expected: ChainVersion(expected),
        current: ChainVersion(current),
        role: Role::Head,
        reason: MismatchReason::WrongVersion,
    })
}

pub(crate) fn written(seq: u64) -> Reply {
    Reply::Written { entry: Some(EntryId { version: ChainVersion(1), seq: Seq(seq) }), object: None }
}

pub(crate) fn absent() -> Reply {
    Reply::Read { version: ChainVersion(1), object: None }
}

/// A request that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) attempt: AttemptId,
    pub(crate) call: Option<CallId>,
    pub(crate) node: NodeId,
    pub(crate) address: String,
    pub(crate) target: Target,
    pub(crate) body: Body,
    pub(crate) deadline: Time,
}

impl Sent {
    pub(crate) fn origin(&self) -> Origin {
        match &self.body {
            Body::Write { origin: Some(origin), command: _ } => *origin,
            other => panic!("expected a session's write, got {other:?}"),
        }
    }
}

/// A client and what it has done, by kind.
pub(crate) struct Harness {
    pub(crate) client: Client,
    pub(crate) now: Time,
    pub(crate) sent: Vec<Sent>,
    pub(crate) asked: Vec<usize>,
    pub(crate) abandoned: Vec<AttemptId>,
    pub(crate) done: Vec<(CallId, Result<Reply, ClientError>)>,
    calls: u64,
}

impl Harness {
    pub(crate) fn new(config: ClientConfig) -> Self {
        let now = Time(1_000_000_000);
        let client = Client::new(config, at(now));
        let (sent, asked, abandoned, done) = (vec![], vec![], vec![], vec![]);
        Self { client, now, sent, asked, abandoned, done, calls: 0 }
    }

    /// One that has its first route.
    pub(crate) fn routed(config: ClientConfig, route: Route) -> Self {
        let mut harness = Self::new(config);
        harness.event(ClientEvent::Wake);
        assert_eq!(harness.asked(), [0]);
        harness.event(ClientEvent::Route(route));
        harness
    }

    pub(crate) fn event(&mut self, event: ClientEvent) {
        let mut out = Vec::new();
        self.client.step(at(self.now), event, &mut out);
        for effect in out {
            match effect {
                ClientEffect::Send { attempt, call, node, address, target, body, deadline } => {
                    let address = address.to_string();
                    self.sent.push(Sent { attempt, call, node, address, target, body, deadline });
                }
                ClientEffect::Abandon { attempt } => self.abandoned.push(attempt),
                ClientEffect::AskRoute { coordinator } => self.asked.push(coordinator),
                ClientEffect::Done { call, result } => self.done.push((call, result)),
            }
        }
    }

    pub(crate) fn call(&mut self, request: ClientRequest) -> CallId {
        self.calls += 1;
        let call = CallId(self.calls);
        self.event(ClientEvent::Call { call, request });
        call
    }

    pub(crate) fn answer(&mut self, sent: &Sent, reply: Reply) {
        self.event(ClientEvent::Answered { attempt: sent.attempt, result: Ok(reply) });
    }

    pub(crate) fn refuse(&mut self, sent: &Sent, error: CallError) {
        self.event(ClientEvent::Answered { attempt: sent.attempt, result: Err(error) });
    }

    pub(crate) fn fail(&mut self, sent: &Sent, failure: Failure) {
        self.event(ClientEvent::Failed { attempt: sent.attempt, failure });
    }

    /// The only request sent since the last look.
    pub(crate) fn sent(&mut self) -> Sent {
        let sent = std::mem::take(&mut self.sent);
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.into_iter().next().expect("one")
    }

    pub(crate) fn asked(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.asked)
    }

    /// The only end since the last look.
    pub(crate) fn done(&mut self) -> (CallId, Result<Reply, ClientError>) {
        let done = std::mem::take(&mut self.done);
        assert_eq!(done.len(), 1, "{done:?}");
        done.into_iter().next().expect("one")
    }

    /// The only end, which is an error.
    pub(crate) fn error(&mut self) -> (ClientError, Kind) {
        let error = self.done().1.expect_err("an error");
        let kind = error.kind();
        (error, kind)
    }

    /// Lets time pass, waking the client when it wants.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.client.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.event(ClientEvent::Wake);
        }
        self.now = end;
    }

    /// Lets time pass until something is sent.
    pub(crate) fn resent(&mut self) -> Sent {
        while self.sent.is_empty() {
            self.now = self.client.deadline().expect("the call goes on").max(self.now);
            self.event(ClientEvent::Wake);
        }
        self.sent()
    }

    /// Opens the session that a call waits for.
    pub(crate) fn open(&mut self, name: u64) {
        let sent = self.sent();
        assert_eq!((&sent.body, sent.call), (&Body::OpenSession, None));
        self.answer(&sent, Reply::Opened { session: Seq(name) });
    }
}

fn at(monotonic: Time) -> Now {
    Now { monotonic, wall: WallTime(monotonic.0) }
}
