//! Replays: of seeds, and of files that a failing seed was shrunk to.

use std::time::Duration;

use catena_core::mutants::Mutant;

use crate::check::Violation;
use crate::chronicle::Chronicle;
use crate::describe::one_line;
use crate::options::{Options, Scale};
use crate::page::{Found, Heading, page};
use crate::plan::{self, Expected, File, Plan, Verdict, View};
use crate::trace::Printing;

pub use crate::plan::FileError;

/// What is replayed.
#[derive(Clone, Debug)]
pub struct Subject(Run);

#[derive(Clone, Debug)]
enum Run {
    Seed { seed: u64, scale: Scale, mutant: Option<Mutant> },
    File(Box<File>),
}

/// How it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Whether it prints a line for each transition.
    pub printing: Printing,
    /// It goes no further than this step. Lines have the numbers of steps.
    pub until: Option<u64>,
    /// Whether a page is made of it.
    pub page: bool,
}

/// What it came to.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// `None`: nothing was violated, as far as it went.
    pub violation: Option<Violation>,
    /// The hash of its trace.
    pub hash: u64,
    /// How many steps it had.
    pub steps: u64,
    /// Whether it was stopped before its end.
    pub stopped: bool,
    /// How it differs from what the file says, if it does.
    pub difference: Option<String>,
    /// The page.
    pub page: Option<String>,
}

impl Subject {
    /// A seed, with a bug planted or without one.
    pub fn seed(seed: u64, scale: Scale, mutant: Option<Mutant>) -> Self {
        Self(Run::Seed { seed, scale, mutant })
    }

    /// What a file says.
    ///
    /// # Errors
    /// It is no replay file that can be used.
    pub fn file(text: &str) -> Result<Self, FileError> {
        Ok(Self(Run::File(Box::new(File::parse(text)?))))
    }

    /// As it would be written, if it is of a file; for `fuzz/`.
    #[doc(hidden)]
    pub fn text(&self) -> Option<String> {
        match &self.0 {
            Run::Seed { .. } => None,
            Run::File(file) => Some(file.text(&[])),
        }
    }

    /// The options of its world.
    pub fn options(&self) -> Options {
        match &self.0 {
            Run::Seed { seed, scale, .. } => Options::draw(*seed, *scale),
            Run::File(file) => file.plan.options(),
        }
    }

    /// In a few words.
    pub fn title(&self) -> String {
        match &self.0 {
            Run::Seed { seed, .. } => format!("seed {seed}"),
            Run::File(file) => format!("seed {}, shrunk to {} events", file.plan.seed, file.plan.events()),
        }
    }

    fn mutant(&self) -> Option<Mutant> {
        match &self.0 {
            Run::Seed { mutant, .. } => *mutant,
            Run::File(file) => file.plan.mutant,
        }
    }

    /// Runs it. `command`: the line that was written for that.
    pub fn replay(&self, look: Look, command: &str) -> Replayed {
        let view = View { printing: look.printing, until: look.until, picture: look.page };
        let (verdict, chronicle) = match &self.0 {
            Run::Seed { seed, scale, mutant } => plan::run_drawn(*seed, *scale, *mutant, view),
            Run::File(file) => file.plan.run(view),
        };
        let stopped = verdict.violation.is_none() && look.until.is_some_and(|step| verdict.steps >= step);
        let difference = match &self.0 {
            Run::File(file) if !stopped => difference(&file.expected, &verdict),
            Run::File(_) | Run::Seed { .. } => None,
        };
        let page = chronicle.map(|chronicle| page(&self.heading(&verdict, stopped, command), &chronicle));
        Replayed { hash: verdict.hash, steps: verdict.steps, stopped, difference, page, violation: verdict.violation }
    }

    fn heading(&self, verdict: &Verdict, stopped: bool, command: &str) -> Heading {
        let options = self.options();
        let at = Duration::from_nanos(verdict.at.0).as_secs_f64();
        let how = match (&verdict.violation, stopped) {
            (Some(_), _) => "violated",
            (None, true) => "stopped",
            (None, false) => "clean",
        };
        let mutant = |mutant: Mutant| format!("{} breaks rule {}: {}", mutant.name(), mutant.rule(), mutant.story());
        Heading {
            title: self.title(),
            mutant: self.mutant().map(mutant),
            violation: verdict.violation.as_ref().map(Found::of),
            ending: format!("{how} after {at:.6} virtual seconds and {} steps, trace {:016x}", verdict.steps, verdict.hash),
            command: command.to_owned(),
            nodes: options.scale.nodes,
            coordinators: options.coordinators,
            slots: options.slots,
            options: options.table(),
        }
    }
}

/// How a run differs from what its file says.
fn difference(expected: &Expected, verdict: &Verdict) -> Option<String> {
    let found = Expected::of(verdict);
    if found.as_ref() == Some(expected) {
        return None;
    }
    let says = format!("{} ({}): {}, trace {:016x}", expected.checker, expected.rule, expected.sentence, expected.hash);
    let comes_to = found.map_or("nothing is violated".to_owned(), |found| {
        format!("{} ({}): {}, trace {:016x}", found.checker, found.rule, found.sentence, found.hash)
    });
    Some(format!("the file was written for another build, or edited: it says {says}; it comes to {comes_to}"))
}

/// A seed that was shrunk.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The text of its file.
    pub file: String,
    /// What is violated.
    pub violation: Violation,
    /// Faults and calls of the seed, up to the violation.
    pub events_before: usize,
    /// Those that are left.
    pub events: usize,
    /// Virtual time up to the violation.
    pub virtual_time: Duration,
    /// Worlds that were run.
    pub runs: u64,
}

/// Makes a failing seed as small as it gets in `time`: so that the same rule is still violated. `progress` hears how many events
/// are left, and how many worlds were run. `None`: the seed is clean.
pub fn shrink(
    seed: u64,
    scale: Scale,
    mutant: Option<Mutant>,
    time: Duration,
    mut progress: impl FnMut(usize, u64),
) -> Option<Shrunk> {
    let (plan, verdict) = Plan::record(seed, scale, mutant);
    verdict.violation.as_ref()?;
    let events_before = plan.events();
    let (plan, verdict, runs) = plan::shrunk(plan, verdict, time, &mut |plan, runs| progress(plan.events(), runs));
    let (again, chronicle) = plan.run(View { picture: true, ..View::NONE });
    assert_eq!(again, verdict, "a plan runs the same way twice");
    let meanings = meanings(&plan, &chronicle.expect("it was asked for"));
    let expected = Expected::of(&verdict).expect("it fails");
    let (events, virtual_time) = (plan.events(), Duration::from_nanos(verdict.at.0));
    let file = File { plan, expected }.text(&meanings);
    let violation = verdict.violation.expect("it fails");
    Some(Shrunk { file, violation, events_before, events, virtual_time, runs })
}

/// What each item of a plan does.
fn meanings(plan: &Plan, chronicle: &Chronicle) -> Vec<String> {
    plan.items.iter().map(|item| one_line(chronicle.meaning(item.at, item.key.place()).unwrap_or_default())).collect()
}
