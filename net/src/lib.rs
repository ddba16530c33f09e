//! Catena on the wire: protobuf, conversions, links between neighbours, the Rust client.
//!
//! ```text
//!   Client ──Kv: Get, Put, Delete (unary)──────────────▶ NodeServer ──NodeInput──▶ the node's driver loop
//!      └────Coordination: GetRoute (unary)──▶ CoordinatorServer                        │          ▲
//!                                              ▲                                       ▼          │
//!              coordination::join ──Join (bidi)┘              Links::send ──Replication::Link (bidi)──▶ neighbour
//! ```
//!
//! Nothing in here decides anything of the protocol. What comes in is parsed into core types once, in [`convert`], and
//! handed to the driver over a bounded channel; awaiting that channel is what slows a sender down.
//!
//! # What the driver of a node does (feature `server`)
//!
//! ```text
//! let (inputs_tx, mut inputs) = mpsc::channel::<NodeInput>(1024);
//! let (mut links, acceptor)   = Links::new(identity.clone(), inputs_tx.clone());
//! let listener                = Listener::bind(addr).await?;          // a taken port is named in the error
//! let server                  = NodeServer::new(identity.clone(), &limits, inputs_tx, acceptor);
//! spawn(server.serve(listener, shutdown));                            // stops within STOP_TIMEOUT of `shutdown`
//!
//! // The stream to the coordinator. One call is one try over all endpoints; back off and call again.
//! // JoinError::Refused is final: the coordinator has said why. JoinError::Unreachable is worth another try.
//! let mut joined = coordination::join(&endpoints, &Register { cluster: None, node: record }).await?;
//! joined.registered                                                   // Registered { cluster, slots }
//! joined.heartbeats                                                   // Heartbeats: send(Heartbeat), never blocks
//! joined.answers.next().await                                         // Result<HeartbeatAnswer, StreamLost>
//!
//! match inputs.recv().await {
//!     NodeInput::Write { target, command, reply }   => ..             // reply: oneshot of Result<Reply, CallError>
//!     NodeInput::Read { target, key, reply }        => ..
//!     NodeInput::Message { from, envelope }         => node.step(now, Event::Message { from, envelope }, &mut out),
//!     NodeInput::LinkUp(link) => if let Some(peer) = links.attach(link) {
//!         node.step(now, Event::LinkUp { peer }, &mut out)            // attach first: what follows goes down the new link
//!     }
//! }
//! // Effect::Send: links.send(&to, envelope)                          // never blocks; drops and counts beyond the bound
//! // HeartbeatAnswer.nodes: for record in &answer.nodes { links.set_peer(record) }   // idempotent; itself is ignored
//! ```
//!
//! # What the driver of a coordinator does (feature `server`)
//!
//! ```text
//! let server = CoordinatorServer::new(&config, &limits, inputs_tx);   // config: &ClusterConfig, limits: &Limits
//! spawn(server.serve(listener, shutdown));
//! match inputs.recv().await {
//!     CoordinatorInput::Joined { session, node, outgoing } => ..      // Event Register(node); answer on `outgoing`:
//!                                                                     //   Ok(ToNode::Registered), or Err(RegisterError)
//!     CoordinatorInput::Heartbeat { session, from, heartbeat } => ..  // Ok(ToNode::Answer(answer)) on its `outgoing`
//!     CoordinatorInput::Left { session, node } => ..                  // forget `outgoing` if it is still this session's
//!     CoordinatorInput::Route { reply } => reply.send(coordinator.route()),
//! }
//! ```
//!
//! Use `try_send` on `outgoing`: a node that does not read its answers must not hold up the others.
//!
//! # The client
//!
//! ```text
//! let client = Client::connect(endpoints, Options::default()).await?; // endpoints of coordinators: "host:port"
//! client.put(key, value, conditions).await?                           // Written { slot, entry, object }
//! client.get(key).await?                                              // Found { slot, version, object }
//! client.delete(key, conditions).await?                               // Written
//! error.kind()                                                        // Kind::NotExecuted | Kind::Unknown (W9)
//! error.refusal()                                                     // Some(&Refusal::Call(CallError::..)) if typed
//! ```
#![forbid(unsafe_code)]

pub mod client;
#[cfg(not(madsim))]
mod codec;
pub mod convert;
#[cfg(feature = "server")]
pub mod coordination;
#[cfg(feature = "server")]
pub mod link;
pub mod proto;
mod refusal;
#[cfg(feature = "server")]
pub mod server;
pub mod transport;

pub use client::{Client, ClientError, Options};
pub use refusal::{Refusal, kind_of, kind_of_code};

/// The version of the protocol on the wire. Both ends of a stream must speak the same one.
pub const WIRE_VERSION: u32 = 1;
