//! A small TCP proxy in front of a node's address: it delays what goes through, and breaks connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Pieces on their way in one direction of a connection; more wait in the sender's socket.
const PIECES: usize = 64;

/// How a proxy behaves.
#[derive(Clone, Copy, Debug, Default)]
struct Mood {
    delay: Duration,
    /// Counts the times that all connections were to be broken.
    resets: u64,
}

/// Runs until it is stopped or dropped.
#[derive(Debug)]
pub(super) struct Proxy {
    mood: watch::Sender<Mood>,
    task: JoinSet<()>,
}

impl Proxy {
    /// Listens at `address`, and passes on to `target`.
    pub(super) fn start(address: SocketAddr, target: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let (mood, heard) = watch::channel(Mood::default());
        let mut task = JoinSet::new();
        task.spawn(serve(listener, target, heard));
        Ok(Self { mood, task })
    }

    /// From now on whatever goes through takes so much longer, in each direction.
    pub(super) fn delay(&self, delay: Duration) {
        self.mood.send_modify(|mood| mood.delay = delay);
    }

    /// Ends it: its address is free again.
    pub(super) async fn stop(&mut self) {
        self.task.shutdown().await;
    }

    /// Breaks all connections.
    pub(super) fn reset(&self) {
        self.mood.send_modify(|mood| mood.resets += 1);
    }
}

async fn serve(listener: TcpListener, target: SocketAddr, mut mood: watch::Receiver<Mood>) {
    let mut resets = 0;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            changed = mood.changed() => {
                if changed.is_err() {
                    return;
                }
                let wanted = mood.borrow_and_update().resets;
                if std::mem::replace(&mut resets, wanted) != wanted {
                    connections.abort_all();
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(carry(stream, target, mood.clone()));
                }
            }
        }
    }
}

/// One connection, until either side ends it.
async fn carry(caller: TcpStream, target: SocketAddr, mood: watch::Receiver<Mood>) {
    // Whom the node does not answer is not answered either.
    let Ok(node) = TcpStream::connect(target).await else { return };
    let _ = (caller.set_nodelay(true), node.set_nodelay(true));
    let ((from_caller, to_caller), (from_node, to_node)) = (caller.into_split(), node.into_split());
    tokio::select! {
        biased;
        () = pump(from_caller, to_node, mood.clone()) => {}
        () = pump(from_node, to_caller, mood) => {}
    }
}

/// One direction: what is read is written when it is due.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mood: watch::Receiver<Mood>) {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Arc<[u8]>)>(PIECES);
    let read = async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let due = Instant::now() + mood.borrow().delay;
            if sender.send((due, buffer[..length].into())).await.is_err() {
                return;
            }
        }
    };
    let write = async {
        while let Some((due, piece)) = pieces.recv().await {
            sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = write => {}
        () = read => {}
    }
}
