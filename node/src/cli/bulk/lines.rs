//! The lines of the input, read and parsed on a thread of their own: standard input may have nothing to say for long.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::thread;

use tokio::sync::mpsc;

use super::pair::{LINE_BYTES, LineError, Pair, parse};

/// Stands for standard input.
const STDIN: &str = "-";

/// Lines that are handed over together, and bytes of them unless one is longer.
const BATCH_LINES: usize = 128;
const BATCH_BYTES: u64 = 256 << 10;

/// Batches that may wait.
const BATCHES: usize = 2;

/// Where lines come from.
pub(super) struct Source {
    from: Box<dyn Read + Send>,
    /// How many bytes there are, if that is known.
    pub(super) bytes: Option<u64>,
}

/// A line that is not empty.
#[derive(Debug)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    /// Bytes of the input up to its end.
    pub(super) end: u64,
    pub(super) pair: Pair,
}

/// One that is wrong, with its number.
pub(super) type Wrong = (u64, LineError);

type Batch = Vec<Result<Line, Wrong>>;

/// The lines that are still to come.
#[derive(Debug)]
pub(super) struct Lines {
    batches: mpsc::Receiver<Batch>,
    batch: std::vec::IntoIter<Result<Line, Wrong>>,
}

impl Source {
    /// Opens a file, or standard input.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == STDIN {
            return Ok(Self { from: Box::new(io::stdin()), bytes: None });
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Self { from: Box::new(file), bytes: metadata.is_file().then_some(metadata.len()) })
    }
}

impl Lines {
    /// Reads from the line with this number on.
    pub(super) fn start(source: Source, first: u64) -> io::Result<Self> {
        let (sender, batches) = mpsc::channel(BATCHES);
        let reader = Reader { input: BufReader::new(source.from), line: Vec::new(), number: 0, end: 0 };
        thread::Builder::new().name("catena-lines".to_owned()).spawn(move || reader.run(first, &sender))?;
        Ok(Self { batches, batch: Vec::new().into_iter() })
    }

    /// The next one. None follows one that is wrong. Safe to cancel.
    pub(super) async fn next(&mut self) -> Option<Result<Line, Wrong>> {
        loop {
            if let Some(line) = self.batch.next() {
                return Some(line);
            }
            self.batch = self.batches.recv().await?.into_iter();
        }
    }
}

struct Reader<R> {
    input: BufReader<R>,
    /// The line of the moment.
    line: Vec<u8>,
    number: u64,
    /// Bytes up to its end.
    end: u64,
}

impl<R: Read> Reader<R> {
    fn run(mut self, first: u64, batches: &mpsc::Sender<Batch>) {
        let mut more = true;
        while more {
            let (mut batch, from) = (Vec::new(), self.end);
            while more && batch.len() < BATCH_LINES && self.end - from < BATCH_BYTES {
                let line = self.next(first);
                more = line.as_ref().is_some_and(Result::is_ok);
                batch.extend(line);
            }
            // Whoever does not take them any more wants no others.
            more &= batches.blocking_send(batch).is_ok();
        }
    }

    /// The next line from the first on that is not empty.
    fn next(&mut self, first: u64) -> Option<Result<Line, Wrong>> {
        loop {
            self.number += 1;
            match self.read() {
                Ok(0) if self.number < first => return Some(Err((first, LineError::NotThere { lines: self.number - 1 }))),
                Ok(0) => return None,
                Ok(_) if self.number < first || self.line.trim_ascii().is_empty() => {}
                Ok(_) => {
                    let (number, end) = (self.number, self.end);
                    let line = parse(&self.line).map(|pair| Line { number, end, pair });
                    return Some(line.map_err(|error| (number, error)));
                }
                Err(error) => return Some(Err((self.number, error))),
            }
        }
    }

    /// Takes the next line from the input. Its length; 0: there is none.
    fn read(&mut self) -> Result<usize, LineError> {
        self.line.clear();
        let read = self.input.by_ref().take(LINE_BYTES as u64 + 1).read_until(b'\n', &mut self.line)?;
        if read > LINE_BYTES {
            return Err(LineError::TooLong);
        }
        self.end += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str, first: u64) -> Batch {
        let source = Source { from: Box::new(io::Cursor::new(input.to_owned())), bytes: None };
        let mut lines = Lines::start(source, first).expect("a thread");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut all = Vec::new();
            while let Some(line) = lines.next().await {
                all.push(line);
            }
            all
        })
    }

    fn pairs(count: u64) -> String {
        let lines: Vec<String> = (1..=count).map(|number| format!("{{\"key\":\"{number}\",\"value\":\"v\"}}\n")).collect();
        lines.concat()
    }

    #[test]
    fn lines_are_numbered_from_1_and_empty_ones_are_passed_over() {
        let text = pairs(3).replace("{\"key\":\"2\"", "\r\n  \n{\"key\":\"2\"");
        let lines = read(text.trim_end(), 1);
        let numbers = |lines: &Batch| lines.iter().map(|line| line.as_ref().unwrap().number).collect::<Vec<_>>();
        assert_eq!(numbers(&lines), [1, 4, 5]);
        assert_eq!(lines[2].as_ref().unwrap().end, text.len() as u64 - 1);
        assert_eq!(numbers(&read(&pairs(1000), 400)), (400..=1000).collect::<Vec<_>>());
        assert!(read("", 1).is_empty() && read(&pairs(3), 4).is_empty());
        assert!(matches!(read(&pairs(3), 5)[..], [Err((5, LineError::NotThere { lines: 3 }))]));
    }

    #[test]
    fn nothing_is_read_after_a_line_that_is_wrong() {
        let lines = read(&pairs(500).replace("{\"key\":\"300\"", "{\"kay\":\"300\""), 1);
        assert_eq!(lines.len(), 300);
        assert!(lines[..299].iter().all(Result::is_ok));
        assert!(matches!(lines[299], Err((300, _))));
    }
}
