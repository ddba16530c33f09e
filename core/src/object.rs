//! What a client stores and asks for: objects, commands, conditions.

use bytes::Bytes;

use crate::{Seq, WallTime};

/// What is known of an object besides its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The seq of the object's last write: never reused, not even after delete and recreate (W2).
    pub version: Seq,
    /// When the object came into being, by its head's wall clock.
    pub created_at: WallTime,
    /// When it was last written, by its head's wall clock. Strictly increasing within a slot (W2).
    pub updated_at: WallTime,
}

/// An object as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The value as the client gave it.
    pub value: Bytes,
    /// Version and times.
    pub metadata: Metadata,
}

/// A client's write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The object's key, 1 to `Limits::key_bytes` bytes.
    pub key: Bytes,
    /// What to do with it.
    pub action: Action,
    /// What must hold of the object for it to be done; all of them (W7).
    pub conditions: Vec<Condition>,
}

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Create or replace the object.
    Put {
        /// The new value, up to `Limits::value_bytes` bytes.
        value: Bytes,
    },
    /// Remove the object; of an absent one, succeed without an effect.
    Delete,
}

/// One condition of a command. Of an absent object, only `Exists(false)` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The object is there, or is not.
    Exists(bool),
    /// Its version compares so.
    Version(Comparison, Seq),
    /// Its last write's time compares so.
    UpdatedAt(Comparison, WallTime),
}

/// How the object's side compares to the given one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
}

impl Comparison {
    fn holds<T: Ord>(self, left: &T, right: &T) -> bool {
        match self {
            Comparison::Eq => left == right,
            Comparison::Lt => left < right,
            Comparison::Lte => left <= right,
            Comparison::Gt => left > right,
            Comparison::Gte => left >= right,
        }
    }
}

impl Condition {
    /// Whether the condition holds of an object with this metadata (`None`: of an absent one).
    pub fn holds(&self, object: Option<&Metadata>) -> bool {
        match (self, object) {
            (Condition::Exists(wanted), object) => *wanted == object.is_some(),
            (Condition::Version(..) | Condition::UpdatedAt(..), None) => false,
            (Condition::Version(comparison, given), Some(object)) => comparison.holds(&object.version, given),
            (Condition::UpdatedAt(comparison, given), Some(object)) => comparison.holds(&object.updated_at, given),
        }
    }
}
