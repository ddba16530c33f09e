//! Links over real TCP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use catena_core::{Identity, Limits, Message};
use catena_net::link::{Links, QUEUE_BYTES, QUEUE_MESSAGES};
use catena_net::proto::replication_client::ReplicationClient;
use catena_net::proto::{Batch, Envelope, Fragment, Frame, Hello, frame::Content};
use catena_net::server::{Listener, NodeInput, NodeServer, STOP_TIMEOUT};
use catena_net::{Refusal, WIRE_VERSION};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::common::*;

#[tokio::test]
async fn delivers_in_order_both_ways() {
    const COUNT: u64 = 5_000;
    let (mut a, mut b) = linked_pair().await;
    let (to_a, to_b) = (a.record.node.clone(), b.record.node.clone());
    for number in 0..COUNT {
        a.links.send(&to_b, ack(number));
        b.links.send(&to_a, ack(COUNT + number));
    }
    for number in 0..COUNT {
        assert_eq!(b.number().await, number);
        assert_eq!(a.number().await, COUNT + number);
    }
    assert_eq!((a.links.dropped(), b.links.dropped()), (0, 0));
}

#[tokio::test]
async fn carries_the_largest_value_in_fragments_between_small_messages() {
    let (mut a, mut b) = linked_pair().await;
    let to = b.record.node.clone();
    let large = append(7, 16 << 20);
    a.links.send(&to, ack(1));
    a.links.send(&to, large.clone());
    a.links.send(&to, ack(2));
    assert_eq!(b.number().await, 1);
    assert!(b.message().await.1 == large, "the envelope differs after its journey");
    assert_eq!(b.number().await, 2);
}

#[tokio::test]
async fn carries_every_size_around_the_fragment_limit() {
    let (mut a, mut b) = linked_pair().await;
    let to = b.record.node.clone();
    let limit = catena_net::link::FRAME_BYTES;
    for (seq, bytes) in (1..).zip([0, 1, limit - 70, limit - 67, limit - 66, limit, limit + 1, 2 * limit, 3 * limit - 19]) {
        let envelope = append(seq, bytes);
        a.links.send(&to, envelope.clone());
        assert!(b.message().await.1 == envelope, "a value of {bytes} bytes differs after its journey");
    }
}

#[tokio::test]
async fn resumes_after_the_dialled_node_restarts() {
    let (mut a, b) = linked_pair().await;
    let (name, address) = (b.record.node.clone(), b.record.address.clone());
    drop(b);
    let mut b = TestNode::restart("b", &address).await;
    assert_eq!(a.linked().await, name);
    assert_eq!(b.linked().await, a.record.node);
    a.links.send(&name, ack(1));
    assert_eq!(b.number().await, 1);
}

#[tokio::test]
async fn resumes_after_the_dialling_node_restarts() {
    let (a, mut b) = linked_pair().await;
    let address = a.record.address.clone();
    drop(a);
    let mut a = TestNode::restart("a", &address).await;
    a.set_peer(&b.record);
    let name = a.linked().await;
    assert_eq!(b.linked().await, a.record.node);
    b.links.send(&a.record.node.clone(), ack(1));
    a.links.send(&name, ack(2));
    assert_eq!((a.number().await, b.number().await), (1, 2));
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_links_that_are_closed() {
    let listener = Listener::bind(local(0)).await.expect("a free port");
    let here = record("b", listener.address());
    let (sender, mut inputs) = mpsc::channel(8);
    let (mut links, acceptor) = Links::new(identity("b"), sender.clone());
    let server = NodeServer::new(identity("b"), &Limits::default(), sender, acceptor);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(listener, async { drop(stopped.await) }));
    let mut a = TestNode::start("a").await;
    a.set_peer(&here);
    let Some(NodeInput::LinkUp(link)) = soon("the link", inputs.recv()).await else { panic!("expected a link") };
    assert_eq!(links.attach(link), Some(a.record.node.clone()));
    let began = Instant::now();
    drop(stop);
    links.close();
    soon("the stop", serving).await.expect("no panic").expect("a proper end");
    assert!(began.elapsed() < STOP_TIMEOUT, "nothing held it up for {:?}", began.elapsed());
}

#[tokio::test]
async fn finds_a_node_that_has_moved() {
    let (mut a, b) = linked_pair().await;
    drop(b);
    let mut b = TestNode::start("b").await;
    a.set_peer(&b.record);
    assert_eq!(a.linked().await, b.record.node);
    assert_eq!(b.linked().await, a.record.node);
}

/// Beyond its bound a queue drops. What is delivered is in order, and nothing is counted twice.
#[tokio::test]
async fn drops_beyond_its_bound_when_the_receiver_does_not_read() {
    const SIZE: usize = 1 << 20;
    const COUNT: u64 = 3 * (QUEUE_BYTES / SIZE) as u64;
    let mut a = TestNode::start("a").await;
    let mut b = TestNode::start_at(identity("b"), local(0), 1).await;
    a.set_peer(&b.record);
    let to = a.linked().await;
    b.linked().await;
    let large = append(1, SIZE);
    for seq in 1..=COUNT {
        let mut numbered = large.clone();
        let Message::Append { entries, .. } = &mut numbered.message else { unreachable!("made above") };
        entries[0].id.seq.0 = seq;
        a.links.send(&to, numbered);
    }
    let dropped = a.links.dropped();
    assert!(dropped >= COUNT / 2, "{dropped} of {COUNT} dropped: the queue has grown beyond {QUEUE_BYTES} bytes");
    // Once there is room again, what follows the last is delivered.
    let mut before = 0;
    for _ in 0..COUNT - dropped {
        let Message::Append { entries, .. } = b.message().await.1.message else { panic!("only entries were sent") };
        assert!(entries[0].id.seq.0 > before, "out of order");
        before = entries[0].id.seq.0;
    }
    a.links.send(&to, ack(1));
    assert_eq!(b.number().await, 1);
}

#[tokio::test]
async fn drops_and_counts_what_has_no_link_or_too_many_before_it() {
    let mut a = TestNode::start("a").await;
    a.links.send(&node_id("b"), ack(1));
    assert_eq!(a.links.dropped(), 1);
    let mut b = TestNode::start_at(identity("b"), local(0), 1).await;
    a.set_peer(&b.record);
    let to = a.linked().await;
    b.linked().await;
    // One runtime's thread drains while this one fills: more than twice the bound, since some will have left.
    let sent = 40 * QUEUE_MESSAGES as u64;
    for number in 0..sent {
        a.links.send(&to, ack(number));
    }
    let dropped = a.links.dropped() - 1;
    assert!(dropped > 0, "none of {sent} dropped");
    for _ in 0..sent - dropped {
        b.number().await;
    }
}

/// A connection over which nothing comes any more, though it is not closed, is given up and made anew.
#[tokio::test]
async fn notices_a_silent_peer_and_dials_again() {
    let (mut a, mut b) = (TestNode::start("a").await, TestNode::start("b").await);
    let proxy = Proxy::start(&a.process, b.address()).await;
    a.set_peer(&catena_core::NodeRecord { address: proxy.address.clone(), ..b.record.clone() });
    let to = a.linked().await;
    b.linked().await;
    proxy.silence();
    assert_eq!(a.linked().await, to);
    assert_eq!(b.linked().await, a.record.node);
    a.links.send(&to, ack(5));
    assert_eq!(b.number().await, 5);
}

#[tokio::test]
async fn refuses_another_cluster_wire_version_or_node_by_name() {
    let b = TestNode::start("b").await;
    let right = greeting(&identity("a"), "b");
    let other_cluster = Identity { cluster: OTHER_CLUSTER, ..identity("a") };
    let refusals = [
        (greeting(&other_cluster, "b"), Refusal::WrongCluster { given: OTHER_CLUSTER, here: CLUSTER }),
        (
            Hello { wire_version: 9, cluster: bytes::Bytes::new(), ..right.clone() },
            Refusal::WrongWireVersion { given: 9, here: WIRE_VERSION },
        ),
        (greeting(&identity("a"), "x"), Refusal::WrongNode { expected: node_id("x"), found: node_id("b") }),
        (greeting(&identity("c"), "b"), Refusal::Malformed { problem: "node c dials b: the smaller id dials".to_owned() }),
        (
            Hello { node: "a b".to_owned(), ..right },
            Refusal::Malformed {
                problem: "hello.node: \"a b\" is no node id: use 1 to 64 letters, digits, '.', '_' or '-'".to_owned(),
            },
        ),
    ];
    for (hello, refusal) in refusals {
        let status = dial(&b, Content::Hello(hello)).await.expect_err("refused");
        assert_eq!(Refusal::from_status(&status), Some(refusal));
    }
    let status = dial(&b, Content::Batch(Batch::default())).await.expect_err("refused");
    assert!(status.message().contains("frame.hello is missing"), "{status:?}");
}

/// Whoever answers at the address must be on the directory that is known under the name.
#[tokio::test]
async fn does_not_take_a_node_on_another_directory_for_the_one_it_dialled() {
    let (mut a, mut b) = (TestNode::start("a").await, TestNode::start("b").await);
    let other = Identity { incarnation: catena_core::Incarnation(99), ..identity("b") };
    let mut impostor = TestNode::start_at(other, local(0), 8).await;
    a.set_peer(&catena_core::NodeRecord { address: impostor.record.address.clone(), ..b.record.clone() });
    // It has no reason to refuse, so it is the one who dialled that hangs up; and dials again, in vain.
    for _ in 0..2 {
        impostor.linked().await;
    }
    assert!(a.inputs.try_recv().is_err(), "there is no link");
    a.set_peer(&b.record);
    assert_eq!(a.linked().await, b.record.node);
    assert_eq!(b.linked().await, a.record.node);
}

#[tokio::test]
async fn the_latest_link_replaces_the_one_before() {
    let mut b = TestNode::start("b").await;
    let hello = Content::Hello(greeting(&identity("a"), "b"));
    let (_first_sender, mut first) = dial(&b, hello.clone()).await.expect("accepted");
    b.linked().await;
    let (_second_sender, mut second) = dial(&b, hello).await.expect("accepted");
    b.linked().await;
    assert!(soon("the end of the first", first.message()).await.expect("a proper end").is_none());
    b.links.send(&node_id("a"), ack(1));
    let frame = soon("a frame", second.message()).await.expect("alive").expect("a frame");
    assert!(matches!(frame.content, Some(Content::Batch(_))), "{frame:?}");
}

#[tokio::test]
async fn a_link_that_ends_is_let_go_of_unless_another_has_taken_its_place() {
    let mut b = TestNode::start("b").await;
    let hello = Content::Hello(greeting(&identity("a"), "b"));
    let first = dial(&b, hello.clone()).await.expect("accepted");
    b.linked().await;
    let second = dial(&b, hello).await.expect("accepted");
    b.linked().await;
    let mut end = async || match soon("an end", b.inputs.recv()).await {
        Some(NodeInput::LinkDown(end)) => (end.peer().clone(), b.links.detach(&end)),
        other => panic!("expected the end of a link, got {other:?}"),
    };
    assert_eq!(end().await, (node_id("a"), None), "the first has been replaced");
    drop(second);
    assert_eq!(end().await, (node_id("a"), Some(node_id("a"))));
    drop(first);
    b.links.send(&node_id("a"), ack(1));
    assert_eq!(b.links.dropped(), 1, "there is none");
}

#[tokio::test]
async fn a_malformed_frame_ends_the_link_and_is_named() {
    let mut b = TestNode::start("b").await;
    let nothing = Batch { envelopes: vec![Envelope::default()] };
    let open = Fragment { data: bytes::Bytes::from_static(b"abc"), last: false };
    let gibberish = Fragment { last: true, ..open.clone() };
    let cases = [
        (vec![Content::Batch(nothing)], "envelope.message is missing"),
        (vec![Content::Fragment(gibberish)], "not valid protobuf"),
        (vec![Content::Fragment(open), Content::Batch(Batch::default())], "fragment.last is missing"),
        (vec![Content::Hello(Hello::default())], "frame.hello: element 1"),
        (vec![Content::Bulk(Fragment { data: bytes::Bytes::from_static(b"abc"), last: true })], "not valid protobuf"),
    ];
    for (contents, named) in cases {
        let (frames, mut back) = dial(&b, Content::Hello(greeting(&identity("a"), "b"))).await.expect("accepted");
        b.linked().await;
        for content in contents {
            frames.send(Frame { content: Some(content) }).await.expect("sent");
        }
        let status = soon("the end", back.message()).await.expect_err("refused");
        assert!(status.message().contains(named), "{named}: {status:?}");
    }
}

#[tokio::test]
async fn all_links_end_with_their_owner() {
    let (a, mut b) = linked_pair().await;
    let TestNode { links, inputs: _inputs, process: _process, .. } = a;
    drop(links);
    // What is sent now finds the link closed sooner or later: at the latest when the other end has seen it close.
    soon("the link to end", async {
        while b.links.dropped() == 0 {
            b.links.send(&node_id("a"), ack(1));
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(b.is_left_alone(), "nobody dials any more");
}

fn greeting(identity: &Identity, to: &str) -> Hello {
    let to = node_id(to);
    catena_net::convert::Hello { wire_version: WIRE_VERSION, identity: identity.clone(), to }.into()
}

/// A neighbour that says what it likes. Returns once its greeting is answered.
async fn dial(node: &TestNode, first: Content) -> Result<(mpsc::Sender<Frame>, Streaming<Frame>), Status> {
    let mut client = ReplicationClient::connect(format!("http://{}", node.record.address)).await.expect("connects");
    let (frames, sent) = mpsc::channel(8);
    frames.send(Frame { content: Some(first) }).await.expect("room");
    let mut back = soon("an answer", client.link(ReceiverStream::new(sent))).await?.into_inner();
    let frame = soon("a greeting", back.message()).await?.expect("a greeting");
    assert!(matches!(frame.content, Some(Content::Hello(_))), "{frame:?}");
    Ok((frames, back))
}

/// Forwards bytes; can fall silent on the connections that it has, without closing them.
struct Proxy {
    address: String,
    silenced: Arc<AtomicU64>,
}

impl Proxy {
    async fn start(process: &Process, to: std::net::SocketAddr) -> Self {
        let listener = process.run(TcpListener::bind(local(0))).await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let silenced = Arc::new(AtomicU64::new(0));
        let generation = silenced.clone();
        process.runtime().spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(to).await.expect("the node is there");
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                let of = generation.load(Ordering::Relaxed);
                tokio::spawn(forward(near_in, far_out, generation.clone(), of));
                tokio::spawn(forward(far_in, near_out, generation.clone(), of));
            }
        });
        Self { address, silenced }
    }

    fn silence(&self) {
        self.silenced.fetch_add(1, Ordering::Relaxed);
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    generation: Arc<AtomicU64>,
    of: u64,
) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut buffer = [0; 16 << 10];
    loop {
        let read = from.read(&mut buffer).await;
        let silenced = generation.load(Ordering::Relaxed) != of;
        match read {
            // Each end sees an open connection on which nothing comes, whatever the other does.
            Ok(1..) if silenced => {}
            Ok(0) | Err(_) if silenced => std::future::pending().await,
            Ok(0) | Err(_) => return,
            Ok(len) => {
                if to.write_all(&buffer[..len]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_link_is_the_driver_s_to_take() {
    let mut b = TestNode::start("b").await;
    let (_frames, _back) = dial(&b, Content::Hello(greeting(&identity("a"), "b"))).await.expect("accepted");
    let NodeInput::LinkUp(link) = b.next().await else { panic!("expected a link") };
    assert_eq!(link.peer(), &identity("a"));
    // Under that name the coordinator knows another directory: the link is not taken.
    b.set_peer(&catena_core::NodeRecord { incarnation: catena_core::Incarnation(1), ..record("a", local(1)) });
    assert_eq!(b.links.attach(link), None);
}
