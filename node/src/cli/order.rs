//! `catena node drain`, `evict` and `readmit`: an order, and the wait until it is carried out.

use std::time::Duration;

use catena_core::{Chain, Health, NodeId, NodeStatus, Order, Standing, Status, StoredNode, Wait};
use catena_net::admin::AdminClient;
use tokio::time::{Instant, sleep, timeout_at};

use super::arguments::{NodeOrder, OrderArguments};
use super::exit::{self, Exit, fail};
use super::output::{complain, say};
use super::status;
use super::stop::Interrupts;

/// Between two looks at how far it is.
const PAUSE: Duration = Duration::from_millis(100);
/// How long to look for a coordinator that takes the order.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is ordered, and of whom.
#[derive(Clone, Debug)]
struct Wish {
    order: Order,
    node: NodeId,
    verb: &'static str,
    done: &'static str,
}

/// How far an order has come.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    Done,
    /// What is still to be done, for people.
    Going(String),
    /// Somebody has ordered something else meanwhile.
    Overruled,
}

pub(super) async fn run(order: NodeOrder) -> Exit {
    let (wish, arguments) = wish(order);
    let mut interrupts = match Interrupts::new() {
        Ok(interrupts) => interrupts,
        Err(error) => return fail(&format!("cannot watch for signals: {error}"), Exit::Error),
    };
    let deadline = Instant::now() + arguments.timeout;
    let admin = AdminClient::new(arguments.ask.endpoints, None);
    // Found first: an order that is sent twice may be refused the second time.
    if let Err(error) = status::ask(&admin, arguments.timeout.min(PATIENCE)).await {
        return fail(&error.to_string(), exit::of_order(&error));
    }
    if let Err(error) = admin.order(&wish.order).await {
        return fail(&error.to_string(), exit::of_order(&error));
    }
    let mut left = String::new();
    let carried_out = tokio::select! {
        carried_out = timeout_at(deadline, carry_out(&admin, &wish, &mut left)) => carried_out.map_err(|_| "not carried out in time"),
        () = interrupts.next() => Err("interrupted"),
    };
    carried_out.unwrap_or_else(|why| stands(&wish, why, &left))
}

fn wish(order: NodeOrder) -> (Wish, OrderArguments) {
    let (order, verb, done, arguments): (fn(NodeId) -> Order, _, _, _) = match order {
        NodeOrder::Drain(arguments) => (Order::Drain, "drain", "is drained: it holds nothing any more", arguments),
        NodeOrder::Evict(arguments) => (Order::Evict, "evict", "is evicted: it is in no chain any more", arguments),
        NodeOrder::Readmit(arguments) => {
            (Order::Readmit, "readmit", "takes part again: no chain waits for a copy that it could have", arguments)
        }
    };
    let node = arguments.id.clone();
    (Wish { order: order(node.clone()), node, verb, done }, arguments)
}

/// `left`: what was still to be done, as far as that was heard.
fn stands(wish: &Wish, why: &str, left: &str) -> Exit {
    let Wish { node, verb, .. } = wish;
    let undo = match wish.order {
        Order::Drain(_) | Order::Evict(_) => format!("; take it back with: catena node readmit {node}"),
        Order::Readmit(_) => String::new(),
    };
    let left = if left.is_empty() { String::new() } else { format!(" ({left})") };
    fail(&format!("{why}{left}: the order to {verb} {node} stands, and goes on; see catena status{undo}"), Exit::Unknown)
}

/// Waits for as long as it takes, and says how far it is: `said` is the last of it.
async fn carry_out(admin: &AdminClient, wish: &Wish, said: &mut String) -> Exit {
    loop {
        // A coordinator that is away comes back, and knows of the order.
        if let Ok(status) = admin.status().await {
            match progress(wish, &status) {
                Progress::Done => {
                    say(&format!("{} {}", wish.node, wish.done));
                    return Exit::Ok;
                }
                Progress::Overruled => {
                    let Wish { node, verb, .. } = wish;
                    return fail(&format!("the order to {verb} {node} was overruled by another: see catena status"), Exit::Error);
                }
                Progress::Going(left) if left != *said => {
                    complain(&format!("{}: {left}", wish.node));
                    *said = left;
                }
                Progress::Going(_) => {}
            }
        }
        sleep(PAUSE).await;
    }
}

fn progress(wish: &Wish, status: &Status) -> Progress {
    let Some(node) = status.nodes.iter().find(|node| node.stored.record.node == wish.node) else {
        return Progress::Overruled;
    };
    let standing = node.stored.standing;
    match (&wish.order, standing) {
        // One that was evicted is on its way out already.
        (Order::Drain(_), Standing::Draining | Standing::Evicted { .. }) | (Order::Evict(_), Standing::Evicted { .. }) => {
            leaving(node, status)
        }
        (Order::Readmit(_), Standing::Member) => returning(node, status),
        (Order::Drain(_) | Order::Evict(_) | Order::Readmit(_), _) => Progress::Overruled,
    }
}

/// Whether the node is in no chain any more.
fn leaving(node: &NodeStatus, status: &Status) -> Progress {
    let left = node.replicas + node.joining;
    if left == 0 {
        return Progress::Done;
    }
    let id = &node.stored.record.node;
    let mut its = status.chains.iter().filter(|chain| chain.replicas().any(|replica| replica.node == *id));
    let held_up = its.find_map(|chain| status.waits.get(&chain.slot).filter(|wait| holds_up(**wait)));
    let why = held_up.map(|wait| format!(" ({})", status::explained(*wait))).unwrap_or_default();
    Progress::Going(format!("{} still to go{why}", slots(left as usize)))
}

/// Whether the node is there, and has what it can have.
fn returning(node: &NodeStatus, status: &Status) -> Progress {
    match node.health {
        Health::Healthy => {}
        Health::Suspect => return Progress::Going("it does not answer just now".to_owned()),
        Health::Unheard | Health::Dead | Health::Stopped => {
            return Progress::Going("its process is not running: start it".to_owned());
        }
    }
    let fills = |chain: &&Chain| status.waits.get(&chain.slot).is_some_and(|wait| may_fill(node, chain, *wait, status));
    match status.chains.iter().filter(fills).count() {
        0 => Progress::Done,
        left => Progress::Going(format!("{} still to be filled", slots(left))),
    }
}

/// Whether a chain that waits has this node's copy in the making, or may yet come to ask for it.
fn may_fill(node: &NodeStatus, chain: &Chain, wait: Wait, status: &Status) -> bool {
    let id = &node.stored.record.node;
    match (&chain.joining, chain.position(id)) {
        (Some(joining), _) => joining.node == *id,
        (None, Some(_)) => !chain.tail_ready && chain.tail().node == *id,
        (None, None) => match wait {
            Wait::Joining | Wait::Fencing | Wait::Turn => true,
            // As of the last look at the chain, which may have been before this node was readmitted.
            Wait::NoCandidate => fits(node, chain, status),
            Wait::LastCopy | Wait::Restrained | Wait::Absence => false,
        },
    }
}

/// Whether no member that stays in a chain is in one of this node's failure domains.
fn fits(node: &NodeStatus, chain: &Chain, status: &Status) -> bool {
    let labels = &node.stored.record.labels;
    let stays = |member: &&StoredNode| member.standing == Standing::Member && chain.position(&member.record.node).is_some();
    let members = status.nodes.iter().map(|node| &node.stored).filter(stays);
    members.flat_map(|member| &member.record.labels).all(|(key, value)| labels.get(key) != Some(value))
}

/// Whether waiting alone does not end it.
fn holds_up(wait: Wait) -> bool {
    match wait {
        Wait::NoCandidate | Wait::LastCopy | Wait::Restrained | Wait::Absence => true,
        Wait::Joining | Wait::Fencing | Wait::Turn => false,
    }
}

fn slots(count: usize) -> String {
    if count == 1 { "1 slot".to_owned() } else { format!("{count} slots") }
}
