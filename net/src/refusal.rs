//! Typed refusals: what a Catena server says no with, and what may be concluded from a status that is none (W9).

use bytes::Bytes;
use catena_core::{CallError, ClusterId, Kind, NodeId, OrderError, RegisterError};
use prost::Message;
use tonic::{Code, Status};

use crate::convert::ConvertError;
use crate::proto;

/// A no, with its reason. Travels as a gRPC status whose details are a `catena.v1.ErrorDetail`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The node's machine refuses the call, or does not know its outcome.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The coordinator does not let the node in. Never because it does not lead: that is [`Refusal::NotLeading`].
    #[error(transparent)]
    Register(RegisterError),
    /// The coordinator does not take the order. Never because it does not lead: that is [`Refusal::NotLeading`].
    #[error(transparent)]
    Order(OrderError),
    /// The coordinator that was asked does not lead.
    #[error("this coordinator does not lead: ask the others")]
    NotLeading,
    /// A watcher of the route does not read its changes.
    #[error("the route changes faster than this watcher reads: watch anew, the whole route comes first")]
    TooSlow,
    /// The node has had the call and has not answered it in time.
    #[error("no outcome after {waited_ms} ms: it may have been done, or may yet be; read before you repeat it")]
    TimedOut {
        /// How long it has had it, in milliseconds.
        waited_ms: u64,
    },
    /// The process stopped while it had the call.
    #[error("the node stopped before it answered: it may have been done, or may yet be; read before you repeat it")]
    Abandoned,
    /// The process is stopping and has taken no notice of the call.
    #[error("this process is stopping: retry, it was not executed")]
    Stopping,
    /// The caller means another cluster.
    #[error("the call is for cluster {given}, this is cluster {here}: check the endpoints and the data directory")]
    WrongCluster {
        /// Which the caller means.
        given: ClusterId,
        /// Which this is.
        here: ClusterId,
    },
    /// The other side speaks another version of the protocol.
    #[error("wire version {given} was offered, this process speaks {here}: upgrade the older of the two")]
    WrongWireVersion {
        /// What was offered.
        given: u32,
        /// What this process speaks.
        here: u32,
    },
    /// A link does not end where it should.
    #[error("this link is for node {expected}, but {found} answers: check the nodes' addresses")]
    WrongNode {
        /// Who was expected.
        expected: NodeId,
        /// Who it is.
        found: NodeId,
    },
    /// The request is so large that it is not even read.
    #[error("the request has over {limit} bytes, more than this process reads at all: split the value over several keys")]
    MessageTooLarge {
        /// What it reads, in bytes.
        limit: u64,
    },
    /// The request is not valid.
    #[error("malformed request: {problem}")]
    Malformed {
        /// What is wrong, naming the field.
        problem: String,
    },
}

impl Refusal {
    /// What the caller may conclude.
    pub fn kind(&self) -> Kind {
        self.verdict().0
    }

    /// The gRPC code that foreign clients know best what to do with.
    pub fn code(&self) -> Code {
        self.verdict().1
    }

    /// The table of W9. A call whose outcome is unknown has a code after which no client repeats it by itself.
    fn verdict(&self) -> (Kind, Code) {
        use Kind::{NotExecuted, Unknown};
        match self {
            Refusal::Call(error) => (error.kind(), call_code(error)),
            Refusal::TimedOut { .. } => (Unknown, Code::DeadlineExceeded),
            Refusal::Abandoned => (Unknown, Code::Unknown),
            Refusal::Stopping | Refusal::NotLeading => (NotExecuted, Code::Unavailable),
            Refusal::TooSlow => (NotExecuted, Code::ResourceExhausted),
            Refusal::Order(OrderError::UnknownNode { .. }) => (NotExecuted, Code::NotFound),
            Refusal::Register(RegisterError::NotLeading) | Refusal::Order(OrderError::NotLeading) => {
                Refusal::NotLeading.verdict()
            }
            Refusal::Register(
                RegisterError::Elsewhere { .. } | RegisterError::AddressTaken { .. } | RegisterError::OtherLabels { .. },
            )
            | Refusal::Order(OrderError::NoRoom { .. } | OrderError::LastCopy { .. } | OrderError::NotOut { .. })
            | Refusal::WrongCluster { .. }
            | Refusal::WrongWireVersion { .. }
            | Refusal::WrongNode { .. } => (NotExecuted, Code::FailedPrecondition),
            Refusal::MessageTooLarge { .. } | Refusal::Malformed { .. } => (NotExecuted, Code::InvalidArgument),
        }
    }

    /// The refusal that a status carries; `None` if it does not come from a Catena server, or from one that knows
    /// reasons that this process does not.
    pub fn from_status(status: &Status) -> Option<Self> {
        if status.details().is_empty() {
            return None;
        }
        let detail = proto::ErrorDetail::decode(status.details()).ok()?;
        detail.try_into().ok()
    }
}

fn call_code(error: &CallError) -> Code {
    match error {
        CallError::KeyEmpty | CallError::KeyTooLong { .. } | CallError::ValueTooLarge { .. } | CallError::UnknownSlot { .. } => {
            Code::InvalidArgument
        }
        CallError::Routing(_) => Code::FailedPrecondition,
        CallError::NoLease { .. } | CallError::NotCaughtUp { .. } => Code::Unavailable,
        CallError::ConditionFailed { .. } => Code::Aborted,
        CallError::Backpressure { .. } | CallError::DiskFull { .. } => Code::ResourceExhausted,
        CallError::OutcomeUnknown { .. } | CallError::SessionExpired { .. } | CallError::AlreadyAnswered { .. } => Code::Unknown,
    }
}

impl From<RegisterError> for Refusal {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::NotLeading => Refusal::NotLeading,
            RegisterError::Elsewhere { .. } | RegisterError::AddressTaken { .. } | RegisterError::OtherLabels { .. } => {
                Refusal::Register(error)
            }
        }
    }
}

impl From<OrderError> for Refusal {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::NotLeading => Refusal::NotLeading,
            OrderError::UnknownNode { .. }
            | OrderError::NoRoom { .. }
            | OrderError::LastCopy { .. }
            | OrderError::NotOut { .. } => Refusal::Order(error),
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = (refusal.code(), refusal.to_string());
        Status::with_details(code, message, Bytes::from(proto::ErrorDetail::from(refusal).encode_to_vec()))
    }
}

impl From<Refusal> for proto::Refused {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = (refusal.code().into(), refusal.to_string());
        Self { code, message, detail: Some(refusal.into()) }
    }
}

impl From<proto::Refused> for Status {
    fn from(refused: proto::Refused) -> Self {
        let proto::Refused { code, message, detail } = refused;
        Status::with_details(code.into(), message, Bytes::from(detail.unwrap_or_default().encode_to_vec()))
    }
}

impl From<ConvertError> for Refusal {
    fn from(error: ConvertError) -> Self {
        Refusal::Malformed { problem: error.to_string() }
    }
}

impl From<ConvertError> for Status {
    fn from(error: ConvertError) -> Self {
        Refusal::from(error).into()
    }
}

/// What may be concluded from a status (W9): the kind that it states, else what its code alone allows.
pub fn kind_of(status: &Status) -> Kind {
    let stated = proto::ErrorDetail::decode(status.details()).ok().filter(|_| !status.details().is_empty());
    match stated.map(|detail| detail.kind()) {
        Some(proto::Kind::NotExecuted) => Kind::NotExecuted,
        Some(proto::Kind::Unknown) => Kind::Unknown,
        Some(proto::Kind::Unspecified) | None => kind_of_code(status.code()),
    }
}

/// What may be concluded from a gRPC code alone, of a call that may have left: nothing, whichever it is. A refusal of
/// ours has details, and a failed connect is found before this is asked.
#[expect(clippy::match_same_arms, reason = "a table: the arms differ in why")]
pub fn kind_of_code(code: Code) -> Kind {
    match code {
        // A deadline: tonic says Cancelled ("Timeout expired"), others DeadlineExceeded. The node may still be at it.
        Code::Cancelled | Code::DeadlineExceeded => Kind::Unknown,
        // A lost connection or a reset stream, in tonic's and in other implementations' words; an end in the middle of
        // an answer can be any of these.
        Code::Unavailable | Code::Internal | Code::Unknown | Code::Aborted | Code::DataLoss | Code::OutOfRange => Kind::Unknown,
        // Not from us: a proxy that may have handed the call on.
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Unimplemented
        | Code::Unauthenticated => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_alone_says_that_a_call_was_not_executed() {
        for number in 0..=16 {
            let code = Code::from_i32(number);
            assert_eq!(i32::from(code), number, "gRPC has the codes 0 to 16");
            assert_eq!(kind_of_code(code), Kind::Unknown, "{code:?}");
        }
    }

    #[test]
    fn a_status_without_our_details_goes_by_its_code() {
        assert_eq!(kind_of(&Status::unavailable("connection reset")), Kind::Unknown);
        assert_eq!(kind_of(&Status::cancelled("Timeout expired")), Kind::Unknown);
        assert_eq!(kind_of(&Status::with_details(Code::Internal, "?", Bytes::from_static(b"\xff\xff"))), Kind::Unknown);
        assert_eq!(Refusal::from_status(&Status::unavailable("no")), None);
    }

    #[test]
    fn a_reason_from_the_future_still_states_its_kind() {
        let mut details = proto::ErrorDetail { kind: proto::Kind::NotExecuted.into(), reason: None }.encode_to_vec();
        details.extend_from_slice(&[0xa2, 0x06, 0x00]); // field 100, an empty message
        let status = Status::with_details(Code::Unavailable, "a reason of a later version", Bytes::from(details));
        assert_eq!(Refusal::from_status(&status), None);
        assert_eq!(kind_of(&status), Kind::NotExecuted);
    }
}
