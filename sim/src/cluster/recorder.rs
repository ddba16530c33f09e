//! What happens in a simulated cluster, written down for the same checkers that the world uses.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use catena_core::{Batch, CallError, Entry, Kind, NodeConfig, NodeId, Operation, RequestId, Slot, Write, slot_of};
use catena_net::Refusal;
use catena_net::client::{Client, ClientError};

use crate::check::ledger::Ledger;
use crate::check::{Violation, linearize};
use crate::history::{Author, Call, CallId, Deed, History, Outcome, Try, Wish};

/// Shared by clients and disks, which are different tasks of one thread; never held across an `await`.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    slots: u32,
    content: Arc<Mutex<Content>>,
}

#[derive(Debug)]
struct Content {
    history: History,
    ledger: Ledger,
    violation: Option<Violation>,
}

impl Recorder {
    pub(super) fn new(slots: u32) -> Self {
        let content = Content { history: History::default(), ledger: Ledger::new(&NodeConfig::new(slots)), violation: None };
        Self { slots, content: Arc::new(Mutex::new(content)) }
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("a panic ends the simulation")
    }

    /// A node hands a batch to its disk. What it applies it holds for committed.
    pub(super) fn observe(&self, node: &NodeId, batch: &Batch) {
        let content = &mut *self.lock();
        for write in &batch.writes {
            let Write::Apply { entries, sessions: _ } = write else { continue };
            for entry in entries {
                match content.ledger.commit(batch.slot, entry, node.as_str()) {
                    Ok(true) => content.history_of(batch.slot, entry),
                    Ok(false) => {}
                    Err(violation) => content.violation = content.violation.take().or(Some(violation)),
                }
            }
        }
    }

    /// One call of a client: what it wants is made up once its number is known.
    pub(super) async fn call(&self, client: &Client, wish: impl FnOnce(CallId) -> Wish) -> (Bytes, Outcome) {
        let (id, wish) = {
            let history = &mut self.lock().history;
            let wish = wish(history.next_call());
            (history.invoke(slot_of(&wish.key, self.slots), wish.clone()), wish)
        };
        let key = wish.key.clone();
        let outcome = perform(client, wish).await;
        self.lock().history.respond(id, outcome.clone());
        (key, outcome)
    }

    /// Every committed entry, in order: equal for equal seeds.
    pub(super) fn committed(&self) -> Vec<Entry> {
        let content = self.lock();
        (0..self.slots).flat_map(|slot| content.ledger.entries(Slot(slot)).to_vec()).collect()
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.lock().history.calls.clone()
    }

    /// How many calls had an effect or an answer.
    pub(super) fn answered(&self) -> usize {
        let answered = |call: &&Call| !matches!(call.outcome, Outcome::Pending | Outcome::NotExecuted | Outcome::Unknown);
        self.lock().history.calls.iter().filter(answered).count()
    }

    /// Checks everything, once every committed entry has been applied somewhere.
    pub(super) fn check(&self) -> Result<(), Violation> {
        let content = self.lock();
        match &content.violation {
            Some(violation) => Err(violation.clone()),
            None => linearize::check(&content.history, &content.ledger, self.slots),
        }
    }
}

impl Content {
    /// Values begin with their call's number: that says whose an entry is.
    fn history_of(&mut self, slot: Slot, entry: &Entry) {
        let author = match &entry.operation {
            Operation::Put { value, .. } => {
                let number = value.first_chunk().copied().map(u64::from_be_bytes).expect("a value begins with a number");
                let call = CallId(usize::try_from(number).expect("a call's number"));
                Author::Call(Try { call, request: RequestId(0) })
            }
            Operation::Nothing { .. } => Author::Unseen,
            Operation::OpenSession | Operation::Expire { .. } => Author::Chain,
            Operation::Delete { .. } => panic!("these clients delete nothing"),
        };
        self.history.order(slot, entry.id, author);
    }
}

async fn perform(client: &Client, wish: Wish) -> Outcome {
    let Wish { key, deed, conditions } = wish;
    let done = match deed {
        Deed::Get => client.get(key).await.map(|found| Outcome::Read(found.object)),
        Deed::Put { value } => client.put(key, value, conditions).await.map(|written| {
            let entry = written.entry.expect("a put has an entry");
            Outcome::Written { entry, object: written.object }
        }),
        Deed::Delete => panic!("these clients delete nothing"),
    };
    match done {
        Ok(outcome) => outcome,
        Err(ClientError::Refused(Refusal::Call(CallError::ConditionFailed { object }))) => Outcome::Refused(object),
        Err(error) => match error.kind() {
            Kind::NotExecuted => Outcome::NotExecuted,
            Kind::Unknown => Outcome::Unknown,
        },
    }
}
