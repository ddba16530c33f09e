//! A run as a value: what the world's faults, its calls and its choices are, each with its time.
//!
//! A run of a seed can be recorded as a plan, and a plan be run: that is the same run. Whatever is taken out of a plan leaves
//! the rest as it was, but for what it has caused.

mod file;
mod item;
mod parse;
mod shrink;
pub(crate) mod tape;

use std::rc::Rc;
use std::time::Duration;

use catena_core::Time;
use catena_core::mutants::Mutant;

use crate::campaign::{caught, panicked};
use crate::check::Violation;
use crate::chronicle::Chronicle;
use crate::mutation;
use crate::options::{LeftOut, Options, Scale};
use crate::trace::Printing;
use crate::world::{Course, Source, World};

pub use file::FileError;
pub(crate) use file::{Expected, File};
pub(crate) use item::{Item, Key, Place, Step};

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) scale: Scale,
    /// The bug that is planted.
    pub(crate) mutant: Option<Mutant>,
    pub(crate) out: LeftOut,
    pub(crate) rest: Rest,
    /// When faults end.
    pub(crate) heals: Time,
    /// In the order of time.
    pub(crate) items: Vec<Item>,
}

/// How that is chosen which a plan says nothing of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// The simplest: what takes time takes the longest, and of several ways it is the first.
    Simple,
    /// As good as at random, from this number.
    Drawn(u64),
}

/// How a run has ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// `None`: it is clean.
    pub(crate) violation: Option<Violation>,
    /// When.
    pub(crate) at: Time,
    /// The hash of its trace.
    pub(crate) hash: u64,
    /// When its faults ended, if they did.
    pub(crate) healed: Option<Time>,
    /// How many things have happened.
    pub(crate) steps: u64,
}

/// How a run is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) printing: Printing,
    /// It goes no further than this step.
    pub(crate) until: Option<u64>,
    /// What happens is kept for a picture.
    pub(crate) picture: bool,
}

impl View {
    /// Nobody looks.
    pub(crate) const NONE: Self = Self { printing: Printing::Off, until: None, picture: false };
}

impl Plan {
    /// Runs a seed, and records its plan.
    pub(crate) fn record(seed: u64, scale: Scale, mutant: Option<Mutant>) -> (Self, Verdict) {
        let options = Options::draw(seed, scale);
        let longest = Time(0) + options.duration;
        let run = || tape::recording(|| judge(options, Source::Recorded, View::NONE).0);
        let (verdict, items) = mutation::with_any(mutant, run);
        let heals = verdict.healed.unwrap_or(longest);
        (Self { seed, scale, mutant, out: LeftOut::default(), rest: Rest::Simple, heals, items }, verdict)
    }

    /// Runs it.
    pub(crate) fn run(&self, view: View) -> (Verdict, Option<Chronicle>) {
        let events = self.items.iter().filter(|item| item.key.is_event() && !item.key.strikes()).cloned().collect();
        let course = Course { events, heals: self.heals };
        let world = || judge(self.options(), Source::Planned(Rc::new(course)), view);
        mutation::with_any(self.mutant, || tape::playing(&self.items, self.rest, world))
    }

    pub(crate) fn options(&self) -> Options {
        Options::draw(self.seed, self.scale).without(self.out)
    }

    /// Faults and calls.
    pub(crate) fn events(&self) -> usize {
        self.items.iter().filter(|item| item.key.is_event()).count()
    }
}

/// Makes a plan that fails as small as it gets in `time`, so that the same rule is violated. The number of worlds that were run.
pub(crate) fn shrunk(plan: Plan, verdict: Verdict, time: Duration, progress: &mut dyn FnMut(&Plan, u64)) -> (Plan, Verdict, u64) {
    let mut shrinker = shrink::Shrinker::new(plan, verdict, time, progress);
    shrinker.shrink();
    (shrinker.plan, shrinker.verdict, shrinker.runs)
}

/// Runs a seed, without a plan.
pub(crate) fn run_drawn(seed: u64, scale: Scale, mutant: Option<Mutant>, view: View) -> (Verdict, Option<Chronicle>) {
    mutation::with_any(mutant, || judge(Options::draw(seed, scale), Source::Drawn, view))
}

/// Runs a world to its end, whatever that is.
fn judge(options: Options, source: Source, view: View) -> (Verdict, Option<Chronicle>) {
    let mut world = match World::new(options, view.printing) {
        Ok(world) => world,
        Err(violation) => {
            return (Verdict { violation: Some(violation), at: Time(0), hash: 0, healed: None, steps: 0 }, None);
        }
    };
    if !matches!(source, Source::Drawn) {
        world.follow(source);
    }
    if view.picture {
        world.keep_chronicle();
    }
    if let Some(step) = view.until {
        world.stop_at(step);
    }
    let violation = caught(|| world.run()).map_or_else(|panic| Some(panicked(panic)), Result::err);
    let chronicle = world.chronicle(violation.as_ref());
    let verdict = Verdict { violation, at: world.now(), hash: world.hash(), healed: world.healed, steps: world.happenings() };
    (verdict, chronicle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_plan_is_the_run_that_it_was_recorded_from() {
        let scale = Scale { operations: 400, ..Scale::default() };
        let mutants = [None, Some(Mutant::ReadWithoutLease), Some(Mutant::NoResend)];
        for (seed, mutant) in (0..60).zip(mutants.into_iter().cycle()) {
            let (plan, verdict) = Plan::record(seed, scale, mutant);
            let drawn = mutation::with_any(mutant, || crate::campaign::run_seed(seed, scale, Printing::Off));
            match &drawn {
                Ok(summary) => assert_eq!((summary.hash, None), (verdict.hash, verdict.violation.clone()), "seed {seed}"),
                Err(violation) => assert_eq!(Some(violation), verdict.violation.as_ref(), "seed {seed}"),
            }
            let again = plan.run(View::NONE).0;
            // Where it draws a fault, the one has a step that the other need not have.
            assert_eq!(Verdict { steps: verdict.steps, ..again }, verdict, "seed {seed}");
        }
    }
}
