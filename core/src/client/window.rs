//! How many writes a session may have without an answer: as many as are answered in time.
//!
//! Additive increase, multiplicative decrease (Chiu and Jain 1989), with TCP's slow start and back-off (RFC 5681, RFC 6298): one
//! more for each write that is answered in time, from the first that is not for each window of such; half as many for each
//! window with one that is not; and where that is the only one, pauses that double. In time means within half of what the call
//! may take, so that a call which has waited for its number for less than the other half is answered too; and no pause is
//! longer than that.

use std::time::Duration;

use crate::Time;

/// The width of a session's window.
#[derive(Debug)]
pub(super) struct Window {
    writes: usize,
    most: usize,
    growth: Growth,
    /// Lower numbers were given before it was last narrowed, and say nothing more.
    since: u64,
    /// From one write to the next, where one at a time is too many.
    pause: Duration,
    /// It is closed until then.
    opens: Time,
}

#[derive(Debug)]
enum Growth {
    /// By one for each that is answered.
    Fast,
    /// By one once so many are answered as there are writes in it.
    Slow { answered: usize },
}

impl Window {
    pub(super) fn new(most: usize) -> Self {
        let (pause, opens) = (Duration::ZERO, Time::default());
        Self { writes: 1, most, growth: Growth::Fast, since: 0, pause, opens }
    }

    /// How many writes may be without an answer.
    pub(super) fn writes(&self, now: Time) -> usize {
        if now < self.opens { 0 } else { self.writes }
    }

    /// When it opens, if it is closed.
    pub(super) fn opens(&self, now: Time) -> Option<Time> {
        (now < self.opens).then_some(self.opens)
    }

    /// A write was answered in time, while so many had no answer.
    pub(super) fn in_time(&mut self, unanswered: usize, now: Time) {
        if !self.pause.is_zero() {
            return self.pause(self.pause / 2, now);
        }
        if unanswered < self.writes {
            return;
        }
        if let Growth::Slow { answered } = &mut self.growth {
            *answered += 1;
            if *answered < self.writes {
                return;
            }
            *answered = 0;
        }
        self.writes = self.most.min(self.writes + 1);
    }

    /// The write with this number was not, of a call that may take `limit`; `next` is the next to be given.
    pub(super) fn late(&mut self, number: u64, next: u64, limit: Duration, now: Time) {
        if number < self.since {
            return;
        }
        if self.writes == 1 {
            self.pause((self.pause * 2).clamp(limit / 8, limit / 2), now);
        }
        (self.writes, self.growth, self.since) = ((self.writes / 2).max(1), Growth::Slow { answered: 0 }, next);
    }

    fn pause(&mut self, pause: Duration, now: Time) {
        const NONE: Duration = Duration::from_millis(10);
        self.pause = if pause < NONE { Duration::ZERO } else { pause };
        self.opens = now + self.pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    /// So many answers in time, all while it is full.
    fn answer(window: &mut Window, answers: usize) {
        (0..answers).for_each(|_| window.in_time(usize::MAX, Time(0)));
    }

    #[test]
    fn it_doubles_until_one_is_late_and_then_grows_by_one_a_window() {
        let mut window = Window::new(64);
        for width in [1, 2, 4, 8, 16, 32] {
            assert_eq!(window.writes(Time(0)), width);
            window.in_time(width - 1, Time(0));
            assert_eq!(window.writes(Time(0)), width, "it was not full");
            answer(&mut window, width);
        }
        window.late(1, 100, LIMIT, Time(0));
        for width in 32..64 {
            assert_eq!(window.writes(Time(0)), width);
            answer(&mut window, width);
        }
        answer(&mut window, 1000);
        assert_eq!(window.writes(Time(0)), 64, "never wider than the session's room");
    }

    #[test]
    fn it_is_halved_once_for_all_that_were_under_way() {
        let mut window = Window::new(64);
        answer(&mut window, 63);
        (1..=64).for_each(|number| window.late(number, 65, LIMIT, Time(0)));
        assert_eq!(window.writes(Time(0)), 32);
    }

    #[test]
    fn one_at_a_time_that_is_late_is_followed_by_pauses_that_double_until_one_is_in_time() {
        let (mut window, mut now) = (Window::new(64), Time(0));
        for (number, pause) in [125, 250, 500, 500].map(Duration::from_millis).into_iter().enumerate() {
            assert_eq!(window.writes(now), 1);
            window.late(number as u64, number as u64 + 1, LIMIT, now);
            assert_eq!((window.writes(now), window.opens(now)), (0, Some(now + pause)));
            now = now + pause;
        }
        for pause in [250, 125].map(Duration::from_millis) {
            window.in_time(1, now);
            assert_eq!(window.opens(now), Some(now + pause));
            now = now + pause;
        }
        (0..4).for_each(|_| window.in_time(1, now));
        assert_eq!((window.writes(now), window.opens(now)), (1, None));
        window.in_time(1, now);
        assert_eq!(window.writes(now), 2);
    }
}
