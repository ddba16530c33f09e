//! The words of a command: some in order, some of the form `option=value`.

use std::time::Duration;

use bytes::Bytes;
use catena_core::ChainVersion;

use super::error::Problem;

/// What is left of a command.
#[derive(Debug)]
pub(crate) struct Words<'a> {
    command: &'static str,
    usage: &'static str,
    plain: Vec<&'a str>,
    options: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    pub(crate) fn new(command: &'static str, usage: &'static str, text: &'a str) -> Self {
        let mut words = Self { command, usage, plain: Vec::new(), options: Vec::new() };
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some(option) => words.options.push(option),
                None => words.plain.push(word),
            }
        }
        words
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_empty()
    }

    /// The next word in order.
    pub(crate) fn next(&mut self) -> Result<&'a str, Problem> {
        if self.plain.is_empty() { Err(self.misused()) } else { Ok(self.plain.remove(0)) }
    }

    /// Whether this word is there; takes it.
    pub(crate) fn flag(&mut self, word: &str) -> bool {
        let place = self.plain.iter().position(|plain| *plain == word);
        place.map(|place| self.plain.remove(place)).is_some()
    }

    /// The value of an option; takes it.
    pub(crate) fn option(&mut self, name: &str) -> Option<&'a str> {
        let place = self.options.iter().position(|(option, _)| *option == name)?;
        Some(self.options.remove(place).1)
    }

    /// Nothing may be left. `known`: the options that there are.
    pub(crate) fn end(&self, known: &'static str) -> Result<(), Problem> {
        if let Some((option, _)) = self.options.first() {
            return Err(Problem::UnknownOption { command: self.command, option: (*option).to_owned(), known });
        }
        if self.plain.is_empty() { Ok(()) } else { Err(self.misused()) }
    }

    pub(crate) fn misused(&self) -> Problem {
        Problem::Usage { usage: self.usage }
    }
}

pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::NoNumber { text: text.to_owned() })
}

pub(crate) fn version(text: &str) -> Result<ChainVersion, Problem> {
    let number = text.strip_prefix('v').and_then(|number| number.parse().ok());
    number.map(ChainVersion).ok_or_else(|| Problem::NoVersion { text: text.to_owned() })
}

pub(crate) fn duration(text: &str) -> Result<Duration, Problem> {
    let wrong = || Problem::NoDuration { text: text.to_owned() };
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "us" => Duration::from_micros(1),
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "min" => Duration::from_mins(1),
        _ => return Err(wrong()),
    };
    unit.checked_mul(number).filter(|duration| *duration <= Duration::from_hours(24)).ok_or_else(wrong)
}

/// More than any value may have.
const MOST_BYTES: usize = 64 << 20;

/// The bytes of a key or a value: as written; in hexadecimal after `0x`; `N*x`: so many of them.
pub(crate) fn bytes(text: &str) -> Result<Bytes, Problem> {
    if let Some((count, byte)) = text.split_once('*') {
        let count: usize = number(count)?;
        let fits = count.checked_mul(byte.len()).is_some_and(|bytes| bytes <= MOST_BYTES);
        let too_many = || Problem::TooManyBytes { text: text.to_owned(), most: MOST_BYTES };
        return fits.then(|| byte.repeat(count).into()).ok_or_else(too_many);
    }
    let Some(digits) = text.strip_prefix("0x") else { return Ok(text.to_owned().into()) };
    let wrong = || Problem::NoBytes { text: text.to_owned() };
    if digits.is_empty() || digits.len() % 2 != 0 || !digits.is_ascii() {
        return Err(wrong());
    }
    let pairs = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| wrong()));
    pairs.collect::<Result<Vec<u8>, _>>().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_bytes_are_read_or_refused() {
        assert_eq!(duration("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(duration("2min"), Ok(Duration::from_mins(2)));
        for wrong in ["", "5", "ms", "5 ms", "-1s", "1h", "99999999999s", "4294967295min"] {
            duration(wrong).expect_err(wrong);
        }
        assert_eq!(bytes("ab"), Ok(Bytes::from("ab")));
        assert_eq!(bytes("0xff00"), Ok(Bytes::from(vec![255, 0])));
        assert_eq!(bytes("3*x"), Ok(Bytes::from("xxx")));
        for wrong in ["0x", "0xf", "0xzz", "many*x", "67108865*x", "9223372036854775807*xx", "18446744073709551615*xx"] {
            bytes(wrong).expect_err(wrong);
        }
    }
}
