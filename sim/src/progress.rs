//! The line that says how far long work has come.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often a terminal, and a log, hear of it.
const ON_TERMINAL: Duration = Duration::from_secs(1);
const IN_LOG: Duration = Duration::from_mins(1);

/// Says it on the standard error output: one line over and over again on a terminal, a line now and then in a log.
pub(crate) struct Progress {
    begun: Instant,
    shown: Instant,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { begun: now, shown: now, terminal: std::io::stderr().is_terminal() }
    }

    /// Says `line` of the time since it began, if it is time for one.
    pub(crate) fn show(&mut self, line: impl FnOnce(Duration) -> String) {
        if self.shown.elapsed() < if self.terminal { ON_TERMINAL } else { IN_LOG } {
            return;
        }
        self.shown = Instant::now();
        let (start, end) = if self.terminal { ("\r", "  ") } else { ("", "\n") };
        write(&format!("{start}{}{end}", line(self.begun.elapsed())));
    }

    /// What follows has a line of its own.
    pub(crate) fn end(&self) {
        if self.terminal {
            write("\n");
        }
    }
}

/// Nobody may be there to read it any more.
fn write(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
