//! What happens, in a few words, for those who read traces and look at pictures.

mod calls;
mod machines;

pub(crate) use calls::{answer, body, body_key, failure, key_text, operation, outcome, wish};
pub(crate) use machines::{chain, change, decisions, effect, event, heartbeat, heartbeat_answer, is_notable, message};

/// A text without line breaks.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
