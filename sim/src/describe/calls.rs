//! Calls and answers in a few words.

use bytes::Bytes;
use catena_core::client::{Body, Failure};
use catena_core::{Action, CallError, Condition, Entry, Object, Operation, Origin, Reply};

use crate::history::{Deed, Outcome, Wish};
use crate::scenario::render::{condition, refusal};

/// What a client wants.
pub(crate) fn wish(wish: &Wish) -> String {
    let Wish { key, deed, conditions } = wish;
    let what = match deed {
        Deed::Get => format!("get {}", key_text(key)),
        Deed::Put { value } => format!("put {} = {}", key_text(key), value_text(value)),
        Deed::Delete => format!("delete {}", key_text(key)),
    };
    what + &conditions_text(conditions)
}

/// A request.
pub(crate) fn body(body: &Body) -> String {
    match body {
        Body::Read { key } => format!("get {}", key_text(key)),
        Body::Scan { after: None, bytes } => format!("scan from the beginning, {bytes} bytes"),
        Body::Scan { after: Some(after), bytes } => format!("scan behind {}, {bytes} bytes", key_text(after)),
        Body::Write { command, origin } => {
            let what = match &command.action {
                Action::Put { value } => format!("put {} = {}", key_text(&command.key), value_text(value)),
                Action::Delete => format!("delete {}", key_text(&command.key)),
            };
            format!("{what}{}{}", conditions_text(&command.conditions), origin.map_or(String::new(), origin_text))
        }
        Body::OpenSession => "open a session".to_owned(),
    }
}

/// The key of a request, if it has one.
pub(crate) fn body_key(body: &Body) -> Vec<String> {
    match body {
        Body::Read { key } => vec![key_text(key)],
        Body::Write { command, .. } => vec![key_text(&command.key)],
        Body::Scan { .. } | Body::OpenSession => Vec::new(),
    }
}

/// A node's answer.
pub(crate) fn answer(result: &Result<Reply, CallError>) -> String {
    match result {
        Ok(Reply::Written { entry: Some(entry), object: Some(object) }) => {
            format!("written as {entry}, version {}", object.version)
        }
        Ok(Reply::Written { entry: Some(entry), object: None }) => format!("deleted by {entry}"),
        Ok(Reply::Written { entry: None, .. }) => "nothing to delete".to_owned(),
        Ok(Reply::Opened { session }) => format!("session {session} is open"),
        Ok(Reply::Read { version, object }) => format!("{} (in v{version})", object_text(object.as_ref())),
        Ok(Reply::Scanned { version, page }) => format!("{} objects (in v{version})", page.objects.len()),
        Err(error) => format!("refused: {}", refusal(error)),
    }
}

/// Why there is none.
pub(crate) fn failure(failure: Failure) -> String {
    format!("no answer: {failure:?}")
}

/// How a call ended.
pub(crate) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Pending => "goes on".to_owned(),
        Outcome::Read(object) => object_text(object.as_ref()),
        Outcome::Written { entry, object: Some(object) } => format!("done, as {entry}, version {}", object.version),
        Outcome::Written { entry, object: None } => format!("done, as {entry}"),
        Outcome::NothingToDo => "done: there was nothing".to_owned(),
        Outcome::Refused(Some(object)) => format!("refused: it is at version {}", object.version),
        Outcome::Refused(None) => "refused: there is none".to_owned(),
        Outcome::NotExecuted => "not executed".to_owned(),
        Outcome::Unknown => "unknown outcome".to_owned(),
    }
}

/// What an entry does.
pub(crate) fn operation(entry: &Entry) -> String {
    let what = match &entry.operation {
        Operation::Put { key, value, .. } => format!("put {} = {}", key_text(key), value_text(value)),
        Operation::Delete { key } => format!("delete {}", key_text(key)),
        Operation::Nothing { refused: Some(_) } => "a refusal".to_owned(),
        Operation::Nothing { refused: None } => "nothing to delete".to_owned(),
        Operation::OpenSession => format!("session {} opens", entry.id.seq),
        Operation::Expire { .. } => "sessions expire".to_owned(),
    };
    what + &entry.origin.map_or(String::new(), origin_text)
}

/// A key for a reader.
pub(crate) fn key_text(key: &Bytes) -> String {
    String::from_utf8_lossy(key).into_owned()
}

/// The world's values begin with the number of the call that writes them.
fn value_text(value: &Bytes) -> String {
    match value.split_first_chunk::<8>() {
        Some((number, _)) => format!("value {} ({} bytes)", u64::from_be_bytes(*number), value.len()),
        None => format!("{} bytes", value.len()),
    }
}

fn object_text(object: Option<&Object>) -> String {
    object.map_or("there is none".to_owned(), |object| {
        format!("{}, version {}", value_text(&object.value), object.metadata.version)
    })
}

fn origin_text(origin: Origin) -> String {
    format!(", write {} of session {}", origin.number, origin.session)
}

fn conditions_text(conditions: &[Condition]) -> String {
    conditions.iter().fold(String::new(), |text, one| text + " " + &condition(one))
}
