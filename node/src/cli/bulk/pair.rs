//! A line of JSON as a pair of bytes.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::Deserialize;

/// What is to be stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) key: Bytes,
    pub(super) value: Bytes,
}

impl Pair {
    /// What it weighs.
    pub(super) fn bytes(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

/// The longest line: the largest value fits, however it is written.
pub(super) const LINE_BYTES: usize = 128 << 20;

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("it is not a pair in JSON ({0}): give an object such as {{\"key\":\"k\",\"value\":\"v\"}}")]
    Json(String),
    #[error("it has neither {0} nor {0}_base64: give one of them")]
    Missing(&'static str),
    #[error("it has both {0} and {0}_base64: give one of them")]
    Twice(&'static str),
    #[error("its {field}_base64 is not base64 ({source}): give it in the standard alphabet, padded")]
    Base64 { field: &'static str, source: base64::DecodeError },
    #[error("it has over {LINE_BYTES} bytes, more than any pair takes: is a line feed missing?")]
    TooLong,
    #[error("it is not there: the input has {lines} lines, give the first of them that is not stored yet")]
    NotThere { lines: u64 },
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
}

/// What a line may say. Other fields mean nothing here.
#[derive(Debug, Deserialize)]
struct Fields {
    key: Option<String>,
    key_base64: Option<String>,
    value: Option<String>,
    value_base64: Option<String>,
}

/// Reads one line.
pub(super) fn parse(line: &[u8]) -> Result<Pair, LineError> {
    // A list with as many elements would be taken for an object's fields.
    if line.trim_ascii_start().starts_with(b"[") {
        return Err(LineError::Json("it is no object".to_owned()));
    }
    let Fields { key, key_base64, value, value_base64 } = serde_json::from_slice(line).map_err(|error| not_json(&error))?;
    Ok(Pair { key: bytes("key", key, key_base64)?, value: bytes("value", value, value_base64)? })
}

fn bytes(field: &'static str, text: Option<String>, base64: Option<String>) -> Result<Bytes, LineError> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into()),
        (None, Some(base64)) => Ok(BASE64.decode(base64).map_err(|source| LineError::Base64 { field, source })?.into()),
        (None, None) => Err(LineError::Missing(field)),
        (Some(_), Some(_)) => Err(LineError::Twice(field)),
    }
}

/// The parser counts lines, too: of one line that says nothing.
fn not_json(error: &serde_json::Error) -> LineError {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    LineError::Json(format!("{what} at column {}", error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &'static [u8], value: &'static [u8]) -> Pair {
        Pair { key: Bytes::from_static(key), value: Bytes::from_static(value) }
    }

    #[test]
    fn a_pair_is_text_or_base64_and_whatever_else_a_line_says_means_nothing() {
        let text = r#" {"key":"k\u00e9y","slot":3,"version":9,"value":"a\"b\n"} "#;
        assert_eq!(parse(text.as_bytes()).unwrap(), pair("kéy".as_bytes(), b"a\"b\n"));
        let base64 = br#"{"value_base64":"3q2+7w==","key_base64":"/wA="}"#;
        assert_eq!(parse(base64).unwrap(), pair(b"\xff\0", b"\xde\xad\xbe\xef"));
        assert_eq!(parse(br#"{"key":"k","value":""}"#).unwrap(), pair(b"k", b""));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (line, said) in [
            ("", "EOF while parsing a value at column 0"),
            ("nonsense", "expected ident at column 2"),
            (r#"["k",null,"v",null]"#, "it is no object"),
            (r#"{"key":"k","value":"v""#, "EOF while parsing an object at column 22"),
            (r#"{"key":"k","value":7}"#, "invalid type: integer `7`, expected a string at column 20"),
            (r#"{"key":"k","key":"l","value":"v"}"#, "duplicate field `key` at column"),
            (r#"{"key":"k","value":"v"}{}"#, "trailing characters at column 24"),
            (r#"{"value":"v"}"#, "neither key nor key_base64"),
            (r#"{"key":"k","value":null}"#, "neither value nor value_base64"),
            (r#"{"key":"k","value":"v","value_base64":"dg=="}"#, "both value and value_base64"),
            (r#"{"key_base64":"/w","value":"v"}"#, "its key_base64 is not base64"),
        ] {
            let error = parse(line.as_bytes()).expect_err(line).to_string();
            assert!(error.contains(said), "{line}: {error}");
        }
        assert!(parse(b"{\"key\":\"\xff\",\"value\":\"v\"}").is_err());
    }
}
