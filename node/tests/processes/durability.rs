//! Nothing that was acknowledged is lost, whatever is killed, and writes go on afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use catena_core::Kind;
use catena_net::{Client, Options};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{Dev, PATIENCE, block_on, eventually, line_with, signal};

/// Clients that write at once.
const WRITERS: usize = 8;

async fn client(endpoint: &str) -> Client {
    let options = Options { call_timeout: PATIENCE };
    Client::connect(vec![endpoint.to_owned()], options).await.expect("the cluster is ready")
}

#[test]
fn what_was_acknowledged_survives_kill_9_of_every_process() {
    let directory = TempDir::new().unwrap();
    let value = |round: usize, number: usize| format!("value {number} of round {round} {}", "x".repeat(number * 20));
    for round in 0..3 {
        let cluster = Dev::start(directory.path(), &[]);
        block_on(async {
            let client = client(&cluster.endpoint()).await;
            for number in 0..200 {
                let found = client.get(format!("key {number}")).await.unwrap().object;
                let expected = (round > 0).then(|| value(round - 1, number));
                assert_eq!(found.map(|object| object.value), expected.map(Into::into), "key {number} in round {round}");
            }
            let put = |number| {
                let (client, value) = (client.clone(), value(round, number));
                tokio::spawn(async move { client.put(format!("key {number}"), value, vec![]).await })
            };
            let puts: Vec<_> = (0..200).map(put).collect();
            for put in puts {
                put.await.unwrap().expect("acknowledged");
            }
        });
        cluster.kill_all();
    }
}

/// What one writer knows of its own keys.
#[derive(Default)]
struct Ledger {
    /// By key, what may be read: the last acknowledged value, and those after it whose outcome is unknown. What was
    /// surely not executed must not be read.
    possible: BTreeMap<String, Vec<Option<String>>>,
}

/// Writes to its own keys, one call after the other, until told to stop.
async fn write_until(client: Client, writer: usize, stop: Arc<AtomicBool>, acknowledged: Arc<AtomicU64>) -> Ledger {
    let mut ledger = Ledger::default();
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (key, value) = (format!("{writer}-{}", number % 40), number.to_string());
        let possible = ledger.possible.entry(key.clone()).or_insert_with(|| vec![None]);
        match client.put(key, value.clone(), vec![]).await {
            Ok(_) => {
                *possible = vec![Some(value)];
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => match error.kind() {
                Kind::Unknown => possible.push(Some(value)),
                Kind::NotExecuted => {}
            },
        }
    }
    ledger
}

/// Some writers at once; their ledgers when they are told to stop.
fn write_on_many(endpoint: &str, stop: &Arc<AtomicBool>, acknowledged: &Arc<AtomicU64>) -> Vec<Ledger> {
    block_on(async {
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let client = client(endpoint).await;
            writers.push(tokio::spawn(write_until(client, writer, stop.clone(), acknowledged.clone())));
        }
        let mut ledgers = Vec::new();
        for writer in writers {
            ledgers.push(writer.await.expect("a writer does not panic"));
        }
        ledgers
    })
}

#[test]
fn a_node_killed_and_restarted_in_mid_load_costs_no_acknowledged_write() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--restart"]);
    let endpoint = cluster.endpoint();
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let ledgers = thread::scope(|scope| {
        let writing = scope.spawn(|| write_on_many(&endpoint, &stop, &acknowledged));
        let stop = StopWhenDropped(&stop);
        await_more(&acknowledged, 500);
        // n2 is head of some slots, middle of others and tail of the rest.
        signal(cluster.pid_of("n2"), Signal::KILL);
        line_with(&cluster.process.stderr, "n2 runs again");
        await_more(&acknowledged, 500);
        drop(stop);
        writing.join().expect("the writers end")
    });
    block_on(async {
        let reader = client(&endpoint).await;
        for (key, possible) in ledgers.into_iter().flat_map(|ledger| ledger.possible) {
            let found = reader.get(key.clone()).await.unwrap().object.map(|object| object.value);
            let found = found.map(|value| String::from_utf8(value.to_vec()).unwrap());
            assert!(possible.contains(&found), "{key} is {found:?}, not one of {possible:?}");
        }
    });
}

/// Stops the writers also when the test fails: else it would wait for them.
struct StopWhenDropped<'a>(&'a AtomicBool);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn await_more(acknowledged: &AtomicU64, more: u64) {
    let enough = acknowledged.load(Ordering::Relaxed) + more;
    eventually("writes that go on", || (acknowledged.load(Ordering::Relaxed) >= enough).then_some(()));
}
