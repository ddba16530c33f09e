//! The door of a server: however many knock, and however they behave, the next one gets in.
//!
//! A connection costs a descriptor and some tens of KiB, also if nothing is ever said on it. So there is a limit, and at the
//! limit the connections that have been silent for longest make room: whoever has a use for one says something all the
//! time, at least to keep it alive, and whoever loses one by mistake connects again.

use std::collections::HashMap;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};
use tokio_stream::Stream;
use tonic::transport::server::{Connected, TcpConnectInfo};
use tracing::warn;

use super::CALLER;

/// Connections at once. Idle ones take about 25 KiB each, so all together 100 MiB. Chosen here.
const MOST: usize = 4096;

/// How many make room at once: so that looking for them costs little for each newcomer.
const SHARE: usize = 16;

/// What HTTP/2 clients say first takes so many bytes (RFC 9113, 3.4). Only who has said it is asked whether it is there.
const PREFACE_BYTES: usize = 24;

/// How long it may take them: no less than the answer whether they are there.
const PREFACE_TIMEOUT: Duration = CALLER.timeout;

/// Between two tries to let somebody in when the system has no room. Those who are asked to leave do so meanwhile.
const PAUSE: Duration = Duration::from_millis(50);

/// How often the log hears of the limit.
const NEWS: Duration = Duration::from_secs(10);

/// Lets connections in.
#[derive(Debug)]
pub(super) struct Door {
    socket: TcpListener,
    seats: Arc<Mutex<Seats>>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Door {
    pub(super) fn new(socket: TcpListener) -> Self {
        // As many descriptors again are left to the store, whose files must not fail to open.
        let half = getrlimit(Resource::Nofile).current.map_or(MOST, |files| usize::try_from(files / 2).unwrap_or(MOST));
        let limit = half.clamp(1, MOST);
        let seats = Seats { limit, taken: HashMap::new(), next: 0, door: None, news: None };
        Self { socket, seats: Arc::new(Mutex::new(seats)), pause: None }
    }
}

impl Stream for Door {
    type Item = Result<Guest>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Guest>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            ready!(lock(&self.seats).poll_room(context));
            match ready!(self.socket.poll_accept(context)) {
                Ok((stream, _)) => return Poll::Ready(Some(Ok(Guest::new(stream, &self.seats)))),
                // It had gone already.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
                // Out of descriptors or memory, and so will be the next try. tonic, told of it, would try for ever without a
                // pause.
                Err(error) => {
                    lock(&self.seats).make_room(&error);
                    self.pause = Some(Box::pin(sleep(PAUSE)));
                }
            }
        }
    }
}

/// Who is there.
#[derive(Debug)]
struct Seats {
    limit: usize,
    taken: HashMap<u64, Arc<Mutex<Seat>>>,
    next: u64,
    /// To be woken when somebody leaves.
    door: Option<Waker>,
    /// When the log has last heard of it.
    news: Option<Instant>,
}

#[derive(Debug)]
struct Seat {
    /// When something last came in; `None`: it has not even said what every client says first.
    heard: Option<Instant>,
    /// Its connection is to end.
    leaves: bool,
    /// The connection's task.
    task: Option<Waker>,
}

/// What is in there is whole after every line.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seats {
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.taken.len() < self.limit {
            return Poll::Ready(());
        }
        self.door = Some(context.waker().clone());
        Poll::Pending
    }

    fn take(&mut self) -> (u64, Arc<Mutex<Seat>>) {
        let (number, seat) = (self.next, Seat { heard: None, leaves: false, task: None });
        let seat = Arc::new(Mutex::new(seat));
        self.next += 1;
        self.taken.insert(number, seat.clone());
        if self.taken.len() >= self.limit {
            let limit = self.limit;
            self.make_room(&format_args!("{limit} at once are the limit"));
        }
        (number, seat)
    }

    /// Asks those to leave that have been silent for longest; first those that have never said what every client says.
    fn make_room(&mut self, why: &dyn std::fmt::Display) {
        let mut silent: Vec<_> = self.taken.iter().map(|(number, seat)| ((lock(seat).heard, *number), seat)).collect();
        let leaving = silent.len().div_ceil(SHARE);
        if leaving < silent.len() {
            silent.select_nth_unstable_by_key(leaving, |(silence, _)| *silence);
        }
        for (_, seat) in &silent[..leaving] {
            lock(seat).leave();
        }
        if self.news.is_none_or(|news| news.elapsed() > NEWS) {
            self.news = Some(Instant::now());
            warn!("too many connections ({why}): those that say nothing for longest are closed");
        }
    }
}

impl Seat {
    fn leave(&mut self) {
        self.leaves = true;
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    fn check(&mut self, context: &Context<'_>) -> Result<()> {
        if self.leaves {
            return Err(Error::new(ErrorKind::ConnectionAborted, "others need the room"));
        }
        if !self.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            self.task = Some(context.waker().clone());
        }
        Ok(())
    }
}

/// A connection that was let in.
#[derive(Debug)]
pub(super) struct Guest {
    stream: TcpStream,
    seats: Arc<Mutex<Seats>>,
    number: u64,
    seat: Arc<Mutex<Seat>>,
    /// Until it has said what every client says first: until when it has time, and how many bytes are missing.
    greeting: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Guest {
    fn new(stream: TcpStream, seats: &Arc<Mutex<Seats>>) -> Self {
        if let Err(error) = stream.set_nodelay(true) {
            // A little slower then; most likely it has gone already.
            tracing::debug!("cannot set TCP_NODELAY: {error}");
        }
        let (number, seat) = lock(seats).take();
        let greeting = Some((Box::pin(sleep(PREFACE_TIMEOUT)), PREFACE_BYTES));
        Self { stream, seats: seats.clone(), number, seat, greeting }
    }

    /// Takes note of so many bytes that came in.
    fn heard(&mut self, bytes: usize) {
        self.greeting = self
            .greeting
            .take()
            .and_then(|(until, missing)| Some((until, missing.checked_sub(bytes).filter(|missing| *missing > 0)?)));
        if self.greeting.is_none() {
            lock(&self.seat).heard = Some(Instant::now());
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut seats = lock(&self.seats);
        seats.taken.remove(&self.number);
        if let Some(door) = seats.door.take() {
            door.wake();
        }
    }
}

impl AsyncRead for Guest {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        lock(&self.seat).check(context)?;
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            let bytes = buffer.filled().len() - before;
            self.heard(bytes);
            return Poll::Ready(read);
        }
        let Some((until, _)) = &mut self.greeting else { return Poll::Pending };
        ready!(until.as_mut().poll(context));
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "it does not say that it speaks HTTP/2")))
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        lock(&self.seat).check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        lock(&self.seat).check(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connected for Guest {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}
