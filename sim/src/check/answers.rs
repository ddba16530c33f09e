//! Whoever is asked says something, and be it that it is there: silence is taken for being unreachable (K2, W6).

use std::time::Duration;

use catena_core::{ChainVersion, NodeConfig, NodeId, Seq, Slot, Time};

use super::Violation;

/// What a predecessor asks a replica, again and again, until it is told something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Questions {
    by: Option<(NodeId, ChainVersion)>,
    /// Where the log began that it was shown last.
    begins: Seq,
    /// Since something was last said.
    unanswered: Option<Unanswered>,
}

#[derive(Clone, Copy, Debug)]
struct Unanswered {
    last: Time,
    silent: Duration,
}

impl Questions {
    /// A neighbour shows a log that begins here, in the version that the replica acts in.
    pub(crate) fn asks(
        &mut self,
        (slot, version): (Slot, ChainVersion),
        by: &NodeId,
        begins: Seq,
        now: Time,
        config: &NodeConfig,
    ) -> Result<(), Violation> {
        let asks = Some((by.clone(), version));
        if self.by != asks {
            *self = Self { by: asks, ..Self::default() };
        }
        if begins < self.begins {
            return Ok(()); // a late one, which says nothing any more (C7)
        }
        self.begins = begins;
        // Between two questions no more counts than is usual: a process that stands still is not silent.
        let usual = config.probe * 3;
        let more = |before: Unanswered| before.silent + now.since(before.last).min(usual);
        let silent = self.unanswered.map_or(Duration::ZERO, more);
        self.unanswered = Some(Unanswered { last: now, silent });
        demand!(
            silent < config.silence,
            Silence,
            "K2, W6",
            "slot {slot}: {by} asks its successor in version {version} for {silent:?}, and hears nothing"
        );
        Ok(())
    }

    /// The replica says something.
    pub(crate) fn says(&mut self, to: &NodeId) {
        if self.by.as_ref().is_some_and(|(by, _)| by == to) {
            self.unanswered = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeId {
        NodeId::new(text).expect("a name")
    }

    /// Asked so at a millisecond, of a log that begins at 5.
    fn asks(questions: &mut Questions, by: &str, version: u64, ms: u64) -> Result<(), Violation> {
        let at = (Slot(0), ChainVersion(version));
        questions.asks(at, &name(by), Seq(5), Time(ms * 1_000_000), &NodeConfig::new(1))
    }

    /// Asked every 50 ms, for 650.
    fn asks_on(questions: &mut Questions, by: &str, version: u64, from: u64) {
        assert!((0..14).all(|nth| asks(questions, by, version, from + nth * 50).is_ok()), "from {from}");
    }

    #[test]
    fn one_that_is_asked_again_and_again_and_says_nothing_is_caught() {
        let mut questions = Questions::default();
        asks_on(&mut questions, "n2", 1, 0);
        questions.says(&name("n3"));
        asks(&mut questions, "n2", 1, 700).expect_err("700 ms without a word to n2");
    }

    #[test]
    fn an_answer_a_newer_version_and_another_neighbour_begin_the_time_anew() {
        let mut questions = Questions::default();
        asks_on(&mut questions, "n2", 1, 0);
        questions.says(&name("n2"));
        asks_on(&mut questions, "n2", 1, 700);
        asks_on(&mut questions, "n2", 2, 1_400);
        asks_on(&mut questions, "n3", 2, 2_100);
    }

    #[test]
    fn what_comes_late_and_what_waits_for_a_process_that_stands_still_needs_no_answer() {
        let mut questions = Questions::default();
        assert!([0, 10_000, 10_000, 20_000, 20_000].into_iter().all(|ms| asks(&mut questions, "n2", 1, ms).is_ok()));
        let late = |questions: &mut Questions, ms: u64| {
            questions.asks((Slot(0), ChainVersion(1)), &name("n2"), Seq(4), Time(ms * 1_000_000), &NodeConfig::new(1))
        };
        assert!((0..100).all(|nth| late(&mut questions, 20_050 + nth * 50).is_ok()));
    }
}
