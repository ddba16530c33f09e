//! Clients that write at once, and what they know afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use catena_net::{Client, Options};

use crate::support::{PATIENCE, block_on, eventually};

/// Keys of each.
const KEYS: u64 = 40;

pub(crate) async fn client(endpoint: &str) -> Client {
    let options = Options { call_timeout: PATIENCE };
    Client::connect(vec![endpoint.to_owned()], options).await.expect("the cluster is ready")
}

/// What one writer knows of its own keys: the last value of each, every write of which was acknowledged.
type Ledger = BTreeMap<String, String>;

/// Writers at work; they stop when this is dropped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    writers: Option<JoinHandle<Vec<Ledger>>>,
}

impl Load {
    /// Clients that write at once.
    pub(crate) const WRITERS: u64 = 8;

    /// Writes to a cluster that is ready, until told to stop.
    pub(crate) fn start(endpoint: &str) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (endpoint, told, count) = (endpoint.to_owned(), stop.clone(), acknowledged.clone());
        let writers = Some(thread::spawn(move || write_on_many(&endpoint, &told, &count)));
        Self { stop, acknowledged, writers }
    }

    /// Waits for so many more acknowledged writes.
    pub(crate) fn await_more(&self, more: u64) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + more;
        eventually("writes that go on", || (self.acknowledged.load(Ordering::Relaxed) >= enough).then_some(()));
    }

    /// Stops, and demands that every key has its last value.
    pub(crate) fn stop_and_check(mut self, endpoint: &str) {
        self.stop.store(true, Ordering::Relaxed);
        let ledgers = self.writers.take().expect("stopped once").join().expect("the writers end");
        block_on(async {
            let reader = client(endpoint).await;
            for (key, last) in ledgers.into_iter().flatten() {
                let found = reader.get(key.clone()).await.expect("a read").object.map(|object| object.value);
                assert_eq!(found.as_deref(), Some(last.as_bytes()), "{key}");
            }
        });
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Some writers at once; their ledgers when they are told to stop.
fn write_on_many(endpoint: &str, stop: &Arc<AtomicBool>, acknowledged: &Arc<AtomicU64>) -> Vec<Ledger> {
    block_on(async {
        let mut writers = Vec::new();
        for writer in 0..Load::WRITERS {
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

/// Writes to its own keys, one call after the other, until told to stop. Whatever dies meanwhile, no write has an unknown
/// outcome: the client repeats it under its session until it is answered.
async fn write_until(client: Client, writer: u64, stop: Arc<AtomicBool>, acknowledged: Arc<AtomicU64>) -> Ledger {
    let mut ledger = Ledger::default();
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (key, value) = (format!("{writer}-{}", number % KEYS), number.to_string());
        client.put(key.clone(), value.clone(), vec![]).await.expect("acknowledged in the end");
        acknowledged.fetch_add(1, Ordering::Relaxed);
        ledger.insert(key, value);
    }
    ledger
}
