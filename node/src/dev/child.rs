//! One child process: started in its own process group, so that Ctrl-C reaches only `dev`; and with a pipe as its
//! standard input that nobody writes to. When the pipe closes the child stops: `dev` closes it to stop the child,
//! and the kernel closes it when `dev` is killed.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};

use super::error::DevError;
use super::plan::{Plan, Planned};
use crate::cli::{LOG_VARIABLE, SAY_WHEN_OPEN, STOP_BOUND, STOP_WITH_STDIN};

/// A child's exit, by its place in the plan.
#[derive(Debug)]
pub(super) struct Exit {
    pub(super) index: usize,
    pub(super) pid: u32,
    pub(super) status: ExitStatus,
}

/// A node's data is open, or it has ended before.
#[derive(Debug)]
pub(super) struct Open;

/// Whether the cluster is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    Run,
    /// Ask the coordinator to stop; kill it if it does not within the bound.
    StopCoordinator,
    /// Ask every child to stop; kill those that do not within the bound.
    Stop,
    /// Kill what is left.
    Kill,
}

/// Starts the plan's process at `index`. Its exit is told to `exits`, exactly once; and that its data is open, or that it
/// has ended, to `open`. The result is its process id.
pub(super) fn start(
    plan: &Plan,
    index: usize,
    wish: watch::Receiver<Wish>,
    exits: mpsc::UnboundedSender<Exit>,
    open: Option<mpsc::UnboundedSender<Open>>,
) -> Result<u32, DevError> {
    let planned = &plan.processes[index];
    let failed = |source| DevError::Spawn { who: planned.who.clone(), source };
    let mut command = command(plan, planned);
    if open.is_some() {
        command.arg(SAY_WHEN_OPEN).stdout(Stdio::piped());
    }
    let mut child = command.spawn().map_err(failed)?;
    let pid = child.id().expect("a child that was not waited for has an id");
    if let (Some(open), Some(mut said)) = (open, child.stdout.take()) {
        tokio::spawn(async move {
            // The first byte, or the end.
            let _ = said.read(&mut [0]).await;
            let _ = open.send(Open);
        });
    }
    let stops_at = planned.stops_at();
    tokio::spawn(async move {
        let status = watch_over(child, wish, stops_at).await;
        // With nobody listening the cluster is over.
        let _ = exits.send(Exit { index, pid, status });
    });
    Ok(pid)
}

fn command(plan: &Plan, planned: &Planned) -> Command {
    let mut command = Command::new(&plan.program);
    command.args(&planned.arguments).arg(STOP_WITH_STDIN);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0).kill_on_drop(true);
    if std::env::var_os(LOG_VARIABLE).is_none() {
        command.env(LOG_VARIABLE, "warn"); // the screen belongs to what `dev` says
    }
    command
}

async fn watch_over(mut child: Child, mut wish: watch::Receiver<Wish>, stops_at: Wish) -> ExitStatus {
    let pipe = child.stdin.take();
    let waited = tokio::select! {
        waited = child.wait() => waited,
        () = wished(&mut wish, stops_at) => {
            drop(pipe);
            // A little more than the child's own bound, within which it reports what held it up.
            let patience = STOP_BOUND + Duration::from_millis(500);
            tokio::select! {
                waited = child.wait() => waited,
                () = tokio::time::sleep(patience) => kill(&mut child).await,
                () = wished(&mut wish, Wish::Kill) => kill(&mut child).await,
            }
        }
    };
    waited.expect("waiting for an own child does not fail")
}

/// Waits until this much is wished, or nobody is left to wish.
async fn wished(wish: &mut watch::Receiver<Wish>, least: Wish) {
    let _ = wish.wait_for(|wish| *wish >= least).await;
}

async fn kill(child: &mut Child) -> std::io::Result<ExitStatus> {
    child.start_kill()?;
    child.wait().await
}
