//! Endpoints that never answer, on real sockets: a client leaves them when one try's time is over, not the call's.

use std::net::SocketAddr;
use std::time::Duration;

use catena_core::client::ClientConfig;
use catena_core::{Revision, Route};
use catena_net::server::{CoordinatorInput, NodeInput, Watchers};
use catena_net::transport::CONNECT_TIMEOUT;
use catena_net::{Client, Options};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::common::*;

/// A machine that is busy with other tests.
const SLACK: Duration = Duration::from_secs(3);

/// Nothing that is sent there is ever answered.
struct BlackHole {
    address: SocketAddr,
    /// What keeps it so.
    _kept: Kept,
}

#[expect(dead_code, reason = "held for their effect")]
enum Kept {
    Accepting(JoinHandle<()>),
    Full(TcpListener, Vec<TcpStream>),
}

/// Takes connections, and reads nothing from them: a process that hangs.
async fn silent() -> BlackHole {
    let listener = TcpListener::bind(local(0)).await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let accepting = tokio::spawn(async move {
        let mut taken = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            taken.push(stream);
        }
    });
    BlackHole { address, _kept: Kept::Accepting(accepting) }
}

/// Its queue of connections is full and nobody takes any: what else is sent there vanishes, as it does on the way to a host
/// that is gone.
async fn full() -> BlackHole {
    /// Loopback takes far less, where it takes a connection at all.
    const VANISHED: Duration = Duration::from_millis(300);
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(local(0)).expect("a free port");
    let listener = socket.listen(1).expect("it listens");
    let address = listener.local_addr().expect("bound");
    let mut waiting = Vec::new();
    while let Ok(connected) = timeout(VANISHED, TcpStream::connect(address)).await {
        waiting.push(connected.expect("the queue has room"));
        assert!(waiting.len() < 1000, "the queue does not fill up");
    }
    BlackHole { address, _kept: Kept::Full(listener, waiting) }
}

/// `took`: what a call took that was held up there by one try.
fn assert_left_in_time(took: Duration, limit: Duration) {
    assert!(took >= limit * 9 / 10, "it was not held up there, only {took:?}");
    assert!(took < limit + SLACK, "it was held up for {took:?}");
}

async fn is_passed_over_as_a_coordinator(hole: BlackHole) {
    let node = TestNode::start("a").await;
    let (_route, receiver) = watch::channel(route(1, 1, &[&node.record]));
    let (good, _coordinator) = TestCoordinator::start().await.give(receiver);
    let began = Instant::now();
    let endpoints = vec![hole.address.to_string(), good];
    let client = Client::connect(endpoints, Options { call_timeout: PATIENCE }).await.expect("the second one answers");
    assert_left_in_time(began.elapsed(), ClientConfig::new(2, 0).route_timeout);
    assert_eq!(client.route().revision, Revision(1));
}

/// Nobody tells the client of a new tail before it asks. `limit`: for one try.
async fn is_left_for_the_next_tail(hole: BlackHole, limit: Duration) {
    let mut node = TestNode::start("a").await;
    let gone = record("b", hole.address);
    let mut coordinator = TestCoordinator::start().await;
    let mut watchers = Watchers::new();
    let connected = Client::connect(vec![coordinator.address.clone()], Options { call_timeout: PATIENCE });
    let told = tell(&mut coordinator, &mut watchers, route(1, 1, &[&node.record, &gone]));
    let (client, ()) = tokio::join!(connected, told);
    let client = client.expect("it knows the route");
    let began = Instant::now();
    let answer = async {
        tell(&mut coordinator, &mut watchers, route(2, 2, &[&node.record])).await;
        let NodeInput::Read { target, reply, .. } = node.next().await else { panic!("expected a read") };
        reply.send(Ok(found(target, "value"))).expect("the caller waits");
    };
    let (got, ()) = tokio::join!(client.get("key"), answer);
    assert_left_in_time(began.elapsed(), limit);
    assert_eq!(got.expect("read").object.map(|object| object.value), Some("value".into()));
}

/// Answers the next who asks for the route.
async fn tell(coordinator: &mut TestCoordinator, watchers: &mut Watchers, route: Route) {
    let CoordinatorInput::Watch(watcher) = coordinator.next().await else { panic!("expected a client") };
    watchers.add(watcher, Some(route));
}

#[tokio::test]
async fn a_coordinator_that_takes_connections_and_never_answers_is_passed_over() {
    is_passed_over_as_a_coordinator(silent().await).await;
}

#[tokio::test]
async fn a_coordinator_where_connections_vanish_is_passed_over() {
    is_passed_over_as_a_coordinator(full().await).await;
}

#[tokio::test]
async fn a_tail_that_takes_connections_and_never_answers_is_left() {
    is_left_for_the_next_tail(silent().await, ClientConfig::new(1, 0).attempt_timeout).await;
}

#[tokio::test]
async fn a_tail_where_connections_vanish_is_left_before_anything_is_sent() {
    is_left_for_the_next_tail(full().await, CONNECT_TIMEOUT).await;
}
