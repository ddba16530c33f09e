//! The real binary: processes, signals, kill -9, directories, ports, exit codes.

mod dev;
mod durability;
mod exit_codes;
mod refusals;
mod support;
mod wire;
