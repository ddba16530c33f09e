//! Clients that follow the route, without ever holding up the coordinator.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use catena_core::{NodeRecord, Route, Slot};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use super::{CoordinatorInput, Service, to_wire};
use crate::{Refusal, proto};

/// Changes that wait for a watcher at most. One that is further behind is cut off, and may watch anew: the whole route is
/// shorter then than what it has missed.
pub const WATCHED_CHANGES: usize = 64;

type Told = Result<Arc<Route>, Refusal>;

/// Somebody who follows the route. Give it to [`Watchers::add`]; dropped, its stream ends as if the process were stopping.
#[derive(Debug)]
pub struct Watcher {
    changes: mpsc::Sender<Told>,
}

/// Everybody who follows the route. Owned by the coordinator's driver.
#[derive(Debug, Default)]
pub struct Watchers {
    watching: Vec<Watcher>,
    /// As all have been told.
    nodes: Vec<NodeRecord>,
}

impl Watchers {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells a watcher the whole route, and from now on its changes. `None`: this coordinator does not lead, as the
    /// watcher is told.
    pub fn add(&mut self, watcher: Watcher, route: Option<Route>) {
        let Some(route) = route else { return watcher.end(Refusal::NotLeading) };
        if self.watching.is_empty() {
            self.nodes.clone_from(&route.nodes);
        }
        if watcher.tell(Arc::new(route)) {
            self.watching.push(watcher);
        }
    }

    /// Tells all watchers that these slots' chains, or nodes, have changed. `route` is asked only if there is anybody to
    /// tell; if it is `None` this coordinator does not lead any more, and all are told that.
    pub fn changed(&mut self, slots: &[Slot], route: impl FnOnce() -> Option<Route>) {
        // Those who have hung up are not to be told.
        self.watching.retain(|watcher| !watcher.changes.is_closed());
        if self.watching.is_empty() {
            return;
        }
        let Some(mut route) = route() else { return self.end() };
        let nodes = route.nodes.iter().filter(|node| !self.nodes.contains(node)).cloned().collect();
        self.nodes = std::mem::replace(&mut route.nodes, nodes);
        let slots: BTreeSet<Slot> = slots.iter().copied().collect();
        route.chains.retain(|chain| slots.contains(&chain.slot));
        let change = Arc::new(route);
        self.watching.retain(|watcher| watcher.tell(change.clone()));
    }

    /// Tells all watchers that this coordinator does not lead any more.
    pub fn end(&mut self) {
        self.watching.drain(..).for_each(|watcher| watcher.end(Refusal::NotLeading));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.watching.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.watching.is_empty()
    }
}

impl Watcher {
    /// Whether it is to stay. The last place is kept for the reason why it is cut off.
    fn tell(&self, route: Arc<Route>) -> bool {
        let told = if self.changes.capacity() > 1 { Ok(route) } else { Err(Refusal::TooSlow) };
        let stays = told.is_ok();
        self.changes.try_send(told).is_ok() && stays
    }

    fn end(self, reason: Refusal) {
        // Whoever has hung up does not want to know.
        let _: Result<(), _> = self.changes.try_send(Err(reason));
    }
}

/// What goes down a watcher's stream.
pub(super) type Changes = Pin<Box<dyn Stream<Item = Result<proto::Route, Status>> + Send>>;

pub(super) async fn watch(service: &Service) -> Result<Changes, Refusal> {
    let (changes, told) = mpsc::channel(WATCHED_CHANGES + 1);
    service.tell(CoordinatorInput::Watch(Watcher { changes })).await?;
    let limits = service.limits.clone();
    // Without a last word it is the process that ends.
    let told = ReceiverStream::new(told).chain(tokio_stream::once(Err(Refusal::Stopping)));
    Ok(Box::pin(told.map(move |told| Ok(to_wire(&limits, Arc::unwrap_or_clone(told?))))))
}
