//! What happens in a simulated cluster, written down for the same checkers that the world uses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use catena_core::{Batch, Entry, EntryId, NodeConfig, NodeId, Operation, RequestId, Slot, Write, slot_of};
use catena_net::client::Client;

use crate::check::configurations::{Reigns, Server};
use crate::check::ledger::Ledger;
use crate::check::state::{self, Stored};
use crate::check::{Violation, linearize, wing_gong};
use crate::history::{Author, Call, CallId, Deed, History, Outcome, Try, Wish};
use crate::shipped::perform;

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
    reigns: Reigns,
    /// Committed deletes, by place, with how many calls had begun when each was seen. Nothing in such an entry says whose it is.
    deletes: BTreeMap<(Slot, EntryId), (Bytes, usize)>,
    /// The first one.
    violation: Option<Violation>,
}

impl Recorder {
    pub(super) fn new(slots: u32) -> Self {
        let content = Content {
            history: History::default(),
            ledger: Ledger::new(&NodeConfig::new(slots)),
            reigns: Reigns::new(slots),
            deletes: BTreeMap::new(),
            violation: None,
        };
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
                    Ok(true) => content.history_of(batch.slot, entry, node),
                    Ok(false) => {}
                    Err(violation) => content.note(Err(violation)),
                }
            }
        }
    }

    /// A disk has this of a slot, synced.
    pub(super) fn look(&self, node: &NodeId, slot: Slot, stored: &Stored) {
        let content = &mut *self.lock();
        let stands = state::stands(slot, &content.ledger, node.as_str(), stored);
        content.note(stands);
    }

    /// One call of a client: what it wants is made up once its number is known.
    pub(super) async fn call(&self, client: &Client, wish: impl FnOnce(CallId) -> Wish) -> (Bytes, Outcome) {
        let (id, slot, wish, reigns) = {
            let content = &mut *self.lock();
            let wish = wish(content.history.next_call());
            let slot = slot_of(&wish.key, self.slots);
            (content.history.invoke(slot, wish.clone()), slot, wish, content.reigns.clone())
        };
        let key = wish.key.clone();
        let (outcome, read_in) = perform(client, wish).await;
        let content = &mut *self.lock();
        content.history.respond(id, outcome.clone());
        if let Some(version) = read_in {
            // What had committed before the call began had ended all versions before it.
            content.note(reigns.serves(slot, Server { node: "who answered", version }));
        }
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
        let content = &mut *self.lock();
        if let Some(violation) = &content.violation {
            return Err(violation.clone());
        }
        content.attribute_deletes();
        linearize::check(&content.history, &content.ledger, self.slots)?;
        wing_gong::check(&content.history).map(drop)
    }
}

impl Content {
    fn note(&mut self, checked: Result<(), Violation>) {
        if let Err(violation) = checked {
            self.violation.get_or_insert(violation);
        }
    }

    /// An entry is seen for the first time. Values begin with their call's number: that says whose it is.
    fn history_of(&mut self, slot: Slot, entry: &Entry, by: &NodeId) {
        // It was committed in that version or in a later one.
        self.reigns.committed(slot, entry.id.version, entry.id, by.as_str());
        let author = match &entry.operation {
            Operation::Put { value, .. } => {
                let number = value.first_chunk().copied().map(u64::from_be_bytes).expect("a value begins with a number");
                of(CallId(usize::try_from(number).expect("a call's number")))
            }
            Operation::Nothing { .. } => Author::Unseen,
            Operation::OpenSession | Operation::Expire { .. } => Author::Chain,
            Operation::Delete { key } => {
                self.deletes.insert((slot, entry.id), (key.clone(), self.history.calls.len()));
                return;
            }
        };
        self.history.order(slot, entry.id, author);
    }

    /// A delete's answer names its entry. An entry that no answer names is that of a call whose outcome is unknown; since
    /// deletes are unconditional here, any of its key that had begun will do. If there is none, nobody ordered it.
    fn attribute_deletes(&mut self) {
        let mut authors: BTreeMap<(Slot, EntryId), CallId> = BTreeMap::new();
        let mut unknown: BTreeMap<Bytes, Vec<CallId>> = BTreeMap::new();
        for (index, call) in self.history.calls.iter().enumerate().filter(|(_, call)| call.wish.deed == Deed::Delete) {
            match call.outcome {
                Outcome::Written { entry, .. } => drop(authors.insert((call.slot, entry), CallId(index))),
                Outcome::Unknown | Outcome::Pending => unknown.entry(call.wish.key.clone()).or_default().push(CallId(index)),
                Outcome::Read(_) | Outcome::NothingToDo | Outcome::Refused(_) | Outcome::NotExecuted => {}
            }
        }
        for (place, (key, begun)) in std::mem::take(&mut self.deletes) {
            let candidates = unknown.entry(key).or_default();
            let oldest = || (candidates.first()?.0 < begun).then(|| candidates.remove(0));
            if let Some(call) = authors.remove(&place).or_else(oldest) {
                self.history.order(place.0, place.1, of(call));
            }
        }
    }
}

/// Of a call, whichever of its requests it was.
fn of(call: CallId) -> Author {
    Author::Call(Try { call, request: RequestId(0) })
}
