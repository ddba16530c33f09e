//! Power is lost at moments of a trace; what is left is looked at, or gone on with until power is lost again.

use std::collections::BTreeMap;
use std::path::Path;

use super::disk::{Disk, Fate, Honours};
use super::trace::{Call, Task, Traced, trace};
use super::workload::reported;
use super::{Rng, scratch};

/// Looks whether a directory has everything up to what was reported durable.
pub(crate) type Holds<'a> = &'a mut dyn FnMut(&Path, u64) -> Result<(), String>;

/// How many moments a process is traced for that goes on after a power loss: its trace takes as long as ten of them.
const MOMENTS_OF_ONE: u64 = 10;
/// How much it writes after it has recovered.
const WRITES_OF_ONE: u64 = 6;

/// What was tried.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) moments: u64,
    pub(crate) fates: BTreeMap<Fate, u64>,
    /// Moments at which something was lost.
    pub(crate) lossy: u64,
    /// Moments before a process that went on after a power loss had said what it found.
    pub(crate) recovering: u64,
}

/// Loses power at `moments` moments of a trace, and opens what is left. The first one that lacks something, if any does.
pub(crate) fn lose_power(traced: &Traced, honours: Honours, moments: u64, seed: u64, holds: Holds) -> Result<Tally, String> {
    let (mut rng, mut tally) = (Rng(seed), Tally::default());
    let moments = draw_any(&mut rng, &traced.calls, moments);
    let disk = Disk::new(traced.root.path(), honours);
    stop_at(&traced.calls, disk, 0, &moments, |moment, disk, durable| {
        let (fate, held) = tally.lose_power(disk, &mut rng, durable, holds);
        held.map_err(|lack| format!("call {moment}, {fate:?}, seed {seed}: {lack}"))
    })?;
    Ok(tally)
}

/// As [`lose_power`], but another process goes on with what is left, or with what one leaves that is killed. It is traced as it
/// recovers and then writes, and power is lost at moments of that: `moments` of all such processes together.
pub(crate) fn lose_power_twice(
    traced: &Traced,
    honours: Honours,
    moments: u64,
    seed: u64,
    holds: Holds,
) -> Result<Tally, String> {
    let mut rng = Rng(seed);
    let first = first_report(&traced.calls);
    let mut at_stake = at_stake(&traced.calls, &Disk::new(traced.root.path(), honours));
    at_stake.retain(|moment| *moment > first);
    let firsts = draw(&mut rng, &at_stake, moments.div_ceil(MOMENTS_OF_ONE));
    let fates = [None, Some(Fate::All), Some(Fate::Nothing), Some(Fate::Part), Some(Fate::Few)];
    let firsts: Vec<_> = firsts.into_iter().map(|moment| (moment, fates[rng.below(5)])).collect();
    go_on(traced, honours, &firsts, WRITES_OF_ONE, seed, holds)
}

/// The same of processes that are killed when they have renamed a file and not synced its name, at each such moment in a
/// keyspace that has its values apart; and of their recovery only.
pub(crate) fn lose_power_after_renames(traced: &Traced, honours: Honours, seed: u64, holds: Holds) -> Result<Tally, String> {
    let first = first_report(&traced.calls);
    let is_such = |call: &Call| matches!(call, Call::Rename { to, .. } if to.with_file_name("blobs").is_dir());
    let firsts = (first + 1..traced.calls.len()).filter(|moment| is_such(&traced.calls[moment - 1]));
    let firsts: Vec<_> = firsts.map(|moment| (moment, None)).collect();
    go_on(traced, honours, &firsts, 0, seed, holds)
}

/// What becomes of a process: power is lost, or it is killed.
type End = Option<Fate>;

/// At each of those moments the process ends, another one goes on with `at_most` writes, and power is lost at some moments of that.
fn go_on(
    traced: &Traced,
    honours: Honours,
    ends: &[(usize, End)],
    at_most: u64,
    seed: u64,
    holds: Holds,
) -> Result<Tally, String> {
    let (mut rng, mut tally) = (Rng(seed), Tally::default());
    let moments: Vec<usize> = ends.iter().map(|(moment, _)| *moment).collect();
    let mut ends = ends.iter().map(|(_, end)| *end);
    stop_at(&traced.calls, Disk::new(traced.root.path(), honours), 0, &moments, |moment, disk, durable| {
        let end = ends.next().expect("each moment has one");
        let mut left = end.map_or_else(|| disk.kill(), |fate| disk.lose_power(fate, &mut || rng.next()).0);
        let first = format!("call {moment}, {}", end.map_or("killed".to_owned(), |fate| format!("{fate:?}")));
        let root = scratch();
        left.mount(root.path());
        let task = Task { directory: root.path().to_owned(), writes: traced.writes, durable, at_most };
        let calls = trace(traced.process, &task)
            .map_err(|failure| format!("{first}, seed {seed}: the process after it fails: {failure}"))?;
        let said = first_report(&calls);
        let (recovering, writing): (Vec<_>, Vec<_>) = at_stake(&calls, &left).into_iter().partition(|moment| *moment <= said);
        let later = at_most.min(MOMENTS_OF_ONE / 2);
        let moments = [draw(&mut rng, &recovering, MOMENTS_OF_ONE - later), draw(&mut rng, &writing, later)].concat();
        stop_at(&calls, left, durable, &moments, |moment, disk, durable| {
            tally.recovering += u64::from(moment <= said);
            let (fate, held) = tally.lose_power(disk, &mut rng, durable, holds);
            held.map_err(|lack| format!("{first}, and of the process after it call {moment}, {fate:?}, seed {seed}: {lack}"))
        })
    })?;
    Ok(tally)
}

impl Tally {
    /// What it was, and whether what is left holds.
    fn lose_power(&mut self, disk: &Disk, rng: &mut Rng, durable: u64, holds: Holds) -> (Fate, Result<(), String>) {
        let fate = [Fate::All, Fate::Nothing, Fate::Part, Fate::Few][rng.below(4)];
        let (mut left, lost) = disk.lose_power(fate, &mut || rng.next());
        let at = scratch();
        left.mount(at.path());
        self.moments += 1;
        *self.fates.entry(fate).or_default() += 1;
        self.lossy += u64::from(lost > 0);
        (fate, holds(at.path(), durable))
    }
}

fn first_report(calls: &[Call]) -> usize {
    calls.iter().position(|call| reported(call).is_some()).expect("something was reported durable")
}

/// Moments of a trace, in order: after so many calls each.
fn draw_any(rng: &mut Rng, calls: &[Call], moments: u64) -> Vec<usize> {
    let first = first_report(calls);
    // Most is at stake while a sync is under way: half of the moments are such.
    let syncs: Vec<usize> = (first..calls.len()).filter(|call| matches!(calls[*call], Call::SyncBegins { .. })).collect();
    // After a seek all is as before it.
    let others: Vec<usize> = (first..calls.len()).filter(|call| !matches!(calls[*call], Call::Seek { .. })).collect();
    let mut moment = |half: u64| if half == 0 { syncs[rng.below(syncs.len())] } else { others[rng.below(others.len())] };
    let mut moments: Vec<usize> = (0..moments).map(|number| moment(number % 2) + 1).collect();
    moments.sort_unstable();
    moments
}

/// The moments of a trace at which a power loss could take something, but for those at which that is the same as before.
fn at_stake(calls: &[Call], disk: &Disk) -> Vec<usize> {
    let (mut disk, mut moments) = (disk.clone(), Vec::new());
    for (call, moment) in calls.iter().zip(1..) {
        disk.apply(call);
        let changes = !matches!(call, Call::Close { .. } | Call::Duplicate { .. } | Call::Seek { .. });
        if changes && disk.is_at_stake() {
            moments.push(moment);
        }
    }
    moments
}

/// Some of these moments, in order; none of none.
fn draw(rng: &mut Rng, of: &[usize], count: u64) -> Vec<usize> {
    let mut moments: Vec<usize> = (0..count).filter(|_| !of.is_empty()).map(|_| of[rng.below(of.len())]).collect();
    moments.sort_unstable();
    moments
}

/// Runs a disk through a trace, and looks at it at some moments: after how many calls, and up to where all was reported durable.
fn stop_at(
    calls: &[Call],
    mut disk: Disk,
    mut durable: u64,
    moments: &[usize],
    mut look: impl FnMut(usize, &Disk, u64) -> Result<(), String>,
) -> Result<(), String> {
    let mut done = 0;
    for &moment in moments {
        for call in &calls[done..moment] {
            durable = reported(call).unwrap_or(durable);
            disk.apply(call);
        }
        done = moment;
        look(moment, &disk, durable)?;
    }
    Ok(())
}
