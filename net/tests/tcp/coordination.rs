//! Joining a coordinator over real TCP.

use std::time::Duration;

use catena_core::{
    ChainVersion, Decisions, Epoch, Heartbeat, HeartbeatAnswer, Kind, Presence, RegisterError, ReplicaState, Report, Revision,
    RollCall, Slot,
};
use catena_net::coordination::{FromCoordinator, JoinError, Joined, Register, Registered, join};
use catena_net::proto::coordination_client::CoordinationClient;
use catena_net::proto::{GetRouteRequest, NodeMessage, node_message};
use catena_net::server::{CoordinatorInput, Session, ToNode};
use catena_net::{Refusal, WIRE_VERSION, kind_of};
use tokio::sync::mpsc;

use crate::common::*;

fn register(name: &str) -> Register {
    Register { cluster: None, node: record(name, local(7401)) }
}

type Outgoing = mpsc::Sender<Result<ToNode, RegisterError>>;

/// Lets the next node in.
async fn let_in(coordinator: &mut TestCoordinator) -> (Session, Outgoing) {
    let CoordinatorInput::Joined { session, outgoing, .. } = coordinator.next().await else { panic!("expected a node") };
    outgoing.try_send(Ok(ToNode::Registered)).expect("room");
    (session, outgoing)
}

async fn joined(coordinator: &mut TestCoordinator, register: &Register) -> (Joined, Session, Outgoing) {
    let endpoints = [coordinator.address.clone()];
    let (joined, (session, outgoing)) = tokio::join!(join(&endpoints, register), let_in(coordinator));
    (joined.expect("let in"), session, outgoing)
}

#[tokio::test]
async fn a_node_joins_and_its_heartbeats_are_answered() {
    let mut coordinator = TestCoordinator::start().await;
    let (mut joined, at, outgoing) = joined(&mut coordinator, &register("a")).await;
    assert_eq!(joined.registered, Registered { cluster: CLUSTER, slots: 16 });
    for sequence in 1..50 {
        let beat = heartbeat(sequence);
        joined.heartbeats.send(beat.clone());
        let CoordinatorInput::Heartbeat { session, from, incarnation: directory, heartbeat } = coordinator.next().await else {
            panic!("expected a heartbeat")
        };
        assert_eq!((session, from, directory, heartbeat), (at, node_id("a"), incarnation("a"), beat));
        let answer = HeartbeatAnswer {
            sequence,
            lease: Some(Duration::from_millis(600)),
            revision: Revision(sequence + 1),
            decisions: decisions(),
            nodes: vec![record("b", local(2))],
        };
        outgoing.try_send(Ok(ToNode::Answer(answer.clone()))).expect("room");
        assert_eq!(soon("an answer", joined.answers.next()).await.expect("connected"), FromCoordinator::Answer(answer));
    }
}

fn heartbeat(sequence: u64) -> Heartbeat {
    let report = Report {
        slot: Slot(3),
        version: ChainVersion(4),
        state: ReplicaState::CaughtUp,
        fenced: true,
        damaged: true,
        silent: Some(node_id("b")),
    };
    let (epoch, roll_call) = (Epoch(5), RollCall(7));
    Heartbeat { sequence, applied: Revision(sequence), reports: vec![report], presence: Presence::Leaving, epoch, roll_call }
}

fn decisions() -> Decisions {
    let chains = route(1, 1, &[&record("a", local(1))]).chains;
    let (fences, drops) = (vec![(Slot(1), ChainVersion(2))], vec![(Slot(3), ChainVersion(4))]);
    Decisions { epoch: Epoch(5), roll_call: RollCall(8), chains, fences, drops }
}

#[tokio::test]
async fn a_node_is_told_of_decisions_without_asking() {
    let mut coordinator = TestCoordinator::start().await;
    let (mut joined, _, outgoing) = joined(&mut coordinator, &register("a")).await;
    outgoing.try_send(Ok(ToNode::Decided(decisions()))).expect("room");
    assert_eq!(soon("a decision", joined.answers.next()).await.expect("connected"), FromCoordinator::Decided(decisions()));
}

#[tokio::test]
async fn a_registration_carries_the_labels() {
    let mut coordinator = TestCoordinator::start().await;
    let endpoints = [coordinator.address.clone()];
    let register = register("a");
    let driver = async {
        let CoordinatorInput::Joined { node, outgoing, .. } = coordinator.next().await else { panic!("expected a node") };
        outgoing.try_send(Ok(ToNode::Registered)).expect("room");
        node
    };
    let (joined, node) = tokio::join!(join(&endpoints, &register), driver);
    joined.expect("let in");
    assert_eq!(node.labels.get("rack").map(String::as_str), Some("r1"));
    assert_eq!(node, register.node);
}

#[tokio::test]
async fn a_node_that_leaves_and_comes_back_has_another_session() {
    let mut coordinator = TestCoordinator::start().await;
    let (first, one, _outgoing) = joined(&mut coordinator, &register("a")).await;
    drop(first);
    let CoordinatorInput::Left { session, node } = coordinator.next().await else { panic!("expected a leave") };
    assert_eq!((session, node), (one, node_id("a")));
    let (_second, two, _outgoing) = joined(&mut coordinator, &register("a")).await;
    assert_ne!(one, two);
}

#[tokio::test]
async fn a_node_hears_when_its_coordinator_dies() {
    let mut coordinator = TestCoordinator::start().await;
    let (mut joined, _, _outgoing) = joined(&mut coordinator, &register("a")).await;
    drop(coordinator);
    let lost = soon("the loss", joined.answers.next()).await.expect_err("the coordinator is dead");
    assert!(lost.to_string().starts_with("the stream to the coordinator is lost"), "{lost}");
    joined.heartbeats.send(heartbeat(1));
}

#[tokio::test]
async fn a_node_that_is_not_let_in_is_told_why() {
    let mut coordinator = TestCoordinator::start().await;
    let endpoints = [coordinator.address.clone()];
    let reason = RegisterError::Elsewhere { node: node_id("x"), address: "other:7401".to_owned(), incarnation: incarnation("x") };
    let driver = async {
        let CoordinatorInput::Joined { outgoing, .. } = coordinator.next().await else { panic!("expected a node") };
        outgoing.try_send(Err(reason.clone())).expect("room");
    };
    let register = register("x");
    let (joined, ()) = tokio::join!(join(&endpoints, &register), driver);
    let error = joined.expect_err("refused");
    assert!(error.to_string().contains(&reason.to_string()), "{error}");
    assert!(matches!(error, JoinError::Refused { refusal: Refusal::Register(given), .. } if given == reason));
}

#[tokio::test]
async fn a_node_of_another_cluster_is_refused_by_name() {
    let mut coordinator = TestCoordinator::start().await;
    let endpoints = [coordinator.address.clone()];
    let error = join(&endpoints, &Register { cluster: Some(OTHER_CLUSTER), ..register("a") }).await.expect_err("refused");
    let JoinError::Refused { refusal, endpoint } = error else { panic!("expected a refusal, got {error}") };
    assert_eq!(refusal, Refusal::WrongCluster { given: OTHER_CLUSTER, here: CLUSTER });
    assert_eq!(endpoint, coordinator.address);
    assert!(coordinator.inputs.try_recv().is_err(), "the coordinator does not hear of it");
    // Of the right one, it is let in.
    joined(&mut coordinator, &Register { cluster: Some(CLUSTER), ..register("a") }).await;
}

#[tokio::test]
async fn a_node_of_another_wire_version_is_refused_by_name() {
    let coordinator = TestCoordinator::start().await;
    let mut client = CoordinationClient::connect(format!("http://{}", coordinator.address)).await.expect("connects");
    let register = catena_net::proto::Register { wire_version: 9, ..register("a").into() };
    let first = NodeMessage { content: Some(node_message::Content::Register(register)) };
    let status = client.join(tokio_stream::once(first)).await.expect_err("refused");
    let refusal = Refusal::WrongWireVersion { given: 9, here: WIRE_VERSION };
    assert_eq!(Refusal::from_status(&status), Some(refusal));
}

#[tokio::test]
async fn coordinators_are_tried_in_turn_and_the_last_failure_is_named() {
    let gone = TestCoordinator::start().await;
    let dead = gone.address.clone();
    drop(gone);
    let error = join(std::slice::from_ref(&dead), &register("a")).await.expect_err("nobody is there");
    assert!(matches!(&error, JoinError::Unreachable { endpoint, .. } if *endpoint == dead), "{error}");
    assert!(matches!(join(&[], &register("a")).await.expect_err("nobody to ask"), JoinError::NoEndpoint));
    let mut coordinator = TestCoordinator::start().await;
    let endpoints = [dead, coordinator.address.clone()];
    let register = register("a");
    let (joined, _) = tokio::join!(join(&endpoints, &register), let_in(&mut coordinator));
    assert!(joined.is_ok(), "{joined:?}");
}

/// A coordinator that does not lead is no reason to give up.
#[tokio::test]
async fn a_coordinator_that_leads_is_found_behind_one_that_does_not() {
    let (mut follower, mut leader) = (TestCoordinator::start().await, TestCoordinator::start().await);
    let endpoints = [follower.address.clone(), leader.address.clone()];
    let register = register("a");
    let refuse = async {
        let CoordinatorInput::Joined { outgoing, .. } = follower.next().await else { panic!("expected a node") };
        outgoing.try_send(Err(RegisterError::NotLeading)).expect("room");
    };
    let (joined, (), _) = tokio::join!(join(&endpoints, &register), refuse, let_in(&mut leader));
    assert!(joined.is_ok(), "{joined:?}");
    let refuse = async {
        loop {
            if let CoordinatorInput::Joined { outgoing, .. } = follower.next().await {
                outgoing.try_send(Err(RegisterError::NotLeading)).expect("room");
                return;
            }
        }
    };
    let (joined, ()) = tokio::join!(join(&endpoints[..1], &register), refuse);
    let error = joined.expect_err("nobody leads");
    assert!(matches!(error, JoinError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("does not lead"), "{error}");
}

#[tokio::test]
async fn a_coordinator_that_does_not_lead_gives_no_route() {
    let mut coordinator = TestCoordinator::start().await;
    let mut client = CoordinationClient::connect(format!("http://{}", coordinator.address)).await.expect("connects");
    let driver = async {
        let CoordinatorInput::Route { reply } = coordinator.next().await else { panic!("expected a caller") };
        reply.send(None).expect("the caller waits");
    };
    let (answer, ()) = tokio::join!(client.get_route(GetRouteRequest::default()), driver);
    let status = answer.expect_err("refused");
    assert_eq!((Refusal::from_status(&status), kind_of(&status)), (Some(Refusal::NotLeading), Kind::NotExecuted));
}

#[tokio::test]
async fn the_route_is_given_to_callers_of_this_cluster_only() {
    let coordinator = TestCoordinator::start().await;
    let here = route(3, 2, &[&record("a", local(1))]);
    let (_sender, receiver) = tokio::sync::watch::channel(here);
    let (address, _process) = coordinator.give(receiver);
    let mut client = CoordinationClient::connect(format!("http://{address}")).await.expect("connects");
    for cluster in [bytes::Bytes::new(), bytes::Bytes::copy_from_slice(&CLUSTER.0.to_be_bytes())] {
        let given = client.get_route(GetRouteRequest { cluster }).await.expect("given").into_inner();
        assert_eq!((given.revision, given.wire_version, given.max_key_bytes), (3, WIRE_VERSION, 4096));
        assert_eq!(given.max_value_bytes, 16 << 20);
    }
    let other = bytes::Bytes::copy_from_slice(&OTHER_CLUSTER.0.to_be_bytes());
    let status = client.get_route(GetRouteRequest { cluster: other }).await.expect_err("refused");
    let refusal = Refusal::WrongCluster { given: OTHER_CLUSTER, here: CLUSTER };
    assert_eq!(Refusal::from_status(&status), Some(refusal));
}
