//! The machine, and who waits for what it says.
//!
//! A lock rather than a task of its own: a call steps the machine and sends its request from the caller's own task, which
//! saves two wake-ups of each call. It is held for a step, never over an `await`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use catena_core::client::{self, CallId, ClientConfig, ClientEffect, ClientEvent, ClientRequest, Failure, Obstacle};
use catena_core::{NodeId, Now, Reply, Route, Time, WallTime};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::ClientError;
use super::attempt::{Remote, Try};
use crate::convert::{RouteAnswer, cluster_bytes};

/// What all clones of a client share.
#[derive(Debug)]
pub(super) struct Shared {
    origin: Instant,
    /// Tells the keeper that it is to wake up sooner than it thinks.
    pub(super) sooner: Arc<Notify>,
    pub(super) acquainted: watch::Sender<Acquaintance>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    machine: client::Client,
    effects: Vec<ClientEffect>,
    calls: HashMap<CallId, Mailbox>,
    last_call: CallId,
    remotes: HashMap<Arc<str>, Arc<Remote>>,
    /// What last went wrong at a node, while it does.
    troubles: HashMap<NodeId, ClientError>,
    cluster: Bytes,
    /// When the keeper wakes up by itself.
    armed: Option<Time>,
    keeper: mpsc::UnboundedSender<Work>,
}

/// What a call is to do next: only the newest word counts.
#[derive(Debug, Default)]
struct Mailbox {
    order: Option<Order>,
    waker: Option<Waker>,
}

/// What a call is to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Try this, and leave what was tried before.
    Try(Try),
    /// Return.
    End(Result<Reply, client::ClientError>),
}

/// What no call's own task can do.
#[derive(Debug)]
pub(super) enum Work {
    /// Follow the route as this coordinator tells it.
    Follow { coordinator: usize },
    /// Open a session.
    Open(Try),
}

/// Whether the cluster is known.
#[derive(Clone, Debug)]
pub(super) enum Acquaintance {
    /// So many coordinators have been asked in vain; with what the last one came to.
    Sought { failures: usize, last: Option<ClientError> },
    /// It is.
    Made(Terms),
}

/// What a client must know besides the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) slots: u32,
    pub(super) key_bytes: usize,
    pub(super) value_bytes: usize,
}

impl Shared {
    pub(super) fn new(config: ClientConfig, keeper: mpsc::UnboundedSender<Work>) -> Self {
        let inner = Inner {
            machine: client::Client::new(config, now(Duration::ZERO)),
            effects: Vec::new(),
            calls: HashMap::new(),
            last_call: CallId(0),
            remotes: HashMap::new(),
            troubles: HashMap::new(),
            cluster: Bytes::new(),
            armed: None,
            keeper,
        };
        let (acquainted, _) = watch::channel(Acquaintance::Sought { failures: 0, last: None });
        Self { origin: Instant::now(), sooner: Arc::default(), acquainted, inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("a panic of the machine is a bug, and ends the client")
    }

    pub(super) fn step(&self, event: ClientEvent) {
        self.step_locked(&mut self.lock(), event);
    }

    fn step_locked(&self, inner: &mut Inner, event: ClientEvent) {
        let mut effects = std::mem::take(&mut inner.effects);
        inner.machine.step(now(self.origin.elapsed()), event, &mut effects);
        for effect in effects.drain(..) {
            inner.run(effect, self.origin);
        }
        inner.effects = effects;
        if inner.machine.deadline().is_some_and(|deadline| inner.armed.is_none_or(|armed| deadline < armed)) {
            self.sooner.notify_one();
        }
    }

    /// When the keeper is to wake the machine: it is relied upon to do so.
    pub(super) fn arm(&self) -> Option<Instant> {
        let mut inner = self.lock();
        inner.armed = inner.machine.deadline();
        inner.armed.map(|armed| instant(armed, self.origin))
    }

    /// Begins a call.
    pub(super) fn begin(&self, request: ClientRequest, call_timeout: Duration) -> CallId {
        let mut inner = self.lock();
        inner.last_call.0 += 1;
        let call = inner.last_call;
        inner.calls.insert(call, Mailbox::default());
        inner.machine.set_call_timeout(call_timeout);
        self.step_locked(&mut inner, ClientEvent::Call { call, request });
        call
    }

    /// What a call is to do next.
    pub(super) fn poll_order(&self, call: CallId, context: &Context<'_>) -> Poll<Order> {
        let mut inner = self.lock();
        let mailbox = inner.calls.get_mut(&call).expect("it has not ended");
        if let Some(order) = mailbox.order.take() {
            if let Order::End(_) = order {
                inner.calls.remove(&call);
            }
            return Poll::Ready(order);
        }
        if mailbox.waker.as_ref().is_none_or(|waker| !waker.will_wake(context.waker())) {
            mailbox.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// The caller has gone away. Without effect on a call that has ended.
    pub(super) fn give_up(&self, call: CallId) {
        let mut inner = self.lock();
        if inner.calls.remove(&call).is_some() {
            self.step_locked(&mut inner, ClientEvent::Cancel { call });
        }
    }

    /// Something went wrong at a node, or not any more.
    pub(super) fn note(&self, node: &NodeId, trouble: Option<&ClientError>) {
        let mut inner = self.lock();
        match trouble {
            Some(trouble) => {
                inner.troubles.insert(node.clone(), trouble.clone());
            }
            None if inner.troubles.is_empty() => {}
            None => {
                inner.troubles.remove(node);
            }
        }
    }

    /// A coordinator has told the whole route.
    pub(super) fn learn(&self, answer: RouteAnswer) {
        let RouteAnswer { route, wire_version: _, key_bytes, value_bytes } = answer;
        let (given, terms) = (route.cluster, Terms { slots: route.slots, key_bytes, value_bytes });
        let mut inner = self.lock();
        self.step_locked(&mut inner, ClientEvent::Route(route));
        if let Some(cluster) = inner.machine.cluster().filter(|cluster| *cluster == given) {
            inner.cluster = cluster_bytes(cluster);
            self.acquainted.send_replace(Acquaintance::Made(terms));
        }
    }

    /// A coordinator does not tell the route, or not any more.
    pub(super) fn unlearned(&self, coordinator: usize, error: ClientError) {
        self.acquainted.send_modify(|acquaintance| match acquaintance {
            Acquaintance::Sought { failures, last } => (*failures, *last) = (*failures + 1, Some(error)),
            Acquaintance::Made(_) => {}
        });
        self.step(ClientEvent::RouteFailed { coordinator });
    }

    pub(super) fn route(&self) -> Option<Route> {
        self.lock().machine.route()
    }

    /// The cluster that is meant, as bytes; empty: not yet known.
    pub(super) fn cluster(&self) -> Bytes {
        self.lock().cluster.clone()
    }

    /// What keeps a call from its result, in all detail that is known; `detail`: of its last try that failed without the
    /// node's word.
    pub(super) fn explain(&self, obstacle: Option<Obstacle>, limit: Duration, detail: Option<ClientError>) -> ClientError {
        match obstacle {
            None => ClientError::NoTime,
            Some(Obstacle::NoRoute) => self.no_route(),
            Some(Obstacle::NoChain { slot }) => ClientError::NoChain { slot },
            Some(Obstacle::NoTurn { slot }) => ClientError::NoTurn { slot },
            Some(Obstacle::Refusal(error)) => ClientError::Refused(error.into()),
            Some(Obstacle::Failure { node, failure: Failure::TimedOut }) => ClientError::TimedOut { node, limit },
            Some(Obstacle::Spared { node } | Obstacle::Failure { node, failure: _ }) => {
                let known = detail.or_else(|| self.lock().troubles.get(&node).cloned());
                known.unwrap_or_else(|| self.unreachable(node, "it has not answered of late".to_owned()))
            }
        }
    }

    /// The error for a node that a call was not sent to.
    fn unreachable(&self, node: NodeId, reason: String) -> ClientError {
        let inner = self.lock();
        let remote = inner.remotes.values().find(|remote| remote.node == node);
        let address = remote.map_or_else(String::new, |remote| remote.address.to_string());
        ClientError::Unreachable { node, address, reason }
    }

    /// The error while no coordinator has told the route.
    pub(super) fn no_route(&self) -> ClientError {
        let none = || ClientError::NoRoute { endpoint: "all".to_owned(), reason: "no answer in time".to_owned() };
        match &*self.acquainted.borrow() {
            Acquaintance::Sought { failures: _, last } => last.clone().unwrap_or_else(none),
            Acquaintance::Made(_) => none(),
        }
    }
}

impl Inner {
    fn run(&mut self, effect: ClientEffect, origin: Instant) {
        match effect {
            ClientEffect::Send { attempt, call, node, address, target, body, deadline } => {
                let new = || Arc::new(Remote::new(node.clone(), address.clone()));
                let remote = self.remotes.entry(address.clone()).or_insert_with(new);
                if remote.node != node {
                    *remote = new();
                }
                let (remote, cluster, deadline) = (remote.clone(), self.cluster.clone(), instant(deadline, origin));
                let this = Try { attempt, remote, cluster, target, body, deadline };
                match call {
                    Some(call) => self.tell(call, Order::Try(this)),
                    None => self.assign(Work::Open(this)),
                }
            }
            // The call's next order, or the try's own deadline, ends it.
            ClientEffect::Abandon { attempt: _ } => {}
            ClientEffect::AskRoute { coordinator } => self.assign(Work::Follow { coordinator }),
            ClientEffect::Done { call, result } => self.tell(call, Order::End(result)),
        }
    }

    /// A call whose caller has gone away does not listen.
    fn tell(&mut self, call: CallId, order: Order) {
        let Some(mailbox) = self.calls.get_mut(&call) else { return };
        mailbox.order = Some(order);
        if let Some(waker) = mailbox.waker.take() {
            waker.wake();
        }
    }

    /// A keeper that is gone, with its runtime, does nothing; calls end with their time, if it passes at all.
    fn assign(&self, work: Work) {
        let _: Result<(), _> = self.keeper.send(work);
    }
}

fn now(elapsed: Duration) -> Now {
    Now { monotonic: Time::default() + elapsed, wall: WallTime::default() }
}

fn instant(time: Time, origin: Instant) -> Instant {
    origin + time.since(Time::default())
}
