//! The life of a development cluster: prepare, start, wait until it is ready, watch, stop.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::arguments::{DevArguments, OnDeath};
use super::child::{self, Exit, Wish};
use super::directory::Directory;
use super::error::DevError;
use super::plan::Plan;
use super::{ready, screen};
use crate::cli::{Interrupts, say};

/// The first wait before a process is started again; doubled each time it dies soon after.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A process that ran so long is sound: its next death is met with the first wait again.
const SOUND: Duration = Duration::from_secs(30);
/// A start that takes longer is remarked upon.
const LONG_START: Duration = Duration::from_secs(5);

/// Runs the cluster until it is asked to stop. On return, nothing that it started is running.
pub(crate) async fn run(arguments: DevArguments) -> Result<(), DevError> {
    let began = Instant::now();
    let mut interrupts = Interrupts::new().map_err(DevError::Signals)?;
    let directory = Directory::open(&arguments)?;
    let plan = Plan::new(&directory, arguments.port)?;
    let mut cluster = Cluster::new(plan, arguments.on_death());
    let result = cluster.live(&directory, began, &mut interrupts).await;
    cluster.stop(&mut interrupts).await;
    result
}

struct Cluster {
    plan: Plan,
    on_death: OnDeath,
    wish: watch::Sender<Wish>,
    exits: mpsc::UnboundedReceiver<Exit>,
    exits_sender: mpsc::UnboundedSender<Exit>,
    /// What runs, by place in the plan.
    running: BTreeMap<usize, Running>,
    /// What is to be started again, by place in the plan.
    waiting: BTreeMap<usize, tokio::time::Instant>,
    /// How long each had to wait last.
    waits: BTreeMap<usize, Duration>,
}

struct Running {
    pid: u32,
    since: Instant,
}

impl Cluster {
    fn new(plan: Plan, on_death: OnDeath) -> Self {
        let (exits_sender, exits) = mpsc::unbounded_channel();
        Self {
            plan,
            on_death,
            wish: watch::Sender::new(Wish::Run),
            exits,
            exits_sender,
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            waits: BTreeMap::new(),
        }
    }

    async fn live(&mut self, directory: &Directory, began: Instant, interrupts: &mut Interrupts) -> Result<(), DevError> {
        for index in 0..self.plan.processes.len() {
            self.start(index)?;
        }
        if !self.become_ready(directory, interrupts).await? {
            return Ok(());
        }
        let pids: Vec<u32> = self.running.values().map(|running| running.pid).collect();
        say(&screen::ready(&self.plan, directory, &pids, began.elapsed()));
        self.watch(interrupts).await
    }

    fn start(&mut self, index: usize) -> Result<u32, DevError> {
        let pid = child::start(&self.plan, index, self.wish.subscribe(), self.exits_sender.clone())?;
        self.running.insert(index, Running { pid, since: Instant::now() });
        Ok(pid)
    }

    /// Waits until every slot is served; whether it is to go on.
    async fn become_ready(&mut self, directory: &Directory, interrupts: &mut Interrupts) -> Result<bool, DevError> {
        let ready = ready::wait(&self.plan.endpoint, directory.shape.slots);
        tokio::pin!(ready);
        let remark = tokio::time::sleep(LONG_START);
        tokio::pin!(remark);
        let mut remarked = false;
        loop {
            tokio::select! {
                () = &mut ready => return Ok(true),
                () = interrupts.next() => return Ok(false),
                () = &mut remark, if !remarked => {
                    eprintln!("catena dev: still starting; it is ready once every slot answers. Ctrl-C gives up.");
                    remarked = true;
                }
                Some(exit) = self.exits.recv() => {
                    self.running.remove(&exit.index);
                    let who = self.plan.processes[exit.index].who.clone();
                    return Err(DevError::EndedAtStart { who, status: exit.status });
                }
            }
        }
    }

    /// Watches until interrupted.
    async fn watch(&mut self, interrupts: &mut Interrupts) -> Result<(), DevError> {
        loop {
            let next = self.waiting.iter().min_by_key(|(_, at)| **at).map(|(index, at)| (*index, *at));
            let (index, at) = next.unwrap_or((usize::MAX, tokio::time::Instant::now() + LONGEST_WAIT));
            tokio::select! {
                () = interrupts.next() => return Ok(()),
                Some(exit) = self.exits.recv() => self.on_exit(&exit),
                () = tokio::time::sleep_until(at), if next.is_some() => {
                    self.waiting.remove(&index);
                    let pid = self.start(index)?;
                    eprintln!("{} runs again (pid {pid}).", self.plan.processes[index].who);
                }
            }
        }
    }

    fn on_exit(&mut self, exit: &Exit) {
        let ran = self.running.remove(&exit.index).map(|running| running.since.elapsed());
        let process = &self.plan.processes[exit.index];
        eprintln!("{}", screen::died(&self.plan, process, exit.pid, &exit.status.to_string()));
        match self.on_death {
            OnDeath::Report => {}
            OnDeath::Restart => {
                let sound = ran.is_none_or(|ran| ran >= SOUND);
                let last = self.waits.get(&exit.index).filter(|_| !sound);
                let wait = last.map_or(FIRST_WAIT, |last| (*last * 2).min(LONGEST_WAIT));
                self.waits.insert(exit.index, wait);
                self.waiting.insert(exit.index, tokio::time::Instant::now() + wait);
                eprintln!("It is started again in {:.1} s.", wait.as_secs_f64());
            }
        }
    }

    /// Stops what runs: asks, and kills what does not listen; a second interrupt kills at once.
    async fn stop(&mut self, interrupts: &mut Interrupts) {
        self.wish.send_replace(Wish::Stop);
        while !self.running.is_empty() {
            tokio::select! {
                Some(exit) = self.exits.recv() => {
                    self.running.remove(&exit.index);
                }
                () = interrupts.next() => {
                    self.wish.send_replace(Wish::Kill);
                }
            }
        }
    }
}
