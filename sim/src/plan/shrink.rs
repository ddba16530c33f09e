//! Delta debugging: takes things out of a failing plan for as long as the same rule is violated.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use catena_core::Time;

use super::{Item, Plan, Rest, Verdict, View};
use crate::options::LeftOut;

/// How many ways to choose what a plan does not say are tried before its own choices are kept.
const DRAWS: u64 = 40;
/// And in all, when nothing else can be taken out of it: with the few events that it then has, each takes a moment.
const LAST_DRAWS: u64 = 4_000;

/// What is left of the time between two events is not made shorter than this.
const GAP: Duration = Duration::from_millis(5);

/// A plan that fails, and how.
pub(super) struct Shrinker<'a> {
    pub(super) plan: Plan,
    pub(super) verdict: Verdict,
    /// Worlds that were run.
    pub(super) runs: u64,
    deadline: Instant,
    /// A run that takes more steps than this is given up.
    patience: u64,
    /// Hears of each plan that is smaller.
    progress: &'a mut dyn FnMut(&Plan, u64),
}

/// What to take out.
type Kind = fn(&Item) -> bool;

impl<'a> Shrinker<'a> {
    /// `verdict`: what the plan comes to.
    pub(super) fn new(plan: Plan, verdict: Verdict, time: Duration, progress: &'a mut dyn FnMut(&Plan, u64)) -> Self {
        let (deadline, patience) = (Instant::now() + time, verdict.steps * 2 + 10_000);
        let mut shrinker = Self { plan, verdict, runs: 0, deadline, patience, progress };
        shrinker.forget_what_comes_after();
        shrinker
    }

    /// Makes it as small as time allows.
    pub(super) fn shrink(&mut self) {
        if self.untie() {
            self.make_smaller_worlds();
        }
        loop {
            let before = self.size();
            self.take_out(|item| item.key.strikes());
            self.take_out(|item| item.key.is_event());
            if !self.untie() {
                self.take_out(|item| !item.key.is_event());
            }
            self.make_smaller_worlds();
            self.heal_earlier();
            self.close_gaps();
            self.simplify_choices();
            let done = self.size() == before && !(self.is_tied() && self.untie_with(DRAWS + 1..=LAST_DRAWS));
            if done || self.is_late() {
                return;
            }
        }
    }

    fn size(&self) -> (usize, usize, LeftOut, bool) {
        let Plan { items, out, rest, .. } = &self.plan;
        (items.len(), self.plan.events(), *out, *rest == Rest::Simple)
    }

    /// Whether it has choices about steps.
    fn is_tied(&self) -> bool {
        self.plan.events() < self.plan.items.len()
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Whether this plan violates the same rule, as the same checker sees it. Then it is the one to go on with.
    fn fails(&mut self, plan: Plan) -> bool {
        if self.is_late() {
            return false;
        }
        self.runs += 1;
        let (verdict, _) = plan.run(View { until: Some(self.patience), ..View::NONE });
        // By its checker alone it might slip to something else: that of progress, for one, watches over several rules.
        let kind = |verdict: &Verdict| {
            verdict.violation.as_ref().map(|violation| (violation.checker, violation.severity, violation.rule))
        };
        let same = kind(&verdict) == kind(&self.verdict);
        if same {
            (self.plan, self.verdict) = (plan, verdict);
            self.forget_what_comes_after();
            (self.progress)(&self.plan, self.runs);
        }
        same
    }

    fn forget_what_comes_after(&mut self) {
        let end = self.verdict.at;
        self.plan.items.retain(|item| item.at <= end);
    }

    /// Does without the choices about steps, which are very many. Whether that goes.
    fn untie(&mut self) -> bool {
        let tied = self.is_tied();
        if !tied && self.plan.rest == Rest::Simple {
            return true;
        }
        self.fails(self.without_steps(Rest::Simple)) || !tied || self.untie_with(1..=DRAWS)
    }

    /// Does without them, and chooses as one of these seeds says.
    fn untie_with(&mut self, mut seeds: RangeInclusive<u64>) -> bool {
        seeds.any(|seed| self.fails(self.without_steps(Rest::Drawn(seed))))
    }

    fn without_steps(&self, rest: Rest) -> Plan {
        let events = self.plan.items.iter().filter(|item| item.key.is_event());
        Plan { items: events.cloned().collect(), rest, ..self.plan.clone() }
    }

    /// Takes out all of a kind, or else halves of them, quarters, and so on down to single ones.
    fn take_out(&mut self, kind: Kind) {
        let mut size = self.plan.items.iter().filter(|item| kind(item)).count();
        while size > 0 {
            let mut from = 0;
            loop {
                let mut place = 0;
                let mut rest = self.plan.clone();
                rest.items.retain(|item| {
                    let mine = kind(item);
                    place += usize::from(mine);
                    !(mine && (from..from + size).contains(&(place - 1)))
                });
                if place <= from || self.is_late() {
                    break;
                }
                if !self.fails(rest) {
                    from += size;
                }
            }
            size /= 2;
        }
    }

    /// Fewer slots, coordinators and nodes.
    fn make_smaller_worlds(&mut self) {
        let options = self.plan.options();
        let replicas = options.coordinator.cluster.replicas as usize;
        let spare = [options.slots as usize - 1, options.coordinators - 1, options.scale.nodes - replicas];
        for (which, most) in spare.into_iter().enumerate() {
            for fewer in (1..=most).rev() {
                let mut plan = self.plan.clone();
                let LeftOut { slots, coordinators, nodes } = &mut plan.out;
                *[slots, coordinators, nodes][which] += fewer;
                let options = plan.options();
                plan.items.retain(|item| item.key.exists(options.scale.nodes, options.coordinators));
                if self.fails(plan) {
                    break;
                }
            }
        }
    }

    /// Where faults have to end for it to fail, they end when the last of them has begun.
    fn heal_earlier(&mut self) {
        if self.verdict.healed.is_none() {
            return;
        }
        let last = self.plan.items.iter().map(|item| item.at).max().unwrap_or_default();
        let span = self.plan.heals.since(last);
        for after in [Duration::from_millis(50), span / 16, span / 4, span / 2] {
            if self.fails(Plan { heals: last + after, ..self.plan.clone() }) {
                return;
            }
        }
    }

    /// Has everything come earlier, where nothing is planned for a while.
    fn close_gaps(&mut self) {
        for place in 0..self.plan.items.len() {
            // Choices about steps are found by their times.
            if self.is_late() || self.is_tied() {
                return;
            }
            let Some(item) = self.plan.items.get(place) else { return };
            let before = place.checked_sub(1).map_or(Time(0), |before| self.plan.items[before].at);
            let gap = item.at.since(before);
            for shorter in [GAP, gap / 8, gap / 2, gap * 3 / 4] {
                let by = gap.saturating_sub(shorter);
                if by > GAP && self.fails(self.earlier(place, by)) {
                    break;
                }
            }
        }
    }

    /// From this place on, everything by so much.
    fn earlier(&self, place: usize, by: Duration) -> Plan {
        let mut plan = self.plan.clone();
        let earlier = |at: Time| Time(at.0.saturating_sub(crate::rng::nanos(by)));
        plan.items[place..].iter_mut().for_each(|item| item.at = earlier(item.at));
        plan.heals = earlier(plan.heals);
        plan
    }

    /// Leaves what was chosen about an event to the plan's rule, where that is simple.
    fn simplify_choices(&mut self) {
        if self.plan.rest != Rest::Simple || self.is_tied() {
            return;
        }
        for place in 0..self.plan.items.len() {
            if self.is_late() {
                return;
            }
            let Some(item) = self.plan.items.get(place) else { return };
            let choices = item.choices.clone();
            for kept in [0, choices.len() / 4, choices.len() / 2] {
                let mut plan = self.plan.clone();
                plan.items[place].choices = choices[..kept].into();
                if kept < choices.len() && self.fails(plan) {
                    break;
                }
            }
        }
    }
}
