//! What a power loss leaves of the last group, and what it cannot have done.
//!
//! A group is one batch in fjall's journal, and is synced before the next one is written. So of the newest journal the last
//! batch alone may lack pages; nobody was told of it, and it goes. Opening a journal, fjall cuts at the first batch that
//! lacks its form, whatever follows, and refuses one that has its form and not its checksum: which a batch of three pages has
//! that lacks the middle. So the journals are looked through before: the remains of a last batch are cut off; and where
//! another batch follows, something that was synced is damaged, and the store is not opened (D2).
//!
//! ```text
//! batch  = 1 items:u32 seqno:u64, items, 3 xxh3:u64 "FJL\x03"      the checksum is that of the items
//! item   = 2 kind:u8 compression:u8 keyspace:u64 key:u16 value:u32 stored:u32, key, value      lengths; then the bytes
//! zeros up to the end of the file, which is made longer than what is in it
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use crate::StoreError;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
/// Ends the end of a batch.
const MAGIC: &[u8; 4] = b"FJL\x03";
/// Of the end of a batch.
const END_BYTES: usize = 13;
const BUFFER_BYTES: usize = 64 << 10;

/// Cuts off what a power loss has left of the last batch.
pub(crate) fn cut_torn_batch(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::failed("look through its journals", error);
    let mut journals = journals(path).map_err(failed)?;
    journals.sort_unstable();
    let newest = journals.last().map(|(number, _)| *number);
    for (number, path) in journals {
        match look_through(&path).map_err(failed)? {
            Content::Whole => {}
            Content::Torn { at } if Some(number) == newest => cut(&path, at).map_err(failed)?,
            Content::Torn { at } | Content::Damaged { at } => return Err(StoreError::JournalDamaged { path, at }),
        }
    }
    Ok(())
}

/// By number: the newest has the highest.
fn journals(path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()), // a new store
        entries => entries?,
    };
    let mut journals = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jnl"));
        journals.extend(name.and_then(|name| name.parse().ok()).map(|number| (number, path.clone())));
    }
    Ok(journals)
}

fn cut(path: &Path, at: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(at)?;
    file.sync_all()
}

/// What is in a journal.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    Whole,
    /// The last batch, from `at` on, is not whole.
    Torn {
        at: u64,
    },
    /// A batch from `at` on is not whole, and others follow.
    Damaged {
        at: u64,
    },
}

fn look_through(path: &Path) -> io::Result<Content> {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
    let mut at = 0;
    let end = loop {
        match read_batch(&mut reader) {
            Ok(Found::Whole) => at = reader.stream_position()?,
            Ok(Found::Ended) => break Found::Ended,
            Ok(Found::Nothing) => break Found::Nothing,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break Found::Nothing,
            Err(error) => return Err(error),
        }
    };
    // The place of its end is behind us, or its end may be somewhere in what follows.
    let may_follow = usize::from(end == Found::Nothing);
    if end == Found::Nothing {
        reader.seek(SeekFrom::Start(at))?;
    }
    let rest = look_at_rest(&mut reader)?;
    Ok(match end {
        _ if rest.ends > may_follow => Content::Damaged { at },
        Found::Nothing if rest.is_zeros => Content::Whole,
        _ => Content::Torn { at },
    })
}

/// What is found where a batch is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Whole,
    /// Up to where its end should be, with another checksum or without the end.
    Ended,
    /// Something that lacks the form of a batch.
    Nothing,
}

fn read_batch(reader: &mut impl BufRead) -> io::Result<Found> {
    let start: [u8; 13] = read(reader)?;
    if start[0] != START {
        return Ok(Found::Nothing);
    }
    let mut hasher = Xxh3::new();
    for _ in 0..u32::from_le_bytes([start[1], start[2], start[3], start[4]]) {
        let item: [u8; 21] = read(reader)?;
        if item[0] != ITEM {
            return Ok(Found::Nothing);
        }
        let key = u16::from_le_bytes([item[11], item[12]]);
        let stored = u32::from_le_bytes([item[17], item[18], item[19], item[20]]);
        hasher.update(&item);
        hash(reader, u64::from(key) + u64::from(stored), &mut hasher)?;
    }
    let end: [u8; END_BYTES] = read(reader)?;
    let is_whole = is_end(&end) && end[1..9] == hasher.digest().to_le_bytes();
    Ok(if is_whole { Found::Whole } else { Found::Ended })
}

fn is_end(bytes: &[u8]) -> bool {
    bytes[0] == END && bytes[9..] == *MAGIC
}

fn read<const LEN: usize>(reader: &mut impl Read) -> io::Result<[u8; LEN]> {
    let mut bytes = [0; LEN];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn hash(reader: &mut impl BufRead, len: u64, hasher: &mut Xxh3) -> io::Result<()> {
    let mut left = len;
    while left > 0 {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        hasher.update(&bytes[..taken]);
        reader.consume(taken);
        left -= taken as u64;
    }
    Ok(())
}

/// What lies behind the last batch that is whole.
struct Rest {
    /// Ends of batches.
    ends: usize,
    is_zeros: bool,
}

fn look_at_rest(reader: &mut impl BufRead) -> io::Result<Rest> {
    let (mut rest, mut window) = (Rest { ends: 0, is_zeros: true }, Vec::new());
    loop {
        // An end may begin in one piece and end in the next.
        window.drain(..window.len().saturating_sub(END_BYTES - 1));
        let bytes = reader.fill_buf()?;
        let len = bytes.len();
        if len == 0 {
            return Ok(rest);
        }
        window.extend_from_slice(bytes);
        reader.consume(len);
        if window.iter().fold(0, |any, byte| any | byte) != 0 {
            rest.is_zeros = false;
            rest.ends += window.windows(END_BYTES).filter(|bytes| is_end(bytes)).count();
        }
    }
}
