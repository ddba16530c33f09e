//! How many writes a session may have without an answer: as many as are answered in time.
//!
//! Additive increase, multiplicative decrease (Chiu and Jain 1989), with TCP's slow start (RFC 5681): one more for each write
//! that is answered in time, from the first that is not for each window of such; half as many for each window with one that is
//! not. In time means within half of what the call may take, so that a call which has waited for its number for less than the
//! other half is answered too.

/// The width of a session's window.
#[derive(Debug)]
pub(super) struct Window {
    writes: usize,
    most: usize,
    growth: Growth,
    /// Lower numbers were given before it was last halved, and say nothing more.
    since: u64,
}

#[derive(Debug)]
enum Growth {
    /// By one for each that is answered.
    Fast,
    /// By one once so many are answered as there are writes in it.
    Slow { answered: usize },
}

impl Window {
    /// What a session begins with. TCP's is ten segments (RFC 6928); a write costs more than a segment.
    const FIRST: usize = 4;

    pub(super) fn new(most: usize) -> Self {
        Self { writes: Self::FIRST.min(most), most, growth: Growth::Fast, since: 0 }
    }

    pub(super) fn writes(&self) -> usize {
        self.writes
    }

    /// A write was answered in time while the window was full.
    pub(super) fn widen(&mut self) {
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
    pub(super) fn narrow(&mut self, number: u64, next: u64) {
        if number >= self.since {
            (self.writes, self.growth, self.since) = ((self.writes / 2).max(1), Growth::Slow { answered: 0 }, next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_until_one_is_late_and_then_grows_by_one_a_window() {
        let mut window = Window::new(64);
        for (round, width) in [4, 8, 16, 32].into_iter().enumerate() {
            assert_eq!(window.writes(), width, "round {round}");
            (0..width).for_each(|_| window.widen());
        }
        window.narrow(1, 100);
        assert_eq!(window.writes(), 32);
        for width in 32..64 {
            assert_eq!(window.writes(), width);
            (0..width).for_each(|_| window.widen());
        }
        (0..1000).for_each(|_| window.widen());
        assert_eq!(window.writes(), 64, "never wider than the session's room");
    }

    #[test]
    fn it_is_halved_once_for_all_that_were_under_way_and_never_closes() {
        let mut window = Window::new(64);
        (0..60).for_each(|_| window.widen());
        (1..=64).for_each(|number| window.narrow(number, 65));
        assert_eq!(window.writes(), 32);
        (0..10).for_each(|round| window.narrow(65 + round, 66 + round));
        assert_eq!(window.writes(), 1);
        window.widen();
        assert_eq!(window.writes(), 2);
    }
}
