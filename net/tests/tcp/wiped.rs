//! A node that comes back with another data directory, over real TCP.

use catena_core::{Identity, Incarnation, NodeRecord};
use catena_net::server::NodeInput;

use crate::common::*;

fn wiped(name: &str) -> Identity {
    Identity { incarnation: Incarnation(99), ..identity(name) }
}

/// The one who dials hears of the new incarnation only after the wiped node is back at the old address.
#[tokio::test]
async fn a_wiped_node_is_dialled_again_under_its_new_record() {
    let (mut a, b) = linked_pair().await;
    let address = b.address();
    drop(b);
    let mut b = TestNode::start_at(wiped("b"), address, 8).await;
    // It answers at the same address; but it is not the one who is known.
    b.linked().await;
    assert!(a.is_left_alone(), "the wiped node is taken for the old one");
    a.set_peer(&b.record);
    assert_eq!(a.linked().await, b.record.node);
    // Among the links that it was offered, the last is the one.
    a.links.send(&b.record.node, ack(1));
    loop {
        match b.next().await {
            NodeInput::LinkUp(link) => assert!(b.links.attach(link).is_some()),
            NodeInput::Message { envelope, .. } => return assert_eq!(envelope, ack(1)),
            other => panic!("nobody sent {other:?}"),
        }
    }
}

/// The record changes while the old process is still there: the link to it is closed at once.
#[tokio::test]
async fn a_new_incarnation_in_the_record_ends_the_link_to_the_old_one() {
    let (mut a, mut b) = linked_pair().await;
    let mut other = TestNode::start_at(wiped("b"), local(0), 8).await;
    a.set_peer(&other.record);
    a.links.send(&other.record.node, ack(1));
    assert_eq!(a.links.dropped(), 1, "there is no link until the new one is there");
    assert_eq!(a.linked().await, other.record.node);
    b.links.send(&a.record.node, ack(2));
    assert!(b.is_left_alone(), "the old one is not spoken to");
    assert_eq!(other.linked().await, a.record.node);
    a.links.send(&other.record.node, ack(3));
    assert_eq!(other.number().await, 3);
}

/// The wiped node is the one who dials: it is taken as soon as the coordinator says who it is.
#[tokio::test]
async fn a_wiped_node_that_dials_is_taken_under_its_new_record() {
    let (a, mut b) = linked_pair().await;
    drop(a);
    let mut a = TestNode::start_at(wiped("a"), local(0), 64).await;
    a.set_peer(&b.record);
    let NodeInput::LinkUp(early) = b.next().await else { panic!("expected a link") };
    assert_eq!(b.links.attach(early), None);
    b.set_peer(&a.record);
    let taken = loop {
        let NodeInput::LinkUp(link) = b.next().await else { panic!("expected a link") };
        if let Some(node) = b.links.attach(link) {
            break node;
        }
    };
    assert_eq!(taken, a.record.node);
    b.links.send(&taken, ack(1));
    loop {
        match a.next().await {
            NodeInput::LinkUp(link) => assert!(a.links.attach(link).is_some()),
            NodeInput::Message { envelope, .. } => return assert_eq!(envelope, ack(1)),
            other => panic!("nobody sent {other:?}"),
        }
    }
}

/// Labels say where a replica may be, not who it is.
#[tokio::test]
async fn other_labels_in_the_record_leave_the_link_alone() {
    let (mut a, mut b) = linked_pair().await;
    let labels = [("rack".to_owned(), "r2".to_owned())].into();
    a.set_peer(&NodeRecord { labels, ..b.record.clone() });
    a.links.send(&b.record.node, ack(1));
    assert_eq!(b.number().await, 1);
    assert_eq!(a.links.dropped(), 0);
    assert!(a.is_left_alone(), "there is no other link");
}
