//! The service `Admin` over real TCP, in front of coordinators that the test plays.

use std::collections::BTreeMap;

use catena_core::{
    Epoch, Eviction, Health, Kind, NodeStatus, Order, OrderError, Slot, Standing, Status, StoredNode, Wait, WallTime,
};
use catena_net::admin::Unanswered;
use catena_net::proto::OrderRequest;
use catena_net::proto::admin_client::AdminClient as Raw;
use catena_net::server::CoordinatorInput;
use catena_net::{AdminClient, AdminError, Refusal, kind_of};
use tokio::sync::oneshot;

use crate::common::*;

fn admin(coordinators: &[&TestCoordinator]) -> AdminClient {
    let endpoints = coordinators.iter().map(|coordinator| coordinator.address.clone()).collect();
    AdminClient::new(endpoints, Some(CLUSTER))
}

/// The next input, which is an order.
async fn ordered(coordinator: &mut TestCoordinator) -> (Order, oneshot::Sender<Result<(), OrderError>>) {
    match coordinator.next().await {
        CoordinatorInput::Order { order, reply } => (order, reply),
        other => panic!("expected an order, got {other:?}"),
    }
}

fn status() -> Status {
    let evicted = Standing::Evicted { reason: Eviction::Flapping, at: WallTime(77) };
    let stored =
        StoredNode { record: record("a", local(1)), standing: evicted, flaps: vec![WallTime(5), WallTime(6)], evictions: 2 };
    let node = NodeStatus { stored, health: Health::Suspect, heads: 1, tails: 2, replicas: 3, joining: 4 };
    let chains = route(1, 5, &[&record("a", local(1))]).chains;
    Status { epoch: Epoch(3), nodes: vec![node], chains, waits: BTreeMap::from([(Slot(0), Wait::LastCopy)]) }
}

#[tokio::test]
async fn orders_are_handed_on_and_answered() {
    let mut coordinator = TestCoordinator::start().await;
    let admin = admin(&[&coordinator]);
    for order in [Order::Drain(node_id("a")), Order::Evict(node_id("b")), Order::Readmit(node_id("c"))] {
        let driver = async {
            let (arrived, reply) = ordered(&mut coordinator).await;
            reply.send(Ok(())).expect("the operator waits");
            arrived
        };
        let (outcome, arrived) = tokio::join!(admin.order(&order), driver);
        outcome.expect("taken");
        assert_eq!(arrived, order);
    }
}

#[tokio::test]
async fn a_refused_order_says_why_and_is_not_tried_elsewhere() {
    let (mut first, mut second) = (TestCoordinator::start().await, TestCoordinator::start().await);
    let admin = admin(&[&first, &second]);
    let (slot, node) = (Slot(3), node_id("a"));
    let errors = [
        OrderError::UnknownNode { node: node.clone(), known: "b, c".to_owned() },
        OrderError::NoRoom { slot, node: node.clone(), replicas: 3, possible: 2 },
        OrderError::LastCopy { slot, node: node.clone() },
        OrderError::NotOut { node: node.clone() },
    ];
    for error in errors {
        let driver = async { ordered(&mut first).await.1.send(Err(error.clone())).expect("the operator waits") };
        let order = Order::Drain(node.clone());
        let (outcome, ()) = tokio::join!(admin.order(&order), driver);
        let refused = outcome.expect_err("refused");
        assert_eq!(refused.kind(), Kind::NotExecuted);
        assert!(refused.to_string().contains(&error.to_string()), "{refused}");
        assert!(matches!(refused, AdminError::Refused { refusal: Refusal::Order(given), .. } if given == error));
    }
    assert!(second.inputs.try_recv().is_err(), "the other one does not hear of it");
}

#[tokio::test]
async fn the_status_comes_with_every_field() {
    let mut coordinator = TestCoordinator::start().await;
    let admin = admin(&[&coordinator]);
    let driver = async {
        let CoordinatorInput::Status { reply } = coordinator.next().await else { panic!("expected an operator") };
        reply.send(Some(status())).expect("the operator waits");
    };
    let (answer, ()) = tokio::join!(admin.status(), driver);
    assert_eq!(answer.expect("answered"), status());
}

#[tokio::test]
async fn the_leader_is_found_behind_a_dead_coordinator_and_a_follower() {
    let gone = TestCoordinator::start().await;
    let (mut follower, mut leader) = (TestCoordinator::start().await, TestCoordinator::start().await);
    let admin = admin(&[&gone, &follower, &leader]);
    drop(gone);
    let drivers = async {
        ordered(&mut follower).await.1.send(Err(OrderError::NotLeading)).expect("the operator waits");
        ordered(&mut leader).await.1.send(Ok(())).expect("the operator waits");
        let CoordinatorInput::Status { reply } = follower.next().await else { panic!("expected an operator") };
        reply.send(None).expect("the operator waits");
        let CoordinatorInput::Status { reply } = leader.next().await else { panic!("expected an operator") };
        reply.send(Some(status())).expect("the operator waits");
    };
    let calls = async {
        admin.order(&Order::Drain(node_id("a"))).await.expect("taken");
        assert_eq!(admin.status().await.expect("answered"), status());
    };
    tokio::join!(drivers, calls);
}

#[tokio::test]
async fn everybody_who_was_asked_in_vain_is_named() {
    let gone = TestCoordinator::start().await;
    let mut follower = TestCoordinator::start().await;
    let admin = admin(&[&gone, &follower]);
    let (dead, address) = (gone.address.clone(), follower.address.clone());
    drop(gone);
    let driver = async { ordered(&mut follower).await.1.send(Err(OrderError::NotLeading)).expect("the operator waits") };
    let order = Order::Evict(node_id("a"));
    let (outcome, ()) = tokio::join!(admin.order(&order), driver);
    let error = outcome.expect_err("nobody leads");
    assert_eq!(error.kind(), Kind::NotExecuted);
    assert!(error.to_string().contains(&dead) && error.to_string().contains("does not lead"), "{error}");
    let AdminError::NobodyLeads { tried } = error else { panic!("{error}") };
    assert!(matches!(&tried[0], (endpoint, Unanswered::Unreached(_)) if *endpoint == dead), "{tried:?}");
    assert_eq!(tried[1], (address, Unanswered::Declined(Refusal::NotLeading)));
    let nobody = AdminClient::new(vec![], None);
    assert!(matches!(nobody.status().await, Err(AdminError::NoEndpoint)));
}

/// An order that may have been taken is not given to another coordinator as well.
#[tokio::test]
async fn an_order_without_an_answer_has_an_unknown_outcome() {
    let (mut first, mut second) = (TestCoordinator::start().await, TestCoordinator::start().await);
    let admin = admin(&[&first, &second]);
    let order = Order::Readmit(node_id("a"));
    let driver = async { drop(ordered(&mut first).await) };
    let (outcome, ()) = tokio::join!(admin.order(&order), driver);
    let error = outcome.expect_err("not answered");
    assert_eq!(error.kind(), Kind::Unknown);
    assert!(matches!(error, AdminError::OutcomeUnknown { .. }), "{error}");
    let dying = async {
        let held = ordered(&mut first).await;
        drop(first);
        drop(held);
    };
    let (outcome, ()) = tokio::join!(admin.order(&order), dying);
    assert_eq!(outcome.expect_err("not answered").kind(), Kind::Unknown);
    assert!(second.inputs.try_recv().is_err(), "the other one does not hear of it");
}

#[tokio::test]
async fn another_cluster_or_a_wrong_field_is_refused_by_name() {
    let mut coordinator = TestCoordinator::start().await;
    let stranger = AdminClient::new(vec![coordinator.address.clone()], Some(OTHER_CLUSTER));
    let wrong = Refusal::WrongCluster { given: OTHER_CLUSTER, here: CLUSTER };
    let error = stranger.order(&Order::Drain(node_id("a"))).await.expect_err("refused");
    assert!(matches!(error, AdminError::Refused { refusal, .. } if refusal == wrong));
    let error = stranger.status().await.expect_err("refused");
    assert!(matches!(error, AdminError::Refused { refusal, .. } if refusal == wrong));
    let mut raw = Raw::connect(format!("http://{}", coordinator.address)).await.expect("connects");
    let status = raw.order(OrderRequest::default()).await.expect_err("refused");
    assert!(status.message().contains("order.order is missing"), "{status:?}");
    assert_eq!(kind_of(&status), Kind::NotExecuted);
    assert!(coordinator.inputs.try_recv().is_err(), "the coordinator does not hear of it");
}
