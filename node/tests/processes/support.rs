//! Real processes under test: the binary, a development cluster, and waiting for what can be observed.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// What may take long on a busy machine; reached only by a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Settings of a cluster for which what a disk and a processor do that other tests keep busy is no death, and no flapping.
pub(crate) const PATIENT: &str = "\
    [coordinator]\nlease-ms = 2000\nsuspect-ms = 2000\ndead-ms = 4000\nflap-threshold = 0\n\
    [node]\nsilence-ms = 4000\nstall-ms = 4000\n";

/// So far behind the port of a process of `dev` is that of its admin HTTP.
pub(crate) const ADMIN: u16 = 1000;

/// The binary, with nothing of this environment that it would heed.
pub(crate) fn catena() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catena"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"CATENA_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    catena().args(arguments).output().expect("the binary runs")
}

/// What it wrote, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Demands that it failed with `code` and exactly one line on stderr, and returns that line.
pub(crate) fn refused(output: &Output, code: i32) -> String {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "stderr: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "one line of error: {stderr}");
    stderr
}

/// Waits until `found` gives something; panics with `what` if that takes too long.
pub(crate) fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The first of `count` consecutive ports that are free on loopback, below those that the system gives out by itself.
pub(crate) fn free_ports(count: u16) -> u16 {
    const FIRST: u16 = 10_000;
    const RANGE: u16 = 10_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run at once begin in different places.
    let offset = (std::process::id() % 500) as u16 * 20;
    let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    loop {
        let number = (offset + NEXT.fetch_add(count, Ordering::Relaxed)) % RANGE;
        // Every other thousand is left to `dev`'s admin HTTP.
        let first = FIRST + number / ADMIN * 2 * ADMIN + number % ADMIN;
        let fits = number % ADMIN + count <= ADMIN;
        if fits && (first..first + count).all(|port| is_free(port) && is_free(port + ADMIN)) {
            return first;
        }
    }
}

/// Whether a process is there and has not ended.
pub(crate) fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Sends a signal to a process of this test.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("a process id");
    kill_process(pid, signal).expect("the process is there");
}

/// Runs a future on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// A child whose output is read line by line; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) stdout: Receiver<String>,
    pub(crate) stderr: Receiver<String>,
}

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let stdout = lines(child.stdout.take().expect("piped"));
        let stderr = lines(child.stderr.take().expect("piped"));
        Self { child, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends its standard input, if that is a pipe.
    pub(crate) fn end_input(&mut self) {
        drop(self.child.stdin.take());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the end of the process", || self.child.try_wait().expect("an own child"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// The next line with `part` in it.
pub(crate) fn line_with(lines: &Receiver<String>, part: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains(part) => return line,
            Ok(line) => seen.push(line),
            Err(error) => panic!("no line with {part:?} ({error}), only {seen:#?}"),
        }
    }
}

/// One line of the table that `dev` prints.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) who: String,
    pub(crate) pid: u32,
}

/// A development cluster.
pub(crate) struct Dev {
    pub(crate) process: Process,
    pub(crate) port: u16,
    directory: PathBuf,
    pub(crate) rows: Vec<Row>,
}

impl Dev {
    /// Starts one in `directory`, on free ports, and waits until it is ready.
    pub(crate) fn start(directory: &Path, options: &[&str]) -> Self {
        Self::start_at(free_ports(8), directory, options)
    }

    /// Starts one in a directory within `directory`, with these settings in a file beside it.
    pub(crate) fn configured(directory: &Path, settings: &str, options: &[&str]) -> Self {
        let file = directory.join("catena.toml");
        fs::write(&file, settings).expect("a file");
        let given = ["--config", file.to_str().expect("a path of text")];
        Self::start(&directory.join("data"), &[options, &given].concat())
    }

    /// As [`Self::start`], on these ports.
    pub(crate) fn start_at(port: u16, directory: &Path, options: &[&str]) -> Self {
        let mut command = Self::command(directory, port);
        let process = Process::spawn(command.args(options));
        line_with(&process.stdout, "Catena is ready");
        line_with(&process.stdout, "pid");
        let rows: Vec<Row> = process.stdout.iter().map_while(|line| row(&line)).collect();
        Self { process, port, directory: directory.to_owned(), rows }
    }

    pub(crate) fn command(directory: &Path, port: u16) -> Command {
        let mut command = catena();
        command.arg("dev").arg("--data-dir").arg(directory).args(["--port", &port.to_string()]);
        command
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn pid_of(&self, who: &str) -> u32 {
        self.rows.iter().find(|row| row.who == who).unwrap_or_else(|| panic!("no {who} in {:?}", self.rows)).pid
    }

    /// Starts one of its processes again, by hand.
    pub(crate) fn start_again(&self, who: &str) -> Process {
        let row = self.rows.iter().position(|row| row.who == who).unwrap_or_else(|| panic!("no {who} in {:?}", self.rows));
        let port = self.port + u16::try_from(row).expect("a few rows");
        let mut command = catena();
        match who {
            "coordinator" => command.arg(who),
            id => command.args(["node", "--id", id, "--coordinator", &self.endpoint()]),
        };
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--data-dir"]).arg(self.directory.join(who));
        Process::spawn(&mut command)
    }

    /// Has a node stop in order, and then run again by hand, where the test reads what it says; waits until it is back.
    pub(crate) fn take_over(&self, id: &str) -> Process {
        let before = self.await_status("a whole cluster", |status| status.waits().is_empty());
        signal(self.pid_of(id), Signal::TERM);
        self.await_status("it is away", |status| status.node(id)["health"] == "stopped");
        eventually("its end", || (!alive(self.pid_of(id))).then_some(()));
        let node = self.start_again(id);
        let back = |status: &Status| status.waits().is_empty() && status.node(id)["health"] == "healthy";
        self.await_status("it is back", |status| back(status) && status.copies() == before.copies());
        node
    }

    /// Runs a command against it; one of two words, such as `node drain`, is one argument here.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let (command, rest) = arguments.split_first().expect("a command");
        let (command, endpoint): (Vec<&str>, _) = (command.split(' ').collect(), self.endpoint());
        run(&[&command[..], &["--endpoints", &endpoint], rest].concat())
    }

    /// What `catena status -o json` says.
    pub(crate) fn status(&self) -> Status {
        let output = self.run(&["status", "-o", "json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        Status(serde_json::from_slice(&output.stdout).expect("a line of JSON"))
    }

    /// Waits for a status that `fits`.
    pub(crate) fn await_status(&self, what: &str, fits: impl Fn(&Status) -> bool) -> Status {
        eventually(what, || Some(self.status()).filter(|status| fits(status)))
    }

    /// Waits until none of its children is there.
    pub(crate) fn await_silence(&self) {
        for row in &self.rows {
            eventually(&format!("the end of {row:?}"), || (!alive(row.pid)).then_some(()));
        }
    }

    /// Kills every process at once, itself included, as a power cut would.
    pub(crate) fn kill_all(mut self) {
        signal(self.process.pid(), Signal::KILL);
        for row in &self.rows {
            // It may have ended already, now that its parent is gone.
            if alive(row.pid) {
                signal(row.pid, Signal::KILL);
            }
        }
        self.process.wait();
        self.await_silence();
    }

    /// Stops it as Ctrl-C does.
    pub(crate) fn stop(mut self) -> ExitStatus {
        signal(self.process.pid(), Signal::INT);
        let status = self.process.wait();
        for row in &self.rows {
            assert!(!alive(row.pid), "{row:?} outlived its cluster");
        }
        status
    }
}

/// A line of the table, if it is one.
pub(crate) fn row(line: &str) -> Option<Row> {
    let mut words = line.split_whitespace();
    let who = words.next()?.to_owned();
    let pid = words.next()?.parse().ok()?;
    let _port: u16 = words.next()?.parse().ok()?;
    Some(Row { who, pid })
}

/// The cluster, as an operator sees it.
#[derive(Debug)]
pub(crate) struct Status(pub(crate) Value);

impl Status {
    pub(crate) fn node(&self, id: &str) -> &Value {
        let nodes = self.0["nodes"].as_array().expect("nodes");
        nodes.iter().find(|node| node["id"] == id).unwrap_or_else(|| panic!("no {id} in {}", self.0))
    }

    pub(crate) fn chains(&self) -> &[Value] {
        self.0["chains"].as_array().expect("chains")
    }

    /// Why chains wait that do.
    pub(crate) fn waits(&self) -> Vec<&str> {
        self.chains().iter().filter_map(|chain| chain["wait"].as_str()).collect()
    }

    /// Of every slot, its chain's version: each change of it is one more.
    pub(crate) fn versions(&self) -> Vec<u64> {
        self.chains().iter().map(|chain| chain["version"].as_u64().expect("a number")).collect()
    }

    /// Of every node, how often it was suspect lately.
    pub(crate) fn flaps(&self) -> Vec<u64> {
        let nodes = self.0["nodes"].as_array().expect("nodes");
        nodes.iter().map(|node| node["flaps"].as_u64().expect("a number")).collect()
    }

    /// Of every slot, the chain's members, head first.
    pub(crate) fn members(&self) -> Vec<Vec<String>> {
        let members = |chain: &Value| {
            let members = chain["members"].as_array().expect("members").iter();
            members.map(|member| member.as_str().expect("an id").to_owned()).collect()
        };
        self.chains().iter().map(members).collect()
    }

    /// The same without the order: a node that was away comes back at the end.
    pub(crate) fn copies(&self) -> Vec<BTreeSet<String>> {
        self.members().into_iter().map(|members| members.into_iter().collect()).collect()
    }

    /// Whether every chain has so many members, and nothing is under way.
    pub(crate) fn is_whole(&self, replicas: usize) -> bool {
        let settled = |chain: &Value| chain["tail_ready"] == true && chain["joining"].is_null() && chain["wait"].is_null();
        self.chains().iter().all(settled) && self.copies().iter().all(|copies| copies.len() == replicas)
    }
}
