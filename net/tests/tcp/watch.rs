//! Following the route over real TCP, in front of a coordinator that the test plays.

use catena_core::{Chain, ChainVersion, Kind, NodeRecord, Revision, Route, Slot};
use catena_net::convert::RouteAnswer;
use catena_net::proto::coordination_client::CoordinationClient;
use catena_net::proto::{self, GetRouteRequest};
use catena_net::server::{CoordinatorInput, WATCHED_CHANGES, Watchers};
use catena_net::{Refusal, kind_of};
use tonic::{Status, Streaming};

use crate::common::*;

const SLOTS: u32 = 3;

/// A route whose slots have these chain versions.
fn route_of(revision: u64, versions: [u64; SLOTS as usize], nodes: &[NodeRecord]) -> Route {
    let one = route(revision, 1, &[&nodes[0]]);
    let chain = |(slot, version)| Chain { slot: Slot(slot), version: ChainVersion(version), ..one.chains[0].clone() };
    Route { slots: SLOTS, chains: (0..).zip(versions).map(chain).collect(), nodes: nodes.to_vec(), ..one }
}

/// A watcher that the coordinator has taken note of.
async fn watch(coordinator: &mut TestCoordinator, watchers: &mut Watchers, route: Option<Route>) -> Streaming<proto::Route> {
    let mut client = CoordinationClient::connect(format!("http://{}", coordinator.address)).await.expect("connects");
    let driver = async {
        let CoordinatorInput::Watch(watcher) = coordinator.next().await else { panic!("expected a watcher") };
        watchers.add(watcher, route);
    };
    let (answer, ()) = tokio::join!(client.watch_route(GetRouteRequest::default()), driver);
    answer.expect("taken note of").into_inner()
}

/// The next thing that a watcher is told.
async fn told(changes: &mut Streaming<proto::Route>) -> Result<Route, Status> {
    let route = soon("a change", changes.message()).await?.expect("an end has a reason");
    Ok(RouteAnswer::try_from(route).expect("well formed").route)
}

#[tokio::test]
async fn a_watcher_gets_the_whole_route_and_then_what_changes() {
    let (mut coordinator, mut watchers) = (TestCoordinator::start().await, Watchers::new());
    let (a, b) = (record("a", local(1)), record("b", local(2)));
    let first = route_of(1, [1, 1, 1], &[a.clone(), b.clone()]);
    let mut changes = watch(&mut coordinator, &mut watchers, Some(first.clone())).await;
    assert_eq!(told(&mut changes).await.expect("told"), first);

    let second = route_of(2, [1, 2, 1], &[a.clone(), b.clone()]);
    watchers.changed(&[Slot(1)], || Some(second.clone()));
    let change = told(&mut changes).await.expect("told");
    assert_eq!(change, Route { chains: vec![second.chains[1].clone()], nodes: vec![], ..second.clone() });

    let moved = record("b", local(3));
    let third = route_of(3, [2, 2, 2], &[a.clone(), moved.clone()]);
    watchers.changed(&[Slot(2), Slot(0)], || Some(third.clone()));
    let change = told(&mut changes).await.expect("told");
    let chains = vec![third.chains[0].clone(), third.chains[2].clone()];
    assert_eq!(change, Route { chains, nodes: vec![moved], ..third });
}

#[tokio::test]
async fn a_later_watcher_misses_nothing() {
    let (mut coordinator, mut watchers) = (TestCoordinator::start().await, Watchers::new());
    let (a, b) = (record("a", local(1)), record("b", local(2)));
    let mut early = watch(&mut coordinator, &mut watchers, Some(route_of(1, [1, 1, 1], std::slice::from_ref(&a)))).await;
    let second = route_of(2, [1, 1, 2], &[a, b.clone()]);
    let mut late = watch(&mut coordinator, &mut watchers, Some(second.clone())).await;
    watchers.changed(&[Slot(2)], || Some(second.clone()));
    assert_eq!(told(&mut early).await.expect("told").revision, Revision(1));
    let change = told(&mut early).await.expect("told");
    assert_eq!((change.revision, change.nodes), (Revision(2), vec![b]));
    assert_eq!(told(&mut late).await.expect("told"), second);
}

#[tokio::test]
async fn the_route_is_not_asked_for_when_nobody_watches() {
    let (mut coordinator, mut watchers) = (TestCoordinator::start().await, Watchers::new());
    watchers.changed(&[Slot(0)], || panic!("nobody watches"));
    let whole = route_of(1, [1, 1, 1], &[record("a", local(1))]);
    let changes = watch(&mut coordinator, &mut watchers, Some(whole.clone())).await;
    drop(changes);
    soon("the watcher to be gone", async {
        while !watchers.is_empty() {
            watchers.changed(&[Slot(0)], || Some(whole.clone()));
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// One that does not read is cut off with a reason, and the others go on.
#[tokio::test]
async fn a_slow_watcher_is_cut_off_and_may_watch_anew() {
    let (mut coordinator, mut watchers) = (TestCoordinator::start().await, Watchers::new());
    let nodes: Vec<NodeRecord> = (0..64).map(|n| record(&format!("n{n}"), local(n))).collect();
    let first = route_of(1, [1, 1, 1], &nodes);
    let mut slow = watch(&mut coordinator, &mut watchers, Some(first.clone())).await;
    let mut quick = watch(&mut coordinator, &mut watchers, Some(first)).await;
    told(&mut quick).await.expect("told");
    let mut revision = 1;
    // Far more than the connection takes besides: each change has all nodes, who move and move back.
    while watchers.len() == 2 {
        revision += 1;
        let moved = |node: &NodeRecord| NodeRecord { address: format!("host:{}", revision % 2 + 1), ..node.clone() };
        let moved: Vec<NodeRecord> = nodes.iter().map(moved).collect();
        watchers.changed(&[Slot(0)], || Some(route_of(revision, [revision, 1, 1], &moved)));
        assert_eq!(told(&mut quick).await.expect("told").revision, Revision(revision));
        assert!(revision < 1_000_000, "never cut off");
    }
    assert!(revision > WATCHED_CHANGES as u64, "cut off after {revision}");
    // It is told in order what it was sent, and then why no more.
    let mut before = 0;
    let status = loop {
        match told(&mut slow).await {
            Ok(change) => {
                assert_eq!(change.revision.0, before + 1);
                before = change.revision.0;
            }
            Err(status) => break status,
        }
    };
    assert_eq!((Refusal::from_status(&status), kind_of(&status)), (Some(Refusal::TooSlow), Kind::NotExecuted));
    let whole = route_of(revision, [revision, 1, 1], &nodes);
    let mut anew = watch(&mut coordinator, &mut watchers, Some(whole.clone())).await;
    assert_eq!(told(&mut anew).await.expect("told"), whole);
}

#[tokio::test]
async fn watchers_are_told_that_this_coordinator_does_not_lead() {
    let (mut coordinator, mut watchers) = (TestCoordinator::start().await, Watchers::new());
    let mut refused = watch(&mut coordinator, &mut watchers, None).await;
    let whole = route_of(1, [1, 1, 1], &[record("a", local(1))]);
    let mut deposed = watch(&mut coordinator, &mut watchers, Some(whole.clone())).await;
    told(&mut deposed).await.expect("told");
    watchers.end();
    let mut found_out = watch(&mut coordinator, &mut watchers, Some(whole)).await;
    told(&mut found_out).await.expect("told");
    watchers.changed(&[Slot(0)], || None);
    for changes in [&mut refused, &mut deposed, &mut found_out] {
        let status = told(changes).await.expect_err("it does not lead");
        assert_eq!(Refusal::from_status(&status), Some(Refusal::NotLeading));
    }
    assert!(watchers.is_empty());
}

#[tokio::test]
async fn watchers_are_told_that_the_process_stops() {
    let (mut coordinator, mut watchers) = (TestCoordinator::start().await, Watchers::new());
    let whole = route_of(1, [1, 1, 1], &[record("a", local(1))]);
    let mut changes = watch(&mut coordinator, &mut watchers, Some(whole)).await;
    told(&mut changes).await.expect("told");
    drop(watchers);
    let status = told(&mut changes).await.expect_err("stopping");
    assert_eq!((Refusal::from_status(&status), kind_of(&status)), (Some(Refusal::Stopping), Kind::NotExecuted));
}
