//! Bytes that may be anything, taken for everything that is read from a disk; for `fuzz/` and for tests.

use bytes::Bytes;
use catena_core::Slot;

use super::chain_record::{parse_chain, put_chain};
use super::frame::{Fields, open, seal_into};
use super::keys::{
    Space, object_key, parse_generation, parse_object_key, parse_position_key, parse_slot, parse_slot_key, parse_value_key,
    position_key, slot_key, value_key,
};
use super::log_record::{LogRecord, put_entry};
use super::record::{INLINE_BYTES, ObjectRecord, StagingRecord, StateRecord};
use super::session_record::{parse_session, put_session};
use crate::Damage;

/// Reads `data` as a record of each kind, as a key of each keyspace, and as the file that says whose directory it is.
///
/// # Panics
/// Something makes sense of it that would be written otherwise.
#[doc(hidden)]
pub fn check_any_record(data: &[u8]) {
    log_record(data);
    same(data, ObjectRecord::parse(data), ObjectRecord::put);
    same(data, StateRecord::parse(data), StateRecord::put);
    same(data, StagingRecord::parse(data), StagingRecord::put);
    same(data, parse_session(data), |session, out| put_session(out, session));
    let mut fields = Fields(data);
    let chain = parse_chain(Slot(0), &mut fields).and_then(|chain| fields.end().map(|()| chain));
    same(data, chain, |chain, out| put_chain(out, chain));
    framed(data);
    keys(data);
    crate::config::check_any_record(data);
    crate::directory::check_any_identity(data);
}

/// What was read is written as it was.
pub(crate) fn same<T>(data: &[u8], read: Result<T, Damage>, put: impl FnOnce(&T, &mut Vec<u8>)) {
    if let Ok(record) = read {
        let mut written = Vec::new();
        put(&record, &mut written);
        assert_eq!(written, data, "what is read is written as it was");
    }
}

/// A value that is apart is any that belongs there.
fn log_record(data: &[u8]) {
    let seq = catena_core::Seq(1);
    let entry = |record: LogRecord| record.entry(seq, |_| Ok(Bytes::from(vec![7; INLINE_BYTES + 1])));
    let read = LogRecord::parse(data).map(|record| entry(record).expect("its value is there"));
    same(data, read, |entry, out| put_entry(out, entry));
}

/// As it is, and as the body of a record that is whole.
fn framed(data: &[u8]) {
    let key = data.get(..4).unwrap_or_default();
    let mut record = Vec::new();
    seal_into(&mut record, Space::Log, key, |out| out.extend_from_slice(data));
    assert_eq!(open(Space::Log, key, &record).ok(), Some(data), "what is sealed is opened");
    if let Ok(body) = open(Space::Log, key, data) {
        seal_into(&mut record, Space::Log, key, |out| out.extend_from_slice(body));
        assert_eq!(record, data, "what is opened is sealed as it was");
    }
}

fn keys(data: &[u8]) {
    if let Some((slot, aspect)) = parse_slot_key(data) {
        assert_eq!(slot_key(slot, aspect), data, "a slot's key");
    }
    if let Some((slot, generation, seq)) = parse_position_key(data) {
        assert_eq!(position_key(slot, generation, seq), data, "an entry's key");
    }
    if let Some((slot, generation, key, seq)) = parse_value_key(data) {
        assert_eq!(value_key(slot, generation, &key, seq), data, "a value's key");
    }
    if let (Some(slot), Some(generation), Some(key)) = (parse_slot(data), parse_generation(data), parse_object_key(data)) {
        assert_eq!(object_key(slot, generation, key), data, "an object's key");
    }
    for space in Space::OF_GENERATIONS.into_iter().chain([Space::Slots, Space::Config]) {
        let described = space.describe(data);
        assert!(described.is_ascii() && !described.contains('\n'), "a key is described in one line: {described}");
    }
}
