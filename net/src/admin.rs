//! What operators ask of whichever coordinator leads.

use std::time::Duration;

use catena_core::{ClusterId, Kind, Order, Status};
use tokio::time::timeout;
use tonic::transport::Channel;

use crate::convert::{ConvertError, cluster_bytes};
use crate::proto::admin_client::AdminClient as Calls;
use crate::transport::{MESSAGE_BYTES, endpoint, never_left, root_cause, said};
use crate::{Refusal, kind_of, proto};

/// How long one coordinator may take, once connected: it stores an order first, and itself gives up after 5 s.
pub const ADMIN_TIMEOUT: Duration = Duration::from_secs(6);

/// Asks the coordinators of one cluster in turn, until one that leads has answered.
#[derive(Clone, Debug)]
pub struct AdminClient {
    endpoints: Vec<String>,
    cluster: Option<ClusterId>,
}

/// Why an operator gets no answer.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The coordinator says no: nothing has changed.
    #[error("{refusal} (coordinator {endpoint})")]
    Refused {
        /// Who says so.
        endpoint: String,
        /// Why.
        refusal: Refusal,
    },
    /// The order was sent, and nothing is known of it.
    #[error("coordinator {endpoint} did not say whether it took the order ({reason}): look at the status before you repeat it")]
    OutcomeUnknown {
        /// Who has it.
        endpoint: String,
        /// What happened.
        reason: Unanswered,
    },
    /// No coordinator that leads is there: nothing has changed.
    #[error("no coordinator leads just now, of {}: check the endpoints, and that a coordinator runs", listed(.tried))]
    NobodyLeads {
        /// Everybody who was asked, and what happened.
        tried: Vec<(String, Unanswered)>,
    },
    /// There is nobody to ask.
    #[error("no coordinator is given: name at least one endpoint, host:port")]
    NoEndpoint,
}

/// What happened to a call that was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// No connection came about.
    #[error("not reached: {0}")]
    Unreached(String),
    /// The connection is lost, or the coordinator has lost the call.
    #[error("{0}")]
    Lost(String),
    /// It does not lead, or it is stopping.
    #[error("{0}")]
    Declined(Refusal),
    /// It does not answer.
    #[error("no answer in time")]
    TimedOut,
    /// It speaks gibberish.
    #[error("malformed answer: {0}")]
    Malformed(#[from] ConvertError),
}

fn listed(tried: &[(String, Unanswered)]) -> String {
    tried.iter().map(|(endpoint, reason)| format!("{endpoint} ({reason})")).collect::<Vec<_>>().join(", ")
}

impl AdminError {
    /// What the operator may conclude.
    pub fn kind(&self) -> Kind {
        match self {
            AdminError::Refused { refusal, .. } => refusal.kind(),
            AdminError::OutcomeUnknown { .. } => Kind::Unknown,
            AdminError::NobodyLeads { .. } | AdminError::NoEndpoint => Kind::NotExecuted,
        }
    }
}

impl AdminClient {
    /// A client of the coordinators at `endpoints` (`host:port`). With a cluster, only one of that cluster is obeyed.
    pub fn new(endpoints: Vec<String>, cluster: Option<ClusterId>) -> Self {
        Self { endpoints, cluster }
    }

    /// The error of an operator who has waited for long enough while no coordinator has answered.
    pub fn unanswered(&self) -> AdminError {
        nobody(self.endpoints.iter().map(|endpoint| (endpoint.clone(), Unanswered::TimedOut)).collect())
    }

    /// Gives an order. It is stored when this returns; what it sets going shows in the status.
    ///
    /// # Errors
    /// When it is refused, nobody takes it, or nothing is known of it; see [`AdminError`].
    pub async fn order(&self, order: &Order) -> Result<(), AdminError> {
        let mut tried = Vec::new();
        for endpoint in &self.endpoints {
            let outcome = timeout(ADMIN_TIMEOUT, self.order_one(endpoint, order)).await;
            match outcome.unwrap_or(Err(Attempt::Unanswered(Unanswered::TimedOut))) {
                Ok(()) => return Ok(()),
                Err(Attempt::Refused(refusal)) => return Err(refused(endpoint, refusal)),
                Err(Attempt::Unanswered(reason @ (Unanswered::Unreached(_) | Unanswered::Declined(_)))) => {
                    tried.push((endpoint.clone(), reason));
                }
                // Another coordinator might take it a second time.
                Err(Attempt::Unanswered(reason)) => {
                    return Err(AdminError::OutcomeUnknown { endpoint: endpoint.clone(), reason });
                }
            }
        }
        Err(nobody(tried))
    }

    /// How the cluster is.
    ///
    /// # Errors
    /// When nobody says.
    pub async fn status(&self) -> Result<Status, AdminError> {
        let mut tried = Vec::new();
        for endpoint in &self.endpoints {
            let answer = timeout(ADMIN_TIMEOUT, self.status_one(endpoint)).await;
            match answer.unwrap_or(Err(Attempt::Unanswered(Unanswered::TimedOut))) {
                Ok(status) => return Ok(status),
                Err(Attempt::Refused(refusal)) => return Err(refused(endpoint, refusal)),
                Err(Attempt::Unanswered(reason)) => tried.push((endpoint.clone(), reason)),
            }
        }
        Err(nobody(tried))
    }

    async fn order_one(&self, endpoint: &str, order: &Order) -> Result<(), Attempt> {
        let request = proto::OrderRequest { cluster: self.cluster(), order: Some(order.clone().into()) };
        connect(endpoint).await?.order(request).await?;
        Ok(())
    }

    async fn status_one(&self, endpoint: &str) -> Result<Status, Attempt> {
        let request = proto::GetStatusRequest { cluster: self.cluster() };
        let status = connect(endpoint).await?.get_status(request).await?.into_inner();
        status.try_into().map_err(|error| Attempt::Unanswered(Unanswered::Malformed(error)))
    }

    fn cluster(&self) -> bytes::Bytes {
        self.cluster.map(cluster_bytes).unwrap_or_default()
    }
}

async fn connect(address: &str) -> Result<Calls<Channel>, Attempt> {
    let unreached = |error: tonic::transport::Error| Attempt::Unanswered(Unanswered::Unreached(root_cause(&error)));
    let channel = endpoint(address).map_err(unreached)?.connect().await.map_err(unreached)?;
    Ok(Calls::new(channel).max_decoding_message_size(MESSAGE_BYTES))
}

fn refused(endpoint: &str, refusal: Refusal) -> AdminError {
    AdminError::Refused { endpoint: endpoint.to_owned(), refusal }
}

fn nobody(tried: Vec<(String, Unanswered)>) -> AdminError {
    if tried.is_empty() { AdminError::NoEndpoint } else { AdminError::NobodyLeads { tried } }
}

/// How one call ended without a result.
enum Attempt {
    /// A no that stays a no.
    Refused(Refusal),
    /// Another coordinator may know better.
    Unanswered(Unanswered),
}

impl From<tonic::Status> for Attempt {
    fn from(status: tonic::Status) -> Self {
        let message = || said(&status);
        match Refusal::from_status(&status) {
            Some(refusal @ (Refusal::NotLeading | Refusal::Stopping)) => Self::Unanswered(Unanswered::Declined(refusal)),
            Some(refusal) if refusal.kind() == Kind::NotExecuted => Self::Refused(refusal),
            None if never_left(&status) => Self::Unanswered(Unanswered::Unreached(message())),
            None if kind_of(&status) == Kind::NotExecuted => Self::Unanswered(Unanswered::Unreached(message())),
            Some(_) | None => Self::Unanswered(Unanswered::Lost(message())),
        }
    }
}
