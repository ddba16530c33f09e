//! Dialling a neighbour, again and again.

use std::time::Duration;

use catena_core::{Identity, Incarnation, NodeId, NodeRecord, mutant};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::Status;
use tracing::{debug, info, warn};

use super::handshake::{greeted, greeting};
use super::incoming::{Ended, deliver};
use super::queue::outgoing;
use crate::Refusal;
use crate::proto::replication_client::ReplicationClient;
use crate::server::NodeInput;
use crate::transport::peer_endpoint;

/// The wait after a first failure. It doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(5);

/// The longest wait: a neighbour that is back is found this soon.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// How far an attempt came.
enum Attempt {
    /// The link was up, and ended.
    Ended(Ended),
    /// It never came about.
    Failed(Failure),
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot connect: {0}")]
    Connect(#[from] tonic::transport::Error),
    #[error("refused: {0}")]
    Refused(#[from] Status),
    #[error("refused by this side: {0}")]
    Refuse(#[from] Refusal),
    #[error("{node} answers from directory {found}, and is known in {known}: it is not taken before the coordinator says so")]
    OtherDirectory { node: NodeId, known: Incarnation, found: Incarnation },
}

/// Keeps a link to a neighbour until `peer` is dropped; dials anew at once when its record changes.
pub(super) async fn keep(identity: Identity, inputs: mpsc::Sender<NodeInput>, mut peer: watch::Receiver<NodeRecord>) {
    let mut wait = FIRST_WAIT;
    loop {
        let record = peer.borrow_and_update().clone();
        let began = Instant::now();
        let attempt = tokio::select! {
            biased;
            attempt = attempt(&identity, &inputs, &record) => attempt,
            changed = peer.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        match attempt {
            Attempt::Ended(_) if mutant!(LinkNotRedialled) => return,
            Attempt::Ended(ended) => {
                info!(component = "node", node_id = %identity.node, peer_node_id = %record.node, error = %ended, "link ended");
                // One that ends at once is not wanted at the other end, yet.
                if began.elapsed() > LONGEST_WAIT {
                    wait = FIRST_WAIT;
                }
            }
            Attempt::Failed(failure) => report(&identity.node, &record.node, &failure, wait),
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep(wait) => wait = (2 * wait).min(LONGEST_WAIT),
            changed = peer.changed() => match changed {
                Ok(()) => wait = FIRST_WAIT,
                Err(_) => return,
            },
        }
    }
}

/// Says why, aloud only at the first failure in a row: the rest are the same.
fn report(here: &NodeId, peer: &NodeId, failure: &Failure, wait: Duration) {
    if wait == FIRST_WAIT {
        warn!(component = "node", node_id = %here, peer_node_id = %peer, error = %failure, "no link");
    } else {
        debug!(component = "node", node_id = %here, peer_node_id = %peer, error = %failure, "still no link");
    }
}

async fn attempt(identity: &Identity, inputs: &mpsc::Sender<NodeInput>, record: &NodeRecord) -> Attempt {
    let (queue, outgoing, replaced) = outgoing(greeting(identity, &record.node));
    let connected = async {
        let channel = peer_endpoint(&record.address)?.connect().await?;
        let mut frames = ReplicationClient::new(channel).link(outgoing).await?.into_inner();
        let there = greeted(identity, &mut frames).await?;
        expect(record, &there)?;
        Ok((frames, there))
    };
    let (mut frames, there) = match connected.await {
        Ok(connected) => connected,
        Err(failure) => return Attempt::Failed(failure),
    };
    info!(component = "node", node_id = %identity.node, peer_node_id = %there.node, "link up");
    let from = there.node.clone();
    let link = queue.to(there);
    let down = link.end();
    if inputs.send(NodeInput::LinkUp(link)).await.is_err() {
        return Attempt::Ended(Ended::Closed);
    }
    let ended = deliver(&from, &mut frames, inputs, replaced).await;
    // A driver that has gone has no links.
    let _: Result<(), _> = inputs.send(NodeInput::LinkDown(down)).await;
    Attempt::Ended(ended)
}

/// Whether the one who answers is the one who was dialled.
fn expect(record: &NodeRecord, there: &Identity) -> Result<(), Failure> {
    if there.node != record.node {
        return Err(Refusal::WrongNode { expected: record.node.clone(), found: there.node.clone() }.into());
    }
    if there.incarnation != record.incarnation {
        let (node, known, found) = (there.node.clone(), record.incarnation, there.incarnation);
        return Err(Failure::OtherDirectory { node, known, found });
    }
    Ok(())
}
