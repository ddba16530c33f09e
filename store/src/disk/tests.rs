//! Records: what is written is read back, and nothing that is read can hurt.

use bytes::Bytes;
use catena_core::{Chain, ChainVersion, Entry, EntryId, Incarnation, Member, Metadata, NodeId, Operation, Seq, Slot, WallTime};
use proptest::prelude::*;

use super::decode_any_record;
use super::frame::{Fields, open, seal_into};
use super::keys::Space;
use super::record::{INLINE_BYTES, LogRecord, LoggedOperation, ObjectRecord, TrimRecord, parse_chain, put_chain, put_entry};

fn bytes(len: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..len).prop_map(Bytes::from)
}

prop_compose! {
    fn entry()(
        (version, previous, seq) in any::<(u64, u64, u64)>(),
        (at, created_at) in any::<(u64, u64)>(),
        key in bytes(50),
        value in prop::option::of(bytes(2 * INLINE_BYTES)),
    ) -> Entry {
        let operation = match value {
            Some(value) => Operation::Put { key, value, created_at: WallTime(created_at) },
            None => Operation::Delete { key },
        };
        let id = EntryId { version: ChainVersion(version), seq: Seq(seq) };
        Entry { id, previous: ChainVersion(previous), at: WallTime(at), operation }
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
        let expected = match entry.operation {
            Operation::Put { key, value, created_at } if value.len() > INLINE_BYTES => {
                LoggedOperation::PutApart { key, created_at }
            }
            Operation::Put { key, value, created_at } => LoggedOperation::Put { key, value, created_at },
            Operation::Delete { key } => LoggedOperation::Delete { key },
        };
        prop_assert_eq!(record.operation, expected);
    }

    #[test]
    fn object_and_trim_records_are_read_back(numbers: [u64; 4], value in prop::option::of(bytes(100))) {
        let [version, created_at, updated_at, apart] = numbers;
        let metadata =
            Metadata { version: Seq(version), created_at: WallTime(created_at), updated_at: WallTime(updated_at) };
        let object = ObjectRecord { metadata, value: value.as_deref() };
        let record = written(|out| object.put(out));
        prop_assert_eq!(ObjectRecord::parse(&record), Ok(object));
        let id = EntryId { version: ChainVersion(version), seq: Seq(created_at) };
        let trim = TrimRecord { trim: id, at: WallTime(updated_at), apart };
        prop_assert_eq!(TrimRecord::parse(&written(|out| trim.put(out))), Ok(trim));
    }

    #[test]
    fn chain_records_are_read_back(version: u64, members in prop::collection::vec(member(), 1..6)) {
        let chain = Chain { slot: Slot(5), version: ChainVersion(version), members };
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

    #[test]
    fn arbitrary_bytes_are_no_danger(data in bytes(300)) {
        decode_any_record(&data);
    }

    /// Starts like a record, so that it gets further.
    #[test]
    fn damaged_records_are_no_danger(entry in entry(), cut: prop::sample::Index, at: prop::sample::Index, byte: u8) {
        let mut record = written(|out| put_entry(out, &entry));
        let position = at.index(record.len());
        record[position] = byte;
        decode_any_record(&record[..cut.index(record.len() + 1)]);
    }
}
