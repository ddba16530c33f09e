//! Nothing that was acknowledged is lost, whatever is killed, and writes go on afterwards.

use rustix::process::Signal;
use tempfile::TempDir;

use crate::load::{Load, client};
use crate::support::{Dev, block_on, line_with, signal};

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

#[test]
fn a_node_killed_and_restarted_in_mid_load_costs_no_acknowledged_write() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--restart"]);
    let load = Load::start(&cluster.endpoint());
    load.await_more(500);
    // n2 is head of some slots, middle of others and tail of the rest.
    signal(cluster.pid_of("n2"), Signal::KILL);
    line_with(&cluster.process.stderr, "n2 runs again");
    load.await_more(500);
    load.stop_and_check(&cluster.endpoint());
}
