//! What goes on between a client's calls: the machine's deadlines, its sessions, the route.

use std::sync::{Arc, Weak};

use tokio::sync::{Notify, OnceCell, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::Status;
use tonic::transport::Channel;

use super::ClientError;
use super::attempt::{Tried, Try};
use super::shared::{Shared, Work};
use crate::convert::{ConvertError, RouteAnswer};
use crate::proto::coordination_client::CoordinationClient;
use crate::transport::{MESSAGE_BYTES, endpoint, root_cause, said};
use crate::{Refusal, WIRE_VERSION, proto};
use catena_core::client::{ClientEvent, Failure};
use catena_core::mutant;

/// One task for each client; it ends with the last clone.
#[derive(Debug)]
pub(super) struct Keeper {
    shared: Weak<Shared>,
    work: mpsc::UnboundedReceiver<Work>,
    sooner: Arc<Notify>,
    coordinators: Vec<Arc<Coordinator>>,
    /// Who follows the route: one at a time.
    follower: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Coordinator {
    endpoint: String,
    connected: OnceCell<CoordinationClient<Channel>>,
}

impl Keeper {
    pub(super) fn new(shared: &Arc<Shared>, work: mpsc::UnboundedReceiver<Work>, endpoints: Vec<String>) -> Self {
        let coordinator = |endpoint| Arc::new(Coordinator { endpoint, connected: OnceCell::new() });
        let coordinators = endpoints.into_iter().map(coordinator).collect();
        Self { shared: Arc::downgrade(shared), work, sooner: shared.sooner.clone(), coordinators, follower: None }
    }

    pub(super) async fn run(mut self) {
        while let Some(shared) = self.shared.upgrade() {
            let deadline = shared.arm();
            drop(shared);
            let due = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                work = self.work.recv() => match work {
                    Some(work) => self.start(work),
                    None => break,
                },
                () = self.sooner.notified() => {}
                () = due, if !mutant!(DeadlineMissed) => tell(&self.shared, |shared| shared.step(ClientEvent::Wake)),
            }
        }
    }

    fn start(&mut self, work: Work) {
        let shared = self.shared.clone();
        match work {
            Work::Open(this) => drop(tokio::spawn(open(shared, this))),
            Work::Follow { coordinator: index } => {
                // Whoever asks again wants the whole route again: it is what following begins with.
                if let Some(follower) = self.follower.take() {
                    follower.abort();
                }
                let coordinator = self.coordinators[index].clone();
                self.follower = Some(tokio::spawn(async move {
                    let ended = coordinator.follow(&shared).await;
                    let error = ended.at(&coordinator.endpoint);
                    tell(&shared, |shared| shared.unlearned(index, error));
                }));
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(follower) = self.follower.take() {
            follower.abort();
        }
    }
}

/// A client that is gone needs no telling.
fn tell(shared: &Weak<Shared>, what: impl FnOnce(&Shared)) {
    if let Some(shared) = shared.upgrade() {
        what(&shared);
    }
}

async fn open(shared: Weak<Shared>, this: Try) {
    let (attempt, remote) = (this.attempt, this.remote.clone());
    let left = this.deadline.saturating_duration_since(Instant::now());
    let late = || {
        let (node, limit) = (remote.node.clone(), std::time::Duration::ZERO);
        Tried::Failed(Failure::TimedOut, ClientError::TimedOut { node, limit })
    };
    let tried = timeout(left, this.run()).await.unwrap_or_else(|_| late());
    let (event, error) = tried.event(attempt);
    tell(&shared, |shared| {
        shared.note(&remote.node, error.as_ref());
        shared.step(event);
    });
}

/// Why a coordinator does not tell the route, or not any more.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{}", root_cause(.0))]
    Connect(#[from] tonic::transport::Error),
    #[error("{}", said(.0))]
    Call(#[from] Status),
    #[error("malformed answer: {0}")]
    Malformed(#[from] ConvertError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("it has ended the stream")]
    Closed,
    #[error("the client is gone")]
    Unwanted,
}

impl Ended {
    fn at(self, endpoint: &str) -> ClientError {
        let typed = match &self {
            Ended::Call(status) => Refusal::from_status(status),
            Ended::Refused(refusal) => Some(refusal.clone()),
            Ended::Connect(_) | Ended::Malformed(_) | Ended::Closed | Ended::Unwanted => None,
        };
        match typed {
            Some(Refusal::Stopping | Refusal::NotLeading | Refusal::TooSlow) | None => {
                ClientError::NoRoute { endpoint: endpoint.to_owned(), reason: self.to_string() }
            }
            Some(refusal) => ClientError::Refused(refusal),
        }
    }
}

impl Coordinator {
    /// Hands on the route and its changes, until there is no more to come.
    async fn follow(&self, shared: &Weak<Shared>) -> Ended {
        match self.try_follow(shared).await {
            Ok(()) => Ended::Closed,
            Err(ended) => ended,
        }
    }

    async fn try_follow(&self, shared: &Weak<Shared>) -> Result<(), Ended> {
        let connect = || async {
            let channel = endpoint(&self.endpoint)?.connect().await?;
            Ok::<_, Ended>(CoordinationClient::new(channel).max_decoding_message_size(MESSAGE_BYTES))
        };
        let mut coordinator = self.connected.get_or_try_init(connect).await?.clone();
        let cluster = shared.upgrade().ok_or(Ended::Unwanted)?.cluster();
        let mut routes = coordinator.watch_route(proto::GetRouteRequest { cluster }).await?.into_inner();
        let Some(first) = routes.message().await? else { return Ok(()) };
        let whole = checked(first)?;
        shared.upgrade().ok_or(Ended::Unwanted)?.learn(whole);
        while let Some(change) = routes.message().await? {
            let change = checked(change)?;
            shared.upgrade().ok_or(Ended::Unwanted)?.step(ClientEvent::RouteChanged(change.route));
        }
        Ok(())
    }
}

fn checked(route: proto::Route) -> Result<RouteAnswer, Ended> {
    if route.wire_version != WIRE_VERSION {
        return Err(Refusal::WrongWireVersion { given: route.wire_version, here: WIRE_VERSION }.into());
    }
    Ok(route.try_into()?)
}
