//! `catena dev`: a coordinator and N nodes as child processes of this binary, on one machine, from one command.
//!
//! ```text
//! prepare   directory (directory.rs) and ports (plan.rs) are ours, or nothing starts and nothing is written
//! start     every child in its own process group, with a pipe as its standard input (child.rs); the nodes before the
//!           coordinator
//! ready     every slot answers a read and judges a write (ready.rs); then what runs where (screen.rs)
//! watch     a child that dies is reported, or started again (supervise.rs); so is how the chains are repaired (news.rs)
//! stop      the pipes are closed, the coordinator's first: a child whose pipe closes stops by itself, also when `dev` was
//!           killed
//! ```

mod arguments;
mod child;
mod directory;
mod error;
mod news;
mod plan;
mod ready;
mod screen;
mod supervise;

pub(crate) use arguments::DevArguments;
pub(crate) use error::DevError;
pub(crate) use supervise::run;
