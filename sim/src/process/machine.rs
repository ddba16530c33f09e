//! One process of a cluster, and whether it ended without being asked.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use catena_core::mutants::Mutant;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{MUTANT_VARIABLE, Trouble, crash};

/// How long a process may take to stop in order; it gives itself six seconds.
const STOPPING: Duration = Duration::from_secs(15);

/// What a process is to be doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Paused,
    Down,
}

/// A process that can be started again and again.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) name: String,
    command: Vec<OsString>,
    log: PathBuf,
    child: Option<Child>,
    state: State,
    /// Whether it may end by itself: its disk is full.
    may_end: bool,
    /// The bug that it has.
    mutant: Option<Mutant>,
}

impl Machine {
    pub(super) fn new(name: String, command: Vec<OsString>, log: PathBuf, mutant: Option<Mutant>) -> Self {
        Self { name, command, log, child: None, state: State::Down, may_end: false, mutant }
    }

    /// Starts it, or lets it go on: without effect where it runs.
    pub(super) fn start(&mut self) -> Result<(), Trouble> {
        match self.state {
            State::Running => return Ok(()),
            State::Paused => self.signal(Signal::CONT),
            State::Down => {
                let failed = |error| Trouble::Here(format!("cannot start {}: {error}", self.name));
                let log = OpenOptions::new().create(true).append(true).open(&self.log).map_err(failed)?;
                let (program, arguments) = self.command.split_first().expect("a program");
                let mut command = Command::new(program);
                for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"CATENA_")) {
                    command.env_remove(name);
                }
                command.envs(self.mutant.map(|mutant| (MUTANT_VARIABLE, mutant.name())));
                let stderr = log.try_clone().map_err(failed)?;
                // It ends with its standard input, so with this process.
                command.args(arguments).stdin(Stdio::piped()).stdout(log).stderr(stderr).kill_on_drop(true);
                self.child = Some(command.spawn().map_err(failed)?);
            }
        }
        self.state = State::Running;
        Ok(())
    }

    /// Kills it, paused or not.
    pub(super) async fn kill(&mut self) {
        self.state = State::Down;
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself, where it may.
            let _ = child.start_kill();
            let _ = child.wait().await;
        }
    }

    /// Has it stop in order.
    pub(super) async fn stop(&mut self) -> Result<(), Trouble> {
        if self.state == State::Down {
            return Ok(());
        }
        self.start()?;
        self.signal(Signal::TERM);
        self.state = State::Down;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        // Waiting closes its standard input, which tells it to stop as well.
        let Ok(ended) = timeout(STOPPING, child.wait()).await else {
            return Err(crash(format!("{} was told to stop, and has not within {STOPPING:?}", self.name)));
        };
        let status = ended.map_err(|error| Trouble::Here(format!("{}: {error}", self.name)))?;
        let fits = status.success() || self.may_end;
        if fits {
            Ok(())
        } else {
            Err(crash(format!("{} was told to stop, and ended with {status}: {}", self.name, self.last_words())))
        }
    }

    /// It stands still until it is started.
    pub(super) fn pause(&mut self) {
        if self.state == State::Running {
            self.signal(Signal::STOP);
            self.state = State::Paused;
        }
    }

    /// From now on it may end by itself, or may not.
    pub(super) fn may_end(&mut self, may: bool) {
        self.may_end = may;
    }

    /// Whether it is to be running, and is.
    pub(super) fn is_up(&mut self) -> Result<bool, Trouble> {
        match self.ended() {
            None => Ok(self.state != State::Down),
            Some(_) if self.may_end => {
                (self.child, self.state) = (None, State::Down);
                Ok(false)
            }
            Some(status) => {
                Err(crash(format!("{} ended with {status}, and nobody asked it to: {}", self.name, self.last_words())))
            }
        }
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        // A child that cannot be asked is not ours any more: a mistake here, that shows as a process that ended.
        self.child.as_mut()?.try_wait().expect("an own child")
    }

    /// Demands that its log tells of no panic.
    pub(super) fn has_not_panicked(&self) -> Result<(), Trouble> {
        let log = self.log_text();
        let panic = log.lines().find(|line| line.contains("panicked at"));
        panic.map_or(Ok(()), |line| Err(crash(format!("{} says: {line}", self.name))))
    }

    fn log_text(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn last_words(&self) -> String {
        self.log_text().lines().next_back().unwrap_or("it said nothing").to_owned()
    }

    /// Whose process it is, once started; that of the binary itself, since what starts it in its namespace becomes it.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    fn signal(&self, signal: Signal) {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // One that has ended by itself is noticed when it is asked for.
            let _ = kill_process(pid, signal);
        }
    }
}

/// Removes what is in a directory, which may be one that something is mounted on.
pub(super) fn clear(directory: &Path) -> Result<(), Trouble> {
    let failed = |error| Trouble::Here(format!("cannot clear {}: {error}", directory.display()));
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.map_err(failed)?;
    }
    Ok(())
}
