//! The client machine from outside: events in, effects out.

mod common;
mod endpoints;
mod kinds;
mod model;
mod overload;
mod property;
mod routing;
mod sessions;
