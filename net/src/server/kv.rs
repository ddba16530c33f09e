//! The service `Kv`: calls of clients.

use catena_core::{CallError, ClusterId, Reply};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use super::{CALL_TIMEOUT, NodeInput};
use crate::Refusal;
use crate::convert::{ReadCall, WriteCall, delete_response, get_response, put_response};
use crate::proto;
use crate::proto::kv_server::Kv;

#[derive(Debug)]
pub(super) struct Service {
    cluster: ClusterId,
    inputs: mpsc::Sender<NodeInput>,
}

type Answer = oneshot::Sender<Result<Reply, CallError>>;

impl Service {
    pub(super) fn new(cluster: ClusterId, inputs: mpsc::Sender<NodeInput>) -> Self {
        Self { cluster, inputs }
    }

    fn check_cluster(&self, given: Option<ClusterId>) -> Result<(), Refusal> {
        match given {
            Some(given) if given != self.cluster => Err(Refusal::WrongCluster { given, here: self.cluster }),
            Some(_) | None => Ok(()),
        }
    }

    async fn write(&self, call: WriteCall) -> Result<Reply, Refusal> {
        self.check_cluster(call.cluster)?;
        let WriteCall { cluster: _, target, command } = call;
        self.ask(|reply| NodeInput::Write { target, command, reply }).await
    }

    async fn read(&self, call: ReadCall) -> Result<Reply, Refusal> {
        self.check_cluster(call.cluster)?;
        let ReadCall { cluster: _, target, key } = call;
        self.ask(|reply| NodeInput::Read { target, key, reply }).await
    }

    async fn ask(&self, input: impl FnOnce(Answer) -> NodeInput) -> Result<Reply, Refusal> {
        let answered = async {
            let (reply, answer) = oneshot::channel();
            self.inputs.send(input(reply)).await.map_err(|_| Refusal::Stopping)?;
            answer.await.map_err(|_| Refusal::Abandoned)?.map_err(Refusal::Call)
        };
        let waited_ms = || u64::try_from(CALL_TIMEOUT.as_millis()).expect("seconds");
        timeout(CALL_TIMEOUT, answered).await.unwrap_or_else(|_| Err(Refusal::TimedOut { waited_ms: waited_ms() }))
    }
}

#[tonic::async_trait]
impl Kv for Service {
    async fn get(&self, request: Request<proto::GetRequest>) -> Result<Response<proto::GetResponse>, Status> {
        let call = ReadCall::try_from(request.into_inner())?;
        let slot = call.target.slot;
        Ok(Response::new(get_response(slot, self.read(call).await?)))
    }

    async fn put(&self, request: Request<proto::PutRequest>) -> Result<Response<proto::PutResponse>, Status> {
        let call = WriteCall::try_from(request.into_inner())?;
        let slot = call.target.slot;
        Ok(Response::new(put_response(slot, &self.write(call).await?)))
    }

    async fn delete(&self, request: Request<proto::DeleteRequest>) -> Result<Response<proto::DeleteResponse>, Status> {
        let call = WriteCall::try_from(request.into_inner())?;
        let slot = call.target.slot;
        Ok(Response::new(delete_response(slot, &self.write(call).await?)))
    }
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use bytes::Bytes;
    use catena_core::{ChainVersion, Kind, Slot, Target};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_the_node_keeps_for_too_long_has_an_unknown_outcome() {
        let (inputs, mut driver) = mpsc::channel(1);
        let service = Service::new(ClusterId(1), inputs);
        let target = Target { slot: Slot(0), version: ChainVersion(1) };
        let started = Instant::now();
        let call = service.read(ReadCall { cluster: None, target, key: Bytes::from_static(b"key") });
        let (answer, _held) = tokio::join!(call, driver.recv());
        assert_eq!(answer, Err(Refusal::TimedOut { waited_ms: 5000 }));
        assert_eq!(started.elapsed(), CALL_TIMEOUT);
        assert_eq!(answer.map_err(|refusal| refusal.kind()), Err(Kind::Unknown));
    }
}
