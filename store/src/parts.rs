//! How far the reading of a pin is.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{KEPT_PARTS, Part};

/// The last parts that were read, each with the key that it is behind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts(VecDeque<(Option<Bytes>, Part)>);

/// A part, among those that were read.
pub(crate) enum Place {
    /// It was read, and is kept.
    Kept(Part),
    /// It is the next one; anywhere, where none was read.
    Next,
    /// Nobody knows it any more.
    Passed,
}

impl Parts {
    /// The part behind `after`.
    pub(crate) fn place(&self, after: Option<&[u8]>) -> Place {
        if let Some((_, part)) = self.0.iter().find(|(behind, _)| behind.as_deref() == after) {
            return Place::Kept(part.clone());
        }
        match self.0.back() {
            None => Place::Next,
            Some((_, part)) if part.end.is_none() && part.last().map(|key| &key[..]) == after => Place::Next,
            Some(_) => Place::Passed,
        }
    }

    pub(crate) fn keep(&mut self, after: Option<&[u8]>, part: &Part) {
        if self.0.len() == KEPT_PARTS {
            self.0.pop_front();
        }
        self.0.push_back((after.map(Bytes::copy_from_slice), part.clone()));
    }
}
