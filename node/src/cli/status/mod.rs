//! `catena status`: how the cluster is, once or with every change.

mod json;
mod table;

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::time::Duration;

use catena_core::Status;
use catena_net::admin::{AdminClient, AdminError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::time::{Instant, sleep, timeout};

use super::arguments::{StatusArguments, ViewFormat};
use super::exit::{self, Exit, fail};
use super::output::{complain, write};
use crate::words;

pub(crate) use crate::words::explained;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two tries to find a coordinator that leads.
const RETRY: Duration = Duration::from_millis(50);
/// Clears a terminal, and goes to its top.
const CLEAR: &str = "\x1b[2J\x1b[H";

pub(super) async fn run(arguments: StatusArguments) -> Exit {
    let admin = AdminClient::new(arguments.ask.endpoints, None);
    let first = match ask(&admin, arguments.timeout).await {
        Ok(status) => status,
        Err(error) => return fail(&error.to_string(), exit::of_order(&error)),
    };
    if let Err(exit) = print(arguments.output, "", &first) {
        return exit;
    }
    if arguments.watch { watch(&admin, arguments.output, first).await } else { Exit::Ok }
}

/// Asks until a coordinator answers, for so long.
///
/// # Errors
/// What the last try came to.
pub(super) async fn ask(admin: &AdminClient, patience: Duration) -> Result<Status, AdminError> {
    let deadline = Instant::now() + patience;
    let mut last = admin.unanswered();
    while let Ok(asked) = timeout(deadline - Instant::now(), admin.status()).await {
        match asked {
            Err(error @ AdminError::NobodyLeads { .. }) => last = error,
            asked => return asked,
        }
        if deadline - Instant::now() <= RETRY {
            return Err(last);
        }
        sleep(RETRY).await;
    }
    Err(last)
}

/// Whether a coordinator answered the last time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    Yes,
    No,
}

/// Prints what changes, until nobody reads it any more.
async fn watch(admin: &AdminClient, format: ViewFormat, mut last: Status) -> Exit {
    let clear = if format == ViewFormat::Table && io::stdout().is_terminal() { CLEAR } else { "\n" };
    let clear = if format == ViewFormat::Json { "" } else { clear };
    let mut reached = Reached::Yes;
    loop {
        sleep(PAUSE).await;
        let asked = admin.status().await;
        if nobody_reads() {
            return Exit::Ok;
        }
        match asked {
            Ok(status) => {
                if std::mem::replace(&mut reached, Reached::Yes) == Reached::No {
                    complain("catena: the coordinator answers again");
                } else if status == last {
                    continue;
                }
                if let Err(exit) = print(format, clear, &status) {
                    return exit;
                }
                last = status;
            }
            Err(error) => {
                if std::mem::replace(&mut reached, Reached::No) == Reached::Yes {
                    complain(&format!("catena: {error}; trying again"));
                }
            }
        }
    }
}

/// Whether standard output is a pipe whose other end is closed, as in `catena status --watch | head -1`: it shows without
/// writing, so that a cluster in which nothing happens is not watched for ever.
fn nobody_reads() -> bool {
    let stdout = io::stdout();
    let mut state = [PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::empty())];
    poll(&mut state, Some(&Timespec::default())).is_ok() && state[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

fn print(format: ViewFormat, before: &str, status: &Status) -> Result<(), Exit> {
    let text = match format {
        ViewFormat::Table => table::table(status),
        ViewFormat::Json => json::line(status) + "\n",
    };
    write(&format!("{before}{text}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use catena_core::{
        Chain, ChainVersion, Epoch, Eviction, Health, Incarnation, Member, NodeId, NodeRecord, NodeStatus, Slot, Standing,
        StoredNode, Wait, WallTime,
    };

    use super::*;

    fn node(id: &str, health: Health, standing: Standing) -> NodeStatus {
        let record = NodeRecord {
            node: NodeId::new(id).unwrap(),
            incarnation: Incarnation(1),
            address: format!("{id}.example:7401"),
            labels: BTreeMap::from([("rack".to_owned(), "r1".to_owned())]),
        };
        let stored = StoredNode { record, standing, flaps: Vec::new(), evictions: 0 };
        NodeStatus { stored, health, heads: 1, tails: 2, replicas: 3, joining: 4 }
    }

    fn member(id: &str) -> Member {
        Member { node: NodeId::new(id).unwrap(), incarnation: Incarnation(1), activated: ChainVersion(1) }
    }

    fn status(slots: u32) -> Status {
        let chain = |slot| Chain {
            slot: Slot(slot),
            version: ChainVersion(3),
            epoch: Epoch(2),
            members: vec![member("n1"), member("n2")],
            tail_ready: slot > 0,
            joining: (slot == 0).then(|| member("n3")),
        };
        let evicted = Standing::Evicted { reason: Eviction::Flapping, at: WallTime(5) };
        Status {
            epoch: Epoch(2),
            nodes: vec![node("n1", Health::Healthy, Standing::Member), node("n3", Health::Dead, evicted)],
            chains: (0..slots).map(chain).collect(),
            waits: BTreeMap::from([(Slot(0), Wait::Joining)]),
        }
    }

    #[test]
    fn a_status_is_one_line_of_json() {
        let expected = concat!(
            r#"{"nodes":[{"id":"n1","health":"healthy","standing":"member","address":"n1.example:7401","labels":{"rack":"r1"},"#,
            r#""heads":1,"tails":2,"replicas":3,"joining":4,"flaps":0},"#,
            r#"{"id":"n3","health":"dead","standing":"evicted-flapping","address":"n3.example:7401","labels":{"rack":"r1"},"#,
            r#""heads":1,"tails":2,"replicas":3,"joining":4,"flaps":0}],"#,
            r#""chains":[{"slot":0,"version":3,"members":["n1","n2"],"joining":"n3","tail_ready":false,"wait":"joining"},"#,
            r#"{"slot":1,"version":3,"members":["n1","n2"],"joining":null,"tail_ready":true,"wait":null}],"unassigned":[],"epoch":2}"#,
        );
        assert_eq!(json::line(&status(2)), expected);
    }

    #[test]
    fn few_chains_are_shown_one_by_one() {
        let table = table::table(&status(2));
        assert!(table.contains("n3    dead     evicted-flapping"), "{table}");
        assert!(table.contains("n1 > n2? (+ n3)   a copy is being filled\n"), "{table}");
        assert!(table.contains("    1        3  n1 > n2\n"), "{table}");
    }

    #[test]
    fn many_chains_are_summarised_and_those_that_lack_something_are_named() {
        let mut many = status(4096);
        let table = table::table(&many);
        assert!(table.contains("4096 chains, 4095 whole"), "{table}");
        assert!(table.contains("      1  a copy is being filled\n") && table.contains("n1 > n2? (+ n3)"), "{table}");
        assert!(table.lines().count() < 12, "{table}");
        many.waits.clear();
        assert!(table::table(&many).contains("4096 chains, all whole\n"));
        many.waits = (0..100).map(|slot| (Slot(slot), Wait::Turn)).collect();
        assert!(table::table(&many).contains("and 84 more"));
    }
}
