//! How words of the command line are read.

use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

use catena_core::Rejoin;

/// Why an address is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address: give a host and a port from 1 to 65535, as in 127.0.0.1:7400, [::1]:7400 or db1.example:7400")]
pub(super) struct InvalidEndpoint;

pub(super) fn parse_endpoint(text: &str) -> Result<String, InvalidEndpoint> {
    let (host, port) = text.rsplit_once(':').ok_or(InvalidEndpoint)?;
    let host_fits = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || "-._".contains(c)),
    };
    // A sign would pass as a number.
    let port_fits = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    if host_fits && port_fits { Ok(text.to_owned()) } else { Err(InvalidEndpoint) }
}

/// Why a time is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time: give a number and `ms`, `s` or `m`, as in 500ms or 5s, up to one day")]
pub(super) struct InvalidDuration;

pub(super) fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return Err(InvalidDuration),
    };
    let number: u64 = number.parse().map_err(|_| InvalidDuration)?;
    let ms = number.checked_mul(factor).filter(|ms| (1..=DAY_MS).contains(ms)).ok_or(InvalidDuration)?;
    Ok(Duration::from_millis(ms))
}

/// A number of bytes, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) struct Size(pub(in crate::cli) u64);

const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl Size {
    /// Of something in memory.
    pub(super) fn of(bytes: usize) -> Self {
        Self(u64::try_from(bytes).expect("a size fits into 64 bits"))
    }

    /// As something in memory.
    pub(in crate::cli) fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, factor)| self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Why a size is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a size: give bytes, or a number and `KiB`, `MiB` or `GiB`, as in 4096 or 64MiB, from 1 to {most}")]
pub(super) struct InvalidSize {
    most: Size,
}

pub(super) fn parse_size(text: &str) -> Result<Size, InvalidSize> {
    size_up_to(Size(1 << 40), text)
}

/// The store's keys are at most 64 KiB long, and have a prefix.
pub(super) fn parse_key_size(text: &str) -> Result<Size, InvalidSize> {
    size_up_to(Size(32 << 10), text)
}

/// Half of what one message may weigh.
pub(super) fn parse_value_size(text: &str) -> Result<Size, InvalidSize> {
    size_up_to(Size(32 << 20), text)
}

fn size_up_to(most: Size, text: &str) -> Result<Size, InvalidSize> {
    let with_unit = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (digits, factor) = with_unit.unwrap_or((text, 1));
    // A sign would pass as a number.
    let number: Option<u64> = if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None };
    let bytes = number.and_then(|number| number.checked_mul(factor));
    bytes.filter(|bytes| (1..=most.0).contains(bytes)).map(Size).ok_or(InvalidSize { most })
}

/// Why a label is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a label: give a key and a value of letters, digits, '.', '_' or '-', as in rack=r1")]
pub(super) struct InvalidLabel;

pub(super) fn parse_label(text: &str) -> Result<(String, String), InvalidLabel> {
    let fits = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    match text.split_once('=') {
        Some((key, value)) if fits(key) && fits(value) => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err(InvalidLabel),
    }
}

/// How long an evicted node stays away when nothing is said.
const AUTO: Duration = Duration::from_mins(1);

/// Why a way back is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a way back: give manual, auto, or auto with the first wait, as in auto:30s")]
pub(super) struct InvalidRejoin;

pub(super) fn parse_rejoin(text: &str) -> Result<Rejoin, InvalidRejoin> {
    match text.split_once(':') {
        None if text == "manual" => Ok(Rejoin::Manual),
        None if text == "auto" => Ok(Rejoin::Auto(AUTO)),
        Some(("auto", wait)) => Ok(Rejoin::Auto(parse_duration(wait).map_err(|_| InvalidRejoin)?)),
        Some(_) | None => Err(InvalidRejoin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for right in ["127.0.0.1:7400", "[::1]:1", "localhost:65535", "db-1.example_net:7400"] {
            assert_eq!(parse_endpoint(right).as_deref(), Ok(right));
        }
        for wrong in [
            "",
            "host",
            "host:",
            ":7400",
            "host:0",
            "host:65536",
            "host:+1",
            "host:x",
            "::1:7400",
            "[x]:1",
            "http://h:1",
            "a b:1",
        ] {
            assert_eq!(parse_endpoint(wrong), Err(InvalidEndpoint), "{wrong}");
        }
    }

    #[test]
    fn a_time_has_a_unit_and_an_end() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_mins(2)));
        for wrong in ["", "5", "s", "0s", "-1s", "1.5s", "99999999999999999999s", "2000m", "18446744073709551615m"] {
            assert_eq!(parse_duration(wrong), Err(InvalidDuration), "{wrong}");
        }
    }

    #[test]
    fn a_size_has_a_binary_unit_or_none() {
        for (text, bytes, printed) in [
            ("1", 1, "1"),
            ("4096", 4096, "4KiB"),
            ("1KiB", 1024, "1KiB"),
            ("64MiB", 64 << 20, "64MiB"),
            ("1536KiB", 1536 << 10, "1536KiB"),
            ("1024GiB", 1 << 40, "1024GiB"),
        ] {
            let size = parse_size(text).expect(text);
            assert_eq!((size, size.to_string().as_str()), (Size(bytes), printed));
        }
        for wrong in
            ["", "0", "MiB", "1MB", "1 MiB", "-1", "+1", "1.5GiB", "1025GiB", "99999999999999999999", "18446744073709551615GiB"]
        {
            assert_eq!(parse_size(wrong), Err(InvalidSize { most: Size(1 << 40) }), "{wrong}");
        }
        assert!(parse_key_size("32KiB").is_ok() && parse_key_size("32769").is_err());
        assert!(parse_value_size("32MiB").is_ok() && parse_value_size("33554433").is_err());
    }

    #[test]
    fn a_label_has_a_key_and_a_value() {
        assert_eq!(parse_label("rack=r1"), Ok(("rack".to_owned(), "r1".to_owned())));
        assert_eq!(parse_label("zone=eu-1.a_b"), Ok(("zone".to_owned(), "eu-1.a_b".to_owned())));
        for wrong in ["", "rack", "=r1", "rack=", "rack=r=1", "ra ck=r1", "rack=r 1"] {
            assert_eq!(parse_label(wrong), Err(InvalidLabel), "{wrong}");
        }
    }

    #[test]
    fn a_node_comes_back_by_hand_or_after_a_time() {
        assert_eq!(parse_rejoin("manual"), Ok(Rejoin::Manual));
        assert_eq!(parse_rejoin("auto"), Ok(Rejoin::Auto(AUTO)));
        assert_eq!(parse_rejoin("auto:500ms"), Ok(Rejoin::Auto(Duration::from_millis(500))));
        for wrong in ["", "auto:", "auto:soon", "automatic", "manual:5s"] {
            assert_eq!(parse_rejoin(wrong), Err(InvalidRejoin), "{wrong}");
        }
    }
}
