//! What operators ask.

use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::{Request, Response};

use super::{CoordinatorInput, Service};
use crate::convert::ConvertError;
use crate::proto::admin_server::Admin;
use crate::server::CALL_TIMEOUT;
use crate::{Refusal, proto};

#[tonic::async_trait]
impl Admin for Service {
    async fn order(&self, request: Request<proto::OrderRequest>) -> Result<Response<proto::OrderResponse>, tonic::Status> {
        let request = request.into_inner();
        self.check_request("order.cluster", &request.cluster)?;
        let order = request.order.ok_or(ConvertError::Missing { field: "order.order" })?.try_into()?;
        let waited_ms = u64::try_from(CALL_TIMEOUT.as_millis()).expect("seconds");
        timeout(CALL_TIMEOUT, self.carry_out(order)).await.unwrap_or(Err(Refusal::TimedOut { waited_ms }))?;
        Ok(Response::new(proto::OrderResponse {}))
    }

    async fn get_status(&self, request: Request<proto::GetStatusRequest>) -> Result<Response<proto::Status>, tonic::Status> {
        self.check_request("get_status.cluster", &request.into_inner().cluster)?;
        let status = self.ask(|reply| CoordinatorInput::Status { reply }).await?;
        Ok(Response::new(status.into()))
    }
}

impl Service {
    async fn carry_out(&self, order: catena_core::Order) -> Result<(), Refusal> {
        let (reply, outcome) = oneshot::channel();
        self.tell(CoordinatorInput::Order { order, reply }).await?;
        Ok(outcome.await.map_err(|_| Refusal::Abandoned)??)
    }
}
