//! The checker on planted histories, and against a dumb one that tries every order.

use catena_core::{ChainVersion, Comparison, Condition, NodeConfig, Origin, RequestId};

use super::*;
use crate::history::Try;
use crate::rng::{Odds, Rng};

const SLOT: Slot = Slot(0);

fn id(seq: u64) -> EntryId {
    EntryId { version: ChainVersion(1), seq: Seq(seq) }
}

fn by(call: CallId) -> Author {
    Author::Call(Try { call, request: RequestId(call.0 as u64) })
}

/// A history under construction: calls that overlap or not, and what is committed of them.
struct Story {
    history: History,
    ledger: Ledger,
}

impl Story {
    fn new() -> Self {
        Self { history: History::default(), ledger: Ledger::new(&NodeConfig::new(1)) }
    }

    fn invoke(&mut self, deed: Deed, conditions: Vec<Condition>) -> CallId {
        self.history.invoke(SLOT, Wish { key: Bytes::from("k"), deed, conditions })
    }

    fn put(&mut self, conditions: Vec<Condition>) -> CallId {
        let value = Bytes::from(self.history.next_call().0.to_string());
        self.invoke(Deed::Put { value }, conditions)
    }

    /// The call's write becomes the next committed entry.
    fn commit(&mut self, call: CallId) -> EntryId {
        let wish = self.history.call(call).wish.clone();
        let at = WallTime(self.ledger.last(SLOT).seq.0 * 10 + 10);
        let before = objects(self.ledger.entries(SLOT)).get(&wish.key).map(|(_, _, created_at, _)| *created_at);
        let operation = match wish.deed {
            Deed::Put { value } => Operation::Put { key: wish.key, value, created_at: before.unwrap_or(at) },
            Deed::Delete => Operation::Delete { key: wish.key },
            Deed::Get => panic!("a get writes nothing"),
        };
        self.append(None, operation, by(call))
    }

    /// The call is write `number` of session 1, and changes nothing.
    fn commit_nothing(&mut self, call: CallId, number: u64, refused: Option<Refusal>) -> EntryId {
        let origin = Origin { session: Seq(1), number, answered_below: 0 };
        self.append(Some(origin), Operation::Nothing { refused }, by(call))
    }

    fn open_session(&mut self) {
        self.append(None, Operation::OpenSession, Author::Chain);
    }

    fn append(&mut self, origin: Option<Origin>, operation: Operation, author: Author) -> EntryId {
        let last = self.ledger.last(SLOT);
        let id = id(last.seq.0 + 1);
        let entry = Entry { id, previous: last.version, at: WallTime(id.seq.0 * 10), origin, operation };
        self.ledger.commit(SLOT, &entry, "n1").expect("the next entry");
        self.history.order(SLOT, id, author);
        id
    }

    fn object_at(&self, seq: u64) -> catena_core::Object {
        let entry = self.ledger.at(SLOT, Seq(seq)).expect("committed");
        let Operation::Put { value, .. } = &entry.operation else { panic!("a delete") };
        catena_core::Object { value: value.clone(), metadata: metadata(entry).expect("a put") }
    }

    fn acknowledge(&mut self, call: CallId, entry: EntryId) {
        let object = self.ledger.at(SLOT, entry.seq).and_then(metadata);
        self.history.respond(call, Outcome::Written { entry, object });
    }

    /// A put, from invocation to response.
    fn written(&mut self) -> EntryId {
        let call = self.put(Vec::new());
        let entry = self.commit(call);
        self.acknowledge(call, entry);
        entry
    }

    fn deleted(&mut self) {
        let call = self.invoke(Deed::Delete, Vec::new());
        let entry = self.commit(call);
        self.acknowledge(call, entry);
    }

    /// A get that saw the write at `seq`, or nothing.
    fn saw(&mut self, seq: Option<u64>) {
        let call = self.invoke(Deed::Get, Vec::new());
        self.returned(call, seq);
    }

    fn returned(&mut self, call: CallId, seq: Option<u64>) {
        let object = seq.map(|seq| self.object_at(seq));
        self.history.respond(call, Outcome::Read(object));
    }

    fn check(&self) -> Result<(), Violation> {
        check(&self.history, &self.ledger, 1)
    }

    fn caught(&self) -> String {
        self.check().expect_err("a planted anomaly").sentence
    }
}

#[test]
fn sequential_calls_that_see_the_last_write_are_linearizable() {
    let mut story = Story::new();
    story.saw(None);
    story.written();
    story.saw(Some(1));
    story.deleted();
    story.saw(None);
    story.written();
    story.saw(Some(3));
    assert_eq!(story.check(), Ok(()));
}

#[test]
fn a_stale_read_is_caught() {
    let mut story = Story::new();
    story.written();
    story.written();
    story.saw(Some(1));
    assert!(story.caught().contains("already past"), "{}", story.caught());
}

#[test]
fn absent_after_an_acknowledged_write_is_caught_and_absent_after_a_delete_is_not() {
    let mut story = Story::new();
    story.written();
    story.saw(None);
    story.caught();
    let mut story = Story::new();
    story.written();
    story.deleted();
    story.saw(None);
    assert_eq!(story.check(), Ok(()));
}

#[test]
fn two_reads_of_one_write_in_flight_may_not_go_back() {
    let mut story = Story::new();
    story.written();
    let put = story.put(Vec::new());
    let entry = story.commit(put);
    story.saw(Some(2));
    story.saw(Some(1));
    story.acknowledge(put, entry);
    story.caught();
}

#[test]
fn overlapping_calls_may_take_effect_in_either_order() {
    for seen in [1, 2] {
        let mut story = Story::new();
        story.written();
        let get = story.invoke(Deed::Get, Vec::new());
        story.written();
        story.returned(get, Some(seen));
        assert_eq!(story.check(), Ok(()), "saw {seen}");
    }
}

#[test]
fn a_write_acknowledged_before_another_was_invoked_may_not_stand_behind_it() {
    let mut story = Story::new();
    let late = story.put(Vec::new());
    let early = story.put(Vec::new());
    let second = story.commit(early); // stands first
    let first = story.commit(late);
    story.acknowledge(early, second);
    story.acknowledge(late, first);
    assert_eq!(story.check(), Ok(()), "they overlap");
    let mut story = Story::new();
    let early = story.put(Vec::new());
    story.history.respond(early, Outcome::Unknown);
    story.written();
    story.commit(early);
    assert_eq!(story.check(), Ok(()), "an unknown outcome may take effect late");
    story.saw(Some(1));
    assert_eq!(story.check(), Ok(()), "or not yet");
    story.saw(Some(2));
    story.saw(Some(1));
    story.caught();
}

#[test]
fn an_unknown_write_that_was_never_committed_is_no_matter() {
    let mut story = Story::new();
    story.written();
    let put = story.put(Vec::new());
    story.history.respond(put, Outcome::Unknown);
    story.saw(Some(1));
    assert_eq!(story.check(), Ok(()));
}

#[test]
fn an_acknowledged_write_that_is_not_committed_or_twice_is_caught() {
    let mut story = Story::new();
    let put = story.put(Vec::new());
    story.history.respond(put, Outcome::Written { entry: id(1), object: None });
    story.caught();
    let mut story = Story::new();
    let put = story.put(Vec::new());
    let first = story.commit(put);
    story.commit(put);
    story.acknowledge(put, first);
    assert!(story.caught().contains("is committed as (1, 1) and as (1, 2)"), "{}", story.caught());
}

#[test]
fn a_write_that_was_not_executed_or_refused_and_is_committed_is_caught() {
    for outcome in [Outcome::NotExecuted, Outcome::Refused(None)] {
        let mut story = Story::new();
        let put = story.put(vec![Condition::Exists(false)]);
        story.commit(put);
        story.history.respond(put, outcome);
        story.caught();
    }
}

#[test]
fn a_condition_judged_on_another_state_is_caught() {
    let mut story = Story::new();
    story.written();
    story.written();
    let stale = story.put(vec![Condition::Version(Comparison::Eq, Seq(1))]);
    let entry = story.commit(stale);
    story.acknowledge(stale, entry);
    assert!(story.caught().contains("does not hold"), "{}", story.caught());
    let mut story = Story::new();
    story.written();
    let object = story.object_at(1).metadata;
    let call = story.put(vec![Condition::Exists(true)]);
    story.history.respond(call, Outcome::Refused(Some(object)));
    assert!(story.caught().contains("was refused on"), "{}", story.caught());
}

#[test]
fn a_refusal_and_a_delete_of_nothing_are_reads() {
    let mut story = Story::new();
    story.written();
    let object = story.object_at(1).metadata;
    story.written();
    let call = story.put(vec![Condition::Exists(false)]);
    story.history.respond(call, Outcome::Refused(Some(object)));
    assert!(story.caught().contains("already past"), "{}", story.caught());
    let mut story = Story::new();
    story.written();
    let call = story.invoke(Deed::Delete, Vec::new());
    story.history.respond(call, Outcome::NothingToDo);
    story.caught();
}

#[test]
fn an_entry_that_nobody_asked_for_is_caught() {
    let mut story = Story::new();
    story.written();
    let operation = Operation::Delete { key: Bytes::from("k") };
    let entry = Entry { id: id(2), previous: ChainVersion(1), at: WallTime(20), origin: None, operation };
    story.ledger.commit(SLOT, &entry, "n1").expect("it follows");
    assert!(story.caught().contains("no head ordered it"), "{}", story.caught());
}

#[test]
fn a_refusal_under_a_session_stands_where_its_entry_stands() {
    let mut story = Story::new();
    story.open_session();
    let wrote = story.written();
    let object = story.object_at(wrote.seq.0).metadata;
    let call = story.put(vec![Condition::Exists(false)]);
    story.commit_nothing(call, 1, Some(Refusal { object: Some(object) }));
    story.written();
    story.history.respond(call, Outcome::Refused(Some(object)));
    assert_eq!(story.check(), Ok(()), "the write behind it overlaps");
    let mut story = Story::new();
    story.open_session();
    let call = story.invoke(Deed::Delete, Vec::new());
    story.commit_nothing(call, 1, None);
    story.written();
    story.saw(Some(3));
    story.history.respond(call, Outcome::NothingToDo);
    assert_eq!(story.check(), Ok(()), "a late answer of an early entry");
}

#[test]
fn a_refusal_under_a_session_that_is_answered_otherwise_or_judged_wrongly_is_caught() {
    let refused = |judged_on: fn(Metadata) -> Option<Metadata>, outcome: fn(Metadata, EntryId) -> Outcome| {
        let mut story = Story::new();
        story.open_session();
        let wrote = story.written();
        let object = story.object_at(wrote.seq.0).metadata;
        let call = story.put(vec![Condition::Exists(false)]);
        let entry = story.commit_nothing(call, 1, Some(Refusal { object: judged_on(object) }));
        story.history.respond(call, outcome(object, entry));
        story.check()
    };
    assert_eq!(refused(Some, |object, _| Outcome::Refused(Some(object))), Ok(()));
    assert_eq!(refused(Some, |_, _| Outcome::Unknown), Ok(()));
    refused(|_| None, |_, _| Outcome::Unknown).expect_err("judged on another state");
    refused(Some, |_, _| Outcome::NotExecuted).expect_err("it has an entry");
    refused(Some, |_, _| Outcome::Refused(None)).expect_err("told otherwise");
    refused(Some, |_, entry| Outcome::Written { entry, object: None }).expect_err("told that it took effect");
}

#[test]
fn an_answer_that_comes_from_before_the_call_is_caught_also_under_a_session() {
    let mut story = Story::new();
    story.open_session();
    let early = story.invoke(Deed::Delete, Vec::new());
    story.commit_nothing(early, 1, None);
    story.written();
    story.saw(Some(3));
    let late = story.invoke(Deed::Delete, Vec::new());
    story.history.respond(late, Outcome::NothingToDo);
    assert!(story.caught().contains("already past"), "{}", story.caught());
}

#[test]
fn only_an_entry_without_effect_may_have_an_author_that_nobody_saw() {
    let origin = Some(Origin { session: Seq(1), number: 1, answered_below: 0 });
    let seen = |origin, operation| {
        let mut story = Story::new();
        story.open_session();
        story.append(origin, operation, Author::Unseen);
        story.check()
    };
    assert_eq!(seen(origin, Operation::Nothing { refused: None }), Ok(()));
    seen(None, Operation::Delete { key: Bytes::from("k") }).expect_err("it has an effect");
}

/// Whether some order of the claims respects real time, the order of the writes, and what was seen. Tries all.
fn some_order_fits(writes: &Writes, claims: &[Claim], done: u32, state: (usize, Option<Seq>)) -> bool {
    if done.count_ones() as usize == claims.len() {
        return true;
    }
    let open = |index: usize| done & (1 << index) == 0;
    (0..claims.len()).filter(|index| open(*index)).any(|index| {
        let claim = &claims[index];
        let first = (0..claims.len()).all(|other| {
            !open(other) || other == index || claims[other].returned.is_none_or(|returned| returned > claim.invoked)
        });
        let next = match claim.deal {
            Deal::Saw(seen) => (seen == state.1).then_some(state),
            Deal::Stood(_) => unreachable!("not drawn here"),
            Deal::Wrote(seq) => writes
                .get(state.0)
                .filter(|write| write.0 == seq)
                .map(|(seq, after)| (state.0 + 1, (*after == Presence::Present).then_some(*seq))),
        };
        first && next.is_some_and(|next| some_order_fits(writes, claims, done | 1 << index, next))
    })
}

#[test]
fn agrees_with_a_search_through_all_orders_on_random_histories() {
    let mut verdicts = [0, 0];
    for seed in 0..20_000 {
        let mut rng = Rng::new(seed);
        let count = rng.between(1, 4);
        let presence = |rng: &mut Rng| if rng.chance(Odds::percent(40)) { Presence::Absent } else { Presence::Present };
        let writes: Writes = (1..=count).map(|seq| (Seq(seq), presence(&mut rng))).collect();
        let present: Vec<Seq> = writes.iter().filter(|(_, after)| *after == Presence::Present).map(|(seq, _)| *seq).collect();
        let mut instants: Vec<u64> = (0..16).collect();
        let mut draw = |rng: &mut Rng| Instant(instants.swap_remove(rng.index(instants.len())));
        // Every committed write has a call; reads see anything. Times are drawn around a rough order, so that both verdicts occur.
        let reads = rng.between(1, 3);
        let claims: Vec<Claim> = (0..count + reads)
            .map(|index| {
                let (a, b) = (draw(&mut rng), draw(&mut rng));
                let deal = if index < count {
                    Deal::Wrote(Seq(index + 1))
                } else if present.is_empty() || rng.chance(Odds::percent(30)) {
                    Deal::Saw(None)
                } else {
                    Deal::Saw(Some(*rng.pick(&present)))
                };
                let lost = index < count && rng.chance(Odds::percent(20));
                Claim {
                    call: CallId(usize::try_from(index).expect("a few")),
                    invoked: a.min(b),
                    returned: (!lost).then_some(a.max(b)),
                    deal,
                }
            })
            .collect();
        let fits = some_order_fits(&writes, &claims, 0, (0, None));
        let verdict = sweep(&Bytes::from("k"), &writes, &claims);
        assert_eq!(verdict.is_ok(), fits, "seed {seed}: {writes:?} {claims:?}: {verdict:?}");
        verdicts[usize::from(fits)] += 1;
    }
    assert!(verdicts.iter().all(|count| *count > 1_000), "{verdicts:?}");
}
