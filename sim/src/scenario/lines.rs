//! Lines of output: what happened when, without the tedium of what happens again and again.

use std::fmt::Write as _;
use std::time::Duration;

/// A line of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Since its block began; `None`: it has no time.
    after: Option<Duration>,
    text: String,
}

impl Line {
    pub(super) fn at(after: Duration, text: String) -> Self {
        Self { after: Some(after), text }
    }

    pub(super) fn plain(text: String) -> Self {
        Self { after: None, text }
    }
}

fn ms(after: Duration) -> String {
    format!("+{} ms", after.as_millis())
}

/// What is repeated, one or two lines at a time, is said once, with how often and until when.
pub(super) fn condensed(lines: &[Line]) -> Vec<String> {
    let mut output = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let (period, times) =
            (1..=2).map(|period| (period, repeats(&lines[at..], period))).max_by_key(|(_, times)| *times).unwrap_or((1, 1));
        let period = if times > 2 { period } else { 1 };
        for line in &lines[at..at + period] {
            output.push(match line.after {
                Some(after) => format!("{:>9}  {}", ms(after), line.text),
                None => line.text.clone(),
            });
        }
        if times > 2 {
            let last = at + period * times - 1;
            if let (Some(after), Some(said)) = (lines[last].after, output.last_mut()) {
                write!(said, " ({times} times, until {})", ms(after)).expect("a string takes everything");
            }
            at = last + 1;
        } else {
            at += 1;
        }
    }
    output
}

/// How often the first `period` lines come one after the other.
fn repeats(lines: &[Line], period: usize) -> usize {
    let timed = |line: &Line| line.after.is_some();
    let Some(first) = lines.get(..period).filter(|first| first.iter().all(timed)) else { return 1 };
    let same = |chunk: &&[Line]| chunk.len() == period && chunk.iter().zip(first).all(|(a, b)| a.text == b.text && timed(a));
    lines.chunks(period).take_while(same).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<Line> {
        (0..).zip(texts).map(|(at, text)| Line::at(Duration::from_millis(at), (*text).to_owned())).collect()
    }

    #[test]
    fn what_is_repeated_is_said_once() {
        let said = condensed(&lines(&["a", "b", "c", "b", "c", "b", "c", "d", "d", "e", "e", "e", "e"]));
        let texts: Vec<&str> = said.iter().map(|line| line.trim_start()).collect();
        assert_eq!(
            texts,
            [
                "+0 ms  a",
                "+1 ms  b",
                "+2 ms  c (3 times, until +6 ms)",
                "+7 ms  d",
                "+8 ms  d",
                "+9 ms  e (4 times, until +12 ms)"
            ]
        );
    }

    #[test]
    fn tables_are_left_as_they_are() {
        let said = condensed(&["x", "x", "x", "x"].map(|text| Line::plain(text.to_owned())));
        assert_eq!(said, ["x", "x", "x", "x"]);
    }
}
