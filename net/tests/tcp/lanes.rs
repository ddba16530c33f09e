//! The two lanes of a link over real TCP.

use catena_core::Message;
use catena_net::link::{BULK_BYTES, FRAME_BYTES};

use crate::common::*;

/// What a connection takes before the receiver has read anything.
const STREAM_BYTES: u64 = 4 << 20;

/// Parts of snapshots wait for everything else, and keep their order. Before them so many entries are sent that the
/// connection does not take them all from a receiver that does not read: the parts and what follows are queued together.
#[tokio::test]
async fn parts_of_snapshots_wait_for_everything_else() {
    let mut a = TestNode::start("a").await;
    let mut b = TestNode::start_at(identity("b"), local(0), 1).await;
    a.set_peer(&b.record);
    let to = a.linked().await;
    b.linked().await;
    let filling = 2 * STREAM_BYTES / FRAME_BYTES as u64;
    for seq in 1..=filling {
        a.links.send(&to, append(seq, FRAME_BYTES));
    }
    for number in 0..4 {
        a.links.send(&to, chunk(number, 1 << 20));
    }
    for number in 0..100 {
        a.links.send(&to, ack(number));
    }
    assert_eq!(a.links.dropped(), 0);
    for _ in 0..filling {
        assert!(matches!(b.message().await.1.message, Message::Append { .. }));
    }
    for number in 0..100 {
        assert_eq!(b.number().await, number);
    }
    for number in 0..4 {
        assert!(b.message().await.1 == chunk(number, 1 << 20), "part {number} differs after its journey");
    }
}

#[tokio::test]
async fn parts_of_snapshots_have_a_bound_of_their_own() {
    let mut a = TestNode::start("a").await;
    let mut b = TestNode::start_at(identity("b"), local(0), 1).await;
    a.set_peer(&b.record);
    let to = a.linked().await;
    b.linked().await;
    let count = 3 * u32::try_from(BULK_BYTES >> 20).expect("few");
    for number in 0..count {
        a.links.send(&to, chunk(number, 1 << 20));
    }
    let dropped = u32::try_from(a.links.dropped()).expect("few");
    assert!(dropped > 0, "none of {count} dropped: the queue has grown beyond {BULK_BYTES} bytes");
    // Full of parts, it has room for all else.
    for number in 0..100 {
        a.links.send(&to, ack(number));
    }
    assert_eq!(a.links.dropped(), u64::from(dropped));
    let (mut parts, mut acks) = (0, 0);
    while parts < count - dropped || acks < 100 {
        match b.message().await.1.message {
            Message::Chunk(_) => parts += 1,
            Message::Ack { committed, .. } => {
                assert_eq!(committed.0, acks);
                acks += 1;
            }
            other => panic!("nobody sent {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_largest_part_of_a_snapshot_is_carried() {
    let (mut a, mut b) = linked_pair().await;
    let (to_a, to_b) = (a.record.node.clone(), b.record.node.clone());
    for bytes in [0, 16 << 20] {
        a.links.send(&to_b, chunk(1, bytes));
        assert!(b.message().await.1 == chunk(1, bytes), "a part of {bytes} bytes differs after its journey");
        b.links.send(&to_a, chunk(2, bytes));
        assert!(a.message().await.1 == chunk(2, bytes), "a part of {bytes} bytes differs after its journey");
    }
}
