//! The service `Kv`: calls of clients.

use catena_core::{CallError, ClusterId, Origin, Reply, Slot};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use super::{CALL_TIMEOUT, NodeInput};
use crate::Refusal;
use crate::convert::{
    OpenCall, ReadCall, ScanCall, WriteCall, delete_response, get_response, open_session_response, put_response, scan_response,
};
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
        let WriteCall { cluster: _, target, command, origin } = call;
        self.ask(|reply| NodeInput::Write { target, command, origin, reply }).await
    }

    async fn open(&self, call: OpenCall) -> Result<Reply, Refusal> {
        self.check_cluster(call.cluster)?;
        let target = call.target;
        self.ask(|reply| NodeInput::OpenSession { target, reply }).await
    }

    async fn read(&self, call: ReadCall) -> Result<Reply, Refusal> {
        self.check_cluster(call.cluster)?;
        let ReadCall { cluster: _, target, key } = call;
        self.ask(|reply| NodeInput::Read { target, key, reply }).await
    }

    async fn scan_page(&self, call: ScanCall) -> Result<Reply, Refusal> {
        self.check_cluster(call.cluster)?;
        let ScanCall { cluster: _, target, after, bytes } = call;
        self.ask(|reply| NodeInput::Scan { target, after, bytes, reply }).await
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

/// The refusal where a put is answered as a delete, or the other way round: a session's number was given to another
/// operation before, whose answer this is. Without a session, the node has answered another question than was asked.
fn of_another(slot: Slot, origin: Option<Origin>, reply: &Reply) -> Refusal {
    let Some(Origin { session, number, .. }) = origin else { panic!("a write was answered by {reply:?}") };
    CallError::AlreadyAnswered { slot, session, number }.into()
}

#[tonic::async_trait]
impl Kv for Service {
    async fn get(&self, request: Request<proto::GetRequest>) -> Result<Response<proto::GetResponse>, Status> {
        let call = ReadCall::try_from(request.into_inner())?;
        let slot = call.target.slot;
        Ok(Response::new(get_response(slot, self.read(call).await?)))
    }

    async fn scan(&self, request: Request<proto::ScanRequest>) -> Result<Response<proto::ScanResponse>, Status> {
        let call = ScanCall::try_from(request.into_inner())?;
        let slot = call.target.slot;
        Ok(Response::new(scan_response(slot, self.scan_page(call).await?)))
    }

    async fn put(&self, request: Request<proto::PutRequest>) -> Result<Response<proto::PutResponse>, Status> {
        let call = WriteCall::try_from(request.into_inner())?;
        let (slot, origin) = (call.target.slot, call.origin);
        let reply = self.write(call).await?;
        Ok(Response::new(put_response(slot, &reply).ok_or_else(|| of_another(slot, origin, &reply))?))
    }

    async fn delete(&self, request: Request<proto::DeleteRequest>) -> Result<Response<proto::DeleteResponse>, Status> {
        let call = WriteCall::try_from(request.into_inner())?;
        let (slot, origin) = (call.target.slot, call.origin);
        let reply = self.write(call).await?;
        Ok(Response::new(delete_response(slot, &reply).ok_or_else(|| of_another(slot, origin, &reply))?))
    }

    async fn open_session(
        &self,
        request: Request<proto::OpenSessionRequest>,
    ) -> Result<Response<proto::OpenSessionResponse>, Status> {
        let call = OpenCall::try_from(request.into_inner())?;
        let slot = call.target.slot;
        Ok(Response::new(open_session_response(slot, &self.open(call).await?)))
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
