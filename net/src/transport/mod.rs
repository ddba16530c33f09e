//! How connections are set up: windows, keepalive, time limits; and where the two builds differ.
//!
//! The simulated transport ignores windows, keepalive and size limits, has neither health nor reflection, counts nothing,
//! and has no listeners that can be bound before they serve: `real.rs` and `simulated.rs` have the same surface.

#[cfg(not(madsim))]
#[path = "real.rs"]
mod build;
#[cfg(madsim)]
#[path = "simulated.rs"]
mod build;
#[cfg(all(feature = "server", not(madsim)))]
mod counted;
#[cfg(all(feature = "server", not(madsim)))]
mod door;
#[cfg(all(feature = "server", not(madsim)))]
mod laden;
#[cfg(all(feature = "server", not(madsim)))]
mod tools;

use std::time::Duration;

use tonic::transport::{Endpoint, Error};
use tonic::{Code, Status};

#[cfg(feature = "server")]
pub use build::Listener;
pub(crate) use build::never_left;
#[cfg(feature = "server")]
pub(crate) use build::{Aboard, counted, found, run, typed};

/// How long a connection may take to come about. Loopback takes under 1 ms and a continent 100 ms; a host that is not
/// there never answers.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How often an end that hears nothing asks the other whether it is there, and how long it waits for the answer
/// before it takes the connection for dead.
struct Keepalive {
    interval: Duration,
    /// Must exceed any pause of a healthy process: a busy disk, a large value, a starved core.
    timeout: Duration,
}

/// Towards neighbours and the coordinator. Soon: a link that is given up by mistake is dialled again at once, and
/// what was lost on it is sent again.
#[cfg(feature = "server")]
const PEER: Keepalive = Keepalive { interval: Duration::from_millis(500), timeout: Duration::from_secs(1) };

/// Towards and from clients, whose calls have time limits of their own. Late: given up by mistake, the outcome of
/// every call on the connection is unknown.
const CALLER: Keepalive = Keepalive { interval: Duration::from_secs(2), timeout: Duration::from_secs(4) };

/// Bytes in flight on one stream before the receiver must have taken some: a large value flows without waiting for
/// many round trips, and a receiver that does not read holds at most this much.
const STREAM_WINDOW: u32 = 4 << 20;

/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// The largest messages that are read from or by a coordinator: all that there is to say of the most slots, with room to
/// spare.
pub(crate) const MESSAGE_BYTES: usize = 64 << 20;

/// An endpoint for calls, at `host:port` or `http://host:port`.
pub(crate) fn endpoint(address: &str) -> Result<Endpoint, Error> {
    let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let endpoint = Endpoint::from_shared(url)?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    Ok(kept_alive(endpoint, &CALLER))
}

/// An endpoint for the long-lived stream to a neighbour or a coordinator.
#[cfg(feature = "server")]
pub(crate) fn peer_endpoint(address: &str) -> Result<Endpoint, Error> {
    Ok(kept_alive(endpoint(address)?, &PEER))
}

fn kept_alive(endpoint: Endpoint, keepalive: &Keepalive) -> Endpoint {
    endpoint.http2_keep_alive_interval(keepalive.interval).keep_alive_timeout(keepalive.timeout).keep_alive_while_idle(true)
}

/// A server that gives its callers the same.
#[cfg(feature = "server")]
pub(crate) fn server() -> tonic::transport::Server {
    /// Calls at once on one connection. The node's own limits come first.
    const STREAMS: u32 = 1 << 15;
    /// The largest piece in which a large value arrives.
    const FRAME: u32 = 256 << 10;
    tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .max_frame_size(FRAME)
        .http2_keepalive_interval(Some(CALLER.interval))
        .http2_keepalive_timeout(Some(CALLER.timeout))
}

/// How long a server that was told to stop lets open calls finish.
pub const STOP_TIMEOUT: Duration = Duration::from_millis(500);

/// Why a server does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Somebody listens there.
    #[error("address {address} is taken by another process: stop it, or choose another port")]
    Taken {
        /// Where.
        address: std::net::SocketAddr,
    },
    /// The system does not let us listen there.
    #[error("cannot listen on {address} ({source}): choose an address of this machine and a port that is allowed")]
    Bind {
        /// Where.
        address: std::net::SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// It listened, and then failed.
    #[error("serving on {address} failed ({source}): start the process again")]
    Serve {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        source: Error,
    },
}

/// What a status says, for people; one without a message has its code.
pub(crate) fn said(status: &Status) -> String {
    match (status.code(), status.message()) {
        (Code::Unimplemented, "") => "it does not know this call: an address of another kind of process?".to_owned(),
        (code, "") => code.to_string(),
        (_, message) => message.to_owned(),
    }
}

/// The innermost cause of a transport error: "transport error" alone tells nobody anything.
pub(crate) fn root_cause(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
