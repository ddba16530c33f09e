//! How far it is: a bar on a terminal, and now and then a line elsewhere.

use std::fmt::Arguments;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

/// What is stored so far. Stderr shows it.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    pairs: u64,
    /// Of keys and values.
    bytes: u64,
    bar: ProgressBar,
    shown: Instant,
}

impl Progress {
    /// `bytes`: of the input, if that is known.
    pub(super) fn new(bytes: Option<u64>) -> Self {
        let (bar, template) = match bytes {
            Some(bytes) => (ProgressBar::new(bytes), "{bar:30} {percent:>3} %  {msg}  {elapsed}, {eta} to go"),
            None => (ProgressBar::no_length(), "{spinner} {msg}  {elapsed}"),
        };
        let style = ProgressStyle::with_template(template).expect("a template that is valid");
        let now = Instant::now();
        Self { began: now, pairs: 0, bytes: 0, bar: bar.with_style(style), shown: now }
    }

    /// A pair of so many bytes is stored; `end`: how much of the input there was up to it; `resume`: what a run would begin
    /// with if this one were killed now. It stays on the screen, or in the log, then.
    pub(super) fn stored(&mut self, bytes: usize, end: u64, resume: Arguments<'_>) {
        /// Between two looks of a person.
        const LOOK: Duration = Duration::from_millis(50);
        /// Between two lines of a log.
        const LINE: Duration = Duration::from_secs(10);
        self.pairs += 1;
        self.bytes += bytes as u64;
        let (is_log, now) = (self.bar.is_hidden(), Instant::now());
        if now - self.shown < if is_log { LINE } else { LOOK } {
            return;
        }
        self.shown = now;
        let (pairs, rate) = (HumanCount(self.pairs), HumanCount(self.a_second(self.pairs)));
        let message = format!("{pairs} pairs, {rate}/s, {resume}");
        if is_log {
            eprintln!("{message}");
        }
        self.bar.set_message(message);
        self.bar.set_position(self.bar.position().max(end));
    }

    /// Takes the bar away. What there was in all.
    pub(super) fn finish(self) -> String {
        self.bar.finish_and_clear();
        let (pairs, bytes, took) = (HumanCount(self.pairs), HumanBytes(self.bytes), self.began.elapsed().as_secs_f64());
        let (pairs_rate, bytes_rate) = (HumanCount(self.a_second(self.pairs)), HumanBytes(self.a_second(self.bytes)));
        let noun = if self.pairs == 1 { "pair" } else { "pairs" };
        format!("{pairs} {noun}, {bytes} in {took:.1} s: {pairs_rate} pairs/s, {bytes_rate}/s")
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
    fn a_second(&self, count: u64) -> u64 {
        (count as f64 / self.began.elapsed().as_secs_f64().max(0.001)) as u64
    }
}
