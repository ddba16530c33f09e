//! The life of a development cluster: prepare, start, wait until it is ready, watch, stop.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::arguments::{DevArguments, OnDeath};
use super::child::{self, Exit, Open, Wish};
use super::directory::{Age, Directory, Found};
use super::error::DevError;
use super::plan::Plan;
use super::{news, ready, screen};
use crate::cli::{Interrupts, complain, say};

/// The first wait before a process is started again; doubled each time it dies soon after.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A process that ran so long is sound: its next death is met with the first wait again.
const SOUND: Duration = Duration::from_secs(30);
/// How long the children of a `dev` that was killed may take to end.
const PREDECESSOR: Duration = Duration::from_secs(3);
/// How long a process that is ending may hold its lock, or its port after its directory.
const LAST_MOMENTS: Duration = Duration::from_millis(500);
/// Between two looks at whether they have.
const PAUSE: Duration = Duration::from_millis(10);
/// The coordinator's place in the plan.
const COORDINATOR: usize = 0;
/// A start that takes longer is remarked upon.
const LONG_START: Duration = Duration::from_secs(5);

/// Runs the cluster until it is asked to stop. On return, nothing that it started is running. Its processes read the same
/// file of settings, if there is one.
pub(crate) async fn run(arguments: DevArguments, settings: Option<&Path>) -> Result<(), DevError> {
    let began = Instant::now();
    let mut interrupts = Interrupts::new().map_err(DevError::Signals)?;
    // Nothing is written before all is found to be fit.
    let found = look(&arguments).await?;
    let plan = Plan::new(&found, arguments.port, settings)?;
    tokio::select! {
        free = become_free(&plan, found.age) => free?,
        () = interrupts.next() => return Ok(()),
    }
    let directory = found.claim()?;
    let mut cluster = Cluster::new(plan, arguments.on_death());
    let result = cluster.live(&directory, began, &mut interrupts).await;
    cluster.stop(&mut interrupts).await;
    result
}

/// Looks at the directory, once the lock of a `dev` that is just being killed is gone.
async fn look(arguments: &DevArguments) -> Result<Found, DevError> {
    let began = Instant::now();
    loop {
        match Found::look(arguments) {
            Err(DevError::InUse(_)) if began.elapsed() < LAST_MOMENTS => tokio::time::sleep(PAUSE).await,
            looked => return looked,
        }
    }
}

/// Waits until no other process holds what the cluster needs. After a `dev` that was killed, its children hold it until they
/// have noticed; a new directory had none.
async fn become_free(plan: &Plan, age: Age) -> Result<(), DevError> {
    let began = Instant::now();
    let mut patience = match age {
        Age::New => Duration::ZERO,
        Age::Used => LAST_MOMENTS,
    };
    loop {
        let Err(error) = plan.demand_free() else { return Ok(()) };
        if matches!(error, DevError::ChildInUse { .. }) {
            patience = PREDECESSOR;
        }
        if began.elapsed() >= patience {
            return Err(error);
        }
        tokio::time::sleep(PAUSE).await;
    }
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
        if !self.start_all(interrupts).await? || !self.become_ready(directory, interrupts).await? {
            return Ok(());
        }
        let pids: Vec<u32> = self.running.values().map(|running| running.pid).collect();
        say(&screen::ready(&self.plan, directory, &pids, began.elapsed()));
        self.watch(directory.shape.replicas, interrupts).await;
        Ok(())
    }

    /// Starts the nodes, and when all have opened their data the coordinator: else it might take one that has much to open for
    /// dead. Whether it is to go on.
    async fn start_all(&mut self, interrupts: &mut Interrupts) -> Result<bool, DevError> {
        let (sender, mut opens) = mpsc::unbounded_channel();
        for index in COORDINATOR + 1..self.plan.processes.len() {
            self.start_telling(index, Some(sender.clone()))?;
        }
        drop(sender);
        loop {
            tokio::select! {
                opened = opens.recv() => if opened.is_none() { break },
                () = interrupts.next() => return Ok(false),
            }
        }
        self.start(COORDINATOR)?;
        Ok(true)
    }

    fn start(&mut self, index: usize) -> Result<u32, DevError> {
        self.start_telling(index, None)
    }

    fn start_telling(&mut self, index: usize, open: Option<mpsc::UnboundedSender<Open>>) -> Result<u32, DevError> {
        let pid = child::start(&self.plan, index, self.wish.subscribe(), self.exits_sender.clone(), open)?;
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
                    complain("catena dev: still starting; it is ready once every slot answers. Ctrl-C gives up.");
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
    async fn watch(&mut self, replicas: u32, interrupts: &mut Interrupts) {
        let endpoint = self.plan.endpoint.clone();
        let news = news::tell(&endpoint, replicas);
        tokio::pin!(news);
        loop {
            let next = self.waiting.iter().min_by_key(|(_, at)| **at).map(|(index, at)| (*index, *at));
            let (index, at) = next.unwrap_or((usize::MAX, tokio::time::Instant::now() + LONGEST_WAIT));
            tokio::select! {
                () = interrupts.next() => return,
                Some(exit) = self.exits.recv() => self.on_exit(&exit),
                never = &mut news => match never {},
                () = tokio::time::sleep_until(at), if next.is_some() => {
                    self.waiting.remove(&index);
                    self.start_again(index);
                }
            }
        }
    }

    fn on_exit(&mut self, exit: &Exit) {
        let ran = self.running.remove(&exit.index).map(|running| running.since.elapsed());
        let process = &self.plan.processes[exit.index];
        let died = screen::died(process, exit.pid, exit.status);
        match self.on_death {
            OnDeath::Report => complain(&format!("{died} {}", screen::by_hand(&self.plan, process))),
            OnDeath::Restart => {
                if ran.is_some_and(|ran| ran >= SOUND) {
                    self.waits.remove(&exit.index);
                }
                let wait = self.wait_to_start(exit.index);
                complain(&format!("{died} {}", screen::by_itself(wait)));
            }
        }
    }

    fn start_again(&mut self, index: usize) {
        match self.start(index) {
            Ok(pid) => complain(&format!("{} runs again (pid {pid}).", self.plan.processes[index].who)),
            // The others serve; what the system lacks now it may have later.
            Err(error) => {
                let wait = self.wait_to_start(index);
                complain(&format!("{error}. {}", screen::by_itself(wait)));
            }
        }
    }

    /// Has the process started again after a wait: the first one, or twice the last.
    fn wait_to_start(&mut self, index: usize) -> Duration {
        let wait = self.waits.get(&index).map_or(FIRST_WAIT, |last| (*last * 2).min(LONGEST_WAIT));
        self.waits.insert(index, wait);
        self.waiting.insert(index, tokio::time::Instant::now() + wait);
        wait
    }

    /// Stops what runs, the coordinator first: asks, and kills what does not listen; a second interrupt kills at once.
    async fn stop(&mut self, interrupts: &mut Interrupts) {
        self.wish.send_replace(Wish::StopCoordinator);
        while !self.running.is_empty() {
            if !self.running.contains_key(&COORDINATOR) {
                self.wish.send_modify(|wish| *wish = Wish::Stop.max(*wish));
            }
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
