//! How many writes a session may have without an answer: as many as are answered in time.
//!
//! Additive increase, multiplicative decrease (Chiu and Jain 1989), with TCP's slow start (RFC 5681): one
//! more for each write that is answered in time, from the first that is not for each window of such; half as many for each
//! window with one that is not; and where that is the only one, the session is slow (`lane.rs`). In time means within half of
//! what the call may take, so that a call which has waited for its number for less than the other half is answered too.

/// The width of a session's window.
#[derive(Debug)]
pub(super) struct Window {
    writes: usize,
    most: usize,
    growth: Growth,
    /// Lower numbers were given before it was last narrowed, and say nothing more.
    since: u64,
    /// One at a time was late.
    slow: bool,
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
        Self { writes: 1, most, growth: Growth::Fast, since: 0, slow: false }
    }

    /// How many writes may be without an answer.
    pub(super) fn writes(&self) -> usize {
        self.writes
    }

    pub(super) fn is_slow(&self) -> bool {
        self.slow
    }

    /// What was late was of another chain.
    pub(super) fn chain_changed(&mut self) {
        self.slow = false;
    }

    /// A write was answered in time, while so many had no answer.
    pub(super) fn in_time(&mut self, unanswered: usize) {
        if self.slow {
            self.slow = false;
            return;
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

    /// The write with this number was not; `next` is the next to be given.
    pub(super) fn late(&mut self, number: u64, next: u64) {
        if number < self.since {
            return;
        }
        self.slow = self.writes == 1;
        (self.writes, self.growth, self.since) = ((self.writes / 2).max(1), Growth::Slow { answered: 0 }, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many answers in time, all while it is full.
    fn answer(window: &mut Window, answers: usize) {
        (0..answers).for_each(|_| window.in_time(usize::MAX));
    }

    #[test]
    fn it_doubles_until_one_is_late_and_then_grows_by_one_a_window() {
        let mut window = Window::new(64);
        for width in [1, 2, 4, 8, 16, 32] {
            assert_eq!(window.writes(), width);
            window.in_time(width - 1);
            assert_eq!(window.writes(), width, "it was not full");
            answer(&mut window, width);
        }
        window.late(1, 100);
        for width in 32..64 {
            assert_eq!(window.writes(), width);
            answer(&mut window, width);
        }
        answer(&mut window, 1000);
        assert_eq!(window.writes(), 64, "never wider than the session's room");
    }

    #[test]
    fn it_is_halved_once_for_all_that_were_under_way() {
        let mut window = Window::new(64);
        answer(&mut window, 63);
        (1..=64).for_each(|number| window.late(number, 65));
        assert_eq!(window.writes(), 32);
    }

    #[test]
    fn it_is_slow_from_one_at_a_time_that_is_late_to_one_that_is_not() {
        let mut window = Window::new(64);
        answer(&mut window, 1);
        for (number, slow) in [(1, false), (2, true), (3, true)] {
            window.late(number, number + 1);
            assert_eq!((window.writes(), window.is_slow()), (1, slow));
        }
        answer(&mut window, 1);
        assert_eq!((window.writes(), window.is_slow()), (1, false));
        answer(&mut window, 1);
        assert_eq!(window.writes(), 2);
    }
}
