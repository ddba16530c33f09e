//! Anomalies, each planted so that no order of the calls explains it, whatever others do at the same time: values are
//! never written twice, so one that was overwritten never returns, and nobody else deletes the key.

use bytes::Bytes;
use catena_core::{ChainVersion, Comparison, Condition, EntryId, Metadata, Object, Seq, WallTime};

use super::made::{Made, SLOT};
use crate::history::{CallId, Deed, Outcome, Wish};

/// Who can see an anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Seen {
    ByAll,
    /// By the order of versions alone: no client was told anything that contradicts it.
    InVersionsOnly,
    /// By answers alone. The checker of version order looks at the version of what was read; that the value is the one
    /// written under it is for exposure to check, on every single answer (`Ledger::expose`).
    InAnswersOnly,
}

pub(super) type Plant = (&'static str, Seen, fn(&mut Made));

pub(super) const PLANTS: &[Plant] = &[
    ("a stale read", Seen::ByAll, stale_read),
    ("reads that go back while a write is in flight", Seen::ByAll, reads_go_back),
    ("an acknowledged write that is lost", Seen::ByAll, lost_write),
    ("a write that is applied twice", Seen::ByAll, applied_twice),
    ("a write that was not executed, and is read", Seen::ByAll, executed_after_all),
    ("a condition that held of an object that was there before", Seen::ByAll, held_of_the_past),
    ("two writes that won on the same version", Seen::ByAll, both_won),
    ("a refusal although the condition held", Seen::ByAll, refused_although_it_held),
    ("a refusal on an object that was there before", Seen::ByAll, refused_on_the_past),
    ("a read of an object that was never written", Seen::ByAll, never_written),
    ("a read before the write was asked for", Seen::ByAll, read_of_the_future),
    ("a deleted object that is back", Seen::ByAll, back_from_the_dead),
    ("absent after an acknowledged write", Seen::ByAll, absent_though_written),
    ("nothing to delete after an acknowledged write", Seen::ByAll, nothing_to_delete),
    ("an acknowledged write that is lost, and overwritten unread", Seen::InVersionsOnly, lost_unread),
    ("a write that is applied twice, and overwritten unread", Seen::InVersionsOnly, applied_twice_unread),
    ("writes in the wrong order, and overwritten unread", Seen::InVersionsOnly, swapped_unread),
    ("a read of another value than was written under its version", Seen::InAnswersOnly, another_value),
];

fn key() -> Bytes {
    Made::key(0)
}

impl Made {
    fn ask(&mut self, deed: Deed, conditions: Vec<Condition>) -> CallId {
        self.history.invoke(SLOT, Wish { key: key(), deed, conditions })
    }

    fn put(&mut self, conditions: Vec<Condition>) -> CallId {
        let value = self.next_value();
        self.ask(Deed::Put { value }, conditions)
    }

    /// A put that takes effect and is acknowledged; then others go on.
    fn written(&mut self) -> Object {
        let call = self.put(Vec::new());
        self.go_on(0, 1);
        let outcome = self.commit(call);
        self.respond(call, outcome);
        let written = self.object(&key()).expect("just written");
        self.go_on(0, 3);
        written
    }

    /// A get that is answered so.
    fn read(&mut self, object: Option<Object>) {
        let call = self.ask(Deed::Get, Vec::new());
        self.go_on(0, 2);
        self.respond(call, Outcome::Read(object));
    }

    /// A put that is acknowledged though its conditions do not hold.
    fn wins(&mut self, conditions: Vec<Condition>) {
        let call = self.put(conditions);
        let outcome = self.commit(call);
        self.respond(call, outcome);
    }
}

fn equals(object: &Object) -> Vec<Condition> {
    vec![Condition::Version(Comparison::Eq, object.metadata.version)]
}

fn stale_read(made: &mut Made) {
    let old = made.written();
    made.written();
    made.read(Some(old));
}

fn reads_go_back(made: &mut Made) {
    let old = made.written();
    let put = made.put(Vec::new());
    let outcome = made.commit(put);
    let new = made.object(&key());
    made.read(new);
    made.read(Some(old));
    made.respond(put, outcome);
}

fn lost_write(made: &mut Made) {
    let old = made.written();
    let put = made.put(Vec::new());
    let outcome = lost(made);
    made.respond(put, outcome);
    made.read(Some(old));
}

/// An acknowledgement of what is committed nowhere.
fn lost(made: &Made) -> Outcome {
    let seq = Seq(made.ledger.last(SLOT).seq.0 + 1_000 + made.history.next_call().0 as u64);
    let at = made.next_time();
    let object = Metadata { version: seq, created_at: at, updated_at: at };
    Outcome::Written { entry: EntryId { version: ChainVersion(1), seq }, object: Some(object) }
}

fn applied_twice(made: &mut Made) {
    let put = made.put(Vec::new());
    let outcome = made.commit(put);
    made.respond(put, outcome);
    made.written();
    made.commit(put);
    let again = made.object(&key());
    made.read(again);
}

fn executed_after_all(made: &mut Made) {
    let put = made.put(Vec::new());
    made.respond(put, Outcome::NotExecuted);
    made.commit(put);
    let written = made.object(&key());
    made.read(written);
}

fn held_of_the_past(made: &mut Made) {
    let old = made.written();
    made.written();
    made.wins(equals(&old));
}

fn both_won(made: &mut Made) {
    let old = made.written();
    made.wins(equals(&old));
    made.go_on(0, 2);
    made.wins(equals(&old));
}

fn refused_although_it_held(made: &mut Made) {
    let object = made.written();
    let put = made.put(vec![Condition::Exists(true)]);
    made.go_on(0, 2);
    made.respond(put, Outcome::Refused(Some(object.metadata)));
}

fn refused_on_the_past(made: &mut Made) {
    let old = made.written();
    made.written();
    let put = made.put(vec![Condition::Exists(false)]);
    made.go_on(0, 2);
    made.respond(put, Outcome::Refused(Some(old.metadata)));
}

fn never_written(made: &mut Made) {
    made.written();
    let Outcome::Written { object: Some(metadata), .. } = lost(made) else { unreachable!("it is one") };
    made.read(Some(Object { value: Bytes::from("nobody's"), metadata }));
}

fn read_of_the_future(made: &mut Made) {
    made.written();
    let created_at = made.object(&key()).expect("just written, and never deleted").metadata.created_at;
    let get = made.ask(Deed::Get, Vec::new());
    let version = Seq(made.ledger.last(SLOT).seq.0 + 1);
    let metadata = Metadata { version, created_at, updated_at: made.next_time() };
    let value = made.next_value();
    made.respond(get, Outcome::Read(Some(Object { value, metadata })));
    made.wins(Vec::new());
}

fn back_from_the_dead(made: &mut Made) {
    let old = made.written();
    let delete = made.ask(Deed::Delete, Vec::new());
    let outcome = made.commit(delete);
    made.respond(delete, outcome);
    made.read(Some(old));
}

fn absent_though_written(made: &mut Made) {
    made.written();
    made.read(None);
}

fn nothing_to_delete(made: &mut Made) {
    made.written();
    let delete = made.ask(Deed::Delete, Vec::new());
    made.go_on(0, 2);
    made.respond(delete, Outcome::NothingToDo);
}

fn lost_unread(made: &mut Made) {
    let put = made.put(Vec::new());
    let outcome = lost(made);
    made.respond(put, outcome);
    made.wins(Vec::new());
}

fn applied_twice_unread(made: &mut Made) {
    let put = made.put(Vec::new());
    let outcome = made.commit(put);
    made.commit(put);
    made.respond(put, outcome);
    made.wins(Vec::new());
}

fn swapped_unread(made: &mut Made) {
    let (first, at) = (made.put(Vec::new()), made.next_time());
    let seq = Seq(made.ledger.last(SLOT).seq.0 + 2);
    let created_at = made.object(&key()).map_or(at, |object| object.metadata.created_at);
    let object = Metadata { version: seq, created_at, updated_at: WallTime(at.0 + 10) };
    made.respond(first, Outcome::Written { entry: EntryId { version: ChainVersion(1), seq }, object: Some(object) });
    made.wins(Vec::new());
    made.commit(first);
    made.wins(Vec::new());
}

fn another_value(made: &mut Made) {
    made.written();
    let Object { metadata, .. } = made.object(&key()).expect("just written, and never deleted");
    made.read(Some(Object { value: Bytes::from("nobody's"), metadata }));
}
