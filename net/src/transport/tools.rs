//! What any gRPC tool may ask of a server: its health (`grpc.health.v1`), and what its services are (reflection).

use std::convert::Infallible;

use tokio::sync::watch;
use tonic::transport::server::Router;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};
use tonic_reflection::server::Builder;

use crate::server::Readiness;

const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/catena.v1.bin"));
const HEALTH: &str = "grpc.health.v1.Health";

/// Tells the health service what there is to tell.
pub(super) struct Health {
    reporter: HealthReporter,
    services: &'static [&'static str],
}

/// Adds both to a server that has these services.
pub(super) fn add(router: Router, services: &'static [&'static str]) -> (Router, Health) {
    let described = |mut builder: Builder<'static>| {
        for service in services.iter().chain([&HEALTH]) {
            builder = builder.with_service_name(*service);
        }
        builder
    };
    let builder = || {
        described(Builder::configure())
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let (reporter, health) = health_reporter();
    let router = router
        .add_service(health)
        .add_service(builder().build_v1().expect("the descriptors are those that the build has made"))
        // What older tools ask.
        .add_service(builder().build_v1alpha().expect("the descriptors are those that the build has made"));
    (router, Health { reporter, services })
}

impl Health {
    /// Passes on whether the process can do its work, for as long as it is polled.
    pub(super) async fn follow(self, mut readiness: watch::Receiver<Readiness>) -> Infallible {
        loop {
            let status = match *readiness.borrow_and_update() {
                Readiness::Ready => ServingStatus::Serving,
                Readiness::Starting(_) | Readiness::Unready(_) => ServingStatus::NotServing,
            };
            // The empty name is the whole server.
            for service in self.services.iter().chain([&""]) {
                self.reporter.set_service_status(service, status).await;
            }
            if readiness.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}
