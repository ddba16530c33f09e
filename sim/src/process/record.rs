//! What the clients of a cluster did and saw, from its first round on, for the checkers.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use catena_core::slot_of;
use catena_net::client::Client;

use crate::check::configurations::{Reigns, Server};
use crate::check::{Searches, Violation, seen, wing_gong};
use crate::history::{CallId, History, Outcome, Wish};
use crate::shipped::perform;

use super::cluster::SLOTS;

/// Shared by the clients; never held across an `await`. One lock orders invocations and responses as they happen.
#[derive(Clone, Debug)]
pub(super) struct Record(Arc<Mutex<Content>>);

#[derive(Debug)]
struct Content {
    begun: Instant,
    history: History,
    /// When each call was invoked, and when it returned.
    times: Vec<(Duration, Option<Duration>)>,
    reigns: Reigns,
    /// The first one.
    violation: Option<Violation>,
}

/// How calls ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) calls: u64,
    /// With a definite answer from the chain.
    pub(super) answered: u64,
    pub(super) unknown: u64,
    pub(super) pending: u64,
}

impl Record {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Content {
            begun: Instant::now(),
            history: History::default(),
            times: Vec::new(),
            reigns: Reigns::new(SLOTS),
            violation: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().expect("a panic ends the campaign")
    }

    /// One call of a client: what it wants is made up once its number is known. `again`:
    /// after an unknown outcome, repeat it so much later.
    pub(super) async fn call(
        &self,
        client: &Client,
        wish: impl FnOnce(CallId) -> Wish,
        again: Option<Duration>,
    ) -> (Bytes, Outcome) {
        let (id, slot, wish, reigns) = {
            let content = &mut *self.lock();
            let wish = wish(content.history.next_call());
            let slot = slot_of(&wish.key, SLOTS);
            let invoked = content.begun.elapsed();
            content.times.push((invoked, None));
            (content.history.invoke(slot, wish.clone()), slot, wish, content.reigns.clone())
        };
        let key = wish.key.clone();
        let (mut outcome, mut read_in) = perform(client, wish.clone()).await;
        if let (Outcome::Unknown, Some(pause)) = (&outcome, again) {
            tokio::time::sleep(pause).await;
            (outcome, read_in) = perform(client, wish).await;
        }
        let content = &mut *self.lock();
        content.history.respond(id, outcome.clone());
        content.times[id.0].1 = Some(content.begun.elapsed());
        if let Outcome::Written { entry, .. } = &outcome {
            content.reigns.committed(slot, entry.version, *entry, "who ordered it");
        }
        if let Some(version) = read_in {
            // What had committed before the call began had ended all versions before it.
            if let Err(violation) = reigns.serves(slot, Server { node: "who answered", version }) {
                content.violation.get_or_insert(violation);
            }
        }
        (key, outcome)
    }

    /// Checks everything that has happened so far.
    pub(super) fn check(&self) -> Result<Searches, Violation> {
        let content = &*self.lock();
        content.violation.clone().map_or(Ok(()), Err)?;
        seen::check(&content.history)?;
        wing_gong::check(&content.history)
    }

    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for call in &self.lock().history.calls {
            tally.calls += 1;
            match call.outcome {
                Outcome::Read(_) | Outcome::Written { .. } | Outcome::NothingToDo | Outcome::Refused(_) => tally.answered += 1,
                Outcome::NotExecuted => {}
                Outcome::Unknown => tally.unknown += 1,
                Outcome::Pending => tally.pending += 1,
            }
        }
        tally
    }

    /// A line for each call: its number, when it was invoked and returned, in seconds, and what it wanted and got.
    pub(super) fn lines(&self) -> String {
        let content = &*self.lock();
        let mut lines = String::new();
        for (index, (call, (invoked, returned))) in content.history.calls.iter().zip(&content.times).enumerate() {
            let returned = returned.map_or("never".to_owned(), |returned| format!("{:.6}", returned.as_secs_f64()));
            let (wish, outcome) = (&call.wish, &call.outcome);
            let _ = writeln!(lines, "{index} {:.6} {returned} slot {} {wish:?} -> {outcome:?}", invoked.as_secs_f64(), call.slot);
        }
        lines
    }
}
