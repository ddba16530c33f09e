//! Figures of the gRPC server.

use std::sync::Arc;

use catena_net::server::{Answered, Observer};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::counters::histogram;

type Durations = Family<[(&'static str, &'static str); 1], Histogram, fn() -> Histogram>;

/// Of every method, as often as each code; both are of fixed sets.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    requests: Family<[(&'static str, String); 2], Counter>,
    duration: Durations,
}

impl Default for Calls {
    fn default() -> Self {
        Self { requests: Family::default(), duration: Family::new_with_constructor(histogram) }
    }
}

impl Calls {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("requests", "Calls answered and streams opened, by method and code", self.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "From a call's arrival to its answer; of a stream, until it is open",
            Unit::Seconds,
            self.duration.clone(),
        );
    }

    pub(super) fn observer(&self) -> Observer {
        let Self { requests, duration } = self.clone();
        Arc::new(move |Answered { method, code, took }| {
            requests.get_or_create(&[("method", method.to_owned()), ("code", format!("{code:?}"))]).inc();
            duration.get_or_create(&[("method", method)]).observe(took.as_secs_f64());
        })
    }
}
