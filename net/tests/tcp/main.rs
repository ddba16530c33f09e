//! Servers, links and clients over real TCP. One binary for all: it is tonic's generics that take long to compile.
#![cfg(not(madsim))]

mod admin;
mod answers;
mod black_holes;
mod client;
mod common;
mod coordination;
mod kv;
mod lanes;
mod link;
mod session;
mod sessions;
mod watch;
mod wiped;
