//! The generated messages and services of `catena.v1`. See `proto/catena/v1/*.proto`.
#![allow(missing_docs, unreachable_pub, unused_qualifications, reason = "generated")]
#![allow(clippy::all, clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated")]

tonic::include_proto!("catena.v1");
