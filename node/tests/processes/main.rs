//! The real binary: processes, signals, kill -9, directories, ports, exit codes.

mod admin;
mod browser;
mod bulk;
mod config;
mod damage;
mod departure;
mod dev;
mod durability;
mod exit_codes;
mod hostile;
mod load;
mod logs;
mod operator;
mod page;
mod python;
mod refusals;
mod repair;
mod space;
mod support;
mod tools;
mod wire;
