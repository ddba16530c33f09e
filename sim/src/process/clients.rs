//! The workload of a round: clients that contend for a few keys.

use std::time::Duration;

use catena_core::client::Delivery;
use catena_net::client::{Client, Options};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::history::{Deed, Outcome, Wish};
use crate::rng::Rng;
use crate::workload::{Knowledge, Workload};

use super::record::Record;
use super::{Plant, Trouble, stuck};

const CLIENTS: usize = 4;
const KEYS: usize = 6;
/// A call's time. Shorter than some faults last: there are unknown outcomes.
const CALL: Duration = Duration::from_secs(3);
/// After healing, a call has more.
const LAST_CALL: Duration = Duration::from_secs(10);
/// What a call may take beyond its time: the machine may be busy.
const GRACE: Duration = Duration::from_secs(5);
/// Between two calls, at least; mostly not much more.
const PAUSE: Duration = Duration::from_millis(1);
/// How long a careless client waits before it repeats what it does not know the outcome of.
const CARELESS: Duration = Duration::from_secs(1);

/// The clients of a round, until they are told to stop.
pub(super) struct Clients {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Clients {
    pub(super) fn start(record: &Record, endpoint: &str, plant: Option<Plant>, rng: &mut Rng) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for _ in 0..CLIENTS {
            let workload = Workload::new(KEYS, rng.fork());
            tasks.spawn(client(record.clone(), endpoint.to_owned(), workload, rng.fork(), stopped.clone(), plant));
        }
        Self { stop, tasks }
    }

    /// Waits until every call has ended.
    pub(super) async fn stop(mut self, record: &Record) -> Result<(), Trouble> {
        self.stop.send_replace(true);
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                ended.expect("a client does not panic");
            }
        };
        if timeout(CALL * 2 + GRACE, all).await.is_err() {
            let pending = record.tally().pending;
            return Err(stuck(format!("{pending} calls have not ended {:?} after their time of {CALL:?}", CALL + GRACE)));
        }
        Ok(())
    }
}

/// A client's calls, one after the other.
async fn client(
    record: Record,
    endpoint: String,
    mut workload: Workload,
    mut rng: Rng,
    stop: watch::Receiver<bool>,
    plant: Option<Plant>,
) {
    let client = loop {
        // The coordinator may be away.
        match Client::connect(vec![endpoint.clone()], Options { call_timeout: CALL }).await {
            Ok(client) => break client,
            Err(_) if *stop.borrow() => return,
            Err(_) => sleep(PAUSE).await,
        }
    };
    let careless = client.clone().at_most_once();
    let mut known = Knowledge::new();
    while !*stop.borrow() {
        let planted = plant == Some(Plant::RepeatsOutsideSessions);
        let (with, again) = match workload.delivery() {
            _ if planted => (&careless, Some(CARELESS)),
            Delivery::ExactlyOnce => (&client, None),
            Delivery::AtMostOnce => (&careless, None),
        };
        match record.call(with, |id| workload.wish(id, &known), again).await {
            (key, Outcome::Read(object)) => drop(known.insert(key, object.map(|object| object.metadata))),
            (key, Outcome::Written { object, .. } | Outcome::Refused(object)) => drop(known.insert(key, object)),
            (key, Outcome::NothingToDo) => drop(known.insert(key, None)),
            (_, Outcome::Pending | Outcome::NotExecuted | Outcome::Unknown) => {}
        }
        sleep(rng.heavy_tail(PAUSE)).await;
    }
}

/// Once everything is whole again, every key can be written and read.
pub(super) async fn last_look(record: &Record, endpoint: &str) -> Result<(), Trouble> {
    let options = Options { call_timeout: LAST_CALL };
    let connected = Client::connect(vec![endpoint.to_owned()], options).await;
    let client = connected.map_err(|error| stuck(format!("after healing a client does not find its way: {error}")))?;
    let mut workload = Workload::new(KEYS, Rng::new(0));
    for key in (0..KEYS).map(Workload::key) {
        let put = |id| Wish { key: key.clone(), deed: workload.put(id), conditions: Vec::new() };
        let (_, put) = record.call(&client, put, None).await;
        let get = |_| Wish { key: key.clone(), deed: Deed::Get, conditions: Vec::new() };
        let (_, get) = record.call(&client, get, None).await;
        if !matches!((&put, &get), (Outcome::Written { .. }, Outcome::Read(Some(_)))) {
            return Err(stuck(format!("after healing, writing {key:?} comes to {put:?}, and reading it to {get:?}")));
        }
    }
    Ok(())
}
