//! A client that shares no code with this project: Python, from the `.proto` files and docs/api.md alone.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{Dev, Process, alive, eventually, line_with, signal, text};

const PROTOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../net/proto");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md");
const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/scenario.py");
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/requirements.txt");

/// What a client needs of them.
const FILES: [&str; 4] =
    ["catena/v1/common.proto", "catena/v1/error.proto", "catena/v1/kv.proto", "catena/v1/coordination.proto"];

/// How long a whole scenario may take: a machine that other tests keep busy, and an interpreter.
const SCENARIO_TIME: Duration = Duration::from_mins(3);

/// A directory with the generated modules, and the interpreter that runs them.
struct Python {
    interpreter: PathBuf,
    stubs: TempDir,
}

impl Python {
    fn prepare() -> Self {
        let python = Self { interpreter: environment(), stubs: TempDir::new().expect("a directory") };
        let mut protoc = Command::new(&python.interpreter);
        protoc.args(["-m", "grpc_tools.protoc", "--proto_path", PROTOS]);
        for kind in ["--python_out", "--grpc_python_out"] {
            protoc.arg(kind).arg(python.stubs.path());
        }
        succeed("modules are generated from the .proto files", protoc.args(FILES));
        python
    }

    /// Runs a scenario.
    fn start(&self, arguments: &[&str]) -> Scenario {
        let mut command = Command::new(&self.interpreter);
        command.arg(SCENARIO).args(arguments).env("PYTHONPATH", self.stubs.path());
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::piped());
        Scenario { process: Process::spawn(&mut command), deadline: Instant::now() + SCENARIO_TIME }
    }
}

/// A scenario under way.
struct Scenario {
    process: Process,
    deadline: Instant,
}

impl Scenario {
    /// The next line that it prints; `None`: it has ended. Fails with what it says if it has failed.
    fn line(&mut self) -> Option<String> {
        match self.process.stdout.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => panic!("the scenario takes too long: {:#?}", self.said()),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.process.wait();
                assert!(status.success(), "the scenario has failed:\n{}", self.said().join("\n"));
                None
            }
        }
    }

    /// Waits for so many more acknowledged writes.
    fn await_more(&mut self, more: u64) {
        let mut enough = None;
        loop {
            let line = self.line().expect("it goes on until its input ends");
            let Some(acknowledged) = line.strip_prefix("acknowledged ") else { continue };
            let acknowledged: u64 = acknowledged.parse().expect("a number");
            if acknowledged >= *enough.get_or_insert(acknowledged + more) {
                return;
            }
        }
    }

    /// Waits for its end; the last line that it prints.
    fn end(mut self) -> String {
        self.process.end_input();
        let mut last = None;
        while let Some(line) = self.line() {
            println!("{line}");
            last = Some(line);
        }
        last.expect("it says something")
    }

    fn said(&self) -> Vec<String> {
        self.process.stderr.try_iter().collect()
    }
}

/// A virtual environment with what is required: made once for each content of the requirements, and kept.
fn environment() -> PathBuf {
    let requirements = fs::read_to_string(REQUIREMENTS).expect("it is in the repository");
    let mut hash = DefaultHasher::new();
    (requirements, version()).hash(&mut hash);
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = root.join(format!("python-{:016x}", hash.finish()));
    let (interpreter, complete) = (directory.join("bin/python"), directory.join("complete"));
    // Tests of this process, and of others, want it at the same time.
    let lock = File::create(root.join("python.lock")).expect("a file");
    lock.lock().expect("a lock");
    if !complete.exists() {
        let mut venv = Command::new("python3");
        succeed(
            "python3 makes a virtual environment (on Debian: apt-get install python3-venv)",
            venv.args(["-m", "venv", "--clear"]).arg(&directory),
        );
        let mut pip = Command::new(&interpreter);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary",
            ":all:",
            "-r",
            REQUIREMENTS,
        ]);
        succeed("pip installs node/tests/python/requirements.txt from the package index that it is configured for", &mut pip);
        fs::write(complete, "").expect("a file");
    }
    interpreter
}

/// Which Python this machine has; without one the test fails.
fn version() -> String {
    const ADVICE: &str = "this test needs Python: install it (on Debian: apt-get install python3 python3-venv)";
    let output = Command::new("python3").arg("--version").stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("python3 does not run ({error}): {ADVICE}"));
    assert!(output.status.success(), "python3 does not run ({}): {ADVICE}", text(&output.stderr));
    text(&output.stdout)
}

fn succeed(what: &str, command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(output.status.success(), "in vain: {what}\n{}{}", text(&output.stdout), text(&output.stderr));
    output
}

fn cluster(directory: &TempDir, slots: &str) -> Dev {
    Dev::start(directory.path(), &["--nodes", "4", "--replicas", "3", "--slots", slots])
}

#[test]
fn a_client_in_python_does_what_the_document_says_and_understands_every_refusal() {
    let python = Python::prepare();
    let directory = TempDir::new().expect("a directory");
    let cluster = cluster(&directory, "8");
    let last = python.start(&["basics", &cluster.endpoint(), DOCUMENT]).end();
    assert!(last.starts_with("verified "), "{last}");
}

#[test]
fn writes_of_a_client_in_python_take_effect_once_while_a_head_and_a_tail_are_killed() {
    let python = Python::prepare();
    let directory = TempDir::new().expect("a directory");
    let cluster = cluster(&directory, "4");
    let mut scenario = python.start(&["failover", &cluster.endpoint()]);
    scenario.await_more(300);
    // The head of a slot, and then, with the spare in its place, the tail.
    for position in [0, 2] {
        let status = cluster.await_status("whole chains of three", |status| status.is_whole(3));
        let victim = status.members()[0][position].clone();
        let pid = cluster.pid_of(&victim);
        signal(pid, Signal::KILL);
        eventually("its death", || (!alive(pid)).then_some(()));
        line_with(&cluster.process.stderr, &format!("{victim} is dead"));
        scenario.await_more(300);
    }
    cluster.await_status("two of four are left", |status| status.copies().iter().all(|copies| copies.len() == 2));
    let last = scenario.end();
    assert!(last.starts_with("verified "), "{last}");
}
