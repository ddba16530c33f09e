//! Records: what is written is read back, and nothing that is read can hurt.

use std::ops::RangeBounds;

use bytes::Bytes;
use catena_core::{
    Answered, Chain, ChainVersion, Entry, EntryId, Epoch, Incarnation, Member, Metadata, NodeId, Operation, Origin, Outcome, Pin,
    Process, Refusal, Seq, Session, Slot, WallTime,
};
use proptest::prelude::*;

use super::chain_record::{parse_chain, put_chain};
use super::check_any_record;
use super::frame::{Fields, open, seal_into};
use super::keys::{
    Generation, Space, generation_range, object_key, parse_object_key, parse_position_key, parse_value_key, position_key,
    value_key, values_from,
};
use super::log_record::{LogRecord, LoggedOperation, put_entry};
use super::record::{INLINE_BYTES, ObjectRecord, RecordedValue, StagingRecord, StateRecord};
use super::session_record::{parse_session, put_session};
use crate::Damage;

fn bytes(len: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..len).prop_map(Bytes::from)
}

prop_compose! {
    fn metadata()((version, created_at, updated_at) in any::<(u64, u64, u64)>()) -> Metadata {
        Metadata { version: Seq(version), created_at: WallTime(created_at), updated_at: WallTime(updated_at) }
    }
}

prop_compose! {
    fn refusal()(object in prop::option::of(metadata())) -> Refusal {
        Refusal { object }
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (bytes(50), bytes(2 * INLINE_BYTES), any::<u64>())
            .prop_map(|(key, value, at)| Operation::Put { key, value, created_at: WallTime(at) }),
        1 => bytes(50).prop_map(|key| Operation::Delete { key }),
        1 => prop::option::of(refusal()).prop_map(|refused| Operation::Nothing { refused }),
        1 => Just(Operation::OpenSession),
        1 => prop::collection::vec(any::<u64>().prop_map(Seq), 0..5).prop_map(|sessions| Operation::Expire { sessions }),
    ]
}

prop_compose! {
    fn entry()(
        (version, previous, seq, at) in any::<(u64, u64, u64, u64)>(),
        origin in prop::option::of(any::<(u64, u64, u64)>()),
        operation in operation(),
    ) -> Entry {
        let id = EntryId { version: ChainVersion(version), seq: Seq(seq) };
        let origin = origin.map(|(session, number, answered_below)| Origin { session: Seq(session), number, answered_below });
        Entry { id, previous: ChainVersion(previous), at: WallTime(at), origin, operation }
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        prop::option::of(metadata()).prop_map(Outcome::Written),
        Just(Outcome::Absent),
        refusal().prop_map(Outcome::Refused),
    ]
}

prop_compose! {
    fn session()(
        (used_at, answered_below) in any::<(u64, u64)>(),
        answers in prop::collection::btree_map(any::<u64>(), (any::<(u64, u64)>(), outcome()), 0..6),
    ) -> Session {
        let answers = answers.into_iter().map(|(number, ((version, seq), outcome))| {
            (number, Answered { entry: EntryId { version: ChainVersion(version), seq: Seq(seq) }, outcome })
        });
        Session { used_at: WallTime(used_at), answered_below, answers: answers.collect() }
    }
}

prop_compose! {
    fn member()(name in "[a-zA-Z0-9._-]{1,64}", incarnation: u128, activated: u64) -> Member {
        let node = NodeId::new(&name).expect("a legal name");
        Member { node, incarnation: Incarnation(incarnation), activated: ChainVersion(activated) }
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

proptest! {
    #[test]
    fn log_records_are_read_back(entry in entry()) {
        let record = LogRecord::parse(&written(|out| put_entry(out, &entry))).expect("just written");
        prop_assert_eq!((record.version, record.previous, record.at), (entry.id.version, entry.previous, entry.at));
        prop_assert_eq!(record.origin, entry.origin);
        let expected = match entry.operation {
            Operation::Put { key, value, created_at } if value.len() > INLINE_BYTES => {
                LoggedOperation::PutApart { key, created_at }
            }
            operation => LoggedOperation::Whole(operation),
        };
        prop_assert_eq!(record.operation, expected);
    }

    #[test]
    fn object_records_are_read_back(metadata in metadata(), value in prop::option::of(bytes(100)), len: u32) {
        let value = value.as_deref().map_or(RecordedValue::Apart { len }, RecordedValue::Inline);
        let object = ObjectRecord { metadata, value };
        let record = written(|out| object.put(out));
        prop_assert_eq!(ObjectRecord::parse(&record), Ok(object));
    }

    #[test]
    fn records_of_state_and_staging_are_read_back(
        (version, seq, at, apart, process) in any::<(u64, u64, u64, u64, u64)>(),
        generation: u32,
        source in "[a-zA-Z0-9._-]{1,64}",
        last in prop::option::of(bytes(20)),
    ) {
        let id = EntryId { version: ChainVersion(version), seq: Seq(seq) };
        let state = StateRecord { trim: id, at: WallTime(at), generation: Generation(generation), apart };
        prop_assert_eq!(StateRecord::parse(&written(|out| state.put(out))), Ok(state));
        let pin = Pin { source: NodeId::new(&source).expect("a legal name"), process: Process(process), at: id };
        let staging = StagingRecord { generation: Generation(generation), apart, pin, last };
        prop_assert_eq!(StagingRecord::parse(&written(|out| staging.put(out))), Ok(staging));
    }

    #[test]
    fn session_records_are_read_back(session in session()) {
        prop_assert_eq!(parse_session(&written(|out| put_session(out, &session))), Ok(session));
    }

    #[test]
    fn the_keys_of_a_generation_lie_together_and_in_order(
        (slot, generation, seq) in any::<(u32, u32, u64)>(),
        (other_slot, other_generation) in (any::<u32>(), any::<u32>()),
        key in bytes(20),
        after in bytes(20),
    ) {
        let (slot, generation) = (Slot(slot), Generation(generation));
        let full = object_key(slot, generation, &key);
        prop_assert_eq!(parse_object_key(&full), Some(&key[..]));
        let position = position_key(slot, generation, Seq(seq));
        prop_assert_eq!(parse_position_key(&position), (seq > 0).then_some((slot, generation, Seq(seq))));
        let value = value_key(slot, generation, &key, Seq(seq));
        prop_assert_eq!(parse_value_key(&value), (seq > 0).then_some((slot, generation, key.to_vec(), Seq(seq))));
        let all = generation_range(slot, generation, None);
        prop_assert!(all.contains(&full) && all.contains(&position.to_vec()) && all.contains(&value));
        let rest = generation_range(slot, generation, Some(&object_key(slot, generation, &after)));
        prop_assert_eq!(rest.contains(&full), key > after);
        for (slot, generation) in [(Slot(other_slot), generation), (slot, Generation(other_generation))] {
            let other = object_key(slot, generation, &key);
            prop_assert_eq!(all.contains(&other), other == full);
        }
    }

    /// Keys of few letters: those that are used for escapes, and their neighbours.
    #[test]
    fn values_lie_in_the_order_of_their_objects_and_of_their_entries(
        keys in prop::array::uniform2(prop::collection::vec(prop::sample::select(&[0, 1, 2, 0xfe, 0xff][..]), 0..5)),
        seqs in any::<[u64; 2]>(),
    ) {
        let [one, other] = [0, 1].map(|at| value_key(Slot(1), Generation(2), &keys[at], Seq(seqs[at])));
        prop_assert_eq!(one.cmp(&other), (&keys[0], seqs[0]).cmp(&(&keys[1], seqs[1])));
        let from = values_from(Slot(1), Generation(2), &keys[0]);
        prop_assert!(from <= one);
        prop_assert!(keys[1] >= keys[0] || other < from);
    }

    #[test]
    fn chain_records_are_read_back(
        (version, epoch, tail_ready) in any::<(u64, u64, bool)>(),
        members in prop::collection::vec(member(), 1..6),
        joining in prop::option::of(member()),
    ) {
        let (version, epoch) = (ChainVersion(version), Epoch(epoch));
        let chain = Chain { slot: Slot(5), version, epoch, members, tail_ready, joining };
        let record = written(|out| put_chain(out, &chain));
        let mut fields = Fields(&record);
        prop_assert_eq!(parse_chain(Slot(5), &mut fields), Ok(chain));
        prop_assert_eq!(fields.end(), Ok(()));
    }

    #[test]
    fn a_sealed_record_opens_under_its_own_name_only(body in bytes(60), key in bytes(20), other in bytes(20), flip: prop::sample::Index) {
        let mut record = Vec::new();
        seal_into(&mut record, Space::Log, &key, |out| out.extend_from_slice(&body));
        prop_assert_eq!(open(Space::Log, &key, &record).ok(), Some(&body[..]));
        prop_assert!(open(Space::Objects, &key, &record).is_err());
        prop_assert_eq!(open(Space::Log, &other, &record).is_ok(), key == other);
        prop_assert!(open(Space::Log, &key, &record[1..]).is_err());
        let at = flip.index(record.len() * 8);
        record[at / 8] ^= 1 << (at % 8);
        prop_assert!(open(Space::Log, &key, &record).is_err());
    }

    /// Written otherwise, it would be another record: so it is none.
    #[test]
    fn a_session_whose_answers_are_out_of_order_or_doubled_is_malformed(session in session()) {
        let record = written(|out| put_session(out, &session));
        let answer = |number: u64| [&number.to_be_bytes()[..], &[0; 16], &[3]].concat();
        let last = session.answers.keys().next_back().copied().unwrap_or(7);
        let doubled = [&record[..], &answer(last), &answer(last)].concat();
        prop_assert_eq!(parse_session(&doubled), Err(Damage::Malformed("number")));
    }

    /// A value of that size is looked for where it would be apart.
    #[test]
    fn an_entry_with_a_large_value_inline_is_malformed(key in bytes(20), beyond in 0..3_usize) {
        let value = |len: usize| Operation::Put { key: key.clone(), value: vec![7; len].into(), created_at: WallTime(1) };
        let id = EntryId { version: ChainVersion(1), seq: Seq(1) };
        let entry = Entry { id, previous: ChainVersion(0), at: WallTime(1), origin: None, operation: value(INLINE_BYTES) };
        let mut record = written(|out| put_entry(out, &entry));
        record.extend(vec![7; beyond]);
        prop_assert_eq!(LogRecord::parse(&record).is_ok(), beyond == 0);
    }

    #[test]
    fn arbitrary_bytes_are_no_danger(data in bytes(300)) {
        check_any_record(&data);
    }

    /// Starts like a record, so that it gets further.
    #[test]
    fn damaged_records_are_no_danger(
        entry in entry(),
        session in session(),
        which: bool,
        cut: prop::sample::Index,
        at: prop::sample::Index,
        byte: u8,
    ) {
        let mut record = written(|out| if which { put_entry(out, &entry) } else { put_session(out, &session) });
        let position = at.index(record.len());
        record[position] = byte;
        check_any_record(&record[..cut.index(record.len() + 1)]);
    }
}
