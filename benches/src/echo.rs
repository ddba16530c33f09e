//! The floors of gRPC: an empty unary call and a bidi echo, answered by a process of their own.

use std::net::SocketAddr;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

use crate::{Error, io};

/// Generated from `proto/echo.proto`.
mod proto {
    #![allow(missing_docs, unreachable_pub, unused_qualifications, reason = "generated")]
    #![allow(clippy::all, clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated")]
    tonic::include_proto!("catena.benches");
}

use proto::Payload;
use proto::echo_client::EchoClient;

struct Echo;

#[tonic::async_trait]
impl proto::echo_server::Echo for Echo {
    type StreamStream = Pin<Box<dyn Stream<Item = Result<Payload, Status>> + Send>>;

    async fn unary(&self, request: Request<Payload>) -> Result<Response<Payload>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn stream(&self, request: Request<Streaming<Payload>>) -> Result<Response<Self::StreamStream>, Status> {
        Ok(Response::new(Box::pin(request.into_inner())))
    }
}

/// Answers until killed.
pub(crate) async fn serve(address: SocketAddr) -> Result<(), Error> {
    Ok(Server::builder().tcp_nodelay(true).add_service(proto::echo_server::EchoServer::new(Echo)).serve(address).await?)
}

/// The echo process and the two ways to it.
pub(crate) struct Floor {
    process: Child,
    unary: EchoClient<Channel>,
    send: mpsc::Sender<Payload>,
    receive: Streaming<Payload>,
}

impl Drop for Floor {
    fn drop(&mut self) {
        // It may have ended already; nothing is left to do then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Floor {
    pub(crate) async fn start(port: u16) -> Result<Self, Error> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let own = std::env::current_exe().map_err(io("the path of this binary"))?;
        let process = Command::new(own)
            .args(["--echo", &address.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .map_err(io("starting the echo process"))?;
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        let deadline = Instant::now() + Duration::from_secs(10);
        let channel = loop {
            match endpoint.connect().await {
                Ok(channel) => break channel,
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let mut unary = EchoClient::new(channel);
        let (send, messages) = mpsc::channel(1);
        let receive = unary.stream(ReceiverStream::new(messages)).await?.into_inner();
        Ok(Self { process, unary, send, receive })
    }

    pub(crate) fn caller(&self) -> EchoClient<Channel> {
        self.unary.clone()
    }

    /// One message there and back.
    pub(crate) async fn bidi(&mut self, data: Bytes) -> Result<(), Error> {
        let gone = || Error::Status(Status::unavailable("the echo stream ended"));
        self.send.send(Payload { data }).await.map_err(|_| gone())?;
        self.receive.next().await.ok_or_else(gone)??;
        Ok(())
    }
}

/// One empty call.
pub(crate) async fn unary(caller: &mut EchoClient<Channel>, data: Bytes) -> Result<(), Error> {
    caller.unary(Payload { data }).await?;
    Ok(())
}
