//! What all records have in common: a format byte before, a checksum behind.
//!
//! The checksum covers the keyspace's name and the key as well, so that a record in a wrong place is noticed (D2).

use bytes::{Buf, BufMut};
use catena_core::mutant;

use super::keys::Space;
use crate::{Damage, StoreError};

/// The format of every record.
pub(crate) const FORMAT: u8 = 3;
pub(super) const CHECKSUM_BYTES: usize = 4;

/// Writes a record into `out`, which is emptied first.
pub(crate) fn seal_into(out: &mut Vec<u8>, space: Space, key: &[u8], body: impl FnOnce(&mut Vec<u8>)) {
    out.clear();
    out.push(FORMAT);
    body(out);
    out.put_u32(checksum(space, key, out));
}

/// Checks a record and returns its body.
pub(crate) fn open<'a>(space: Space, key: &[u8], record: &'a [u8]) -> Result<&'a [u8], StoreError> {
    check(space, key, record).map_err(|damage| corrupt(space, key, damage))
}

pub(crate) fn corrupt(space: Space, key: &[u8], reason: Damage) -> StoreError {
    StoreError::Corrupt { keyspace: space.name(), key: space.describe(key), reason }
}

fn check<'a>(space: Space, key: &[u8], record: &'a [u8]) -> Result<&'a [u8], Damage> {
    let (framed, stored) = record.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Damage::Checksum)?;
    if u32::from_be_bytes(*stored) != checksum(space, key, framed) && !mutant!(ChecksumIgnored) {
        return Err(Damage::Checksum);
    }
    match framed.split_first() {
        Some((&FORMAT, body)) => Ok(body),
        Some((&other, _)) => Err(Damage::Format(other)),
        None => Err(Damage::Malformed("length")),
    }
}

fn checksum(space: Space, key: &[u8], framed: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(space.name().as_bytes());
    hasher.update(key);
    hasher.update(framed);
    hasher.finalize()
}

/// Takes a body apart, field by field. Every read is checked; nothing is allocated beyond what is there.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, Damage> {
        self.0.try_get_u8().map_err(|_| Damage::Malformed(field))
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, Damage> {
        self.0.try_get_u32().map_err(|_| Damage::Malformed(field))
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, Damage> {
        self.0.try_get_u64().map_err(|_| Damage::Malformed(field))
    }

    pub(crate) fn u128(&mut self, field: &'static str) -> Result<u128, Damage> {
        self.0.try_get_u128().map_err(|_| Damage::Malformed(field))
    }

    /// Bytes behind their length.
    pub(crate) fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], Damage> {
        let len = self.u32(field)? as usize;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Damage::Malformed(field))?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Text behind its length.
    pub(crate) fn text(&mut self, field: &'static str) -> Result<&'a str, Damage> {
        std::str::from_utf8(self.bytes(field)?).map_err(|_| Damage::Malformed(field))
    }

    /// Yes or no, and nothing else.
    pub(crate) fn flag(&mut self, field: &'static str) -> Result<bool, Damage> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Damage::Malformed(field)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes up to the end.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Nothing follows.
    pub(crate) fn end(self) -> Result<(), Damage> {
        if self.0.is_empty() { Ok(()) } else { Err(Damage::Malformed("length")) }
    }
}

/// Writes bytes behind their length.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32(u32::try_from(bytes.len()).expect("keys, names and values are far below 4 GiB"));
    out.extend_from_slice(bytes);
}
