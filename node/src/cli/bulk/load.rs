//! `catena load`: pairs from a file or standard input, written with many under way at once, each exactly once.
//!
//! ```text
//!   input ──a thread──▶ lines ──▶ window ──Client──▶ the slots' heads
//!                                   └ the first line in it that is not stored: where to resume
//! ```

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use catena_net::client::{Client, ClientError, Options};
use tokio::task::JoinSet;

use super::lines::{Line, Lines, Source};
use super::pair::LineError;
use super::progress::Progress;
use crate::cli::arguments::LoadArguments;
use crate::cli::exit::{self, Exit, fail};
use crate::cli::output;
use crate::cli::stop::Interrupts;

/// Writes under way at once.
const WRITES: usize = 256;

/// The bytes of their keys and values, unless a single one is larger.
const BYTES: usize = 8 << 20;

pub(in crate::cli) async fn run(arguments: LoadArguments) -> Exit {
    let unreadable = |error| fail(&format!("cannot read {}: {error}", arguments.file.display()), Exit::Error);
    let source = match Source::open(&arguments.file) {
        Ok(source) => source,
        Err(error) => return unreadable(error),
    };
    let client = match Client::connect(arguments.ask.endpoints, Options { call_timeout: arguments.timeout }).await {
        Ok(client) => client,
        Err(error) => return fail(&error.to_string(), exit::of_write(&error)),
    };
    // Up to here, nobody needs to be told what is stored.
    let mut interrupts = match Interrupts::new() {
        Ok(interrupts) => interrupts,
        Err(error) => return fail(&format!("cannot watch for signals: {error}"), Exit::Error),
    };
    let progress = Progress::new(source.bytes);
    let lines = match Lines::start(source, arguments.from_line) {
        Ok(lines) => lines,
        Err(error) => return unreadable(error),
    };
    let mut load = Load::new(client, progress, arguments.from_line - 1);
    load.run(lines, &mut interrupts).await;
    load.report()
}

/// Why a line is not stored.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Line(#[from] LineError),
    #[error(transparent)]
    Write(#[from] ClientError),
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Failure::Line(_) => Exit::Error,
            Failure::Write(error) => exit::of_write(error),
        }
    }
}

/// How far the input was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    More,
    /// To its end.
    Read,
    /// Not to its end: something is wrong, or somebody has interrupted.
    Left,
}

struct Load {
    client: Client,
    progress: Progress,
    input: Input,
    /// The next line, which waits for room.
    next: Option<Line>,
    writes: JoinSet<Written>,
    /// What is under way, by line.
    window: BTreeMap<u64, Underway>,
    /// Its keys. Of two lines with one key, the later one waits for the earlier.
    keys: HashSet<Bytes>,
    /// What it weighs.
    bytes: usize,
    /// The last line that was sent.
    last: u64,
    /// The first line that failed.
    failed: Option<(u64, Failure)>,
}

struct Underway {
    key: Bytes,
    bytes: usize,
    end: u64,
}

/// What came of a line.
type Written = (u64, Result<(), ClientError>);

impl Load {
    /// `last`: the line before the first.
    fn new(client: Client, progress: Progress, last: u64) -> Self {
        Self {
            client,
            progress,
            input: Input::More,
            next: None,
            writes: JoinSet::new(),
            window: BTreeMap::new(),
            keys: HashSet::new(),
            bytes: 0,
            last,
            failed: None,
        }
    }

    /// Stores lines until there are no more, one fails, or somebody interrupts; and then waits for those under way, unless
    /// somebody interrupts that.
    async fn run(&mut self, mut lines: Lines, interrupts: &mut Interrupts) {
        loop {
            if self.next.as_ref().is_some_and(|line| self.has_room_for(line)) {
                let line = self.next.take().expect("just seen");
                self.send(line);
            }
            if self.input != Input::More && self.next.is_none() && self.window.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                () = interrupts.next() => match self.input {
                    Input::More => self.leave(),
                    Input::Read | Input::Left => return,
                },
                Some(written) = self.writes.join_next() => self.written(written.expect("a write does not panic")),
                line = lines.next(), if self.input == Input::More && self.next.is_none() => match line {
                    Some(Ok(line)) => self.next = Some(line),
                    Some(Err((line, error))) => self.fail(line, error.into()),
                    None => self.input = Input::Read,
                },
            }
        }
    }

    fn has_room_for(&self, Line { pair, .. }: &Line) -> bool {
        let fits = self.window.len() < WRITES && self.bytes + pair.bytes() <= BYTES;
        self.window.is_empty() || fits && !self.keys.contains(&pair.key)
    }

    fn send(&mut self, Line { number, end, pair }: Line) {
        let (bytes, key) = (pair.bytes(), pair.key.clone());
        self.keys.insert(key.clone());
        self.bytes += bytes;
        self.last = number;
        self.window.insert(number, Underway { key, bytes, end });
        let client = self.client.clone();
        self.writes.spawn(async move { (number, client.put(pair.key, pair.value, Vec::new()).await.map(drop)) });
    }

    fn written(&mut self, (number, result): Written) {
        let Underway { key, bytes, end } = self.window.remove(&number).expect("it is under way");
        self.keys.remove(&key);
        self.bytes -= bytes;
        match result {
            Ok(()) => {
                let resume = self.missing().unwrap_or(self.last + 1);
                self.progress.stored(bytes, end, format_args!("--from-line {resume}"));
            }
            Err(error) => self.fail(number, error.into()),
        }
    }

    fn fail(&mut self, line: u64, failure: Failure) {
        if self.failed.as_ref().is_none_or(|(first, _)| line < *first) {
            self.failed = Some((line, failure));
        }
        self.leave();
    }

    /// The first line that was sent and is not stored.
    fn missing(&self) -> Option<u64> {
        let under_way = self.window.first_key_value().map(|(line, _)| *line);
        under_way.into_iter().chain(self.failed.as_ref().map(|(line, _)| *line)).min()
    }

    /// Begins nothing more.
    fn leave(&mut self) {
        (self.input, self.next) = (Input::Left, None);
    }

    /// Says what is stored, and where to go on.
    fn report(self) -> Exit {
        let missing = self.missing();
        let Self { progress, input, window, last, failed, .. } = self;
        let summary = progress.finish();
        let (why, exit) = match failed {
            Some((line, failure)) => (format!("line {line}: {failure}"), failure.exit()),
            None if !window.is_empty() => ("interrupted".to_owned(), Exit::Unknown),
            None if input == Input::Left => ("interrupted".to_owned(), Exit::NotExecuted),
            None => return output::write(&format!("{summary}\n")).err().unwrap_or(Exit::Ok),
        };
        let stored = missing.map_or(last, |line| line - 1);
        let lines = if stored == 1 { "1 line is".to_owned() } else { format!("{stored} lines are") };
        fail(&format!("{why}; {lines} stored: resume with --from-line {}", stored + 1), exit)
    }
}
