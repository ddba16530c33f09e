//! Catena on the wire: protobuf, conversions, links between neighbours, the Rust client.
//!
//! ```text
//!   Client ──Kv: Session (bidi), Put of large values───▶ NodeServer ──NodeInput──▶ the node's driver loop
//!      └────Coordination: GetRoute, WatchRoute─▶ CoordinatorServer                     │          ▲
//!   AdminClient ──Admin: Order, GetStatus────────▶ ▲                                   ▼          │
//!              coordination::join ──Join (bidi)────┘          Links::send ──Replication::Link (bidi)──▶ any other node
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
//! // JoinError::Refused: the coordinator has said why. JoinError::Unreachable (nobody answers, or leads) is worth another try.
//! let mut joined = coordination::join(&endpoints, &Register { cluster: None, node: record }).await?;
//! joined.registered                                                   // Registered { cluster, slots }
//! joined.heartbeats                                                   // Heartbeats: send(Heartbeat), never blocks
//! match joined.answers.next().await? {                                // Err(StreamLost): join again
//!     FromCoordinator::Answer(answer)     => node.step(now, Event::Answer(answer), &mut out),
//!     FromCoordinator::Decided(decisions) => node.step(now, Event::Decided(decisions), &mut out),
//! }
//!
//! match inputs.recv().await {
//!     NodeInput::Write { target, command, origin, reply } => ..       // reply: Caller; reply.send(Result<Reply, CallError>)
//!     NodeInput::OpenSession { target, reply }            => ..
//!     NodeInput::Read { target, key, reply }              => match reply.make_room(bytes) {   // before the value is read
//!         Ok(()) => .., Err(NoRoom::Yet(put_off)) => reply.put_off(put_off), Err(NoRoom::Refused(error)) => reply.send(Err(error)),
//!     }
//!     NodeInput::Message { from, envelope } => node.step(now, Event::Message { from, envelope }, &mut out),
//!     NodeInput::LinkUp(link) => if let Some(peer) = links.attach(link) {
//!         node.step(now, Event::LinkUp { peer }, &mut out)            // attach first: what follows goes down the new link
//!     }
//!     NodeInput::LinkDown(end) => links.detach(&end)                  // Some(peer): nothing has taken its place
//! }
//! // Effect::Send: links.send(&to, envelope)                          // never blocks; drops and counts beyond the bounds
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
//!     CoordinatorInput::Heartbeat { session, from, incarnation, heartbeat } => ..   // Ok(ToNode::Answer(answer))
//!     CoordinatorInput::Left { session, node } => ..                  // forget `outgoing` if it is still this session's
//!     CoordinatorInput::Route { reply }        => reply.send(coordinator.route()),
//!     CoordinatorInput::Watch(watcher)         => watchers.add(watcher, coordinator.route()),
//!     CoordinatorInput::Order { order, reply } => ..                  // keep `reply` by RequestId until Effect Done
//!     CoordinatorInput::Status { reply }       => reply.send(coordinator.status()),
//! }
//! // Effect Decide:       Ok(ToNode::Decided(decisions)) on the node's `outgoing`
//! // Effect RouteChanged: watchers.changed(&slots, || coordinator.route())     // watchers: Watchers, the driver's own
//! // Deposed:             watchers.end(), and drop every kept `reply` and `outgoing`
//! ```
//!
//! Use `try_send` on `outgoing`: a node that does not read its answers must not hold up the others.
//!
//! # The client
//!
//! ```text
//! let client = Client::connect(endpoints, Options::default()).await?; // endpoints of coordinators: "host:port"
//! client.put(key, value, conditions).await?                           // Written { slot, entry, object }; exactly once (W8)
//! client.at_most_once().put(key, value, conditions).await?            // without a session; may end Unknown
//! client.get(key).await?                                              // Found { slot, version, object }
//! client.delete(key, conditions).await?                               // Written
//! error.kind()                                                        // Kind::NotExecuted | Kind::Unknown (W9)
//! error.refusal()                                                     // Some(&Refusal::Call(CallError::..)) if typed
//! ```
//!
//! # The operator
//!
//! ```text
//! let admin = AdminClient::new(endpoints, None);
//! admin.order(&Order::Drain(node)).await?                             // stored; refusals are typed: AdminError::Refused
//! admin.status().await?                                               // Status
//! ```
#![forbid(unsafe_code)]

pub mod admin;
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

pub use admin::{AdminClient, AdminError};
pub use client::{Client, ClientError, Options};
pub use refusal::{Refusal, kind_of, kind_of_code};

/// The version of the protocol on the wire. Both ends of a stream must speak the same one.
pub const WIRE_VERSION: u32 = 2;

/// Calls of one `Kv.Session` that a node works on at once. Many times what one caller has in flight; more wait unread.
pub(crate) const SESSION_CALLS: usize = 256;

/// Bytes of their requests, unless a single one is larger. As much as a connection has on its way.
pub(crate) const SESSION_BYTES: usize = 16 << 20;
