//! Connections, so many at a time and each for so long: a client that is slow, or means ill, costs a bounded amount of memory
//! and no time of the driver's, and keeps nobody out.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::Sleep;

/// Connections at a time; the oldest makes room for the next. Chosen here: many times what scrapers and probes need, which
/// are gone again within milliseconds.
const PLACES: usize = 64;
/// From being let in to having read the answer. Chosen here: the driver's patience, and time to send the largest state.
const STAY: Duration = Duration::from_secs(10);

/// Lets connections in.
#[derive(Debug)]
pub(super) struct Door {
    socket: TcpListener,
    /// Who is there, the oldest first: dropped to have it leave.
    inside: VecDeque<oneshot::Sender<()>>,
}

impl Door {
    pub(super) fn new(socket: TcpListener) -> Self {
        Self { socket, inside: VecDeque::with_capacity(PLACES) }
    }

    /// A place, which its owner has until this is ready.
    fn place(&mut self) -> oneshot::Receiver<()> {
        self.inside.retain(|guest| !guest.is_closed());
        if self.inside.len() == PLACES {
            self.inside.pop_front();
        }
        let (stays, leaves) = oneshot::channel();
        self.inside.push_back(stays);
        leaves
    }
}

impl Listener for Door {
    type Io = Guest;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guest, SocketAddr) {
        // axum's own waits a while when the process has no file left.
        let (stream, address) = Listener::accept(&mut self.socket).await;
        (Guest { stream, late: Box::pin(tokio::time::sleep(STAY)), place: self.place() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// A connection that fails once it has been there for long enough, or another needs its place.
pub(super) struct Guest {
    stream: TcpStream,
    late: Pin<Box<Sleep>>,
    place: oneshot::Receiver<()>,
}

impl Guest {
    fn poll_with<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.late.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if Pin::new(&mut self.place).poll(context).is_ready() {
            // Not again: what has been told once must not be asked any more.
            self.late.as_mut().reset(tokio::time::Instant::now());
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        poll(Pin::new(&mut self.stream), context)
    }
}

impl AsyncRead for Guest {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_with(context, |stream, context| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_with(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_with(context, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_with(context, AsyncWrite::poll_shutdown)
    }
}
