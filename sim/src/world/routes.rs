//! How clients come to know where everything is: by asking a coordinator, and by what it says from then on.

use std::time::Duration;

use catena_core::client::ClientEvent;
use catena_core::{Route, Slot, Time};

use super::requests::ROUTE;
use super::{Happening, Life, World};
use crate::check::Violation;
use crate::chronicle::{About, Arrival, Sent, Traffic, Way};
use crate::describe;
use crate::faults::Fault;
use crate::plan::Place;

/// A client's stream from a coordinator.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    /// The coordinator, and the run of its process.
    from: Option<(usize, Life)>,
    /// Nothing arrives before this: a stream is in order.
    last: Time,
    /// The route before the newest that it was told.
    older: Option<Route>,
    newest: Option<Route>,
}

fn describe_route(event: &ClientEvent) -> String {
    match event {
        ClientEvent::Route(route) | ClientEvent::RouteChanged(route) => {
            format!("the route: {}", route.chains.iter().map(describe::chain).collect::<Vec<_>>().join(", "))
        }
        _ => "knows no route".to_owned(),
    }
}

impl Subscription {
    fn told(&mut self, route: &Route) {
        self.older = self.newest.replace(route.clone());
    }
}

impl World {
    /// A client asks a coordinator for the route, and may hear nothing.
    pub(super) fn ask_route(&mut self, client: usize, coordinator: usize) {
        if self.strikes(Fault::LostRequest, Place::Subscription(client, coordinator)) {
            return;
        }
        let delay = self.latency();
        self.trace.sent(self.now, Way::Arrives(self.now + delay, ROUTE + client as u64), || Sent {
            from: Place::Client(client),
            to: Place::Seat(coordinator),
            kind: Traffic::Route,
            about: About::default(),
            text: "asks for the route".to_owned(),
        });
        self.queue.push(self.now + delay, Happening::AskRoute { client, coordinator });
    }

    /// The question arrives. A coordinator that stands still says nothing.
    pub(super) fn route_asked(&mut self, client: usize, coordinator: usize) -> Result<(), Violation> {
        let arrival = Arrival { to: Place::Seat(coordinator), at: self.now, tag: ROUTE + client as u64 };
        let seat = &self.seats[coordinator];
        self.trace.arrived(arrival, (!seat.answers()).then_some("nobody answers"));
        if seat.alive() && !seat.answers() {
            return Ok(());
        }
        let (Some(route), Some(life)) = (seat.route(), seat.life()) else {
            self.tell(client, coordinator, ClientEvent::RouteFailed { coordinator });
            return Ok(());
        };
        self.judge_route(&route)?;
        let mut given = Route::clone(&route);
        let knows = self.clients[client].subscription.older.is_some();
        if knows && self.strikes(Fault::StaleRoute, Place::Subscription(client, coordinator)) {
            given = self.clients[client].subscription.older.clone().expect("just looked");
        }
        let subscription = &mut self.clients[client].subscription;
        subscription.told(&route);
        subscription.from = Some((coordinator, life));
        self.tell(client, coordinator, ClientEvent::Route(given));
        Ok(())
    }

    /// Clients are told only of chains that are in effect, or were (C1).
    fn judge_route(&self, route: &Route) -> Result<(), Violation> {
        route.chains.iter().try_for_each(|chain| self.realm.judge_adopted(chain, "the route"))
    }

    /// What a coordinator tells a client; in order, unless it is lost.
    fn tell(&mut self, client: usize, coordinator: usize, event: ClientEvent) {
        if self.strikes(Fault::LostReply, Place::Subscription(client, coordinator)) {
            self.clients[client].subscription.from = None; // the stream is gone, and the client does not know
            return;
        }
        let delay = self.latency();
        let subscription = &mut self.clients[client].subscription;
        subscription.last = subscription.last.max(self.now + delay);
        self.trace.sent(self.now, Way::Arrives(subscription.last, ROUTE), || Sent {
            from: Place::Seat(coordinator),
            to: Place::Client(client),
            kind: Traffic::Route,
            about: About::default(),
            text: describe_route(&event),
        });
        self.queue.push(subscription.last, Happening::Client { client, event });
    }

    fn subscribers(&self, coordinator: usize) -> Vec<usize> {
        let life = self.seats[coordinator].life();
        let theirs = |client: &usize| {
            let from = self.clients[*client].subscription.from;
            from.is_some_and(|(seat, run)| seat == coordinator && Some(run) == life)
        };
        (0..self.clients.len()).filter(theirs).collect()
    }

    /// Chains have changed: whoever follows the coordinator is told of these slots.
    pub(super) fn route_changed(&mut self, coordinator: usize, slots: &[Slot]) -> Result<(), Violation> {
        let Some(route) = self.seats[coordinator].route() else { return Ok(()) };
        self.judge_route(&route)?;
        for client in self.subscribers(coordinator) {
            let mut change = Route::clone(&route);
            change.chains.retain(|chain| slots.contains(&chain.slot));
            self.clients[client].subscription.told(&route);
            self.tell(client, coordinator, ClientEvent::RouteChanged(change));
        }
        Ok(())
    }

    /// The coordinator goes, or leads no more: its streams end. Some clients notice late.
    pub(super) fn end_subscriptions(&mut self, coordinator: usize) {
        for client in self.subscribers(coordinator) {
            self.clients[client].subscription.from = None;
            let late = if self.rng.below(2) == 0 { Duration::ZERO } else { self.rng.lateness() };
            self.queue.push(self.now + late, Happening::Client { client, event: ClientEvent::RouteFailed { coordinator } });
        }
    }
}
