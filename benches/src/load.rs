//! Writers, some a slot, one call after the other each; and what must be readable afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use catena_core::{Kind, Slot, slot_of};
use catena_net::client::{Client, ClientError, Options};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::Error;

/// Keys of each writer.
const KEYS: usize = 8;
/// A write that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// Where.
    pub slot: Slot,
    /// When it was sent.
    pub sent: Instant,
    /// When it was acknowledged.
    pub at: Instant,
}

/// Who writes what.
#[derive(Clone, Debug)]
pub struct Writers {
    /// Writers a slot.
    pub writers: u32,
    /// Bytes a value.
    pub value_bytes: usize,
    /// The time of each write.
    pub call_timeout: Duration,
    /// Where; `None`: everywhere.
    pub slots: Option<Vec<Slot>>,
    /// What their keys begin with: of two loads on one cluster, each with its own.
    pub keys: String,
}

impl Default for Writers {
    fn default() -> Self {
        Self { writers: 1, value_bytes: 256, call_timeout: Load::PATIENCE, slots: None, keys: "load".to_owned() }
    }
}

/// An acknowledged write that is not there any more.
#[derive(Clone, Debug)]
pub struct Lost {
    /// Its key.
    pub key: String,
    /// What was found, and what may have been.
    pub found: String,
}

/// Writers at work.
#[derive(Debug)]
pub struct Load {
    client: Client,
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Vec<Known>>>,
    done: mpsc::UnboundedReceiver<Done>,
    failed: mpsc::UnboundedReceiver<ClientError>,
}

/// What one key may hold: the last acknowledged value, and those after it whose outcome is unknown.
#[derive(Debug)]
struct Known {
    key: String,
    possible: Vec<Option<u64>>,
}

impl Load {
    /// A deadline longer than any gap that is worth measuring.
    pub const PATIENCE: Duration = Duration::from_secs(30);

    /// Starts the writers, each a client of its own.
    ///
    /// # Errors
    /// When the cluster cannot be reached.
    pub async fn start(endpoints: Vec<String>, work: Writers) -> Result<Self, Error> {
        let Writers { writers, value_bytes, call_timeout, slots: some, keys: prefix } = work;
        let client = Client::connect(endpoints.clone(), Options { call_timeout: Self::PATIENCE }).await?;
        let slots = client.route().slots;
        let some = some.unwrap_or_else(|| (0..slots).map(Slot).collect());
        let stop = Arc::new(AtomicBool::new(false));
        let ((report, done), (fail, failed)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let mut tasks = Vec::new();
        for (slot, writer) in some.into_iter().flat_map(|slot| (0..writers).map(move |writer| (slot, writer))) {
            let own = Client::connect(endpoints.clone(), Options { call_timeout: Self::PATIENCE }).await?;
            let own = own.with_options(Options { call_timeout });
            let keys = keys(&format!("{prefix}-{writer}"), slot, slots);
            tasks.push(tokio::spawn(write(own, slot, keys, value_bytes, stop.clone(), (report.clone(), fail.clone()))));
        }
        Ok(Self { client, stop, writers: tasks, done, failed })
    }

    /// Forgets what was acknowledged up to now.
    pub fn forget(&mut self) {
        while self.done.try_recv().is_ok() {}
    }

    /// Everything acknowledged since the last time.
    pub fn take(&mut self) -> Vec<Done> {
        std::iter::from_fn(|| self.done.try_recv().ok()).collect()
    }

    /// Every error since the last time.
    pub fn failures(&mut self) -> Vec<ClientError> {
        std::iter::from_fn(|| self.failed.try_recv().ok()).collect()
    }

    /// The next acknowledged write.
    pub async fn next(&mut self) -> Done {
        self.done.recv().await.expect("writers write until they are told to stop")
    }

    /// Stops the writers, reads every key, and returns what is lost, and how many keys there are.
    ///
    /// # Errors
    /// When a key cannot be read.
    pub async fn stop(self) -> Result<(Vec<Lost>, usize), Error> {
        self.stop.store(true, Ordering::Relaxed);
        let (mut lost, mut keys) = (Vec::new(), 0);
        for writer in self.writers {
            for Known { key, possible } in writer.await.expect("a writer does not panic") {
                keys += 1;
                let found = self.client.get(key.clone()).await?.object;
                let found = found.and_then(|object| object.value.first_chunk().copied().map(u64::from_be_bytes));
                if !possible.contains(&found) {
                    lost.push(Lost { key, found: format!("{found:?}, not one of {possible:?}") });
                }
            }
        }
        Ok((lost, keys))
    }
}

/// Keys of one writer that are all in one slot.
fn keys(prefix: &str, slot: Slot, slots: u32) -> Vec<String> {
    let all = (0_u64..).map(|number| format!("{prefix}-{number}"));
    all.filter(|key| slot_of(key.as_bytes(), slots) == slot).take(KEYS).collect()
}

async fn write(
    client: Client,
    slot: Slot,
    keys: Vec<String>,
    value_bytes: usize,
    stop: Arc<AtomicBool>,
    (done, failed): (mpsc::UnboundedSender<Done>, mpsc::UnboundedSender<ClientError>),
) -> Vec<Known> {
    let mut known: Vec<Known> = keys.into_iter().map(|key| Known { key, possible: vec![None] }).collect();
    let mut value = vec![b'v'; value_bytes.max(size_of::<u64>())];
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = &mut known[usize::try_from(number).expect("a count") % KEYS];
        value[..size_of::<u64>()].copy_from_slice(&number.to_be_bytes());
        let sent = Instant::now();
        match client.put(key.key.clone(), Bytes::from(value.clone()), Vec::new()).await {
            Ok(_) => {
                key.possible = vec![Some(number)];
                // Whoever measures may have gone.
                let _ = done.send(Done { slot, sent, at: Instant::now() });
            }
            Err(error) => {
                match error.kind() {
                    Kind::Unknown => key.possible.push(Some(number)),
                    Kind::NotExecuted => {}
                }
                let _ = failed.send(error);
            }
        }
    }
    known
}
