//! Every key behaves like one object (linearizability), from what clients saw alone: for clusters into which nobody can look.
//!
//! An object that is seen names the write that made it, by its value; that write's place in its slot's history, by its version; and by
//! `created_at`, whether the object was deleted in between. So most of the committed history comes together again, and
//! the sweep of [`linearize`](super::linearize) decides whether real time agrees with it. Of writes of unknown outcome only
//! what nobody saw stays hidden. Wherever one of these may explain what was seen, it is taken to do so: what is reported
//! here is wrong whatever they did.

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::{ChainVersion, Comparison, Condition, Metadata, Object, Seq, Slot};

use super::Violation;
use super::linearize::{Claim, Deal, Presence, Writes, of, saw, sweep};
use crate::history::{Call, CallId, Deed, History, Outcome};

/// A committed write, as far as it was seen.
#[derive(Clone, Debug)]
struct Known {
    key: Bytes,
    /// What it left behind; `None`: it was a delete.
    object: Option<Metadata>,
    /// Whose it is; `None`: only its metadata was seen.
    author: Option<CallId>,
    /// In which version it was ordered, if it was acknowledged.
    version: Option<ChainVersion>,
}

/// All of them, in the order of their slots.
type Places = BTreeMap<(Slot, Seq), Known>;

/// Checks the whole history.
pub(crate) fn check(history: &History) -> Result<(), Violation> {
    let mut places = Places::new();
    for (index, call) in history.calls.iter().enumerate() {
        sight(CallId(index), call, history, &mut places)?;
    }
    let authors = authors(history, &places)?;
    in_order(&places)?;
    let mut keys: BTreeMap<Bytes, Key> = BTreeMap::new();
    for ((_, seq), known) in places {
        keys.entry(known.key.clone()).or_default().known.push((seq, known));
    }
    for (index, call) in history.calls.iter().enumerate() {
        let id = CallId(index);
        let key = keys.entry(call.wish.key.clone()).or_default();
        key.claims.extend(saw(id, call)?.map(|deal| of(id, call, deal)));
        if matches!(call.outcome, Outcome::Unknown | Outcome::Pending) && !authors.contains_key(&id) {
            match call.wish.deed {
                Deed::Put { .. } => key.hidden_puts.push(id),
                Deed::Delete => key.hidden_deletes.push(id),
                Deed::Get => {}
            }
        }
    }
    keys.into_iter().try_for_each(|(name, key)| key.check(&name, history))
}

/// What one call saw of the committed history.
fn sight(id: CallId, call: &Call, history: &History, places: &mut Places) -> Result<(), Violation> {
    let known = |object, author, version| Known { key: call.wish.key.clone(), object, author, version };
    let (seq, known) = match &call.outcome {
        Outcome::Read(Some(object)) => {
            (object.metadata.version, known(Some(object.metadata), Some(writer(id, call, object, history)?), None))
        }
        Outcome::Refused(Some(object)) => (object.version, known(Some(*object), None, None)),
        Outcome::Written { entry, object } => {
            let fits = object.is_some() == matches!(call.wish.deed, Deed::Put { .. })
                && object.is_none_or(|object| object.version == entry.seq);
            demand!(fits, Linearizability, "W2", "{id:?} was acknowledged as {entry}, and told that it wrote {object:?}");
            (entry.seq, known(*object, Some(id), Some(entry.version)))
        }
        Outcome::Read(None)
        | Outcome::Refused(None)
        | Outcome::NothingToDo
        | Outcome::NotExecuted
        | Outcome::Unknown
        | Outcome::Pending => return Ok(()),
    };
    let place = places.entry((call.slot, seq)).or_insert_with(|| known.clone());
    let differs = place.author.zip(known.author).is_some_and(|(one, other)| one != other);
    demand!(
        place.key == known.key && place.object == known.object && !differs,
        Linearizability,
        "W2, W4",
        "slot {}: {id:?} shows {known:?} at {seq}, where others saw {place:?}",
        call.slot
    );
    place.author = place.author.or(known.author);
    place.version = place.version.or(known.version);
    Ok(())
}

/// Whose value an object has.
fn writer(id: CallId, call: &Call, object: &Object, history: &History) -> Result<CallId, Violation> {
    let number = object.value.first_chunk().copied().map(u64::from_be_bytes);
    let writer =
        number.and_then(|number| usize::try_from(number).ok()).filter(|number| *number < history.calls.len()).map(CallId);
    let wrote = |writer: CallId| {
        let wish = &history.call(writer).wish;
        wish.key == call.wish.key && matches!(&wish.deed, Deed::Put { value } if *value == object.value)
    };
    demand!(
        writer.is_some_and(wrote),
        Linearizability,
        "W4",
        "{id:?} was shown a value of {:?} that nobody wrote: {:?}",
        call.wish.key,
        object.value
    );
    Ok(writer.expect("just demanded"))
}

/// A call's write took effect once, and not where its client was told that it did not (W8, W9).
fn authors(history: &History, places: &Places) -> Result<BTreeMap<CallId, Seq>, Violation> {
    let mut authors = BTreeMap::new();
    for ((slot, seq), known) in places {
        let Some(author) = known.author else { continue };
        let twice = authors.insert(author, *seq);
        demand!(
            twice.is_none(),
            Linearizability,
            "W8",
            "slot {slot}: {author:?} took effect twice, at {} and at {seq}: {:?}",
            twice.unwrap_or_default(),
            history.call(author)
        );
        let outcome = &history.call(author).outcome;
        demand!(
            matches!(outcome, Outcome::Written { .. } | Outcome::Unknown | Outcome::Pending),
            Linearizability,
            "W8, W9",
            "slot {slot}: {author:?} took effect at {seq}, and its client was told {outcome:?}"
        );
    }
    Ok(authors)
}

/// Times and versions go forward along a slot's history (W2, C1).
fn in_order(places: &Places) -> Result<(), Violation> {
    let mut times: BTreeMap<Slot, (Seq, Metadata)> = BTreeMap::new();
    let mut versions: BTreeMap<Slot, (Seq, ChainVersion)> = BTreeMap::new();
    for ((slot, seq), known) in places {
        if let Some(object) = known.object {
            let before = times.insert(*slot, (*seq, object));
            let later = before.is_none_or(|(_, before)| before.updated_at < object.updated_at);
            demand!(later, Linearizability, "W2", "slot {slot}: {seq} is of {object:?}, not after {before:?}");
        }
        if let Some(version) = known.version {
            let before = versions.insert(*slot, (*seq, version));
            let newer = before.is_none_or(|(_, before)| before <= version);
            demand!(newer, Linearizability, "C1", "slot {slot}: {seq} was ordered in version {version}, before it {before:?}");
        }
    }
    Ok(())
}

/// What is known of a key.
#[derive(Default)]
struct Key {
    known: Vec<(Seq, Known)>,
    /// What clients saw.
    claims: Vec<Claim>,
    /// Writes of unknown outcome of which nothing was seen, in the order of their invocation.
    hidden_puts: Vec<CallId>,
    hidden_deletes: Vec<CallId>,
}

/// What stands before a write.
#[derive(Clone, Copy)]
enum Before {
    Absent,
    /// This object, or that of a hidden put behind it.
    Present(Option<Metadata>),
}

impl Key {
    fn check(mut self, name: &Bytes, history: &History) -> Result<(), Violation> {
        let (mut puts, mut deletes) = (self.hidden_puts.iter(), self.hidden_deletes.iter());
        let hidden = |seq: Seq, deed: &str, calls: &mut std::slice::Iter<'_, CallId>| {
            let call = calls.next();
            demand!(
                call.is_some(),
                Linearizability,
                "W1, W2",
                "{name:?}: what was seen at {seq} takes a {deed} before it that nobody wanted, or whose client was told otherwise"
            );
            Ok(*call.expect("just demanded"))
        };
        let unanswered = |call: CallId, seq| Claim { returned: None, ..of(call, history.call(call), Deal::Wrote(seq)) };
        let mut writes = Writes::new();
        let mut last: Option<(Seq, Option<Metadata>)> = None;
        for (seq, known) in &self.known {
            let (seq, before) = (*seq, last.and_then(|(_, object)| object));
            let created = known.object.is_some_and(|object| object.created_at == object.updated_at);
            let same = known.object.zip(before).is_none_or(|(object, before)| object.created_at == before.created_at);
            let room = seq.0 - last.map_or(0, |(seq, _)| seq.0);
            if before.is_some() && !same {
                // It came into being anew: it was deleted, and nobody was told.
                let gap = Seq(seq.0 - 1);
                demand!(room >= 2, Linearizability, "W2", "{name:?} came into being anew at {seq}, right behind {last:?}");
                self.claims.push(unanswered(hidden(seq, "delete", &mut deletes)?, gap));
                writes.push((gap, Presence::Absent));
            } else if before.is_some()
                && known.object.is_none()
                && room >= 3
                && !deletes.as_slice().is_empty()
                && !puts.as_slice().is_empty()
            {
                writes.push((Seq(seq.0 - 1), Presence::Absent)); // deleted, and put again, perhaps
            }
            if !created && (before.is_none() || !same) {
                hidden(seq, "put", &mut puts)?;
            }
            let author = match known.author {
                None => hidden(seq, "put", &mut puts)?,
                Some(author) => {
                    let before = if created { Before::Absent } else { Before::Present(before) };
                    judged(author, history.call(author), before, !self.hidden_puts.is_empty())?;
                    author
                }
            };
            let call = history.call(author);
            let acknowledged = matches!(call.outcome, Outcome::Written { .. });
            self.claims.push(if acknowledged { of(author, call, Deal::Wrote(seq)) } else { unanswered(author, seq) });
            writes.push((seq, if known.object.is_some() { Presence::Present } else { Presence::Absent }));
            last = Some((seq, known.object));
        }
        if let (Some((seq, Some(_))), Some(call)) = (last, deletes.next()) {
            writes.push((Seq(seq.0 + 1), Presence::Absent)); // deleted in the end, perhaps
            self.claims.push(unanswered(*call, Seq(seq.0 + 1)));
        }
        sweep(name, &writes, &self.claims)
    }
}

/// A write took effect as its conditions say of what stood before it (W7). `hidden`: that may be a put that nobody saw.
fn judged(author: CallId, call: &Call, before: Before, hidden: bool) -> Result<(), Violation> {
    let holds = |condition: &&Condition| match (before, condition) {
        (Before::Absent, condition) => condition.holds(None),
        (Before::Present(_), Condition::Exists(wanted)) => *wanted,
        (Before::Present(Some(object)), condition) if !hidden => condition.holds(Some(&object)),
        (Before::Present(Some(object)), Condition::Version(Comparison::Eq, version)) => *version >= object.version,
        (Before::Present(_), _) => true,
    };
    let failed = call.wish.conditions.iter().find(|condition| !holds(condition));
    let stood = match before {
        Before::Absent => None,
        Before::Present(object) => object,
    };
    demand!(
        failed.is_none(),
        Linearizability,
        "W7",
        "{author:?} took effect as {:?} behind {stood:?}, of which {failed:?} does not hold",
        call.outcome
    );
    Ok(())
}

#[cfg(test)]
#[path = "seen_tests.rs"]
mod tests;
