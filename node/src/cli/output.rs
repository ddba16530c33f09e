//! How a result looks on standard output.

use std::io::{self, IsTerminal, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use catena_core::{ChainVersion, Metadata, Object, Slot, WallTime};
use catena_net::client::Written;
use serde::Serialize;

use super::arguments::Format;
use super::exit::{Exit, fail};

/// What came of a call.
#[derive(Debug)]
pub(super) enum Outcome {
    Put(Written),
    Got { slot: Slot, version: ChainVersion, object: Object },
    Deleted(Written),
}

/// One line of JSON. Bytes that are not UTF-8 are under the name with `_base64`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    key: Key<'a>,
    slot: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at_ns: Option<u64>,
    #[serde(flatten)]
    value: Option<Value<'a>>,
}

#[derive(Debug, Serialize)]
enum Key<'a> {
    #[serde(rename = "key")]
    Text(&'a str),
    #[serde(rename = "key_base64")]
    Bytes(String),
}

#[derive(Debug, Serialize)]
enum Value<'a> {
    #[serde(rename = "value")]
    Text(&'a str),
    #[serde(rename = "value_base64")]
    Bytes(String),
}

/// Prints what `dev` has to say. A closed standard output is nobody's loss.
pub(crate) fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Prints a result, as it is.
pub(super) fn write(text: &str) -> Result<(), Exit> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| fail(&format!("the result cannot be printed: {error}"), Exit::Error))
}

/// Prints what is wrong, or remarkable. A closed standard error is no reason to end.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints the outcome of a call about `key`.
pub(super) fn print(format: Format, key: &[u8], outcome: &Outcome) -> Exit {
    let mut out = io::stdout().lock();
    let printed = match format {
        Format::Raw => raw(&mut out, outcome),
        Format::Json => json(&mut out, key, outcome),
        Format::Table => table(&mut out, key, outcome),
    };
    match printed.and_then(|()| out.flush()) {
        Ok(()) => Exit::Ok,
        Err(error) => fail(&format!("the call is done, and its result cannot be printed: {error}"), Exit::Error),
    }
}

fn raw(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    match outcome {
        Outcome::Put(written) => match &written.object {
            Some(object) => writeln!(out, "{}", object.version),
            None => Ok(()),
        },
        Outcome::Got { object, .. } => {
            out.write_all(&object.value)?;
            // For a person the prompt belongs on the next line; for a program every byte counts.
            if io::stdout().is_terminal() { writeln!(out) } else { Ok(()) }
        }
        Outcome::Deleted(written) => writeln!(out, "{}", deleted(written)),
    }
}

fn deleted(written: &Written) -> &'static str {
    if written.entry.is_some() { "deleted" } else { "not there" }
}

/// Prints an object in a line of JSON.
pub(super) fn write_pair(out: &mut impl Write, key: &[u8], slot: Slot, version: ChainVersion, object: Object) -> io::Result<()> {
    json(out, key, &Outcome::Got { slot, version, object })
}

fn json(out: &mut impl Write, key: &[u8], outcome: &Outcome) -> io::Result<()> {
    let key = match str::from_utf8(key) {
        Ok(text) => Key::Text(text),
        Err(_) => Key::Bytes(BASE64.encode(key)),
    };
    serde_json::to_writer(&mut *out, &line(key, outcome))?;
    writeln!(out)
}

fn line<'a>(key: Key<'a>, outcome: &'a Outcome) -> Line<'a> {
    let (slot, entry, metadata, value) = match outcome {
        Outcome::Put(written) | Outcome::Deleted(written) => (written.slot, written.entry, written.object, None),
        Outcome::Got { slot, object, .. } => {
            let value = match str::from_utf8(&object.value) {
                Ok(text) => Value::Text(text),
                Err(_) => Value::Bytes(BASE64.encode(&object.value)),
            };
            (*slot, None, Some(object.metadata), Some(value))
        }
    };
    let read_in = match outcome {
        Outcome::Got { version, .. } => Some(version.0),
        Outcome::Put(_) | Outcome::Deleted(_) => None,
    };
    let deleted = match outcome {
        Outcome::Deleted(written) => Some(written.entry.is_some()),
        Outcome::Put(_) | Outcome::Got { .. } => None,
    };
    Line {
        key,
        slot: slot.0,
        chain_version: read_in.or(entry.map(|entry| entry.version.0)),
        seq: entry.map(|entry| entry.seq.0),
        deleted,
        version: metadata.map(|metadata| metadata.version.0),
        created_at_ns: metadata.map(|metadata| metadata.created_at.0),
        updated_at_ns: metadata.map(|metadata| metadata.updated_at.0),
        value,
    }
}

fn table(out: &mut impl Write, key: &[u8], outcome: &Outcome) -> io::Result<()> {
    row(out, "key", &String::from_utf8_lossy(key))?;
    match outcome {
        Outcome::Put(written) => metadata(out, written.object.as_ref()),
        Outcome::Got { object, .. } => {
            metadata(out, Some(&object.metadata))?;
            row(out, "bytes", &object.value.len().to_string())?;
            row(out, "value", &String::from_utf8_lossy(&object.value))
        }
        Outcome::Deleted(written) => row(out, "result", deleted(written)),
    }
}

fn metadata(out: &mut impl Write, metadata: Option<&Metadata>) -> io::Result<()> {
    let Some(metadata) = metadata else { return Ok(()) };
    row(out, "version", &metadata.version.to_string())?;
    row(out, "created", &utc(metadata.created_at))?;
    row(out, "updated", &utc(metadata.updated_at))
}

fn row(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "{name:<8} {value}")
}

/// A time as ISO 8601 writes it, in UTC, to the microsecond.
fn utc(time: WallTime) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let (seconds, micros) = (time.0 / 1_000_000_000, time.0 % 1_000_000_000 / 1000);
    let (year, month, day) = civil(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// Year, month and day of the `days`-th day after 1970-01-01. Howard Hinnant's `civil_from_days`, for days that are not negative.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468; // from 0000-03-01: a leap day is the last of its year
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_in_utc() {
        assert_eq!(utc(WallTime(0)), "1970-01-01T00:00:00.000000Z");
        assert_eq!(utc(WallTime(951_782_399_000_001_000)), "2000-02-28T23:59:59.000001Z");
        assert_eq!(utc(WallTime(951_782_400_000_000_000)), "2000-02-29T00:00:00.000000Z");
        assert_eq!(utc(WallTime(1_798_761_599_999_999_999)), "2026-12-31T23:59:59.999999Z");
    }
}
