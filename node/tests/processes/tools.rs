//! What tools ask that know gRPC and nothing of Catena: health, and reflection.

use rustix::process::Signal;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::{Dev, block_on, signal};

async fn channel(port: u16) -> Channel {
    let endpoint = Channel::from_shared(format!("http://127.0.0.1:{port}")).expect("an address");
    endpoint.connect().await.expect("somebody listens")
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[test]
fn health_is_serving_while_a_process_is_ready() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "1"]);
    block_on(async {
        let mut health = HealthClient::new(channel(cluster.port).await);
        for service in ["", "catena.v1.Coordination", "catena.v1.Admin"] {
            let status = health.check(of(service)).await.expect("an answer").into_inner().status();
            assert_eq!(status, ServingStatus::Serving, "{service}");
        }
        assert_eq!(health.check(of("catena.v1.Kv")).await.expect_err("it has none").code(), tonic::Code::NotFound);
        let mut health = HealthClient::new(channel(cluster.port + 1).await);
        let mut changes = health.watch(of("catena.v1.Kv")).await.expect("a stream").into_inner();
        let mut next = async || changes.message().await.expect("no error").expect("no end").status();
        assert_eq!(next().await, ServingStatus::Serving);
        signal(cluster.pid_of("coordinator"), Signal::STOP);
        assert_eq!(next().await, ServingStatus::NotServing, "its lease has run out");
        signal(cluster.pid_of("coordinator"), Signal::CONT);
        assert_eq!(next().await, ServingStatus::Serving);
    });
}

#[test]
fn reflection_lists_what_a_process_serves_and_describes_it() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "1"]);
    block_on(async {
        let answer = async |port, request| {
            let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
            let mut reflection = ServerReflectionClient::new(channel(port).await);
            let answers = reflection.server_reflection_info(tokio_stream::once(request)).await.expect("a stream");
            answers.into_inner().message().await.expect("no error").expect("an answer").message_response
        };
        for (port, served) in [(0, ["catena.v1.Admin", "catena.v1.Coordination"]), (1, ["catena.v1.Kv", "catena.v1.Replication"])]
        {
            let asked = answer(cluster.port + port, MessageRequest::ListServices(String::new())).await;
            let Some(MessageResponse::ListServicesResponse(list)) = asked else { panic!("no list: {asked:?}") };
            let mut listed: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
            listed.sort();
            assert_eq!(listed, [served[0], served[1], "grpc.health.v1.Health"]);
            for symbol in served {
                let asked = answer(cluster.port + port, MessageRequest::FileContainingSymbol(symbol.to_owned())).await;
                assert!(matches!(asked, Some(MessageResponse::FileDescriptorResponse(_))), "{symbol}: {asked:?}");
            }
        }
    });
}
