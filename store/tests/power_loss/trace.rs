//! What a process does to its files, as `strace` sees it.

use std::collections::HashMap;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// What a traced process is to do: it goes on with what is in its directory, if anything is.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) directory: PathBuf,
    /// So many there are from the beginning.
    pub(crate) writes: u64,
    /// Up to where the process before has reported that all is durable.
    pub(crate) durable: u64,
    /// How many writes it does at most.
    pub(crate) at_most: u64,
}

const DIRECTORY: &str = "CATENA_POWER_LOSS_DIRECTORY";
const WRITES: &str = "CATENA_POWER_LOSS_WRITES";
const DURABLE: &str = "CATENA_POWER_LOSS_DURABLE";
const AT_MOST: &str = "CATENA_POWER_LOSS_AT_MOST";

impl Task {
    /// What this process was told.
    pub(crate) fn told() -> Self {
        let number = |name| std::env::var(name).unwrap().parse().unwrap();
        let directory = std::env::var(DIRECTORY).unwrap().into();
        Self { directory, writes: number(WRITES), durable: number(DURABLE), at_most: number(AT_MOST) }
    }
}

/// A process that has done all it was told to in a fresh directory.
pub(crate) struct Traced {
    /// The test that it ran.
    pub(crate) process: &'static str,
    pub(crate) writes: u64,
    pub(crate) root: TempDir,
    /// What it did, in order.
    pub(crate) calls: Vec<Call>,
}

/// A call that has succeeded. File descriptors are numbers, as the process has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Open {
        path: PathBuf,
        flags: String,
        fd: u64,
    },
    Close {
        fd: u64,
    },
    Duplicate {
        fd: u64,
        to: u64,
    },
    Write {
        fd: u64,
        data: Vec<u8>,
    },
    /// Says where the next write goes.
    Seek {
        fd: u64,
        position: u64,
    },
    SetLen {
        fd: u64,
        len: u64,
    },
    /// A sync has begun: it covers what was written until here.
    SyncBegins {
        fd: u64,
        process: u64,
    },
    SyncEnds {
        fd: u64,
        process: u64,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    MakeDirectory {
        path: PathBuf,
    },
}

impl Traced {
    pub(crate) fn new(process: &'static str, writes: u64) -> Self {
        let root = super::scratch();
        let task = Task { directory: root.path().to_owned(), writes, durable: 0, at_most: u64::MAX };
        let calls = trace(process, &task).unwrap_or_else(|failure| panic!("{failure}"));
        Self { process, writes, root, calls }
    }
}

/// Runs this test binary's `test` in a process of its own; what it did, in order, or how it failed.
pub(crate) fn trace(test: &str, task: &Task) -> Result<Vec<Call>, String> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new("strace")
        .args(["-f", "-y", "-xx", "-s", "1000000000", "-e", "trace=%desc,%file", "-o"])
        .arg(log.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(DIRECTORY, &task.directory)
        .env(WRITES, task.writes.to_string())
        .env(DURABLE, task.durable.to_string())
        .env(AT_MOST, task.at_most.to_string())
        .output()
        .unwrap_or_else(|error| panic!("strace is needed (Debian package strace): {error}"));
    if !output.status.success() {
        return Err(format!("{task:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(parse(&std::fs::read_to_string(log.path()).unwrap(), &task.directory))
}

/// The lines of all threads, put together where one was interrupted.
fn parse(log: &str, root: &Path) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut begun: HashMap<u64, String> = HashMap::new();
    for line in log.lines() {
        let (process, rest) = line.trim_start().split_once(' ').unwrap();
        let (process, rest) = (process.parse().unwrap(), rest.trim_start());
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        let mut whole = String::new();
        if let Some(first) = rest.strip_suffix(" <unfinished ...>") {
            calls.extend(begin(first, process));
            begun.insert(process, first.to_owned());
            continue;
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            whole.push_str(&begun.remove(&process).unwrap());
            whole.push_str(resumed.split_once(" resumed>").unwrap().1);
        } else {
            calls.extend(begin(rest, process));
            whole.push_str(rest);
        }
        calls.extend(call(&whole, process, root));
    }
    calls
}

/// What a call does as it begins. The number of a file that is being closed may be given to another before the call returns.
fn begin(text: &str, process: u64) -> Option<Call> {
    let (name, arguments) = text.split_once('(')?;
    match name {
        "fdatasync" | "fsync" => Some(Call::SyncBegins { fd: descriptor(arguments), process }),
        "close" => Some(Call::Close { fd: descriptor(arguments) }),
        _ => None,
    }
}

/// `5<path>` and what follows.
fn descriptor(text: &str) -> u64 {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    text[..digits].parse().unwrap_or_else(|_| panic!("no file descriptor: {text}"))
}

/// What one line says, if it succeeded and changes files. A call that could, and that is not understood, ends the test.
fn call(line: &str, process: u64, root: &Path) -> Option<Call> {
    let (name, rest) = line.split_once('(').unwrap();
    let (arguments, result) = rest.rsplit_once(" = ").unwrap_or_else(|| panic!("no result: {line}"));
    if result.starts_with("-1 ") || result.starts_with('?') {
        return None;
    }
    let arguments = arguments.trim_end().strip_suffix(')').unwrap();
    let mut strings = arguments.split('"').skip(1).step_by(2).map(bytes);
    let mut path = || root.join(PathBuf::from(std::ffi::OsString::from_vec(strings.next().unwrap())));
    let number = || arguments.rsplit(", ").next().unwrap().parse().unwrap();
    Some(match name {
        "openat" => Call::Open { path: path(), flags: arguments.rsplit('"').next().unwrap().to_owned(), fd: descriptor(result) },
        "dup" | "dup2" | "dup3" => Call::Duplicate { fd: descriptor(arguments), to: descriptor(result) },
        "fcntl" if arguments.contains("F_DUPFD") => Call::Duplicate { fd: descriptor(arguments), to: descriptor(result) },
        "write" => {
            let mut data = strings.next().unwrap();
            data.truncate(result.parse().unwrap());
            Call::Write { fd: descriptor(arguments), data }
        }
        // Asks for the position only, as fjall does with each record of a journal.
        "lseek" if arguments.ends_with(", 0, SEEK_CUR") => return None,
        "lseek" => Call::Seek { fd: descriptor(arguments), position: result.parse().unwrap() },
        "ftruncate" => Call::SetLen { fd: descriptor(arguments), len: number() },
        "fdatasync" | "fsync" => Call::SyncEnds { fd: descriptor(arguments), process },
        "rename" | "renameat" | "renameat2" => Call::Rename { from: path(), to: path() },
        "unlink" => Call::Remove { path: path() },
        "unlinkat" if !arguments.contains("AT_REMOVEDIR") => Call::Remove { path: path() },
        "mkdir" | "mkdirat" => Call::MakeDirectory { path: path() },
        "close" | "read" | "pread64" | "statx" | "fstat" | "newfstatat" | "access" | "faccessat2" | "readlink" | "readlinkat"
        | "flock" | "getdents64" | "getcwd" | "execve" | "poll" | "ppoll" | "fadvise64" | "ioctl" | "fcntl" | "statfs"
        | "fstatfs" | "epoll_ctl" | "epoll_wait" | "epoll_create1" | "eventfd2" | "mmap" | "munmap" | "close_range"
        | "socketpair" | "pipe2" => {
            assert!(!(name == "mmap" && arguments.contains("MAP_SHARED") && arguments.contains("PROT_WRITE")), "{line}");
            return None;
        }
        _ => panic!("a call that this test does not know: {line}"),
    })
}

/// `\x41\x42`.
fn bytes(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}
