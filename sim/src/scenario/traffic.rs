//! Calls in the background, so that a scenario shows what callers notice.

use bytes::Bytes;
use catena_core::Time;
use catena_core::client::Delivery;

use super::command::Pace;
use crate::history::{CallId, Deed, Outcome, Wish};
use crate::world::script::Stage;

/// A put every so often, by the first client, exactly once; and readers of what is being put.
#[derive(Debug)]
pub(super) struct Traffic {
    pace: Pace,
    next: Time,
    puts: Vec<CallId>,
    gets: Vec<CallId>,
    /// By reader: its last call.
    reading: Vec<Option<CallId>>,
}

impl Traffic {
    pub(super) fn new(pace: Pace, now: Time) -> Self {
        Self { pace, next: now, puts: Vec::new(), gets: Vec::new(), reading: vec![None; pace.readers] }
    }

    /// When the next one is.
    pub(super) fn due(&self) -> Time {
        self.next
    }

    /// Begins the next calls.
    pub(super) fn send(&mut self, stage: &mut Stage) -> Vec<CallId> {
        let number = self.puts.len();
        let keys = stage.options().slots as usize * 4;
        let key = Bytes::from(format!("t{}", number % keys));
        let wish = |deed| Wish { key: key.clone(), deed, conditions: Vec::new() };
        let put = Deed::Put { value: number.to_string().into() };
        let mut begun = vec![stage.begin(0, wish(put), Delivery::ExactlyOnce, None)];
        self.puts.extend(&begun);
        for reading in &mut self.reading {
            if reading.is_none_or(|call| stage.call(call).returned.is_some()) {
                let get = stage.begin(0, wish(Deed::Get), Delivery::AtMostOnce, None);
                *reading = Some(get);
                self.gets.push(get);
                begun.push(get);
            }
        }
        self.next = self.next + self.pace.every;
        begun
    }

    /// Whether one of them has not ended.
    pub(super) fn open(&self, stage: &Stage) -> bool {
        self.puts.iter().chain(&self.gets).any(|call| stage.call(*call).returned.is_none())
    }

    /// What came of them, a line for those who write and one for those who read.
    pub(super) fn summary(&self, stage: &Stage) -> Vec<String> {
        let count = |calls: &[CallId], wanted: fn(&Outcome) -> bool| {
            calls.iter().filter(|call| wanted(&stage.call(**call).outcome)).count()
        };
        let done = count(&self.puts, |outcome| matches!(outcome, Outcome::Written { .. }));
        let unknown = count(&self.puts, |outcome| *outcome == Outcome::Unknown);
        let mut lines = vec![format!(
            "traffic: {} puts, {done} done, {unknown} unknown, {} not executed; the slowest took {} ms",
            self.puts.len(),
            self.puts.len() - done - unknown,
            stage.slowest(&self.puts).as_millis()
        )];
        if self.pace.readers > 0 {
            let answered = count(&self.gets, |outcome| matches!(outcome, Outcome::Read(_)));
            let (gets, slowest) = (self.gets.len(), stage.slowest(&self.gets).as_millis());
            let readers = self.pace.readers;
            lines.push(format!("{readers} readers: {gets} gets, {answered} answered; the slowest took {slowest} ms"));
        }
        lines
    }
}
