//! The stream to the coordinator, kept up by a task of its own: when it is lost, every endpoint is tried in turn, with a
//! growing, random wait between the rounds.

use std::time::Duration;

use catena_core::{Decisions, HeartbeatAnswer, NodeId, RegisterError, mutant};
use catena_net::Refusal;
use catena_net::coordination::{self, FromCoordinator, Heartbeats, JoinError, Joined, Register, Registered};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{info, warn};

use super::NodeError;
use crate::task::Owned;

/// Between the first rounds; doubled after each.
const FIRST_WAIT: Duration = Duration::from_millis(20);
/// A coordinator that comes back gives its nodes little more than `dead_after` to be heard (C5).
const LONGEST_WAIT: Duration = Duration::from_millis(200);
/// Before the first complaint that nobody lets the node in, and between two.
const PATIENCE: Duration = Duration::from_secs(1);
const COMPLAINT: Duration = Duration::from_secs(5);
/// How long another process of this node's name may be taken for alive before this one gives up: longer than a lease and
/// the time in which a dead node is found out, so that a node which starts again elsewhere comes in.
const NAMESAKE_PATIENCE: Duration = Duration::from_secs(5);
/// Answers that may wait for the driver. One is under way at most, unless the driver is slow.
const ANSWERS: usize = 16;

/// What happens on the stream.
#[derive(Debug)]
pub(super) enum UplinkEvent {
    /// There is a new one, on which heartbeats go out.
    Up(Heartbeats),
    /// The coordinator answers one.
    Answer(HeartbeatAnswer),
    /// The coordinator has decided something.
    Decided(Decisions),
    /// It is lost; a new one is being sought.
    Lost,
    /// The coordinator will not have this node.
    Ended(NodeError),
}

/// The task that keeps the stream up. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Uplink {
    pub(super) events: mpsc::Receiver<UplinkEvent>,
    _task: Owned<()>,
}

impl Uplink {
    /// Joins the cluster, however long it takes to find a coordinator, and then keeps the stream up.
    pub(super) async fn join(endpoints: Vec<String>, register: Register) -> Result<(Self, Registered), NodeError> {
        let joined = join(&endpoints, &register).await?;
        let registered = joined.registered;
        let (sender, events) = mpsc::channel(ANSWERS);
        // From here on the cluster is known, whether or not it was at the start.
        let register = Register { cluster: Some(registered.cluster), ..register };
        let task = Owned::spawn(keep_up(endpoints, register, joined, sender));
        Ok((Self { events, _task: task }, registered))
    }
}

async fn keep_up(endpoints: Vec<String>, register: Register, mut joined: Joined, events: mpsc::Sender<UplinkEvent>) {
    // A closed channel ends the task: the driver has gone.
    loop {
        if follow(&register.node.node, joined, &events).await.is_err() {
            return;
        }
        if mutant!(CoordinatorNotSought) {
            std::future::pending::<()>().await;
        }
        joined = match join(&endpoints, &register).await {
            Ok(joined) => joined,
            Err(error) => {
                let _ = events.send(UplinkEvent::Ended(error)).await;
                return;
            }
        };
    }
}

/// Passes on what the coordinator says until the stream is lost. `Err`: the driver has gone.
async fn follow(
    node: &NodeId,
    joined: Joined,
    events: &mpsc::Sender<UplinkEvent>,
) -> Result<(), mpsc::error::SendError<UplinkEvent>> {
    let Joined { heartbeats, mut answers, .. } = joined;
    events.send(UplinkEvent::Up(heartbeats)).await?;
    loop {
        match answers.next().await {
            Ok(FromCoordinator::Answer(answer)) => events.send(UplinkEvent::Answer(answer)).await?,
            Ok(FromCoordinator::Decided(decisions)) => events.send(UplinkEvent::Decided(decisions)).await?,
            Err(error) => {
                info!(component = "node", node_id = %node, %error, "lost the coordinator");
                return events.send(UplinkEvent::Lost).await;
            }
        }
    }
}

/// Tries every endpoint, round after round, until a coordinator lets the node in or refuses it for good.
async fn join(endpoints: &[String], register: &Register) -> Result<Joined, NodeError> {
    let node = &register.node.node;
    let began = Instant::now();
    let (mut wait, mut complaint) = (FIRST_WAIT, began + PATIENCE);
    let mut namesake = Namesake::default();
    loop {
        let error = match coordination::join(endpoints, register).await {
            Ok(joined) => return Ok(joined),
            Err(error) => error,
        };
        if namesake.outlasts_patience(&error, Instant::now()) || is_final(&error) {
            return Err(NodeError::Refused { node: node.clone(), source: Box::new(error) });
        }
        if Instant::now() >= complaint {
            complaint = Instant::now() + COMPLAINT;
            warn!(component = "node", node_id = %node, %error, "no coordinator lets this node in yet");
        }
        tokio::time::sleep(jittered(wait)).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Another process that is taken for this node.
#[derive(Debug, Default)]
struct Namesake {
    /// Since when coordinators have said so, without a break.
    since: Option<Instant>,
}

impl Namesake {
    /// Whether it is, as `error` says now, for too long. A coordinator that was away counts anew for how long it has not heard
    /// that process.
    fn outlasts_patience(&mut self, error: &JoinError, now: Instant) -> bool {
        self.since = is_taken(error).then(|| self.since.unwrap_or(now));
        self.since.is_some_and(|since| now - since >= NAMESAKE_PATIENCE)
    }
}

/// Whether another process is taken for alive that has this node's name or address: it may be this node's own, before it died.
fn is_taken(error: &JoinError) -> bool {
    let JoinError::Refused { refusal: Refusal::Register(reason), .. } = error else { return false };
    matches!(reason, RegisterError::Elsewhere { .. } | RegisterError::AddressTaken { .. })
}

/// Whether another try ends the same.
fn is_final(error: &JoinError) -> bool {
    let JoinError::Refused { refusal, .. } = error else { return false }; // nobody has said anything
    !is_taken(error) && *refusal != Refusal::Register(RegisterError::NotLeading)
}

/// Between a half of `wait` and all of it, so that nodes that lost their coordinator together do not all come back at once.
fn jittered(wait: Duration) -> Duration {
    let random = getrandom::u32().expect("the system gives random numbers");
    wait.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use catena_core::Incarnation;
    use catena_net::coordination::Unreachable;

    use super::*;

    /// A node whose disk was wiped starts while its coordinator is away, which then takes the process before it for alive.
    #[test]
    fn a_namesake_is_waited_for_from_when_a_coordinator_says_that_it_lives() {
        let endpoint = || "c1:7000".to_owned();
        let away = JoinError::Unreachable { endpoint: endpoint(), reason: Unreachable::TimedOut };
        let (node, incarnation) = (NodeId::new("n1").expect("a name"), Incarnation(1));
        let lives = RegisterError::Elsewhere { node, address: "n1:7001".to_owned(), incarnation };
        let taken = JoinError::Refused { endpoint: endpoint(), refusal: Refusal::Register(lives) };
        let began = Instant::now();
        let mut namesake = Namesake::default();
        let mut outlasts = |error: &JoinError, after: Duration| namesake.outlasts_patience(error, began + after);
        let (hour, moment) = (Duration::from_hours(1), Duration::from_millis(1));
        assert!(!outlasts(&away, Duration::ZERO));
        assert!(!outlasts(&taken, hour + moment), "nobody has been able to say so before");
        assert!(!outlasts(&taken, hour + NAMESAKE_PATIENCE));
        assert!(!outlasts(&away, hour + NAMESAKE_PATIENCE), "the coordinator starts again");
        assert!(!outlasts(&taken, hour + NAMESAKE_PATIENCE + moment), "and counts anew");
        assert!(outlasts(&taken, hour + NAMESAKE_PATIENCE * 2 + moment));
    }
}
