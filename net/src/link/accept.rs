//! Being dialled by a neighbour.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use catena_core::Identity;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};
use tracing::{info, warn};

use super::handshake::{greeted, greeting};
use super::incoming::{Ended, deliver};
use super::queue::{Outgoing, outgoing};
use crate::Refusal;
use crate::convert::ConvertError;
use crate::proto;
use crate::proto::replication_server::Replication;
use crate::server::NodeInput;

/// The end at which neighbours with smaller ids arrive. Belongs into a [`NodeServer`](crate::server::NodeServer).
#[derive(Clone, Debug)]
pub struct LinkAcceptor {
    pub(super) identity: Identity,
    pub(super) inputs: mpsc::Sender<NodeInput>,
}

#[tonic::async_trait]
impl Replication for LinkAcceptor {
    type LinkStream = Accepted;

    async fn link(&self, request: Request<Streaming<proto::Frame>>) -> Result<Response<Accepted>, Status> {
        let mut frames = request.into_inner();
        let there = match self.greeted(&mut frames).await {
            Ok(there) => there,
            Err(status) => {
                warn!(component = "node", node_id = %self.identity.node, error = status.message(), "a link is refused");
                return Err(status);
            }
        };
        let (queue, outgoing, replaced) = outgoing(greeting(&self.identity, &there.node));
        let (end, ended) = oneshot::channel();
        info!(component = "node", node_id = %self.identity.node, peer_node_id = %there.node, "link accepted");
        let (here, inputs, from) = (self.identity.node.clone(), self.inputs.clone(), there.node.clone());
        let link = queue.to(there);
        let down = link.end();
        inputs.send(NodeInput::LinkUp(link)).await.map_err(|_| Refusal::Stopping)?;
        tokio::spawn(async move {
            let reason = deliver(&from, &mut frames, &inputs, replaced).await;
            info!(component = "node", node_id = %here, peer_node_id = %from, error = %reason, "link ended");
            // Nobody is there to hear it when the connection is gone.
            let _: Result<(), Ended> = end.send(reason);
            // A driver that has gone has no links.
            let _: Result<(), _> = inputs.send(NodeInput::LinkDown(down)).await;
        });
        Ok(Response::new(Accepted { outgoing, ended: Some(ended) }))
    }
}

impl LinkAcceptor {
    async fn greeted(&self, frames: &mut Streaming<proto::Frame>) -> Result<Identity, Status> {
        let there = greeted(&self.identity, frames).await?;
        // Two nodes that dialled each other would replace each other's links for ever.
        if there.node >= self.identity.node {
            let problem = format!("node {} dials {}: the smaller id dials", there.node, self.identity.node);
            return Err(Refusal::Malformed { problem }.into());
        }
        Ok(there)
    }
}

/// The frames that go back to the one who dialled. Ends when the receiving half has.
pub struct Accepted {
    outgoing: Outgoing,
    ended: Option<oneshot::Receiver<Ended>>,
}

impl Stream for Accepted {
    type Item = Result<proto::Frame, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(ended) = &mut self.ended else { return Poll::Ready(None) };
        if let Poll::Ready(reason) = Pin::new(ended).poll(context) {
            self.ended = None;
            return Poll::Ready(match reason {
                Ok(Ended::Malformed(error)) => Some(Err(refused(error))),
                Ok(Ended::Closed | Ended::Lost(_)) | Err(_) => None,
            });
        }
        let frame = ready!(Pin::new(&mut self.outgoing).poll_next(context));
        Poll::Ready(frame.map(Ok))
    }
}

fn refused(error: ConvertError) -> Status {
    error.into()
}
