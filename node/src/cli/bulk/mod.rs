//! What is done to many pairs at once. A pair is a line of JSON, the same in and out.

pub(super) mod export;
pub(super) mod load;

mod lines;
mod pair;
mod progress;
