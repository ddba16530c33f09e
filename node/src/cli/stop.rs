//! How a process is told to stop, and that it does within a bound.

use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{error, info};

use crate::Stop;

/// From being told to stop to having stopped.
pub(crate) const STOP_BOUND: Duration = Duration::from_secs(6);

/// SIGINT and SIGTERM, one by one.
#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Whether the end of standard input is a wish to stop, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stdin {
    Ignored,
    StopsAtEnd,
}

impl From<bool> for Stdin {
    fn from(stops: bool) -> Self {
        if stops { Stdin::StopsAtEnd } else { Stdin::Ignored }
    }
}

/// Ends when the process is told to stop: by a signal, which means this process; or by the end of standard input, which is how
/// `dev` stops its whole cluster, and how it ends when `dev` is killed. From then on the process ends within [`STOP_BOUND`],
/// one way or the other.
pub(super) fn requested(component: &'static str, stdin: Stdin) -> io::Result<impl Future<Output = Stop> + Send + 'static> {
    let mut interrupts = Interrupts::new()?;
    let mut ended = match stdin {
        Stdin::Ignored => None,
        Stdin::StopsAtEnd => Some(end_of_stdin()?),
    };
    Ok(async move {
        let stop = tokio::select! {
            biased;
            () = interrupts.next() => Stop::Node,
            // The thread reads until the end, so its sender is not dropped before.
            _ = async { ended.as_mut().expect("polled only if there is one").await }, if ended.is_some() => Stop::Cluster,
        };
        info!(component, "told to stop");
        thread::spawn(move || end_within_bound(component));
        stop
    })
}

/// Reads on a thread of its own: a blocking read cannot be cancelled, and must not hold up the runtime's end.
fn end_of_stdin() -> io::Result<oneshot::Receiver<()>> {
    let (ended, at_end) = oneshot::channel();
    thread::Builder::new().name("catena-stdin".to_owned()).spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut ignored = [0; 64];
        // An error is an end as well.
        while stdin.read(&mut ignored).is_ok_and(|read| read > 0) {}
        let _ = ended.send(());
    })?;
    Ok(at_end)
}

fn end_within_bound(component: &str) {
    thread::sleep(STOP_BOUND);
    let bound = STOP_BOUND.as_secs();
    error!(component, "did not stop within {bound} s, ends as it is; nothing that was acknowledged is lost");
    std::process::exit(1);
}
