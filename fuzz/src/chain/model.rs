//! What a client may be told: a few keys, each with the writes that were asked for, and what is known of them.

use std::collections::BTreeMap;

use catena_core::{CallError, Kind, Object, Origin, Reply, RequestId, Seq};

pub(super) const KEYS: [&str; 3] = ["a", "b", "c"];

/// All that was asked for and answered.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// By number, which is also the value that is put.
    writes: Vec<Asked>,
    tries: BTreeMap<RequestId, usize>,
    /// By key: nothing older may be shown any more.
    floors: [Seq; KEYS.len()],
}

/// A write that a client wants.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) key: usize,
    pub(super) deletes: bool,
    /// Whether there must be an object, or must not.
    pub(super) exists: Option<bool>,
    pub(super) origin: Option<Origin>,
    /// What had been shown when it was first asked for: it comes after that.
    floor: Seq,
    /// Tries without an answer, or with one that leaves it open.
    open: usize,
    fate: Fate,
    answer: Option<Answer>,
}

/// Whether a write has taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Maybe,
    At(Seq),
    Never,
}

/// What a client concludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Done(Option<Seq>),
    Refused,
}

impl Model {
    pub(super) fn next_number(&self) -> usize {
        self.writes.len()
    }

    /// A write is asked for, for the first time.
    pub(super) fn asks(&mut self, key: usize, deletes: bool, exists: Option<bool>, origin: Option<Origin>) -> Asked {
        let floor = self.floors[key];
        let asked = Asked { key, deletes, exists, origin, floor, open: 0, fate: Fate::Maybe, answer: None };
        self.writes.push(asked.clone());
        asked
    }

    pub(super) fn is_done(&self, number: usize) -> bool {
        matches!(self.writes[number].fate, Fate::At(_))
    }

    /// It is sent.
    pub(super) fn tries(&mut self, request: RequestId, number: usize) {
        let write = &mut self.writes[number];
        write.open += 1;
        if write.fate == Fate::Never && write.answer.is_none() {
            write.fate = Fate::Maybe; // what was not executed before may be now
        }
        self.tries.insert(request, number);
    }

    /// One that may be sent again, since it has a session.
    pub(super) fn retriable(&self, which: usize) -> Option<(usize, Asked)> {
        let mut all = self.writes.iter().enumerate().filter(|(_, write)| write.origin.is_some());
        let count = all.clone().count();
        let (number, write) = all.nth(which.checked_rem(count)?)?;
        Some((number, write.clone()))
    }

    /// A call is answered. What is no write's is somebody else's.
    pub(super) fn hears(&mut self, request: RequestId, result: &Result<Reply, CallError>) {
        let Some(number) = self.tries.remove(&request) else { return };
        let answer = match result {
            Ok(Reply::Written { entry: Some(entry), .. }) => Answer::Done(Some(entry.seq)),
            Ok(Reply::Written { entry: None, .. }) => Answer::Done(None),
            Err(CallError::ConditionFailed { .. }) => Answer::Refused,
            Ok(other) => panic!("a write was answered {other:?}"),
            Err(error) if error.kind() == Kind::NotExecuted => {
                let write = &mut self.writes[number];
                write.open -= 1;
                if write.open == 0 && write.fate == Fate::Maybe {
                    write.fate = Fate::Never;
                }
                return;
            }
            Err(_) => return, // it stays open
        };
        let before = self.writes[number].answer.replace(answer);
        assert!(before.is_none_or(|before| before == answer), "write {number} was answered {before:?}, then {answer:?}");
        self.conclude(number, answer, result);
    }

    fn conclude(&mut self, number: usize, answer: Answer, result: &Result<Reply, CallError>) {
        let Asked { key, deletes, floor, .. } = self.writes[number];
        match answer {
            Answer::Done(Some(seq)) => self.shows(number, seq),
            Answer::Done(None) => {
                assert!(deletes, "write {number} puts, and nothing was put");
                assert!(self.may_be_absent(key, floor), "write {number} found nothing to delete behind {floor}");
                self.never(number);
            }
            Answer::Refused => {
                if let Err(CallError::ConditionFailed { object }) = result {
                    match object {
                        Some(object) => assert!(object.version >= floor, "write {number} was refused on what is no more"),
                        None => assert!(self.may_be_absent(key, floor), "write {number} was refused on nothing behind {floor}"),
                    }
                }
                self.never(number);
            }
        }
    }

    fn never(&mut self, number: usize) {
        let fate = &mut self.writes[number].fate;
        assert!(!matches!(fate, Fate::At(_)), "write {number} has taken effect, and was answered that it has not");
        *fate = Fate::Never;
    }

    /// It is known where a write stands.
    fn shows(&mut self, number: usize, seq: Seq) {
        let write = &mut self.writes[number];
        match write.fate {
            Fate::Maybe => {
                assert!(seq > write.floor, "write {number} stands at {seq}, before what was shown when it was asked for");
            }
            Fate::At(known) => assert_eq!(known, seq, "write {number} has taken effect twice"),
            Fate::Never => panic!("write {number} was not executed, and stands at {seq}"),
        }
        write.fate = Fate::At(seq);
        let key = write.key;
        self.floors[key] = self.floors[key].max(seq);
        let others = self.writes.iter().enumerate().filter(|(other, write)| *other != number && write.fate == Fate::At(seq));
        assert_eq!(others.count(), 0, "write {number} stands at {seq}, as does another");
    }

    /// An object is read, or that there is none.
    pub(super) fn reads(&mut self, key: usize, object: Option<&Object>) {
        let floor = self.floors[key];
        let Some(object) = object else {
            return assert!(self.may_be_absent(key, floor), "{} has vanished, of which {floor} was shown", KEYS[key]);
        };
        let seq = object.metadata.version;
        assert!(seq >= floor, "{} is read as of {seq}, of which {floor} was shown", KEYS[key]);
        let number = std::str::from_utf8(&object.value).ok().and_then(|value| value.parse().ok());
        let number: usize = number.expect("only numbers are put");
        let write = self.writes.get(number).expect("only what was asked for is there");
        assert!(write.key == key && !write.deletes, "{} has the value of write {number}: {write:?}", KEYS[key]);
        self.shows(number, seq);
    }

    /// Whether nothing may be at a key, of which something was shown at `floor`.
    fn may_be_absent(&self, key: usize, floor: Seq) -> bool {
        let shown = self.of(key).find(|write| write.fate == Fate::At(floor));
        let deleted = |write: &Asked| {
            write.deletes && matches!(write.fate, Fate::Maybe) | matches!(write.fate, Fate::At(seq) if seq >= floor)
        };
        shown.is_none_or(|write| write.deletes) || self.of(key).any(deleted)
    }

    fn of(&self, key: usize) -> impl Iterator<Item = &Asked> {
        self.writes.iter().filter(move |write| write.key == key)
    }

    /// At the end: what a condition demanded was so.
    pub(super) fn check_conditions(&self) {
        for (key, name) in KEYS.iter().enumerate() {
            let mut stand: Vec<(Seq, &Asked)> =
                self.of(key).filter_map(|write| if let Fate::At(seq) = write.fate { Some((seq, write)) } else { None }).collect();
            stand.sort_by_key(|(seq, _)| *seq);
            let mut before: Option<&Asked> = None;
            for (seq, write) in stand {
                let there = before.is_some_and(|before| !before.deletes);
                let explained = |exists: bool| self.of(key).any(|other| other.fate == Fate::Maybe && other.deletes != exists);
                if let Some(exists) = write.exists.filter(|exists| *exists != there) {
                    assert!(explained(exists), "{name} at {seq} demanded exists={exists}");
                }
                before = Some(write);
            }
        }
    }
}
