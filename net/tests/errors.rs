//! The table of W9: what may be concluded from every error and from every gRPC code, with which code a refusal travels, and
//! that all of it arrives. The table is also a document: docs/errors.md.
#![cfg(not(madsim))]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use catena_core::client::{ClientError as MachineError, Failure, Obstacle};
use catena_core::{
    CallError, ChainVersion, ClusterId, Incarnation, Kind, Metadata, MismatchReason, NodeId, OrderError, RegisterError, Resource,
    Role, RoutingMismatch, Seq, Slot, WallTime,
};
use catena_net::admin::{AdminError, Unanswered};
use catena_net::client::ClientError;
use catena_net::convert::ConvertError;
use catena_net::coordination::{JoinError, Unreachable};
use catena_net::{Refusal, kind_of, kind_of_code};
use tonic::{Code, Status};

const SLOT: Slot = Slot(4);
/// Set, the document is written instead of compared.
const WRITE: &str = "CATENA_WRITE_DOCS";
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");

/// What an error says of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    NotExecuted,
    Unknown,
    /// As the error that it wraps.
    Wraps,
    /// It is of no call.
    Nothing,
}
use Says::{NotExecuted, Nothing, Unknown, Wraps};

/// One error, by example.
struct Row {
    name: String,
    text: String,
    says: Says,
    /// What the example's own `kind` is, if it has one.
    kind: Option<Kind>,
    /// As it travels.
    refusal: Option<(Refusal, Code)>,
}

/// The rows of one enum. A variant without a row does not compile, and a row whose example is of another variant fails.
/// Behind `=>`: an example, what it says, and the gRPC code of a refusal.
macro_rules! rows {
    ($error:ty, $kind:expr, $text:expr; $($pattern:pat => $example:expr, $says:expr $(, $code:ident)?;)+) => {{
        let _: fn(&$error) = |error| match error { $($pattern => {})+ };
        let kind: fn(&$error) -> Option<Kind> = $kind;
        let text: fn(&$error) -> String = $text;
        vec![$({
            let example: $error = $example;
            let name = name(stringify!($pattern));
            assert!(matches!(example, $pattern), "{name} has an example of something else");
            let (text, kind) = (text(&example), kind(&example));
            #[allow(unused_mut, unused_assignments, reason = "only refusals travel")]
            let mut refusal: Option<(Refusal, Code)> = None;
            $(refusal = Some((Refusal::from(example), Code::$code));)?
            Row { name, text, says: $says, kind, refusal }
        }),+]
    }};
}

/// `CallError::KeyTooLong { .. }` is called `KeyTooLong`; a kind that tells two rows apart is told by its column.
fn name(pattern: &str) -> String {
    let path = pattern.split(['{', '(']).next().unwrap_or(pattern);
    path.rsplit("::").next().unwrap_or(path).trim().to_owned()
}

fn node() -> NodeId {
    NodeId::new("n1").expect("a legal name")
}

fn host() -> String {
    "host:7400".to_owned()
}

fn calls() -> Vec<Row> {
    let (expected, current) = (ChainVersion(7), ChainVersion(8));
    let mismatch = RoutingMismatch { slot: SLOT, expected, current, role: Role::Joining, reason: MismatchReason::WrongVersion };
    let object = Metadata { version: Seq(3), created_at: WallTime(1), updated_at: WallTime(2) };
    let (slot, session, number) = (SLOT, Seq(9), 5);
    rows! { CallError, |error| Some(error.kind()), ToString::to_string;
        CallError::KeyEmpty => CallError::KeyEmpty, NotExecuted, InvalidArgument;
        CallError::KeyTooLong { .. } => CallError::KeyTooLong { len: 5000, limit: 4096 }, NotExecuted, InvalidArgument;
        CallError::ValueTooLarge { .. } => CallError::ValueTooLarge { len: 17, limit: 16 }, NotExecuted, InvalidArgument;
        CallError::UnknownSlot { .. } => CallError::UnknownSlot { slot, slots: 2 }, NotExecuted, InvalidArgument;
        CallError::Routing(_) => CallError::Routing(mismatch), NotExecuted, FailedPrecondition;
        CallError::NoLease { .. } => CallError::NoLease { slot }, NotExecuted, Unavailable;
        CallError::NotCaughtUp { .. } => CallError::NotCaughtUp { slot }, NotExecuted, Unavailable;
        CallError::DiskFull { .. } => CallError::DiskFull { slot }, NotExecuted, ResourceExhausted;
        CallError::ConditionFailed { object: None } => CallError::ConditionFailed { object: None }, NotExecuted, Aborted;
        CallError::ConditionFailed { object: Some(_) } =>
            CallError::ConditionFailed { object: Some(object) }, NotExecuted, Aborted;
        CallError::Backpressure { resource: Resource::SlotWrites, .. } =>
            backpressure(Resource::SlotWrites), NotExecuted, ResourceExhausted;
        CallError::Backpressure { resource: Resource::SlotBytes, .. } =>
            backpressure(Resource::SlotBytes), NotExecuted, ResourceExhausted;
        CallError::Backpressure { resource: Resource::NodeWrites, .. } =>
            backpressure(Resource::NodeWrites), NotExecuted, ResourceExhausted;
        CallError::Backpressure { resource: Resource::NodeBytes, .. } =>
            backpressure(Resource::NodeBytes), NotExecuted, ResourceExhausted;
        CallError::Backpressure { resource: Resource::SlotSessions, .. } =>
            backpressure(Resource::SlotSessions), NotExecuted, ResourceExhausted;
        CallError::Backpressure { resource: Resource::SessionWrites, .. } =>
            backpressure(Resource::SessionWrites), NotExecuted, ResourceExhausted;
        CallError::Backpressure { resource: Resource::NodeAnswers, .. } =>
            backpressure(Resource::NodeAnswers), NotExecuted, ResourceExhausted;
        CallError::OutcomeUnknown { .. } => CallError::OutcomeUnknown { slot }, Unknown, Unknown;
        CallError::SessionExpired { .. } => CallError::SessionExpired { slot, session }, Unknown, Unknown;
        CallError::AlreadyAnswered { .. } => CallError::AlreadyAnswered { slot, session, number }, Unknown, Unknown;
    }
}

fn backpressure(resource: Resource) -> CallError {
    CallError::Backpressure { slot: SLOT, resource, current: 9, limit: 8, retry_after: Duration::from_millis(20) }
}

/// What servers say besides: those that wrap others have their rows there.
fn refusals() -> Vec<Row> {
    let (given, here) = (ClusterId(1), ClusterId(2));
    let (problem, other) = ("entry.seq is 0".to_owned(), NodeId::new("n2").expect("a legal name"));
    rows! { Refusal, |refusal| Some(refusal.kind()), ToString::to_string;
        Refusal::Call(_) => CallError::KeyEmpty.into(), Wraps;
        Refusal::Register(_) => other_labels().into(), Wraps;
        Refusal::Order(_) => OrderError::NotOut { node: node() }.into(), Wraps;
        Refusal::NotLeading => Refusal::NotLeading, NotExecuted, Unavailable;
        Refusal::TooSlow => Refusal::TooSlow, NotExecuted, ResourceExhausted;
        Refusal::TimedOut { .. } => Refusal::TimedOut { waited_ms: 5000 }, Unknown, DeadlineExceeded;
        Refusal::Abandoned => Refusal::Abandoned, Unknown, Unknown;
        Refusal::Stopping => Refusal::Stopping, NotExecuted, Unavailable;
        Refusal::WrongCluster { .. } => Refusal::WrongCluster { given, here }, NotExecuted, FailedPrecondition;
        Refusal::WrongWireVersion { .. } => Refusal::WrongWireVersion { given: 1, here: 2 }, NotExecuted, FailedPrecondition;
        Refusal::WrongNode { .. } =>
            Refusal::WrongNode { expected: node(), found: other }, NotExecuted, FailedPrecondition;
        Refusal::MessageTooLarge { .. } => Refusal::MessageTooLarge { limit: 5 }, NotExecuted, InvalidArgument;
        Refusal::Malformed { .. } => Refusal::Malformed { problem }, NotExecuted, InvalidArgument;
    }
}

fn other_labels() -> RegisterError {
    RegisterError::OtherLabels { node: node(), recorded: "rack=r1".to_owned(), given: "rack=r2".to_owned() }
}

fn registrations() -> Vec<Row> {
    let taken = RegisterError::AddressTaken { node: node(), address: host(), taken_by: NodeId::new("n2").expect("valid") };
    let elsewhere = RegisterError::Elsewhere { node: node(), address: host(), incarnation: Incarnation(3) };
    rows! { RegisterError, |error| Some(Refusal::from(error.clone()).kind()), ToString::to_string;
        RegisterError::NotLeading => RegisterError::NotLeading, NotExecuted, Unavailable;
        RegisterError::Elsewhere { .. } => elsewhere, NotExecuted, FailedPrecondition;
        RegisterError::AddressTaken { .. } => taken, NotExecuted, FailedPrecondition;
        RegisterError::OtherLabels { .. } => other_labels(), NotExecuted, FailedPrecondition;
    }
}

fn orders() -> Vec<Row> {
    let unknown = OrderError::UnknownNode { node: node(), known: "n2, n3".to_owned() };
    let no_room = OrderError::NoRoom { slot: SLOT, node: node(), replicas: 3, possible: 2 };
    rows! { OrderError, |error| Some(Refusal::from(error.clone()).kind()), ToString::to_string;
        OrderError::NotLeading => OrderError::NotLeading, NotExecuted, Unavailable;
        OrderError::UnknownNode { .. } => unknown, NotExecuted, NotFound;
        OrderError::NoRoom { .. } => no_room, NotExecuted, FailedPrecondition;
        OrderError::LastCopy { .. } => OrderError::LastCopy { slot: SLOT, node: node() }, NotExecuted, FailedPrecondition;
        OrderError::NotOut { .. } => OrderError::NotOut { node: node() }, NotExecuted, FailedPrecondition;
    }
}

fn clients() -> Vec<Row> {
    let (endpoint, address, reason) = (host(), host(), "connection refused".to_owned());
    let failed = |kind| ClientError::Failed { node: node(), code: Code::Unavailable, message: "broken pipe".to_owned(), kind };
    let problem = ConvertError::Missing { field: "get_response.metadata" };
    rows! { ClientError, |error| Some(error.kind()), ToString::to_string;
        ClientError::Refused(_) => Refusal::Stopping.into(), Wraps;
        ClientError::NoRoute { .. } => ClientError::NoRoute { endpoint, reason: reason.clone() }, NotExecuted;
        ClientError::NoChain { .. } => ClientError::NoChain { slot: SLOT }, NotExecuted;
        ClientError::NoTurn { .. } => ClientError::NoTurn { slot: SLOT }, NotExecuted;
        ClientError::TooManyCalls { .. } => ClientError::TooManyCalls { limit: 1 }, NotExecuted;
        ClientError::Unreachable { .. } => ClientError::Unreachable { node: node(), address, reason }, NotExecuted;
        ClientError::Failed { kind: Kind::NotExecuted, .. } => failed(Kind::NotExecuted), NotExecuted;
        ClientError::Failed { kind: Kind::Unknown, .. } => failed(Kind::Unknown), Unknown;
        ClientError::Malformed { .. } => ClientError::Malformed { node: node(), problem }, Unknown;
        ClientError::TimedOut { .. } => ClientError::TimedOut { node: node(), limit: Duration::from_secs(1) }, Unknown;
        ClientError::Unsure { .. } => ClientError::Unsure { last: Box::new(ClientError::NoTime) }, Unknown;
        ClientError::NotSent { .. } => ClientError::NotSent { reason: Box::new(failed(Kind::Unknown)) }, NotExecuted;
        ClientError::NoTime => ClientError::NoTime, NotExecuted;
        ClientError::NoEndpoint => ClientError::NoEndpoint, NotExecuted;
    }
}

fn machines() -> Vec<Row> {
    let limit = Duration::from_secs(1);
    let rejected = MachineError::Failed { obstacle: failure(Failure::Rejected), kind: Kind::NotExecuted };
    let lost = MachineError::Failed { obstacle: failure(Failure::Lost), kind: Kind::Unknown };
    let late = |kind| MachineError::OutOfTime { limit, obstacle: None, kind };
    let refused = |kind| MachineError::Refused { error: CallError::KeyEmpty, kind };
    rows! { MachineError, |error| Some(error.kind()), ToString::to_string;
        MachineError::Refused { kind: Kind::NotExecuted, .. } => refused(Kind::NotExecuted), NotExecuted;
        MachineError::Refused { kind: Kind::Unknown, .. } => refused(Kind::Unknown), Unknown;
        MachineError::Failed { kind: Kind::NotExecuted, .. } => rejected, NotExecuted;
        MachineError::Failed { kind: Kind::Unknown, .. } => lost, Unknown;
        MachineError::OutOfTime { kind: Kind::NotExecuted, .. } => late(Kind::NotExecuted), NotExecuted;
        MachineError::OutOfTime { kind: Kind::Unknown, .. } => late(Kind::Unknown), Unknown;
        MachineError::Cancelled { kind: Kind::NotExecuted } => MachineError::Cancelled { kind: Kind::NotExecuted }, NotExecuted;
        MachineError::Cancelled { kind: Kind::Unknown } => MachineError::Cancelled { kind: Kind::Unknown }, Unknown;
        MachineError::TooManyCalls { .. } => MachineError::TooManyCalls { limit: 1 }, NotExecuted;
        MachineError::NoCoordinator => MachineError::NoCoordinator, NotExecuted;
    }
}

fn failure(failure: Failure) -> Obstacle {
    Obstacle::Failure { node: node(), failure }
}

fn failures() -> Vec<Row> {
    rows! { Failure, |error| Some(error.kind()), |error| failure(*error).to_string();
        Failure::NotConnected => Failure::NotConnected, NotExecuted;
        Failure::Lost => Failure::Lost, Unknown;
        Failure::TimedOut => Failure::TimedOut, Unknown;
        Failure::Rejected => Failure::Rejected, NotExecuted;
    }
}

fn admins() -> Vec<Row> {
    let refused = AdminError::Refused { endpoint: host(), refusal: OrderError::NotOut { node: node() }.into() };
    let tried = vec![(host(), Unanswered::Unreached("connection refused".to_owned()))];
    rows! { AdminError, |error| Some(error.kind()), ToString::to_string;
        AdminError::Refused { .. } => refused, Wraps;
        AdminError::OutcomeUnknown { .. } =>
            AdminError::OutcomeUnknown { endpoint: host(), reason: Unanswered::TimedOut }, Unknown;
        AdminError::NobodyLeads { .. } => AdminError::NobodyLeads { tried }, NotExecuted;
        AdminError::NoEndpoint => AdminError::NoEndpoint, NotExecuted;
    }
}

fn joins() -> Vec<Row> {
    let refused = JoinError::Refused { endpoint: host(), refusal: other_labels().into() };
    rows! { JoinError, |_| None, ToString::to_string;
        JoinError::Refused { .. } => refused, Nothing;
        JoinError::Unreachable { .. } => JoinError::Unreachable { endpoint: host(), reason: Unreachable::TimedOut }, Nothing;
        JoinError::NoEndpoint => JoinError::NoEndpoint, Nothing;
    }
}

/// Every gRPC code, with what it allows to conclude by itself.
fn codes() -> Vec<(Code, Says)> {
    macro_rules! codes {
        ($($code:ident),+) => {{
            let _: fn(Code) = |code| match code { $(Code::$code => {})+ };
            vec![$((Code::$code, Unknown)),+]
        }};
    }
    codes!(
        Ok,
        Cancelled,
        Unknown,
        InvalidArgument,
        DeadlineExceeded,
        NotFound,
        AlreadyExists,
        PermissionDenied,
        ResourceExhausted,
        FailedPrecondition,
        Aborted,
        OutOfRange,
        Unimplemented,
        Internal,
        Unavailable,
        DataLoss,
        Unauthenticated
    )
}

/// Every enum of errors that has to do with calls, by who reports it.
fn table() -> Vec<(&'static str, Vec<Row>)> {
    vec![
        ("What a node says to a call (`core::CallError`)", calls()),
        ("What any server says besides (`net::Refusal`)", refusals()),
        ("What a coordinator says to a node that registers (`core::RegisterError`)", registrations()),
        ("What a coordinator says to an operator's order (`core::OrderError`)", orders()),
        ("What the Rust client reports (`net::ClientError`)", clients()),
        ("What the client's machine reports to its driver (`core::client::ClientError`)", machines()),
        ("What becomes of one try without a node's word (`core::client::Failure`)", failures()),
        ("What the operator's client reports (`net::AdminError`)", admins()),
        ("Why a node is not let in (`net::coordination::JoinError`)", joins()),
    ]
}

#[test]
fn every_error_has_its_kind() {
    for (title, rows) in table() {
        for Row { name, says, kind, .. } in rows {
            match says {
                NotExecuted => assert_eq!(kind, Some(Kind::NotExecuted), "{name}: {title}"),
                Unknown => assert_eq!(kind, Some(Kind::Unknown), "{name}: {title}"),
                Wraps => assert!(kind.is_some(), "{name}: {title}"),
                Nothing => assert_eq!(kind, None, "{name}: {title}"),
            }
        }
    }
}

#[test]
fn every_refusal_arrives_with_its_kind_its_code_and_every_field() {
    for Row { name, kind, refusal, .. } in table().into_iter().flat_map(|(_, rows)| rows) {
        let Some((refusal, code)) = refusal else { continue };
        assert_eq!((Some(refusal.kind()), refusal.code()), (kind, code), "{name}");
        let status = Status::from(refusal.clone());
        assert_eq!((Some(kind_of(&status)), status.code()), (kind, code), "{name}");
        assert_eq!(status.message(), refusal.to_string());
        assert_eq!(Refusal::from_status(&status), Some(refusal));
    }
}

/// Whoever does not look at the details, a proxy or a client in another language, must not be led to repeat a call whose
/// outcome is unknown: it repeats what is unavailable, exhausted or aborted.
#[test]
fn no_unknown_outcome_has_a_code_that_is_retried_by_habit() {
    for Row { name, says, refusal, .. } in table().into_iter().flat_map(|(_, rows)| rows) {
        let Some((_, code)) = refusal else { continue };
        let retried = matches!(code, Code::Unavailable | Code::ResourceExhausted | Code::Aborted);
        assert!(says == NotExecuted || !retried, "{name}");
    }
}

#[test]
fn every_grpc_code_has_its_kind() {
    let codes = codes();
    assert_eq!(codes.len(), 17, "gRPC has the codes 0 to 16");
    for (code, says) in codes {
        assert_eq!(says, Unknown, "no code alone says that a call was not executed");
        assert_eq!(kind_of_code(code), Kind::Unknown, "{code:?}");
        assert_eq!(kind_of(&Status::new(code, "from a proxy")), Kind::Unknown, "{code:?}");
    }
}

#[test]
fn the_document_is_up_to_date() {
    let document = document();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(DOCUMENT, document).expect("docs/ can be written");
        return;
    }
    let found = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
    let stale = found.lines().zip(document.lines()).find(|(found, wanted)| found != wanted);
    assert!(
        found == document,
        "docs/errors.md is not up to date (first difference: {stale:?}): \
         write it anew with {WRITE}=1 cargo test --release -p catena-net --test errors"
    );
}

fn document() -> String {
    let mut out = format!(
        "# Errors\n\n\
         Every error of a call says what may be concluded (W9 in [protocol.md](protocol.md)): after `NotExecuted` it may be repeated \
         anywhere; after `Unknown` only under the same session and number, or once a read has shown what became of it. A dash: it \
         is of no call, or does not travel. The messages are examples.\n\n\
         Written by `{WRITE}=1 cargo test --release -p catena-net --test errors`, and walked by the tests in \
         `net/tests/errors.rs`.\n"
    );
    let table = table();
    for (title, rows) in &table {
        let _ = write!(out, "\n## {title}\n\n| error | message | kind | gRPC code |\n|---|---|---|---|\n");
        for row in rows {
            let code = row.refusal.as_ref().map_or_else(|| "—".to_owned(), |(_, code)| format!("{code:?}"));
            let _ = writeln!(out, "| {} | {} | {} | {code} |", row.name, row.text.replace('|', "\\|"), says(row.says));
        }
    }
    let _ =
        write!(out, "\n## A gRPC status without our details\n\n| code | kind | our own that travel with it |\n|---|---|---|\n");
    let mut ours: BTreeMap<i32, Vec<&str>> = BTreeMap::new();
    for row in table.iter().flat_map(|(_, rows)| rows) {
        let names = row.refusal.as_ref().map(|(_, code)| ours.entry(i32::from(*code)).or_default());
        if let Some(names) = names.filter(|names| !names.contains(&row.name.as_str())) {
            names.push(&row.name);
        }
    }
    for (code, kind) in codes() {
        let names = ours.get(&i32::from(code)).map_or_else(|| "—".to_owned(), |names| names.join(", "));
        let _ = writeln!(out, "| {} {code:?} | {} | {names} |", i32::from(code), says(kind));
    }
    out
}

fn says(says: Says) -> &'static str {
    match says {
        NotExecuted => "`NotExecuted`",
        Unknown => "`Unknown`",
        Wraps => "as what it wraps",
        Nothing => "—",
    }
}
